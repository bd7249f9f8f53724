"""What no plan can cost less than: a computed lower bound over the same arrays that the search chooses from."""

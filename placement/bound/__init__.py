"""What no plan can cost less than: a computed lower bound over the same arrays that the search chooses from.

`lower.bound` is the door and says why the bound holds. May import `placement.search.layout` and `.ways`; numba is
imported here and in `placement.search` alone.
"""

from placement.bound.lower import Bound, bound

__all__ = ["Bound", "bound"]

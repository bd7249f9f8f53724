"""`python -m hybrid` is the command `hybrid`."""

from hybrid.cli import main

main()

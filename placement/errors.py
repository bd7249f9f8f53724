"""The errors of `placement`."""

from __future__ import annotations


class PlacementError(Exception):
    """Wrong input: a plan that cannot be read, is stale, or does not belong to the fleet.

    Attributes:
        exit_code: what the command line exits with (2, wrong input).
        advice: what to do next; empty when the message says it.
    """

    exit_code = 2

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

"""The errors of `sites`."""

from __future__ import annotations


class SitesError(Exception):
    """Wrong input: a manifest, a pack or a quantity that cannot be read as what it claims to be.

    Attributes:
        exit_code: what the command line exits with (2, wrong input).
        advice: what to do next; empty when the message says it.
    """

    exit_code = 2

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice

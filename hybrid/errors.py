"""The errors of `hybrid`: each message says what was expected and what to do next."""

from __future__ import annotations


class HybridError(Exception):
    """The world failed: a port in use, a host that does not answer, a process that died.

    Attributes:
        exit_code: what the command line exits with, as the design's table says (2 input, 3 trust, 4 world).
        advice: what to do next, in a sentence; empty when the message says it.
    """

    exit_code = 4

    def __init__(self, message: str, *, advice: str = "") -> None:
        super().__init__(message)
        self.advice = advice


class InputError(HybridError):
    """Something the user gave is wrong; the message names file, line and field where there are any."""

    exit_code = 2


class EvidenceError(HybridError):
    """A signature, proof or chain does not hold."""

    exit_code = 3

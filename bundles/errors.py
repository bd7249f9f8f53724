"""The errors of `bundles`: each has a short code, says what is safe now, and says what to do next."""

from __future__ import annotations


class BundleError(Exception):
    """Something about a bundle, its trust or its box is not as it must be.

    Attributes:
        code: a short name for the telephone, such as `QUORUM` or `MEDIUM-SYMLINK`.
        safe: what is safe now; by default that nothing has changed.
        advice: what is safe and what to do next, in one line, as the command line prints it.
        exit_code: what the command line exits with (1 refused, 2 wrong input, 3 trust broken, 4 the world failed).
    """

    exit_code = 2

    def __init__(self, code: str, message: str, *, advice: str, safe: str = "nothing was changed") -> None:
        super().__init__(f"[{code}] {message}")
        self.code = code
        self.safe = safe
        self.todo = advice
        self.advice = f"{advice} (safe now: {safe})"


class GateError(BundleError):
    """A rule refuses: the bundle is genuine, but not for this box or not for this moment."""

    exit_code = 1


class InputError(BundleError):
    """Something the user named is missing or malformed."""

    exit_code = 2


class MediumError(BundleError):
    """The carrier holds something that no bundle of ours holds."""

    exit_code = 3


class LinkError(MediumError):
    """A hub on the network is not there, too slow, or does not let this box in; nobody is known to have lied."""

    exit_code = 4


class TrustError(BundleError):
    """A signature, a quorum, a version, an expiry or a digest does not hold."""

    exit_code = 3


class StateError(BundleError):
    """The box's own anti-rollback state or store is lost, zeroed, foreign or behind."""

    exit_code = 3


class SpaceError(BundleError):
    """The disk is too small for what should be written."""

    exit_code = 4

"""Three-valued truth and dotted keys, the checker's own."""

from __future__ import annotations

from collections.abc import Iterable

from sites.country import Truth
from sites.data import UNLABELLED


def every(values: Iterable[Truth]) -> Truth:
    """Return the three-valued *and*; of nothing it is true."""
    found = list(values)
    return False if False in found else None if None in found else True


def some(values: Iterable[Truth]) -> Truth:
    """Return the three-valued *or*; of nothing it is false."""
    found = list(values)
    return True if True in found else None if None in found else False


def opposite(value: Truth) -> Truth:
    """Return the three-valued *not*."""
    return None if value is None else not value


def below(key: str, ancestor: str) -> bool:
    """Return whether a dotted key is `ancestor` or one of its descendants."""
    return key.split(".")[: ancestor.count(".") + 1] == ancestor.split(".")


def related(key: str, named: str) -> bool:
    """Return whether a class is matched as requirements match: itself, an ancestor or a descendant."""
    return key == UNLABELLED or below(key, named) or below(named, key)

"""Three-valued logic after Kleene: true, false and unknown (None), and never a guess."""

from __future__ import annotations

from collections.abc import Iterable

from sites.country import Truth


def all_of(values: Iterable[Truth]) -> Truth:
    """Return the conjunction: one false decides, else one unknown does; of nothing it is true."""
    unknown = False
    for value in values:
        if value is False:
            return False
        unknown |= value is None
    return None if unknown else True


def any_of(values: Iterable[Truth]) -> Truth:
    """Return the disjunction: one true decides, else one unknown does; of nothing it is false."""
    unknown = False
    for value in values:
        if value:
            return True
        unknown |= value is None
    return None if unknown else False


def negate(value: Truth) -> Truth:
    """Return the opposite; the opposite of unknown is unknown."""
    return None if value is None else not value

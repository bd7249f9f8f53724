"""How much of one family would just suffice: concrete changes, each verified on the bench, with numbers that are least.

A lever is a whole number at one place that can be turned up; what is found is enough, and one step less is not. It is
turned while the other families of a cause are set aside or already moved (`rest`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from placement.explanation.change import AS_IT_IS, Change
from placement.explanation.court import Bench

MOST_ALTERNATIVES = 3
"""Places that are named for one family."""


@dataclass(frozen=True, slots=True)
class Lever:
    """One quantity at one place.

    Attributes:
        now: what it is; with that it is not enough.
        most: as much as anybody could want.
        to: the change that makes it so many.
        guess: what should be just enough, from the way that `most` opens; None asks without one.
    """

    now: int
    most: int
    to: Callable[[int], Change]
    guess: int | None = None


def turn(bench: Bench, rest: Change, levers: Sequence[Lever]) -> list[Change]:
    """Return sufficient changes: of single levers where one is enough, else one change of several together."""
    found: list[Change] = []
    for lever in levers:
        if bench.is_placed(rest.then(lever.to(lever.most))):
            found.append(_least(bench, rest, lever))
            if len(found) == MOST_ALTERNATIVES:
                break
    return found or _together(bench, rest, levers)


def _least(bench: Bench, rest: Change, lever: Lever) -> Change:
    """Return the least change of a lever that is enough at its most."""

    def is_enough(value: int) -> bool:
        return bench.is_placed(rest.then(lever.to(value)))

    low, high, guess = lever.now, lever.most, lever.guess
    if guess is not None and low < guess < high:
        low, high = (low, guess) if is_enough(guess) else (guess, high)
        if high == guess and high - low > 1 and not is_enough(high - 1):
            return lever.to(high)
    step = 1
    while low + step < high and not is_enough(low + step):
        low, step = low + step, step * 2
    high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return lever.to(high)


def _together(bench: Bench, rest: Change, levers: Sequence[Lever]) -> list[Change]:
    """Return one change of as few levers as needed, each least while those after it are still at their most."""
    needed = list(levers)
    if len(needed) < 2 or not bench.is_placed(rest.then(_all(needed))):
        return []
    for lever in levers:
        fewer = [other for other in needed if other is not lever]
        if bench.is_placed(rest.then(_all(fewer))):
            needed = fewer
    done = AS_IT_IS
    for index, lever in enumerate(needed):
        done = done.then(_least(bench, rest.then(done).then(_all(needed[index + 1 :])), lever))
    return [done]


def _all(levers: Sequence[Lever]) -> Change:
    whole = AS_IT_IS
    for lever in levers:
        whole = whole.then(lever.to(lever.most))
    return whole

"""How a long decision is watched and stopped: it reports where it is, and ends early with the best it has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a decision is.

    Attributes:
        phase: what is being done, in a word or two.
        done: fraction of this phase, 0 to 1.
        cost: per hour, of the best plan so far, or of the part of it that is planned; None while there is none.
        bound: no plan, or no such part of one, costs less; None while unknown.
        unplaced: workloads that the best plan so far does not serve.
    """

    phase: str
    done: float
    cost: float | None = None
    bound: float | None = None
    unplaced: int | None = None

    @property
    def gap(self) -> float | None:
        """Return how far the cost may be above the best, as a fraction; None while unknown."""
        return None if self.cost is None or not self.bound else max(0.0, self.cost / self.bound - 1)


def _nobody(progress: Progress) -> None:
    """Look away."""


@dataclass(slots=True)
class Watch:
    """Somebody who looks, and may say stop.

    Attributes:
        show: called often, with little to do each time.
        is_stopped: set it from anywhere; the decision then ends with the best it has.
    """

    show: Callable[[Progress], None] = _nobody
    is_stopped: bool = False

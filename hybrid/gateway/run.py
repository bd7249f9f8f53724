"""One request's way through a pipeline's graph at one site, and what passes between sites about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from hybrid.errors import HybridError
from hybrid.gateway.flows import Crossing, Placed, denied
from hybrid.gateway.refusal import UNAVAILABLE, Refusal, RefusedError
from hybrid.gateway.table import Assignment, AtomIds, Decision, Target, Workload

Payload = dict[str, Any]


class UnavailableError(HybridError):
    """A permitted target did not serve: unreachable, too slow, refused by its own table, or its engine failed."""


@dataclass(frozen=True)
class Asked:
    """What another site asked this one for: by which site, and which target in which place."""

    caller: str
    targets: Mapping[str, Target]


@dataclass
class Run:
    """One request at this site.

    Attributes:
        floor: atoms that the credential, or the claims of a passport, add to every label.
        held: payloads by the name of their place in the graph; `input` is the pipeline's.
        request: names the request at its origin through all hops (32 hex digits).
        tokens: the passports that brought the data here; empty at the origin.
        asked: None at the origin, where every place is to be served.
        served: places that are served, here or elsewhere, and by whom.
        failed: (place, target's number) that did not serve.
    """

    name: str
    workload: Workload
    assignment: Assignment
    floor: AtomIds
    held: dict[str, Payload]
    request: str
    purposes: tuple[str, ...] = ()
    tokens: tuple[str, ...] = ()
    asked: Asked | None = None
    served: dict[str, Target] = field(default_factory=dict)
    failed: set[tuple[str, int]] = field(default_factory=set)

    def label(self, place: str) -> AtomIds:
        """Return the label of a place in this request."""
        return frozenset(self.assignment.stages[place].label) | self.floor

    def common(self) -> dict[str, Any]:
        """Return what every record about this request says."""
        work = self.workload
        return {
            "workload": self.name, "pipeline": work.pipeline, "origin": work.origin, "tenant": work.tenant,
            "jti": self.request, "purpose": self.purposes[0] if self.purposes else None,
        }  # fmt: skip

    def fail(self, site: str) -> None:
        """Set aside every target at `site` for the rest of this request."""
        for place, entry in self.assignment.stages.items():
            self.failed |= {(place, n) for n, target in enumerate(entry.targets) if target.site == site}

    def answers(self) -> dict[str, Payload]:
        """Return the answers that came home, by place.

        Raises:
            RefusedError: 503 when a place was never served because no one site holds all its inputs, or when no
                answer came home.
        """
        stages = self.assignment.stages
        left = [place for place in stages if place not in self.served]
        if left:
            message = f"no site holds all that {', '.join(left)} needs"
            raise RefusedError(Refusal(UNAVAILABLE, "gateway/join", message, retry_after=60))
        found = {place: self.held[place] for place, entry in stages.items() if entry.answer and place in self.held}
        if not found:
            raise RefusedError(Refusal(UNAVAILABLE, "gateway/no-answer", "no answer came home", retry_after=5))
        return found

    def refusal(self, place: str, refused: list[Decision | Refusal]) -> Refusal:
        """Return why nobody serves `place`: 451 when residency refused every target, else 503."""
        rules = tuple(dict.fromkeys(rule for verdict in refused for rule in verdict.rules or (rule_of(verdict),)))
        if refused and not any(failed == place for failed, _ in self.failed):
            first = refused[0]
            return first if isinstance(first, Refusal) else denied(Decision(verdict=first.verdict, rules=rules))
        message = f"no permitted target of {place} answers"
        return Refusal(UNAVAILABLE, "gateway/no-target", message, ("gateway/no-target", *rules), retry_after=5)


def rule_of(verdict: Decision | Refusal) -> str:
    """Return the rule of a verdict that lists none."""
    return verdict.rule if isinstance(verdict, Refusal) else "residency:table/no-permit"


@dataclass(frozen=True)
class Hop:
    """What goes to another site in one request: payloads for some of its stages, each over a permitted flow.

    Without stages it brings answers home to the origin.
    """

    run: Run
    site: str
    stages: tuple[Placed, ...]
    payloads: Mapping[str, Payload]
    crossings: tuple[Crossing, ...]


@dataclass(frozen=True)
class Returned:
    """What a hop brought back: outputs by the stage that ran, and every stage that ran there or beyond."""

    payloads: Mapping[str, Payload]
    ran: frozenset[str]


class Hops(Protocol):
    """The one seam to other sites."""

    async def send(self, hop: Hop) -> Returned:
        """Hand over `hop`. Raises UnavailableError when the other site does not serve it."""


class NoHops:
    """A site without a wire: every other site is unavailable."""

    async def send(self, hop: Hop) -> Returned:
        """Raise UnavailableError."""
        raise UnavailableError(f"{hop.site} cannot be reached: this gateway speaks to no other site")

"""A plan's workloads as the checker compares them: what repeats is one object, and the sites are beside it, not in it.

An assignment is an `Outline`, which says everything but which sites, and its places: the sites that fill it, the origin
first. So two assignments that differ in nothing but their sites share their outline, and are compared by identity.
These are the checker's own nouns, so that a mistake in the planner's cannot hide here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from placement.check.labels import kept
from placement.check.schema import AtomText
from sites.data import Atom, Label

Places = tuple[str, ...]
"""The sites of an assignment, its origin first, the others in the order in which the plan names them."""


@dataclass(frozen=True, slots=True, eq=False)
class StageKind:
    """All that a plan says of a stage but its site; `partition` tells apart the pools of stages that share state."""

    stage: str
    model: str | None
    variant: str | None
    hardware: str | None
    label: Label
    rules: tuple[str, ...]
    partition: str


@dataclass(frozen=True, slots=True, eq=False)
class FlowKind:
    """All that a plan says of a flow but its sites; `rate` per second, `size` in bytes per request."""

    from_stage: str
    to_stage: str
    role: str
    size: float
    rate: float
    label: Label
    verdict: str
    rules: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class TargetKind:
    """All that a plan says of a fallback target but its site: the stage elsewhere, a fallback stage, or a queue."""

    stage: str | None
    model: str | None
    variant: str | None
    hardware: str | None
    queues: bool


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """An assignment and its fallback orders, with numbers of places where the plan has sites.

    Attributes:
        stages: kind and place.
        flows: kind, place of the sender, place of the receiver, and those that the route passes.
        orders: of each stage that has one, the targets: kind and place, None where the plan names no site.
        hops: every pair of neighbours on a route, once.
        machines: every hardware group that a stage runs on, or would run on, with its place, once.
    """

    fraction: float
    stages: tuple[tuple[StageKind, int], ...]
    flows: tuple[tuple[FlowKind, int, int, tuple[int, ...]], ...]
    orders: tuple[tuple[str, tuple[tuple[TargetKind, int | None], ...]], ...]
    hops: tuple[tuple[int, int], ...]
    machines: tuple[tuple[int, str], ...]


class Part(NamedTuple):
    """One assignment of a workload: its outline, and its places but for the origin."""

    outline: Outline
    others: Places


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """All that a plan says of a workload but its origin and the numbers that each has for itself.

    `limit` in milliseconds; `rate` per second.
    """

    pipeline: str
    tenant: str
    rate: float
    status: str
    limit: float | None
    kind: str | None
    causes: tuple[tuple[str, ...], ...]
    parts: tuple[Part, ...]


class WorkloadEntry(NamedTuple):
    """One pipeline at one origin, as placed; `modelled` latency in milliseconds."""

    id: str
    origin: str
    said: Said
    modelled: float
    cost_per_hour: float | None


class FailedEntry(NamedTuple):
    """Where a workload runs after a loss; places are numbered from the origin that its id names."""

    id: str
    parts: tuple[Part, ...]


class StageEntry(NamedTuple):
    """One stage at its site, as the plan says; what it says of it beside the site is its `kind`."""

    kind: StageKind
    site: str

    @property
    def stage(self) -> str:
        """Return the stage's name."""
        return self.kind.stage

    @property
    def label(self) -> Label:
        """Return the label that the plan states, sorted by class."""
        return self.kind.label

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the rules that the plan cites."""
        return self.kind.rules


class FlowEntry(NamedTuple):
    """One flow with the sites that it passes."""

    kind: FlowKind
    source: str
    target: str
    route: tuple[str, ...]

    @property
    def ends(self) -> tuple[str, str]:
        """Return the stages, or ends of the graph, between which it flows."""
        return self.kind.from_stage, self.kind.to_stage

    @property
    def from_stage(self) -> str:
        """Return who sends."""
        return self.kind.from_stage

    @property
    def label(self) -> Label:
        """Return the label that the plan states, sorted by class."""
        return self.kind.label

    @property
    def rules(self) -> tuple[str, ...]:
        """Return the rules that the plan cites."""
        return self.kind.rules


class TargetEntry(NamedTuple):
    """One target of a fallback order; `where` is None when the plan names no site."""

    kind: TargetKind
    where: str | None


class FallbackEntry(NamedTuple):
    """The fixed order in which a stage falls back."""

    stage: str
    order: tuple[TargetEntry, ...]


@dataclass(frozen=True)
class AssignmentEntry:
    """An outline with its sites filled in, as far as anybody asks."""

    outline: Outline
    places: Places

    @cached_property
    def stages(self) -> tuple[StageEntry, ...]:
        """Every stage with its site."""
        return tuple([StageEntry(kind, self.places[place]) for kind, place in self.outline.stages])

    @cached_property
    def flows(self) -> tuple[FlowEntry, ...]:
        """Every flow with its sites."""
        return tuple([self.flow(number) for number in range(len(self.outline.flows))])

    def flow(self, number: int) -> FlowEntry:
        """Return one flow with its sites."""
        kind, source, target, route = self.outline.flows[number]
        places = self.places
        return FlowEntry(kind, places[source], places[target], tuple([places[place] for place in route]))

    @cached_property
    def fallbacks(self) -> tuple[FallbackEntry, ...]:
        """Every fallback order with its sites."""
        return tuple(
            FallbackEntry(
                stage, tuple(TargetEntry(kind, None if at is None else self.places[at]) for kind, at in order)
            )
            for stage, order in self.outline.orders
        )  # fmt: skip


def label_of(atoms: tuple[AtomText, ...]) -> Label:
    """Return the label that a plan states, sorted by class."""
    made = (
        Atom(
            atom.data,
            None if atom.law is None else tuple(sorted(atom.law)),
            atom.identifiability,
            None if atom.purposes is None else tuple(sorted(atom.purposes)),
            atom.key_ref,
            tuple(sorted(atom.regimes)),
        )
        for atom in atoms
    )
    return kept(tuple(sorted(made, key=lambda atom: atom.data)))

"""plan.json: the artefact that everything else reads, as nouns that know their own form.

RFC 8785 JSON; floats have nine significant digits. A field may be added; none changes its name or meaning. It is read
by `placement.plan_reading`.
"""

from __future__ import annotations

import datetime as dt
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter
from pydantic.alias_generators import to_camel

from placement.canonical import Canonical, rounded

MOST_KEPT = 1 << 14
"""Equal labels, routes and lists of rules that are told apart while a plan is read."""

_CONFIG = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)
AtomJson = dict[str, Any]


def _one_label(label: tuple[AtomJson, ...]) -> tuple[AtomJson, ...]:
    """Return the one object that stands for all equal labels: a plan says a few labels a million times."""
    known = _LABELS.setdefault(repr(label), label)
    if len(_LABELS) > MOST_KEPT:
        _LABELS.clear()
    return known


@lru_cache(maxsize=MOST_KEPT)
def _one_of(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the one object that stands for all equal tuples of names."""
    return names


_LABELS: dict[str, tuple[AtomJson, ...]] = {}
LabelJson = Annotated[tuple[AtomJson, ...], AfterValidator(_one_label)]
NameTuple = Annotated[tuple[str, ...], AfterValidator(_one_of)]
Role = Literal["primary", "fallback"]


@dataclass(frozen=True, slots=True)
class StagePlan:
    """One stage of one assignment; model, variant and hardware are None where it is built in."""

    __pydantic_config__ = _CONFIG
    stage: str
    site: str
    model: str | None
    variant: str | None
    hardware: str | None
    label: LabelJson
    rules: NameTuple
    partition: str = ""


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """One flow; `rate` per second, `bytes` per request. The graph's ends are `input` and `answer`.

    A flow of role `fallback` is permitted and reserves nothing: its rate is zero.
    """

    __pydantic_config__ = _CONFIG
    from_stage: str
    to_stage: str
    source: Annotated[str, Field(alias="from")]
    target: Annotated[str, Field(alias="to")]
    role: Role
    route: NameTuple
    bytes: int
    rate: float
    label: LabelJson
    verdict: Literal["permit"]
    rules: NameTuple


@dataclass(frozen=True, slots=True)
class AssignmentPlan:
    """One whole way to serve a workload, for a fraction of its requests."""

    __pydantic_config__ = _CONFIG
    fraction: float
    stages: tuple[StagePlan, ...]
    flows: tuple[FlowPlan, ...]


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """One target of a fallback order: another pool of the stage, a fallback stage, or a queue."""

    __pydantic_config__ = _CONFIG
    stage: str | None = None
    site: str | None = None
    model: str | None = None
    variant: str | None = None
    hardware: str | None = None
    queue: str | None = None


@dataclass(frozen=True, slots=True)
class FallbackPlan:
    """What is tried, in this order, when a stage of an assignment does not answer; they are counted from 0."""

    __pydantic_config__ = _CONFIG
    stage: str
    order: tuple[TargetPlan, ...]
    assignment: int = 0


@dataclass(frozen=True, slots=True)
class LatencyPlan:
    """Milliseconds of the slowest path as modelled, and the objective."""

    __pydantic_config__ = _CONFIG
    modelled: float
    limit: float | None


@dataclass(frozen=True, slots=True)
class RepairPlan:
    """A change of the fleet that would place the workload, and what the plan would then cost more per hour."""

    __pydantic_config__ = _CONFIG
    change: str
    cost_per_hour: float


@dataclass(frozen=True, slots=True)
class WorkloadPlan:
    """A workload that is served: its part of the cost of pools and egress; `causes` say why it is only degraded.

    `numbers` say of each family of each cause how much would just suffice; unless `causes_complete`, there may be more.
    """

    __pydantic_config__ = _CONFIG
    id: str
    pipeline: str
    origin: str
    tenant: str
    rate: float
    status: Literal["placed", "degraded"]
    assignments: tuple[AssignmentPlan, ...]
    fallbacks: tuple[FallbackPlan, ...]
    latency_ms: Annotated[LatencyPlan, Field(alias="latency_ms")]
    cost_per_hour: float
    kind: Literal["impossible", "crowded"] | None = None
    causes: tuple[tuple[str, ...], ...] = ()
    numbers: tuple[tuple[str, ...], ...] = ()
    causes_complete: bool = True
    repairs: tuple[RepairPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class SurvivorPlan:
    """How a workload that a loss touches is served then."""

    __pydantic_config__ = _CONFIG
    id: str
    assignments: tuple[AssignmentPlan, ...]


@dataclass(frozen=True, slots=True)
class FailurePlan:
    """What changes when one thing is lost: `site:NAME`, or `link:A--B` with the names in order.

    Who is not listed and not touched goes on as planned; who is not listed and touched ends.
    """

    __pydantic_config__ = _CONFIG
    lost: str
    workloads: tuple[SurvivorPlan, ...]


@dataclass(frozen=True, slots=True)
class UnplacedPlan:
    """A workload that is not served, and all minimal sets of rules whose relaxation would place it."""

    __pydantic_config__ = _CONFIG
    id: str
    kind: Literal["impossible", "crowded"]
    causes: tuple[tuple[str, ...], ...]
    repairs: tuple[RepairPlan, ...] = ()
    numbers: tuple[tuple[str, ...], ...] = ()
    causes_complete: bool = True


@dataclass(frozen=True, slots=True)
class NodePlan:
    """Replicas of one pool on one node; `accelerators` lists one device per replica."""

    __pydantic_config__ = _CONFIG
    replicas: int
    accelerators: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """Replicas of one variant on one hardware group, enough after any loss; `load` per second in normal running."""

    __pydantic_config__ = _CONFIG
    site: str
    model: str
    variant: str
    hardware: str
    replicas: int
    nodes: dict[str, NodePlan]
    load: float
    utilisation: float
    partition: str = ""


@dataclass(frozen=True, slots=True)
class CostPlan:
    """Cost per hour: of shares of nodes and egress, of whole nodes and egress, and the bound below."""

    __pydantic_config__ = _CONFIG
    currency: str
    per_hour: float
    billed_per_hour: float
    egress_per_hour: float
    lower_bound_per_hour: float
    gap: float | None
    gap_over: Literal["all", "set"]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """What decided, and how much work it was."""

    __pydantic_config__ = _CONFIG
    name: str
    version: str
    work: int
    seed: int


@dataclass(frozen=True, slots=True)
class InvariantsPlan:
    """Numbers of the invariants that the planner's own decisions cover, and why it does not the others."""

    __pydantic_config__ = _CONFIG
    checked: tuple[int, ...]
    not_checked: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole decision. `inputs` are digests by relative path."""

    __pydantic_config__ = _CONFIG
    api_version: Literal["hybrid/v1"]
    kind: Literal["Plan"]
    since: Annotated[dt.date, Field(alias="from")]
    until: dt.date
    inputs: dict[str, str]
    engine: EnginePlan
    workloads: tuple[WorkloadPlan, ...]
    unplaced: tuple[UnplacedPlan, ...]
    pools: tuple[PoolPlan, ...]
    invariants: InvariantsPlan
    cost: CostPlan
    failures: tuple[FailurePlan, ...] = ()

    def workload(self, name: str) -> WorkloadPlan | None:
        """Return the served workload of that id; at once where workloads are in the order of their ids, as written."""
        at = bisect_left(self.workloads, name, key=_id)
        if at < len(self.workloads) and self.workloads[at].id == name:
            return self.workloads[at]
        return next((workload for workload in self.workloads if workload.id == name), None)

    def to_json(self) -> dict[str, Any]:
        """Return the plan's JSON form, floats rounded."""
        form = adapter().dump_python(self, mode="json", by_alias=True, exclude_defaults=True)
        return dict(rounded(form))

    def chunks(self) -> Iterator[bytes]:
        """Yield the plan's file bit by bit: RFC 8785 with a newline at its end."""
        writer = Canonical()
        before = "{"
        for _, prefix, value in writer.members(self):
            yield (before + prefix).encode()
            yield from writer.pieces(value)
            before = ","
        yield b"}\n"

    def to_bytes(self) -> bytes:
        """Return the plan's file."""
        return b"".join(self.chunks())


def _id(workload: WorkloadPlan) -> str:
    return workload.id


@cache
def adapter() -> TypeAdapter[Plan]:
    """Return what reads and writes a plan's JSON form."""
    return TypeAdapter(Plan)

"""What a plan.json may say, field by field: its shape alone, and an error that names the first field that is wrong.

Fields that the checker does not weigh are left unread, because a plan may gain fields.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from placement.errors import PlacementError
from sites.data import Identifiability

Number = Annotated[float, Field(allow_inf_nan=False)]
PoolKey = tuple[str, str, str, str, str]
"""Site, model, variant, hardware, partition."""


class Entry(BaseModel):
    """A frozen part of a plan; Python's snake_case is the plan's camelCase."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


T = TypeVar("T", bound=Entry)


def read(kind: type[T], raw: Any, where: str = "") -> T:
    """Return one part of a plan. Raises PlacementError naming the first field that is missing or malformed."""
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in (*((where,) if where else ()), *first["loc"])) or "the plan"
        raise PlacementError(f"{place}: {first['msg']}", advice="write the plan again with `hybrid plan`") from None


class AtomText(Entry):
    """One atom of a label; what is absent is unknown."""

    data: str
    law: tuple[str, ...] | None = None
    identifiability: Identifiability | None = None
    purposes: tuple[str, ...] | None = None
    key_ref: str | None = None
    regimes: tuple[str, ...] = ()


class LabelText(Entry):
    """What a plan writes of a label."""

    label: tuple[AtomText, ...]


class RulesText(Entry):
    """What a plan writes of the rules that it cites."""

    rules: tuple[str, ...]


class StageText(Entry):
    """What a plan writes of one stage; model, variant and hardware are None for a built-in one."""

    stage: str
    site: str
    model: str | None = None
    variant: str | None = None
    hardware: str | None = None
    label: tuple[AtomText, ...]
    rules: tuple[str, ...]
    partition: str = ""


class FlowText(Entry):
    """What a plan writes of one flow."""

    from_stage: str
    to_stage: str
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    role: str
    route: tuple[str, ...]
    size: Number = Field(alias="bytes")
    rate: Number
    label: tuple[AtomText, ...]
    verdict: str
    rules: tuple[str, ...]


class AssignmentText(Entry):
    """What a plan writes of one assignment."""

    fraction: Annotated[Number, Field(ge=0, le=1)]
    stages: tuple[StageText, ...]
    flows: tuple[FlowText, ...]


class TargetText(Entry):
    """What a plan writes of one target of a fallback order."""

    stage: str | None = None
    site: str | None = None
    model: str | None = None
    variant: str | None = None
    hardware: str | None = None
    queue: str | None = None


class FallbackText(Entry):
    """The fixed order in which a stage of one assignment falls back, as a plan writes it."""

    stage: str
    assignment: Annotated[int, Field(ge=0)] = 0
    order: tuple[TargetText, ...]


class LatencyText(Entry):
    """Modelled latency of the slowest path and the pipeline's limit, in milliseconds."""

    modelled: Number
    limit: Number | None = None


class WorkloadText(Entry):
    """What a plan writes of one workload that is served."""

    id: str
    pipeline: str
    origin: str
    tenant: str
    rate: Number
    status: Literal["placed", "degraded"]
    assignments: Annotated[tuple[AssignmentText, ...], Field(min_length=1)]
    fallbacks: tuple[FallbackText, ...] = ()
    latency_ms: LatencyText = Field(alias="latency_ms")
    cost_per_hour: Number | None = None
    kind: str | None = None
    causes: tuple[tuple[str, ...], ...] = ()


class FailedText(Entry):
    """What a plan writes of one workload after a loss."""

    id: str
    assignments: tuple[AssignmentText, ...]


class FailureText(Entry):
    """What a plan writes of one loss."""

    lost: str
    workloads: tuple[FailedText, ...]


class UnplacedEntry(Entry):
    """One workload that has no place, with the minimal sets of causes."""

    id: str
    kind: str
    causes: tuple[tuple[str, ...], ...]


class NodeEntry(Entry):
    """Replicas on one node, and the device of each that takes one."""

    replicas: int
    accelerators: tuple[int, ...] = ()


class PoolEntry(Entry):
    """Equal replicas of one variant on one hardware group."""

    site: str
    model: str
    variant: str
    hardware: str
    replicas: int
    nodes: dict[str, NodeEntry]
    load: Number
    utilisation: Number
    partition: str = ""

    @property
    def key(self) -> PoolKey:
        """Return what names the pool."""
        return (self.site, self.model, self.variant, self.hardware, self.partition)


class CostEntry(Entry):
    """What the plan costs per hour; the bound is the planner's word."""

    currency: str
    per_hour: Number
    billed_per_hour: Number
    egress_per_hour: Number
    lower_bound_per_hour: Number | None = None
    gap: Number | None = None
    gap_over: str | None = None


class InvariantsEntry(Entry):
    """Which invariants the plan claims as checked."""

    checked: tuple[int, ...] = ()
    not_checked: dict[str, str] = {}


class EngineEntry(Entry):
    """What decided, and how much work it was."""

    name: Annotated[str, Field(min_length=1)]
    version: Annotated[str, Field(min_length=1)]
    work: Annotated[int, Field(ge=0)]
    seed: int


class PlanDocument(Entry):
    """A plan without its workloads and failures; `since` and `until` are the first and last day of its window."""

    api_version: Literal["hybrid/v1"]
    kind: Literal["Plan"]
    since: dt.date = Field(alias="from")
    until: dt.date
    inputs: dict[str, str]
    engine: EngineEntry
    unplaced: tuple[UnplacedEntry, ...] = ()
    pools: tuple[PoolEntry, ...] = ()
    invariants: InvariantsEntry = InvariantsEntry()
    cost: CostEntry


def head_of(raw: Any) -> PlanDocument:
    """Return a plan but for its workloads and failures. Raises PlacementError naming what is wrong."""
    document = read(PlanDocument, raw)
    if document.until < document.since:
        raise PlacementError(f"until: the plan ends on {document.until}, before it begins on {document.since}")
    return document

"""A plan.json as the checker reads it: its own nouns, so that a mistake in the planner's cannot hide here.

Fields that the checker does not weigh are left unread, because a plan may gain fields.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from placement.errors import PlacementError
from sites.data import Atom, Identifiability, Label

Number = Annotated[float, Field(allow_inf_nan=False)]


class Entry(BaseModel):
    """A frozen part of a plan; Python's snake_case is the plan's camelCase."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


class AtomEntry(Entry):
    """One atom of a label; what is absent is unknown."""

    data: str
    law: tuple[str, ...] | None = None
    identifiability: Identifiability | None = None
    purposes: tuple[str, ...] | None = None
    key_ref: str | None = None
    regimes: tuple[str, ...] = ()


class StageEntry(Entry):
    """Where one stage of a workload runs; model, variant and hardware are None for a built-in stage.

    `partition` tells apart the pools of stages that share state.
    """

    stage: str
    site: str
    model: str | None = None
    variant: str | None = None
    hardware: str | None = None
    label: tuple[AtomEntry, ...]
    rules: tuple[str, ...]
    partition: str = ""

    @property
    def pool(self) -> tuple[str, str, str, str, str] | None:
        """Return what names the stage's pool; None for a built-in stage."""
        if self.model is None or self.variant is None or self.hardware is None:
            return None
        return (self.site, self.model, self.variant, self.hardware, self.partition)


class FlowEntry(Entry):
    """One flow with the sites it passes; `rate` per second, `bytes` per request."""

    from_stage: str
    to_stage: str
    source: str = Field(alias="from")
    target: str = Field(alias="to")
    role: str = "primary"
    route: tuple[str, ...]
    size: Number = Field(alias="bytes")
    rate: Number
    label: tuple[AtomEntry, ...]
    verdict: str
    rules: tuple[str, ...]


class AssignmentEntry(Entry):
    """One way in which a fraction of a workload's requests is served."""

    fraction: Annotated[Number, Field(ge=0, le=1)]
    stages: tuple[StageEntry, ...]
    flows: tuple[FlowEntry, ...]


class TargetEntry(Entry):
    """One target of a fallback order: the stage elsewhere, a fallback stage, or a queue at a site."""

    stage: str | None = None
    site: str | None = None
    model: str | None = None
    variant: str | None = None
    hardware: str | None = None
    queue: str | None = None


class FallbackEntry(Entry):
    """The fixed order in which a stage falls back."""

    stage: str
    order: tuple[TargetEntry, ...]


class LatencyEntry(Entry):
    """Modelled latency of the slowest path and the pipeline's limit, in milliseconds."""

    modelled: Number
    limit: Number | None = None


class WorkloadEntry(Entry):
    """One pipeline at one origin, as placed."""

    id: str
    pipeline: str
    origin: str
    tenant: str
    rate: Number
    status: Literal["placed", "degraded"]
    assignments: Annotated[tuple[AssignmentEntry, ...], Field(min_length=1)]
    fallbacks: tuple[FallbackEntry, ...] = ()
    latency_ms: LatencyEntry = Field(alias="latency_ms")


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
    def key(self) -> tuple[str, str, str, str, str]:
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


class FailedWorkload(Entry):
    """Where a workload runs after a loss."""

    id: str
    assignments: tuple[AssignmentEntry, ...]


class FailureEntry(Entry):
    """The loss of one site or link (`a--b`), and where the workloads concerned then run."""

    lost: str
    workloads: tuple[FailedWorkload, ...]


class InvariantsEntry(Entry):
    """Which invariants the plan claims as checked."""

    checked: tuple[int, ...] = ()
    not_checked: dict[str, str] = {}


class PlanDocument(Entry):
    """A whole plan; `since` and `until` are the first and last day of its window."""

    api_version: Literal["hybrid/v1"]
    kind: Literal["Plan"]
    since: dt.date = Field(alias="from")
    until: dt.date
    inputs: dict[str, str]
    workloads: tuple[WorkloadEntry, ...]
    unplaced: tuple[UnplacedEntry, ...] = ()
    pools: tuple[PoolEntry, ...] = ()
    failures: tuple[FailureEntry, ...] = ()
    invariants: InvariantsEntry = InvariantsEntry()
    cost: CostEntry


def parse(plan: dict[str, Any]) -> PlanDocument:
    """Return the plan as nouns. Raises PlacementError naming the first field that is missing or malformed."""
    try:
        document = PlanDocument.model_validate(plan)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the plan"
        raise PlacementError(f"{where}: {first['msg']}", advice="write the plan again with `hybrid plan`") from None
    if document.until < document.since:
        raise PlacementError(f"until: the plan ends on {document.until}, before it begins on {document.since}")
    return document


def planned_label(entries: tuple[AtomEntry, ...]) -> Label:
    """Return the label that a plan states, sorted by class."""
    return tuple(
        sorted(
            (
                Atom(
                    entry.data,
                    None if entry.law is None else tuple(sorted(entry.law)),
                    entry.identifiability,
                    None if entry.purposes is None else tuple(sorted(entry.purposes)),
                    entry.key_ref,
                    tuple(sorted(entry.regimes)),
                )
                for entry in entries
            ),
            key=lambda atom: atom.data,
        )
    )

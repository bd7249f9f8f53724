"""Which registered declassifiers lower labels in a pipeline, and what is wrong with those that do not."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterator, Mapping

from placement.check.graph import declared
from placement.check.labels import Lowering
from placement.check.logic import below
from placement.check.snapshot import Snapshot
from placement.pipeline import Pipeline, Stage
from sites.policy import Approver, Declassifier, Policy


def faults(
    entry: Declassifier, stage: Stage, policy: Policy, snapshot: Snapshot, days: tuple[dt.date, dt.date]
) -> Iterator[tuple[int, str]]:
    """Yield (invariant, what is wrong) for one registration over the days of a plan, ends included."""
    since, until = days
    approved = snapshot.approved(stage)
    if len(approved) != 1 or approved[0].spec.source.digest != entry.digest:
        yield 3, f"digest {entry.digest} of the only approved model of {stage.name!r}"
    if _typed(entry.parameters) != _typed(stage.parameters):
        yield 3, f"parameters {_shown(entry.parameters)} of stage {stage.name!r}, not {_shown(stage.parameters)}"
    if stage.owner is None:
        yield 4, f"an owner of stage {stage.name!r}: without one it lowers nothing"
    elif _heard(stage.owner) == _heard(entry.approver):
        yield 4, f"an approver of {stage.name!r} who is not its owner {stage.owner!r}"
    if entry.until < until:
        yield 4, f"an approval of {stage.name!r} in force until {until}, not {entry.until}"
    approvers = policy.spec.approvers
    for data in sorted({atom.data for atom in entry.from_atoms}):
        if approvers is not None and not any(_may_approve(a, entry.approver, data, since, until) for a in approvers):
            yield 4, f"an approver of {stage.name!r} with authority over {data} from {since} to {until}"


def _may_approve(approver: Approver, name: str, data: str, since: dt.date, until: dt.date) -> bool:
    known = _heard(approver.name) == _heard(name) and below(data, approver.data)
    return known and not (since < approver.since or approver.until < until)


def _typed(parameters: Mapping[str, object]) -> dict[str, tuple[str, object]]:
    """Return parameters with their types beside them: a flag is no number."""
    return {key: (type(value).__name__, value) for key, value in parameters.items()}


def _shown(parameters: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in sorted(parameters.items())) or "none"


def _heard(name: str) -> list[str]:
    """Return a person's name without what only the eye tells apart: width, case and blanks."""
    return unicodedata.normalize("NFKC", name).casefold().split()


def lowering(pipeline: Pipeline, policy: Policy, snapshot: Snapshot, days: tuple[dt.date, dt.date]) -> Lowering:
    """Return the first declassifier without a fault that a policy registers for each stage of a pipeline."""
    stages = declared(pipeline.spec)
    return Lowering({
        entry.stage: entry
        for entry in reversed(policy.spec.declassifiers)
        if entry.stage in stages and not list(faults(entry, stages[entry.stage], policy, snapshot, days))
    })  # fmt: skip

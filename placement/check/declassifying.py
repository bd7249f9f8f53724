"""Which registered declassifiers lower labels in a pipeline, and what is wrong with those that do not."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterator

from placement.check.graph import declared
from placement.check.labels import Lowering
from placement.check.snapshot import Snapshot
from placement.pipeline import Pipeline, Stage
from sites.policy import Declassifier, Policy


def faults(entry: Declassifier, stage: Stage, snapshot: Snapshot, until: dt.date) -> Iterator[tuple[int, str]]:
    """Yield (invariant, what is wrong) for one registration."""
    approved = snapshot.approved(stage)
    if len(approved) != 1 or approved[0].spec.source.digest != entry.digest:
        yield 3, f"digest {entry.digest} of the only approved model of {stage.name!r}"
    if stage.owner is None:
        yield 4, f"an owner of stage {stage.name!r}: without one it lowers nothing"
    elif _heard(stage.owner) == _heard(entry.approver):
        yield 4, f"an approver of {stage.name!r} who is not its owner {stage.owner!r}"
    if entry.until < until:
        yield 4, f"an approval of {stage.name!r} in force until {until}, not {entry.until}"


def _heard(name: str) -> list[str]:
    """Return a person's name without what only the eye tells apart: width, case and blanks."""
    return unicodedata.normalize("NFKC", name).casefold().split()


def lowering(pipeline: Pipeline, policy: Policy, snapshot: Snapshot, until: dt.date) -> Lowering:
    """Return the first declassifier without a fault that a policy registers for each stage of a pipeline."""
    stages = declared(pipeline.spec)
    return Lowering({
        entry.stage: entry
        for entry in reversed(policy.spec.declassifiers)
        if entry.stage in stages and not list(faults(entry, stages[entry.stage], snapshot, until))
    })  # fmt: skip

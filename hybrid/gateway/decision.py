"""The decision about a request before any work is done, with its reasons: what the dry run prints; pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hybrid.gateway.flows import Placed, denied, may_run
from hybrid.gateway.refusal import Refusal
from hybrid.gateway.table import Assignment, AtomIds, Decision, Table, Target, Workload, joined


@dataclass(frozen=True, slots=True)
class Option:
    """One target of a place with the verdict for this label: of running there, and of every flow that leads there."""

    place: str
    target: Target
    decision: Decision

    def to_json(self) -> dict[str, Any]:
        """Return the option as the dry run prints it."""
        target = self.target
        named = {"site": target.site, "stage": target.stage, "role": target.role}
        model = {"model": target.model, "variant": target.variant} if target.model else {}
        return named | model | {"verdict": self.decision.verdict, "rules": list(self.decision.rules)}


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen to a request: every place with its targets in order, and the verdict on the whole."""

    name: str
    label: AtomIds
    options: tuple[Option, ...]
    decision: Decision

    @property
    def refusal(self) -> Refusal | None:
        """Return the 451 when some place has no permitted target, else None."""
        return None if self.decision.permitted else denied(self.decision)

    def to_json(self, table: Table) -> dict[str, Any]:
        """Return the dry run's answer."""
        places = dict.fromkeys(option.place for option in self.options)
        return {
            "workload": self.name,
            "verdict": self.decision.verdict,
            "rules": list(self.decision.rules),
            "label": table.label_json(self.label),
            "stages": [
                {"stage": place, "targets": [option.to_json() for option in self.options if option.place == place]}
                for place in places
            ],
        }


def preview(table: Table, name: str, workload: Workload, assignment: Assignment, floor: AtomIds) -> Preview:
    """Return what the table decides about a request whose label is the workload's with `floor` added."""
    options = tuple(_options(table, assignment, floor))
    verdicts = []
    for place in assignment.stages:
        targets = [o.decision for o in options if o.place == place and o.target.role != "queue"]
        permitted = next((decision for decision in targets if decision.permitted), None)
        verdicts.append(permitted or joined(targets))
    return Preview(name, frozenset(workload.input_label) | floor, options, joined(verdicts))


def _options(table: Table, assignment: Assignment, floor: AtomIds) -> Iterator[Option]:
    for place, entry in assignment.stages.items():
        for target in entry.targets:
            runs = may_run(Placed(place, target), floor, table, assignment)
            flows = [
                table.decide(flow.decisions, frozenset(flow.label) | floor)
                for flow in assignment.flows
                if (flow.to_stage, flow.to_site) == (target.stage, target.site) and flow.from_stage in target.after
            ]
            yield Option(place, target, joined([runs, *flows]))

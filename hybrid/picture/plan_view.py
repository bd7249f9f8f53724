"""A plan as the picture shows it: nodes, lines and rows, with sites of one country drawn as one where they are many."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hybrid.picture.places import site_facts
from hybrid.picture.zones import Line, Node, data_class, short
from placement.plan import FlowPlan, Plan, WorkloadPlan
from placement.problem import Problem

MOST_BOXES = 16
"""Boxes in one column that can still be read; beyond it the sites of a country stand together."""

STATUSES = ("placed", "degraded", "unplaced")
SIGNS = {"placed": "✓", "degraded": "▲", "unplaced": "✕"}
STATES = {"placed": "", "degraded": "silent", "unplaced": "breached"}
"""CSS class of a box by the worst that happens to a workload that begins there."""


@dataclass(slots=True)
class _Place:
    """What stands in one box: its sites, the workloads that begin there by status, replicas and flows."""

    sites: list[dict[str, Any]] = field(default_factory=list)
    begun: Counter[str] = field(default_factory=Counter)
    replicas: int = 0

    @property
    def state(self) -> str:
        """Return the CSS class of its worst workload."""
        return next((STATES[status] for status in reversed(STATUSES) if self.begun[status]), "")


@dataclass(frozen=True, slots=True)
class View:
    """Everything that the page draws."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    collapsed: bool


def view(plan: Plan, problem: Problem) -> View:
    """Return the plan's picture: who begins where, and what flows between, by data class."""
    involved = _involved(plan)
    facts = {name: site_facts(problem.sites[name]) for name in problem.sites if name in involved}
    box = _boxes(facts)
    places: dict[str, _Place] = defaultdict(_Place)
    for name, fact in facts.items():
        places[box[name]].sites.append(fact)
    for name, status in _statuses(plan):
        places[box[name.rpartition("@")[2]]].begun[status] += 1
    for pool in plan.pools:
        places[box[pool.site]].replicas += pool.replicas
    collapsed = len(places) < len(facts)
    nodes = tuple(_node(name, place) for name, place in sorted(places.items()))
    return View(nodes, tuple(_lines(plan, box)), collapsed)


def _involved(plan: Plan) -> set[str]:
    """Return every site at which a workload begins, runs, or passes through."""
    found = {name.rpartition("@")[2] for name, _ in _statuses(plan)} | {pool.site for pool in plan.pools}
    for workload in plan.workloads:
        for assignment in workload.assignments:
            for flow in assignment.flows:
                found.update(flow.route)
            found.update(stage.site for stage in assignment.stages)
    return found


def _statuses(plan: Plan) -> Iterator[tuple[str, str]]:
    yield from ((workload.id, workload.status) for workload in plan.workloads)
    yield from ((workload.id, "unplaced") for workload in plan.unplaced)


def _boxes(facts: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return the box of each site: itself, or with the others of its country in the same column."""
    found: dict[str, str] = {}
    for serves in ("own", "others"):
        column = {name: fact for name, fact in facts.items() if fact["serves"] == serves}
        for name, fact in column.items():
            kind = "sites" if serves == "own" else "regions"
            found[name] = name if len(column) <= MOST_BOXES else f"{fact['countryName']}: {kind}"
    return found


def _node(name: str, place: _Place) -> Node:
    first = place.sites[0]
    begun = "  ".join(f"{SIGNS[status]} {place.begun[status]}" for status in STATUSES if place.begun[status])
    runs = f"{place.replicas} replica{'s' if place.replicas != 1 else ''}" if place.replicas else "runs nothing"
    if len(place.sites) == 1 and first["name"] == name:
        where = f"{first['place'] or 'unknown place'} · {first['mode']} · {short(first['operator'], 22)}"
        compel = f"can compel: {short(', '.join(first['compellableBy']), 24)}"
    else:
        modes = Counter(fact["mode"] for fact in place.sites)
        where = ", ".join(f"{count} {mode}" for mode, count in sorted(modes.items()))
        countries = sorted({country for fact in place.sites for country in fact["compellableBy"]})
        compel = f"can compel: {short(', '.join(countries), 24)}"
    rows = (where, compel, " · ".join(part for part in (begun, runs) if part))
    return Node(name, first["zone"], first["serves"] == "own", name, rows, place.state)


@dataclass(slots=True)
class _Sum:
    """Flows of one class between two boxes."""

    flows: int = 0
    primary: bool = False
    forward: bool = False
    backward: bool = False


def _lines(plan: Plan, box: Mapping[str, str]) -> Iterator[Line]:
    sums: dict[tuple[tuple[str, str], str], _Sum] = defaultdict(_Sum)
    for flow in _crossing(plan.workloads):
        a, b = box[flow.source], box[flow.target]
        if a == b:
            continue
        first, second = sorted((a, b))
        entry = sums[(first, second), data_class({atom["data"] for atom in flow.label})]
        entry.flows += flow.role == "primary"
        entry.primary |= flow.role == "primary"
        entry.forward |= a == first
        entry.backward |= b == first
    for (ends, data), entry in sorted(sums.items()):
        badge = str(entry.flows) if entry.flows > 1 else ""
        yield Line(data, ends, badge, entry.forward, entry.backward, spare=not entry.primary)


def _crossing(workloads: Iterable[WorkloadPlan]) -> Iterator[FlowPlan]:
    for workload in workloads:
        for assignment in workload.assignments:
            yield from (flow for flow in assignment.flows if flow.source != flow.target)

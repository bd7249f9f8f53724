"""Compiles a plan and its fleet into one site's decision table; pure, and without floats.

Every verdict is asked of `sites.decisions` again: the plan says where things go, the policy says whether they may. A
table is refused when the policy denies what the plan placed, or when the plan was made from other manifests.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from hybrid.errors import InputError
from hybrid.gateway.table import UNDECIDED, WHOLE
from placement.graph import ANSWER, INPUT, Graph, graphs
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem, problem_of
from placement.propagation import Labels, propagate
from placement.rulings import Rulings
from sites.data import UNKNOWN_LABEL, Atom, Label, join, label_of
from sites.fleet import Fleet
from sites.question import Window
from sites.site import Link, Site
from sites.verdict import Outcome, Verdict

Json = dict[str, Any]
CHECKER = "checker"
"""Among a plan's inputs, the digest of the checker, which no manifest is."""


def compile_table(plan: Mapping[str, Any], fleet: Fleet, site: str) -> Json:
    """Return the table of `site`: every workload that is born there, or that it serves a stage of.

    Raises:
        InputError: the fleet has no such site, the plan was made from other manifests, or the policy does not permit
            what it placed.
    """
    _require_same_inputs(plan, fleet)
    window = Window(dt.date.fromisoformat(plan["from"]), dt.date.fromisoformat(plan["until"]))
    problem = problem_of(fleet, window)
    if site not in problem.sites:
        raise InputError(f"the fleet has no site {site!r}", advice=f"one of {', '.join(problem.sites)}")
    pool = Pool(problem, Rulings(problem))
    workloads = {
        entry["id"]: Compiler(pool, entry).workload() for entry in plan["workloads"] if site in sites_of(entry)
    }
    for entry in plan["unplaced"]:
        if entry["id"].rpartition("@")[2] == site:
            workloads[entry["id"]] = _unplaced(pool, entry)
    stores = _stores(pool, workloads, site)
    return {
        "version": 1, "site": site, "since": plan["from"], "until": plan["until"],
        "atoms": [atom.to_json() for atom in pool.atoms],
        "decisions": [{"verdict": verdict, "rules": list(rules)} for verdict, rules in pool.decisions],
        "workloads": workloads, "stores": stores,
    }  # fmt: skip


def _stores(pool: Pool, workloads: Mapping[str, Json], site: str) -> Json:
    """Return every Knowledge that a stage reads at `site`. Raises InputError when two embedders would share one."""
    stores: Json = {}
    for target in _targets(workloads):
        name = target.get("knowledge")
        if name is None or target["site"] != site:
            continue
        label = pool.numbers(label_of(pool.problem.stores[name].spec.data))
        store = {"model": target["model"], "variant": target["variant"], "label": label}
        if stores.setdefault(name, store) != store:
            raise InputError(
                f"the plan reads {name} at {site} with two embedders: "
                + " and ".join(f"{read['model']}/{read['variant']}" for read in (stores[name], store)),
                advice="let its stages name one model, so that one index serves them",
            )
    return stores


def _targets(workloads: Mapping[str, Json]) -> Iterator[Json]:
    for workload in workloads.values():
        for assignment in workload["assignments"]:
            for entry in assignment["stages"].values():
                yield from entry["targets"]


def sites_of(entry: Mapping[str, Any]) -> set[str]:
    """Return every site that takes part in a workload of a plan: its origin, its stages' and its fallbacks'."""
    stages = {stage["site"] for assignment in entry["assignments"] for stage in assignment["stages"]}
    orders = [target for fallback in entry.get("fallbacks", ()) for target in fallback["order"]]
    return {entry["origin"]} | stages | {target.get("queue") or target["site"] for target in orders}


def _require_same_inputs(plan: Mapping[str, Any], fleet: Fleet) -> None:
    planned = {name: digest for name, digest in plan["inputs"].items() if name != CHECKER}
    changed = sorted(n for n in planned.keys() | fleet.digests.keys() if planned.get(n) != fleet.digests.get(n))
    if changed:
        raise InputError(f"the plan is stale: {changed[0]} has changed since", advice="hybrid plan FLEET -o plan.json")


@dataclass
class Pool:
    """What all workloads of a table share: the numbered atoms and decisions."""

    problem: Problem
    rulings: Rulings
    atoms: list[Atom] = field(default_factory=list)
    decisions: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    _labels: dict[tuple[str, str], Labels] = field(default_factory=dict)

    def atom(self, atom: Atom) -> int:
        """Return the number of an atom."""
        if atom not in self.atoms:
            self.atoms.append(atom)
        return self.atoms.index(atom)

    def numbers(self, label: Label) -> list[int]:
        """Return the numbers of a label's atoms."""
        return sorted(self.atom(atom) for atom in label)

    def decision(self, verdict: Verdict) -> int:
        """Return the number of a verdict; refusals are named `residency:…`."""
        permitted = verdict.outcome == Outcome.permit
        rules = verdict.rules if permitted else tuple(f"residency:{rule}" for rule in verdict.rules)
        entry = (str(verdict.outcome), rules)
        if entry not in self.decisions:
            self.decisions.append(entry)
        return self.decisions.index(entry)

    def labels(self, pipeline: Pipeline, origin: Site) -> Labels:
        """Return the labels of a pipeline at an origin."""
        key = (pipeline.name, origin.name)
        if key not in self._labels:
            problem = self.problem
            policy = problem.policies[pipeline.metadata.tenant]
            self._labels[key] = propagate(pipeline, origin, problem.models, problem.stores, policy, problem.window)
        return self._labels[key]

    def known(self, tenant: str, origin: Site) -> list[int]:
        """Return the numbers of every atom in any label of the tenant's pipelines at `origin`, and the unlabelled."""
        pipelines = [p for p in self.problem.pipelines.values() if p.metadata.tenant == tenant]
        here = [p for p in pipelines if origin in self.problem.origins(p)]
        labels = [label for p in here for label in self.labels(p, origin).stages.values()]
        return sorted({self.atom(atom) for label in [*labels, UNKNOWN_LABEL] for atom in label})


class Compiler:
    """Compiles one workload of a plan."""

    def __init__(self, pool: Pool, entry: Mapping[str, Any]) -> None:
        """Take the workload `entry` of a plan."""
        self.pool, self.entry = pool, entry
        self.pipeline = pool.problem.pipelines[entry["pipeline"]]
        self.origin = pool.problem.sites[entry["origin"]]
        self.tenant = self.pipeline.metadata.tenant
        self.labels = pool.labels(self.pipeline, self.origin)
        self.known = pool.known(self.tenant, self.origin)
        spec = self.pipeline.spec
        self.stages: dict[str, Stage] = {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}

    def workload(self) -> Json:
        """Return the workload's part of the table."""
        return {
            "pipeline": self.pipeline.name, "origin": self.origin.name, "tenant": self.tenant,
            "status": self.entry["status"], "inputLabel": self.pool.numbers(self.labels.stages[INPUT]),
            "known": self.known, "purposes": list(self.pipeline.spec.input.purposes or ()),
            "latency": self.pipeline.spec.latency,
            "assignments": [self._assignment(index, one) for index, one in enumerate(self.entry["assignments"])],
        }  # fmt: skip

    def _assignment(self, index: int, assignment: Mapping[str, Any]) -> Json:
        placed = {stage["stage"]: stage for stage in assignment["stages"]}
        graph = next((g for g in graphs(self.pipeline.spec) if {s.name for s in g.stages} == placed.keys()), None)
        if graph is None:
            raise InputError(f"{self.entry['id']}: the plan's stages are no graph of the pipeline", advice="plan again")
        stages = {stage.name: self._place(stage, graph, placed[stage.name], index) for stage in graph.stages}
        crossing = [flow for flow in assignment["flows"] if flow["from"] != flow["to"]]
        primary_first = sorted(crossing, key=lambda flow: str(flow["role"] != "primary"))
        flows = [self._flow(flow) for flow in primary_first]
        return {"share": round(assignment["fraction"] * WHOLE), "stages": stages, "flows": flows}

    def _place(self, stage: Stage, graph: Graph, placed: Mapping[str, Any], assignment: int) -> Json:
        answers = any((edge.source, edge.target) == (stage.name, ANSWER) for edge in graph.edges)
        primary = self._target(stage, placed, "primary", _after(graph, stage.name))
        if not all(self._permits(primary["decisions"], number) for number in self._label(stage.name)):
            raise InputError(
                f"{self.entry['id']}: the policy does not permit {stage.name} at {placed['site']}",
                advice="the plan does not belong to this fleet; run `hybrid plan` again",
            )
        own = (f for f in self.entry.get("fallbacks", ()) if f.get("assignment", 0) == assignment)
        orders = [fallback["order"] for fallback in own if fallback["stage"] == stage.name]
        others = [self._other(stage, target, graph) for order in orders for target in order]
        return {"label": self._label(stage.name), "answer": answers, "targets": [primary, *others]}

    def _other(self, stage: Stage, target: Mapping[str, Any], graph: Graph) -> Json:
        """Return a fallback target: the same stage elsewhere, a declared fallback stage, or a queue."""
        if target.get("queue"):
            waiting = {"site": target["queue"], "model": None, "variant": None}
            return self._target(stage, waiting, "queue", []) | {"decisions": []}
        if target.get("stage"):
            other = self.stages[target["stage"]]
            return self._target(other, target, "fallback", list(other.after))
        return self._target(stage, target, "fallback", _after(graph, stage.name))

    def _target(self, stage: Stage, at: Mapping[str, Any], role: str, after: list[str]) -> Json:
        site = self.pool.problem.sites[at["site"]]
        failover = role == "fallback"

        def verdict(label: Label) -> Verdict:
            return self.pool.rulings.stage(self.pipeline, stage, label, site, self.origin, failover=failover)

        named = {"model": at.get("model"), "variant": at.get("variant"), "knowledge": stage.knowledge}
        return {
            "site": site.name, "stage": stage.name, "task": stage.task, "after": after, "role": role,
            "decisions": self._decisions(self.labels.stages[stage.name], verdict),
        } | {key: value for key, value in named.items() if value is not None}  # fmt: skip

    def _decisions(self, label: Label, verdict: Any) -> list[int]:
        """Return a decision per atom: of `label` with that atom added; `UNDECIDED` for atoms of other origins."""
        found = [UNDECIDED] * (max(self.known) + 1)
        for number in self.known:
            found[number] = self.pool.decision(verdict(join((label, (self.pool.atoms[number],)))))
        return found

    def _permits(self, decisions: list[int], number: int) -> bool:
        """Return whether a list of decisions permits an atom."""
        return decisions[number] != UNDECIDED and self.pool.decisions[decisions[number]][0] == Outcome.permit

    def _label(self, stage: str) -> list[int]:
        return self.pool.numbers(self.labels.stages[stage])

    def _flow(self, flow: Mapping[str, Any]) -> Json:
        source, target, route = flow["fromStage"], flow["toStage"], flow["route"]
        label = self.labels.flow(source, target)
        wires = self.pool.problem.network.wires

        def verdict(label: Label) -> Verdict:
            return _worst([self._hop(label, wires[hop], *hop) for hop in pairwise(route)])

        return {
            "fromStage": source, "toStage": target, "fromSite": route[0], "toSite": route[-1], "role": flow["role"],
            "route": list(route), "label": self.pool.numbers(label), "decisions": self._decisions(label, verdict),
        }  # fmt: skip

    def _hop(self, label: Label, link: Link, a: str, b: str) -> Verdict:
        return self.pool.rulings.hop(self.tenant, label, link, a, b, self.origin)


def _after(graph: Graph, name: str) -> list[str]:
    return [edge.source for edge in graph.edges if edge.target == name]


def _worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst verdict of a route's hops, with the rules of all that are as bad."""
    order = list(Outcome)
    worst = max((verdict.outcome for verdict in verdicts), key=order.index)
    rules = {rule for verdict in verdicts if verdict.outcome == worst for rule in verdict.rules}
    return Verdict(worst, tuple(sorted(rules)))


def _unplaced(pool: Pool, entry: Mapping[str, Any]) -> Json:
    pipeline_name, _, origin_name = entry["id"].rpartition("@")
    pipeline, origin = pool.problem.pipelines[pipeline_name], pool.problem.sites[origin_name]
    label = pool.labels(pipeline, origin).stages[INPUT]
    causes = dict.fromkeys(rule for minimal in entry["causes"] for rule in minimal)
    return {
        "pipeline": pipeline_name, "origin": origin_name, "tenant": pipeline.metadata.tenant, "status": "unplaced",
        "inputLabel": pool.numbers(label), "known": pool.known(pipeline.metadata.tenant, origin), "assignments": [],
        "causes": list(causes),
    }  # fmt: skip

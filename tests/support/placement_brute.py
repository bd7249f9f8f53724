"""The optimum of a tiny problem, by trying everything: written from design/placement.md alone, slow and plain.

It shares the nouns and the verdicts with the planner, and nothing else: graph, labels, routes, latency, load, packing
and cost are worked out here a second time.
"""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from itertools import pairwise, permutations, product
from math import ceil
from typing import Any, NamedTuple

from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from sites.country import country_of
from sites.data import Atom, Label, join, label_of
from sites.decisions import decide_hop, decide_stage
from sites.site import Hardware, Link, Site
from sites.verdict import Evaluator, Outcome


class Spot(NamedTuple):
    """Where a stage is; model, variant and hardware are empty where it is built in."""

    site: str
    model: str = ""
    variant: str = ""
    hardware: str = ""


Ward = tuple[str, int, str]
"""A pipeline, the place of one of its `spread` rules, and a domain."""


class Way(NamedTuple):
    """How one workload is served, worked out."""

    degraded: bool
    spots: dict[str, Spot]
    loads: list[tuple[Spot, Fraction, Fraction, str | None]]
    hops: dict[tuple[str, str], Fraction]
    egress: Fraction
    latency_us: Fraction
    routes: tuple[tuple[str, ...], ...] = ()
    wards: tuple[tuple[Ward, Fraction], ...] = ()


class Best(NamedTuple):
    """The optimum: priority unplaced, priority degraded, cost per hour."""

    unplaced: Fraction
    degraded: Fraction
    cost: Fraction


def number(value: float) -> Fraction:
    return Fraction(str(value))


class Brute:
    """Tries every way to serve every workload of a problem, all whole and none surviving anything.

    `lost` is one site, or the two ends of a link, that are gone.
    """

    def __init__(self, problem: Problem, lost: tuple[str, ...] = ()) -> None:
        self.problem = problem
        self.lost = lost
        self.wires: dict[frozenset[str], Link] = {}
        for site in problem.sites.values():
            for link in site.spec.connectivity.links:
                ends = frozenset((site.name, link.to))
                if lost != tuple(sorted(ends)) and not (len(lost) == 1 and ends & set(lost)):
                    self.wires[ends] = link

    def best(self) -> Best:
        """Return the goals' values at the optimum."""
        problem = self.problem
        choices: list[tuple[Fraction, list[Way | None]]] = []
        for pipeline in problem.pipelines.values():
            for origin in problem.sites.values():
                labels = origin.metadata.labels
                if all(labels.get(key) == value for key, value in pipeline.spec.origins.items()):
                    choices.append((number(pipeline.spec.priority), [None, *self.ways(pipeline, origin)]))
        found = [self.judge([priority for priority, _ in choices], ways) for ways in product(*(w for _, w in choices))]
        return min(best for best in found if best is not None)

    def count(self) -> int:
        """Return how many plans there are to try."""
        total = 1
        for pipeline in self.problem.pipelines.values():
            for origin in self.problem.sites.values():
                labels = origin.metadata.labels
                if all(labels.get(key) == value for key, value in pipeline.spec.origins.items()):
                    total *= 1 + len(self.ways(pipeline, origin))
        return total

    def judge(self, priorities: list[Fraction], ways: tuple[Way | None, ...]) -> Best | None:
        """Return the goals of one plan; None when it takes more than there is."""
        taken = self.taken(ways)
        if taken is None or not self.holds(*taken):
            return None
        return self.goals(priorities, ways, taken[0])

    def goals(self, priorities: list[Fraction], ways: tuple[Way | None, ...], replicas: dict[Spot, int]) -> Best:
        """Return the goals of a plan with these replicas."""
        cost = sum((n * self.price(spot) for spot, n in replicas.items()), Fraction(0))
        cost += sum((way.egress for way in ways if way), Fraction(0))
        unplaced = sum((p for p, way in zip(priorities, ways, strict=True) if way is None), Fraction(0))
        degraded = sum((p for p, way in zip(priorities, ways, strict=True) if way and way.degraded), Fraction(0))
        return Best(unplaced, degraded, cost)

    def taken(self, ways: tuple[Way | None, ...]) -> tuple[dict[Spot, int], dict[Spot, set[str]]] | None:
        """Return the replicas that ways take, and the stores beside them; None when wires or domains take too much."""
        wards: dict[Ward, Fraction] = defaultdict(Fraction)
        loads: dict[Spot, Fraction] = defaultdict(Fraction)
        stores: dict[Spot, set[str]] = defaultdict(set)
        hops: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        for way in ways:
            for spot, wanted, _, store in way.loads if way else ():
                loads[spot] += wanted
                stores[spot] |= {store} if store else set()
            for hop, bits in way.hops.items() if way else ():
                hops[hop] += bits
            for ward, rate in way.wards if way else ():
                wards[ward] += rate
        if any(rate > self.most(ward) for ward, rate in wards.items()):
            return None
        if any(bits > self.wires[frozenset(hop)].bandwidth * Fraction(7, 10) for hop, bits in hops.items()):
            return None
        return {spot: ceil(wanted / self.throughput(spot)) for spot, wanted in loads.items()}, stores

    def most(self, ward: Ward) -> Fraction:
        """Return the requests per second that a domain may serve."""
        pipeline = self.problem.pipelines[ward[0]]
        declared = sum((self.rate(pipeline, site) for site in self.origins(pipeline)), Fraction(0))
        return declared * number(pipeline.spec.spread[ward[1]].most)

    def rate(self, pipeline: Pipeline, origin: Site) -> Fraction:
        """Return requests per second: of the first of `rates` that selects the origin."""
        rate = pipeline.spec.rate
        for own in reversed(pipeline.spec.rates):
            if all(origin.metadata.labels.get(key) == value for key, value in own.sites.items()):
                rate = own.rate
        return rate

    def origins(self, pipeline: Pipeline) -> list[Site]:
        """Return where a pipeline's requests are born."""
        wanted = pipeline.spec.origins.items()
        return [s for s in self.problem.sites.values() if all(s.metadata.labels.get(k) == v for k, v in wanted)]

    def domain(self, site: str, by: str) -> str | None:
        """Return the site, the country or the operator of a place."""
        spec = self.problem.sites[site].spec
        if by == "site":
            return site
        if by == "country":
            return spec.location and country_of(spec.location)
        return spec.parties["operator"].name if "operator" in spec.parties else None

    def holds(self, replicas: dict[Spot, int], stores: dict[Spot, set[str]]) -> bool:
        """Return whether replicas fit their nodes."""
        for site, hardware in {(spot.site, spot.hardware) for spot in replicas}:
            here = {s: n for s, n in replicas.items() if (s.site, s.hardware) == (site, hardware)}
            if not self.packs(self.group(site, hardware), here, stores):
                return False
        return True

    # one workload

    def ways(self, pipeline: Pipeline, origin: Site) -> list[Way]:
        """Return every way to serve a pipeline at an origin that breaks no rule when it is alone."""
        spec = pipeline.spec
        evaluator = Evaluator(self.problem.policies["default"], self.problem.packs, self.problem.window)
        labels = self.labels(pipeline, origin)
        found, seen = [], set()
        for chosen in product(*((None, *stage.fallback) for stage in spec.stages)):
            replaced = {s.name: f for s, f in zip(spec.stages, chosen, strict=True) if f}
            graph = self.graph(pipeline, replaced)
            if graph is None:
                continue
            stages, flows = graph
            spots = [self.spots(evaluator, pipeline, stage, labels[stage.name], origin) for stage in stages]
            for placed in product(*spots):
                at = {stage.name: spot for stage, spot in zip(stages, placed, strict=True)}
                key = (tuple(sorted(replaced.items())), tuple(sorted(at.items())))
                way = self.way(evaluator, pipeline, origin, bool(replaced), stages, flows, at, labels)
                if way is not None and key not in seen:
                    seen.add(key)
                    found.append(way)
        return found

    def graph(self, pipeline: Pipeline, replaced: dict[str, str]) -> tuple[list[Stage], list[tuple[str, str]]] | None:
        """Return the stages that run and the flows between them; None when a chosen fallback would not run."""
        spec = pipeline.spec
        by_name = {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}
        answers = set()
        for stage in spec.stages:
            followers = [other for other in spec.stages if stage.name in other.after]
            if stage.answer and all(other.is_async for other in followers):
                answers.add(replaced.get(stage.name, stage.name))
        answers = {name for name in answers if by_name[name].answer}
        running = {replaced.get(stage.name, stage.name) for stage in spec.stages}
        feeds = {name: {replaced.get(n, n) for n in by_name[name].after} for name in running}
        if replaced:
            useful = set(answers)
            for _ in range(len(running)):
                useful |= {n for name in useful for n in feeds[name] if n != "input"}
            running &= useful
            if not answers or not set(replaced.values()) <= running:
                return None
        flows = [(source, name) for name in running for source in feeds[name]]
        flows += [(name, "answer") for name in answers & running]
        return [by_name[name] for name in sorted(running)], sorted(flows)

    def labels(self, pipeline: Pipeline, origin: Site) -> dict[str, Label]:
        """Return the label of every stage: all that can reach it."""
        given, spec = pipeline.spec.input, pipeline.spec
        place = origin.spec.location
        law = None if place is None else tuple(sorted({country_of(place), *given.law}))
        purposes = None if given.purposes is None else tuple(sorted(given.purposes))
        born = join((Atom(data, law, given.identifiability, purposes, given.key_ref, ()),) for data in given.data)
        by_name = {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}

        def reach(name: str, seen: frozenset[str]) -> list[Label]:
            if name == "input":
                return [born]
            if name in seen:
                return []
            stage, upstream = by_name[name], seen | {name}
            found = [label_of(self.problem.models[m].spec.trained_on) for m in stage.models
                     if self.problem.models[m].spec.state == "approved"]  # fmt: skip
            if stage.knowledge:
                found.append(label_of(self.problem.stores[stage.knowledge].spec.data))
            for source in (*stage.after, *stage.fallback):
                found += reach(source, upstream)
            return found

        return {name: join(reach(name, frozenset())) for name in by_name} | {"input": born}

    def spots(self, evaluator: Evaluator, pipeline: Pipeline, stage: Stage, label: Label, origin: Site) -> list[Spot]:
        """Return every place at which one stage may run."""
        found: list[Spot] = []
        for site in self.problem.sites.values():
            serves = site.spec.serves
            labels = origin.metadata.labels
            if self.lost == (site.name,) or not self.welcomes(pipeline, stage, site):
                continue
            mine = site.name == origin.name
            wanted = serves if isinstance(serves, dict) else {}
            if not mine and (serves == "own" or any(labels.get(key) != value for key, value in wanted.items())):
                continue
            if not mine and "disconnected" in (site.spec.connectivity.mode, origin.spec.connectivity.mode):
                continue
            if stage.knowledge:
                where = self.problem.stores[stage.knowledge].spec.sites
                if any(site.metadata.labels.get(key) != value for key, value in where.items()):
                    continue
            verdict = decide_stage(
                evaluator, label, site, origin, purpose=stage.purpose,
                retains=stage.task == "retrieve" or stage.retain is not None,
                queues=stage.is_async or stage.task == "queue", failover=stage in pipeline.spec.fallbacks,
            )  # fmt: skip
            if verdict.outcome == Outcome.permit:
                found += [Spot(site.name)] if not stage.models else self.variants(stage, site)
        return found

    def welcomes(self, pipeline: Pipeline, stage: Stage, site: Site) -> bool:
        """Return whether pins, taints and rules over domains let a stage run at a site."""
        if isinstance(stage.sites, tuple) and site.name not in stage.sites:
            return False
        if isinstance(stage.sites, dict) and any(site.metadata.labels.get(k) != v for k, v in stage.sites.items()):
            return False
        spec = pipeline.spec
        rules = [rule.by for rule in spec.apart if stage.name in rule.stages]
        rules += [rule.by for rule in spec.spread if rule.stage == stage.name]
        known = all(self.domain(site.name, by) is not None for by in rules)
        return known and {taint.name for taint in site.spec.taints} <= set(spec.tolerates)

    def variants(self, stage: Stage, site: Site) -> list[Spot]:
        found = []
        for model in (self.problem.models[name] for name in stage.models):
            for variant in model.spec.variants:
                good = all(
                    isinstance(variant.quality.get(m), (int, float)) and variant.quality[m] >= floor
                    for m, floor in stage.quality.items()
                )
                for group in site.spec.hardware:
                    spot = Spot(site.name, model.name, variant.name, group.name)
                    fits = not variant.needs.accelerator or group.accelerators
                    if good and fits and model.spec.state == "approved" and self.speeds(spot):
                        found.append(spot)
        return found

    def way(
        self, evaluator: Evaluator, pipeline: Pipeline, origin: Site, degraded: bool, stages: list[Stage],
        flows: list[tuple[str, str]], at: dict[str, Spot], labels: dict[str, Label],
    ) -> Way | None:  # fmt: skip
        """Return one assignment worked out; None where a route is missing, stages meet or it takes too long."""
        spec = pipeline.spec
        for rule in spec.apart:
            where = [self.domain(at[name].site, rule.by) for name in rule.stages if name in at]
            if len(where) == 2 and where[0] == where[1]:
                return None
        by_name = {stage.name: stage for stage in stages}
        rate = self.rate(pipeline, origin)
        wards = tuple(
            ((pipeline.name, index, str(self.domain(at[rule.stage].site, rule.by))), rate)
            for index, rule in enumerate(spec.spread) if rule.stage in at
        )  # fmt: skip
        routes = []
        utilisation = number(spec.utilisation)
        hops: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
        egress, times = Fraction(0), {}
        for source, target in flows:
            a = origin.name if source == "input" else at[source].site
            b = origin.name if target == "answer" else at[target].site
            shares = [number(by_name[end].share) for end in (source, target) if end in by_name]
            waits = not by_name[source if target == "answer" else target].is_async
            size = spec.input.size if source == "input" else by_name[source].output
            path = self.route(evaluator, labels[source], a, b, origin, waits)
            if path is None:
                return None
            routes.append(path)
            links = [self.wires[frozenset(hop)] for hop in pairwise(path)]
            for hop in pairwise(path):
                hops[hop] += rate * min(shares) * size * 8
            egress += rate * min(shares) * size * 3600 / 10**9 * sum(link.price.amount for link in links)
            slowest = min((link.bandwidth for link in links), default=0)
            moving = Fraction(size * 8 * 10**6, slowest) if links else Fraction(0)
            times[source, target] = Fraction(sum(link.rtt for link in links), 2) + moving
        latency = self.slowest(stages, flows, times, at, utilisation)
        if spec.latency is not None and latency > spec.latency:
            return None
        loads = [
            (at[s.name], rate * number(s.share) / utilisation, rate * number(s.share), s.knowledge)
            for s in stages if s.models
        ]  # fmt: skip
        return Way(degraded, at, loads, dict(hops), egress, latency, tuple(routes), wards)

    def route(
        self, evaluator: Evaluator, label: Label, a: str, b: str, origin: Site, waits: bool
    ) -> tuple[str, ...] | None:
        """Return the best of all simple paths: least round trip, then price, then names."""
        if a == b:
            return (a,)
        sites, found = self.problem.sites, []
        between = [name for name in sites if name not in (a, b)]
        for length in range(len(between) + 1):
            for middle in permutations(between, length):
                path = (a, *middle, b)
                pairs = list(pairwise(path))
                if not all(frozenset(pair) in self.wires for pair in pairs):
                    continue
                if waits and any(sites[name].spec.connectivity.mode == "intermittent" for name in path):
                    continue
                links = [self.wires[frozenset(pair)] for pair in pairs]
                verdicts = [
                    decide_hop(evaluator, label, link, sites[x], sites[y], origin).outcome
                    for link, (x, y) in zip(links, pairs, strict=True)
                ]
                if all(verdict == Outcome.permit for verdict in verdicts):
                    found.append((sum(k.rtt for k in links), sum(k.price.amount for k in links), path))
        return min(found)[2] if found else None

    def slowest(
        self, stages: list[Stage], flows: list[tuple[str, str]], times: dict[tuple[str, str], Fraction],
        at: dict[str, Spot], utilisation: Fraction,
    ) -> Fraction:  # fmt: skip
        """Return the longest of all paths from input to answer that pass no async stage or descendant of one."""
        by_name = {stage.name: stage for stage in stages}
        late = {stage.name for stage in stages if stage.is_async}
        for _ in stages:
            late |= {target for source, target in flows if source in late and target != "answer"}
        factor = 1 + utilisation / (2 * (1 - utilisation))

        def onward(name: str) -> list[Fraction]:
            found = []
            for source, target in flows:
                if source == name and target == "answer":
                    found.append(times[source, target])
                elif source == name and target not in late:
                    spot = at[target]
                    own = self.speeds(spot)[1] * factor if by_name[target].models else Fraction(0)
                    found += [times[source, target] + own + rest for rest in onward(target)]
            return found

        return max(onward("input"), default=Fraction(0))

    # one pool

    def group(self, site: str, hardware: str) -> Hardware:
        return next(g for g in self.problem.sites[site].spec.hardware if g.name == hardware)

    def variant(self, spot: Spot) -> Any:
        return next(v for v in self.problem.models[spot.model].spec.variants if v.name == spot.variant)

    def speeds(self, spot: Spot) -> tuple[Fraction, int] | None:
        group = self.group(spot.site, spot.hardware)
        keys = [group.arch, *(f"{group.arch}-{isa}" for isa in group.isa)]
        keys += [group.accelerators.kind] if group.accelerators else []
        found = [(s.throughput, -s.service) for s in self.variant(spot).speed if s.hardware in keys and s.throughput]
        return (max(found)[0], -max(found)[1]) if found else None

    def throughput(self, spot: Spot) -> Fraction:
        return self.speeds(spot)[0]

    def price(self, spot: Spot) -> Fraction:
        group, needs = self.group(spot.site, spot.hardware), self.variant(spot).needs
        shares = [
            number(needs.cpus) / group.cpus,
            Fraction(needs.memory, group.memory or 1),
            Fraction(needs.disk, group.disk or 1),
        ]
        if needs.accelerator:
            shares.append(Fraction(needs.accelerator, 8 * group.accelerators.count))
        return max(shares) * group.price.amount

    def packs(self, group: Hardware, replicas: dict[Spot, int], stores: dict[Spot, set[str]]) -> bool:
        """Return whether whole replicas fit whole nodes, trying every node and device for each in turn."""
        items = [spot for spot, count in sorted(replicas.items()) for _ in range(count)]
        if len(items) > 40:
            return False
        devices = group.accelerators.count if group.accelerators else 0

        def place(index: int, nodes: tuple[Any, ...]) -> bool:
            if index == len(items):
                return True
            spot, tried = items[index], set()
            needs = self.variant(spot).needs
            for at, (cpus, memory, disk, held, taken) in enumerate(nodes):
                new = stores[spot] - held
                size = needs.disk + sum(self.problem.stores[name].spec.size for name in new)
                options = [None] if not needs.accelerator else range(devices)
                for device in options:
                    if nodes[at] in tried and device is None:
                        continue
                    used = taken if device is None else tuple(
                        eighths + (needs.accelerator if d == device else 0) for d, eighths in enumerate(taken)
                    )  # fmt: skip
                    after = (cpus + number(needs.cpus), memory + needs.memory, disk + size, held | new, used)
                    room = after[0] <= group.cpus and after[1] <= group.memory and after[2] <= group.disk
                    if room and max((*used, 0)) <= 8 and place(index + 1, (*nodes[:at], after, *nodes[at + 1 :])):
                        return True
                tried.add(nodes[at])
            return False

        empty = (Fraction(0), 0, 0, frozenset(), (0,) * devices)
        return place(0, (empty,) * min(group.count, len(items)))

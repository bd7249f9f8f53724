"""Splitting and survival by trying everything, and the judge of any plan: on top of `Brute`, from the design alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import combinations, pairwise, product
from math import floor
from typing import NamedTuple

from placement.pipeline import Pipeline
from placement.problem import Problem
from sites.decisions import decide_stage
from sites.site import Site
from sites.verdict import Evaluator, Outcome
from tests.support.placement_brute import Best, Brute, Spot, Way, number

Lost = tuple[str, ...]
Reserve = tuple[dict[Spot, int], dict[Spot, set[str]]]

GRAIN = 1000


class Task(NamedTuple):
    """One workload: a pipeline at an origin."""

    id: str
    pipeline: Pipeline
    origin: Site


def blend(parts: Sequence[tuple[Fraction, Way]]) -> Way:
    """Return the way that is made of these fractions of ways."""
    loads, hops, spots, routes = [], defaultdict(Fraction), {}, []
    wards = []
    for index, (part, way) in enumerate(parts):
        loads += [(spot, wanted * part, load * part, store) for spot, wanted, load, store in way.loads]
        wards += [(ward, rate * part) for ward, rate in way.wards]
        spots |= {f"{name} {index}": spot for name, spot in way.spots.items()}
        routes += way.routes
        for hop, bits in way.hops.items():
            hops[hop] += bits * part
    egress = sum((part * way.egress for part, way in parts), Fraction(0))
    latency = max(way.latency_us for _, way in parts)
    degraded = any(way.degraded for _, way in parts)
    return Way(degraded, spots, loads, dict(hops), egress, latency, tuple(routes), tuple(wards))


def places(way: Way) -> set[tuple[str, str]]:
    """Return (stage, site) of everything that a way runs."""
    return {(name.split()[0], spot.site) for name, spot in way.spots.items()}


class BruteLosses:
    """Tries every plan of a tiny problem, every failure of each, and two parts of one workload."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.brute = Brute(problem)
        self.tasks = [
            Task(f"{pipeline.name}@{origin.name}", pipeline, origin)
            for pipeline in problem.pipelines.values()
            for origin in self.brute.origins(pipeline)
        ]
        links = sorted(tuple(sorted(ends)) for ends in self.brute.wires)
        self.losses: list[Lost] = [*((name,) for name in problem.sites), *links]
        self.without = {lost: Brute(problem, lost) for lost in self.losses}
        self._ways: dict[tuple[str, Lost], list[Way]] = {}

    def ways(self, task: Task, lost: Lost = ()) -> list[Way]:
        """Return every way to serve a workload whole, after a loss."""
        key = (task.id, lost)
        if key not in self._ways:
            self._ways[key] = (self.without[lost] if lost else self.brute).ways(task.pipeline, task.origin)
        return self._ways[key]

    def count(self) -> int:
        """Return how many combinations of whole ways there are."""
        total = 1
        for task in self.tasks:
            total *= 1 + len(self.ways(task))
        return total

    def best(self) -> Best:
        """Return the goals' values at the optimum; at most one workload may be split, and then into two."""
        priorities = [number(task.pipeline.spec.priority) for task in self.tasks]
        found = []
        for ways in self.plans():
            cost = self.cost(priorities, ways)
            if cost is not None:
                found.append(cost)
        return min(found)

    def plans(self) -> Iterator[tuple[Way | None, ...]]:
        """Yield every normal running: whole ways, and the two-part mixes whose fractions lie where something turns."""
        whole = [[None, *self.ways(task)] for task in self.tasks]
        yield from product(*whole)
        for at, task in enumerate(self.tasks):
            if task.pipeline.spec.split:
                others = [[None] if index == at else ways for index, ways in enumerate(whole)]
                for rest in product(*others):
                    for first, second in combinations(self.ways(task), 2):
                        for part in self.turns(rest, first, second):
                            mixed = blend([(part, first), (1 - part, second)])
                            yield (*rest[:at], mixed, *rest[at + 1 :])

    def turns(self, rest: Sequence[Way | None], first: Way, second: Way) -> set[Fraction]:
        """Return the thousandths next to which a replica, a wire or a domain becomes one too many."""
        lines: list[tuple[Fraction, Fraction, Fraction]] = []
        base, one, two = (self.sums(ways) for ways in ([way for way in rest if way], [first], [second]))
        for key, limit in {**base[1], **one[1], **two[1]}.items():
            start = base[0].get(key, Fraction(0)) + two[0].get(key, Fraction(0))
            slope = one[0].get(key, Fraction(0)) - two[0].get(key, Fraction(0))
            lines.append((start / limit, slope / limit, Fraction(1)))
        found = {Fraction(1, GRAIN), Fraction(GRAIN - 1, GRAIN)}
        for start, slope, _ in lines:
            for level in range(floor(min(start, start + slope)), floor(max(start, start + slope)) + 2):
                if slope:
                    thousandths = floor((level - start) / slope * GRAIN)
                    found |= {Fraction(n, GRAIN) for n in (thousandths, thousandths + 1) if 0 < n < GRAIN}
        return found

    def sums(self, ways: Sequence[Way]) -> tuple[dict[object, Fraction], dict[object, Fraction]]:
        """Return what ways take of each pool, wire and domain, and how much is one unit or all of it."""
        taken: dict[object, Fraction] = defaultdict(Fraction)
        limits: dict[object, Fraction] = {}
        for way in ways:
            for spot, wanted, _, _ in way.loads:
                taken[spot] += wanted
                limits[spot] = self.brute.throughput(spot)
            for hop, bits in way.hops.items():
                taken[hop] += bits
                limits[hop] = self.brute.wires[frozenset(hop)].bandwidth * Fraction(7, 10)
            for ward, rate in way.wards:
                taken[ward] += rate
                limits[ward] = self.brute.most(ward)
        return taken, limits

    # what a plan is worth

    def cost(self, priorities: list[Fraction], ways: tuple[Way | None, ...]) -> Best | None:
        """Return the goals of a plan under its cheapest failures; None when it breaks a rule or survives not all."""
        normal = self.brute.taken(ways)
        if normal is None:
            return None
        frontier = [normal]
        for lost in self.losses:
            if any(self.is_hurt(task, way, lost) for task, way in zip(self.tasks, ways, strict=True)):
                options = [taken for then in self.afterwards(ways, lost) if (taken := self.under(lost, then))]
                frontier = least([together(held, taken) for held in frontier for taken in options])
        fitting = [held for held in frontier if self.brute.holds(*held)]
        return min((self.brute.goals(priorities, ways, held[0]) for held in fitting), default=None)

    def under(self, lost: Lost, ways: tuple[Way | None, ...]) -> Reserve | None:
        return self.without[lost].taken(ways)

    def touches(self, task: Task, way: Way, lost: Lost) -> bool:
        """Return whether a workload loses a stage or a flow (not its origin)."""
        if len(lost) == 1:
            there = {spot.site for spot in way.spots.values()} | {site for route in way.routes for site in route}
            return lost[0] in there and lost != (task.origin.name,)
        return any(tuple(sorted(hop)) == lost for route in way.routes for hop in pairwise(route))

    def is_hurt(self, task: Task, way: Way | None, lost: Lost) -> bool:
        """Return whether a workload has to be served otherwise after a loss."""
        return way is not None and task.pipeline.spec.survive == 1 and self.touches(task, way, lost)

    def afterwards(self, ways: tuple[Way | None, ...], lost: Lost) -> Iterator[tuple[Way | None, ...]]:
        """Yield every way to go on after a loss: the hurt anew, the untouched as they are, nobody else."""
        options: list[list[Way | None]] = []
        for task, way in zip(self.tasks, ways, strict=True):
            if way is None or lost == (task.origin.name,):
                options.append([None])
            elif not self.touches(task, way, lost):
                options.append([way])
            elif task.pipeline.spec.survive:
                options.append([then for then in self.ways(task, lost) if self.may_follow(task, way, then)])
            else:
                options.append([None])
        return product(*options)

    def may_follow(self, task: Task, way: Way, then: Way) -> bool:
        """Return whether what runs then is no worse, and permitted as a failover wherever it is new."""
        if then.degraded and not way.degraded:
            return False
        new = places(then) - places(way)
        spec = task.pipeline.spec
        stages = {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}
        evaluator = Evaluator(self.problem.policies["default"], self.problem.packs, self.problem.window)
        labels = self.brute.labels(task.pipeline, task.origin)
        for name, site in new:
            stage = stages[name]
            verdict = decide_stage(
                evaluator, labels[name], self.problem.sites[site], task.origin, purpose=stage.purpose,
                retains=stage.task == "retrieve" or stage.retain is not None,
                queues=stage.is_async or stage.task == "queue", failover=True,
            )  # fmt: skip
            if verdict.outcome != Outcome.permit:
                return False
        return True

    # somebody else's plan

    def judged(
        self, normal: Mapping[str, Sequence[tuple[Fraction, Way]]],
        failures: Mapping[Lost, Mapping[str, Sequence[tuple[Fraction, Way]]]],
    ) -> Best:  # fmt: skip
        """Return the goals of a plan that is given as fractions of ways. Raises AssertionError for each broken rule."""
        mixes = tuple(blend(normal[task.id]) if task.id in normal else None for task in self.tasks)
        for parts in (*normal.values(), *(parts for then in failures.values() for parts in then.values())):
            assert sum(part for part, _ in parts) == 1
        held = self.brute.taken(mixes)
        assert held is not None, "wires or domains take too much"
        hurt = {
            lost: {t.id for t, way in zip(self.tasks, mixes, strict=True) if self.is_hurt(t, way, lost)}
            for lost in self.losses
        }
        assert {lost: who for lost, who in hurt.items() if who} == {lost: {*then} for lost, then in failures.items()}
        for lost, then in failures.items():
            after = []
            for task, way in zip(self.tasks, mixes, strict=True):
                if task.id in then:
                    after.append(blend(then[task.id]))
                    assert way is not None
                    assert self.may_follow(task, way, after[-1]), (task.id, lost)
                else:
                    ends = way is None or lost == (task.origin.name,) or self.touches(task, way, lost)
                    after.append(None if ends else way)
            taken = self.under(lost, tuple(after))
            assert taken is not None, f"wires or domains take too much without {lost}"
            held = together(held, taken)
        assert self.brute.holds(*held), "replicas do not fit their nodes"
        return self.brute.goals([number(t.pipeline.spec.priority) for t in self.tasks], mixes, held[0])

    def way(self, task: Task, at: dict[str, Spot], lost: Lost = ()) -> Way:
        """Return the legal way that has these stages at these places. Raises StopIteration when there is none."""
        return next(way for way in self.ways(task, lost) if way.spots == at)


def together(a: Reserve, b: Reserve) -> Reserve:
    """Return what is enough for both."""
    spots = {*a[0], *b[0]}
    replicas = {spot: max(a[0].get(spot, 0), b[0].get(spot, 0)) for spot in spots}
    return replicas, defaultdict(set, {spot: a[1].get(spot, set()) | b[1].get(spot, set()) for spot in spots})


def least(found: Sequence[Reserve]) -> list[Reserve]:
    """Return those that no other is within."""
    kept: list[Reserve] = []
    for one in found:
        if not any(within(other, one) for other in kept):
            kept = [other for other in kept if not within(one, other)] + [one]
    return kept


def within(a: Reserve, b: Reserve) -> bool:
    return all(n <= b[0].get(spot, 0) for spot, n in a[0].items()) and all(
        stores <= b[1].get(spot, set()) for spot, stores in a[1].items()
    )

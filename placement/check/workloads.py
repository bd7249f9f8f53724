"""Every workload of a plan, weighed once by its class and once by the numbers that are its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import NamedTuple

from placement.check import presence
from placement.check.audit import Audit, Run
from placement.check.classes import MOST_CLASSES, Classes, Shape
from placement.check.cost import MICRO, Asked, Prices, shares_of
from placement.check.document import Outline, Places, WorkloadEntry
from placement.check.fallbacks import Orders
from placement.check.latency import over
from placement.check.load import Ledger
from placement.check.presence import near
from placement.check.recent import Recent
from placement.check.result import Finding
from placement.check.routes import NOTHING, Lost
from placement.check.schema import PoolKey
from placement.check.snapshot import rate_of
from placement.pipeline import Pipeline
from sites.site import Site

HALF_A_MICROSECOND = 0.0006
"""Milliseconds are rounded to three decimals."""


class Member(NamedTuple):
    """An assignment as it is kept: its class and its sites."""

    shape: Shape
    outline: Outline
    places: Places


def _paid(name: str, stated: float | None, cost: float) -> Iterator[Finding]:
    """Yield a finding when a workload's stated part of the cost per hour is not what its assignments come to."""
    if stated is None or not near(stated, cost, absolute=MICRO):
        yield Finding("plan/cost", name, "costPerHour", f"{cost:.6f}", str(stated))


class Workloads:
    """Weighs workloads one after another, and keeps of each what whole-plan checks need.

    Attributes:
        ledger: what all of them ask of pools and links.
        apart: the assignments of those that leave their origin, by id, when some pipeline must survive losses.
        listed: how often each id was met.
    """

    def __init__(self, audit: Audit, classes: Classes) -> None:
        self._audit, self._classes = audit, classes
        self._prices = Prices(audit)
        self._even = len({pipeline.spec.utilisation for pipeline in audit.snapshot.pipelines.values()}) <= 1
        self._owed: list[tuple[str, float | None, Asked]] = []
        self._orders = Orders(audit)
        self._facts: Recent[tuple[object, ...], tuple[Finding, ...]] = Recent(MOST_CLASSES)
        self.ledger = Ledger()
        self.members: dict[str, tuple[Member, ...]] = {}
        self.keeps = any(pipeline.spec.survive for pipeline in audit.snapshot.pipelines.values())
        self.listed: dict[str, set[str]] = {name: set() for name in audit.snapshot.pipelines}
        self.odd: Counter[str] = Counter()

    def weigh(self, entry: WorkloadEntry) -> Iterator[Finding]:
        """Yield what is wrong with one workload."""
        known = self._audit.snapshot.workload(entry.id)
        if known is None:
            self.odd[entry.id] += 1
            return
        pipeline, origin = known
        self._note(entry.id, pipeline.name, origin.name)
        yield from self._said(entry, pipeline, origin)
        runs = [self._audit.run(entry.id, part.outline, (origin.name, *part.others)) for part in entry.said.parts]
        members = tuple([self._member(run) for run in runs])
        if self.keeps and any(part.others for part in entry.said.parts):
            self.members[entry.id] = members
        for run, member in zip(runs, members, strict=True):
            self.ledger.add(member.shape.demand, member.places)
            if not member.shape.clean:
                yield from self._classes.findings(run)
            if member.shape.needed:
                yield from self.routes(entry.id, origin, member)
            yield from self._orders.weigh(run)
        yield from self._numbers(entry, pipeline, members)

    def _note(self, name: str, pipeline: str, origin: str) -> None:
        """Count a workload that the fleet asks for."""
        listed = self.listed[pipeline]
        if origin in listed:
            self.odd[name] += 1
        listed.add(origin)

    def _member(self, run: Run) -> Member:
        outline, places = run.assignment.outline, run.assignment.places
        shape = self._classes.of(run.pipeline.name, outline, places, lambda: run)
        seen = self._audit.seen.sites
        for place in (*shape.running, *shape.spare):
            seen.add(places[place])
        return Member(shape, outline, places)

    def _said(self, entry: WorkloadEntry, pipeline: Pipeline, origin: Site) -> Iterator[Finding]:
        """Yield what is wrong with what a plan says of a workload, whichever sites serve it."""
        if entry.origin != origin.name:
            yield Finding("plan/workload", entry.id, "origin", origin.name, entry.origin)
        key = (entry.said, pipeline.name, self._audit.snapshot.profiles.kind(origin.name))
        found = self._facts.get(key)
        if found is None:
            found = self._facts.put(key, tuple(presence.facts(entry, pipeline, rate_of(pipeline, origin))))
        for finding in found:
            yield Finding(finding.code, entry.id, finding.subject, finding.expected, finding.found)

    def routes(self, name: str, origin: Site, member: Member, lost: Lost = NOTHING) -> Iterator[Finding]:
        """Yield each flow that does not take the best of its permitted routes."""
        shape, places = member.shape, member.places
        known = self._audit.bench(shape.pipeline.metadata.tenant).routes
        for need in shape.needed:
            route = tuple([places[place] for place in need.route])
            source, target = places[need.source], places[need.target]
            best = known.best(need.label, source, target, origin, waits=need.waits, lost=lost)
            if best != route:
                expected = " ".join(best) if best else "no such flow: no route is permitted"
                for flow in need.flows:
                    yield Finding("plan/route", name, ">".join(flow), expected, " ".join(route))

    def slowest(self, member: Member, *, exactly: bool = False) -> float | Fraction | None:
        """Return the microseconds of an assignment's slowest path; None when the plan lacks what it takes."""
        shape, places = member.shape, member.places
        if shape.timing is None:
            return None
        known = self._audit.bench(shape.pipeline.metadata.tenant).routes
        measures = [known.measure(tuple([places[place] for place in route])) for route in shape.routes]
        return shape.timing.slowest(measures, Fraction) if exactly else shape.timing.slowest(measures, over)

    def too_slow(self, name: str, pipeline: Pipeline, member: Member, time: float | Fraction) -> Iterator[Finding]:
        """Yield a finding when an assignment's slowest path exceeds the objective; close to it, exactly."""
        limit = pipeline.spec.latency
        if limit is None or time < limit * (1 - 1e-9):
            return
        exactly = self.slowest(member, exactly=True)
        if exactly is not None and exactly > limit:
            found = f"{float(exactly / 1000):.3f} ms"
            yield Finding("plan/latency", name, "objective", f"at most {limit / 1000} ms", found)

    def _numbers(self, entry: WorkloadEntry, pipeline: Pipeline, members: tuple[Member, ...]) -> Iterator[Finding]:
        slowest = 0.0
        for member in members:
            time = self.slowest(member)
            if time is None:
                break
            yield from self.too_slow(entry.id, pipeline, member, time)
            slowest = max(slowest, float(time))
        else:
            if not near(entry.modelled, slowest / 1000, absolute=HALF_A_MICROSECOND):
                yield Finding("plan/latency", entry.id, "modelled", f"{slowest / 1000:.3f} ms", f"{entry.modelled} ms")
        demands = [(member.shape.demand, member.places) for member in members]
        if self._even and not pipeline.spec.survive:
            yield from _paid(entry.id, entry.cost_per_hour, self._prices.paid(demands))
        else:
            self._owed.append((entry.id, entry.cost_per_hour, self._prices.asked(demands)))

    def costs(self, wanted: Mapping[PoolKey, Fraction], reserve: Mapping[str, float]) -> Iterator[Finding]:
        """Yield every part of the cost that could not be worked out before all workloads were known, and is wrong.

        Args:
            wanted: what all of them want of each pool.
            reserve: what each that must survive pays for pools that are used in failures alone.
        """
        prices = shares_of(self._audit, wanted)
        for name, stated, asked in self._owed:
            shares = sum(prices.get(pool, 0.0) * rate for pool, rate in zip(asked.pools, asked.wanted, strict=True))
            yield from _paid(name, stated, reserve.get(name, 0.0) + asked.egress + shares)

    def missing(self) -> Iterator[Finding]:
        """Yield every workload that is missing, unknown, or there twice; unplaced ones are there, too."""
        snapshot = self._audit.snapshot
        for unplaced in self._audit.document.unplaced:
            known = snapshot.workload(unplaced.id)
            if known is None:
                self.odd[unplaced.id] += 1
            else:
                self._note(unplaced.id, known[0].name, known[1].name)
        for name, times in sorted(self.odd.items()):
            known = snapshot.workload(name)
            expected = "once" if known else "no such workload"
            yield Finding("invariant/1", name, "workload", expected, f"listed {times + (known is not None)} times")
        for pipeline, origins in snapshot.origins.items():
            for origin in origins:
                if origin not in self.listed[pipeline]:
                    yield Finding("invariant/1", f"{pipeline}@{origin}", "workload", "once", "listed 0 times")

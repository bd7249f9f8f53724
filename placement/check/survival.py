"""Whether every workload that must survive has a place after each loss that touches it, and all of these hold together.

In a failure a touched workload that does not have to survive ends, as does one whose origin is lost; untouched ones
stay. So what a failure asks of pools and links is what normal running asks, less the touched, and with the moved: only
pools and links that either of them uses are added up again, which keeps this linear in what the plan lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import pairwise

from placement.check import capacity, domains
from placement.check.audit import Audit, exact
from placement.check.classes import Classes
from placement.check.cost import pool_price
from placement.check.document import FailedEntry, Part, Places
from placement.check.load import Ledger, Load
from placement.check.result import Finding
from placement.check.routes import Lost
from placement.check.schema import PoolKey
from placement.check.workloads import Member, Workloads
from sites.site import Site

Failure = tuple[str, tuple[FailedEntry, ...]]


def named(lost: Lost) -> str:
    """Return a loss as a plan names it."""
    return f"site:{next(iter(lost))}" if len(lost) == 1 else f"link:{'--'.join(sorted(lost))}"


def lost_by(name: str) -> Lost | None:
    """Return what a failure takes away; None when its name is none."""
    kind, _, rest = name.partition(":")
    lost = frozenset((rest,) if kind == "site" else rest.split("--"))
    return lost if kind in ("site", "link") and named(lost) == name else None


def uses(member: Member) -> tuple[set[str], set[Lost]]:
    """Return the sites and the links that an assignment uses."""
    shape, places = member.shape, member.places
    sites = {places[place] for place in shape.running} | {places[place] for route in shape.routes for place in route}
    hops = {frozenset((places[a], places[b])) for route in shape.routes for a, b in pairwise(route)}
    return sites, hops


class Survival:
    """Weighs the failures of a plan, after all of its workloads.

    Attributes:
        reserved: the most that any failure asks of each pool; of those alone that it asks more of, or newly.
        stores: the Knowledge beside pools in failures.
    """

    def __init__(self, audit: Audit, classes: Classes, weighed: Workloads, load: Load) -> None:
        self._audit, self._classes, self._weighed, self._load = audit, classes, weighed, load
        self._users: dict[Lost, list[str]] = defaultdict(list)
        self.reserved: dict[PoolKey, Fraction] = {}
        self.stores: dict[PoolKey, set[str]] = defaultdict(set)
        self._brought: dict[PoolKey, dict[str, float]] = defaultdict(lambda: defaultdict(float))
        for name, members in weighed.members.items():
            used = [uses(member) for member in members]
            sites, hops = set().union(*(s for s, _ in used)), set().union(*(h for _, h in used))
            for lost in (*(frozenset((site,)) for site in {*sites, members[0].places[0]}), *hops):
                self._users[lost].append(name)

    def _due(self, lost: Lost) -> list[str]:
        """Return the workloads that must survive a loss which touches them."""
        return [
            name
            for name in self._users.get(lost, ())
            for member in self._weighed.members[name][:1]
            if member.shape.pipeline.spec.survive and member.places[0] not in (lost if len(lost) == 1 else ())
        ]

    def weigh(self, failures: Iterable[Failure]) -> Iterator[Finding]:
        """Yield every loss that is not provided for, and whatever is wrong with what is provided."""
        met: set[Lost] = set()
        for name, entries in failures:
            lost = lost_by(name)
            if lost is None or lost in met or not self._exists(lost):
                yield Finding("invariant/15", "", name, "each site or link of the fleet once", "no such loss, or twice")
                continue
            met.add(lost)
            yield from self._failure(lost, entries)
        for lost in sorted(self._users.keys() - met, key=named):
            for name in self._due(lost):
                yield Finding("invariant/15", name, f"without {named(lost)}", "assignments after its loss", "none")

    def reserve(self) -> dict[str, float]:
        """Return what each workload pays per hour for pools that nobody uses but after a loss, by what it brings."""
        paid: dict[str, float] = defaultdict(float)
        for key, brought in self._brought.items():
            pool = self._audit.pools.get(key)
            price = float((pool_price(self._audit, pool) if pool else None) or 0)
            for name, wanted in brought.items():
                paid[name] += price * wanted / sum(brought.values())
        return paid

    def _exists(self, lost: Lost) -> bool:
        snapshot = self._audit.snapshot
        return lost in snapshot.links if len(lost) == 2 else lost <= snapshot.sites.keys()

    def _failure(self, lost: Lost, entries: tuple[FailedEntry, ...]) -> Iterator[Finding]:
        due, change = set(self._due(lost)), Ledger()
        for name in self._users.get(lost, ()):
            for member in self._weighed.members[name]:
                change.add(member.shape.demand, member.places, -1)
        for entry in entries:
            if entry.id not in due:
                expected = "a workload that must survive, is touched, and is listed once"
                yield Finding("invariant/15", entry.id, f"without {named(lost)}", expected, "none such")
                continue
            due.discard(entry.id)
            yield from self._named(lost, self._moved(lost, entry, change))
        for name in sorted(due):
            yield Finding("invariant/15", name, f"without {named(lost)}", "assignments after its loss", "none")
        yield from self._named(lost, self._together(change, named(lost)))

    def _named(self, lost: Lost, findings: Iterable[Finding]) -> Iterator[Finding]:
        for one in findings:
            yield Finding(
                "invariant/15", one.workload, f"without {named(lost)}: {one.subject}", one.expected, one.found
            )

    def _moved(self, lost: Lost, entry: FailedEntry, change: Ledger) -> Iterator[Finding]:
        """Yield what is wrong with the assignments of one workload after a loss, and add what they ask for."""
        normal = self._weighed.members[entry.id]
        pipeline = normal[0].shape.pipeline
        origin = self._audit.snapshot.site(normal[0].places[0])
        usual = frozenset(
            (kind.stage, member.places[place]) for member in normal for kind, place in member.outline.stages
        )  # fmt: skip
        fractions = [exact(part.outline.fraction) for part in entry.parts]
        if (
            not fractions
            or sum(fractions) != 1
            or min(fractions) <= 0
            or (len(fractions) > 1 and not pipeline.spec.split)
        ):
            yield Finding(
                "invariant/15", entry.id, "fraction", "positive, in sum 1", str([float(f) for f in fractions])
            )
        whole = not any(self._degraded(member) for member in normal)
        for part in entry.parts:
            member = self._member(entry.id, origin, part, lost, usual)
            change.add(member.shape.demand, member.places)
            for place, share in member.shape.demand.shares:
                key = (member.places[place], *share.pool)
                if key not in self._load.served:
                    self._brought[key][entry.id] += share.wanted
            yield from self._assignment(entry.id, origin, member, lost, usual, whole=whole)

    def _member(
        self, name: str, origin: Site, part: Part, lost: Lost, usual: frozenset[tuple[str, str]]
    ) -> Member:  # fmt: skip
        places: Places = (origin.name, *part.others)
        stays = [(kind.stage, places[place]) in usual for kind, place in part.outline.stages]
        shape = self._classes.of(
            name.partition("@")[0], part.outline, places,
            lambda: self._audit.run(name, part.outline, places, lost, usual), *stays,
        )  # fmt: skip
        self._audit.seen.sites.update(places[place] for place in shape.running)
        return Member(shape, part.outline, places)

    def _assignment(
        self, name: str, origin: Site, member: Member, lost: Lost, usual: frozenset[tuple[str, str]], *, whole: bool
    ) -> Iterator[Finding]:  # fmt: skip
        sites, hops = uses(member)
        if lost & sites if len(lost) == 1 else lost in hops:
            yield Finding("invariant/15", name, "sites and links", "without what is lost", "not so")
        if whole and self._degraded(member):
            yield Finding("invariant/15", name, "stages", "whole, as in normal running", "degraded")
        if not member.shape.clean:
            run = self._audit.run(name, member.outline, member.places, lost, usual)
            yield from self._classes.findings(run)
        yield from self._weighed.routes(name, origin, member, lost)
        time = self._weighed.slowest(member)
        if time is not None:
            yield from self._weighed.too_slow(name, member.shape.pipeline, member, time)

    def _degraded(self, member: Member) -> bool:
        shape = member.shape
        return shape.graph.stages.keys() != {stage.name for stage in shape.pipeline.spec.stages}

    def _together(self, change: Ledger, when: str) -> Iterator[Finding]:
        """Yield what is overloaded once a change of what normal running asks for is made."""
        more = change.load()
        for key, names in more.stores.items():
            self.stores[key] |= names
        for key, rate in sorted(more.reserved.items()):
            asked = self._load.reserved.get(key, Fraction(0)) + rate
            if asked <= 0:
                continue
            self.reserved[key] = max(asked, self.reserved.get(key, asked))
            pool = self._audit.pools.get(key)
            has = (capacity.throughput(self._audit, key) or Fraction(0)) * (pool.replicas if pool else 0)
            if asked > has * capacity.SLACK:
                expected = f"throughput of at least {float(asked):.9g}/s"
                yield Finding("plan/load", "", capacity.pool_name(key), expected, f"{float(has):.9g}/s")
        carried = {hop: self._load.carried.get(hop, Fraction(0)) + bits for hop, bits in more.carried.items()}
        yield from capacity.links(self._audit, carried)
        if change.domains:
            yield from domains.spread(self._audit, _sum(self._weighed.ledger, change), f" without {when}")


def _sum(one: Ledger, other: Ledger) -> Ledger:
    """Return what two ledgers count together, of what is spread alone."""
    domains = dict(one.domains)
    for key, count in other.domains.items():
        domains[key] = domains.get(key, 0) + count
    return Ledger(domains=domains)

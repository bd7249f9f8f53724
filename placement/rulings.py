"""What the law says of the stages and hops of a fleet: the evaluator of each tenant, asked once per question.

Sites, labels and origins that no rule tells apart (`sites.likeness`) share their permits. A refusal is told of the very
site that was asked about, because it names what is there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TypeVar

from placement.network import Hop, Network
from placement.paths import Paths
from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.routes import Router
from sites.country import country_of
from sites.data import Label
from sites.decisions import decide_hop, decide_stage, permit_hop, permit_stage
from sites.likeness import Facts, Likeness, countries_in
from sites.site import Link, Site
from sites.verdict import Evaluator, Verdict

WIRE = ("to", "bandwidth", "rtt", "price")
"""Fields of a link of which no rule asks."""

Answer = TypeVar("Answer", Verdict, Verdict | None)

LOST = ""
"""The home of data whose origin lies nowhere known, where some rule asks for it."""


@dataclass(frozen=True, slots=True)
class _Read:
    """A label as the law reads it: its class, and whether some rule about it asks where the origin lies.

    The label is kept so that its identity stays that of a living one.
    """

    label: Label
    of: int
    reads_home: bool


@dataclass(slots=True)
class _Classes:
    """Numbers for facts, and for what is left of them when places are told apart only by class and by being home."""

    likeness: Likeness
    facts: list[Facts] = field(default_factory=list)
    _ids: dict[Facts, int] = field(default_factory=dict)
    _countries: list[frozenset[str]] = field(default_factory=list)
    _views: dict[tuple[int, str | None], int] = field(default_factory=dict)
    _left: dict[object, int] = field(default_factory=dict)

    def of(self, facts: Facts) -> int:
        """Return the number of facts."""
        found = self._ids.setdefault(facts, len(self.facts))
        if found == len(self.facts):
            self.facts.append(facts)
            self._countries.append(frozenset(countries_in(facts)))
        return found

    def view(self, number: int, home: str | None) -> int:
        """Return the number of what is left of facts, seen from a home."""
        key = (number, home if home in self._countries[number] else None)
        if key not in self._views:
            left = self.likeness.under(self.facts[number], key[1])
            self._views[key] = self._left.setdefault(left, len(self._left))
        return self._views[key]


@dataclass(slots=True)
class _TenantLaw:
    """What one tenant's policy and packs say, with all that was asked."""

    problem: Problem
    tenant: str
    evaluator: Evaluator
    likeness: Likeness
    profiles: _Classes
    wires: _Classes
    permits: dict[Hashable, Verdict | None] = field(default_factory=dict)
    refusals: dict[Hashable, Verdict] = field(default_factory=dict)
    _labels: dict[int, _Read] = field(default_factory=dict)
    _label_ids: dict[Facts, int] = field(default_factory=dict)
    _sites: dict[str, int] = field(default_factory=dict)
    _links: dict[tuple[str, str], tuple[Link, int]] = field(default_factory=dict)
    _networks: dict[int, tuple[Network, dict[int, Hop]]] = field(default_factory=dict)
    _paths: dict[tuple[int, frozenset[int], bool], Paths] = field(default_factory=dict)
    open: dict[Hashable, Paths] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem, tenant: str) -> _TenantLaw:
        """Return a tenant's law, nothing asked yet."""
        likeness = Likeness(problem.policies[tenant], problem.packs)
        evaluator = Evaluator(problem.policies[tenant], problem.packs, problem.window)
        return cls(problem, tenant, evaluator, likeness, _Classes(likeness), _Classes(likeness))

    def read(self, label: Label) -> _Read:
        """Return a label as the law reads it."""
        if (known := self._labels.get(id(label))) is None:
            number = self._label_ids.setdefault(self.likeness.label(label), len(self._label_ids))
            known = self._labels[id(label)] = _Read(label, number, self.likeness.reads_home(label))
        return known

    def profile(self, site: Site) -> int:
        """Return the number of a site's facts. A site's law is asked by name: relaxations do not change it."""
        if site.name not in self._sites:
            self._sites[site.name] = self.profiles.of(self.likeness.site(site))
        return self._sites[site.name]

    def wire(self, link: Link, a: str, b: str) -> int:
        """Return the number of the facts of a link between two sites."""
        ends = (a, b) if a < b else (b, a)
        if (known := self._links.get(ends)) is None or known[0] is not link:
            pair = sorted(self.profile(self.problem.sites[end]) for end in ends)
            own = tuple(self.likeness.facts(value, name) for name, value in vars(link).items() if name not in WIRE)
            facts = (*(self.profiles.facts[number] for number in pair), own)
            known = self._links[ends] = (link, self.wires.of(facts))
        return known[1]

    def wires_in(self, network: Network) -> dict[int, Hop]:
        """Return the numbers of all wires of a network, with one of each."""
        if id(network) not in self._networks:
            found = {self.wire(link, *hop): hop for hop, link in network.wires.items() if hop[0] < hop[1]}
            self._networks[id(network)] = network, found
        return self._networks[id(network)][1]

    def joined(self, network: Network, allowed: frozenset[int], *, is_async: bool) -> Paths:
        """Return the paths over wires of these numbers; the same object when it is asked again."""
        key = (id(network), allowed, is_async)
        if key not in self._paths:

            def is_open(a: str, b: str) -> bool:
                hop = (a, b)
                return self.wire(network.wires[hop], a, b) in allowed and network.carries(hop, is_async)

            self._paths[key] = Paths(network, is_open)
        return self._paths[key]

    def permit(self, key: Hashable, ask: Callable[[], Verdict | None]) -> Verdict | None:
        """Return the permit of everything that is asked under one key; None when it is refused."""
        if key not in self.permits:
            self.permits[key] = ask()
        return self.permits[key]

    def refusal(self, key: Hashable, ask: Callable[[], Verdict]) -> Verdict:
        """Return the refusal of one site or hop."""
        if key not in self.refusals:
            self.refusals[key] = ask()
        return self.refusals[key]


@dataclass(slots=True)
class Hops:
    """The law of hops as one origin meets it, and every other that no rule tells from it."""

    law: _TenantLaw
    network: Network
    origin: Site

    def hop(self, label: Label, link: Link, a: str, b: str) -> Verdict:
        """Return whether a flow with that label may cross the wire between two sites."""
        found = self.permit(label, link, a, b)
        if found is not None:
            return found
        country = None if self.origin.spec.location is None else country_of(self.origin.spec.location)
        key = ("hop", label, min(a, b), max(a, b), country, self.law.likeness.origin(self.origin))
        return self.law.refusal(key, lambda: self._ask(label, link, a, b))

    def permit(self, label: Label, link: Link, a: str, b: str) -> Verdict | None:
        """Return the permit of a hop; None when it is refused."""
        read = self.law.read(label)
        return self._permit(read, self.law.wire(link, a, b), lambda: self._try(label, link, a, b))

    def paths(self, label: Label, *, is_async: bool) -> Paths:
        """Return the paths over open hops, which labels share that open the same."""
        law, read = self.law, self.law.read(label)
        key = (id(self.network), *self._asked(read), is_async)
        if key not in law.open:
            known = law.wires_in(self.network).items()
            allowed = frozenset(number for number, hop in known if self._allows(read, number, hop))
            law.open[key] = law.joined(self.network, allowed, is_async=is_async)
        return law.open[key]

    def alike(self, label: Label) -> int:
        """Return the class of a label: the law permits what has the same, and for the same reasons."""
        return self.law.read(label).of

    def _asked(self, read: _Read) -> tuple[int, str | None, Facts]:
        """Return what of a label and the origin the law reads."""
        return read.of, _home(read, self.origin), self.law.likeness.origin(self.origin)

    def _permit(self, read: _Read, wire: int, ask: Callable[[], Verdict | None]) -> Verdict | None:
        number, home, names = self._asked(read)
        view = self.law.wires.view(wire, home)
        return self.law.permit(("hop", number, view, home if home == LOST else None, names), ask)

    def _allows(self, read: _Read, number: int, hop: Hop) -> bool:
        return self._permit(read, number, lambda: self._try(read.label, self.network.wires[hop], *hop)) is not None

    def _ask(self, label: Label, link: Link, a: str, b: str) -> Verdict:
        ends = self.law.problem.sites[min(a, b)], self.law.problem.sites[max(a, b)]
        return decide_hop(self.law.evaluator, label, link, *ends, self.origin)

    def _try(self, label: Label, link: Link, a: str, b: str) -> Verdict | None:
        ends = self.law.problem.sites[min(a, b)], self.law.problem.sites[max(a, b)]
        return permit_hop(self.law.evaluator, label, link, *ends, self.origin)


def _home(read: _Read, origin: Site) -> str | None:
    """Return from where a question about a label is asked; None when no rule asks for it."""
    if not read.reads_home:
        return None
    return LOST if origin.spec.location is None else country_of(origin.spec.location)


@dataclass(slots=True)
class Rulings:
    """Verdicts on stages and hops under each tenant's policy; every answer is remembered."""

    problem: Problem
    _laws: dict[str, _TenantLaw] = field(default_factory=dict)
    _routers: dict[tuple[object, ...], Router] = field(default_factory=dict)

    def _law(self, tenant: str) -> _TenantLaw:
        if tenant not in self._laws:
            self._laws[tenant] = _TenantLaw.of(self.problem, tenant)
        return self._laws[tenant]

    def evaluator(self, tenant: str) -> Evaluator:
        """Return the evaluator of a tenant's policy over the problem's window."""
        return self._law(tenant).evaluator

    def stage(
        self, pipeline: Pipeline, stage: Stage, label: Label, site: Site, origin: Site, *, failover: bool
    ) -> Verdict:
        """Return whether a stage with that label may run at a site, as a primary or as a failover target."""
        found = self.permit(pipeline, stage, label, site, origin, failover=failover)
        if found is not None:
            return found
        law = self._law(pipeline.metadata.tenant)
        key = (label, site.name, _country(origin), law.likeness.origin(origin), *_asked(stage, failover))
        return law.refusal(key, lambda: _ask_stage(decide_stage, law, stage, label, site, origin, failover))

    def permit(
        self, pipeline: Pipeline, stage: Stage, label: Label, site: Site, origin: Site, *, failover: bool
    ) -> Verdict | None:
        """Return the verdict on a stage at a site if it is a permit; None otherwise, at less than a refusal costs."""
        law = self._law(pipeline.metadata.tenant)
        read = law.read(label)
        home = _home(read, origin)
        view = law.profiles.view(law.profile(site), home)
        lost = home if home == LOST else None
        key = (read.of, view, lost, law.likeness.origin(origin), *_asked(stage, failover))
        return law.permit(key, lambda: _ask_stage(permit_stage, law, stage, label, site, origin, failover))

    def hop(self, tenant: str, label: Label, link: Link, a: str, b: str, origin: Site) -> Verdict:
        """Return whether a flow with that label may cross the wire between two sites."""
        return Hops(self._law(tenant), self.problem.network, origin).hop(label, link, a, b)

    def examples(self, tenant: str) -> list[Site]:
        """Return one site of each class whose facts a tenant's law can tell apart."""
        law = self._law(tenant)
        return list({law.profile(site): site for site in self.problem.sites.values()}.values())

    def kin(self, tenant: str, origin: Site) -> Hashable:
        """Return the class of an origin: data born at two of one class has the same labels and meets the same law."""
        return _country(origin), self._law(tenant).likeness.origin(origin)

    def router(self, tenant: str, network: Network, origin: Site) -> Router:
        """Return the routes over a network that are open to a tenant's flows from an origin, and from its kin."""
        # A router keeps its network, so that the identity in the key stays that of a living one.
        key = (tenant, self.kin(tenant, origin), id(network))
        if key not in self._routers:
            self._routers[key] = Router(network, Hops(self._law(tenant), network, origin))
        return self._routers[key]

    @property
    def ends(self) -> dt.date | None:
        """Return the first day on which a fact ends that any permit given so far rests on; None when none does."""
        given = (verdict for law in self._laws.values() for verdict in law.permits.values() if verdict is not None)
        return min((verdict.until for verdict in given if verdict.until is not None), default=None)


def _country(origin: Site) -> str | None:
    return None if origin.spec.location is None else country_of(origin.spec.location)


def _asked(stage: Stage, failover: bool) -> tuple[str | None, bool, bool, bool]:
    """Return what the law asks of a stage: its purpose, whether it keeps, whether it queues, whether it stands in."""
    keeps = stage.task == "retrieve" or stage.knowledge is not None or stage.retain is not None
    return stage.purpose, keeps, stage.is_async or stage.task == "queue", failover


def _ask_stage(
    ask: Callable[..., Answer], law: _TenantLaw, stage: Stage, label: Label, site: Site, origin: Site, failover: bool
) -> Answer:
    purpose, keeps, queues, _ = _asked(stage, failover)
    return ask(law.evaluator, label, site, origin, purpose=purpose, retains=keeps, queues=queues, failover=failover)

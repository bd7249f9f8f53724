"""What each family of rules can be moved by: its levers, in the order in which to try them.

`LEVERS` is the whole registry. What protects data has none: nothing here proposes to relax residency, where knowledge
may live, where labels may fall, or how long copies are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from math import ceil

from placement.explanation import alterations as changes
from placement.explanation.change import Change, without
from placement.explanation.court import Bench
from placement.explanation.ledger import link_loads
from placement.explanation.levers import Lever
from placement.explanation.oracle import Way
from placement.explanation.relaxations import PLENTY
from placement.explanation.soonest import soonest_us
from placement.explanation.words import bandwidth, counted, duration, rate, size
from placement.graph import exact
from placement.instance import Workload
from placement.solution import HOP_LIMIT, latency_us
from sites.site import Hardware

MOST_PLACES = 12
"""Places that are tried one after the other for one family."""

STEPS = 1000
"""In how many steps a rate or a fraction is divided: its number is tight to one of them."""

MIB, KBIT = 2**20, 1000
NEW_RTT_US = 10_000
"""The round trip of a wire that does not exist yet."""

UNTOUCHED = ("declassifier", "erasure", "knowledge", "media", "residency", "retention")
"""Kinds that have no lever: nobody proposes to relax what protects data."""

Levers = Iterator[Lever]


def levers(bench: Bench, family: str, rest: Change) -> list[Lever]:
    """Return the levers of a family while `rest` is otherwise; none for the law, and where nothing has a number."""
    kind, _, what = family.partition(":")
    found = LEVERS.get(family) or LEVERS.get(kind)
    return [] if found is None else list(found(bench, what, rest))


def of_rate(bench: Bench) -> Lever:
    """Return the lever that lowers the workload's own rate, in thousandths of what is declared."""
    declared = bench.workload.rate

    def to(fewer: int) -> Change:
        lower = declared * (STEPS - fewer) / STEPS
        return Change(f"rate <= {rate(lower)}", None, lower)

    return Lever(0, STEPS - 1, to)


def _refused_at(bench: Bench, rest: Change, family: str) -> list[str]:
    """Return the sites that a family refuses to some stage: home first, then those with least else against them."""
    workload = bench.under(rest, is_brief=False)
    against: dict[str, int] = {}
    for sites in workload.refusals.values():
        for site, refusals in sites.items():
            if any(refusal.rule == family for refusal in refusals):
                others = {refusal.rule for refusal in refusals}
                against[site] = min(against.get(site, len(others)), len(others))
    home = workload.origin.name
    return sorted(against, key=lambda site: (site != home, against[site], site))[:MOST_PLACES]


def _once(change: Change) -> Lever:
    """Return the lever of what either is or is not."""
    return Lever(0, 1, lambda _: change)


def _at_sites(family: str, text: str, change: Callable[[str, str], changes.Altered]) -> Callable[..., Levers]:
    """Return the levers of a family that is lifted at one site at a time."""

    def of(bench: Bench, what: str, rest: Change) -> Levers:
        for site in _refused_at(bench, rest, f"{family}:{what}"):
            yield _once(Change(text.format(site=site, what=what), change(site, what)))

    return of


# the pipeline's own


def _latency(bench: Bench, what: str, rest: Change) -> Levers:
    name, now = bench.workload.pipeline.name, bench.workload.limit_us
    free = rest.then(without({"latency"}))
    way = bench.best(free)
    if now is not None and way is not None:
        workload, graph = bench.under(free), way.choice.graph
        yield Lever(
            now,
            ceil(latency_us(workload, way.choice)),
            lambda limit: Change(f"latency >= {duration(limit)}", changes.latency(name, limit)),
            guess=soonest_us(bench.problem_with(free), workload, graph),
        )


def _quality(bench: Bench, metric: str, rest: Change) -> Levers:
    pipeline = bench.workload.pipeline
    for stage in (*pipeline.spec.stages, *pipeline.spec.fallbacks):
        floor = stage.quality.get(metric)
        if floor is None:
            continue
        variants = (v for model in stage.models for v in bench.problem.models[model].spec.variants)
        said = {v.quality.get(metric) for v in variants}
        lower = sorted((v for v in said if isinstance(v, (int, float)) and v < floor), reverse=True)

        def to(index: int, stage: str = stage.name, lower: list[float] = lower) -> Change:
            to_floor = lower[index - 1] if index <= len(lower) else None
            text = f"{metric} <= {to_floor:g}" if to_floor is not None else f"no floor of {metric}"
            return Change(f"quality {text} at {stage}", changes.quality(pipeline.name, stage, metric, to_floor))

        yield Lever(0, len(lower) + 1, to)


def _pin(bench: Bench, stage: str, rest: Change) -> Levers:
    name = bench.workload.pipeline.name
    for site in _refused_at(bench, rest, f"pin:{stage}"):
        yield _once(Change(f"{stage} not pinned away from {site}", changes.unpinned(name, stage, site)))


def _spread(bench: Bench, stage: str, rest: Change) -> Levers:
    name = bench.workload.pipeline.name
    rules = [rule for rule in bench.workload.pipeline.spec.spread if rule.stage == stage]
    now = int(min((exact(rule.most) for rule in rules), default=Fraction(1)) * STEPS)

    def to(parts: int) -> Change:
        most = parts / STEPS
        return Change(f"spread of {stage} at most {most:g}", changes.spread(name, stage, most))

    yield Lever(now, STEPS, to)


def _apart(bench: Bench, by: str, rest: Change) -> Levers:
    yield _once(Change(f"stages not apart by {by}", changes.without_apart(bench.workload.pipeline.name, by)))


def _survive(bench: Bench, what: str, rest: Change) -> Levers:
    yield _once(Change("survive: 0", changes.without_survival(bench.workload.pipeline.name)))


def _approval(bench: Bench, model: str, rest: Change) -> Levers:
    yield _once(Change(f"{model} approved", changes.approved(model)))


# machines


def _groups(bench: Bench, workload: Workload) -> list[tuple[str, Hardware]]:
    """Return the hardware groups on which some stage may run: home first, then by name."""
    home = workload.origin.name
    keys = {(o.site, o.pool.key.hardware) for options in workload.options.values() for o in options if o.pool}
    ordered = sorted(keys, key=lambda key: (key[0] != home, key))[:MOST_PLACES]
    sites = bench.problem.sites
    return [(site, g) for site, name in ordered for g in sites[site].spec.hardware if g.name == name]


def _capacity(bench: Bench, what: str, rest: Change) -> Levers:
    for site, group in _groups(bench, bench.under(rest)):

        def to(count: int, site: str = site, group: Hardware = group) -> Change:
            more = counted(count - group.count, "more node")
            return Change(f"{more} of {group.name} at {site}", changes.nodes(site, group.name, count))

        yield Lever(group.count, group.count * PLENTY, to)


def _taken(bench: Bench, way: Way, site: str, group: str, field: str) -> Fraction:
    """Return what one replica of each own pool and all the others' replicas take of a resource of a group together."""
    own = {option.pool.key: option.pool for option in way.choice.options.values() if option.pool is not None}
    taken = sum(
        (exact(getattr(pool.needs, field)) for key, pool in own.items() if (key.site, key.hardware) == (site, group)),
        Fraction(0),
    )
    for key, load in bench.room.pools.get((site, group), {}).items():
        taken += exact(getattr(load.pool.needs, field)) * load.replicas if key not in own else 0
    return taken


def _resource(field: str, unit: int) -> Callable[..., Levers]:
    """Return the levers of a resource of each node; a larger node is priced in proportion."""

    def of(bench: Bench, what: str, rest: Change) -> Levers:
        free = rest.then(without({f"hardware:{field}"}))
        way = bench.best(free)
        for site, group in _groups(bench, bench.under(free)):

            def to(units: int, site: str = site, group: Hardware = group) -> Change:
                said = counted(units, "cpu") if unit == 1 else f"{size(units * unit)} of {field}"
                return Change(
                    f"{said} on each node of {group.name} at {site}",
                    changes.node_size(site, group.name, field, units * unit),
                )

            has: int = getattr(group, field)
            taken = 0 if way is None else ceil(_taken(bench, way, site, group.name, field) / unit)
            yield Lever(has // unit, has * PLENTY // unit or PLENTY, to, guess=taken)

    return of


def _node_like(bench: Bench, family: str, rest: Change) -> Levers:
    """Nodes at a site where none fits, like the cheapest group elsewhere in the fleet that makes it fit."""
    groups = [(g, name) for name, s in bench.problem.sites.items() for g in s.spec.hardware]
    wanted = [(g, name) for g, name in groups if g.accelerators is not None or family != "accelerator"]
    wanted.sort(key=lambda found: (found[0].price.amount, found[1], found[0].name))
    for site in _refused_at(bench, rest, f"hardware:{family}"):
        for group, where in wanted:

            def to(count: int, site: str = site, group: Hardware = group, where: str = where) -> Change:
                text = f"{counted(count, 'node')} like {group.name} of {where}{_devices(group)} at {site}"
                return Change(text, changes.new_group(site, group, f"{group.name}-more", count))

            if where != site and bench.is_placed(rest.then(to(PLENTY))):
                yield Lever(0, PLENTY, to)
                break


def _devices(group: Hardware) -> str:
    device = group.accelerators
    return f" ({device.count} x {device.kind}, {size(device.memory)} of accelerator memory each)" if device else ""


# wires


def _link_bandwidth(bench: Bench, what: str, rest: Change) -> Levers:
    free = rest.then(without({"link:bandwidth"}))
    way = bench.best(free)
    if way is None:
        return
    loads: dict[tuple[str, str], Fraction] = {}
    wires = bench.problem.network.wires
    for (a, b), load, _ in link_loads(bench.problem_with(free), bench.under(free), way.choice, bench.room):
        wire = (min(a, b), max(a, b))
        loads[wire] = max(load, loads.get(wire, load))
    for wire, load in loads.items():
        if wire not in wires:
            continue  # a link that there is not yet is another family's to propose, with a bandwidth of its own

        def to(kbits: int, wire: tuple[str, str] = wire) -> Change:
            text = f"bandwidth >= {bandwidth(kbits * KBIT)} on {'--'.join(wire)}"
            return Change(text, changes.bandwidth(wire, kbits * KBIT))

        now = wires[wire].bandwidth // KBIT
        yield Lever(now, max(1, now) * PLENTY, to, guess=ceil(load / HOP_LIMIT / KBIT))


def _new_link(family: str) -> Callable[..., Levers]:
    def of(bench: Bench, what: str, rest: Change) -> Levers:
        home = bench.workload.origin.name
        free = rest.then(without({family}))
        way = bench.best(free)
        loads = [] if way is None else link_loads(bench.problem_with(free), bench.under(free), way.choice, bench.room)
        most = max((load for hop, load, _ in loads if home in hop), default=Fraction(0))
        for site in _refused_at(bench, rest, family):
            if site == home:
                continue

            def to(kbits: int, site: str = site) -> Change:
                text = f"a link {home}--{site} of >= {bandwidth(kbits * KBIT)}, rtt {duration(NEW_RTT_US)}"
                return Change(text, changes.linked(home, site, kbits * KBIT, NEW_RTT_US))

            yield Lever(0, 10**6, to, guess=ceil(most / HOP_LIMIT / KBIT))

    return of


def _intermittent(bench: Bench, what: str, rest: Change) -> Levers:
    waiting = bench.problem.network.intermittent
    for site in sorted(waiting, key=lambda name: (name != bench.workload.origin.name, name))[:MOST_PLACES]:
        yield _once(Change(f"{site} connected at all times", changes.always_connected(site)))


LEVERS: Mapping[str, Callable[[Bench, str, Change], Levers]] = {
    "apart": _apart,
    "approval": _approval,
    "capacity": _capacity,
    "hardware:accelerator": _node_like,
    "hardware:cpus": _resource("cpus", 1),
    "hardware:disk": _resource("disk", MIB),
    "hardware:memory": _resource("memory", MIB),
    "hardware:none": _node_like,
    "hardware:speed": _node_like,
    "latency": _latency,
    "link:bandwidth": _link_bandwidth,
    "link:disconnected": _new_link("link:disconnected"),
    "link:intermittent": _intermittent,
    "link:none": _new_link("link:none"),
    "pin": _pin,
    "quality": _quality,
    "serves": _at_sites("serves", "{site} serves this origin", lambda site, _: changes.serving(site)),
    "spread": _spread,
    "survive": _survive,
    "taint": _at_sites("taint", "{site} without its taint {what}", changes.untainted),
}

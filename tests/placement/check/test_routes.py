"""The best permitted route is the one that a look at every way finds, whatever wires cost nothing, tie or are lost."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from placement.check.evaluator import Judge
from placement.check.questions import Questions
from placement.check.routes import NOTHING, Lost, Route, Routes, passes
from placement.check.snapshot import Snapshot
from sites.data import Label
from tests.support.check import SINCE, UNTIL, a_fleet, a_pack, a_policy, a_rule, a_site, an_atom

LABEL: Label = (an_atom("system.operations"),)


def a_network(random: Random) -> Snapshot:
    """Return sites of which some are connected now and then, some lie where nothing may go, wired at random."""
    names = [f"s{number}" for number in range(random.randint(2, 8))]
    documents: dict[str, Any] = {}
    for number, name in enumerate(names):
        links = [
            {"to": other, "bandwidth": "1Mbit/s", "rtt": f"{random.choice((0, 1, 1, 2, 5))}ms", "transit": [],
             "price": f"{random.choice((0, 1, 1, 2))} EUR/GB", "tls": "passthrough"}
            for other in names[:number] if random.random() < random.choice((0.2, 0.5, 0.9))
        ]  # fmt: skip
        mode = random.choice(("connected", "connected", "connected", "intermittent"))
        place = random.choice(("FR-69", "FR-69", "FR-69", "DE"))
        documents[f"{name}.yaml"] = {"kind": "Site", **a_site(name, place, connectivity={"mode": mode, "links": links})}
    rules = [a_rule(), a_rule("not-there", "prohibit", countries=["DE"], activities=["transit"])]
    documents["policy.yaml"] = {"kind": "Policy", **a_policy(*rules, packs=["all"])}
    return Snapshot.of(a_fleet(documents, {"all": a_pack("all", a_rule(), jurisdiction=["FR", "DE"])}))


def every_route(snapshot: Snapshot, source: str, target: str, done: Route = ()) -> Iterator[Route]:
    """Yield every way without a circle."""
    done = (*done, source)
    if source == target:
        yield done
        return
    for other in snapshot.neighbours[source]:
        if other not in done:
            yield from every_route(snapshot, other, target, done)


def best(snapshot: Snapshot, source: str, target: str, *, waits: bool, lost: Lost) -> Route | None:
    """Return the best of them: permitted, without what is lost, the least round trip, then price, then names."""
    found = []
    for route in every_route(snapshot, source, target):
        links = [snapshot.links[frozenset(hop)] for hop in pairwise(route)]
        abroad = len(route) > 1 and any(snapshot.sites[name].spec.location == "DE" for name in route)
        slow = waits and len(route) > 1 and bool(set(route) & snapshot.intermittent)
        if not abroad and not slow and not passes(route, lost):
            found.append((sum(link.rtt for link in links), sum(link.price.amount for link in links), route))
    return min(found)[2] if found else None


@pytest.mark.parametrize("seed", range(60))
def test_a_route_is_the_best_of_all(seed: int) -> None:
    random = Random(seed)
    snapshot = a_network(random)
    judge = Judge(snapshot.policies["default"], snapshot.packs, SINCE, UNTIL)
    routes = Routes(snapshot, Questions(judge, snapshot))
    losses = [NOTHING, frozenset({random.choice(sorted(snapshot.sites))}), *sorted(snapshot.links, key=sorted)[:2]]
    for source in snapshot.sites:
        for target in snapshot.sites:
            for lost in losses:
                for waits in (False, True):
                    found = routes.best(LABEL, source, target, snapshot.sites["s0"], waits=waits, lost=lost)
                    assert found == best(snapshot, source, target, waits=waits, lost=lost), (source, target, lost)

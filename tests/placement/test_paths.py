"""Paths found bit by bit are the ones that a search of the whole network finds."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from placement.network import Hop, Network
from placement.paths import Paths
from sites.site import Site
from tests.support.placement import a_clinic, a_region
from tests.support.sites import a_link

NAMES = ("ada", "bea", "cyd", "dot", "eve", "fay", "gus")


@st.composite
def networks(draw: st.DrawFn) -> tuple[Network, frozenset[Hop]]:
    """Return a small network with many equal wires, and the hops of it that are open."""
    names = NAMES[: draw(st.integers(2, len(NAMES)))]
    serving = draw(st.sets(st.sampled_from(names)))
    wires = [pair for pair in combinations(names, 2) if draw(st.booleans())]
    links: dict[str, list[dict[str, object]]] = {name: [] for name in names}
    for a, b in wires:
        rtt, price = draw(st.sampled_from(("0ms", "1ms", "2ms"))), draw(st.sampled_from(("0 EUR/GB", "0.1 EUR/GB")))
        links[a].append(a_link(b, rtt=rtt, price=price))
    sites: list[Site] = [
        a_region(name, connectivity={"mode": "connected", "links": links[name]})
        if name in serving
        else a_clinic(name, links=links[name])
        for name in names
    ]
    hops = [hop for pair in wires for hop in (pair, pair[::-1])]
    return Network.of(sites), frozenset(hop for hop in hops if draw(st.integers(0, 9)))


@given(networks())
def test_every_path_is_the_best_and_the_nearest_come_first(drawn: tuple[Network, frozenset[Hop]]) -> None:
    network, open_hops = drawn
    paths = Paths(network, lambda a, b: (a, b) in open_hops)
    for a in network.neighbours:
        best = network.shortest(a, lambda a, b: (a, b) in open_hops)
        assert {b: paths.best(a, b) for b in network.neighbours if b != a} == {
            b: best.get(b) for b in network.neighbours if b != a
        }
        near = list(paths.near(a))
        assert [rtt for rtt, _ in near] == sorted(rtt for rtt, _ in near)
        assert {site for _, site in near} >= set(best) - network.stubs - {a}
        for rtt, site in near:
            assert rtt == sum(network.wires[hop].rtt for hop in zip(best[site], best[site][1:], strict=False))


def test_no_stub_is_wired_to_another_and_whoever_serves_others_is_none() -> None:
    network = Network.of([a_clinic("a", links=["b", "dc"]), a_clinic("b", links=["dc"]), a_region()])
    assert network.stubs == {"a"}

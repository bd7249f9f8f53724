"""Fallback orders name what a look at every site would, and a workload's share of the cost is exact."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import pytest

from placement.candidates import Option
from placement.cost import egress_per_hour, money
from placement.domains import binding, domain_of
from placement.fallback_order import MOST, MOST_AT_ONCE, orders
from placement.flows import Charts
from placement.graph import exact
from placement.instance import Instance, Workload, instance_of
from placement.moving import Detour, Timing
from placement.pipeline import Stage
from placement.problem import read_problem
from placement.running import Running
from placement.search.compilation import compile_layout
from placement.search.decoding import decode
from placement.search.engine import search
from placement.shares import Shares
from placement.solution import Choice, Tally, routed, tally
from tools.fleets import write_fleet

SITES, SEED, WORK = 120, 2, 500_000
EVERY = 10
"""One workload of so many is looked at."""


@dataclass(frozen=True, repr=False)
class World:
    """A searched fleet with more regions than are tried at once."""

    instance: Instance
    choices: dict[str, Choice]
    total: Tally
    running: Running
    charts: Charts

    def some(self) -> Iterator[tuple[Workload, Choice]]:
        """Yield some workloads, with how each is served."""
        for name in list(self.choices)[::EVERY]:
            yield self.instance.workloads[name], self.choices[name]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Return a generated fleet as a short search serves it."""
    directory = tmp_path_factory.mktemp("orders") / "fleet"
    write_fleet(directory, SITES, SEED)
    instance = instance_of(read_problem(directory, dt.date(2026, 12, 1)))
    compiled = compile_layout(instance.problem, instance.rulings)
    found = search(compiled.layout, work=WORK)
    choices, _ = decode(compiled, instance, found.placing, found.packing)
    total = tally(instance, choices)
    running = Running({key: entry.pool for key, entry in total.pools.items()}, instance.problem.sites)
    return World(instance, choices, total, running, Charts())


def test_the_nearest_are_those_that_a_look_at_every_site_finds(world: World) -> None:
    compared = 0
    for workload, choice in world.some():
        found = dict(orders(world.instance, workload, choice, world.running, world.charts))
        for stage in (stage for stage in choice.graph.stages if stage.models):
            named = [target.option for target in found.get(stage.name, ()) if target.stage == stage.name]
            assert named == _everywhere(world, workload, choice, stage)[:MOST]
            compared += len(named)
    assert compared > 100


def test_there_is_more_than_is_tried_at_once(world: World) -> None:
    stages = {(stage.name, stage.models): stage for _, choice in world.some() for stage in choice.graph.stages}
    origin = next(site for site in world.instance.problem.sites.values() if site.spec.connectivity.mode == "connected")
    assert max(len(world.running.offering(stage, origin)) for stage in stages.values()) > MOST_AT_ONCE


def _everywhere(world: World, workload: Workload, choice: Choice, stage: Stage) -> list[Option]:
    """Return every other running pool that may take over a stage, the nearest first."""
    timing = Timing(workload, choice, world.charts.of(workload, choice.graph))
    taken, detour, sites = choice.options[stage.name], Detour(timing, stage), world.instance.problem.sites
    ranked = []
    for option in workload.options[stage.name]:
        runs = option.pool is not None and option.pool.key in world.total.pools
        if not runs or option.key == taken.key or not workload.cohort.stands_in(stage, sites[option.site]):
            continue
        places = {name: sites[each.site] for name, each in choice.options.items()} | {stage.name: sites[option.site]}
        domains = (
            [domain_of(places[name], apart.by) for name in apart.stages]
            for apart in binding(workload.pipeline, choice.graph)
            if stage.name in apart.stages
        )
        rank = detour.rank(option)
        if rank is not None and all(a is not None and a != b for a, b in domains):
            ranked.append((rank, option))
    return [option for _, option in sorted(ranked, key=lambda pair: pair[0])]


def test_a_share_is_what_exact_fractions_round_to_and_all_of_them_are_the_cost(world: World) -> None:
    shares, paid = Shares(world.total), 0.0
    for name, choice in world.choices.items():
        workload = world.instance.workloads[name]
        part = _exactly(world.total, workload, choice)
        paid += float(part)
        assert shares.of(workload, [(choice, routed(workload, choice))]) == money(part)
    assert paid == pytest.approx(float(world.total.per_hour))


def _exactly(total: Tally, workload: Workload, choice: Choice) -> Fraction:
    """Return a workload's part of every pool by its part of what is wanted of it, and its own egress."""
    cost = Fraction(0)
    for stage in choice.graph.stages:
        pool = choice.options[stage.name].pool
        if pool is not None:
            entry = total.pools[pool.key]
            wanted = workload.rate * exact(stage.share) / workload.utilisation
            cost += entry.replicas * pool.per_hour * wanted / entry.wanted
    for edge, route in routed(workload, choice):
        cost += egress_per_hour(workload.rate * edge.share, edge.bytes, route.price)
    return cost

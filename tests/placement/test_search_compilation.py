"""A large problem compiled by class means what its objects say, option by option and hop by hop."""

from __future__ import annotations

import datetime as dt
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from placement.exact.engine import solve
from placement.instance import Instance, instance_of
from placement.network import Network
from placement.problem import Problem, read_problem
from placement.rulings import Rulings
from placement.search.compilation import compile_layout, layout_of
from placement.search.compiled import Compiled
from placement.search.decoding import decode
from placement.search.layout import NOWHERE, Packing, Placing
from placement.search.tables import ways_of
from placement.search.ways import hops, route
from placement.search.wires import plain_ways, wires_of
from placement.solution import Solution
from sites.quantity import Price
from sites.site import Link
from tests.support.search import differences
from tests.support.search_draw import Draw
from tools.fleets import write_fleet

CLINICS = Path("sites/examples/clinics")
FIRST = dt.date(2026, 12, 1)


def compared(problem: Problem) -> list[str]:
    """Return what the two compilations of a problem say differently."""
    return list(differences(compile_layout(problem, Rulings(problem)), layout_of(instance_of(problem))))


def test_the_clinics_mean_the_same() -> None:
    assert compared(read_problem(CLINICS, FIRST)) == []


def test_a_generated_fleet_means_the_same(tmp_path: Path) -> None:
    write_fleet(tmp_path / "fleet", 12, 1)
    assert compared(read_problem(tmp_path / "fleet", FIRST)) == []


@pytest.mark.parametrize("seed", range(40))
def test_a_small_fleet_of_every_kind_means_the_same(seed: int) -> None:
    assert compared(Draw(seed).problem()) == []


def test_some_workloads_mean_what_they_mean_among_all() -> None:
    problem = Draw(3).problem()
    every = compile_layout(problem, Rulings(problem))
    some = frozenset(every.workloads[::3])
    few = compile_layout(problem, Rulings(problem), some)
    assert few.workloads == tuple(name for name in every.workloads if name in some)
    assert list(differences(few, layout_of(instance_of(problem, some)))) == []


def test_the_same_problem_gives_the_same_bytes() -> None:
    one, other = (compile_layout(problem, Rulings(problem)) for problem in (Draw(5).problem(), Draw(5).problem()))
    assert [column.tobytes() for column in one.layout.works] == [column.tobytes() for column in other.layout.works]
    assert one.layout.ways.open.tobytes() == other.layout.ways.open.tobytes()


@pytest.mark.parametrize("seed", range(40))
def test_tables_find_the_paths_that_the_network_finds(seed: int) -> None:
    draw = random.Random(seed)
    names = [f"s{index:02}" for index in range(draw.randint(3, 14))]
    network = _wired(names, draw)
    serving = np.array([draw.random() < 0.35 for _ in names])
    wires, _, _ = wires_of(network, names)
    closed = [{tuple(sorted(hop)) for hop in network.wires if draw.random() < 0.15} for _ in range(3)]
    masks = [frozenset(hop for hop in network.wires if tuple(sorted(hop)) not in each) for each in closed]
    plain = plain_ways(network, names, masks)
    fast = ways_of(wires, serving, plain.open)
    ours, its = np.zeros(fast.longest, np.int64), np.zeros(plain.longest, np.int64)
    for mask in range(3):
        for a in range(len(names)):
            for b in np.flatnonzero(serving | serving[a]).tolist():
                assert route(fast, mask, a, b) == route(plain, mask, a, b)
                count, same = hops(fast, mask, a, b, ours), hops(plain, mask, a, b, its)
                assert ours[:count].tolist() == its[:same].tolist()


def _wired(names: list[str], draw: random.Random) -> Network:
    """Return a network of few different round trips and prices, so that many paths tie; some take no time at all."""
    wires = {}
    for _ in range(draw.randint(2, 3 * len(names))):
        a, b = draw.sample(names, 2)
        price = Price(Fraction(draw.choice([0, 1, 1, 2]), 100), "EUR")
        speed = draw.choice([10, 20, 30]) * 10**6
        link = Link.model_construct(to=b, bandwidth=speed, rtt=draw.randint(draw.randint(0, 1), 3), price=price)
        if (a, b) not in wires:
            wires[a, b] = wires[b, a] = link
    neighbours = {name: tuple(sorted(b for a, b in wires if a == name)) for name in names}
    return Network(wires, neighbours, frozenset())


def test_what_a_search_chose_is_told_in_the_words_of_the_exact_engine() -> None:
    problem = read_problem(CLINICS, FIRST)
    instance, compiled = instance_of(problem), compile_layout(problem, Rulings(problem))
    solution = solve(instance)
    assert solution is not None
    choices, packing = decode(compiled, instance, *_encoded(compiled, instance, solution))
    assert choices == dict(solution.choices)
    assert packing == {key: tuple(sorted(places, key=str)) for key, places in solution.packing.items()}


def _encoded(compiled: Compiled, instance: Instance, solution: Solution) -> tuple[Placing, Packing]:
    """Return a solution as a search would have chosen it."""
    works, layout = compiled.layout.works, compiled.layout
    slots = int(works.first_slot[-1])
    placing = Placing(*(np.full(size, NOWHERE, np.int32) for size in (len(compiled.workloads), slots, slots)))
    for work, name in enumerate(compiled.workloads):
        if name in solution.choices:
            choice, pipeline = solution.choices[name], works.pipeline[work]
            at = instance.workloads[name].graphs.index(choice.graph)
            placing.shape[work] = layout.shapes.first[pipeline] + at
            for stage, option in choice.options.items():
                slot = works.first_slot[work] + compiled.slots[pipeline].index(stage)
                placing.site[slot] = compiled.sites.index(option.site)
                placing.pool[slot] = NOWHERE if option.pool is None else compiled.pools.index(option.pool.key)
    rows = [
        (pool, layout.groups.first_node[layout.pools.group[pool]] + node, NOWHERE if device is None else device)
        for pool, key in enumerate(compiled.pools)
        for node, device in sorted(solution.packing.get(key, ()), key=str)
    ]
    return placing, Packing(*(np.array(column, np.int32) for column in zip(*rows, strict=True)))

"""The proven optimum: one solve per goal, in their order, for each group of workloads that share anything.

Goals are solved in turn and each is then held by a row, without penalties. Every solution is verified in exact
arithmetic; what only a float allows is cut off and the goal is solved again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

from placement.candidates import PoolKey
from placement.capacity import Demand, Place, pack
from placement.errors import PlacementError
from placement.graph import ANSWER, INPUT
from placement.highs import Solved
from placement.instance import Instance, Workload
from placement.model import Model, Move, as_floats, possible
from placement.solution import HOP_LIMIT, Choice, Solution, latency_us, tally

NAME = "exact"
MOST_CUTS = 50
COST_SCALE = 1000
"""The dearest column of the cost goal becomes this, so that relative tolerances mean the same in every currency."""

Current = Mapping[str, Mapping[str, Move]]
"""Where the stages of the current plan's workloads are."""


def solve(instance: Instance, *, current: Current | None = None, must: Collection[str] = ()) -> Solution | None:
    """Return the optimum of an instance, or None when a workload in `must` cannot be placed.

    Args:
        current: where stages are now; when given, moves are fewest before cost is least.
        must: ids of workloads that may not stay unplaced.
    """
    choices: dict[str, Choice] = {}
    packing: dict[PoolKey, tuple[Place, ...]] = {}
    bound, is_proven, work = Fraction(0), True, 0
    for members in components(instance):
        found = _solve_component(instance, members, current, must)
        if found is None:
            return None
        choices |= found.choices
        packing |= found.packing
        bound, is_proven, work = bound + found.bound, is_proven and found.is_proven, work + found.work
    return Solution(choices, packing, bound, is_proven, work)


def can_all_be_placed(instance: Instance) -> bool:
    """Return whether every workload of an instance can be placed at once, at whatever cost."""
    for workload in instance.workloads.values():
        if all(possible(workload, graph) is None for graph in workload.graphs):
            return False
    for members in components(instance) if len(instance.workloads) > 1 else [list(instance.workloads)]:
        model = Model(instance)
        for name in members:
            model.add(instance.workloads[name], must=True)
        model.close()
        if _Run(model).minimise({}, Fraction(1)) is None:
            return False
    return True


def components(instance: Instance) -> list[list[str]]:
    """Return groups of workload ids that share no site and no wire with one another: each is solved alone."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for workload in instance.workloads.values():
        for site in sorted(_touched(workload)):
            parent[root(f"at {site}")] = root(workload.id)
    groups: dict[str, list[str]] = {}
    for name in instance.workloads:
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def _touched(workload: Workload) -> set[str]:
    """Return every site at which a workload could run, or through which its flows could pass."""
    found: set[str] = set()
    home = workload.origin.name
    for graph in workload.graphs:
        places = {stage.name: {o.site for o in workload.options[stage.name]} for stage in graph.stages}
        found.update(*places.values())
        for edge in graph.edges:
            for a in {home} if edge.source == INPUT else places[edge.source]:
                for b in {home} if edge.target == ANSWER else places[edge.target]:
                    route = workload.route(edge, a, b)
                    found.update(route.sites if route is not None else ())
    return found


@dataclass(slots=True)
class _Run:
    """One component's solves so far."""

    model: Model
    work: int = 0
    is_proven: bool = True
    cuts: int = 0

    def minimise(self, goal: Mapping[int, Fraction], scale: Fraction) -> Solved | None:
        """Solve for a goal until what is found also holds exactly."""
        while True:
            solved = self.model.programme.minimise(as_floats(goal, scale))
            if solved is None:
                return None
            self.work += solved.work
            self.is_proven = self.is_proven and solved.is_optimal
            wrong = _faults(self.model, solved)
            if not wrong:
                return solved
            self.cuts += 1
            if self.cuts > MOST_CUTS:
                raise PlacementError(
                    "the solver's tolerances and the exact limits do not meet; please report the fleet"
                )
            columns = self.model.columns_of(wrong)
            self.model.programme.row([(column, 1.0) for column in columns], upper=len(columns) - 1.0)

    def hold(self, goal: Mapping[int, Fraction], solved: Solved) -> None:
        """Let no later goal undo this one; weights are whole numbers here, so half of one parts better from equal."""
        reached = sum((value for column, value in goal.items() if solved.values[column] > 0.5), Fraction(0))
        scale = _whole(goal.values())
        self.model.programme.row(
            [(column, float(value * scale)) for column, value in goal.items()], upper=float(reached * scale) + 0.5
        )


def _solve_component(
    instance: Instance, members: Iterable[str], current: Current | None, must: Collection[str]
) -> Solution | None:
    model = Model(instance)
    for name in members:
        model.add(instance.workloads[name], must=name in must)
    if not any(model.served.values()):
        return None if any(name in must for name in model.unplaced) else Solution({}, {}, Fraction(0), True, 0)
    model.close()
    run = _Run(model)
    goals = [model.unplaced_goal, model.degraded_goal]
    if current is not None:
        goals.append(model.moves_goal(current))
    for goal in goals:
        if goal:
            solved = run.minimise(goal, _whole(goal.values()))
            if solved is None:
                return None
            run.hold(goal, solved)
    return _cheapest(run)


def _cheapest(run: _Run) -> Solution | None:
    goal = run.model.cost_goal
    scale = Fraction(COST_SCALE) / (max(goal.values(), default=Fraction(0)) or 1)
    solved = run.minimise(goal, scale)
    if solved is None:
        return None
    choices = run.model.read(solved.values)
    packing = _packed(run.model, choices, solved)
    if packing is None:
        raise PlacementError("replicas that were counted do not lie on their nodes; please report the fleet")
    cost = tally(run.model.instance, choices).per_hour
    # A proved optimum is one to the tolerance of the goal (1e-6); only an unproved one leaves a bound apart from it.
    bound = cost if run.is_proven else max(Fraction(0), min(cost, Fraction(solved.bound) / scale))
    return Solution(choices, packing, bound, run.is_proven, run.work)


def _whole(values: Iterable[Fraction]) -> Fraction:
    """Return the factor that makes all values whole numbers."""
    return Fraction(lcm(*(value.denominator for value in values)))


def _faults(model: Model, solved: Solved) -> dict[str, Choice]:
    """Return the choices that together break an exact limit; empty when all hold."""
    choices = model.read(solved.values)
    for name, choice in choices.items():
        workload = model.instance.workloads[name]
        if workload.limit_us is not None and latency_us(workload, choice) > workload.limit_us:
            return {name: choice}
    total = tally(model.instance, choices)
    for hop, load in total.hops.items():
        if load > model.instance.problem.network.wires[hop].bandwidth * HOP_LIMIT:
            return choices
    return {} if _packed(model, choices, solved) is not None else choices


def _packed(model: Model, choices: Mapping[str, Choice], solved: Solved) -> dict[PoolKey, tuple[Place, ...]] | None:
    """Return a place for every replica; None when some group does not hold them."""
    found = model.read_places(solved.values)
    groups: dict[tuple[str, str], list[Demand]] = {}
    for key, load in tally(model.instance, choices).pools.items():
        groups.setdefault((key.site, key.hardware), []).append(load.demand)
    places: dict[PoolKey, tuple[Place, ...]] = {}
    for _, demands in sorted(groups.items()):
        packed = pack(demands[0].pool.group, demands, found)
        if packed is None:
            return None
        places |= packed
    return places

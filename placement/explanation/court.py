"""One workload before the court: whether it can be served, and at what price, when something is changed.

The oracle answers; the solver does where the oracle cannot know. Nothing that is tried here is ever a plan.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from placement.cost import replica_per_hour
from placement.errors import PlacementError
from placement.exact.reach import is_small
from placement.explanation.change import AS_IT_IS, Change
from placement.explanation.ledger import EMPTY, Ledger, Room, added_cost
from placement.explanation.oracle import MOST_STAGES, UnsureError, Way, best_way
from placement.explanation.parts import a_way
from placement.explanation.worlds import Worlds
from placement.instance import Instance, Workload, instance_of
from placement.problem import Problem
from placement.rulings import Rulings
from placement.solution import Choice, Failure, tally

T = TypeVar("T")

MOST_HELD = 60
"""Workloads that the solver can hold still around one; with more beside it, what the oracle cannot know stays open."""


class UndecidedError(Exception):
    """Neither the oracle nor the solver could decide a trial."""


@dataclass(slots=True)
class Court:
    """What all workloads of one plan are tried with: the others' loads, and what the law said.

    Attributes:
        room: what others take, where that is known without them: an instance then holds one workload alone.
        whole: returns the court of all workloads, for what has to be solved with them; None when this is it.
        law: rulings by the residency rules that were set aside: nothing else that is changed alters them.
        seen: how often each cause was found for some workload: it is likely to be one of the next, too.
        solves: trials that may still go to the solver, each as long as hundreds that do not; None for any number.
    """

    instance: Instance
    choices: Mapping[str, Choice]
    failures: tuple[Failure, ...] = ()
    room: Room | None = None
    whole: Callable[[], Court] | None = None
    law: dict[frozenset[str], Rulings] = field(default_factory=dict)
    seen: Counter[tuple[str, ...]] = field(default_factory=Counter)
    solves: int | None = None
    _worlds: Worlds | None = None
    _ledger: Ledger | None = None
    _together: dict[str, Collection[str]] = field(default_factory=dict)

    @property
    def ledger(self) -> Ledger:
        """Return what is taken, added up at the first question."""
        if self._ledger is None:
            self._ledger = Ledger(self.instance, self.choices)
        return self._ledger

    @property
    def worlds(self) -> Worlds:
        """Return the fleet without families of rules."""
        if self._worlds is None:
            self._worlds = Worlds(self.instance.problem, self.rulings)
        return self._worlds

    def rulings(self, problem: Problem, legal: frozenset[str]) -> Rulings:
        """Return the rulings without some rules, shared among all trials that set the same aside."""
        if not legal:
            return self.instance.rulings
        if legal not in self.law:
            self.law[legal] = Rulings(problem)
        return self.law[legal]

    def beside(self, name: str) -> dict[str, Choice]:
        """Return the choices of the others that share a site or a wire with a workload."""
        from placement.exact.engine import components  # the solver costs a tenth of a second, and is seldom asked

        if not self._together:
            groups = components(self.instance)
            self._together.update({member: group for group in groups for member in group})
        near = set(self._together[name])
        return {other: choice for other, choice in self.choices.items() if other in near and other != name}

    def count_solve(self) -> None:
        """Count a trial that goes to the solver. Raises UndecidedError when none is left."""
        if self.solves is not None:
            if self.solves <= 0:
                raise UndecidedError("the solver was asked often enough for one plan")
            self.solves -= 1

    def bench(self, name: str, *, is_alone: bool) -> Bench:
        """Return the bench of one workload: in the empty fleet, or beside the others where they are."""
        room = EMPTY if is_alone else self.room or self.ledger.without(name)
        return Bench(self, self.instance.workloads[name], room, is_alone)


@dataclass(slots=True)
class Bench:
    """Trials of one workload; `trials` counts them, `held` is a stage with the site at which it must be."""

    court: Court
    workload: Workload
    room: Room
    is_alone: bool
    held: tuple[str, str] | None = None
    trials: int = 0
    _placed: dict[tuple[str, ...], bool] = field(default_factory=dict)

    @property
    def problem(self) -> Problem:
        """Return the problem with nobody else's pipelines, models and stores: all that is tried here."""
        return self.court.worlds.problem(self.workload.pipeline)

    def problem_with(self, change: Change) -> Problem:
        """Return the same with a change."""
        world = self.court.worlds.problem(self.workload.pipeline, change.families)
        return world if change.altered is None else change.altered(world)

    def workload_rules(self) -> set[str]:
        """Return the families that bind the workload as a whole, so that no site's refusals name them."""
        spec, network = self.workload.pipeline.spec, self.problem.network
        found = {f"apart:{rule.by}" for rule in spec.apart} | {f"spread:{rule.stage}" for rule in spec.spread}
        found |= {"latency"} if spec.latency is not None else set()
        found |= {"survive"} if spec.survive else set()
        return found | ({"link:intermittent"} if network.intermittent else set())

    @property
    def is_served(self) -> bool:
        """Return whether it is served at all, degraded or not; only the declared graph then is as good or better."""
        return self.workload.id in self.court.choices

    def under(self, change: Change, *, is_brief: bool = True) -> Workload:
        """Return the workload as it would be."""
        return self._under(change, self.problem_with(change), is_brief=is_brief)

    def _under(self, change: Change, problem: Problem, *, is_brief: bool) -> Workload:
        worlds, pipeline = self.court.worlds, self.workload.pipeline
        made = worlds.maker(pipeline, change.families, change.legal, is_brief=is_brief)
        if change.altered is not None:
            made = worlds.altered(made, problem)
        workload = made.workload(problem.sites[self.workload.origin.name])
        workload = workload if change.rate is None else replace(workload, rate=change.rate)
        return workload if self.held is None else held_at(workload, *self.held)

    def best(self, change: Change = AS_IT_IS) -> Way | None:
        """Return the best way to serve it, better than now; None when there is none. Raises UndecidedError."""
        self.trials += 1
        problem, workload = self._tried(change)
        try:
            return best_way(problem, workload, self._room(), workload.graphs)
        except UnsureError:
            return self._before_solver(lambda bench: bench._solved(change, workload))

    def is_placed(self, change: Change = AS_IT_IS) -> bool:
        """Return whether it could be served, better than now. Raises UndecidedError."""
        if change.altered is not None or change.rate is not None:
            return self._is_placed(change)
        if change.families not in self._placed:
            self._placed[change.families] = self._is_placed(change)
        return self._placed[change.families]

    def _is_placed(self, change: Change) -> bool:
        self.trials += 1
        problem, workload = self._tried(change)
        try:
            if workload.pipeline.spec.split:
                return a_way(problem, workload, self._room(), workload.graphs) is not None
            return best_way(problem, workload, self._room(), workload.graphs, any_will_do=True) is not None
        except UnsureError:
            return self._before_solver(lambda bench: bench._is_solvable(change, workload))

    def _tried(self, change: Change) -> tuple[Problem, Workload]:
        """Return the problem with a change, and the workload in it with the graphs that are better than now."""
        problem = self.problem_with(change)
        workload = self._under(change, problem, is_brief=True)
        is_better = self.is_served and self.held is None
        return problem, replace(workload, graphs=workload.graphs[:1]) if is_better else workload

    def dearer(self, change: Change, way: Way) -> Fraction:
        """Return what the plan costs more per hour with a change and this way, everybody else where they are."""
        return way.per_hour + self._others_dearer(change) - self.now_per_hour

    @property
    def now_per_hour(self) -> Fraction:
        """Return what the plan costs more per hour for serving it as it does now."""
        name = self.workload.id
        choice = self.court.choices.get(name)
        return Fraction(0) if choice is None else added_cost(self.workload, choice, self.room)

    def _room(self) -> Room:
        if self.court.failures and not self.is_alone:
            raise UnsureError("what is reserved for a loss is not in the ledger")
        return self.room

    def _others_dearer(self, change: Change) -> Fraction:
        """Return what the others' replicas cost more per hour on nodes that a change makes larger or dearer."""
        now, then = self.problem.sites, self.problem_with(change).sites
        more = Fraction(0)
        for (site, hardware), loads in self.room.pools.items():
            if then.get(site) is now[site] or site not in then:
                continue
            group = next(g for g in then[site].spec.hardware if g.name == hardware)
            for load in loads.values():
                more += load.replicas * (replica_per_hour(load.pool.needs, group) - load.pool.per_hour)
        return more

    def _before_solver(self, ask: Callable[[Bench], T]) -> T:
        """Return what the bench says that knows all who stand around. Raises UndecidedError."""
        if self.court.whole is not None and not self.is_alone:
            return self.court.whole().bench(self.workload.id, is_alone=False)._before_solver(ask)
        if len(self.workload.pipeline.spec.stages) > MOST_STAGES:
            raise UndecidedError(f"{self.workload.pipeline.name} has more than {MOST_STAGES} stages")
        if not is_small(self.court.instance.problem):
            raise UndecidedError("the solver would take minutes for a question about so large a fleet")
        self.court.count_solve()
        try:
            return ask(self)
        except PlacementError as error:
            raise UndecidedError(str(error)) from error

    def _is_solvable(self, change: Change, own: Workload) -> bool:
        from placement.exact.engine import can_all_be_placed

        return can_all_be_placed(self._trial(change, own))

    def _solved(self, change: Change, own: Workload) -> Way | None:
        from placement.exact.engine import solve

        trial = self._trial(change, own)
        solution = solve(trial, must=set(trial.workloads))
        if solution is None:
            return None
        cost = tally(trial, solution.choices, solution.failures).per_hour
        before = tally(self.court.instance, self._others()).per_hour
        return Way(solution.choices[own.id], cost - before)

    def _others(self) -> dict[str, Choice]:
        return {} if self.is_alone else self.court.beside(self.workload.id)

    def _trial(self, change: Change, own: Workload) -> Instance:
        """Return an instance with the others held where they are. Raises UndecidedError when they are too many."""
        name, beside = self.workload.id, self._others()
        if len(beside) > MOST_HELD:
            raise UndecidedError(f"{len(beside)} workloads stand around {name}")
        problem = change.of(self.court.instance.problem)
        rulings = self.court.rulings(problem, change.legal)
        whole = instance_of(problem, {name, *beside}, rulings, is_brief=True)
        held = {other: pinned(whole.workloads[other], choice) for other, choice in beside.items()}
        return replace(whole, workloads=dict(sorted({**held, name: own}.items())))


def held_at(workload: Workload, stage: str, site: str) -> Workload:
    """Return a workload one of whose stages can only run at one site."""
    graphs = tuple(graph for graph in workload.graphs if stage in {s.name for s in graph.stages})
    there = tuple(option for option in workload.options[stage] if option.site == site)
    return replace(workload, graphs=graphs, options={**workload.options, stage: there})


def pinned(workload: Workload, choice: Choice) -> Workload:
    """Return a workload that can only be served as `choice` says."""
    replaced = {part.graph.replaced for part in choice.parts}
    graphs = tuple(graph for graph in workload.graphs if graph.replaced in replaced)
    keys: dict[str, set[tuple[str, ...]]] = {}
    for part in choice.parts:
        for name, option in part.options.items():
            keys.setdefault(name, set()).add(option.key)
    options = {name: tuple(o for o in workload.options[name] if o.key in taken) for name, taken in keys.items()}
    refuges = workload.refuges or workload.options
    return replace(workload, graphs=graphs, options={**workload.options, **options}, refuges=refuges)

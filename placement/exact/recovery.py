"""Whether what a plan reserves is enough for one loss, and how the workloads that it touches are then served.

As few stages move as can: who only loses a route stays where it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from placement.candidates import Option
from placement.domains import most_at
from placement.exact.faults import are_wires_full, concentration, is_concentrated, too_slow
from placement.exact.model import Load, Model, Shared, read
from placement.exact.serving import Serving, possible
from placement.instance import Instance, Workload
from placement.losses import Loss, after, survives
from placement.pipeline import Stage
from placement.solution import HOP_LIMIT, Choice, Failure, PoolLoad, Tally, is_touched, tally_after
from sites.verdict import Outcome


def is_failover(instance: Instance, workload: Workload, stage: Stage, site: str) -> bool:
    """Return whether a stage may take refuge at a site."""
    there, label = instance.problem.sites[site], workload.labels.stages[stage.name]
    verdict = instance.rulings.stage(workload.pipeline, stage, label, there, workload.origin, failover=True)
    return verdict.outcome == Outcome.permit


def recover(instance: Instance, choices: Mapping[str, Choice], held: Tally, loss: Loss) -> Failure | None:
    """Return how everybody who survives is served after a loss within what is held; None when that is not enough."""
    return _Recovery(instance, choices, held, loss).found()


@dataclass(slots=True)
class _Recovery:
    """The small programme of one loss: only who is touched is placed anew, beside the others as they are."""

    instance: Instance
    choices: Mapping[str, Choice]
    held: Tally
    loss: Loss
    _model: Model = field(init=False)
    _shared: Shared = field(default_factory=Shared)
    _served: dict[str, list[Serving]] = field(default_factory=dict)
    _moves: dict[int, float] = field(default_factory=dict)

    def found(self) -> Failure | None:
        """Return the failure with the fewest moves, or None."""
        self._model = Model(self.instance)
        for name, choice in self.choices.items():
            workload = self.instance.workloads[name]
            is_hurt = survives(workload) and not self.loss.takes(workload.origin.name)
            if is_hurt and is_touched(workload, choice, self.loss) and not self._place(workload, choice):
                return None
        self._limit()
        solved = self._model.programme.minimise(self._moves)
        if solved is None:
            return None
        failure = Failure(self.loss, read(self._served, solved.values))
        return failure if self._holds(failure) else None

    def _place(self, workload: Workload, choice: Choice) -> bool:
        """Add the servings of one workload; return whether there are any."""
        spec = workload.pipeline.spec
        stages = {stage.name: stage for stage in (*spec.stages, *spec.fallbacks)}
        normal: dict[str, set[Option]] = {}
        for part in choice.parts:
            for name, option in part.options.items():
                normal.setdefault(name, set()).add(option)
        given = workload.refuges or workload.options
        options = {
            name: [o for o in found if self._is_open(workload, stages[name], o, normal.get(name, set()))]
            for name, found in given.items()
        }
        then = after(self.instance, workload, self.loss)
        graphs = [graph if choice.is_degraded or not graph.replaced else None for graph in workload.graphs]
        places = [None if graph is None else possible(then, graph, options) for graph in graphs]
        servings = self._model.serve(then, places, self._shared, [], 1.0) if any(places) else []
        self._served[workload.id] = servings
        for serving in servings:
            for name, spots in serving.spots.items():
                stay = {option.key for option in normal.get(name, set())}
                self._moves |= {spot.chosen: 1.0 for spot in spots if spot.option.key not in stay}
        return bool(servings)

    def _is_open(self, workload: Workload, stage: Stage, option: Option, normal: Collection[Option]) -> bool:
        """Return whether a stage may be at an option then: something is held for it there, and the law permits it."""
        if self.loss.takes(option.site):
            return False
        if option.pool is not None:
            entry = self.held.pools.get(option.pool.key)
            if entry is None or (stage.knowledge is not None and stage.knowledge not in entry.stores):
                return False
        stays = any(option.site == other.site for other in normal)
        return stays or is_failover(self.instance, workload, stage, option.site)

    def _limit(self) -> None:
        """Leave to those who are placed anew what the others do not take of all that is held."""
        left = tally_after(self.instance, self.choices, Failure(self.loss, {}))
        problem = self.instance.problem
        for key, loads in self._shared.pools.items():
            entry = self.held.pools[key]
            self._row(loads, entry.replicas * entry.pool.throughput, left.pools.get(key, PoolLoad(entry.pool)).wanted)
        for hop, loads in self._shared.hops.items():
            self._row(loads, problem.network.wires[hop].bandwidth * HOP_LIMIT, left.hops.get(hop, Fraction(0)))
        served = concentration(self.instance, self._untouched())
        for (name, index, domain), loads in self._shared.wards.items():
            pipeline = problem.pipelines[name]
            limit = most_at(pipeline, pipeline.spec.spread[index], problem.sites)
            self._row(loads, limit, served.get((name, index, domain), Fraction(0)))

    def _row(self, loads: Sequence[Load], limit: Fraction, taken: Fraction) -> None:
        if taken + sum(load for _, _, load in loads) > limit:
            terms = [(column, float(load / limit)) for _, column, load in loads]
            self._model.programme.row(terms, upper=float(1 - taken / limit))

    def _untouched(self) -> dict[str, Choice]:
        workloads = self.instance.workloads
        return {n: c for n, c in self.choices.items() if not is_touched(workloads[n], c, self.loss)}

    def _holds(self, failure: Failure) -> bool:
        """Return whether it holds in exact arithmetic as well."""
        total = tally_after(self.instance, self.choices, failure)
        if any(entry.replicas > self.held.pools[key].replicas for key, entry in total.pools.items()):
            return False
        if any(too_slow(self.instance, {}, [failure])) or are_wires_full(self.instance, total):
            return False
        return not is_concentrated(self.instance, self._untouched() | dict(failure.choices))

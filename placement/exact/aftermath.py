"""What a model adds for one loss: workloads that survive are served again where it touches them, and nobody else moves.

Only what may be asked of a pool, a wire or a domain by somebody who survives is counted again; of everything else less
is taken than in normal running.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from placement.exact.model import Load, Model, Shared
from placement.exact.recovery import is_failover
from placement.exact.serving import Serving, possible
from placement.instance import Workload
from placement.losses import Loss, after, survives


@dataclass(slots=True)
class Aftermath:
    """The columns of one loss.

    Attributes:
        touched: one where a workload loses a stage or a flow, by workload; who is missing cannot be touched.
        gone: workloads whose origin is lost.
        served: the servings of those that survive.
    """

    model: Model
    loss: Loss
    touched: dict[str, int] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    served: dict[str, list[Serving]] = field(default_factory=dict)
    _left: dict[int, int] = field(default_factory=dict)
    _hit: dict[int, list[int]] = field(default_factory=dict)

    def add(self) -> None:
        """Add everything to the model, after the last workload and before it is closed."""
        shared = Shared()
        for name, servings in self.model.served.items():
            workload = self.model.instance.workloads[name]
            if self.loss.takes(workload.origin.name):
                self.gone.add(name)
                continue
            self._touch(name, servings)
            if survives(workload) and name in self.touched:
                self._serve(workload, shared)
        normal = self.model.shared[0]
        for key, loads in shared.pools.items():
            loads += self._remaining(normal.pools.get(key, ()))
        for hop, loads in shared.hops.items():
            loads += self._remaining(normal.hops.get(hop, ()))
        for ward, loads in shared.wards.items():
            loads += self._remaining(normal.wards.get(ward, ()))
        self.model.shared.append(shared)

    def _touch(self, name: str, servings: Iterable[Serving]) -> None:
        programme = self.model.programme
        groups = [columns for serving in servings for columns in serving.touched(self.loss)]
        if groups:
            touched = self.touched[name] = programme.column()
            for columns in groups:
                programme.row([*((column, 1.0) for column in columns), (touched, -1.0)], upper=0.0)
            programme.row([(touched, 1.0), *((c, -1.0) for columns in groups for c in columns)], upper=0.0)
            hit = {column for columns in groups for column in columns}
            for spots in (spots for serving in servings for spots in serving.spots.values()):
                parts = [spot.part for spot in spots if spot.chosen in hit]
                self._hit |= {spot.part: parts for spot in spots}

    def _serve(self, workload: Workload, shared: Shared) -> None:
        """Serve a survivor where it is touched, with fallbacks only if it needs them already."""
        model, name = self.model, workload.id
        then = after(model.instance, workload, self.loss)
        options = {
            stage: [option for option in found if not self.loss.takes(option.site)]
            for stage, found in (workload.refuges or workload.options).items()
        }
        places = [possible(then, graph, options) for graph in workload.graphs]
        servings = self.served[name] = model.serve(then, places, shared, [(self.touched[name], -1.0)], 0.0)
        normally = [(column, -1.0) for column in model.degraded[name]]
        for serving in servings:
            if serving.graph.replaced:
                model.programme.row([(serving.used, 1.0), *normally], upper=0.0)
            self._permit(serving, model.served[name])

    def _permit(self, serving: Serving, normal: Sequence[Serving]) -> None:
        """Let no stage move to a site at which it would be no permitted failover."""
        for stage in serving.graph.stages:
            for site in sorted({spot.option.site for spot in serving.spots[stage.name]}):
                if not is_failover(self.model.instance, serving.workload, stage, site):
                    stays = [c for other in normal for name, here in other.at(site) if name == stage.name for c in here]
                    here = [spot.chosen for spot in serving.spots[stage.name] if spot.option.site == site]
                    for column in here:
                        self.model.programme.row([(column, 1.0), *((c, -1.0) for c in stays)], upper=0.0)

    def _remaining(self, loads: Iterable[Load]) -> list[Load]:
        """Return what normal running leaves of these loads: nothing of the touched."""
        return [(name, self._left_of(name, column), amount) for name, column, amount in loads if name not in self.gone]

    def _left_of(self, name: str, column: int) -> int:
        """Return the column of what is left of one: all of it, or nothing when its workload is touched.

        A stage that is at one of the spots that are hit is at no other, so that these may be counted beside each of the
        others: without that, half a workload here and half there would look as if the loss of either ended both.
        """
        touched = self.touched.get(name)
        if touched is None:
            return column
        if column not in self._left:
            programme = self.model.programme
            left = self._left[column] = programme.column(whole=False)
            beside = [(other, 1.0) for other in self._hit.get(column, ()) if other != column]
            programme.row([(column, 1.0), *beside, (touched, -1.0), (left, -1.0)], upper=0.0)
        return self._left[column]

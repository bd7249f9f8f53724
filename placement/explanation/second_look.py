"""Before anything is called unplaceable the oracle is asked once more: a search may have missed what fits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from placement.explanation.court import Court
from placement.explanation.oracle import UnsureError, best_way
from placement.instance import Instance
from placement.solution import Choice, Failure


def second_look(
    instance: Instance, choices: Mapping[str, Choice], failures: Iterable[Failure] = ()
) -> dict[str, Choice]:
    """Return the choices with all that the oracle can still place, or place as declared, beside the others.

    The heaviest priority goes first; each that is brought in is there for the next. Others stay where they are, so the
    packing has to be made again where anything was found. With `failures` nothing is tried: what is reserved for a loss
    is not in the oracle's ledger.
    """
    found = dict(choices)
    lacking = [n for n in instance.workloads if n not in choices or choices[n].is_degraded]
    if tuple(failures):
        return found
    court = Court(instance, found)
    for name in sorted(lacking, key=lambda name: (-instance.workloads[name].priority, name)):
        workload = instance.workloads[name]
        graphs = workload.graphs[:1] if name in found else workload.graphs
        try:
            way = best_way(instance.problem, workload, court.ledger.without(name), graphs)
        except UnsureError:
            continue
        if way is not None:
            found[name] = way.choice
            court = Court(instance, found)
    return found

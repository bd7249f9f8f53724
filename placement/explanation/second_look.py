"""Before anything is called unplaceable the oracle is asked once more: a search may have missed what fits.

A proof that somebody stopped has more to look for: those of whom it had not come to think. Whoever may be split is
served whole by a search, and in parts here.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from placement.explanation.ledger import Ledger
from placement.explanation.oracle import UnsureError, best_way
from placement.explanation.parts import a_way
from placement.instance import Instance
from placement.solution import Choice

MOST_LOOKS = 1000
"""Workloads that are looked at, the heaviest first: of a fleet where many more lack room, a few find some."""


def second_look(
    instance: Instance, choices: Mapping[str, Choice], hopeless: Collection[str] = frozenset()
) -> dict[str, Choice]:
    """Return the choices with all that the oracle can still place, or place as declared, beside the others.

    The heaviest priority goes first; each that is brought in is there for the next. Others stay where they are, so the
    packing has to be made again where anything was found. For plans that reserve nothing for a loss: the ledger does
    not know of that.

    Args:
        hopeless: who is proved to find no better place, not even alone.
    """
    found, workloads = dict(choices), instance.workloads
    lacking = [n for n in workloads if n not in hopeless and (n not in found or found[n].is_degraded)]
    ledger = Ledger(instance, found) if lacking else None
    for name in sorted(lacking, key=lambda name: (-workloads[name].priority, name))[:MOST_LOOKS]:
        assert ledger is not None
        workload = workloads[name]
        graphs = workload.graphs[:1] if name in found else workload.graphs
        look = a_way if workload.pipeline.spec.split else best_way
        try:
            way = look(instance.problem, workload, ledger.without(name), graphs)
        except UnsureError:
            continue
        if way is not None:
            ledger.put(name, way.choice)
            found[name] = way.choice
    return found

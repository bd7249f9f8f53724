"""The least latency that a workload could have with nobody in its way: where to begin to look for one that suffices."""

from __future__ import annotations

from math import ceil, isfinite

from placement.exact.model import possible
from placement.explanation.fit import Packer
from placement.explanation.ledger import EMPTY
from placement.explanation.oracle import MARGIN, Tree
from placement.graph import INPUT, Graph
from placement.instance import Workload
from placement.problem import Problem


def soonest_us(problem: Problem, workload: Workload, graph: Graph) -> int | None:
    """Return the least latency over one graph with nobody in the way, in whole microseconds.

    A lower bound: exact where no stage waits for two others. None when there is no way, or no wire has room for it.
    """
    options = possible(workload, graph)
    if options is None:
        return None
    tree = Tree(problem, workload, EMPTY, graph, options, Packer(EMPTY), any_will_do=True)
    home = workload.origin.name
    tree.bound_times()
    soonest = max((tree.soonest(e, home) for e in graph.edges if e.source == INPUT and e.counts), default=0.0)
    return ceil(soonest * (1 - MARGIN)) if isfinite(soonest) else None

"""Which workloads have to be planned together: those that may meet at a site, on a wire, or under one rule."""

from __future__ import annotations

from placement.graph import ANSWER, INPUT
from placement.instance import Instance, Workload
from placement.losses import survives


def components(instance: Instance) -> list[list[str]]:
    """Return groups of workload ids that share no site, no wire and no rule with one another: each is solved alone."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = name = parent[parent[name]]
        return name

    for workload in instance.workloads.values():
        for site in sorted(_touched(instance, workload)):
            parent[root(f"at {site}")] = root(workload.id)
        if workload.pipeline.spec.spread:
            parent[root(f"of {workload.pipeline.name}")] = root(workload.id)
    groups: dict[str, list[str]] = {}
    for name in instance.workloads:
        groups.setdefault(root(name), []).append(name)
    return list(groups.values())


def _touched(instance: Instance, workload: Workload) -> set[str]:
    """Return every site at which a workload could run, or through which its flows could pass, also after a loss."""
    home = workload.origin.name
    if survives(workload):
        return set(instance.problem.network.shortest(home))
    found: set[str] = set()
    for graph in workload.graphs:
        places = {stage.name: {o.site for o in workload.options[stage.name]} for stage in graph.stages}
        found.update(*places.values())
        for edge in graph.edges:
            for a in {home} if edge.source == INPUT else places[edge.source]:
                for b in {home} if edge.target == ANSWER else places[edge.target]:
                    route = workload.route(edge, a, b)
                    found.update(route.sites if route is not None else ())
    return found

"""The failures that a plan has to survive: one site or one link is gone, and routes are what remains of the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from placement.instance import Instance, Workload
from placement.routes import Route


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    """One site, or the wire between two sites (in the order of their names)."""

    lost: tuple[str, ...]

    def __str__(self) -> str:
        """Return `site:NAME` or `link:A--B`, as plans write it."""
        return f"site:{self.lost[0]}" if len(self.lost) == 1 else f"link:{'--'.join(self.lost)}"

    def takes(self, site: str) -> bool:
        """Return whether a site is gone."""
        return self.lost == (site,)

    def cuts(self, route: Route) -> bool:
        """Return whether a route is gone."""
        if len(self.lost) == 1:
            return self.lost[0] in route.sites
        return any(tuple(sorted(hop)) == self.lost for hop in pairwise(route.sites))


def survives(workload: Workload) -> bool:
    """Return whether a workload is to be served whatever single site or link is lost."""
    return workload.pipeline.spec.survive == 1


def losses_on(route: Route) -> Iterator[Loss]:
    """Yield every loss that a route does not outlive."""
    yield from (Loss((site,)) for site in route.sites)
    yield from (Loss(tuple(sorted(hop))) for hop in pairwise(route.sites))


def after(instance: Instance, workload: Workload, loss: Loss) -> Workload:
    """Return a workload whose flows go where the network without the loss lets them."""
    network = instance.problem.network.without(loss.lost)
    tenant = workload.pipeline.metadata.tenant
    return replace(workload, router=instance.rulings.router(tenant, network, workload.origin))

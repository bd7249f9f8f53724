"""What the plan costs per hour, added up again: dominant shares, billed nodes, egress."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from placement.catalogue import Variant
from placement.check.audit import Audit, Run, exact
from placement.check.presence import near
from placement.check.result import Finding
from sites.site import Hardware

MICRO = 1.01e-6
"""Money is rounded to six decimals."""


def dominant_share(variant: Variant, group: Hardware) -> Fraction:
    """Return the largest fraction of a node that one replica takes: cpus, memory, disk or devices."""
    needs = variant.needs
    shares = [
        exact(needs.cpus) / group.cpus,
        Fraction(needs.memory, group.memory),
        Fraction(needs.disk, group.disk),
    ]
    if needs.accelerator and group.accelerators:
        shares.append(Fraction(needs.accelerator, 8 * group.accelerators.count))
    return max(shares)


def egress_per_hour(audit: Audit, runs: tuple[Run, ...]) -> Fraction:
    """Return what the flows of these runs pay on links in an hour."""
    total = Fraction(0)
    for run in runs:
        routes = audit.bench(run.pipeline.metadata.tenant).routes
        for flow, entry in run.flows.items():
            if flow in run.graph.flows and routes.links(entry.route) is not None:
                gigabytes = run.flow_rate(flow) * 3600 * run.flow_bytes(flow) / 10**9
                total += gigabytes * routes.measure(entry.route).price
    return total


def costs(audit: Audit) -> Iterator[Finding]:
    """Yield every sum of money in the plan that does not add up."""
    egress, shares = egress_per_hour(audit, audit.runs), Fraction(0)
    billed: dict[tuple[str, str], Fraction] = {}
    currencies = {group.price.currency for site in audit.snapshot.sites.values() for group in site.spec.hardware}
    for pool in audit.document.pools:
        group, variant = (
            audit.snapshot.group(pool.site, pool.hardware),
            audit.snapshot.variant(pool.model, pool.variant),
        )
        if group and variant:
            shares += pool.replicas * dominant_share(variant, group) * group.price.amount
            billed.update({(pool.site, node): group.price.amount for node in pool.nodes})
    stated = audit.document.cost
    sums = {
        "egressPerHour": (stated.egress_per_hour, egress),
        "perHour": (stated.per_hour, shares + egress),
        "billedPerHour": (stated.billed_per_hour, sum(billed.values(), Fraction(0)) + egress),
    }
    for name, (found, expected) in sums.items():
        if not near(found, float(expected), absolute=MICRO):
            yield Finding("plan/cost", "", name, f"{float(expected):.6f}", f"{found:.6f}")
    if currencies and {stated.currency} != currencies:
        yield Finding("plan/cost", "", "currency", " ".join(sorted(currencies)), stated.currency)
    yield from _bound(audit)


def _bound(audit: Audit) -> Iterator[Finding]:
    """Yield a bound above the cost, or a gap that is not cost over bound; the bound itself is the planner's word."""
    cost = audit.document.cost
    bound = cost.lower_bound_per_hour
    if bound is None:
        return
    if bound > cost.per_hour + max(MICRO, 1e-6 * cost.per_hour):
        yield Finding("plan/bound", "", "lowerBoundPerHour", f"at most {cost.per_hour}", str(bound))
    elif bound > 0 and cost.gap is not None and abs(cost.gap - (cost.per_hour / bound - 1)) > 2 * MICRO / bound + 1e-6:
        yield Finding("plan/bound", "", "gap", f"{cost.per_hour / bound - 1:.6f}", f"{cost.gap:.6f}")

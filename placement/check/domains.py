"""Whether what has to stay apart does, and whether no domain serves more of a pipeline than its rules let it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from placement.check.audit import Audit, Run, exact
from placement.check.load import Ledger
from placement.check.result import Finding
from placement.check.snapshot import rate_of
from sites.country import country_of
from sites.site import Site


def domain_of(site: Site, by: str) -> str | None:
    """Return the site, country or operator that a rule counts a site to; None when nobody says it."""
    if by == "site":
        return site.name
    if by == "country":
        return None if site.spec.location is None else country_of(site.spec.location)
    operator = site.spec.parties.get("operator")
    return operator.name if operator else None


def apart(audit: Audit, run: Run) -> Iterator[Finding]:
    """Yield two stages of an assignment that share a domain which they may not, and stages in an unknown domain."""
    rules = [("apart", rule.by, rule.stages) for rule in run.pipeline.spec.apart]
    rules += [("spread", rule.by, (rule.stage,)) for rule in run.pipeline.spec.spread]
    for name, by, stages in rules:
        running = [run.stages[stage] for stage in stages if stage in run.stages and stage in run.graph.stages]
        found = [domain_of(audit.snapshot.site(entry.site), by) for entry in running]
        for entry, domain in zip(running, found, strict=True):
            if domain is None:
                yield Finding(f"plan/{name}", run.id, entry.stage, f"a site whose {by} is known", entry.site)
        if name == "apart" and len(found) == 2 and found[0] is not None and found[0] == found[1]:
            yield Finding("plan/apart", run.id, " and ".join(stages), f"different {by}", found[0])


def spread(audit: Audit, ledger: Ledger, when: str = "") -> Iterator[Finding]:
    """Yield every domain that serves more of a pipeline's declared rate at a stage than a rule lets it.

    The rate of a pipeline is that of all its origins, whether they are placed or not.
    """
    snapshot = audit.snapshot
    for pipeline in snapshot.pipelines.values():
        for rule in pipeline.spec.spread:
            whole = sum(
                (rate_of(pipeline, snapshot.site(name)) for name in snapshot.origins[pipeline.name]), Fraction()
            )
            served: dict[str | None, Fraction] = defaultdict(Fraction)
            for (site, portion), count in ledger.domains.items():
                if (portion.pipeline, portion.stage) == (pipeline.name, rule.stage):
                    served[domain_of(snapshot.site(site), rule.by)] += count * portion.rate
            for domain, rate in sorted((d, r) for d, r in served.items() if d is not None):
                if rate > exact(rule.most) * whole:
                    expected = f"at most {rule.most:g} of {float(whole):.9g}/s{when}"
                    yield Finding(
                        "plan/spread", "", f"{pipeline.name}/{rule.stage} in {domain}", expected, f"{float(rate):.9g}/s"
                    )

"""What the law says of the stages and hops of a fleet: the evaluator of each tenant, asked once per question."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from placement.pipeline import Pipeline, Stage
from placement.problem import Problem
from placement.routes import Network, Router
from sites.data import Label
from sites.decisions import decide_hop, decide_stage
from sites.site import Link, Site
from sites.verdict import Evaluator, Outcome, Verdict


@dataclass(slots=True)
class Rulings:
    """Verdicts on stages and hops under each tenant's policy; every answer is remembered."""

    problem: Problem
    _evaluators: dict[str, Evaluator] = field(default_factory=dict)
    _known: dict[tuple[object, ...], Verdict] = field(default_factory=dict)
    _routers: dict[tuple[str, str, int], Router] = field(default_factory=dict)

    def evaluator(self, tenant: str) -> Evaluator:
        """Return the evaluator of a tenant's policy over the problem's window."""
        if tenant not in self._evaluators:
            problem = self.problem
            self._evaluators[tenant] = Evaluator(problem.policies[tenant], problem.packs, problem.window)
        return self._evaluators[tenant]

    def stage(
        self, pipeline: Pipeline, stage: Stage, label: Label, site: Site, origin: Site, *, failover: bool
    ) -> Verdict:
        """Return whether a stage with that label may run at a site, as a primary or as a failover target."""
        tenant = pipeline.metadata.tenant
        keeps = stage.task == "retrieve" or stage.knowledge is not None or stage.retain is not None
        queues = stage.is_async or stage.task == "queue"
        key = (tenant, label, site.name, origin.name, stage.purpose, keeps, queues, failover)
        if key not in self._known:
            self._known[key] = decide_stage(
                self.evaluator(tenant), label, site, origin,
                purpose=stage.purpose, retains=keeps, queues=queues, failover=failover,
            )  # fmt: skip
        return self._known[key]

    def hop(self, tenant: str, label: Label, link: Link, a: str, b: str, origin: Site) -> Verdict:
        """Return whether a flow with that label may cross the wire between two sites."""
        key = (tenant, label, min(a, b), max(a, b), origin.name)
        if key not in self._known:
            ends = self.problem.sites[min(a, b)], self.problem.sites[max(a, b)]
            self._known[key] = decide_hop(self.evaluator(tenant), label, link, *ends, origin)
        return self._known[key]

    def router(self, tenant: str, network: Network, origin: Site) -> Router:
        """Return the routes over a network that are open to a tenant's flows from an origin."""
        # A router keeps its network, so that the identity in the key stays that of a living one.
        key = (tenant, origin.name, id(network))
        if key not in self._routers:

            def rule(label: Label, link: Link, a: str, b: str) -> Verdict:
                return self.hop(tenant, label, link, a, b, origin)

            self._routers[key] = Router(network, rule)
        return self._routers[key]

    @property
    def ends(self) -> dt.date | None:
        """Return the first day on which a fact ends that any permit given so far rests on; None when none does."""
        days = (v.until for v in self._known.values() if v.outcome == Outcome.permit and v.until is not None)
        return min(days, default=None)

"""The gateway's own door: a credential asks for a pipeline, and gets its answers or a refusal with the rule.

Order: who asks (401), how much (429), what (403, 404), residency for the label with the floor (451), and only then is
anything logged or run. The record of the decision is on the disk before an answer leaves; local work overlaps that.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from hybrid.gateway.chain import Chain
from hybrid.gateway.credentials import Credential, Credentials
from hybrid.gateway.decision import Preview, preview
from hybrid.gateway.flows import EXPIRED, INPUT, pick, unplaced
from hybrid.gateway.journal import Journal
from hybrid.gateway.limits import Limits
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.refusal import FORBIDDEN, Refusal, RefusedError, missing
from hybrid.gateway.run import Payload, Run
from hybrid.gateway.table import WHOLE, Assignment, AtomIds, Table, Target, Workload
from sites.data import is_or_descends


@dataclass(frozen=True)
class Answer:
    """What a pipeline answered: payloads by place, who served each place, and the request's name in the log."""

    request: str
    pipeline: str
    payloads: Mapping[str, Payload]
    served: Mapping[str, Target]

    @property
    def last(self) -> Payload:
        """Return the answer of the last place in the graph's order."""
        return list(self.payloads.values())[-1]

    def route(self) -> list[dict[str, str | None]]:
        """Return who served each place, for the caller to see."""
        return [
            {"stage": place, "by": target.stage, "site": target.site, "model": target.model, "variant": target.variant}
            for place, target in self.served.items()
        ]


@dataclass(frozen=True)
class Asking:
    """A request that was let in: the workload, its label and the assignment it follows."""

    name: str
    workload: Workload
    assignment: Assignment
    floor: AtomIds
    request: str
    seen: Preview


@dataclass(frozen=True)
class Front:
    """Answers credentials of this site."""

    table: Table
    credentials: Credentials
    chain: Chain
    journal: Journal
    limits: Limits
    metrics: Metrics
    _previews: dict[tuple[str, int, AtomIds], Preview] = field(default_factory=dict)

    def who(self, authorization: str | None) -> Credential:
        """Return who asks. Raises RefusedError: 401 unknown, 429 too often."""
        found = self.credentials.who(authorization)
        if isinstance(found, Refusal):
            raise RefusedError(found)
        too_many = self.limits.take(f"key:{found.id}", rate=found.rate, burst=found.burst)
        if too_many is not None:
            raise RefusedError(too_many)
        return found

    def pipelines(self, credential: Credential) -> list[str]:
        """Return the pipelines that this credential may name here, sorted."""
        return sorted(p for p in credential.pipelines if f"{p}@{credential.origin}" in self.table.workloads)

    def asking(self, credential: Credential, pipeline: str) -> Asking:
        """Return what a request of `credential` for `pipeline` is, decided for its label; nothing is run or logged.

        Raises:
            RefusedError: 403 a pipeline or purpose that the credential does not have, 404 none such here, 451 or 503
                when the plan placed it nowhere.
        """
        if pipeline not in credential.pipelines:
            raise RefusedError(Refusal(FORBIDDEN, "gateway/pipeline", "this credential may not ask for that pipeline"))
        name = f"{pipeline}@{credential.origin}"
        workload = self.table.workloads.get(name)
        if workload is None or workload.tenant != credential.tenant:
            raise RefusedError(missing("pipeline of that name"))
        if not self.table.holds_on(self.journal.now().date()):
            raise RefusedError(EXPIRED)
        if not workload.assignments:
            raise RefusedError(unplaced(name, workload))
        _require_purposes(credential, workload)
        floor = frozenset(atom for data in credential.floor for atom in self.table.floor(data, workload))
        request = secrets.token_hex(16)
        assignment = pick(workload.assignments, int(request[:12], 16) % WHOLE)
        return Asking(name, workload, assignment, floor, request, self._preview(name, workload, assignment, floor))

    def _preview(self, name: str, workload: Workload, assignment: Assignment, floor: AtomIds) -> Preview:
        key = (name, workload.assignments.index(assignment), floor)
        if key not in self._previews:
            self._previews[key] = preview(self.table, name, workload, assignment, floor)
        return self._previews[key]

    async def ask(self, credential: Credential, pipeline: str, payload: Payload, body: bytes) -> Answer:
        """Serve one request; `payload` is the pipeline's input, `body` the bytes it came in, which are committed to.

        Raises:
            RefusedError: 403, 404, 451, 503; a 451 or 503 is in the log.
        """
        began = perf_counter()
        with self.limits.place():
            asking = self.asking(credential, pipeline)
            run = Run(
                asking.name, asking.workload, asking.assignment, asking.floor, {INPUT: payload}, asking.request,
                purposes=asking.workload.purposes,
            )  # fmt: skip
            decided = self._decision(run, asking.seen, body)
            kept = asyncio.ensure_future(self.journal.kept(decided))
            try:
                if asking.seen.refusal is not None:
                    raise RefusedError(asking.seen.refusal)
                await self.chain.run(run)
                return Answer(run.request, pipeline, run.answers(), run.served)
            except RefusedError as error:
                kept = asyncio.ensure_future(self.journal.kept(self._refused(run, error.refusal)))
                raise
            finally:
                await kept
                self.metrics.took(perf_counter() - began, pipeline=pipeline)

    def _decision(self, run: Run, seen: Preview, body: bytes) -> int:
        fields = {
            "label": self.table.label_json(seen.label), "verdict": seen.decision.verdict,
            "rules": list(seen.decision.rules), "body": self.journal.commitment(body), "bytes": len(body),
        }  # fmt: skip
        return self.journal.note("decision", run.common() | fields)

    def _refused(self, run: Run, refusal: Refusal) -> int:
        fields: dict[str, Any] = {"status": refusal.status, "rules": list(refusal.rules or (refusal.rule,))}
        return self.journal.note("refusal", run.common() | fields)


def _require_purposes(credential: Credential, workload: Workload) -> None:
    for purpose in workload.purposes if credential.purposes else ():
        if not any(is_or_descends(purpose, own) for own in credential.purposes):
            message = f"this credential may not ask for the purpose {purpose}"
            raise RefusedError(Refusal(FORBIDDEN, "gateway/purpose", message))

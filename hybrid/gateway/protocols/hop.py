"""The receiving end of a hop: the passport is judged from the headers, the body read only when it is accepted.

A body that arrived all the same is a breach of the other side, and is recorded as one. What goes back crosses a border
too: its intent is on the disk before the answer leaves.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hybrid.gateway.chain import Chain
from hybrid.gateway.flows import ANSWER, Crossing, cross
from hybrid.gateway.journal import Journal, flow_json
from hybrid.gateway.ladder import Accepted, Receiver, Replays, body_matches, climb, genuine
from hybrid.gateway.limits import PEER_BURST, PEER_RATE, Limits
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.passport import HEADER, Passport, parents_of
from hybrid.gateway.protocols.exchange import body_of, object_of
from hybrid.gateway.refusal import FORBIDDEN, NOT_FOUND, TOO_MANY, UNAVAILABLE, Refusal, RefusedError
from hybrid.gateway.run import Asked, Payload, Run
from hybrid.gateway.tls import ARRIVAL, Arrival
from hybrid.gateway.transport import PATH

BREACH = "body-before-answer"


@dataclass(frozen=True)
class Receiving:
    """Receives hops for one site."""

    receiver: Receiver
    replays: Replays
    chain: Chain
    journal: Journal
    limits: Limits
    metrics: Metrics
    now: Callable[[], dt.datetime]
    suspect: Callable[[], bool] = lambda: False

    async def hop(self, request: Request) -> Response:
        """Answer one hop: 200 with what the plan lets return, else the refusal with its rule."""
        arrival: Arrival = request.scope[ARRIVAL]
        peer = self.receiver.registry.site_of_certificate(arrival.peer or "", self.now()) or "unknown"
        try:
            accepted = self._climb(request, arrival, peer)
        except RefusedError as error:
            unasked = self._unasked(request, arrival)
            response = await self._refused(peer, error.refusal, self._claimed(request), unasked)
        else:
            response = await self._accepted(request, accepted, peer)
        self.metrics.count("hybrid_hops_total", direction="in", peer=peer, status=str(response.status_code))
        return response

    async def _accepted(self, request: Request, accepted: Accepted, peer: str) -> Response:
        """Ask for the body, and serve it when it is the one that the passport was made for."""
        try:
            with self.limits.place():
                body = await body_of(request)
                mismatch = body_matches(accepted, body)
                if mismatch is not None:
                    raise RefusedError(mismatch)
                return JSONResponse(await self._serve(accepted, payloads_of(accepted, body), body))
        except RefusedError as error:
            return await self._refused(peer, error.refusal, claims(accepted.passport))

    def _climb(self, request: Request, arrival: Arrival, peer: str) -> Accepted:
        """Return the accepted passport; nothing of the body was read. Raises RefusedError.

        What is answered leaves this site too, so a suspect clock closes the door.
        """
        if self.suspect():
            raise RefusedError(Refusal(UNAVAILABLE, "gateway/clock-suspect", "nothing leaves this site: its clock is "
                                       "ahead of what was signed", retry_after=3600))  # fmt: skip
        too_many = self.limits.take(f"peer:{peer}", rate=PEER_RATE, burst=PEER_BURST)
        if too_many is not None:
            raise RefusedError(too_many)
        token = request.headers.get(HEADER, "")
        parents = parents_of(request.headers)
        found = climb(token, parents, peer=arrival.peer, now=self.now(), receiver=self.receiver)
        if isinstance(found, Refusal):
            raise RefusedError(found)
        seen = self.replays.once(found, self.now())
        if seen is not None:
            raise RefusedError(seen)
        return found

    async def _serve(self, accepted: Accepted, payloads: dict[str, Payload], body: bytes) -> dict[str, Any]:
        passport, admitted = accepted.passport, accepted.admitted
        decided = self._decision(accepted, body)
        if passport.audience.stages == (ANSWER,):
            await self._bring(accepted, payloads)
            await self.journal.kept(decided)
            return {"payloads": {}, "ran": []}
        run = Run(
            passport.workload, admitted.workload, admitted.assignment, admitted.floor, dict(payloads), passport.request,
            purposes=passport.purposes, tokens=accepted.tokens,
            asked=Asked(passport.issuer, {placed.place: placed.target for placed in admitted.stages}),
        )  # fmt: skip
        await self.chain.run(run)
        returned = self._returning(run, passport.issuer)
        answer = {crossing.flow.from_stage: run.held[place] for place, crossing in returned}
        intents = [self._intend(run, crossing, accepted, answer) for _, crossing in returned]
        await self.journal.kept(max([decided, *intents]))
        return {"payloads": answer, "ran": sorted(target.stage for target in run.served.values())}

    async def _bring(self, accepted: Accepted, payloads: dict[str, Payload]) -> None:
        """Give answers that came straight home to the request that waits for them."""
        waiting = self.chain.at_home.get(accepted.passport.request)
        if waiting is None or waiting.name != accepted.passport.workload:
            raise RefusedError(Refusal(NOT_FOUND, "gateway/no-such-request", "no request of that name waits here"))
        waiting.held |= payloads

    def _returning(self, run: Run, caller: str) -> list[tuple[str, Crossing]]:
        """Return (place, crossing) of every output that the plan lets go back to the caller."""
        site = self.receiver.site
        found = []
        for place, target in run.served.items():
            keys = [
                f.key
                for f in run.assignment.flows
                if (f.from_stage, f.from_site, f.to_site) == (target.stage, site, caller)
            ]
            crossings = [cross(key, run.floor, self.chain.table, run.assignment) for key in keys]
            found += [(place, crossing) for crossing in crossings if isinstance(crossing, Crossing)]
        return found

    def _decision(self, accepted: Accepted, body: bytes) -> int:
        passport, admitted = accepted.passport, accepted.admitted
        table = self.chain.table
        first = 0
        for crossing in admitted.crossings:
            first = self.journal.note("decision", self._common(accepted) | {
                "flow": flow_json(crossing.flow), "label": table.label_json(crossing.label), "bytes": len(body),
                "verdict": crossing.decision.verdict, "rules": list(crossing.decision.rules), "peer": passport.issuer,
                "body": self.journal.commitment(body),
            })  # fmt: skip
        return first

    def _common(self, accepted: Accepted) -> dict[str, Any]:
        work, passport = accepted.admitted.workload, accepted.passport
        return {
            "workload": passport.workload, "pipeline": work.pipeline, "origin": work.origin, "tenant": work.tenant,
            "jti": passport.jti,
        }  # fmt: skip

    def _intend(self, run: Run, crossing: Crossing, accepted: Accepted, answer: dict[str, Payload]) -> int:
        data = json.dumps(answer[crossing.flow.from_stage], ensure_ascii=False).encode()
        return self.journal.note("intent", self._common(accepted) | {
            "flow": flow_json(crossing.flow), "peer": accepted.passport.issuer, "bytes": len(data),
            "label": self.chain.table.label_json(crossing.label), "body": self.journal.commitment(data),
            "verdict": crossing.decision.verdict, "rules": list(crossing.decision.rules),
        })  # fmt: skip

    def _claimed(self, request: Request) -> dict[str, Any]:
        """Return what a refused passport claims, for the record; nothing unless it is genuine."""
        found = genuine(request.headers.get(HEADER, ""), self.receiver.registry, self.now())
        return {} if isinstance(found, Refusal) else claims(found)

    async def _refused(
        self, peer: str, refusal: Refusal, claimed: dict[str, Any], breach: dict[str, Any] | None = None
    ) -> Response:
        """Record the refusal, and a breach with it; then answer. A 429 is only counted: limits come before logging."""
        if refusal.status != TOO_MANY or breach is not None:
            try:
                await self._record(peer, refusal, claimed, breach)
            except RefusedError as error:  # the log takes no more: that is the answer then
                refusal = error.refusal
        self.metrics.count("hybrid_refusals_total", status=str(refusal.status), rule=refusal.rule)
        return JSONResponse(refusal.to_json(), refusal.status, headers=dict(refusal.headers))

    async def _record(
        self, peer: str, refusal: Refusal, claimed: dict[str, Any], breach: dict[str, Any] | None
    ) -> None:
        common = claimed | {"peer": peer, "rules": list(refusal.rules or (refusal.rule,))}
        last = self.journal.note("refusal", common | {"status": refusal.status})
        if breach is not None:
            last = self.journal.note("breach", common | breach)
        await self.journal.kept(last)

    def _unasked(self, request: Request, arrival: Arrival) -> dict[str, Any] | None:
        """Return the breach when the body of a refused hop came already, or comes without waiting; else keep watch."""
        size = int(request.headers.get("content-length", "0") or 0) if "expect" not in request.headers else 0
        early = max(arrival.early(), size)
        if early:
            return {"reason": BREACH, "bytes": early}
        peer = self.receiver.registry.site_of_certificate(arrival.peer or "", self.now()) or "unknown"
        arrival.unasked = lambda: self.journal.note("breach", {"reason": BREACH, "peer": peer})
        return None


def routes(receiving: Receiving) -> list[Route]:
    """Return the one route of the door between gateways."""
    return [Route(PATH, receiving.hop, methods=["POST"])]


def claims(passport: Passport) -> dict[str, Any]:
    """Return what a genuine passport says of itself, for the record of its refusal: workload and first flow."""
    ends = {"from": passport.issuer, "to": passport.audience.site}
    flow = {"fromStage": passport.carries[0], "toStage": passport.audience.stages[0]} if passport.carries else {}
    return {
        "workload": passport.workload, "origin": passport.origin, "jti": passport.jti, "flow": flow | ends,
        "stage": passport.audience.stages[0],
    }  # fmt: skip


def payloads_of(accepted: Accepted, body: bytes) -> dict[str, Payload]:
    """Return the payloads in the body: exactly those that the passport says. Raises RefusedError (403)."""
    payloads = object_of(body).get("payloads")
    named = isinstance(payloads, dict) and sorted(payloads) == sorted(accepted.passport.carries)
    if isinstance(payloads, dict) and named and all(isinstance(payload, dict) for payload in payloads.values()):
        return payloads
    raise RefusedError(Refusal(FORBIDDEN, "passport/carries", "the body holds other payloads than the passport says"))

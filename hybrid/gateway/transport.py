"""Sends hops to other sites: TLS 1.3 both ways, a passport in the headers, the body only after the other side agreed.

Every intent is on the disk before a byte leaves. The body is sent when the receiver answers `100 Continue`; whether
it left is noted, not assumed. A site that does not answer, refuses, or answers nonsense is unavailable.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

from hybrid.gateway.flows import ANSWER
from hybrid.gateway.identity import Identity
from hybrid.gateway.journal import Journal, flow_json
from hybrid.gateway.ladder import Receiver
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.passport import HEADER, PARENTS_HEADER, Passport, digest, passport, sign
from hybrid.gateway.run import Hop, Returned, UnavailableError
from hybrid.gateway.tls import client_context

if TYPE_CHECKING:
    import aiohttp

PATH = "/hybrid/v1/hop"
CONNECT_SECONDS, TOTAL_SECONDS = 2.0, 30.0
MOST_ANSWER = 8 << 20


@dataclass
class Body:
    """A body that knows whether it left."""

    data: bytes
    sent: bool = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.sent = True
        yield self.data


@dataclass
class Transport:
    """Hops over aiohttp; `peers` says where the other gateways listen (addresses grant nothing: keys are pinned).

    aiohttp is imported at the first hop, so that a site without a wire never pays for it.
    """

    identity: Identity
    receiver: Receiver
    journal: Journal
    metrics: Metrics
    peers: Mapping[str, str]
    suspect: Callable[[], bool] = lambda: False
    connect_seconds: float = CONNECT_SECONDS
    total_seconds: float = TOTAL_SECONDS
    _sessions: dict[str, aiohttp.ClientSession] = field(default_factory=dict)

    async def send(self, hop: Hop) -> Returned:
        """Hand over a hop and return what came back. Raises UnavailableError; a full log raises RefusedError."""
        if self.suspect():
            raise UnavailableError("the clock is suspect: nothing leaves but for newer metadata")
        if hop.site not in self.peers:
            raise UnavailableError(f"no address of {hop.site} is known here", advice="name it in gateway/peers.json")
        session = self._session(hop.site)
        body = Body(json.dumps({"payloads": dict(hop.payloads)}, ensure_ascii=False, separators=(",", ":")).encode())
        ticket = self._passport(hop, body.data)
        first = await self._intend(hop, ticket, body.data)
        began, status = perf_counter(), 0
        try:
            status, answer = await self._post(session, hop, ticket, body)
            if status != 200:
                raise UnavailableError(f"answered {status} ({_rule(answer)})")
            return _returned(answer)
        finally:
            self._outcome(hop, ticket, first, status, len(body.data) if body.sent else 0, began)

    async def close(self) -> None:
        """Close every connection."""
        for session in self._sessions.values():
            await session.close()

    def _session(self, site: str) -> aiohttp.ClientSession:
        import aiohttp

        if site not in self._sessions:
            certificates = self.receiver.registry.certificates(self.journal.now(), site=site)
            context = client_context(self.identity.certificate, self.identity.tls_key, certificates)
            timeout = aiohttp.ClientTimeout(total=self.total_seconds, sock_connect=self.connect_seconds)
            self._sessions[site] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=context), timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sessions[site]

    def _passport(self, hop: Hop, body: bytes) -> Passport:
        run, epoch = hop.run, self.receiver.epochs[0]
        label = frozenset(atom for crossing in hop.crossings for atom in crossing.label)
        fields = {
            "issuer": self.receiver.site, "keyId": self.identity.passport_id,
            "audience": {"site": hop.site, "stages": [p.target.stage for p in hop.stages] or [ANSWER]},
            "workload": run.name, "origin": run.workload.origin, "carries": sorted(hop.payloads),
            "label": epoch.table.label_json(label), "purposes": list(run.purposes), "planDigest": epoch.plan_digest,
            "epoch": epoch.number, "request": run.request, "hop": len(run.tokens) + 1,
            "parent": digest(run.tokens[-1].encode()) if run.tokens else None, "body": digest(body),
        }  # fmt: skip
        return passport(fields, self.journal.now())

    async def _intend(self, hop: Hop, ticket: Passport, body: bytes) -> int:
        """Record what is about to cross, one record per flow, and wait for the disk."""
        commitment = self.journal.commitment(body)
        indices = [
            self.journal.note("intent", hop.run.common() | {
                "jti": ticket.jti, "flow": flow_json(crossing.flow), "peer": hop.site, "bytes": len(body),
                "label": self.receiver.epochs[0].table.label_json(crossing.label), "body": commitment,
                "verdict": crossing.decision.verdict, "rules": list(crossing.decision.rules),
            })
            for crossing in hop.crossings
        ]  # fmt: skip
        await self.journal.kept(indices[-1])
        return indices[0]

    def _outcome(self, hop: Hop, ticket: Passport, first: int, status: int, sent: int, began: float) -> None:
        stage = hop.stages[0].target.stage if hop.stages else ANSWER
        ms = round((perf_counter() - began) * 1000, 3)
        self.journal.note("outcome", hop.run.common() | {
            "jti": ticket.jti, "intent": first, "peer": hop.site, "stage": stage, "status": status, "bytes": sent,
            "ms": ms, "reason": None if status else "unreachable",
        })  # fmt: skip
        self.metrics.count("hybrid_hops_total", direction="out", peer=hop.site, status=str(status))

    async def _post(
        self, session: aiohttp.ClientSession, hop: Hop, ticket: Passport, body: Body
    ) -> tuple[int, dict[str, Any]]:
        import aiohttp

        headers = {
            HEADER: sign(ticket, self.identity.passport), PARENTS_HEADER: ",".join(hop.run.tokens),
            "content-type": "application/json", "content-length": str(len(body.data)),
        }  # fmt: skip
        url = self.peers[hop.site].rstrip("/") + PATH
        try:
            async with session.post(
                url, data=body, headers=headers, expect100=True, allow_redirects=False, server_hostname=hop.site
            ) as response:
                raw = await response.content.read(MOST_ANSWER)
                found = json.loads(raw) if response.content.at_eof() else None
                return response.status, found if isinstance(found, dict) else {}
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise UnavailableError(f"cannot be reached ({type(error).__name__})") from error


def _rule(answer: Mapping[str, Any]) -> str:
    error = answer.get("error")
    return str(error.get("code", "no rule")) if isinstance(error, dict) else "no rule"


def _returned(answer: Mapping[str, Any]) -> Returned:
    payloads, ran = answer.get("payloads"), answer.get("ran")
    if not isinstance(payloads, dict) or not all(isinstance(p, dict) for p in payloads.values()):
        raise UnavailableError("answered with no payloads")
    if not isinstance(ran, list) or not all(isinstance(name, str) for name in ran):
        raise UnavailableError("did not say what ran")
    return Returned(payloads, frozenset(ran))

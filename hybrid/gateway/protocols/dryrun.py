"""The dry run: the decision that a request would get, with its reasons, and nothing run, sent or logged."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from hybrid.gateway.front import Front
from hybrid.gateway.protocols.exchange import body_of, doors, object_of
from hybrid.gateway.protocols.openai import model_of


def routes(front: Front) -> list[Route]:
    """Return `/hybrid/v1/decide` and `/metrics`."""

    async def decide(request: Request) -> Response:
        credential = front.who(request.headers.get("authorization"))
        asking = front.asking(credential, model_of(object_of(await body_of(request))))
        refusal = asking.seen.refusal
        plan = {"planDigest": front.journal.plan_digest, "epoch": front.journal.epoch, "site": front.table.site}
        answered = asking.seen.to_json(front.table) | plan | {"status": 200 if refusal is None else refusal.status}
        return JSONResponse(answered)

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(front.metrics.text(), media_type="text/plain; version=0.0.4")

    return doors(front, {"/hybrid/v1/decide": ("POST", decide), "/metrics": ("GET", metrics)})

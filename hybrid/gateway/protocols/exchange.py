"""What every protocol does alike: reads a capped JSON body, turns a refusal into its answer, counts."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hybrid.gateway.front import Front
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.refusal import BAD_REQUEST, TOO_LARGE, Refusal, RefusedError

MOST_BODY = 1 << 20
Endpoint = Callable[[Request], Awaitable[Response]]


async def body_of(request: Request, most: int = MOST_BODY) -> bytes:
    """Return the body's bytes. Raises RefusedError: 413 above `most` bytes, before the rest is read."""
    declared = request.headers.get("content-length", "0")
    too_large = Refusal(TOO_LARGE, "gateway/body", f"the body may have {most} bytes")
    if not declared.isdigit() or int(declared) > most:
        raise RefusedError(too_large)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise RefusedError(too_large)
        parts.append(part)
    return b"".join(parts)


def object_of(body: bytes) -> dict[str, Any]:
    """Return the JSON object in `body`. Raises RefusedError (400) when it is none."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RefusedError(bad("the body is no JSON object"))
    return found


def bad(message: str) -> Refusal:
    """Return the 400 for a request of the wrong form."""
    return Refusal(BAD_REQUEST, "gateway/request", message)


def answering(metrics: Metrics, endpoint: Endpoint) -> Endpoint:
    """Return `endpoint` with refusals turned into answers and every answer counted by status."""

    async def answer(request: Request) -> Response:
        try:
            response = await endpoint(request)
        except RefusedError as error:
            refusal = error.refusal
            metrics.count("hybrid_refusals_total", status=str(refusal.status), rule=refusal.rule)
            response = JSONResponse(refusal.to_json(), refusal.status, headers=dict(refusal.headers))
        metrics.count("hybrid_requests_total", path=request.scope["route"].path, status=str(response.status_code))
        return response

    return answer


def doors(front: Front, endpoints: dict[str, tuple[str, Endpoint]]) -> list[Any]:
    """Return Starlette routes for `{path: (method, endpoint)}`."""
    from starlette.routing import Route

    return [
        Route(path, answering(front.metrics, endpoint), methods=[method])
        for path, (method, endpoint) in endpoints.items()
    ]

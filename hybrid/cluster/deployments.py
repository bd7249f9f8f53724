"""The Serve deployment of a pool: admits, runs its engine on a thread, and answers health checks meanwhile.

Imported by Ray's workers alone, as `hybrid.cluster.deployments:application`.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from hybrid.cluster.admission import Door
from hybrid.cluster.schema import DEPLOYMENT, StageArgs
from hybrid.cluster.work import open_engine
from hybrid.errors import HybridError, InputError
from hybrid.gateway.passport import HEADER
from hybrid.gateway.refusal import BAD_REQUEST, UNAUTHENTICATED, UNAVAILABLE, Refusal

MOST_BYTES = 1 << 20


class Stage:
    """One replica; it keeps no state across requests but the passports it has seen."""

    def __init__(self, args: dict[str, Any]) -> None:
        """Verify and open the model; Serve counts the replica as ready only after that."""
        self._args = StageArgs.model_validate(args)
        self._engine = open_engine(self._args)
        self._door = Door(self._args, dt.datetime.now(dt.UTC))
        # One at a time: a generator already uses every core that the plan gave the replica.
        self._turn = asyncio.Semaphore(1)

    async def __call__(self, request: Request) -> JSONResponse:
        """Answer `POST {"inputs": {name: payload}}` with the stage's payload, or with a refusal that names its rule."""
        token = request.headers.get(HEADER)
        if token is None:
            return _refused(Refusal(UNAUTHENTICATED, "passport/missing", "a replica answers its gateway alone"))
        body = await request.body()
        refusal = self._door.admit(token, body, dt.datetime.now(dt.UTC))
        if refusal is not None:
            return _refused(refusal)
        try:
            inputs = json.loads(body[:MOST_BYTES])["inputs"]
            async with self._turn:
                return JSONResponse(await asyncio.to_thread(self._engine.run, inputs))
        except InputError as error:
            return _refused(Refusal(BAD_REQUEST, "stage/input", str(error)))
        except HybridError as error:
            return _refused(Refusal(UNAVAILABLE, "stage/failed", str(error), retry_after=1))
        except (ValueError, KeyError, TypeError):
            return _refused(Refusal(BAD_REQUEST, "stage/body", 'expected {"inputs": {name: payload}}'))


def _refused(refusal: Refusal) -> JSONResponse:
    return JSONResponse(refusal.to_json(), status_code=refusal.status, headers=dict(refusal.headers))


def application(args: dict[str, Any]) -> serve.Application:
    """Build the application of one pool from the arguments that `serve.yaml` gives it."""
    plain = StageArgs.model_validate(args).model_dump(mode="json")
    deployment: Any = serve.deployment(name=DEPLOYMENT)(Stage)
    built: serve.Application = deployment.bind(plain)
    return built

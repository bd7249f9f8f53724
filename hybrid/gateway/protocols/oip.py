"""The Open Inference Protocol v2 over HTTP: a pipeline is a model that takes one text and gives its answers."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hybrid import __version__
from hybrid.gateway.front import Answer, Front
from hybrid.gateway.protocols.exchange import bad, body_of, doors, object_of
from hybrid.gateway.refusal import RefusedError, missing

INPUT = [{"name": "text", "datatype": "BYTES", "shape": [1]}]


def routes(front: Front) -> list[Route]:
    """Return the routes under `/v2`."""

    async def server(request: Request) -> Response:
        return JSONResponse({"name": "hybrid", "version": __version__, "extensions": []})

    async def live(request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(request: Request) -> Response:
        return JSONResponse({"ready": True})

    async def model(request: Request) -> Response:
        name = request.path_params["model"]
        workload = front.asking(front.who(request.headers.get("authorization")), name).workload
        served = (assignment.stages.items() for assignment in workload.assignments)
        places = dict.fromkeys(place for stages in served for place, entry in stages if entry.answer)
        outputs = [{"name": place, "datatype": "BYTES", "shape": [1]} for place in places]
        found = {"name": name, "versions": ["1"], "platform": "hybrid_pipeline", "inputs": INPUT, "outputs": outputs}
        return JSONResponse(found)

    async def model_ready(request: Request) -> Response:
        name = request.path_params["model"]
        if name not in front.pipelines(front.who(request.headers.get("authorization"))):
            raise RefusedError(missing("pipeline of that name"))
        return JSONResponse({"name": name, "ready": True})

    async def infer(request: Request) -> Response:
        credential = front.who(request.headers.get("authorization"))
        body = await body_of(request)
        asked = object_of(body)
        answer = await front.ask(credential, request.path_params["model"], {"text": text_of(asked)}, body)
        return JSONResponse(inferred(answer, asked.get("id")))

    return doors(
        front,
        {
            "/v2": ("GET", server),
            "/v2/health/live": ("GET", live),
            "/v2/health/ready": ("GET", ready),
            "/v2/models/{model}": ("GET", model),
            "/v2/models/{model}/ready": ("GET", model_ready),
            "/v2/models/{model}/infer": ("POST", infer),
        },
    )


def text_of(asked: dict[str, Any]) -> str:
    """Return the one text of the tensor `text`. Raises RefusedError (400) for other shapes or types."""
    inputs = asked.get("inputs")
    for tensor in inputs if isinstance(inputs, list) else []:
        if isinstance(tensor, dict) and tensor.get("name") == "text" and tensor.get("datatype") == "BYTES":
            data = tensor.get("data")
            if isinstance(data, list) and len(data) == 1 and isinstance(data[0], str) and data[0].strip():
                return data[0]
    raise RefusedError(
        bad('`inputs` needs one tensor {"name": "text", "datatype": "BYTES", "shape": [1], "data": [...]}')
    )


def inferred(answer: Answer, identifier: Any) -> dict[str, Any]:
    """Return the answers as tensors: a vector as FP32, a text as BYTES, anything else as JSON in BYTES."""
    outputs = [_tensor(place, payload) for place, payload in answer.payloads.items()]
    given = identifier if isinstance(identifier, str) and len(identifier) <= 64 else answer.request
    parameters = {"request": answer.request, "served": json.dumps(answer.route())}
    return {
        "model_name": answer.pipeline, "model_version": "1", "id": given, "parameters": parameters, "outputs": outputs,
    }  # fmt: skip


def _tensor(place: str, payload: dict[str, Any]) -> dict[str, Any]:
    vector = payload.get("embedding")
    if isinstance(vector, list):
        return {"name": place, "datatype": "FP32", "shape": [1, len(vector)], "data": vector}
    text = payload["text"] if isinstance(payload.get("text"), str) else json.dumps(payload, ensure_ascii=False)
    return {"name": place, "datatype": "BYTES", "shape": [1], "data": [text]}

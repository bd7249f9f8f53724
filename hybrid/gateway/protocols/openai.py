"""OpenAI's API without streaming: the pipeline's name is the model; the answer says who served it, under `hybrid`."""

from __future__ import annotations

import json
import time
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hybrid.gateway.front import Answer, Front
from hybrid.gateway.protocols.exchange import bad, body_of, doors, object_of
from hybrid.gateway.refusal import RefusedError

MOST_INPUTS = 64


def routes(front: Front) -> list[Route]:
    """Return the routes of `/v1/models`, `/v1/chat/completions` and `/v1/embeddings`."""

    async def models(request: Request) -> Response:
        names = front.pipelines(front.who(request.headers.get("authorization")))
        listed = [{"id": name, "object": "model", "created": 0, "owned_by": front.table.site} for name in names]
        return JSONResponse({"object": "list", "data": listed})

    async def chat(request: Request) -> Response:
        credential = front.who(request.headers.get("authorization"))
        body = await body_of(request)
        asked = object_of(body)
        text = text_of(asked)
        return JSONResponse(completion(await front.ask(credential, model_of(asked), {"text": text}, body)))

    async def embeddings(request: Request) -> Response:
        credential = front.who(request.headers.get("authorization"))
        body = await body_of(request)
        asked = object_of(body)
        texts = texts_of(asked)
        answers = [await front.ask(credential, model_of(asked), {"text": text}, text.encode()) for text in texts]
        return JSONResponse(vectors(model_of(asked), answers))

    return doors(
        front,
        {
            "/v1/models": ("GET", models),
            "/v1/chat/completions": ("POST", chat),
            "/v1/embeddings": ("POST", embeddings),
        },
    )


def model_of(asked: dict[str, Any]) -> str:
    """Return the pipeline that is asked for. Raises RefusedError (400) without one, and for streaming."""
    if asked.get("stream"):
        raise RefusedError(bad("this gateway does not stream; leave `stream` out"))
    model = asked.get("model")
    if not isinstance(model, str):
        raise RefusedError(bad("`model` must be the name of a pipeline"))
    return model


def text_of(asked: dict[str, Any]) -> str:
    """Return the text of the user's messages, one after the other. Raises RefusedError (400) when there is none."""
    messages = asked.get("messages")
    parts = [
        _content(message.get("content"))
        for message in (messages if isinstance(messages, list) else [])
        if isinstance(message, dict) and message.get("role") == "user"
    ]
    text = "\n".join(part for part in parts if part)
    if not text.strip():
        raise RefusedError(bad("`messages` needs a message of role `user` with text"))
    return text


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def texts_of(asked: dict[str, Any]) -> list[str]:
    """Return the texts to embed. Raises RefusedError (400) for anything but one or several texts."""
    given = asked.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise RefusedError(bad("`input` must be a text or a list of texts"))
    if len(texts) > MOST_INPUTS:
        raise RefusedError(bad(f"`input` may hold {MOST_INPUTS} texts"))
    return texts


def completion(answer: Answer) -> dict[str, Any]:
    """Return a chat completion: the last answer's text, or its JSON where it has none."""
    last = answer.last
    text = last["text"] if isinstance(last.get("text"), str) else json.dumps(last, ensure_ascii=False)
    used = int(last.get("tokens", 0))
    return {
        "id": f"chatcmpl-{answer.request}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answer.pipeline,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 0, "completion_tokens": used, "total_tokens": used},
        "hybrid": {"request": answer.request, "served": answer.route(), "answers": dict(answer.payloads)},
    }


def vectors(pipeline: str, answers: list[Answer]) -> dict[str, Any]:
    """Return embeddings in the order of the texts. Raises RefusedError (400) when the pipeline makes none."""
    data = []
    for index, answer in enumerate(answers):
        embedding = next((p["embedding"] for p in answer.payloads.values() if "embedding" in p), None)
        if embedding is None:
            raise RefusedError(bad(f"the pipeline {pipeline} answers with no embedding"))
        data.append({"object": "embedding", "index": index, "embedding": embedding})
    usage = {"prompt_tokens": 0, "total_tokens": 0}
    return {"object": "list", "data": data, "model": pipeline, "usage": usage}

"""The door for callers, on a real port, with the real engines and the real log: who may ask, for what, and how much."""

from __future__ import annotations

import datetime as dt
import json
import math
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import (
    MESSAGE,
    ORIGIN,
    OVERSEAS,
    PIPELINES,
    REGION,
    Station,
    World,
    a_health_group,
    a_world,
    call,
    chat,
    records,
    wait_for,
)
from tests.support.sites import a_rule

KEYS: dict[str, dict[str, Any]] = {
    "few": {"pipelines": ("embed-note",)},
    "floor": {"floor": ("user.health_and_medical",)},
    "strange": {"floor": ("user.biometric",)},
    "purpose": {"purposes": ("marketing",)},
    "acme": {"tenant": "acme"},
}
EMBED = {"model": "embed-note", "input": "my chest hurts"}
HEALTH_IN_FRANCE = a_rule("health-in-france", "require", data=["user.health_and_medical"], countries=["FR"])


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    fleet = a_health_group(a_rule("anything"), HEALTH_IN_FRANCE)
    with a_world(tmp_path_factory.mktemp("world"), fleet, start=(ORIGIN,), keys=KEYS) as honest:
        yield honest


@pytest.fixture
def clinic(world: World) -> Station:
    return world.stations[ORIGIN]


def test_an_embedding_is_computed_here_and_logged_without_text(clinic: Station) -> None:
    status, body, _ = call(clinic, "/v1/embeddings", EMBED)

    assert status == 200
    assert math.isclose(sum(x * x for x in body["data"][0]["embedding"]), 1.0, rel_tol=1e-4)
    decision, outcome = clinic.records("decision", "outcome")[-2:]
    assert (decision["verdict"], decision["pipeline"], decision["tenant"]) == ("permit", "embed-note", "default")
    assert decision["body"].startswith("hmac-sha256:")
    assert (outcome["stage"], outcome["model"], outcome["status"]) == ("embed", "finder", 200)
    assert outcome["jti"] == decision["jti"]
    assert "chest" not in json.dumps(clinic.records())


def test_no_answer_leaves_before_its_decision_is_on_the_disk(clinic: Station) -> None:
    """The disk is made to wait; so does the answer, although the work is long done."""
    disk, log = threading.Event(), clinic.gateway.log
    honest_sync = log.sync
    log.sync = lambda index: disk.wait(20) and honest_sync(index)  # type: ignore[method-assign,func-returns-value]
    try:
        with ThreadPoolExecutor(1) as caller:
            answer = caller.submit(call, clinic, "/v1/embeddings", EMBED)
            wait_for(lambda: clinic.records()[-1]["kind"] == "outcome")
            time.sleep(0.1)
            waited = not answer.done()
            disk.set()
            status, _, _ = answer.result(20)
    finally:
        del log.sync

    assert (waited, status) == (True, 200)


def test_several_texts_come_back_in_their_order(clinic: Station) -> None:
    _, body, _ = call(clinic, "/v1/embeddings", EMBED | {"input": ["pain", "disk full"]})
    _, alone, _ = call(clinic, "/v1/embeddings", EMBED | {"input": "disk full"})

    assert [entry["index"] for entry in body["data"]] == [0, 1]
    assert body["data"][1]["embedding"] == alone["data"][0]["embedding"]


def test_the_pipelines_are_the_models(world: World, clinic: Station) -> None:
    _, everything, _ = call(clinic, "/v1/models")
    _, few, _ = call(clinic, "/v1/models", key=world.tokens["few"])

    assert [entry["id"] for entry in everything["data"]] == list(PIPELINES)
    assert [entry["id"] for entry in few["data"]] == ["embed-note"]


def test_open_inference_gives_the_same_vector_as_openai(clinic: Station) -> None:
    tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": ["my chest hurts"]}

    status, body, _ = call(clinic, "/v2/models/embed-note/infer", {"id": "mine", "inputs": [tensor]})
    _, same, _ = call(clinic, "/v1/embeddings", EMBED)

    assert (status, body["id"], body["model_name"]) == (200, "mine", "embed-note")
    assert body["outputs"][0]["datatype"] == "FP32"
    assert body["outputs"][0]["shape"] == [1, 16]
    assert body["outputs"][0]["data"] == same["data"][0]["embedding"]


def test_open_inference_describes_its_models(clinic: Station) -> None:
    assert call(clinic, "/v2/health/ready")[1] == {"ready": True}
    assert call(clinic, "/v2/models/embed-note/ready")[1] == {"name": "embed-note", "ready": True}
    assert call(clinic, "/v2/models/embed-note")[1]["outputs"] == [{"name": "embed", "datatype": "BYTES", "shape": [1]}]


@pytest.mark.parametrize("key", ["", "nonsense", "hyb_desk_" + "0" * 64, "hyb_nobody_" + "0" * 64])
def test_an_unknown_caller_is_401_and_leaves_no_record(clinic: Station, key: str) -> None:
    before = len(clinic.records())

    status, body, headers = call(clinic, "/v1/embeddings", EMBED, key=key)

    assert (status, body["error"]["code"], headers["hybrid-rule"]) == (401, "gateway/credential", "gateway/credential")
    assert len(clinic.records()) == before


def test_a_pipeline_that_the_key_does_not_have_is_403(world: World, clinic: Station) -> None:
    status, body = chat(clinic, key=world.tokens["few"])

    assert (status, body["error"]["code"]) == (403, "gateway/pipeline")


def test_a_purpose_that_the_key_does_not_have_is_403(world: World, clinic: Station) -> None:
    status, body = chat(clinic, key=world.tokens["purpose"])

    assert (status, body["error"]["code"]) == (403, "gateway/purpose")


def test_another_tenants_pipeline_is_not_there(world: World, clinic: Station) -> None:
    assert chat(clinic, key=world.tokens["acme"])[0] == 404


def test_a_floor_travels_with_every_pipeline_that_the_key_names(world: World, clinic: Station) -> None:
    """A message about health sent through the pipeline for logs, which goes overseas: 451 with the board's rule."""
    status, body = chat(clinic, "log-triage", key=world.tokens["floor"])

    assert status == 451
    assert body["error"]["code"] == "residency:org/health-in-france"
    assert clinic.records("intent") == []
    decision, refusal = clinic.records("decision", "refusal")[-2:]
    assert {atom["data"] for atom in decision["label"]} == {"system.operations", "user.health_and_medical"}
    assert (decision["verdict"], refusal["status"], refusal["rules"]) == (
        "deny",
        451,
        ["residency:org/health-in-france"],
    )


def test_a_floor_that_the_plan_never_decided_is_refused(world: World, clinic: Station) -> None:
    status, body = chat(clinic, "embed-note", key=world.tokens["strange"])

    assert status == 451
    assert body["error"]["code"].startswith("residency:")


def test_a_pipeline_whose_only_target_does_not_answer_is_503_and_says_when_to_try_again(clinic: Station) -> None:
    status, body, headers = call(clinic, "/v2/models/log-triage/infer", a_tensor())

    assert (status, body["error"]["code"], headers["retry-after"]) == (503, "gateway/no-target", "5")
    assert clinic.records("refusal")[-1]["status"] == 503


def a_tensor() -> dict[str, Any]:
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["disk full"]}]}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b"{"),
        ("/v1/chat/completions", {"model": "embed-note"}),
        ("/v1/chat/completions", {"model": "embed-note", "messages": [{"role": "system", "content": "x"}]}),
        ("/v1/chat/completions", {"model": "patient-message", "stream": True, "messages": [MESSAGE]}),
        ("/v1/embeddings", {"model": "embed-note", "input": []}),
        ("/v1/embeddings", {"model": "embed-note", "input": [7]}),
        ("/v1/embeddings", {"model": "embed-note", "input": "  "}),
        ("/v2/models/embed-note/infer", {"inputs": [{"name": "text", "datatype": "FP32", "data": [1.0]}]}),
    ],
)
def test_a_request_that_makes_no_sense_is_400(clinic: Station, path: str, body: Any) -> None:
    status, found, _ = call(clinic, path, body)

    assert status == 400
    assert found["error"]["type"] == "bad_request"


def test_too_large_a_body_is_413(clinic: Station) -> None:
    assert call(clinic, "/v1/embeddings", b" " * (1 << 20) + b"{}")[0] == 413


def test_the_dry_run_says_what_would_happen_and_leaves_no_trace(world: World, clinic: Station) -> None:
    before = len(clinic.records())

    _, yes, _ = call(clinic, "/hybrid/v1/decide", {"model": "patient-message"})
    _, no, _ = call(clinic, "/hybrid/v1/decide", {"model": "log-triage"}, key=world.tokens["floor"])

    draft = next(stage for stage in yes["stages"] if stage["stage"] == "draft")
    assert (yes["verdict"], yes["status"], yes["epoch"]) == ("permit", 200, 1)
    assert draft["targets"][0]["site"] == REGION
    last = draft["targets"][-1]
    assert (last["site"], last["stage"], last["role"]) == (ORIGIN, "quote", "fallback")
    assert (last["verdict"], last["rules"]) == ("permit", ["law/lawful", "org/anything"])
    assert (no["verdict"], no["status"], no["rules"]) == ("deny", 451, ["residency:org/health-in-france"])
    assert no["stages"][0]["targets"][0]["site"] == OVERSEAS
    assert len(clinic.records()) == before


def test_metrics_count_and_carry_nothing_of_a_request(clinic: Station) -> None:
    call(clinic, "/v1/embeddings", EMBED)

    _, found, headers = call(clinic, "/metrics")

    assert headers["content-type"].startswith("text/plain")
    line = f'hybrid_stages_total{{pipeline="embed-note",site="{ORIGIN}",stage="embed",status="200"}}'
    assert line in found["text"]
    assert "chest" not in found["text"]
    assert 'hybrid_request_seconds_bucket{pipeline="embed-note",le="+Inf"}' in found["text"]


def test_an_outdated_plan_permits_nothing(world: World, clinic: Station) -> None:
    clinic.clock.offset = dt.timedelta(days=31)
    try:
        status, body = chat(clinic)
    finally:
        clinic.clock.offset = dt.timedelta()

    assert (status, body["error"]["code"]) == (451, "residency:table/plan-expired")


def test_too_many_requests_are_429_and_leave_no_record(tmp_path: Path) -> None:
    with a_world(tmp_path, start=(ORIGIN,), keys={"slow": {"rate": 1, "burst": 2}}) as world:
        clinic = world.stations[ORIGIN]
        answers = [call(clinic, "/v1/models", key=world.tokens["slow"]) for _ in range(3)]

        assert [status for status, _, _ in answers] == [200, 200, 429]
        assert answers[-1][2]["retry-after"] == "1"
        assert [r["kind"] for r in clinic.records()] == ["start"]
        root = world.stop(ORIGIN)

    assert records(root)[-2]["counts"] == {"429": 1}

"""The stages of the edge on real models: what they answer, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from hybrid.errors import InputError
from hybrid.gateway.engines import PayloadError, Wanted, engines_for
from hybrid.gateway.engines.golden import check
from hybrid.gateway.engines.payload import prompt_of
from hybrid.gateway.engines.stages import Quote
from hybrid.knowledge import build_index, documents_of
from tests.support.models import Shelf, shelf

EMBED = Wanted("embed", "minilm", "w8")
CLASSIFY = Wanted("classify", "message-triage", "w8")
GENERATE = Wanted("generate", "assistant", "w8")
RECALL = Wanted("retrieve", "minilm", "w8", "care-protocols")


@pytest.fixture(scope="module")
def release() -> Shelf:
    return shelf()


@pytest.fixture(scope="module")
def indexed(release: Shelf, tmp_path_factory: pytest.TempPathFactory) -> Path:
    knowledge = tmp_path_factory.mktemp("knowledge")
    documents = documents_of(release, "care-protocols")
    build_index(release, "care-protocols", documents, knowledge=knowledge, model="minilm", variant="w8")
    return knowledge


def say(text: str) -> dict[str, dict[str, str]]:
    return {"input": {"text": text}}


def test_classify_gives_a_label_and_scores_that_sum_to_one(release: Shelf, tmp_path: Path) -> None:
    engine = engines_for(release, [CLASSIFY], knowledge=tmp_path)[CLASSIFY]
    found = engine.run(say("My chest hurts and I cannot breathe."))
    assert found["label"] == "urgent"
    assert set(found["scores"]) == {"administrative", "appointment", "prescription", "results", "urgent"}
    assert sum(found["scores"].values()) == pytest.approx(1.0, abs=1e-5)


def test_an_urgent_sentence_at_the_end_of_a_long_message_is_not_cut_off(release: Shelf, tmp_path: Path) -> None:
    engine = engines_for(release, [CLASSIFY], knowledge=tmp_path)[CLASSIFY]
    long = "I would like to move my appointment to next week. " * 60
    assert engine.run(say(long))["label"] == "appointment"
    end = "I have crushing chest pain right now and cannot breathe, my lips are blue. "
    assert engine.run(say(long + end * 3))["scores"]["urgent"] > 4 * engine.run(say(long))["scores"]["urgent"]


def test_embed_gives_a_vector_of_length_one_that_knows_meaning(release: Shelf, tmp_path: Path) -> None:
    engine = engines_for(release, [EMBED], knowledge=tmp_path)[EMBED]
    fever, hot, bill = (
        np.array(engine.run(say(text))["embedding"])
        for text in ("My child has a fever.", "My son has a high temperature.", "The invoice is wrong.")
    )
    assert np.linalg.norm(fever) == pytest.approx(1.0, abs=1e-3)
    assert fever @ hot > fever @ bill + 0.3


def test_a_site_with_classifier_and_embedder_opens_the_encoder_once(release: Shelf, tmp_path: Path) -> None:
    both = engines_for(release, [EMBED, CLASSIFY], knowledge=tmp_path)
    alone = engines_for(release, [EMBED], knowledge=tmp_path)
    assert both[EMBED].model.session is both[CLASSIFY].model.session  # type: ignore[attr-defined]
    assert both[EMBED].run(say("Where is my result?")) == alone[EMBED].run(say("Where is my result?"))


def test_another_variant_is_not_taken_for_the_same_encoder(release: Shelf, tmp_path: Path) -> None:
    int8 = Wanted("embed", "minilm", "int8")
    found = engines_for(release, [int8, CLASSIFY], knowledge=tmp_path)
    assert found[int8].model.session is not found[CLASSIFY].model.session  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("my baby is burning up with fever", "fever-in-children.md"),
        ("how long until my blood test is ready", "results.md"),
        ("I can hardly breathe, the spray does not help", "asthma.md"),
        ("there is a mistake in my invoice", "records-and-billing.md"),
    ],
)
def test_retrieve_finds_the_protocol(release: Shelf, indexed: Path, question: str, document: str) -> None:
    passages = engines_for(release, [RECALL], knowledge=indexed)[RECALL].run(say(question))["passages"]
    assert passages[0]["id"].startswith(document)
    assert [p["score"] for p in passages] == sorted((p["score"] for p in passages), reverse=True)


def test_quote_quotes_the_sources_and_claims_nothing(release: Shelf, indexed: Path) -> None:
    recall = engines_for(release, [RECALL], knowledge=indexed)[RECALL].run(say("my child has a fever"))
    found = Quote().run({"recall": recall})
    assert found["sources"] == [passage["id"] for passage in recall["passages"][:2]]
    assert recall["passages"][0]["title"] in found["text"]
    assert "automatic reply" in found["text"]
    assert "call the emergency number" in found["text"]


def test_quote_says_so_when_nothing_is_close() -> None:
    far = {"id": "a#1", "title": "A", "text": "Quite something else.", "score": 0.05}
    found = Quote().run({"recall": {"passages": [far]}})
    assert found["sources"] == []
    assert "Quite something else" not in found["text"]
    assert "found nothing" in found["text"]


def test_generate_drafts_a_reply_without_torch(release: Shelf, tmp_path: Path) -> None:
    engine = engines_for(release, [GENERATE], knowledge=tmp_path)[GENERATE]
    found = engine.run(say("Please renew my tablets.") | {"triage": {"label": "prescription"}})
    assert found["text"].endswith(".")
    assert 0 < found["tokens"] <= 160


def test_the_prompt_is_message_kind_and_best_passage() -> None:
    inputs = {
        "triage": {"label": "results"},
        "recall": {"passages": [{"text": "First. " + "x" * 400}, {"text": "Second."}]},
        "input": {"text": "Is my\ntest back?"},
    }
    assert prompt_of(inputs) == "Message: Is my test back?\nKind: results\nSource: First. …\nReply:"


@pytest.mark.parametrize(
    "inputs", [{}, {"input": {}}, {"input": {"text": "  "}}, {"input": {"text": 7}}, {"input": []}]
)
def test_a_stage_without_its_text_says_what_to_send(release: Shelf, tmp_path: Path, inputs: dict[str, object]) -> None:
    with pytest.raises(PayloadError, match="no text"):
        engines_for(release, [EMBED], knowledge=tmp_path)[EMBED].run(inputs)


def test_quote_without_a_retrieve_stage_is_refused() -> None:
    with pytest.raises(PayloadError, match="no passages"):
        Quote().run(say("hello"))


def test_a_file_that_the_release_lacks_is_named(release: Shelf, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"models/minilm/w8/model\.onnx"):
        engines_for(release.without("models/minilm/w8/model.onnx"), [EMBED], knowledge=tmp_path)


def test_an_embedder_does_not_classify(release: Shelf, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a model for embed"):
        engines_for(release, [Wanted("classify", "minilm", "w8")], knowledge=tmp_path)


def test_a_file_that_is_no_graph_is_refused(release: Shelf, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"not a graph")
    broken = release.replacing("models/minilm/w8/model.onnx", tmp_path / "model.onnx")
    with pytest.raises(InputError, match="cannot load"):
        engines_for(broken, [EMBED], knowledge=tmp_path)


def test_retrieve_without_an_index_says_how_to_make_one(release: Shelf, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such index") as caught:
        engines_for(release, [RECALL], knowledge=tmp_path)
    assert "hybrid knowledge add" in caught.value.advice


def test_golden_checks_pass_on_what_the_workshop_made(release: Shelf) -> None:
    assert check(release) == []


def test_golden_checks_name_a_model_that_answers_otherwise(release: Shelf, tmp_path: Path) -> None:
    path = "models/message-triage/w8/golden.json"
    told, lied = release.files[path].read_text("utf-8"), tmp_path / "golden.json"
    lied.write_text(told.replace('"label":"urgent"', '"label":"results"'), "utf-8")
    failures = check(release.replacing(path, lied))
    assert failures
    assert all("label urgent, expected results" in failure for failure in failures)


@pytest.mark.parametrize("loose", [{"cosine": -1.0}, {"cpu_ms": float("inf")}, {"cpu_ms": 0}, {"cases": []}])
def test_golden_checks_that_anything_would_pass_are_none(
    release: Shelf, tmp_path: Path, loose: dict[str, object]
) -> None:
    path = "models/message-triage/w8/golden.json"
    told = json.loads(release.files[path].read_text("utf-8")) | loose
    (tmp_path / "golden.json").write_text(json.dumps(told))
    failures = check(release.replacing(path, tmp_path / "golden.json"))
    assert any("anything would do" in failure for failure in failures)


def test_golden_checks_fail_when_an_embedder_stands_in_for_another(release: Shelf) -> None:
    assistant = release.files["models/assistant/w8/model.onnx"]
    assert check(release.replacing("models/minilm/w8/model.onnx", assistant))

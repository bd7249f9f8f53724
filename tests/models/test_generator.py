"""The generator: the same answers from the transformers folder and from the edge's graph, and plain refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid.errors import InputError
from hybrid.gateway.engines.decoder import Decoder
from hybrid.models.generator import load_generator
from hybrid.models.training import read_replies
from tests.support.models import REPOSITORY, TRAINING, built_workshop

COMPARE = """
import json, sys
from pathlib import Path
from hybrid.models.generator import load_generator
from hybrid.models.training import read_replies
opened = load_generator(Path(sys.argv[1]))
prompts = [one.prompt for one in read_replies(Path(sys.argv[2]))[::24]]
print(json.dumps([opened.generate_tokens(prompt, 60)[1] for prompt in prompts]))
"""


@pytest.mark.slow
def test_the_edge_gives_the_greedy_tokens_of_torch() -> None:
    replies, shop = TRAINING / "replies.jsonl", built_workshop()
    done = subprocess.run(
        [sys.executable, "-c", COMPARE, str(shop.variant("assistant", "fp32")), str(replies)],
        cwd=REPOSITORY, capture_output=True, text=True, check=True,
    )  # fmt: skip
    files = shop.files("assistant", "w8")
    decoder = Decoder.open(files["model.onnx"], files["tokenizer.json"])
    prompts = [one.prompt for one in read_replies(replies)[::24]]
    assert [decoder.generate_tokens(prompt, 60)[1] for prompt in prompts] == json.loads(done.stdout)


def test_a_prompt_longer_than_the_context_loses_its_beginning() -> None:
    files = built_workshop().files("assistant", "w8")
    decoder = Decoder.open(files["model.onnx"], files["tokenizer.json"])
    end = "Kind: results\nReply:"
    assert decoder.generate_tokens("x " * 3000 + end, 5)[1]


def test_an_embedder_is_no_decoder() -> None:
    files = built_workshop().files("minilm", "w8")
    with pytest.raises(InputError, match="not a decoder graph"):
        Decoder.open(files["model.onnx"], files["tokenizer.json"])


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        load_generator(tmp_path)


def test_every_urgent_reply_names_the_emergency_number_and_no_reply_gives_a_dose() -> None:
    for line in (TRAINING / "replies.jsonl").read_text("utf-8").splitlines():
        reply = json.loads(line)
        if reply["label"] == "urgent":
            assert "112" in reply["reply"] or "maternity unit" in reply["reply"]
        assert " mg" not in reply["reply"]


def test_a_wrong_reply_names_its_line(tmp_path: Path) -> None:
    good = (TRAINING / "replies.jsonl").read_text("utf-8").splitlines()[0]
    (tmp_path / "r.jsonl").write_text(good + '\n{"message": "a"}\n', "utf-8")
    with pytest.raises(InputError, match=r"r\.jsonl:2"):
        read_replies(tmp_path / "r.jsonl")

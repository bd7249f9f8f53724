"""A small fleet with a region, a plan for it, a generator made from its config, and the keys of its gateway."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hybrid.cluster.compile import Region, compile_region
from placement.problem import Problem, read_problem

KEY = Ed25519PrivateKey.from_private_bytes(b"\7" * 32)
PLAN_DIGEST = "sha256:" + "1" * 64
SITE = """\
apiVersion: hybrid/v1
kind: Site
metadata: {{name: {name}, labels: {{role: region}}}}
spec:
  location: {country}
  serves: any
  hardware:
    - {{name: gpu, count: 2, arch: x86_64, cpus: 8, memory: 32GiB, disk: 500GiB, price: 1 EUR/h}}
  connectivity: {{mode: connected, links: []}}
"""
REST = """\
apiVersion: hybrid/v1
kind: Pipeline
metadata: {{name: reply}}
spec:
  origins: {{role: region}}
  rate: 1/s
  latency: 8s
  input: {{data: [system.operations], size: 1KiB}}
  stages: [{{name: draft, task: {task}, models: [{model}], output: 1KiB}}]
---
apiVersion: hybrid/v1
kind: Model
metadata: {{name: {model}}}
spec:
  task: {task}
  source: {{package: example, digest: "{zero}"}}
  licence: Apache-2.0
  trainedOn: []
  state: approved
  approval: {{by: Model board (example), on: 2026-11-20}}
  variants:
    - name: {variant}
      files: {files}
      needs: {{cpus: 1, memory: 512MiB, disk: 10MB}}
      speed: [{{hardware: x86_64, service: 100ms, throughput: 10/s}}]
---
apiVersion: hybrid/v1
kind: Policy
metadata: {{name: house}}
spec: {{packs: []}}
"""


@dataclass(frozen=True)
class Made:
    """A model as the fleet names it, with the digests of its files."""

    model: str = "assistant"
    variant: str = "fp32"
    task: str = "generate"
    files: Mapping[str, str] = field(default_factory=lambda: {"model": "sha256:" + "0" * 64})


def a_problem(folder: Path, made: Made = Made()) -> Problem:
    """A fleet with regions in France and Germany, and one model."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, country in (("dc-paris", "FR"), ("dc-lyon", "FR"), ("dc-berlin", "DE")):
        (folder / f"{name}.yaml").write_text(SITE.format(name=name, country=country))
    facts = {"model": made.model, "variant": made.variant, "task": made.task, "files": json.dumps(dict(made.files))}
    (folder / "rest.yaml").write_text(REST.format(zero="sha256:" + "0" * 64, **facts))
    return read_problem(folder, dt.date(2026, 12, 1))


def a_plan(*, site: str = "dc-paris", replicas: int = 1, made: Made = Made()) -> dict[str, Any]:
    """A plan with one workload whose draft runs at `site`, on node gpu-0."""
    chosen = {"site": site, "model": made.model, "variant": made.variant, "hardware": "gpu"}
    return {
        "workloads": [{
            "id": f"reply@{site}", "pipeline": "reply", "origin": site,
            "latency_ms": {"modelled": 150.0, "limit": 8000.0},
            "assignments": [{"fraction": 1.0, "stages": [{"stage": "draft", **chosen}], "flows": []}],
        }],
        "pools": [{**chosen, "replicas": replicas, "nodes": {"gpu-0": {"replicas": replicas}}, "load": 1.0}],
    }  # fmt: skip


def keyid() -> str:
    public = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return "sha256:" + hashlib.sha256(public).hexdigest()


def a_site_plan(site: str = "dc-paris", **changes: Any) -> dict[str, Any]:
    """The parsed site plan whose registry has `KEY` as the passport key of `site`."""
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    key = {
        "site": site, "use": "passport", "keyid": keyid(), "publicKey": public,
        "from": "2026-01-01T00:00:00Z", "until": "2036-01-01T00:00:00Z",
    }  # fmt: skip
    return {"site": site, "epoch": 3, "planDigest": PLAN_DIGEST, "keys": [key], "revoked": [], **changes}


def a_region(folder: Path, **changes: Any) -> Region:
    """The compiled region of `a_plan`."""
    given = {"plan": a_plan(), "sites": ("dc-paris",), "models": folder / "models", "site_plan": a_site_plan()}
    given |= {"problem": changes.pop("problem", None) or a_problem(folder / "fleet"), "plan_digest": PLAN_DIGEST}
    return compile_region(**{**given, **changes})


def a_generator(folder: Path) -> Made:
    """Make a two-layer Llama of random weights with a byte-level tokenizer."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(["<end>", *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=257, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=512, bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(folder)
    return Made(files=digests_of(folder))


def a_classifier(models: Path) -> Made:
    """Make a tiny classifier as an ONNX graph below `models`; it starts in a second, without torch."""
    from tests.support.gateway import models as graphs

    (folder := models / "small/w8").mkdir(parents=True)
    for name, path in graphs(models.parent / "graphs").items():
        if name.startswith("models/small/"):
            shutil.copy(path, folder)
    return Made("small", "w8", "classify", digests_of(folder))


def digests_of(folder: Path) -> dict[str, str]:
    """Return the digest of every file in `folder`."""
    return {path.name: "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}

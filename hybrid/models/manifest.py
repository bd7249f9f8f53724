"""Writes the Model manifest: what was measured, in the form that the planner reads; and records who approved it.

Only an approval states what the weights were trained on; until then `trainedOn` is omitted, which means unknown.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from hybrid.knowledge.store import digest_of
from hybrid.models.provenance import state_evaluation
from hybrid.models.workshop import REFERENCE, Workshop, write_text

MIB = 1 << 20
FLOORS = {"embed": ("cosine", 0.99), "classify": ("agreement", 0.95), "generate": ("greedyTokens", 0.9)}


@dataclass(frozen=True)
class Approval:
    """A person's decision: who, when, whether they state that nothing restricted was trained on.

    `variants` are those that it is about, in the order of the evaluation; none named is all of them.
    """

    by: str
    on: date
    nothing_restricted: bool
    variants: tuple[str, ...] = ()


def manifest_of(evaluation: dict[str, Any], source: dict[str, Any], approval: Approval | None) -> dict[str, Any]:
    """Return the Model manifest as a mapping, from what `evaluate` kept; numbers rounded to what they can bear."""
    spec: dict[str, Any] = {
        "task": evaluation["task"],
        "source": {
            ("path" if source["data"] == source["package"] else "package"): source["package"],
            "digest": source["digest"],
        },
        "licence": source["licence"],
    }
    if approval is not None and approval.nothing_restricted:
        spec["trainedOn"] = []
    spec["state"] = "candidate" if approval is None else "approved"
    if approval is not None:
        spec["approval"] = {"by": approval.by, "on": approval.on}
    spec["variants"] = [_variant(evaluation, measured) for measured in _decided(evaluation, approval)]
    return {"apiVersion": "hybrid/v1", "kind": "Model", "metadata": {"name": evaluation["model"]}, "spec": spec}


def _decided(evaluation: dict[str, Any], approval: Approval | None) -> list[dict[str, Any]]:
    """Return the measured variants that an approval is about. Raises InputError for one that was not measured."""
    measured: list[dict[str, Any]] = evaluation["variants"]
    wanted = () if approval is None else approval.variants
    known = [each["variant"] for each in measured]
    for name in wanted:
        if name not in known:
            raise InputError(f"{evaluation['model']} has no variant {name!r}", advice=f"there are {', '.join(known)}")
    return [each for each in measured if not wanted or each["variant"] in wanted]


def _variant(evaluation: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    cost = measured["cost"]
    return {
        "name": measured["variant"],
        "files": measured["files"],
        "needs": {
            "cpus": 1,
            "memory": f"{math.ceil(cost['peak_bytes'] / MIB / 10) * 10}MiB",
            "disk": f"{math.ceil(measured['bytes'] / 1e6)}MB",
        },
        "quality": {
            **{name: round(value, 4) for name, value in measured["quality"].items()},
            "measuredOn": evaluation["texts_digest"],
        },
        "speed": [
            {
                "hardware": evaluation["hardware"],
                "service": f"{cost['service_ms']:.1f}ms",
                "throughput": f"{max(1, int(1000 / cost['service_ms']))}/s",
                "measuredOn": evaluation["cpu"],
            }
        ],
    }


def to_yaml(manifest: dict[str, Any]) -> str:
    """Return the manifest as YAML, with digests quoted and in the order that people read."""
    import yaml

    class Readable(yaml.SafeDumper):
        pass

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if ":" in value else None)

    Readable.add_representer(str, text)
    return yaml.dump(manifest, Dumper=Readable, sort_keys=False, allow_unicode=True, width=110)


def write_manifest(model: str, workshop: Workshop, approval: Approval | None = None) -> Path:
    """Write `model`'s manifest into the workshop and return its path; without an approval it is a candidate.

    Raises:
        InputError: the model was not evaluated, or its files changed since.
    """
    evaluation, source = workshop.evaluation(model), workshop.source(model)
    for measured in evaluation["variants"]:
        _unchanged(model, measured, workshop)
    path = workshop.manifest(model)
    write_text(path, to_yaml(manifest_of(evaluation, vars(source), approval)))
    return path


def _unchanged(model: str, measured: dict[str, Any], workshop: Workshop) -> None:
    now = {name: digest_of(path) for name, path in workshop.files(model, measured["variant"]).items()}
    if now != measured["files"]:
        raise InputError(
            f"{model}/{measured['variant']} changed after it was evaluated", advice=f"hybrid model evaluate {model}"
        )


def below_floor(evaluation: dict[str, Any], approval: Approval | None = None) -> list[str]:
    """Return one sentence for each variant in question whose agreement with fp32 is too low to be approved."""
    metric, floor = FLOORS[evaluation["task"]]
    name = evaluation["model"]
    return [
        f"{name}/{measured['variant']}: {metric} {measured['quality'][metric]:.4f}, at least {floor} is needed"
        for measured in _decided(evaluation, approval)
        if measured["variant"] != REFERENCE and measured["quality"][metric] < floor
    ]


def approve(model: str, workshop: Workshop, approval: Approval) -> list[str]:
    """Approve what was evaluated: write the manifest, or return why not (nothing is written then)."""
    refused = below_floor(workshop.evaluation(model), approval)
    if not refused:
        write_manifest(model, workshop, approval)
        decision = {"by": approval.by, "on": approval.on.isoformat(), "nothing_restricted": approval.nothing_restricted,
                    "variants": list(approval.variants)}  # fmt: skip
        digest = digest_of(workshop.folder(model) / "evaluation.json")
        write_text(
            workshop.folder(model) / "approval.json", json.dumps({**decision, "evaluation": digest}, indent=2) + "\n"
        )
        _state_evaluations(model, workshop, approval)
    return refused


def _state_evaluations(model: str, workshop: Workshop, approval: Approval) -> None:
    evaluation = workshop.evaluation(model)
    for measured in _decided(evaluation, approval):
        state_evaluation(model, measured, evaluation["texts_digest"], FLOORS[evaluation["task"]],
                         f"{approval.by}, {approval.on}", workshop)  # fmt: skip


def state_of(model: str, workshop: Workshop) -> tuple[str, str]:
    """Return (`exported` | `candidate` | `approved`, who and when); an approval counts for its own evaluation only."""
    folder = workshop.folder(model)
    if not (folder / "evaluation.json").is_file():
        return "exported", ""
    if not (folder / "approval.json").is_file():
        return "candidate", ""
    told = json.loads((folder / "approval.json").read_text("utf-8"))
    if told["evaluation"] != digest_of(folder / "evaluation.json"):
        return "candidate", ""
    return "approved", f"{told['by']}, {told['on']}"

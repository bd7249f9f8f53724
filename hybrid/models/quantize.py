"""Makes the lighter variants of an exported graph: w8 (the default), int8 (the fastest) and fp16.

w8 stores MatMul weights in 8 bits, block by block, and the embedding table in int8; it gives the same vector alone
or in a batch. int8 also quantises activations at run time, whose scale depends on the batch. A classifier's head
stays fp32 upon the same variant of its embedder: it is small, labels turn on it, and a site opens the encoder once.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hybrid.errors import InputError
from hybrid.gateway.engines.session import onnxruntime
from hybrid.models.classifier import head_of, put_head
from hybrid.models.export import export_decoder, stamp
from hybrid.models.offline import go_offline, quiet
from hybrid.models.provenance import state_build
from hybrid.models.workshop import REFERENCE, Workshop, replacing

FLOAT = 1  # onnx.TensorProto.FLOAT: quantize_dynamic cannot infer the type of every tensor


def quantize(model: str, variant: str, workshop: Workshop) -> Path:
    """Make `variant` of `model` from its fp32 graph and return its folder.

    Raises:
        InputError: the variant is unknown, the model was not exported, or it is no graph.
    """
    if variant not in VARIANTS:
        raise InputError(f"{variant!r} is no variant", advice=f"one of {', '.join(VARIANTS)}")
    reference = workshop.files(model, REFERENCE)
    go_offline()
    onnxruntime()
    if "model.onnx" not in reference:
        made = _of_generator(model, variant, workshop)
    elif embedder := workshop.source(model).embedder:
        made = _of_classifier(model, embedder, variant, workshop)
    else:
        made = _of_embedder(model, variant, workshop)
    state_build(model, variant, workshop)
    return made


def _of_embedder(model: str, variant: str, workshop: Workshop) -> Path:
    reference = workshop.files(model, REFERENCE)
    with quiet(), replacing(workshop.variant(model, variant)) as folder:
        VARIANTS[variant](reference["model.onnx"], folder / "model.onnx")
        _keep_metadata(reference["model.onnx"], folder / "model.onnx")
        shutil.copyfile(reference["tokenizer.json"], folder / "tokenizer.json")
    return workshop.variant(model, variant)


def _of_classifier(model: str, embedder: str, variant: str, workshop: Workshop) -> Path:
    """Put the classifier's head upon the same variant of its embedder, which is made first where it is missing."""
    if variant not in workshop.variants(embedder):
        quantize(embedder, variant, workshop)
    head = head_of(workshop.files(model, REFERENCE)["model.onnx"])
    return put_head(head, embedder, model, variant, workshop)


def _of_generator(model: str, variant: str, workshop: Workshop) -> Path:
    """Make a variant of a transformers folder: w8 is a decoder graph for the edge, fp16 a folder of half the size."""
    if variant not in GENERATOR_VARIANTS:
        raise InputError(f"{model} is a generator: no {variant}", advice=f"one of {', '.join(GENERATOR_VARIANTS)}")
    with quiet(), replacing(workshop.variant(model, variant)) as folder:
        GENERATOR_VARIANTS[variant](workshop.variant(model, REFERENCE), folder)
    return workshop.variant(model, variant)


def _w8_decoder(reference: Path, folder: Path) -> None:
    import onnx
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    export_decoder(reference, folder / "fp32.onnx")
    graph = onnx.load(folder / "fp32.onnx")
    (folder / "fp32.onnx").unlink()
    blocks = MatMulNBitsQuantizer(graph, bits=8, block_size=32, is_symmetric=False, accuracy_level=4)
    blocks.process()
    onnx.save(blocks.model.model, folder / "model.onnx")
    shutil.copyfile(reference / "tokenizer.json", folder / "tokenizer.json")


def _fp16_folder(reference: Path, folder: Path) -> None:
    from hybrid.models.generator import load_generator

    opened = load_generator(reference)
    opened.model.half().save_pretrained(folder)
    opened.tokenizer.save_pretrained(folder)


GENERATOR_VARIANTS: dict[str, Callable[[Path, Path], None]] = {"w8": _w8_decoder, "fp16": _fp16_folder}


def _w8(reference: Path, out: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    blocks = MatMulNBitsQuantizer(
        onnx.load(reference), bits=8, block_size=32, is_symmetric=False, accuracy_level=4,
    )  # fmt: skip
    blocks.process()
    quantize_dynamic(
        blocks.model.model, out, op_types_to_quantize=["Gather"], weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": FLOAT},
    )  # fmt: skip


def _int8(reference: Path, out: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        reference, out, per_channel=True, weight_type=QuantType.QInt8,
        extra_options={"DefaultTensorType": FLOAT, "MatMulConstBOnly": True},
    )  # fmt: skip


def _fp16(reference: Path, out: Path) -> None:
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    half: Any = convert_float_to_float16(onnx.load(reference), keep_io_types=True)
    onnx.save(half, out)


VARIANTS: dict[str, Callable[[Path, Path], None]] = {"w8": _w8, "int8": _int8, "fp16": _fp16}


def _keep_metadata(reference: Path, made: Path) -> None:
    import onnx

    told = onnx.load(reference, load_external_data=False).metadata_props
    model = onnx.load(made)
    del model.metadata_props[:]
    stamp(model, {entry.key: entry.value for entry in told})
    onnx.save(model, made)

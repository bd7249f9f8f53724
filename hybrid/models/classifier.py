"""A classifier without a hub: an embedder and a logistic head, merged into one ONNX graph.

The labelled texts are JSON lines: `{"text": …, "label": …, "split": "train" | "test"}`; the split is declared in the
file, so everybody measures on the same texts.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.errors import InputError
from hybrid.knowledge.store import digest_of
from hybrid.models.offline import go_offline
from hybrid.models.provenance import state_build
from hybrid.models.workshop import REFERENCE, Workshop, replacing

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

WEIGHT, BIAS = "head.weight", "head.bias"
INVERSE_REGULARISATION = 3.0
DECIMALS = 4


@dataclass(frozen=True)
class Labelled:
    """One labelled text."""

    text: str
    label: str
    split: str


@dataclass(frozen=True)
class Head:
    """A logistic head: weights (width, labels), bias (labels), and the labels in order."""

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]


def read_labelled(path: Path) -> list[Labelled]:
    """Read labelled texts.

    Raises:
        InputError: a line is no such text, a text stands in both splits, or a label has no text to train or test.
    """
    found = [_labelled(path, number, line) for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)]
    for text in {one.text for one in found if one.split == "train"} & {
        one.text for one in found if one.split == "test"
    }:
        raise InputError(f"{path}: {text[:60]!r} stands in both splits", advice="a test text may not be trained on")
    labels = {split: {one.label for one in found if one.split == split} for split in ("train", "test")}
    if len(labels["train"]) < 2 or labels["train"] != labels["test"]:
        raise InputError(
            f"{path}: every label needs texts in both splits", advice="at least two labels, train and test"
        )
    return found


def _labelled(path: Path, number: int, line: str) -> Labelled:
    try:
        found = Labelled(**json.loads(line))
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}:{number}: not a labelled text: {error}", advice='{"text": "…", "label": "…", "split": "train"}'
        ) from error
    if found.split not in {"train", "test"} or not found.text.strip():
        raise InputError(f"{path}:{number}: split is train or test, and text is not empty", advice="mend the line")
    return found


def train_classifier(embedder: str, model: str, texts: Path, workshop: Workshop) -> Path:
    """Train a head on the train split of `texts`, merge it upon `embedder` and return the fp32 variant's folder.

    Raises:
        InputError: the texts are not as declared, or the embedder is not in the workshop.
    """
    labelled, source = read_labelled(texts), workshop.source(embedder)
    labels = sorted({one.label for one in labelled})
    train = [one for one in labelled if one.split == "train"]
    vectors = embed(workshop.files(embedder, REFERENCE), [one.text for one in train])
    weights, bias = fit(vectors, [labels.index(one.label) for one in train])
    folder = put_head(Head(weights, bias, tuple(labels)), embedder, model, REFERENCE, workshop)
    workshop.write_source(
        replace(source, model=model, task="classify", embedder=embedder, data=texts.name, data_digest=digest_of(texts))
    )
    state_build(model, REFERENCE, workshop)
    return folder


def put_head(head: Head, embedder: str, model: str, variant: str, workshop: Workshop) -> Path:
    """Write `model`'s `variant`: `head` upon the same variant of `embedder`; return its folder.

    Raises:
        InputError: the embedder has no such variant.
    """
    import onnx

    files = workshop.files(embedder, variant)
    with replacing(workshop.variant(model, variant)) as folder:
        merged = merge(onnx.load(files["model.onnx"]), head, digest_of(files["model.onnx"]))
        onnx.save(merged, folder / "model.onnx")
        shutil.copyfile(files["tokenizer.json"], folder / "tokenizer.json")
    return workshop.variant(model, variant)


def head_of(graph: Path) -> Head:
    """Read the head back out of a classifier's graph."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(graph)
    told = {entry.key: entry.value for entry in model.metadata_props}
    found = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer if one.name in (WEIGHT, BIAS)}
    return Head(found[WEIGHT], found[BIAS], tuple(json.loads(told["labels"])))


def embed(files: dict[str, Path], texts: Sequence[str]) -> NDArray[np.float32]:
    """Embed `texts` one by one with the graph among `files`: shape (texts, width)."""
    import numpy as np

    from hybrid.gateway.engines.text import TextModel

    opened = TextModel.open(files["model.onnx"], files["tokenizer.json"])
    return np.stack([opened.output(text) for text in texts])


def fit(vectors: NDArray[np.float32], targets: list[int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit a multinomial logistic head: weights (width, labels) and bias (labels), rounded so that re-runs agree."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    go_offline()
    head = LogisticRegression(C=INVERSE_REGULARISATION, max_iter=2000, tol=1e-8, class_weight="balanced")
    head.fit(vectors.astype(np.float64), targets)
    coefficients, intercept = head.coef_, head.intercept_
    if len(set(targets)) == 2:  # scikit-learn keeps one row for two classes
        coefficients, intercept = np.vstack([-coefficients, coefficients]) / 2, np.hstack([-intercept, intercept]) / 2
    return coefficients.T.round(DECIMALS).astype(np.float32), intercept.round(DECIMALS).astype(np.float32)


def merge(embedder: onnx.ModelProto, head: Head, digest: str) -> onnx.ModelProto:
    """Put softmax(embedding · weights + bias) behind the embedder: one graph, first output `scores`, then its own.

    Args:
        embedder: the embedder's graph, which is changed.
        head: what to put upon it.
        digest: of the embedder's file, so that a site that serves both opens the encoder once.
    """
    from onnx import TensorProto, checker, helper, numpy_helper

    from hybrid.models.export import stamp

    graph = embedder.graph
    embedding = graph.output[0]
    graph.initializer.extend([numpy_helper.from_array(head.weights, WEIGHT), numpy_helper.from_array(head.bias, BIAS)])
    graph.node.extend([
        helper.make_node("MatMul", [embedding.name, WEIGHT], ["head/product"], name="head/matmul"),
        helper.make_node("Add", ["head/product", BIAS], ["head/logits"], name="head/add"),
        helper.make_node("Softmax", ["head/logits"], ["scores"], name="head/softmax", axis=-1),
    ])  # fmt: skip
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(head.labels)])
    outputs = [scores, *graph.output]
    del graph.output[:]
    graph.output.extend(outputs)
    labels = json.dumps(list(head.labels), ensure_ascii=False)
    stamp(embedder, {"task": "classify", "labels": labels, "embedder": digest})
    checker.check_model(embedder)
    return embedder

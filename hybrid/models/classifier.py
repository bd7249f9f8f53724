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
from typing import TYPE_CHECKING, Any

from hybrid.errors import InputError
from hybrid.models.offline import go_offline
from hybrid.models.workshop import REFERENCE, Workshop, replacing

if TYPE_CHECKING:
    import numpy as np
    import onnx
    from numpy.typing import NDArray

HEAD_NODES = ("head/matmul", "head/add", "head/softmax")
INVERSE_REGULARISATION = 3.0
DECIMALS = 4


@dataclass(frozen=True)
class Labelled:
    """One labelled text."""

    text: str
    label: str
    split: str


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
    import onnx

    labelled = read_labelled(texts)
    files = workshop.files(embedder, REFERENCE)
    labels = sorted({one.label for one in labelled})
    train = [one for one in labelled if one.split == "train"]
    weights, bias = fit(embed(files, [one.text for one in train]), [labels.index(one.label) for one in train])
    with replacing(workshop.variant(model, REFERENCE)) as folder:
        onnx.save(merge(onnx.load(files["model.onnx"]), weights, bias, labels), folder / "model.onnx")
        shutil.copyfile(files["tokenizer.json"], folder / "tokenizer.json")
    base = workshop.source(embedder)
    from hybrid.knowledge.store import digest_of

    workshop.write_source(replace(base, model=model, task="classify", data=texts.name, data_digest=digest_of(texts)))
    return workshop.variant(model, REFERENCE)


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


def merge(
    embedder: onnx.ModelProto, weights: NDArray[np.float32], bias: NDArray[np.float32], labels: list[str]
) -> onnx.ModelProto:
    """Put softmax(embedding · weights + bias) behind the embedder's output: one graph with the output `scores`."""
    from onnx import TensorProto, checker, helper, numpy_helper

    from hybrid.models.export import stamp

    graph = embedder.graph
    embedding = graph.output[0].name
    graph.initializer.extend(
        [numpy_helper.from_array(weights, "head.weight"), numpy_helper.from_array(bias, "head.bias")]
    )
    matmul, add, softmax = HEAD_NODES
    graph.node.extend([
        helper.make_node("MatMul", [embedding, "head.weight"], ["head/product"], name=matmul),
        helper.make_node("Add", ["head/product", "head.bias"], ["head/logits"], name=add),
        helper.make_node("Softmax", ["head/logits"], ["scores"], name=softmax, axis=-1),
    ])  # fmt: skip
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", len(labels)]))
    stamp(embedder, {"task": "classify", "labels": json.dumps(labels, ensure_ascii=False)})
    checker.check_model(embedder)
    return embedder


def confusion(labels: Sequence[str], truth: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count given labels by true label."""
    counts: dict[str, Any] = {label: dict.fromkeys(labels, 0) for label in labels}
    for true, got in zip(truth, given, strict=True):
        counts[true][got] += 1
    return counts

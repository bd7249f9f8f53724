"""What tells a variant from its fp32 reference: pure functions on outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOP = 10
CLOSE = 0.05


def cosines(reference: NDArray[np.float32], variant: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of each row of `variant` with the same row of `reference`."""
    import numpy as np

    left, right = reference.astype(np.float64), variant.astype(np.float64)
    found: NDArray[np.float64] = (left * right).sum(1) / (np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1))
    return found


def similarities(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the cosine of every pair of rows, with -1 on the diagonal so that no text is its own neighbour."""
    import numpy as np

    wide = vectors.astype(np.float64)
    unit = wide / np.linalg.norm(wide, axis=1, keepdims=True)
    scores: NDArray[np.float64] = unit @ unit.T
    np.fill_diagonal(scores, -1.0)
    return scores


def top_overlap(reference: NDArray[np.float64], variant: NDArray[np.float64], count: int = TOP) -> float:
    """Return the mean share of each row's `count` best columns in which both matrices agree."""
    import numpy as np

    both = [
        len(set(np.argsort(-left)[:count]) & set(np.argsort(-right)[:count])) / count
        for left, right in zip(reference, variant, strict=True)
    ]
    return float(np.mean(both))


def hard_pairs(reference: NDArray[np.float64], variant: NDArray[np.float64]) -> float:
    """Return the share of hard pairs that `variant` orders as `reference` does.

    A hard pair is a row's nearest neighbour in the reference and another of its ten nearest whose score is within
    0.05 of it: the choices on which a retrieval turns.
    """
    import numpy as np

    agreed = total = 0
    for left, right in zip(reference, variant, strict=True):
        best, *others = np.argsort(-left)[:TOP]
        for other in others:
            if left[best] - left[other] < CLOSE:
                total += 1
                agreed += int(right[best] > right[other])
    return agreed / total if total else 1.0


def accuracy(truth: Sequence[str], given: Sequence[str]) -> float:
    """Return the share of `given` labels that are true."""
    return sum(true == got for true, got in zip(truth, given, strict=True)) / len(truth)


def recall(label: str, truth: Sequence[str], given: Sequence[str]) -> float:
    """Return the share of the texts of `label` that were given it."""
    of_label = [got == true for true, got in zip(truth, given, strict=True) if true == label]
    return sum(of_label) / len(of_label)


def token_agreement(reference: Sequence[Sequence[int]], variant: Sequence[Sequence[int]]) -> float:
    """Return the share of the reference's tokens before the first difference of each answer."""
    agreed = total = 0
    for left, right in zip(reference, variant, strict=True):
        length = max(len(left), len(right))
        first = next(
            (at for at, (a, b) in enumerate(zip(left, right, strict=False)) if a != b), min(len(left), len(right))
        )
        agreed, total = agreed + first, total + length
    return agreed / total if total else 1.0

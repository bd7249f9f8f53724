"""The measures that tell variants apart, on numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid.models import metrics

VECTORS = np.array([[1, 0], [0.8, 0.6], [0.6, 0.8], [0, 1]], dtype=np.float32)


def test_cosine_of_a_row_with_itself_is_one_whatever_its_length() -> None:
    assert metrics.cosines(VECTORS, 3 * VECTORS) == pytest.approx([1, 1, 1, 1])


def test_no_text_is_its_own_neighbour() -> None:
    assert metrics.similarities(VECTORS).argmax(axis=1).tolist() == [1, 2, 1, 2]


def test_top_overlap_counts_shared_neighbours() -> None:
    left = np.array([[0.9, 0.8, 0.1, 0.0]])
    right = np.array([[0.9, 0.1, 0.8, 0.0]])
    assert metrics.top_overlap(left, right, count=2) == 0.5


def test_hard_pairs_ask_only_about_close_choices() -> None:
    reference = np.array([[0.90, 0.88, 0.50]])
    assert metrics.hard_pairs(reference, np.array([[0.90, 0.80, 0.95]])) == 1.0
    assert metrics.hard_pairs(reference, np.array([[0.80, 0.90, 0.50]])) == 0.0


def test_recall_is_of_one_label() -> None:
    truth, given = ["a", "a", "b", "b"], ["a", "b", "b", "b"]
    assert (metrics.recall("a", truth, given), metrics.accuracy(truth, given)) == (0.5, 0.75)


@pytest.mark.parametrize(
    ("variant", "expected"), [([[1, 2, 3, 4]], 1.0), ([[1, 2, 9, 4]], 0.5), ([[1, 2]], 0.5), ([[9, 2, 3, 4]], 0.0)]
)
def test_tokens_agree_up_to_the_first_difference(variant: list[list[int]], expected: float) -> None:
    assert metrics.token_agreement([[1, 2, 3, 4]], variant) == expected

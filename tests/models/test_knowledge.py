"""The retrieval store: how documents are cut, and that an index is whole, of one embedder, or refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import EvidenceError, InputError
from hybrid.knowledge import build_index, documents_in, list_indexes, read_index
from hybrid.knowledge.passages import PASSAGE_CHARACTERS, Passage, cut
from hybrid.knowledge.store import write_index
from tests.support.models import PROTOCOLS, an_index, shelf

DOCUMENT = """# Fever
<!-- not reviewed -->

## At once

A baby under three months
is seen at once.

## At home

Offer drinks. Let the child rest.
"""


def test_a_passage_has_its_titles_and_never_crosses_a_heading() -> None:
    assert cut("fever.md", DOCUMENT) == [
        Passage("fever.md#1", "Fever · At once", "A baby under three months is seen at once."),
        Passage("fever.md#2", "Fever · At home", "Offer drinks. Let the child rest."),
    ]


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=4000))
def test_no_passage_is_empty_or_too_long_and_no_word_is_lost(text: str) -> None:
    plain = text.replace("#", "").replace("<", "")
    passages = cut("a", plain)
    assert all(0 < len(passage.text) <= PASSAGE_CHARACTERS for passage in passages)
    assert "".join("".join(p.text for p in passages).split()) == "".join(plain.split())


def test_nearest_is_best_first(tmp_path: Path) -> None:
    found = an_index().nearest(np.array([1.0, 0.0], dtype=np.float32), 2)
    assert [(passage.id, round(score, 3)) for passage, score in found] == [("a#1", 1.0), ("a#3", 0.6)]


def test_an_index_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_index(tmp_path / "care.index", an_index())
    found = read_index(tmp_path / "care.index")
    assert (found.head, found.passages) == (an_index().head, an_index().passages)
    assert (found.vectors == an_index().vectors).all()
    assert [path.name for path in tmp_path.iterdir()] == ["care.index"]
    assert (tmp_path / "care.index").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("place", [0, 40, 200, -40, -1])
def test_any_flipped_bit_is_refused(tmp_path: Path, place: int) -> None:
    path = tmp_path / "care.index"
    write_index(path, an_index())
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(EvidenceError, match="damaged"):
        read_index(path)


def test_a_truncated_index_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "care.index"
    write_index(path, an_index())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(EvidenceError, match="damaged"):
        read_index(path)


def test_an_index_of_another_embedder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"another")
    with pytest.raises(InputError, match="another embedder"):
        an_index().require_embedder(tmp_path / "model.onnx")


def test_the_example_protocols_are_indexed_the_same_twice(tmp_path: Path) -> None:
    label = [{"data": "system.operations", "law": ["FR"]}]
    for place in ("one", "two"):
        build_index(
            shelf(), "care-protocols", documents_in(PROTOCOLS), knowledge=tmp_path / place, model="minilm",
            variant="w8", label=label,
        )  # fmt: skip
    one, two = (tmp_path / place / "care-protocols.index" for place in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()
    (listed,) = list_indexes(tmp_path / "one")
    assert (listed.documents, listed.embedder, listed.label) == (12, "minilm/w8", tuple(label))
    assert listed.passages > 30


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe not text"])
def test_documents_that_cannot_be_read_are_refused_by_name(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / ("a.md" if content else "a.pdf")).write_bytes(content)
    with pytest.raises(InputError, match=r"no \.md|not UTF-8"):
        documents_in(tmp_path)

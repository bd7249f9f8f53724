"""The tree against the definition, written naively, and against the vectors that every CT implementation shares."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    Tree,
    is_consistent,
    leaf_hash,
    node_hash,
    root_from_inclusion,
)

LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]  # the vectors of certificate-transparency's reference implementation


def naive_root(hashes: list[bytes]) -> bytes:
    """MTH as RFC 6962 2.1 writes it."""
    if not hashes:
        return EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return node_hash(naive_root(hashes[:split]), naive_root(hashes[split:]))


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_rfc_6962(size: int) -> None:
    hashes = [leaf_hash(bytes.fromhex(leaf)) for leaf in LEAVES[:size]]
    assert Frontier(hashes).root().hex() == Tree(hashes).root().hex() == ROOTS[size - 1]


sizes = st.integers(0, 200)


def leaves(size: int) -> list[bytes]:
    return [leaf_hash(number.to_bytes(4, "big")) for number in range(size)]


@given(sizes)
def test_frontier_and_tree_agree_with_the_definition(size: int) -> None:
    hashes = leaves(size)
    assert Frontier(hashes).root() == Tree(hashes).root() == naive_root(hashes)


@given(st.data(), st.integers(1, 200))
def test_an_inclusion_proof_leads_to_the_root_and_to_no_other_leaf(data: st.DataObject, size: int) -> None:
    hashes, index = leaves(200), data.draw(st.integers(0, size - 1))
    path = Tree(hashes).inclusion(index, size)
    root = naive_root(hashes[:size])
    assert root_from_inclusion(hashes[index], index, size, path) == root
    assert root_from_inclusion(leaf_hash(b"forged"), index, size, path) != root
    other = (index + 1) % size
    assert size == 1 or root_from_inclusion(hashes[index], other, size, path) != root


@given(st.data(), sizes)
def test_a_consistency_proof_holds_and_a_rewritten_past_does_not(data: st.DataObject, new: int) -> None:
    hashes, old = leaves(200), data.draw(st.integers(0, new))
    tree, proof = Tree(hashes), Tree(hashes).consistency(old, new)
    assert is_consistent(old, tree.root(old), new, tree.root(new), proof)
    rewritten = Tree([leaf_hash(b"rewritten"), *hashes[1:]])
    if 0 < old < new:
        assert not is_consistent(old, tree.root(old), new, rewritten.root(new), proof)
        assert not is_consistent(old, tree.root(old), new, rewritten.root(new), rewritten.consistency(old, new))
        assert not is_consistent(old, tree.root(old), new, tree.root(new), [*proof, EMPTY_ROOT])


def test_what_is_not_in_the_tree_has_no_proof() -> None:
    tree = Tree(leaves(3))
    for act in (lambda: tree.inclusion(3), lambda: tree.consistency(2, 4), lambda: tree.root(4)):
        with pytest.raises(IndexError):
            act()

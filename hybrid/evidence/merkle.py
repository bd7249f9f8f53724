"""RFC 6962 Merkle trees over SHA-256: roots, inclusion proofs and consistency proofs, as pure functions of hashes.

A leaf's data here is always 32 bytes, the digest of a record; a *leaf hash* is `leaf_hash(data)`. Sections cited are
those of RFC 6962 (2.1) and RFC 9162 (2.1.3.2 and 2.1.4.2, the verification algorithms).
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()
HASH_BYTES = 32


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf (RFC 6962 2.1: domain 0x00)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 6962 2.1: domain 0x01)."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: append leaf hashes and read the root, in O(log n) memory.

    `_peaks[k]` is the root of the complete subtree of 2**k leaves in the binary form of `size`, or None.
    """

    def __init__(self, leaf_hashes: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[bytes | None] = []
        for leaf in leaf_hashes:
            self.append(leaf)

    @classmethod
    def of_peaks(cls, peaks: Iterable[bytes | None]) -> Frontier:
        """Return the tree whose right edge is `peaks`, the lowest level first."""
        found = cls()
        found._peaks = list(peaks)
        found.size = sum(1 << level for level, peak in enumerate(found._peaks) if peak is not None)
        return found

    @property
    def peaks(self) -> tuple[bytes | None, ...]:
        """The right edge, the lowest level first."""
        return tuple(self._peaks)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash at the right."""
        carry = leaf
        for level, peak in enumerate(self._peaks):
            if peak is None:
                self._peaks[level] = carry
                break
            carry, self._peaks[level] = node_hash(peak, carry), None
        else:
            self._peaks.append(carry)
        self.size += 1

    def root(self) -> bytes:
        """Return the root of everything appended so far."""
        found: bytes | None = None
        for peak in self._peaks:
            if peak is not None:
                found = peak if found is None else node_hash(peak, found)
        return EMPTY_ROOT if found is None else found


class Tree:
    """All complete subtrees of a finished list of leaf hashes (64 bytes a leaf), for proofs in O(log n) each."""

    def __init__(self, leaf_hashes: Iterable[bytes]) -> None:
        self._levels = [bytearray(b"".join(leaf_hashes))]
        self.size = len(self._levels[0]) // HASH_BYTES
        while len(below := self._levels[-1]) >= 2 * HASH_BYTES:
            whole = len(below) - len(below) % (2 * HASH_BYTES)
            pairs = (below[at : at + 2 * HASH_BYTES] for at in range(0, whole, 2 * HASH_BYTES))
            self._levels.append(bytearray(b"".join(sha256(b"\x01" + pair).digest() for pair in pairs)))

    def root(self, size: int | None = None) -> bytes:
        """Return the root of the first `size` leaves (default all). Raises IndexError beyond the tree."""
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise IndexError(f"no tree of {size} leaves in one of {self.size}")
        return EMPTY_ROOT if size == 0 else self._span(0, size)

    def inclusion(self, index: int, size: int | None = None) -> list[bytes]:
        """Return PATH(index, D[size]), from the leaf upwards (RFC 6962 2.1.1)."""
        size = self.size if size is None else size
        if not 0 <= index < size <= self.size:
            raise IndexError(f"no leaf {index} in a tree of {size} leaves")
        path: list[bytes] = []
        begin, end = 0, size
        while end - begin > 1:
            middle = begin + _split(end - begin)
            left = index < middle
            path.append(self._span(middle, end) if left else self._span(begin, middle))
            begin, end = (begin, middle) if left else (middle, end)
        return path[::-1]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """Return PROOF(old, D[new]) (RFC 6962 2.1.2); empty when old is 0 or equals new."""
        new = self.size if new is None else new
        if not 0 <= old <= new <= self.size:
            raise IndexError(f"no consistency proof from {old} to {new} in a tree of {self.size} leaves")
        if old in (0, new):
            return []
        proof: list[bytes] = []
        begin, end = 0, new
        while end != old:
            middle = begin + _split(end - begin)
            left = old <= middle
            proof.append(self._span(middle, end) if left else self._span(begin, middle))
            begin, end = (begin, middle) if left else (middle, end)
        if begin:
            proof.append(self._span(begin, end))
        return proof[::-1]

    def _span(self, begin: int, end: int) -> bytes:
        """Return MTH(D[begin:end]); `begin` is a multiple of the largest power of two within the span."""
        count = end - begin
        if count & (count - 1) == 0:
            at = (begin // count) * HASH_BYTES
            return bytes(self._levels[count.bit_length() - 1][at : at + HASH_BYTES])
        middle = begin + _split(count)
        return node_hash(self._span(begin, middle), self._span(middle, end))


def root_from_inclusion(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to, None when its length cannot be right (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size:
        return None
    node, last, found = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            found = node_hash(sibling, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        node, last = node >> 1, last >> 1
    return found if last == 0 else None


def is_consistent(old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]) -> bool:
    """Return whether `proof` shows that the tree of `new` leaves extends that of `old` (RFC 9162 2.1.4.2)."""
    if old == new:
        return not proof and old_root == new_root
    if old == 0:
        return not proof and old_root == EMPTY_ROOT
    if not 0 < old < new or not proof:
        return False
    path = [old_root, *proof] if old & (old - 1) == 0 else proof
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, sibling)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root


def _split(count: int) -> int:
    """Return the largest power of two smaller than `count` (RFC 6962 2.1)."""
    return 1 << ((count - 1).bit_length() - 1)

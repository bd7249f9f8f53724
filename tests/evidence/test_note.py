"""Checkpoints are C2SP signed notes: the published example verifies, and no other text or key does."""

from __future__ import annotations

import datetime as dt
from base64 import b64decode

import pytest

from hybrid.errors import EvidenceError
from hybrid.evidence import note
from tests.support.evidence import a_key

AT = dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)
A_CHECKPOINT = note.Checkpoint("clinic-lyon/evidence", 7, bytes(range(32)), AT)


def test_the_published_example_of_a_signed_note_verifies() -> None:
    name, public = note.parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    line = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
    signature = b64decode(line)
    assert signature[:4] == note.key_id(name, public)
    public.verify(signature[4:], text.encode())


def test_a_checkpoint_comes_back_as_it_was_signed() -> None:
    signed = note.sign(A_CHECKPOINT, a_key())
    assert signed.startswith("clinic-lyon/evidence\n7\nAAECAwQF")
    assert note.verify(signed, "clinic-lyon/evidence", a_key().public_key()) == A_CHECKPOINT


def test_a_witness_may_add_its_signature() -> None:
    signed = note.sign(A_CHECKPOINT, a_key()) + "\N{EM DASH} witness.example AAAAAAAA\n"
    assert note.verify(signed, "clinic-lyon/evidence", a_key().public_key()) == A_CHECKPOINT


@pytest.mark.parametrize("bit", [0, 3, 5])
def test_no_flipped_byte_of_a_note_goes_unseen(bit: int) -> None:
    """Base64 has slack bits and hex has two cases; only the canonical text counts."""
    signed = note.sign(A_CHECKPOINT, a_key()).encode()
    for at in range(len(signed)):
        flipped = signed[:at] + bytes([signed[at] ^ 1 << bit]) + signed[at + 1 :]
        with pytest.raises(EvidenceError):
            note.verify(flipped.decode("utf-8", "replace"), "clinic-lyon/evidence", a_key().public_key())


def test_another_key_or_another_log_is_refused() -> None:
    signed = note.sign(A_CHECKPOINT, a_key())
    with pytest.raises(EvidenceError, match="by the expected key"):
        note.verify(signed, "clinic-lyon/evidence", a_key(2).public_key())
    with pytest.raises(EvidenceError, match="expected 'clinic-bern/evidence'"):
        note.verify(signed, "clinic-bern/evidence", a_key().public_key())


def test_a_verifier_key_comes_back_and_notices_damage() -> None:
    key = note.verifier_key("clinic-lyon/evidence", a_key().public_key())
    assert note.parse_verifier_key(key)[0] == "clinic-lyon/evidence"
    for wrong in (key.replace("lyon", "bern"), key[:-1] + ("A" if key[-1] != "A" else "B"), "nonsense", key[:-4]):
        with pytest.raises(EvidenceError):
            note.parse_verifier_key(wrong)

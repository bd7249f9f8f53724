"""Metadata that was bent at random: refused in our own words, or of the same meaning; never a crash.

Bent and signed again is what a broken tool at headquarters, or a quorum in error, would bring: even then a box says
what is wrong, and keeps what it trusted before.
"""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.errors import BundleError, MediumError, TrustError
from bundles.trust.keys import custodian_key, key_id
from bundles.trust.metadata import TrustedBundles
from bundles.trust.reading import signed_form
from bundles.trust.signing import request_from
from bundles.trust.stock import Signer, SSlibKey, encode_canonical
from tests.support.bundles import SITE, Published, tuf_files
from tests.support.fuzzing import fuzzed

ROLES = ["1.root", "timestamp", "snapshot", "targets", "models", f"site-plans-{SITE}"]
FEW = fuzzed(40)
pytestmark = pytest.mark.fuzz

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=8), st.just([]), st.just({}),
    st.sampled_from(["\ud800", "0" * 64, "ml-dsa-87/1", "9999-12-31T23:59:59Z", "-----BEGIN PUBLIC KEY-----\n"]),
    st.lists(st.integers(), max_size=3), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
)  # fmt: skip


def climb(files: dict[str, bytes], published: Published) -> TrustedBundles:
    """Trust all of `files`, as a box does."""
    trusted = TrustedBundles(files["1.root.json"], now=published.forge.clock.now, environment="production")
    trusted.update_timestamp(files["timestamp.json"])
    trusted.update_snapshot(files["snapshot.json"])
    trusted.update_targets(files["targets.json"])
    for role in ("models", "runtime", f"site-plans-{SITE}"):
        trusted.update_delegation(role, files[f"{role}.json"], SITE)
    return trusted


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of every node below `value`."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [p for key, child in pairs for p in [(*path, key), *places(child, (*path, key))]]


def bend(document: Any, data: st.DataObject) -> Any:
    """Replace, remove or double one node, anywhere."""
    *above, last = data.draw(st.sampled_from(places(document)))
    parent = document
    for step in above:
        parent = parent[step]
    act = data.draw(st.sampled_from(["replace", "remove", "add"]))
    if act == "remove":
        del parent[last]
    elif act == "replace" or isinstance(parent, list):
        parent[last] = data.draw(ODD)
    else:
        parent[data.draw(st.text(max_size=6))] = data.draw(ODD)
    return document


def signed_again(document: Any, signers: list[Signer]) -> bytes:
    text = (encode_canonical(document["signed"]) or "").encode()
    made = [signer.sign(text) for signer in signers]
    return json.dumps(document | {"signatures": [{"keyid": s.keyid, "sig": s.signature} for s in made]}).encode()


@FEW
@pytest.mark.parametrize("role", ROLES)
@given(data=st.data())
def test_bent_and_not_signed_again(published: Published, role: str, data: st.DataObject) -> None:
    """A carrier without keys: whatever is trusted in the end has the signed content that it had."""
    files = tuf_files(published.bundle)
    honest = json.loads(files[f"{role}.json"])
    bent = bend(json.loads(files[f"{role}.json"]), data)
    files[f"{role}.json"] = json.dumps(bent).encode()
    try:
        climb(files, published)
    except BundleError:
        return
    assert bent["signed"] == honest["signed"]


@FEW
@pytest.mark.parametrize("role", ROLES)
@given(data=st.data())
def test_bent_and_signed_again(published: Published, role: str, data: st.DataObject) -> None:
    files = tuf_files(published.bundle)
    document = json.loads(files[f"{role}.json"])
    document["signed"] = bend(document["signed"], data)
    try:
        files[f"{role}.json"] = signed_again(document, published.forge.signers())
    except Exception:
        return  # no canonical form, so nobody can sign it
    with contextlib.suppress(BundleError):
        climb(files, published)


@pytest.mark.parametrize("role", ROLES)
def test_what_python_tuf_fills_in(published: Published, role: str) -> None:
    """It reads `null` as its own version of the specification, and finds the signature valid: one text, two readers.

    Here signatures are held against what stands there.
    """
    files = tuf_files(published.bundle)
    document = json.loads(files[f"{role}.json"])
    document["signed"]["spec_version"] = None
    files[f"{role}.json"] = json.dumps(document).encode()
    with pytest.raises(TrustError, match="signed by 0/"):
        climb(files, published)


@FEW
@given(data=st.data(), flips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 7)), min_size=1, max_size=3))
def test_flipped_bits(published: Published, data: st.DataObject, flips: list[tuple[int, int]]) -> None:
    """A bad sector: any file, any bit."""
    files = tuf_files(published.bundle)
    name = f"{data.draw(st.sampled_from(ROLES))}.json"
    found = bytearray(files[name])
    for place, bit in flips:
        found[place % len(found)] ^= 1 << bit
    honest, files[name] = files[name], bytes(found)
    try:
        climb(files, published)
    except BundleError:
        return
    assert json.loads(files[name])["signed"] == json.loads(honest)["signed"]


@FEW
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_no_signing_request(content: bytes) -> None:
    with pytest.raises(MediumError):
        request_from(content, "request.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@fuzzed(300)
@given(JSON, st.booleans())
def test_the_signed_form_is_that_of_the_specification(value: Any, spelt: bool) -> None:
    """Law: however the text is escaped, and whichever encoder is quick enough, the form is securesystemslib's."""
    text = json.dumps(value, ensure_ascii=spelt).encode()
    assert signed_form(json.loads(text), text) == (encode_canonical(value) or "").encode()


# A SubjectPublicKeyInfo of an algorithm that nobody has (1.2.3.4).
UNKNOWN = "-----BEGIN PUBLIC KEY-----\nMAswBQYDKgMEAwIAAA==\n-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize("scheme", ["ed25519", "ml-dsa-65/1", "ml-dsa-87/1"])
@pytest.mark.parametrize("public", [UNKNOWN, "", "zz", "00", "-----BEGIN PUBLIC KEY-----\n", "0" * 64 + "\n ", "é"])
def test_public_bytes_that_are_none(scheme: str, public: str) -> None:
    """Under its right id, a key whose bytes are nonsense is refused in our own words, or is 32 bytes of Ed25519."""
    keytype = scheme.removesuffix("/1").rsplit("-", 1)[0] if scheme != "ed25519" else scheme
    family = "ed25519" if scheme == "ed25519" else "ml-dsa"
    keyval = {"public": public}
    fields = {"custodian": "eve", "duty": "release", "family": family}
    key = SSlibKey(key_id(keytype, scheme, keyval), keytype, scheme, keyval, fields)
    if scheme == "ed25519" and public.startswith("0" * 64):
        assert custodian_key(key).public == bytes(32)
        return
    with pytest.raises(TrustError, match="KEY-BYTES"):
        custodian_key(key)

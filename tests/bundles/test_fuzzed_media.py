"""Fuzz of what is read before anything is verified: index, manifests, parts, archive; refused in words, or the same."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bundles import oci
from bundles.document import digest, read
from bundles.errors import BundleError, MediumError
from bundles.inspection import look
from bundles.medium import Medium
from bundles.packing import pack
from bundles.parts import Part
from bundles.verification import Trust, VerifiedBundle, verify
from tests.support.bundles import Published
from tests.support.fuzzing import fuzzed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 2**70) | st.sampled_from(["", "sha256:" + "a" * 64, oci.MANIFEST]),
    lambda child: st.lists(child, max_size=4) | st.dictionaries(
        st.sampled_from(["manifests", "digest", "size", "annotations", "layers", "config", "mediaType", "x"]), child,
        max_size=4),
    max_leaves=15,
)  # fmt: skip
NOUNS = (oci.Index, oci.Manifest, oci.Layout, Part)


@pytest.fixture(scope="module")
def stick(published: Published, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("fuzz") / "stick"
    shutil.copytree(published.bundle, folder)
    yield folder
    shutil.rmtree(folder)


def climbed(published: Published, path: Path) -> VerifiedBundle:
    trust = Trust(published.forge.repository.roots()[0].read_bytes(), "production", published.forge.clock.now)
    with Medium(path) as medium:
        return verify(medium, trust)


@pytest.mark.fuzz
@fuzzed(300)
@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_document_breaks_a_reader(data: bytes) -> None:
    """Bytes, or JSON of the right words in the wrong places: a noun, or a refusal that names the document."""
    for noun in NOUNS:
        try:
            read(noun, data, what="fuzz")
        except MediumError as error:
            assert error.code == "DOCUMENT"  # noqa: PT017


@pytest.mark.fuzz
@fuzzed(80)
@given(seed=st.integers(0, 2**32))
def test_a_bent_index(published: Published, stick: Path, seed: int) -> None:
    """Entries dropped, doubled, swapped, their fields exchanged: refused, or the very same bundle."""
    honest = json.loads((published.bundle / "index.json").read_bytes())
    dice, entries = random.Random(seed), honest["manifests"]
    for _ in range(dice.randint(1, 3)):
        one, other = dice.choice(entries), dice.choice(entries)
        act = dice.randint(0, 4)
        if act == 0 and len(entries) > 1:
            entries.remove(one)
        elif act == 1:
            entries.append(dict(other))
        elif act == 2:
            one["digest"] = other["digest"]
        elif act == 3:
            one["annotations"] = other.get("annotations")
        else:
            one["size"] = dice.choice([0, 1, 2**31, one["size"] + 1])
    (stick / "index.json").write_text(json.dumps(honest))
    with suppress(BundleError):
        assert climbed(published, stick).digest == climbed(published, published.bundle).digest
    with suppress(BundleError):
        look(stick)


@pytest.mark.fuzz
@fuzzed(60)
@given(seed=st.integers(0, 2**32))
def test_a_bent_manifest_of_the_tuf_artifact(published: Published, stick: Path, seed: int) -> None:
    """The one manifest that is read before verification, bent and named by an index that fits it."""
    dice = random.Random(seed)
    shutil.copyfile(published.bundle / "index.json", stick / "index.json")
    index = json.loads((stick / "index.json").read_bytes())
    entry = next(one for one in index["manifests"] if one["annotations"]["org.opencontainers.image.ref.name"] == "tuf")
    folder = stick / "blobs" / "sha256"
    honest = (folder / entry["digest"][7:]).read_bytes()
    bent = bytearray(honest)
    for _ in range(dice.randint(1, 6)):
        bent[dice.randrange(len(bent))] = dice.choice(b'"{}[],:0a\\')
    assume(bytes(bent) != honest)
    name = digest(bytes(bent))
    made = folder / name[7:]
    new = not made.exists()
    made.write_bytes(bent)
    entry |= {"digest": name, "size": len(bent)}
    (stick / "index.json").write_text(json.dumps(index))
    with pytest.raises(BundleError):  # the artifact it replaces lies there too, and nothing names that any more
        climbed(published, stick)
    if new:
        made.unlink()


@pytest.mark.fuzz
@fuzzed(80)
@given(seed=st.integers(0, 2**32))
def test_a_bent_archive(published: Published, stick: Path, seed: int) -> None:
    """Headers of the archive with bytes changed, their sums made to fit or not."""
    dice, tar = random.Random(seed), stick.with_name("stick.tar")
    if not tar.exists():
        pack(published.bundle, tar)
    data = bytearray(tar.read_bytes())
    heads = [at for at in range(0, len(data) - 512, 512) if data[at + 257 : at + 262] == b"ustar"]
    for _ in range(dice.randint(1, 3)):
        at = dice.choice(heads)
        data[at + dice.randrange(512)] = dice.choice([0, 32, 48, 49, 53, 55, 128, 255])
        if dice.random() < 0.8:
            data[at + 148 : at + 156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(data[at : at + 512])
    bent = stick.with_name("bent.tar")
    bent.write_bytes(data)
    with suppress(BundleError):
        assert climbed(published, bent).digest == climbed(published, published.bundle).digest

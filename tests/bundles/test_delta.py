"""An update carries what changed, tensor by tensor, from a base that the site has; a wrong base changes nothing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from onnx import numpy_helper

from bundles.delta import encoding
from bundles.delta.decoding import rebuilt
from bundles.delta.encoding import encode
from bundles.delta.frames import COPY, LITERAL, Step, change, pack, unpack, unzigzag, zigzag
from bundles.delta.nouns import FRAME_CAP, Bytes, DeltaDocument, Frame
from bundles.delta.tensors import Place, tensors_in
from bundles.document import digest
from bundles.errors import BundleError, GateError, MediumError, TrustError
from bundles.inspection import look
from bundles.layout import Box
from bundles.medium import Medium
from bundles.packing import split
from bundles.release import open_release
from bundles.verification import Trust, verify
from tests.bundles.test_commands import hybrid
from tests.support.bundles import BundleForge, blobs, copy_of, flip, refused
from tests.support.fuzzing import fuzzed

MODEL = "models/minilm/w8/model.onnx"


def tensors(seed: int, *, sizes: tuple[int, ...] = (40_000, 90_000, 33_333)) -> dict[str, np.ndarray[Any, Any]]:
    found: dict[str, np.ndarray[Any, Any]] = {}
    make = np.random.default_rng(seed)
    for number, size in enumerate(sizes):
        found[f"layer.{number}.weight"] = make.integers(-128, 127, size, np.int8)
        found[f"layer.{number}.scale"] = make.random(size // 32, np.float32)
    return found


def tuned(before: dict[str, np.ndarray[Any, Any]], share: float = 0.05) -> dict[str, np.ndarray[Any, Any]]:
    """Return what a little training does: some weights move by one, every scale by its last bits."""
    make, after = np.random.default_rng(7), {}
    for name, tensor in before.items():
        moved = make.random(tensor.shape) < share
        step = np.where(moved, make.choice([-1, 1], tensor.shape), 0)
        after[name] = tensor + step.astype(np.int8) if tensor.dtype == np.int8 else tensor * np.float32(1.0001)
    return after


def write_onnx(path: Path, weights: dict[str, np.ndarray[Any, Any]], *, beside: bool = False) -> Path:
    """Write a real graph that holds `weights`, in their order; `beside` puts the data into a file of its own."""
    graph = onnx.helper.make_graph(
        [], "tiny", [], [], [numpy_helper.from_array(w, name) for name, w in weights.items()]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    if beside:
        onnx.save(onnx.helper.make_model(graph), path, save_as_external_data=True, location=f"{path.name}.data",
                  size_threshold=0)  # fmt: skip
    else:
        onnx.save(onnx.helper.make_model(graph), path)
    return path


def write_safetensors(path: Path, weights: dict[str, np.ndarray[Any, Any]]) -> Path:
    from safetensors.numpy import save_file

    save_file(weights, path)
    return path


def delta_of(base: Path, result: Path) -> tuple[DeltaDocument | None, bytes]:
    body = io.BytesIO()
    before, after = ({file.name: file for file in path.parent.iterdir()} for path in (base, result))
    document = encode(base, result, tensors_in(base.name, before), tensors_in(result.name, after), body)
    return document, body.getvalue()


def made(document: DeltaDocument, base: Path, body: bytes) -> bytes:
    with base.open("rb") as file, rebuilt(document, file, io.BytesIO(body)) as result:
        return result.read()


@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_a_tuned_model_is_a_small_delta(tmp_path: Path, kind: str) -> None:
    """Only what changed travels, whatever the order in which the file holds its tensors."""
    before = tensors(1)
    after = dict(sorted(tuned(before).items(), reverse=True))
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    write = write_onnx if kind == "onnx" else write_safetensors
    base, result = write(tmp_path / "a" / f"m.{kind}", before), write(tmp_path / "b" / f"m.{kind}", after)
    document, body = delta_of(base, result)
    assert document is not None
    assert len(body) < 0.15 * result.stat().st_size
    assert made(document, base, body) == result.read_bytes()
    again, same = delta_of(base, result)
    assert (again, same) == (document, body), "the same input gives the same delta"


def test_tensors_in_a_file_beside_the_graph(tmp_path: Path) -> None:
    before = tensors(2)
    base = write_onnx(tmp_path / "a" / "m.onnx", before, beside=True).with_name("m.onnx.data")
    result = write_onnx(tmp_path / "b" / "m.onnx", tuned(before), beside=True).with_name("m.onnx.data")
    document, body = delta_of(base, result)
    assert document is not None
    assert len(body) < 0.15 * result.stat().st_size
    assert made(document, base, body) == result.read_bytes()


def test_a_model_trained_anew_travels_in_full(tmp_path: Path) -> None:
    """Above 60 % of the full file a delta is not worth its base."""
    base = write_onnx(tmp_path / "a" / "m.onnx", tensors(1))
    result = write_onnx(tmp_path / "b" / "m.onnx", tensors(2))
    assert delta_of(base, result)[0] is None


@pytest.mark.fuzz
@fuzzed(60)
@given(st.data())
def test_whatever_differs_the_result_is_the_same(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Law: any two files, any table of places, right or wrong: what is rebuilt is the result."""
    folder = tmp_path_factory.mktemp("law")
    encoding.FULL, kept = 100.0, encoding.FULL
    try:
        old, new = (data.draw(st.binary(max_size=400)) for _ in range(2))
        mixed = b"".join(data.draw(st.lists(st.sampled_from([old[:50], old[20:90], new[:30], new]), max_size=5)))
        (base := folder / "base").write_bytes(old)
        (result := folder / "result").write_bytes(mixed)
        places = st.dictionaries(
            st.sampled_from("abcdef"),
            st.builds(Place, st.integers(0, 450), st.integers(0, 200), st.sampled_from([1, 2, 4, 8])),
        )
        body = io.BytesIO()
        document = encode(base, result, data.draw(places), data.draw(places), body)
        if document is not None:
            assert made(document, base, body.getvalue()) == mixed
    finally:
        encoding.FULL = kept


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_small_differences_are_small_numbers(values: list[int]) -> None:
    numbers = np.array(values, "<u4")
    assert np.array_equal(unzigzag(zigzag(numbers)), numbers)
    assert list(zigzag(np.array([0, 2**32 - 1, 1], "<u4"))) == [0, 1, 2]


@pytest.mark.fuzz
@fuzzed(300)
@given(st.binary(max_size=200), st.integers(0, 300))
def test_no_frame_breaks_the_reader(content: bytes, size: int) -> None:
    """Fuzz: bytes that are no frame, packed or not, are refused as such and never anything else."""
    packed = zstandard.ZstdCompressor().compress(content)
    for data, said in ((content, size), (packed, len(content)), (packed, size)):
        try:
            unpack(data, said)
        except TrustError as error:
            assert error.code == "DELTA"  # noqa: PT017


@pytest.mark.fuzz
@fuzzed(150)
@given(st.data())
def test_no_bent_frame_breaks_the_reader(data: st.DataObject) -> None:
    """Fuzz: an honest frame with bytes changed is refused, or makes no more than it says."""
    before, after = (np.frombuffer(data.draw(st.binary(min_size=64, max_size=64)), np.uint8) for _ in range(2))
    steps = [Step(COPY, 0, 9), change(before, after, 8, data.draw(st.sampled_from([1, 2, 4, 8]))),
             Step(LITERAL, 0, 3, literal=b"abc")]  # fmt: skip
    packed, size = pack(steps)
    bent = bytearray(zstandard.ZstdDecompressor().decompress(packed))
    for _ in range(data.draw(st.integers(1, 4))):
        bent[data.draw(st.integers(0, size - 1))] = data.draw(st.integers(0, 255))
    again = zstandard.ZstdCompressor().compress(bytes(bent))
    frame = Frame(digest=digest(again), packed=len(again), unpacked=size)
    document = DeltaDocument(base=Bytes(digest=digest(b""), size=64), result=Bytes(digest=digest(b""), size=76),
                             frames=(frame,))  # fmt: skip
    with open("/proc/self/exe", "rb") as base:
        try:
            assert len(rebuilt(document, base, io.BytesIO(again)).read()) == 76
        except TrustError as error:
            assert error.code == "DELTA"  # noqa: PT017


def test_a_bomb_in_a_frame() -> None:
    """A frame of a few bytes that would unpack to gigabytes, with or without saying so."""
    zeros = zstandard.ZstdCompressor().compress(b"\0" * (FRAME_CAP * 4))
    silent = zstandard.ZstdCompressor(write_content_size=False).compress(b"\0" * (FRAME_CAP * 4))
    assert len(zeros) < 10_000
    for packed in (zeros, silent):
        for said in (FRAME_CAP, FRAME_CAP * 4, 100):
            with pytest.raises(TrustError, match="DELTA"):
                unpack(packed, said)


@pytest.mark.parametrize(
    "step", [Step(COPY, 50, 100), Step(COPY, 0, 10_000_000), Step(LITERAL, 0, 5, literal=b"xxxxx")]
)
def test_a_step_beyond_base_or_result(tmp_path: Path, step: Step) -> None:
    """No more comes out than was signed, and nothing is read outside the base."""
    (base := tmp_path / "base").write_bytes(b"b" * 60)
    packed, size = pack([step, Step(COPY, 0, 60)])
    frame = Frame(digest=digest(packed), packed=len(packed), unpacked=size)
    signed = Bytes(digest=digest(base.read_bytes()), size=60)
    document = DeltaDocument(base=signed, result=Bytes(digest=digest(b""), size=60), frames=(frame,))
    with pytest.raises(TrustError, match="DELTA"):
        made(document, base, packed)


class Update:
    """A box with release 1, and an update whose model was tuned; every knob of the honest forge."""

    def __init__(self, folder: Path, **knobs: Any) -> None:
        self.forge = BundleForge(folder)
        self.before, self.after = tensors(1), tuned(tensors(1))
        self.files = dict(self.forge.cargo().files)
        self.files[MODEL] = write_onnx(folder / "first" / "model.onnx", self.before)
        self.box = self.forge.box()
        self.first = self.forge.build(self.forge.cargo(files=self.files))
        self.forge.clock.pass_(days=1)
        self.tuned = self.files | {MODEL: write_onnx(folder / "second" / "model.onnx", self.after)}
        self.second = self.forge.build(self.forge.cargo(files=self.tuned, base=self.first, **knobs))


@pytest.fixture
def update(tmp_path: Path) -> Update:
    return Update(tmp_path)


def weight(bundle: Path) -> int:
    return sum(file.stat().st_size for file in blobs(bundle))


def test_an_update_is_installed_from_what_the_box_has(update: Update) -> None:
    """The model is made from the one the box has; all else stays where it is; the release is complete."""
    update.box.install(update.first)
    outcome = update.box.install(update.second)
    release = open_release(update.box.root)
    assert release.files[MODEL].read_bytes() == update.tuned[MODEL].read_bytes()
    assert set(release.files) == set(update.tuned)
    assert release.launcher is not None
    full = update.tuned[MODEL].stat().st_size
    seen = look(update.second)
    assert weight(update.second) - sum(map(len, seen.tuf.values())) < 0.25 * full
    assert outcome.record.written < full + 20_000
    wanted = {path: (digest(file.read_bytes()), file.stat().st_size) for path, file in update.tuned.items()}
    assert {path: one for path, one in seen.files.items() if not path.startswith("runtime/")} == wanted


def test_a_policy_update_is_kilobytes(tmp_path: Path) -> None:
    """Nothing but a policy changes: models and runtime stay where they are, and what travels is documents."""
    update = Update(tmp_path)
    update.box.install(update.first)
    update.box.install(update.second)
    (policy := tmp_path / "policy.yaml").write_text("kind: Policy\nversion: 2\n")
    update.forge.clock.pass_(days=1)
    files = update.tuned | {"policy/policy.yaml": policy}
    third = update.forge.build(update.forge.cargo(files=files, base=update.second))
    documents = sum(map(len, look(third).tuf.values()))
    assert weight(third) - documents < 16_000
    assert update.box.install(third).record.written < 16_000
    assert open_release(update.box.root).files["policy/policy.yaml"].read_text() == policy.read_text()


def test_a_delta_on_the_wrong_base(update: Update, tmp_path: Path) -> None:
    """Delta on the wrong base: a box that never had the earlier bundle refuses, and nothing on it changes."""
    box = update.forge.box()
    told = refused(box, update.second, "BASE", GateError)
    assert "full bundle" in told.todo
    assert not [path for path in Box(box.root).store.rglob("*") if path.is_file()]


def test_a_damaged_base(update: Update) -> None:
    """The base in the store is no longer what it was: it is hashed before it is used, and the update is refused."""
    update.box.install(update.first)
    base = Box(update.box.root).blob(digest(update.files[MODEL].read_bytes()))
    base.chmod(0o644)
    flip(base)
    refused(update.box, update.second, "BASE", GateError)


@pytest.mark.parametrize("damage", ["missing", "flipped", "another release"])
def test_the_full_file_is_taken_where_the_base_is_no_use(tmp_path: Path, damage: str) -> None:
    """The medium carries the full files as well: any box can be served from it, whatever its base."""
    update = Update(tmp_path, keep_full=True)
    if damage == "another release":
        other = update.forge.box()
        assert other.install(update.second).record.number == 2
        return
    update.box.install(update.first)
    base = Box(update.box.root).blob(digest(update.files[MODEL].read_bytes()))
    base.chmod(0o644)
    if damage == "missing":
        base.unlink()
    else:
        flip(base)
    update.box.install(update.second)
    assert open_release(update.box.root).files[MODEL].read_bytes() == update.tuned[MODEL].read_bytes()


def test_a_bit_of_a_delta(update: Update, tmp_path: Path) -> None:
    """A flipped bit in the delta's body or document: refused before it is opened, nothing is kept."""
    update.box.install(update.first)
    base = with_base(update)
    for number, name in enumerate((base.deltas[0].body.digest, base.deltas[0].document.digest)):
        bent = copy_of(update.second, tmp_path / f"bent-{number}")
        flip(bent / "blobs/sha256" / name[7:])
        before = update.box.snapshot()
        with pytest.raises(TrustError):
            update.box.install(bent)
        assert update.box.snapshot() == before
        assert not list(update.box.root.rglob("*.part"))


def test_an_update_without_its_delta(update: Update, tmp_path: Path) -> None:
    update.box.install(update.first)
    bent = copy_of(update.second, tmp_path / "bent")
    (bent / "blobs/sha256" / with_base(update).deltas[0].body.digest[7:]).unlink()
    refused(update.box, bent, "MEDIUM-MISSING", MediumError)


def test_every_blob_of_an_update_is_checked_at_headquarters(update: Update, tmp_path: Path) -> None:
    with Medium(update.second) as medium:
        verified(update, medium).check_blobs()
    bent = copy_of(update.second, tmp_path / "bent")
    flip(bent / "blobs/sha256" / with_base(update).deltas[0].body.digest[7:])
    with Medium(bent) as medium, pytest.raises(BundleError):
        verified(update, medium).check_blobs()


def test_an_update_cut_into_parts(update: Update, tmp_path: Path) -> None:
    """A delta may lie on another medium than the documents."""
    update.box.install(update.first)
    whole = copy_of(update.second, tmp_path / "whole")
    parts = split(whole, tmp_path / "parts", 3_000_000)
    assert update.box.install(parts[0]).record.number == 2


def test_the_same_update_has_the_same_digest(update: Update) -> None:
    _, again = update.forge.try_build(update.forge.cargo(files=update.tuned, base=update.first))
    with Medium(update.second) as medium:
        assert again.digest == verified(update, medium).digest


def with_base(update: Update) -> Any:
    with Medium(update.second) as medium:
        base = verified(update, medium).manifest.base
    assert base is not None
    assert len(base.deltas) == 1
    return base


def verified(update: Update, medium: Medium) -> Any:
    root = update.forge.repository.roots()[0].read_bytes()
    return verify(medium, Trust(root, "production", update.forge.clock.now))


@pytest.mark.slow
def test_inspect_says_what_an_update_builds_on(update: Update) -> None:
    trust = update.forge.folder / "trust"
    shown = hybrid("bundle", "inspect", update.second, "--trust", trust, "--against", update.first)
    assert shown["update"]["of"] == look(update.first).bundle
    assert shown["update"]["bytesNotCarried"] > 100_000
    assert [delta["of"] for delta in shown["update"]["deltas"]] == [update.tuned[MODEL].stat().st_size]
    assert shown["difference"]["changed"] == [MODEL]
    assert hybrid("bundle", "inspect", update.first, "--trust", trust)["update"] is None

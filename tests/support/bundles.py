"""An honest publisher of bundles with knobs to lie, a box to be lied to, and a clock that obeys.

Everything is real: keys, metadata, media, files. A test takes an honest bundle, bends one thing, installs it, and
looks at what did not change.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.assembly import Built, Cargo, assemble
from bundles.document import canonical, digest, stamp
from bundles.enrolment import Enrolled, enrol
from bundles.errors import BundleError
from bundles.gate import Machine
from bundles.install import Outcome, Standing, install, keep_time, standing
from bundles.layout import TUF_TAG, Box
from bundles.medium import Medium
from bundles.nouns import SiteRecord
from bundles.seed import open_seed, write_seed
from bundles.trust.clock import Reading, read_clock
from bundles.trust.custody import Custodian, load_signers, make_keys
from bundles.trust.quorum import Quorum
from bundles.trust.repository import Repository
from bundles.trust.stock import CryptoSigner, Metadata
from bundles.verification import Trust, VerifiedBundle, verify

PASSPHRASE = b"correct horse battery"
START = datetime(2026, 12, 1, 8, 0, 0, tzinfo=UTC)
SITE = "clinic-jura"
MACHINE_ID = "sha256:" + "5" * 64
PEOPLE = {"ada": "release", "ben": "release", "cleo": "release", "dora": "compliance"}
RECOVERY = {"rita": "recovery", "rolf": "recovery"}
BOX = Machine(arch="x86_64", cpu_features=("avx2", "sse4_2"), glibc="2.36", python="cp311")


@dataclass
class FakeClock:
    """A clock that says what it is told; uptime advances with it, unless the box reboots."""

    now: datetime = START
    uptime: int = 1000
    boot: str = "boot-1"

    @classmethod
    def here(cls, *, ago: timedelta = timedelta()) -> FakeClock:
        """Return a clock of this machine's own boot that is slow by `ago`: for a box whose commands read the real one.

        The box was not seen to run since.
        """
        real = read_clock()
        return cls(real.rtc - ago, real.uptime, real.boot)

    def pass_(self, **span: int) -> None:
        step = timedelta(**span)
        self.now += step
        self.uptime += int(step.total_seconds())

    def reading(self) -> Reading:
        return Reading(self.now, self.uptime, self.boot)


def a_wheel(folder: Path, files: dict[str, str], name: str = "sovereign_hybrid", version: str = "0.1.0") -> Path:
    """Write a small real wheel that holds `files` too."""
    content = {
        f"{name}/__init__.py": f"VERSION = {version!r}\n",
        f"{name}-{version}.dist-info/METADATA": "Name: x\n",
        **files,
    }
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in sorted(content.items()):
            archive.writestr(zipfile.ZipInfo(path), text)
    return wheel


@dataclass
class BundleForge:
    """Headquarters, honest until told otherwise."""

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    demo: bool = False
    people: dict[str, str] = field(default_factory=lambda: dict(PEOPLE))
    code: dict[str, str] = field(default_factory=dict)
    quorum: Quorum = field(default_factory=Quorum)

    def __post_init__(self) -> None:
        self.custodians: list[Custodian] = []
        profile = self.quorum.profile
        for name, duty in self.people.items():
            made = make_keys(self.folder / "keys" / name, name, duty, PASSPHRASE, demo=self.demo, profile=profile)
            self.custodians.append(made)
        self.repository = Repository.create(
            self.folder / "trust", self.custodians, issued=self.clock.now, quorum=self.quorum, demo=self.demo
        )
        self.repository.sign(self.signers())
        assert self.repository.publish()
        self.count = 0

    def signers(self, people: Iterable[str] | None = None) -> list[CryptoSigner]:
        names = self.people if people is None else people
        return [s for name in names for s in load_signers(self.folder / "keys" / name, PASSPHRASE)]

    def cargo(self, **knobs: Any) -> Cargo:
        """Return an honest cargo: a model with its tokenizer, a document, a policy, a table."""
        files = {}
        for path, text in {
            "models/minilm/w8/model.onnx": "weights " * 5000,
            "models/minilm/w8/tokenizer.json": '{"version": "1.0"}',
            "knowledge/care-protocols/fever.md": "# Fever\nGive water.\n",
            "policy/policy.yaml": "kind: Policy\n",
        }.items():
            files[path] = self.folder / "cargo" / path
            files[path].parent.mkdir(parents=True, exist_ok=True)
            files[path].write_text(text)
        honest = Cargo(
            site=SITE,
            jurisdiction="FR-39",
            arch="x86_64",
            plan_digest=digest(b"plan"),
            policy_digest=digest(b"policy"),
            table={"stages": ["triage", "quote"]},
            files=files,
            wheels=(a_wheel(self.folder / "wheels", self.code),),
        )
        return replace(honest, **knobs)

    def build(self, cargo: Cargo | None = None, *, signers: list[CryptoSigner] | None = None) -> Path:
        """Build a complete bundle and return its folder."""
        out, built = self.try_build(cargo, signers=signers)
        assert not built.lacking, built.lacking
        return out

    def try_build(self, cargo: Cargo | None = None, *, signers: list[CryptoSigner] | None = None) -> tuple[Path, Built]:
        self.count += 1
        out = self.folder / f"bundle-{self.count}"
        given = self.signers() if signers is None else signers
        return out, assemble(cargo or self.cargo(), self.repository, out, issued=self.clock.now, signers=given)

    def seed(self, site: str = SITE, **knobs: str) -> tuple[Path, str]:
        """Write seed media for a box of `site`; return the folder and the digest on the card."""
        self.count += 1
        fields = {
            "site": site, "jurisdiction": "FR-39", "boxId": f"{site}-1", "issued": stamp(self.clock.now),
            "environment": "demo" if self.demo else "production", **knobs,
        }  # fmt: skip
        record = SiteRecord.model_validate(fields, by_alias=True, by_name=False)
        out = self.folder / f"seed-{self.count}"
        return out, write_seed(
            out, self.repository.roots()[-1].read_bytes(), record, [a_wheel(self.folder / "wheels", self.code)]
        )

    def box(self, site: str = SITE, *, demo: bool | None = None) -> ABox:
        """Return a box enrolled for `site` from this headquarters' seed."""
        seed, card = self.seed(site)
        return ABox(self.folder / f"box-{site}-{self.count}", self.clock).enrol(
            seed, card, demo=self.demo if demo is None else demo
        )


@dataclass
class ABox:
    """A box at a site: its folder, its clock, its machine."""

    root: Path
    clock: FakeClock
    machine_id: str = MACHINE_ID
    machine: Machine = BOX
    enrolled: Enrolled | None = None

    def enrol(self, seed: Path, card: str, *, demo: bool = False) -> ABox:
        self.root.mkdir(parents=True, exist_ok=True)
        self.enrolled = enrol(
            Box(self.root), open_seed(seed), card=card, machine=self.machine, machine_id=self.machine_id,
            reading=self.clock.reading(), demo=demo,
        )  # fmt: skip
        return self

    def standing(self) -> Standing:
        return standing(self.root, self.clock.reading(), self.machine_id)

    def install(self, bundle: Path, **options: Any) -> Outcome:
        with Medium(bundle) as medium:
            return install(self.standing(), medium, **options)

    def keep_time(self) -> None:
        """Save what this box knows of the time, as its timer does."""
        keep_time(self.standing())

    def snapshot(self) -> dict[str, str]:
        """Return what matters on this box: state, root, releases, `current`, identity."""
        box = Box(self.root)
        files = [*box.trust.rglob("*"), *box.releases.rglob("*"), *box.identity.rglob("*")]
        found = {str(path.relative_to(self.root)): digest(path.read_bytes()) for path in files if path.is_file()}
        return found | {"current": str(box.current.readlink()) if box.current.is_symlink() else ""}


def blobs(bundle: Path) -> list[Path]:
    return sorted((bundle / "blobs" / "sha256").iterdir())


def flip(path: Path, bit: int = 0) -> None:
    """Flip one bit of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1 << bit
    path.write_bytes(data)


def put(bundle: Path, data: bytes) -> str:
    """Add a blob and return its digest."""
    name = digest(data)
    (bundle / "blobs" / "sha256" / name.removeprefix("sha256:")).write_bytes(data)
    return name


def take(bundle: Path, name: str) -> bytes:
    return (bundle / "blobs" / "sha256" / name.removeprefix("sha256:")).read_bytes()


def tuf_files(bundle: Path) -> dict[str, bytes]:
    """Return the TUF files of a bundle, by name."""
    _, manifest = _tuf_artifact(bundle)
    return {
        layer["annotations"]["org.opencontainers.image.title"]: take(bundle, layer["digest"])
        for layer in manifest["layers"]
    }


def with_tuf(bundle: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Return a copy of the bundle whose TUF files were changed and whose OCI layer is consistent again."""
    copy = bundle.with_name(bundle.name + "-bent")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(bundle, copy)
    index, manifest = _tuf_artifact(copy)
    files = tuf_files(copy)
    for layer in manifest["layers"]:
        (copy / "blobs" / "sha256" / layer["digest"][7:]).unlink(missing_ok=True)
    change(files)
    entry = next(e for e in index["manifests"] if e["annotations"]["org.opencontainers.image.ref.name"] == TUF_TAG)
    (copy / "blobs" / "sha256" / entry["digest"][7:]).unlink()
    manifest["layers"] = [
        {"mediaType": "application/json", "digest": put(copy, data), "size": len(data),
         "annotations": {"org.opencontainers.image.title": name}}
        for name, data in files.items()
    ]  # fmt: skip
    data = canonical(manifest)
    entry |= {"digest": put(copy, data), "size": len(data)}
    (copy / "index.json").write_bytes(canonical(index))
    return copy


def resign(files: dict[str, bytes], role: str, change: Callable[[Any], None], signers: Iterable[CryptoSigner]) -> None:
    """Change the signed part of `role` and sign it again with `signers` only."""
    found: Metadata[Any] = Metadata.from_bytes(files[f"{role}.json"])
    change(found.signed)
    found.signatures.clear()
    for signer in signers:
        found.sign(signer, append=True)
    files[f"{role}.json"] = found.to_bytes()


def keep_signatures(files: dict[str, bytes], role: str, keyids: set[str]) -> None:
    """Strip every signature of `role` but those of `keyids`."""
    document = json.loads(files[f"{role}.json"])
    document["signatures"] = [entry for entry in document["signatures"] if entry["keyid"] in keyids]
    files[f"{role}.json"] = json.dumps(document).encode()


def _tuf_artifact(bundle: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    index = json.loads((bundle / "index.json").read_bytes())
    entry = next(e for e in index["manifests"] if e["annotations"]["org.opencontainers.image.ref.name"] == TUF_TAG)
    return index, json.loads(take(bundle, entry["digest"]))


@dataclass(frozen=True)
class Published:
    """An honest headquarters, one bundle of it, and a seed with its card."""

    forge: BundleForge
    bundle: Path
    seed: Path
    card: str

    def box(self, root: Path, clock: FakeClock | None = None) -> ABox:
        return ABox(root, clock or FakeClock()).enrol(self.seed, self.card)

    def verify(self, bundle: Path) -> VerifiedBundle:
        """Climb the ladder at headquarters, where there is no state and no gate."""
        root = self.forge.repository.roots()[0].read_bytes()
        with Medium(bundle) as medium:
            return verify(medium, Trust(root, "production", self.forge.clock.now))


def copy_of(bundle: Path, to: Path) -> Path:
    shutil.copytree(bundle, to)
    return to


def refused(box: ABox, bundle: Path, code: str, kind: type[BundleError] = BundleError) -> BundleError:
    """Install `bundle`, expect the refusal `code`, and hold that nothing on the box changed."""
    before = box.snapshot()
    with pytest.raises(kind) as caught:
        box.install(bundle)
    assert caught.value.code == code, str(caught.value)
    assert caught.value.todo
    assert caught.value.safe
    assert box.snapshot() == before
    return caught.value

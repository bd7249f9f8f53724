"""Installs verified bundles, switches between releases in one step, and opens the one that serves.

Everything before the switch may be cut at any moment and simply run again: blobs and runtimes appear under their
names only when they are whole, and `current` points at the old release or at the new one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bundles import estimate as estimation
from bundles import runtime
from bundles.delta.source import opened, require_base
from bundles.document import canonical, parse, read, stamp
from bundles.errors import GateError, InputError, MediumError, StateError
from bundles.estimate import Estimate
from bundles.layout import Box
from bundles.nouns import Installed, ReleaseRecord
from bundles.store import Store, make_folders, sweep, sync_folder, write_durably
from bundles.trust.state import Installed as InstalledState
from bundles.trust.state import State
from bundles.verification import MANIFEST_CAP, VerifiedBundle

_AGAIN = "install its bundle again, or a newer one"


@dataclass(frozen=True)
class Release:
    """An installed, verified release, as the services read it.

    Attributes:
        site_plan: the signed site plan, parsed after its digest was checked again.
        files: logical path, e.g. `models/minilm/w8/model.onnx`, -> the blob's path.
    """

    root: Path
    number: int
    bundle_digest: str
    site: str
    epoch: int
    site_plan: Mapping[str, Any]
    site_plan_digest: str
    files: Mapping[str, Path]
    record: ReleaseRecord

    @property
    def launcher(self) -> Path | None:
        """The `run.py` of this release's runtime; None when the bundle carried none."""
        name = self.record.runtime
        return Box(self.root).runtime(name) / "run.py" if name else None


Check = Callable[[Release], Sequence[str]]


def numbers(box: Box) -> list[int]:
    """Return the numbers of the releases recorded on this box, rising."""
    return sorted(int(path.parent.name) for path in box.releases.glob("*/release.json") if _is_number(path.parent.name))


def current_number(box: Box) -> int | None:
    """Return the number of the release that serves; None when none does, or `current` is no longer the link it was."""
    if not box.current.is_symlink():
        return None
    name = Path(os.readlink(box.current)).name
    return int(name) if _is_number(name) else None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def estimate(box: Box, bundle: VerifiedBundle) -> Estimate:
    """Return what installing `bundle` would write."""
    there = not _wheels(bundle) or box.runtime(_runtime_name(bundle)).is_dir()
    return estimation.estimate(box, bundle, unpacked=there)


def stage(
    box: Box, bundle: VerifiedBundle, now: datetime, advance: Callable[[float], None] | None = None
) -> ReleaseRecord:
    """Copy every new blob, unpack the runtime, return the release's record; nothing that serves changes.

    Raises:
        SpaceError: too little space; nothing was written.
        TrustError: a blob has other bytes than were signed; it was not kept.
    """
    sweep(box)
    store = Store(box)
    require_base(bundle, store)
    estimation.require_room(estimate(box, bundle))
    written = sum(_copy(store, bundle, name, advance) for name in bundle.medium.in_order(bundle.blobs))
    made = _unpack(box, bundle, advance)
    return _record(box, bundle, made, written + (made.written if made else 0), now)


def _unpack(box: Box, bundle: VerifiedBundle, advance: Callable[[float], None] | None) -> runtime.Unpacked | None:
    """Unpack the bundle's runtime unless it is there as some release of this box recorded it; None: it has none."""
    wheels = {wheel: box.blob(blob.digest) for wheel, blob in _wheels(bundle).items()}
    if not wheels:
        return None
    name = _runtime_name(bundle)
    make_folders(box.runtimes)
    known = {record.runtime_files for record in readable(box) if record.runtime == name and record.runtime_files}
    return runtime.unpack(box, wheels, name, cap=bundle.manifest.unpacked, known=known, advance=advance)


def candidate(box: Box, record: ReleaseRecord) -> Release:
    """Return the staged release behind `record`, for checks before the switch; `stage` has just hashed every blob."""
    return _open(box, record, hashed=True)


def switch(box: Box, record: ReleaseRecord) -> None:
    """Write the release's record and make it the one that serves, in one atomic step."""
    write_durably(box.release(record.number), canonical(record))
    point(box, record.number)


def commit(box: Box, bundle: VerifiedBundle, state: State) -> State:
    """Return `state` raised to what `bundle` shows: versions, floors, revocations only grow."""
    manifest = bundle.manifest
    return state.model_copy(
        update={
            "versions": {**state.versions, **bundle.versions},
            "digests": {**state.digests, **bundle.digests},
            "min_security_version": max(state.min_security_version, bundle.plan.min_security_version),
            "revoked": tuple(sorted({*state.revoked, *bundle.plan.revoked})),
            "installed": InstalledState(
                number=manifest.number, bundle_digest=bundle.digest, epoch=manifest.epoch,
                security_version=manifest.security_version,
            ),
        }
    )  # fmt: skip


def point(box: Box, number: int) -> None:
    """Let `current` name release `number`."""
    link = box.root / f".current.{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(Path("releases") / str(number))
    link.rename(box.current)
    sync_folder(box.root)


def withdraw(box: Box) -> None:
    """Let no release serve."""
    box.current.unlink(missing_ok=True)
    sync_folder(box.root)


def previous(box: Box, state: State) -> int:
    """Return the release to roll back to: the one recorded before the current one, if it is still allowed.

    Raises:
        GateError: there is none, it is revoked, or below the security floor.
    """
    here = current_number(box)
    record = load(box, here) if here is not None else None
    if record is None or record.previous is None or not box.release(record.previous).is_file():
        raise GateError("NO-PREVIOUS", "no earlier release is recorded here", advice="install a bundle instead",
                        safe="what runs goes on running")  # fmt: skip
    earlier = load(box, record.previous)
    floor = state.min_security_version
    revoked = {earlier.bundle_digest, *(file.digest for file in earlier.files.values())} & set(state.revoked)
    if earlier.security_version < floor or revoked:
        why = (
            f"security version {earlier.security_version} < {floor}" if not revoked else f"{min(revoked)[:19]} revoked"
        )
        raise GateError("FLOOR", f"release {earlier.number} may not serve again: {why}",
                        advice="install a newer bundle; stop the service until then",
                        safe="what runs goes on running")  # fmt: skip
    return earlier.number


def runtime_of(root: Path) -> Path | None:
    """Return the `run.py` of the release that serves under `root`, its runtime hashed; None when it carries none.

    Raises:
        InputError: nothing is installed.
        StateError: a file of the runtime is missing, changed or additional.
    """
    box, number = _serving(root)
    record = load(box, number)
    if record.runtime is None:
        return None
    runtime.intact(box.runtime(record.runtime), record.runtime_files)
    return box.runtime(record.runtime) / "run.py"


def open_release(root: Path, number: int | None = None) -> Release:
    """Return the release that serves under `root` (or `number`), every file of it hashed again.

    Raises:
        InputError: nothing is installed.
        StateError: a blob or a file of the runtime is missing or damaged.
    """
    if number is None:
        box, number = _serving(root)
        return _open(box, load(box, number))
    box = Box(root.resolve())
    return _open(box, load(box, number))


def _serving(root: Path) -> tuple[Box, int]:
    box = Box(root.resolve())
    number = current_number(box)
    if number is None:
        raise InputError("NOT-INSTALLED", f"no release is installed under {root}", advice="hybrid site install MEDIUM")
    return box, number


def _open(box: Box, record: ReleaseRecord, *, hashed: bool = False) -> Release:
    store = Store(box)
    if record.runtime:
        runtime.intact(box.runtime(record.runtime), record.runtime_files)
    place = box.blob if hashed else store.rehash
    files = {path: place(file.digest) for path, file in record.files.items()}
    plan = parse(store.rehash(record.site_plan.digest).read_bytes(), what="site plan", cap=MANIFEST_CAP)
    return Release(box.root, record.number, record.bundle_digest, record.site, record.epoch, plan,
                   record.site_plan.digest, files, record)  # fmt: skip


def load(box: Box, number: int) -> ReleaseRecord:
    """Return the record of release `number`.

    Raises:
        StateError: there is none, or it is damaged.
    """
    file = box.release(number)
    if not file.is_file():
        raise StateError("RELEASE", f"release {number} has no record", advice=_AGAIN)
    try:
        return read(ReleaseRecord, file.read_bytes(), what=str(file), cap=MANIFEST_CAP)
    except MediumError as error:
        raise StateError("RELEASE", f"the disk changed the record of release {number}: {error}", advice=_AGAIN,
                         safe="what runs goes on running") from None  # fmt: skip


def readable(box: Box) -> list[ReleaseRecord]:
    """Return the records that the disk has not changed, oldest first; a number counts without its record too."""
    found = []
    for number in numbers(box):
        with suppress(StateError):
            found.append(load(box, number))
    return found


def _copy(store: Store, bundle: VerifiedBundle, name: str, advance: Callable[[float], None] | None) -> int:
    size = bundle.blobs[name]
    if store.has(name, size):
        try:
            store.rehash(name, bundle.sha384.get(name))
        except StateError:
            store.forget(name)
        else:
            if advance:
                advance(size)
            return 0
    with opened(bundle, name, store) as source:
        return store.put(name, size, source, sha384=bundle.sha384.get(name), advance=advance)


def _wheels(bundle: VerifiedBundle) -> dict[str, Any]:
    return {path.split("/", 1)[1]: blob for path, blob in bundle.files.items() if path.startswith("runtime/")}


def _runtime_name(bundle: VerifiedBundle) -> str:
    return runtime.runtime_digest({wheel: blob.digest for wheel, blob in _wheels(bundle).items()})


def _record(
    box: Box, bundle: VerifiedBundle, made: runtime.Unpacked | None, written: int, now: datetime
) -> ReleaseRecord:
    """Return the release's record; a bundle that carries no runtime goes on with the one that serves.

    Raises:
        StateError: it carries none, and the record of the one that serves is damaged.
    """
    manifest = bundle.manifest
    entries = {path: Installed(digest=blob.digest, size=blob.size) for path, blob in bundle.files.items()}
    here = current_number(box)
    whole = {record.number: record for record in readable(box)}
    serving = load(box, here) if here is not None and (here in whole or made is None) else None
    before = here if here != manifest.number else serving.previous if serving else None
    wheels = {path: item for path, item in entries.items() if path.startswith("runtime/")}
    kept = serving if made is None else None
    return ReleaseRecord(
        number=manifest.number, site=manifest.site, bundle_digest=bundle.digest, epoch=manifest.epoch,
        security_version=manifest.security_version, nonce=manifest.nonce, versions=dict(bundle.versions),
        site_plan=Installed(digest=manifest.site_plan.digest, size=manifest.site_plan.size),
        bill=Installed(digest=manifest.bill.digest, size=manifest.bill.size),
        files={path: item for path, item in entries.items() if path not in wheels},
        wheels=kept.wheels if kept else wheels,
        runtime=_runtime_name(bundle) if made else kept.runtime if kept else None,
        runtime_files=made.files if made else kept.runtime_files if kept else None,
        installed=stamp(now), previous=before, written=written, expired=dict(bundle.expired),
        excused_by=bundle.expiry.policy if bundle.expired and bundle.expiry.policy != "deny" else None,
    )  # fmt: skip

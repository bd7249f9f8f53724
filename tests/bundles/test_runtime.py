"""A runtime is what its signed wheels hold and nothing else, when it is unpacked and whenever it starts."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.errors import StateError, TrustError
from bundles.install import roll_back
from bundles.layout import Box
from bundles.nouns import ReleaseRecord
from bundles.release import load, open_release, runtime_of
from tests.support.bundles import ABox, BundleForge, a_wheel, refused


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def packages(box: ABox) -> Path:
    launcher = open_release(box.root).launcher
    assert launcher is not None
    return launcher.parent / "site-packages"


def record(box: ABox, number: int = 1) -> ReleaseRecord:
    return load(Box(box.root), number)


def changed(folder: Path) -> None:
    module = folder / "sovereign_hybrid" / "__init__.py"
    module.write_text(module.read_text() + "import os\n")


def removed(folder: Path) -> None:
    (folder / "sovereign_hybrid" / "__init__.py").unlink()


def bytecode(folder: Path) -> None:
    (folder / "sovereign_hybrid" / "__pycache__").mkdir()
    (folder / "sovereign_hybrid" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"evil")


def shadowing(folder: Path) -> None:
    (folder / "typing.py").write_text("print('mine now')")


def linked(folder: Path) -> None:
    (folder / "more").symlink_to("/tmp")


def launching(folder: Path) -> None:
    (folder.parent / "run.py").write_text("print('mine now')")


def listed(folder: Path) -> None:
    """The attacker rewrites the list of files, too; the record holds the list's digest."""
    changed(folder)
    (folder.parent / "files.json").write_text("{}")


@pytest.mark.parametrize("act", [changed, removed, bytecode, shadowing, linked, launching, listed])
def test_a_runtime_that_is_no_longer_what_was_unpacked(box: ABox, bundle: Path, act: Callable[[Path], None]) -> None:
    """Site-packages tampered with on the disk: nothing is started from it, and installing again mends it."""
    box.install(bundle)
    folder = packages(box)
    kept = record(box).runtime_files
    act(folder)
    for start in (runtime_of, open_release):
        with pytest.raises(StateError) as caught:
            start(box.root)
        assert (caught.value.code, caught.value.safe) == ("RUNTIME", "nothing is started from it")
        assert "install the bundle again" in caught.value.todo
    box.install(bundle)
    assert runtime_of(box.root) == folder.parent / "run.py"
    assert record(box).runtime_files == kept, "the same wheels give the same files"


def test_a_service_of_a_tampered_runtime_does_not_start(box: ABox, bundle: Path) -> None:
    """`hybrid site serve` looks before it hands over: no line of the tampered runtime runs."""
    box.install(bundle)
    launching(packages(box))
    done = subprocess.run([sys.executable, "-m", "hybrid", "site", "serve", "--root", box.root], text=True,
                          capture_output=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, "RUNTIME" in done.stderr, "mine now" in done.stdout) == (3, True, False)


def test_a_service_runs_in_the_releases_own_runtime(forge: BundleForge) -> None:
    """The seed's verifier hands over to what the bundle brought, with the same options."""
    forge.code = {"hybrid/__init__.py": "", "hybrid/cli.py": "import sys\ndef main(): print(__file__, *sys.argv)"}
    box = forge.box()
    box.install(forge.build())
    command = [sys.executable, "-m", "hybrid", "site", "serve", "--root", box.root, "--port", "0"]
    done = subprocess.run(command, text=True, capture_output=True, check=True, timeout=60)
    where, *words = done.stdout.split()
    assert Path(where).is_relative_to(packages(box))
    assert words == ["hybrid", "site", "serve", "--root", str(box.root), "--host", "127.0.0.1", "--port", "0",
                     "--hop-host", "0.0.0.0"]  # fmt: skip


def test_a_bundle_without_a_runtime_goes_on_with_the_one_that_serves(forge: BundleForge) -> None:
    box = forge.box()
    box.install(forge.build())
    before = runtime_of(box.root)
    forge.clock.pass_(days=1)
    box.install(forge.build(forge.cargo(wheels=(), table={})))
    assert runtime_of(box.root) == before
    assert roll_back(box.standing()).launcher == before


@pytest.mark.parametrize(
    "name", ["evil.pth", "evil.PTH", "sovereign_hybrid-0.1.0.data/purelib/evil.pth", "../evil.py", "/evil.py", "a\\b"]
)
def test_a_wheel_with_what_python_or_the_disk_would_obey(forge: BundleForge, name: str) -> None:
    """Wheels with `.pth` or paths outside, signed by everybody: nothing is unpacked, nothing changes."""
    box = forge.box()
    bundle = forge.build(forge.cargo(wheels=(a_wheel(forge.folder / "evil", {name: "import os; os.abort()\n"}),)))
    refused(box, bundle, "WHEEL", TrustError)
    assert not list(box.root.rglob("*evil*"))
    assert not list((box.root / "runtimes").iterdir())


def test_a_wheel_with_a_link(forge: BundleForge) -> None:
    """A symbolic link in a wheel: nothing is unpacked."""
    wheel = a_wheel(forge.folder / "evil", {})
    with zipfile.ZipFile(wheel, "a") as archive:
        entry = zipfile.ZipInfo("sovereign_hybrid/link.py")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/shadow")
    refused(forge.box(), forge.build(forge.cargo(wheels=(wheel,))), "WHEEL", TrustError)


def test_a_wheel_with_scripts(forge: BundleForge) -> None:
    """Scripts, headers and data of a wheel reach no folder of the box, and nothing is executable."""
    files = {f"sovereign_hybrid-0.1.0.data/{kind}/evil": "#!/bin/sh\n" for kind in ("scripts", "headers", "data")}
    box = forge.box()
    box.install(forge.build(forge.cargo(wheels=(a_wheel(forge.folder / "evil", files),))))
    assert not list((box.root / "runtimes").rglob("*evil*"))
    assert not [path for path in (box.root / "runtimes").rglob("*") if path.is_file() and os.access(path, os.X_OK)]


def test_two_wheels_with_one_file(forge: BundleForge) -> None:
    """A package that overwrites a file of another: which one wins is nobody's guess."""
    other = a_wheel(forge.folder / "evil", {"sovereign_hybrid/__init__.py": "mine = 1\n"}, name="zzz")
    refused(forge.box(), forge.build(forge.cargo(wheels=(*forge.cargo().wheels, other))), "WHEEL", TrustError)


def test_a_wheel_that_unpacks_to_more_than_was_signed(forge: BundleForge, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb: kilobytes that unpack to a disk full; the signed size is the cap, before the first byte is written."""
    wheel = forge.folder / "evil" / "zzz-0.1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zzz/__init__.py", bytes(50_000_000))
    monkeypatch.setattr("bundles.assembly.wheels.unpacked_size", lambda wheels: 1000)
    box = forge.box()
    refused(box, forge.build(forge.cargo(wheels=(wheel,))), "WHEEL", TrustError)
    assert not list((box.root / "runtimes").iterdir())

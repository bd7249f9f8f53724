"""`INSTALL.sh` on machines that have nothing: what the card covers is set up, and of anything else nothing runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bundles.nouns import SiteRecord
from bundles.seed import write_seed
from tests.bundles.conftest import MEMORY
from tests.support.bare import PYTHON, Bare, a_bare_machine, packages
from tests.support.bundles import a_wheel

pytestmark = [pytest.mark.debian("debootstrap", "dash"), pytest.mark.timeout(300)]

RECORD = SiteRecord(site="clinic-jura", jurisdiction="FR-39", box_id="clinic-jura-1", environment="demo",
                    issued="2026-11-21T08:00:00Z")  # fmt: skip
VERIFIER = """
import os, sys
def main():
    root = sys.argv[sys.argv.index("--root") + 1]
    os.makedirs(root + "/identity", exist_ok=True)
    open(root + "/identity/enrolment.json", "w").write(" ".join(sys.argv[1:4]))
    print(sys.version_info[:2], sys.executable)
"""
INSTALL = ("sh", "/media/seed/INSTALL.sh")


@pytest.fixture(scope="module")
def bare() -> Iterator[Bare]:
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="bare-") as folder, a_bare_machine(Path(folder)) as machine:
        yield machine


@pytest.fixture
def machine(bare: Bare) -> Iterator[Bare]:
    """A machine on which nothing is set up yet."""
    yield bare
    for name in ("opt", "media/seed", "var/lib/hybrid", "usr/local/bin"):
        shutil.rmtree(bare.root / name, ignore_errors=True)
        (bare.root / name).parent.mkdir(parents=True, exist_ok=True)


def a_seed(machine: Bare, *, python: bool = True, code: str = VERIFIER, folder: str = "media/seed") -> str:
    """Put a seed with a small verifier into the machine and return the digest on its card."""
    place = machine.root / folder
    place.parent.mkdir(parents=True, exist_ok=True)
    wheel = a_wheel(machine.root.parent / "wheels", {"hybrid/__init__.py": "", "hybrid/cli.py": code})
    card = write_seed(place, b"{}", RECORD, [wheel], packages(PYTHON) if python else [])
    return card.removeprefix("sha256:")


def assert_untouched(machine: Bare) -> None:
    """Nothing of a seed is in force, and nothing half-written stays."""
    left = [machine.root / name for name in ("opt/hybrid", "opt/hybrid.part", "opt/hybrid.seed.part", "var/lib/hybrid")]
    assert not [path for path in left if path.exists()]
    assert not (machine.root / "usr/local/bin/hybrid").exists()


def refused(machine: Bare, code: str, *arguments: str) -> str:
    """Run INSTALL.sh, expect the refusal `code`, and hold that nothing was set up."""
    done = machine.run(*INSTALL, *arguments, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert f"[{code}]" in done.stderr, done.stderr
    assert "do: " in done.stderr
    assert "safe now: " in done.stderr
    assert_untouched(machine)
    return done.stderr


def test_a_machine_without_python_or_network_gets_a_verifier_of_its_own(machine: Bare) -> None:
    """Twice: the second run finds everything there and changes nothing. The card may be typed as people type."""
    card = a_seed(machine)
    groups = " ".join(card[i : i + 8].upper() for i in range(0, 64, 8))
    done = machine.run(*INSTALL, "--card", groups, "--demo")
    assert done.stdout == "(3, 11) /opt/hybrid/bin/python3\n"
    assert (
        machine.root / "var/lib/hybrid/identity/enrolment.json"
    ).read_text() == "site enrol /opt/hybrid.seed.part/seed"
    assert sorted(path.name for path in (machine.root / "opt").iterdir()) == ["hybrid"]
    again = machine.run(*INSTALL, "--card", groups, "--demo")
    assert "already" in again.stdout


def a_forged_seed(machine: Bare) -> None:
    """Everything is replaced, sums included: another root of trust and a verifier that believes it."""
    shutil.rmtree(machine.root / "media/seed")
    a_seed(machine, code=VERIFIER + "print('evil')")


def a_changed_wheel(machine: Bare) -> None:
    wheel = next((machine.root / "media/seed/wheels").iterdir())
    wheel.write_bytes(wheel.read_bytes() + b"evil")


def a_changed_script(machine: Bare) -> None:
    """The script itself says otherwise than its sum: only a person who checks first would notice before it runs."""
    script = machine.root / "media/seed/NEEDS"
    script.write_text(script.read_text() + "cpu sse\n")


def an_extra_file(machine: Bare) -> None:
    (machine.root / "media/seed/wheels/zzz-1-py3-none-any.whl").write_bytes(b"evil")


def a_hidden_file(machine: Bare) -> None:
    (machine.root / "media/seed/.profile").write_text("evil")


def a_name_of_two_lines(machine: Bare) -> None:
    (machine.root / "media/seed/wheels/a\nroot.json").write_text("evil")


def a_link(machine: Bare) -> None:
    target = machine.root / "media/seed/root.json"
    shutil.copy(target, machine.root / "tmp/root.json")
    target.unlink()
    target.symlink_to("/tmp/root.json")


def a_missing_file(machine: Bare) -> None:
    (machine.root / "media/seed/site.json").unlink()


def a_pipe(machine: Bare) -> None:
    """A list of sums that never ends, or never begins: whoever reads it waits for ever."""
    sums = machine.root / "media/seed/SHA256SUMS"
    sums.unlink()
    os.mkfifo(sums)


def an_endless_list(machine: Bare) -> None:
    with (machine.root / "media/seed/SHA256SUMS").open("r+b") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize(
    ("act", "code"),
    [(a_forged_seed, "CARD"), (a_changed_wheel, "SEED"), (a_changed_script, "SEED"), (an_extra_file, "SEED"),
     (a_hidden_file, "SEED"), (a_name_of_two_lines, "SEED"), (a_link, "SEED"), (a_missing_file, "SEED"),
     (a_pipe, "SEED"), (an_endless_list, "SEED")],
)  # fmt: skip
def test_a_seed_other_than_the_card_says(machine: Bare, act: Callable[[Bare], None], code: str) -> None:
    """A forged seed that carries its own verifier, and every smaller forgery: nothing of it runs, nothing is set up."""
    card = a_seed(machine, python=False)
    act(machine)
    assert "evil" not in refused(machine, code, "--card", card).replace("evil.whl", "")


def sums_of(folder: Path) -> str:
    """Write SHA256SUMS anew, as headquarters would have, and return its digest."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != "SHA256SUMS")
    command = ["sha256sum", *(str(path.relative_to(folder)) for path in files)]
    text = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
    (folder / "SHA256SUMS").write_text(text)
    return subprocess.run(["sha256sum", folder / "SHA256SUMS"], capture_output=True, text=True, check=True).stdout[:64]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [("arch aarch64", "GATE", "for aarch64, this box is x86_64"), ("glibc 2.99", "GATE", "glibc 2.99"),
     ("glibc 3.1", "GATE", "glibc 3.1"), ("cpu avx1024", "GATE", "avx1024"),
     ("bytes 900000000000000", "SPACE", "are free"), ("python cp399", "PYTHON", "no Python for cp399")],
)  # fmt: skip
def test_a_genuine_seed_for_another_machine(machine: Bare, line: str, code: str, said: str) -> None:
    """Wrong architecture, C library, processor, Python, or a full disk: said before anything is unpacked."""
    a_seed(machine, python=False)
    seed = machine.root / "media/seed"
    kept = [one for one in (seed / "NEEDS").read_text().splitlines() if one.split()[0] != line.split()[0]]
    (seed / "NEEDS").write_text("\n".join([*kept, line, ""]))
    assert said in refused(machine, code, "--card", sums_of(seed))


@pytest.mark.parametrize("card", ["", "0" * 63, "0" * 64, "$(touch /tmp/evil)", "g" * 64])
def test_a_card_that_is_none(machine: Bare, card: str) -> None:
    a_seed(machine, python=False)
    refused(machine, "CARD", "--card", card)
    assert not (machine.root / "tmp/evil").exists()


def test_a_sum_of_a_file_outside_the_seed(machine: Bare) -> None:
    """Names in SHA256SUMS that lead out of the medium are refused even if somebody put them on the card."""
    a_seed(machine, python=False)
    seed = machine.root / "media/seed"
    (seed / "SHA256SUMS").write_text((seed / "SHA256SUMS").read_text() + f"{'0' * 64}  ../../etc/passwd\n")
    card = subprocess.run(["sha256sum", seed / "SHA256SUMS"], capture_output=True, text=True, check=True).stdout[:64]
    refused(machine, "SEED", "--card", card)


def files(machine: Bare) -> list[tuple[str, int]]:
    return sorted((str(path), path.lstat().st_mtime_ns) for path in (machine.root / "opt/hybrid").rglob("*"))


def test_the_verifier_of_an_enrolled_box_is_never_replaced(machine: Bare) -> None:
    """A second seed, validly carded, at a box that is somebody: what is installed stays."""
    machine.run(*INSTALL, "--card", a_seed(machine), "--demo")
    before = files(machine)
    shutil.rmtree(machine.root / "media/seed")
    card = a_seed(machine, code=VERIFIER + "\n")
    done = machine.run(*INSTALL, "--card", card, "--demo", check=False)
    assert (done.returncode, "[VERIFIER]" in done.stderr) == (3, True)
    assert files(machine) == before


def test_a_seed_that_enrolled_nobody_makes_way(machine: Bare) -> None:
    """The wrong seed, whose enrolment was refused: the right one sets the box up, without anybody tidying first."""
    machine.run(*INSTALL, "--card", a_seed(machine, code="def main(): raise SystemExit(3)"), check=False)
    assert (machine.root / "opt/hybrid").exists()
    shutil.rmtree(machine.root / "media/seed")
    machine.run(*INSTALL, "--card", a_seed(machine), "--demo")
    assert (machine.root / "var/lib/hybrid/identity/enrolment.json").exists()


def test_a_new_verifier_for_a_box_that_is_somebody(machine: Bare) -> None:
    """Whoever took the old verifier away by hand gets the one of a carded seed; nobody is enrolled again."""
    machine.run(*INSTALL, "--card", a_seed(machine), "--demo")
    shutil.rmtree(machine.root / "opt/hybrid")
    (machine.root / "var/lib/hybrid/identity/enrolment.json").write_text("who it is")
    done = machine.run(*INSTALL, "--card", card_of(machine))
    assert "stays who it is" in done.stdout
    assert (machine.root / "var/lib/hybrid/identity/enrolment.json").read_text() == "who it is"


def card_of(machine: Bare) -> str:
    return machine.run("sha256sum", "/media/seed/SHA256SUMS").stdout[:64]


def borrow(machine: Bare, *tools: str) -> None:
    """Put programs of this machine, with their libraries, into the bare one."""
    for tool in tools:
        found = shutil.which(tool)
        if found is None:
            pytest.skip(f"needs {tool} here")
        libraries = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        for path in [found, *(word for word in libraries.split() if word.startswith("/"))]:
            place = machine.root / path.lstrip("/")
            if not place.exists():
                shutil.copy(path, place)


@pytest.mark.debian("binutils", "xz-utils")
def test_a_machine_without_dpkg(machine: Bare) -> None:
    """Debian's packages are unpacked by ar and tar where the box is no Debian."""
    dpkg = machine.root / "usr/bin/dpkg-deb"
    kept = dpkg.rename(dpkg.with_name("kept"))
    try:
        card = a_seed(machine)
        refused(machine, "PYTHON", "--card", card)
        borrow(machine, "ar", "xz")
        machine.run(*INSTALL, "--card", card, "--demo")
    finally:
        kept.rename(dpkg)
    assert (machine.root / "var/lib/hybrid/identity/enrolment.json").exists()


@pytest.mark.slow
def test_the_plug_is_pulled_while_the_box_is_set_up(machine: Bare) -> None:
    """All processes die at once, at three moments: no half verifier under its name, and the next run completes."""
    card = a_seed(machine)
    command = [*machine.prefix(), *INSTALL, "--card", card, "--demo"]
    began = time.monotonic()
    machine.run(*INSTALL, "--card", card, "--demo")
    whole = time.monotonic() - began
    for part in range(3):
        for name in ("opt/hybrid", "var/lib/hybrid", "usr/local/bin"):
            shutil.rmtree(machine.root / name, ignore_errors=True)
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(whole * (part + 1) / 4)
            process.kill()
        if (machine.root / "opt/hybrid").exists():
            assert (machine.root / "opt/hybrid/seed.sha256").read_text().strip() == card
        machine.run(*INSTALL, "--card", card, "--demo")
        assert (machine.root / "var/lib/hybrid/identity/enrolment.json").exists()
        assert sorted(path.name for path in (machine.root / "opt").iterdir()) == ["hybrid"]

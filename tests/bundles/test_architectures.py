"""A bundle for aarch64, built on this machine: unpacked at its own box, refused at every other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bundles.errors import GateError, InputError
from bundles.gate import Machine
from bundles.release import open_release
from bundles.wheels import arch_of, needs_of
from tests.support.bundles import BOX, ABox, BundleForge, a_wheel, refused

ARM = Machine(arch="aarch64", cpu_features=("asimd", "asimddp"), glibc="2.36", python="cp311")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def an_arm_wheel(folder: Path, tag: str = "cp311-cp311-manylinux2014_aarch64.manylinux_2_28_aarch64") -> Path:
    """Write a small wheel that says it was built for aarch64; nothing here runs what is in it."""
    made = a_wheel(folder, {"native.so": "ELF for aarch64"}, name="native")
    return made.rename(made.with_name(f"native-0.1.0-{tag}.whl"))


def a_bundle(forge: BundleForge) -> Path:
    wheels = (*forge.cargo().wheels, an_arm_wheel(forge.folder / "arm"))
    return forge.build(forge.cargo(arch="aarch64", cpu_features=("asimd",), wheels=wheels))


def a_box(forge: BundleForge, machine: Machine) -> ABox:
    seed, card = forge.seed()
    return ABox(forge.folder / f"box-{machine.arch}", forge.clock, machine=machine).enrol(seed, card)


def test_a_box_of_its_architecture_unpacks_it(forge: BundleForge) -> None:
    box = a_box(forge, ARM)
    box.install(a_bundle(forge))
    launcher = open_release(box.root).launcher
    assert launcher is not None
    assert (launcher.parent / "site-packages" / "native.so").read_text() == "ELF for aarch64"


@pytest.mark.parametrize(
    ("machine", "says"),
    [(BOX, "arch: the bundle is for aarch64, this box is x86_64"),
     (replace(ARM, glibc="2.16"), "glibc: the bundle needs 2.17, this box has 2.16"),
     (replace(ARM, python="cp312"), "python: the bundle is for cp311, this box is cp312"),
     (replace(ARM, cpu_features=()), "cpu: this box lacks asimd")],
)  # fmt: skip
def test_another_box_refuses_it(forge: BundleForge, machine: Machine, says: str) -> None:
    """Wrong architecture, C library, Python, processor: said by name, and nothing of the box changes."""
    box = a_box(forge, machine)
    assert says in str(refused(box, a_bundle(forge), "GATE", GateError))
    assert not list(box.root.glob("store/*/*/*"))
    assert not list(box.root.glob("runtimes/*"))


def test_what_wheels_ask_of_a_machine(tmp_path: Path) -> None:
    arm = an_arm_wheel(tmp_path)
    other = Path("numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64.whl")
    plain = Path("tuf-7.0.1-py3-none-any.whl")
    assert (arch_of([arm, plain]), arch_of([plain]), arch_of([other])) == ("aarch64", None, "x86_64")
    assert (needs_of([arm]), needs_of([other])) == (("2.17", "cp311"), ("2.27", "cp311"))
    with pytest.raises(InputError, match="aarch64, x86_64"):
        arch_of([arm, other])

"""An install that brings a new root and raises every floor is killed before each of its writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bundles.errors import BundleError
from bundles.install import install, keep_time
from bundles.layout import Box
from bundles.medium import Medium
from bundles.release import current_number, open_release
from bundles.trust.state import State
from tests.support.bundles import ABox, BundleForge
from tests.support.killing import killed_at_each_write


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def floors(state: State) -> tuple[object, ...]:
    return (state.versions["root"], state.versions["targets"], state.min_security_version, state.floor.signed)


def test_an_install_with_a_rotation_is_old_or_new_wherever_it_is_cut(forge: BundleForge, tmp_path: Path) -> None:
    """Release, floors and root are wholly old or wholly new at every cut, or the state is new and the release still
    the old one; floors never fall; the same stick completes."""
    box = forge.box()
    box.install(forge.build(forge.cargo(security_version=2)))
    forge.clock.pass_(days=1)
    forge.repository.replace_custodians(forge.repository.custodians(), forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    stick = forge.build(forge.cargo(table={"n": 2}, security_version=2, min_security_version=2))
    old = floors(box.standing().state)

    def put(copy: ABox) -> Callable[[], object]:
        here, medium = copy.standing(), Medium(stick)
        return lambda: install(here, medium)

    seen = []
    for copy in killed_at_each_write(box, put, tmp_path, most=200, step=3):
        state, serves = copy.standing().state, current_number(Box(copy.root))
        assert open_release(copy.root).number == serves
        new = floors(state) != old
        assert all(after >= before for before, after in zip(old, floors(state), strict=True))  # type: ignore[operator]
        assert serves == 1 or new
        seen.append((new, serves))
        keep_time(copy.standing())
        again(copy, stick)
    assert seen == sorted(seen)
    assert len(seen) >= 12
    assert {(False, 1), (True, 1), (True, 3)} == set(seen)


def again(box: ABox, stick: Path) -> None:
    """Install the same stick again, and see that it completes."""
    try:
        box.install(stick)
    except BundleError as error:
        pytest.fail(f"a second run does not complete: {error}")
    state = box.standing().state
    assert (current_number(Box(box.root)), state.versions["root"], state.min_security_version) == (3, 2, 2)
    assert not list(box.root.rglob("*.part"))

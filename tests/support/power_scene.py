"""Sets a scene that is to be cut: a box, one change to it, what must hold after any cut, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bundles.document import digest
from bundles.layout import Box
from bundles.medium import Medium
from bundles.release import current_number, open_release
from bundles.trust.state import LogHead, State
from bundles.verification import verify
from tests.support.bundles import ABox, BundleForge, FakeClock
from tests.support.power_disk import seen

Settled = dict[str, object]
_GROWS = ("sequence", "digest", "written")
"""What counts the runs or the bytes of this run, and so is another after a cut."""


@dataclass(frozen=True)
class Scene:
    """One change to a box that lies, with its stick, in the folder `world`.

    Attributes:
        act: makes the change; made again after a cut it completes it.
        holds: what must be so after any cut; returns how far it got, in words.
        ends: the words for a box whose change was complete before the cut.
        same: whether a cut and completed box is, file by file, what one that nobody cut is.
        sweeps: whether the change itself removes what a cut left half-written; else the next install does.
    """

    world: Path
    clock: FakeClock
    act: Callable[[ABox], object]
    holds: Callable[[ABox], str]
    ends: str = "new"
    same: bool = True
    sweeps: bool = False

    def box(self, world: Path) -> ABox:
        """Return the box in a copy of the world, at the time of the change."""
        return ABox(world / "box", FakeClock(self.clock.now, self.clock.uptime, self.clock.boot))

    def work(self, world: Path) -> Callable[[], object]:
        """Return the change, to be made in a copy of the world."""
        return lambda: self.act(self.box(world))


def settled(world: Path) -> Settled:
    """Return what lies in the world, path by path, but for what counts runs: no temporary file, no lock, and of the
    store no empty folder."""
    found: Settled = {}
    for name, mode, content in seen(world).listing():
        if "/run/" in f"/{name}/" or name.endswith(".part") or (content is None and "/store/" in name):
            continue
        if isinstance(content, bytes):
            content = _without_counts(name, content)
        found[name] = (mode, content)
    return found


def _without_counts(name: str, data: bytes) -> str:
    if not name.endswith(("release.json", "state-a.json", "state-b.json")):
        return digest(data)
    said = json.loads(data) if data else {}
    said["state"] = {key: value for key, value in said.get("state", {}).items() if key not in _GROWS}
    return json.dumps({key: value for key, value in said.items() if key not in _GROWS}, sort_keys=True)


def floors(state: State) -> Mapping[str, Any]:
    """Return everything of a state that may only grow."""
    whole = {f"version of {role}": version for role, version in state.versions.items()}
    log, receipt = state.log or LogHead(size=0, root="", peaks=()), state.receipt
    return whole | {
        "security version": state.min_security_version, "sequence": state.sequence, "revoked": len(state.revoked),
        "signed": state.floor.signed, "shown": state.floor.shown, "local": state.floor.local,
        "log": log.size, "receipt": receipt.counter if receipt else 0,
        "installed": state.installed.number if state.installed else 0,
    }  # fmt: skip


def nothing_fell(before: Mapping[str, Any], box: ABox) -> State:
    """Return the state of `box`, which loads, and in which nothing is below what it was; its metadata is whole."""
    standing = box.standing()
    standing.expiry()
    state = standing.state
    after = floors(state)
    assert not [name for name, value in before.items() if after.get(name, value) < value or name not in after]
    return state


def serves(box: ABox) -> int | None:
    """Return the number of the release that serves, every byte of it hashed again; None when none does."""
    number = current_number(Box(box.root))
    if number is not None:
        assert open_release(box.root).number == number
    return number


@dataclass
class Stage:
    """A headquarters and a world with one box in it, in which scenes are set."""

    forge: BundleForge
    box: ABox = field(init=False)

    def __post_init__(self) -> None:
        seed, card = self.forge.seed()
        self.box = ABox(self.forge.folder / "world" / "box", self.forge.clock).enrol(seed, card)

    def tomorrow(self, **knobs: Any) -> Path:
        """Build a bundle of its own, a day later."""
        self.forge.clock.pass_(days=1)
        knobs.setdefault("table", {"n": self.forge.count})
        return self.forge.build(self.forge.cargo(**knobs))

    def now(self) -> FakeClock:
        """Return a clock that stands at this moment."""
        return FakeClock(self.forge.clock.now, self.forge.clock.uptime, self.forge.clock.boot)

    def scene(self, act: Callable[[ABox], object], holds: Callable[[ABox, State], str], **knobs: Any) -> Scene:
        """Return the scene in which `act` changes this box; `holds` is given the box and its state."""
        before = floors(self.box.standing().state)
        world = self.box.root.parent
        return Scene(world, self.now(), act, lambda box: holds(box, nothing_fell(before, box)), **knobs)

    def installing(self, stick: Path) -> Scene:
        """Return the scene in which the box installs what is on `stick`; the release before serves, or the new one."""
        old = current_number(Box(self.box.root))
        with Medium(stick) as medium:
            new = verify(medium, self.box.standing().trust()).manifest.number

        def holds(box: ABox, state: State) -> str:
            number = serves(box)
            raised = state.installed is not None and state.installed.number == new
            assert number == old or (number == new and raised)
            return "new" if number == new else "raised" if raised else "old"

        return self.scene(lambda box: box.install(stick), holds, sweeps=True)

"""Every change that a box makes to itself, ready to be cut."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509 import load_pem_x509_certificate

from bundles.document import canonical, read
from bundles.enrolment import check_request, enrol
from bundles.errors import GateError, StateError
from bundles.install import clean, keep_time, roll_back
from bundles.layout import Box
from bundles.ledger import judge
from bundles.nouns import EnrolmentRequest
from bundles.receipt import carry, folder_of, issue, read_receipt
from bundles.recovery.drafting import draft, seal, sign
from bundles.recovery.obeying import challenge, damaged, obey
from bundles.recovery.order import OrderedFloor
from bundles.release import current_number, numbers, open_release
from bundles.retention import in_use
from bundles.seed import open_seed
from bundles.trust.state import LogHead, State
from tests.support.bundles import RECOVERY, ABox, BundleForge, FakeClock
from tests.support.power_scene import Scene, Stage, floors, serves


def first_install(forge: BundleForge) -> Scene:
    """The first release comes to an enrolled box, its runtime with it."""
    stage = Stage(forge)
    return stage.installing(stage.tomorrow())


def update(forge: BundleForge) -> Scene:
    """Another table comes with a higher floor, upon the runtime that is there."""
    stage = Stage(forge)
    stage.box.install(stage.tomorrow(security_version=2))
    return stage.installing(stage.tomorrow(security_version=2, min_security_version=2))


def two_releases(forge: BundleForge) -> Stage:
    """Return a box with two releases, each with a runtime of its own."""
    stage = Stage(forge)
    for number in (1, 2):
        forge.code = {"hybrid/version.py": f"NUMBER = {number}\n"}
        stage.box.install(stage.tomorrow(security_version=2))
    return stage


def rotation(forge: BundleForge) -> Scene:
    """A new root, a higher floor, a new runtime and a new release come at once, and the oldest release goes."""
    stage = two_releases(forge)
    forge.clock.pass_(days=1)
    forge.repository.replace_custodians(forge.repository.custodians(), forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    forge.code = {"hybrid/version.py": "NUMBER = 3\n"}
    return stage.installing(stage.tomorrow(security_version=3, min_security_version=2))


def reinstall(forge: BundleForge) -> Scene:
    """What serves is installed again, a model of it having rotted on the disk."""
    stage = Stage(forge)
    stick = stage.tomorrow()
    stage.box.install(stick)
    rotten = open_release(stage.box.root).files["models/minilm/w8/model.onnx"]
    rotten.chmod(0o644)
    rotten.write_bytes(b"rot" + rotten.read_bytes()[3:])

    def holds(box: ABox, state: State) -> str:
        assert current_number(Box(box.root)) == 1
        try:
            open_release(box.root)
        except StateError as error:
            if error.code != "STORE":
                raise
            return "rotten"
        return "mended"

    return stage.scene(lambda box: box.install(stick), holds, ends="mended", sweeps=True)


def unhealthy(forge: BundleForge) -> Scene:
    """The new release does not come up after the switch, and the one before it serves again."""
    stage = two_releases(forge)
    return _unhealthy(stage, stage.tomorrow(security_version=2), 2)


def unhealthy_first(forge: BundleForge) -> Scene:
    """The first release does not come up, and nothing serves."""
    stage = Stage(forge)
    return _unhealthy(stage, stage.tomorrow(), None)


def _unhealthy(stage: Stage, stick: Path, old: int | None) -> Scene:
    def act(box: ABox) -> None:
        with suppress(GateError):
            box.install(stick, health=lambda release: ["port closed"])

    def holds(box: ABox, state: State) -> str:
        number = serves(box)
        assert number in (old, 3 if old else 1)
        return "back" if number == old else "asked"

    return stage.scene(act, holds, ends="back", sweeps=True)


def going_back(forge: BundleForge) -> Scene:
    """Somebody rolls back to the release before."""
    stage = two_releases(forge)

    def act(box: ABox) -> None:
        if current_number(Box(box.root)) == 2:
            roll_back(box.standing())

    def holds(box: ABox, state: State) -> str:
        number = serves(box)
        assert number in (1, 2)
        return "new" if number == 1 else "old"

    return stage.scene(act, holds)


def cleaning(forge: BundleForge) -> Scene:
    """Two releases that a process held until now are removed, with all that only they needed."""
    stage = Stage(forge)
    with ExitStack() as held:
        for number in (1, 2, 3, 4):
            forge.code = {"hybrid/version.py": f"NUMBER = {number}\n"}
            stage.box.install(stage.tomorrow())
            held.enter_context(in_use(open_release(stage.box.root)))

    def holds(box: ABox, state: State) -> str:
        assert serves(box) == 4
        left = numbers(Box(box.root))
        assert {3, 4} <= set(left)
        for number in left:
            open_release(box.root, number)
        return "new" if left == [3, 4] else "old"

    return stage.scene(lambda box: clean(box.standing()), holds)


def saving_time(forge: BundleForge) -> Scene:
    """The hourly timer saves the time and the head of the log."""
    stage = Stage(forge)
    stage.box.install(stage.tomorrow())
    before = stage.box.standing().state.floor.local
    forge.clock.pass_(hours=1)
    head = LogHead(size=3, root="r", peaks=())

    def holds(box: ABox, state: State) -> str:
        assert serves(box) == 1
        assert (state.log == head) == (state.floor.local > before)
        return "new" if state.log else "old"

    return stage.scene(lambda box: keep_time(box.standing(), head), holds)


def receipt(forge: BundleForge) -> Scene:
    """The second receipt is signed, and both are written to the stick."""
    stage = Stage(forge)
    stage.box.install(stage.tomorrow())
    issue(stage.box.standing())
    forge.clock.pass_(hours=1)
    return _signing(stage, 2)


def first_receipt(forge: BundleForge) -> Scene:
    """The first receipt is signed, before there is anything to serve, and written to the stick."""
    return _signing(Stage(forge), 1)


def _signing(stage: Stage, count: int) -> Scene:
    keys = [key for key in stage.box.enrolled.request.keys if key.use == "receipt"]  # type: ignore[union-attr]

    def act(box: ABox) -> None:
        issue(box.standing())
        carry(Box(box.root), box.root.parent / "stick")

    def holds(box: ABox, state: State) -> str:
        folder = folder_of(Box(box.root))
        kept = [read_receipt(file.read_bytes(), what=file.name) for file in sorted(folder.glob("*.json"))]
        assert judge(kept, keys, None).findings == ()
        remembered = state.receipt.counter if state.receipt else 0
        assert count - 1 <= remembered <= len(kept)
        carried = [file.read_bytes() for file in (box.root.parent / "stick").glob("*.json")]
        assert {*carried} <= {canonical(one) for one in kept}
        if remembered >= count and remembered == len(kept) == len(carried):
            return "new"
        return f"{len(kept)} signed, {remembered} remembered, {len(carried)} carried"

    return stage.scene(act, holds, same=False)


def recovery(forge: BundleForge) -> Scene:
    """A box that lost its state obeys an order."""
    stage = two_releases(forge)
    kept = floors(stage.box.standing().state)
    for name in ("state-a.json", "state-b.json"):
        (stage.box.root / "trust" / name).write_bytes(b"")
    asked = challenge(damaged(stage.box.root, stage.box.machine_id))
    order = draft(asked, forge.repository, forge.clock.now, OrderedFloor(release=2, security=2))
    signed = [one for name in RECOVERY for one in sign(order, forge.signers([name]), name).signatures]
    sealed = seal(order, signed, forge.repository)

    def act(box: ABox) -> None:
        try:
            obey(damaged(box.root, box.machine_id), sealed, box.clock.reading())
        except GateError as error:
            if error.code != "RECOVERY-USED":
                raise
            keep_time(box.standing())  # whose saving heals a copy that the cut left empty

    def holds(box: ABox) -> str:
        assert serves(box) == 2
        try:
            state = box.standing().state
        except StateError as error:
            if error.code != "STATE-LOST":
                raise
            return "old"
        assert state.answered == order.whom.nonce
        assert not [role for role, version in state.versions.items() if version < kept[f"version of {role}"]]
        return "new"

    return Scene(stage.box.root.parent, stage.now(), act, holds, same=False)


def enrolment(forge: BundleForge) -> Scene:
    """A box becomes somebody."""
    seed, card = forge.seed()
    world = forge.folder / "world"
    world.mkdir()

    def act(box: ABox) -> None:
        with suppress(GateError):
            enrol(Box(box.root), open_seed(seed), card=card, machine=box.machine, machine_id=box.machine_id,
                  reading=box.clock.reading())  # fmt: skip

    def holds(box: ABox) -> str:
        try:
            state = box.standing().state
        except StateError as error:
            if error.code != "NOT-ENROLLED":
                raise
            return "nobody"
        request = read(EnrolmentRequest, Box(box.root).request.read_bytes(), what="request")
        check_request(request)
        assert state.sequence == 1
        for key in request.keys:
            private = load_pem_private_key((Box(box.root).identity / f"{key.use}.key").read_bytes(), None)
            held = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            certified = load_pem_x509_certificate(key.public_key.encode()).public_key() if key.use == "tls" else None
            public = certified or load_pem_public_key(key.public_key.encode())
            assert public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == held
        return "somebody"

    clock = FakeClock(forge.clock.now, forge.clock.uptime, forge.clock.boot)
    return Scene(world, clock, act, holds, ends="somebody", same=False)


SCENES = (first_install, update, rotation, reinstall, unhealthy, unhealthy_first, going_back, cleaning, saving_time,
          first_receipt, receipt, recovery, enrolment)  # fmt: skip

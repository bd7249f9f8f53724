"""A box that lost its memory is mended by one order, for it alone, once; nobody uses that to show it the past."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.document import canonical, read
from bundles.errors import BundleError, GateError, InputError, StateError, TrustError
from bundles.install import keep_time
from bundles.recovery.drafting import draft, lacking, seal, sign
from bundles.recovery.obeying import challenge, check, damaged, obey
from bundles.recovery.order import Challenge, OrderedFloor, SealedOrder
from bundles.trust.state import LogHead, State
from tests.support.bundles import PEOPLE, RECOVERY, SITE, ABox, BundleForge, refused
from tests.support.fuzzing import fuzzed
from tests.support.killing import killed_at_each_write

COPIES = ("state-a.json", "state-b.json")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path, people={**PEOPLE, **RECOVERY})


@pytest.fixture
def sticks(forge: BundleForge) -> list[Path]:
    """Three bundles, rising; the second raises the security floor to 2."""
    made = [forge.build(forge.cargo(security_version=2))]
    for floor in (2, 2):
        forge.clock.pass_(days=1)
        made.append(forge.build(forge.cargo(table={"n": len(made)}, security_version=2, min_security_version=floor)))
    return made


def lose(box: ABox) -> None:
    for name in COPIES:
        (box.root / "trust" / name).write_bytes(b"")


def ask(box: ABox) -> Challenge:
    return challenge(damaged(box.root, box.machine_id))


def floor_of(asked: Challenge, **named: object) -> OrderedFloor:
    return OrderedFloor(**{"release": asked.floor.release, "security": asked.floor.security, **named})  # type: ignore[arg-type]


def ordered(forge: BundleForge, asked: Challenge, floor: OrderedFloor | None = None) -> SealedOrder:
    """Let headquarters answer: drafted, signed by each recovery custodian alone, sealed."""
    order = draft(asked, forge.repository, forge.clock.now, floor or floor_of(asked))
    made = [sign(order, forge.signers([name]), name) for name in RECOVERY]
    return seal(order, [one for given in made for one in given.signatures], forge.repository)


def apply(box: ABox, sealed: SealedOrder, log: LogHead | None = None) -> State:
    return obey(damaged(box.root, box.machine_id), sealed, box.clock.reading(), log)


def refuses(box: ABox, sealed: SealedOrder, code: str, kind: type[BundleError] = GateError) -> None:
    before = box.snapshot()
    with pytest.raises(kind) as caught:
        apply(box, sealed)
    assert caught.value.code == code
    assert box.snapshot() == before


def test_lost_state_is_mended_and_remembers_what_is_installed(forge: BundleForge, sticks: list[Path]) -> None:
    box = forge.box()
    box.install(sticks[0])
    box.install(sticks[1])
    before = box.standing().state
    lose(box)
    asked = ask(box)
    assert (asked.why, asked.floor.release, asked.floor.security) == ("STATE-LOST", 2, 2)
    after = apply(box, ordered(forge, asked))
    assert (after.versions, after.digests) == (before.versions, before.digests)
    assert (after.min_security_version, after.installed) == (before.min_security_version, before.installed)
    refused(box, sticks[0], "ROLLBACK", TrustError)
    box.install(sticks[2])
    assert not (box.root / "trust" / "challenge.json").exists()


@pytest.mark.parametrize("wrong", ["foreign", "moved", "behind"])
def test_foreign_moved_and_outdated_state_is_mended(forge: BundleForge, sticks: list[Path], wrong: str) -> None:
    """A state of another box, a disk in another machine, a state put back: each refuses, and each is mended."""
    box = forge.box()
    box.install(sticks[0])
    old = {name: (box.root / "trust" / name).read_bytes() for name in COPIES}
    box.install(sticks[1])
    if wrong == "foreign":
        old = {name: (forge.box("clinic-basel").root / "trust" / name).read_bytes() for name in COPIES}
    if wrong == "moved":
        box.machine_id = "sha256:" + "6" * 64
    else:
        for name, data in old.items():
            (box.root / "trust" / name).write_bytes(data)
    with pytest.raises(StateError):
        box.standing()
    apply(box, ordered(forge, ask(box)))
    refused(box, sticks[0], "ROLLBACK", TrustError)
    box.install(sticks[2])


def test_a_replayed_order(forge: BundleForge, sticks: list[Path]) -> None:
    """The order that mended the box is kept, and shown again when the box has gone on, or has lost its memory again:
    it works once."""
    box = forge.box()
    box.install(sticks[0])
    lose(box)
    sealed = ordered(forge, ask(box))
    apply(box, sealed)
    refuses(box, sealed, "RECOVERY-USED")
    box.install(sticks[1])
    refuses(box, sealed, "RECOVERY-USED")
    lose(box)
    refuses(box, sealed, "RECOVERY-CHALLENGE")
    ask(box)
    refuses(box, sealed, "RECOVERY-CHALLENGE")


def test_a_new_challenge_ends_the_one_before(forge: BundleForge) -> None:
    box = forge.box()
    lose(box)
    first = ordered(forge, ask(box))
    second = ordered(forge, ask(box))
    refuses(box, first, "RECOVERY-CHALLENGE")
    apply(box, second)


def test_an_order_of_another_box(forge: BundleForge) -> None:
    """Two boxes of one headquarters lost their memory; the order of one is shown to the other."""
    box, other = forge.box(), forge.box("clinic-basel")
    for one in (box, other):
        lose(one)
    asked, sealed = ask(box), ordered(forge, ask(other))
    refuses(box, sealed, "RECOVERY-CHALLENGE")
    apply(box, ordered(forge, asked))


def test_an_order_made_for_another_machine(forge: BundleForge) -> None:
    """The disk with its open challenge is put into another machine before the order comes."""
    box = forge.box()
    lose(box)
    sealed = ordered(forge, ask(box))
    box.machine_id = "sha256:" + "7" * 64
    refuses(box, sealed, "RECOVERY-CHALLENGE")


@pytest.mark.parametrize("people", [["ada", "ben", "cleo", "dora"], ["rita"], ["rita", "ada", "ben"]])
def test_an_order_of_release_custodians(forge: BundleForge, people: list[str]) -> None:
    """Whoever signs bundles, with compliance or with one recovery custodian, winds a box back: not sealed at
    headquarters, and not obeyed at the box."""
    box = forge.box()
    lose(box)
    asked = ask(box)
    order = draft(asked, forge.repository, forge.clock.now, floor_of(asked))
    made = sign(order, forge.signers(people), "ada").signatures
    assert lacking(order, made, forge.repository)
    with pytest.raises(TrustError, match="RECOVERY-QUORUM"):
        seal(order, made, forge.repository)
    refuses(box, SealedOrder(order=order, signatures=made), "RECOVERY-QUORUM", TrustError)


def test_one_family_alone_orders_nothing(forge: BundleForge) -> None:
    box = forge.box()
    lose(box)
    sealed = ordered(forge, ask(box))
    strong = sorted(sealed.signatures, key=lambda one: len(one.sig))
    for half in (strong[:2], strong[2:], strong[:3]):
        refuses(box, sealed.model_copy(update={"signatures": tuple(half)}), "RECOVERY-QUORUM", TrustError)


def test_an_order_that_was_changed_on_the_way(forge: BundleForge, sticks: list[Path]) -> None:
    """The carrier lowers the floor."""
    box = forge.box()
    box.install(sticks[0])
    lose(box)
    sealed = ordered(forge, ask(box))
    bent = sealed.order.model_copy(update={"floor": OrderedFloor(release=0, security=0)})
    refuses(box, SealedOrder(order=bent, signatures=sealed.signatures), "RECOVERY-QUORUM", TrustError)


@pytest.mark.fuzz
@fuzzed(60)
@given(at=st.integers(0, 10**6), data=st.binary(max_size=40), cut=st.integers(0, 40))
def test_any_bytes_are_an_order_or_refused(whole: tuple[ABox, bytes], at: int, data: bytes, cut: int) -> None:
    """Fuzzing: whatever replaces some bytes of a sealed order, the box reads no order, or refuses it; or the bytes that
    are signed are the same."""
    box, sealed = whole
    bent = sealed[: at % len(sealed)] + data + sealed[at % len(sealed) + cut :]
    before = box.snapshot()
    try:
        found = read(SealedOrder, bent, what="order")
        check(damaged(box.root, box.machine_id), found)
    except BundleError:
        assert box.snapshot() == before
    else:
        assert found.order == read(SealedOrder, sealed, what="order").order


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[ABox, bytes]:
    """Return a box that asks, and the bytes of the order that answers it."""
    forge = BundleForge(tmp_path_factory.mktemp("order"), people={**PEOPLE, **RECOVERY})
    box = forge.box()
    lose(box)
    return box, canonical(ordered(forge, ask(box)))


def test_an_order_under_a_root_that_was_rotated_meanwhile(forge: BundleForge) -> None:
    """The box asked while its state was whole, and installed a new root before the order came: ask again."""
    box = forge.box()
    sealed = ordered(forge, ask(box))
    forge.repository.replace_custodians(forge.repository.custodians(), forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    box.install(forge.build(forge.cargo(table={"later": 1})))
    refuses(box, sealed, "RECOVERY-CHALLENGE")


def test_what_headquarters_knows_more_of_holds(forge: BundleForge, sticks: list[Path]) -> None:
    """The whole disk was put back to release 1; headquarters has a receipt of release 2, and names it."""
    box = forge.box()
    box.install(sticks[0])
    lose(box)
    asked = ask(box)
    apply(box, ordered(forge, asked, floor_of(asked, release=2, security=2)))
    refused(box, sticks[0], "ROLLBACK", TrustError)
    box.install(sticks[1])
    assert box.standing().state.min_security_version == 2


def test_what_an_order_names_may_fall_and_what_it_leaves_out_stays(forge: BundleForge, sticks: list[Path]) -> None:
    """Headquarters' clock ran two years ahead when a bundle was signed, and its log head is named; the rest of what
    the box remembers stays, and nothing falls below what is installed."""
    box = forge.box()
    box.install(sticks[0])
    box.install(sticks[1])
    state = keep_time(box.standing(), LogHead(size=3, root="r", peaks=()))
    asked = ask(box)
    assert asked.why == ""
    with pytest.raises(GateError, match="RECOVERY-FLOOR"):
        draft(asked, forge.repository, forge.clock.now, floor_of(asked, security=1))
    after = apply(box, ordered(forge, asked))
    assert (after.log, after.versions, after.revoked) == (state.log, state.versions, state.revoked)
    assert after.sequence == state.sequence + 1
    after = apply(box, ordered(forge, ask(box), floor_of(asked, log_size=0)))
    assert after.log is None


def test_an_order_that_knows_of_more_evidence(forge: BundleForge) -> None:
    """State and log were deleted together; headquarters has a receipt over 40 records and does not let that pass."""
    box = forge.box()
    lose(box)
    asked = ask(box)
    sealed = ordered(forge, asked, floor_of(asked, log_size=40))
    refuses(box, sealed, "RECOVERY-LOG")
    head = LogHead(size=41, root="r", peaks=())
    assert apply(box, sealed, head).log == head


def test_a_box_whose_root_was_put_back_is_not_mended(forge: BundleForge, sticks: list[Path]) -> None:
    """With the state gone, an older root whose recovery custodians were since replaced would decide."""
    box = forge.box()
    old = (box.root / "trust" / "root.json").read_bytes()
    forge.repository.replace_custodians(forge.repository.custodians(), forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    box.install(forge.build(forge.cargo(table={"later": 1})))
    lose(box)
    (box.root / "trust" / "root.json").write_bytes(old)
    with pytest.raises(StateError, match="RECOVERY-ROOT"):
        damaged(box.root, box.machine_id)


def test_a_repository_without_recovery_custodians_drafts_no_order(tmp_path: Path) -> None:
    forge = BundleForge(tmp_path)
    box = forge.box()
    lose(box)
    asked = ask(box)
    with pytest.raises(InputError, match="RECOVERY-KEYS"):
        draft(asked, forge.repository, forge.clock.now, floor_of(asked))


def test_killed_at_every_write_of_a_recovery(forge: BundleForge, sticks: list[Path], tmp_path: Path) -> None:
    """kill -9 before each file that is opened for writing, renamed or removed: the state is lost as it was, or whole
    and new; the same order completes, or was obeyed already."""
    box = forge.box()
    box.install(sticks[0])
    lose(box)
    sealed = ordered(forge, ask(box))

    def recover(copy: ABox) -> Callable[[], object]:
        here = damaged(copy.root, copy.machine_id)
        return lambda: obey(here, sealed, copy.clock.reading())

    outcomes = [settled(copy, sealed) for copy in killed_at_each_write(box, recover, tmp_path)]
    assert outcomes[0] == "old"
    assert outcomes[-1] == "new"
    assert outcomes == sorted(outcomes, reverse=True)
    assert len(outcomes) >= 6


def settled(box: ABox, sealed: SealedOrder) -> str:
    """Return whether the state is the old or the new one, after the same order has been given again."""
    try:
        found = "new" if box.standing().state.answered == sealed.order.whom.nonce else "other"
        refuses_used(box, sealed)
    except StateError:
        found = "old"
        apply(box, sealed)
    assert box.standing().state.answered == sealed.order.whom.nonce
    assert box.standing().enrolment.site == SITE
    return found


def refuses_used(box: ABox, sealed: SealedOrder) -> None:
    with pytest.raises(GateError) as caught:
        apply(box, sealed)
    assert caught.value.code == "RECOVERY-USED"

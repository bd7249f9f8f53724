"""Recovers a box: asks a fresh challenge, obeys one order that answers it, and rebuilds the state from both.

The state is saved first and the challenge ends after it: a cut leaves the old state and an open challenge, or the new
state, which remembers the challenge it answered.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from bundles import release
from bundles.document import canonical, digest, read, unstamp
from bundles.enrolment import load_enrolment
from bundles.errors import BundleError, GateError, StateError
from bundles.layout import Box
from bundles.lock import locked
from bundles.nouns import ReleaseRecord, SitePlan
from bundles.receipt import last_kept
from bundles.recovery.order import Challenge, RecoveryOrder, SealedOrder, Whom
from bundles.recovery.rebuilding import Damaged, rebuilt
from bundles.store import Store, sync_folder, write_durably
from bundles.trust.clock import Reading
from bundles.trust.metadata import TrustedBundles
from bundles.trust.quorum import require_recovery
from bundles.trust.roots import quorum_of, recovery_signers
from bundles.trust.state import LogHead, State, StateCopies
from bundles.verification import MANIFEST_CAP

_SAFE = "nothing was changed; what runs goes on running"
_ASK = "make a new challenge and send it home: hybrid site recover --challenge FILE"


def damaged(root: Path, machine: str) -> Damaged:
    """Return what is left of the box under `root`.

    Raises:
        StateError: it is not enrolled, the record of its newest release is damaged, or the root of trust is gone or
            older than a release's: nobody can order anything here then, and the box is enrolled again.
    """
    box = Box(root.resolve())
    enrolment = load_enrolment(box)
    records = tuple(release.readable(box))
    if release.numbers(box)[-1:] != [record.number for record in records[-1:]]:
        raise _hopeless("the record of the newest release is damaged, which shows the floor")
    try:
        data = box.trusted_root.read_bytes()
        now = unstamp(enrolment.enrolled, what="enrolment")
        trusted = TrustedBundles(data, now=now, environment=enrolment.environment).root
    except (OSError, BundleError) as error:
        raise _hopeless(f"the root of trust is gone: {error}") from None
    least = max([enrolment.root_version, *(record.versions.get("root", 1) for record in records)])
    if trusted.version < least:
        raise _hopeless(f"root v{trusted.version} is older than v{least}, which was in force here")
    return Damaged(box, enrolment, machine, trusted, data, records, tuple(_plans(box, records)))


def challenge(here: Damaged) -> Challenge:
    """Ask anew: a fresh nonce, kept durably; a challenge asked before is answered by nothing any more."""
    why = ""
    try:
        _load(here)
    except StateError as error:
        why = error.code
    whom = Whom(
        site=here.enrolment.site, box_id=here.enrolment.box_id, environment=here.enrolment.environment,
        machine=here.machine, root_version=here.root.version, root_digest=digest(here.root_bytes),
        nonce=secrets.token_hex(32),
    )  # fmt: skip
    made = Challenge(whom=whom, floor=here.floor, why=why)
    with locked(here.box):
        write_durably(_file(here.box), canonical(made), mode=0o600)
    return made


def check(here: Damaged, sealed: SealedOrder) -> None:
    """Refuse an order that is not this box's, not for its open challenge, or not of the recovery quorum.

    Raises:
        GateError: no challenge is open, or the order answers another one; or it was obeyed already.
        TrustError: the recovery quorum of the root in force here is not met.
    """
    order = sealed.order
    require_recovery(
        recovery_signers(here.root, order.payload(), [(one.keyid, one.sig) for one in sealed.signatures]),
        quorum_of(here.root),
    )
    _require_unused(here, order)
    try:
        asked = read(Challenge, _file(here.box).read_bytes(), what="challenge").whom
    except FileNotFoundError:
        raise GateError("RECOVERY-CHALLENGE", "no challenge is open at this box", advice=_ASK, safe=_SAFE) from None
    now = {"machine": here.machine, "root_version": here.root.version, "root_digest": digest(here.root_bytes)}
    for wanted in (asked, asked.model_copy(update=now)):
        if wrong := [name for name, value in wanted if getattr(order.whom, name) != value]:
            raise GateError("RECOVERY-CHALLENGE", f"the order is for another {' and '.join(wrong)}", advice=_ASK,
                            safe=_SAFE)  # fmt: skip


def obey(here: Damaged, sealed: SealedOrder, reading: Reading, log: LogHead | None = None) -> State:
    """Check `sealed`, rebuild the state by it and by what is installed, and end the challenge.

    Args:
        log: the head of the evidence log as it lies here now; None when there is none.

    Raises:
        GateError, TrustError: see `check`; or the log is shorter than the order says.
    """
    with locked(here.box):
        check(here, sealed)
        copies = StateCopies(here.box)
        known = copies.known(here.enrolment.box_id)
        state = copies.save(rebuilt(here, sealed.order, reading, log, known, last_kept(here.box, None)))
        _file(here.box).unlink(missing_ok=True)
        sync_folder(here.box.trust)
    return state


def _require_unused(here: Damaged, order: RecoveryOrder) -> None:
    try:
        answered = _load(here).answered
    except StateError:
        return
    if answered == order.whom.nonce:
        _file(here.box).unlink(missing_ok=True)
        raise GateError("RECOVERY-USED", "this order was obeyed already, and an order is obeyed once",
                        advice="hybrid site status", safe=_SAFE)  # fmt: skip


def _load(here: Damaged) -> State:
    return StateCopies(here.box).load(
        box_id=here.enrolment.box_id, machine=here.machine, installed=max(release.numbers(here.box), default=0)
    )


def _file(box: Box) -> Path:
    return box.trust / "challenge.json"


def _plans(box: Box, records: tuple[ReleaseRecord, ...]) -> list[SitePlan]:
    """Return the site plans of the installed releases, as far as the store still has them whole."""
    store, found = Store(box), []
    for record in records:
        try:
            data = store.rehash(record.site_plan.digest).read_bytes()
        except StateError:
            continue
        found.append(read(SitePlan, data, what="site plan", cap=MANIFEST_CAP))
    return found


def _hopeless(why: str) -> StateError:
    return StateError("RECOVERY-ROOT", why, advice="telephone; this box is enrolled again from seed media",
                      safe="what runs goes on running; nothing new is installed")  # fmt: skip

"""A custodian on a machine of one's own, given the wrong request; headquarters, given the wrong signatures."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.document import canonical
from bundles.errors import InputError, TrustError
from bundles.trust.changes import changes
from bundles.trust.custody import load_custodian
from bundles.trust.ledger import doubts, load_ledger, note, require_own
from bundles.trust.quorum import Quorum
from bundles.trust.renewal import ends, renew
from bundles.trust.signing import Signatures, SigningRequest, accept, answer, request_from, request_of, summary
from bundles.trust.staff import Staff
from tests.bundles.test_custodians import newcomer
from tests.support.bundles import RECOVERY, BundleForge, tuf_files


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def at_home(forge: BundleForge, name: str, request: SigningRequest) -> Signatures:
    """Do what `hybrid trust sign REQUEST` does on the custodian's machine."""
    folder = forge.folder / "keys" / name
    travelled = request_from(canonical(request), "request")
    require_own(travelled, load_custodian(folder), load_ledger(folder))
    assert not doubts(travelled, load_ledger(folder), forge.clock.now)
    made = answer(travelled, forge.signers([name]), name)
    note(folder, travelled, {item.role for item in made.signatures})
    return made


def waiting(forge: BundleForge, **knobs: Any) -> SigningRequest:
    forge.try_build(forge.cargo(**knobs), signers=[])
    return request_of(forge.repository)


def test_a_request_of_another_repository(forge: BundleForge, tmp_path: Path) -> None:
    """Ada's keys signed for one headquarters; the other's request, honest or not, is not for them."""
    at_home(forge, "ada", waiting(forge))
    other = waiting(BundleForge(tmp_path / "other"))
    lent = other.model_copy(update={"roles": tuple(
        item.model_copy(update={"keyids": tuple(s.public_key.keyid for s in forge.signers(["ada"]))})
        for item in other.roles)})  # fmt: skip
    with pytest.raises(InputError, match="REPOSITORY"):
        at_home(forge, "ada", lent)


def test_a_request_of_a_demo(forge: BundleForge, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ENVIRONMENT"):
        at_home(forge, "ada", waiting(BundleForge(tmp_path / "demo", demo=True)))


def test_a_custodian_who_is_not_asked(forge: BundleForge) -> None:
    """Someone headquarters does not know yet, and one whose duty is not asked for by a root alone."""
    newcomer(forge, "finn")
    request = waiting(forge)
    with pytest.raises(InputError, match="NOT-ASKED"):
        at_home(forge, "finn", request)
    forge.repository.discard()
    forge.repository.draft_root(forge.clock.now)
    with pytest.raises(InputError, match="NOT-ASKED"):
        at_home(forge, "dora", request_of(forge.repository))


@pytest.mark.parametrize(("name", "duty"), [("dora", "compliance"), ("rita", "recovery")])
def test_a_request_beyond_ones_duty(forge: BundleForge, name: str, duty: str) -> None:
    """A request lists the keys of compliance, or of a recovery custodian, for a root: they sign what is theirs only."""
    if name not in forge.people:
        newcomer(forge, name, duty)
    request = waiting(forge)
    forge.repository.draft_root(forge.clock.now)
    root = next(item for item in request_of(forge.repository).roles if item.role == "root")
    mine = tuple(signer.public_key.keyid for signer in forge.signers([name]))
    lent = request.model_copy(update={"roles": (root.model_copy(update={"keyids": mine}),)})
    with pytest.raises(InputError, match="DUTY"):
        at_home(forge, name, lent)


def test_a_role_that_is_something_else_than_it_says(forge: BundleForge) -> None:
    """A new root travels under the name of a timestamp, whose changes nobody reads closely."""
    request = waiting(forge)
    forge.repository.draft_root(forge.clock.now)
    root = next(item for item in request_of(forge.repository).roles if item.role == "root")
    disguised = tuple(
        item if item.role != "timestamp" else item.model_copy(update={"signed": root.signed}) for item in request.roles
    )
    with pytest.raises(InputError, match="REQUEST"):
        at_home(forge, "ada", request.model_copy(update={"roles": disguised}))


def test_one_version_with_two_contents(forge: BundleForge) -> None:
    """The same version re-issued: the machine that signed it once says so before it signs it otherwise."""
    folder = forge.folder / "keys" / "ada"
    at_home(forge, "ada", waiting(forge))
    other = waiting(forge, table={"stages": []})
    assert any(
        "targets v1 was signed here with other content" in line
        for line in doubts(other, load_ledger(folder), forge.clock.now)
    )
    with pytest.raises(AssertionError):
        at_home(forge, "ada", other)


def test_an_older_version_than_was_signed(forge: BundleForge) -> None:
    """Headquarters was set back, or somebody asks for signatures under a version of the past."""
    first = waiting(forge)
    forge.build()
    forge.clock.pass_(days=1)
    at_home(forge, "ada", waiting(forge, table={"stages": []}))
    assert any(
        "older than v2" in line for line in doubts(first, load_ledger(forge.folder / "keys" / "ada"), forge.clock.now)
    )


def test_another_past_than_was_signed(forge: BundleForge) -> None:
    """A request hides a new target by saying that it was published before: ada signed that version, without it."""
    at_home(forge, "ada", waiting(forge))
    forge.build()
    forge.clock.pass_(days=1)
    honest = waiting(forge, table={"stages": []})
    folder = forge.folder / "keys" / "ada"
    assert not doubts(honest, load_ledger(folder), forge.clock.now)
    lying = tuple(
        item.model_copy(update={"published": {**item.signed, "version": 1}}) if item.role == "targets" else item
        for item in honest.roles
    )
    found = doubts(honest.model_copy(update={"roles": lying}), load_ledger(folder), forge.clock.now)
    assert found == ["targets v1 is said to be published, with other content than was signed here"]


def test_signatures_for_another_repository(forge: BundleForge, tmp_path: Path) -> None:
    made = at_home(forge, "ada", waiting(forge))
    other = BundleForge(tmp_path / "other")
    other.try_build(signers=[])
    with pytest.raises(InputError, match="REPOSITORY"):
        accept(other.repository, made)


def test_one_bad_signature_among_good_ones_adds_none(forge: BundleForge) -> None:
    made = at_home(forge, "ada", waiting(forge))
    before = {role: forge.repository.lacking(role) for role in forge.repository.drafts()}
    last = made.signatures[-1]
    bent = (*made.signatures[:-1], last.model_copy(update={"sig": made.signatures[0].sig}))
    with pytest.raises(TrustError, match="SIGNATURE"):
        accept(forge.repository, made.model_copy(update={"signatures": bent}))
    assert {role: forge.repository.lacking(role) for role in forge.repository.drafts()} == before


def test_signatures_that_come_too_late(forge: BundleForge) -> None:
    """The others were enough and all is published: what comes now is not needed, and says so."""
    request = waiting(forge)
    made = at_home(forge, "cleo", request)
    forge.build()
    with pytest.raises(InputError, match="NOTHING"):
        accept(forge.repository, made)


def test_who_may_still_sign(forge: BundleForge) -> None:
    request = waiting(forge)
    assert set(forge.repository.awaiting()) == {"ada", "ben", "cleo", "dora"}
    assert forge.repository.awaiting()["dora"] == ["site-plans-clinic-jura"]
    accept(forge.repository, at_home(forge, "ada", request))
    assert "ada" not in forge.repository.awaiting()
    accept(forge.repository, at_home(forge, "ben", request))
    assert forge.repository.awaiting() == {name: ["site-plans-clinic-jura"] for name in ("cleo", "dora")}


def test_the_custodian_reads_what_a_request_changes(forge: BundleForge) -> None:
    forge.build()
    forge.clock.pass_(days=1)
    plan = next(row for row in summary(waiting(forge, table={"stages": []})) if row[0] == "site-plans-clinic-jura")
    assert plan[3].startswith("site-plans/clinic-jura/plan.json changes to ")
    forge.repository.discard()
    people = [p for p in forge.repository.custodians() if p.custodian != "cleo"]
    people += [newcomer(forge, name, duty) for name, duty in {"finn": "release", **RECOVERY}.items()]
    forge.repository.replace_custodians(people, forge.clock.now, quorum=Quorum(recovery=2, custodians=3))
    said = {role: text.splitlines() for role, _, _, text in summary(request_of(forge.repository))}
    assert said["root"][:4] == [
        "custodian cleo (release) is removed",
        "custodian finn (release) is new",
        "custodian rita (recovery) is new",
        "custodian rolf (recovery) is new",
    ]
    assert "quorum: custodians 2 becomes 3" in said["root"]
    assert "custodian finn (release) is new" in said["targets"]
    assert "role models: threshold 4 becomes 6" in said["targets"]


def test_every_field_of_a_root_that_changes_is_told(forge: BundleForge) -> None:
    """Whatever a root says beside version and dates, a change of it is a line: none can be slipped in."""
    root = request_of_root(forge)
    for name, value in root.items():
        if name in ("_type", "version", "expires", "issued", "spec_version", "consistent_snapshot"):
            continue
        other = {"keys": {}, "roles": {}, "quorum": {**root["quorum"], "recovery": 9}}.get(name, "something else")
        assert changes(root, {**root, name: other}), (name, value)


def request_of_root(forge: BundleForge) -> dict[str, Any]:
    forge.repository.draft_root(forge.clock.now)
    return request_of(forge.repository).roles[0].signed


def test_an_abandoned_rotation_changes_nobody(forge: BundleForge) -> None:
    """Who was drafted in and never signed in is not a custodian, and the next build needs nobody new."""
    forge.build()
    forge.clock.pass_(days=1)
    forge.repository.replace_custodians([*forge.custodians, newcomer(forge, "finn")], forge.clock.now)
    assert "finn" in {p.custodian for p in forge.repository.custodians()}
    with pytest.raises(InputError, match="WAITING"):
        renew(forge.repository, forge.clock.now, timedelta(days=9999))
    forge.repository.discard()
    assert "finn" not in {p.custodian for p in forge.repository.custodians()}
    files = tuf_files(forge.build(forge.cargo(table={}), signers=forge.signers(["ada", "ben", "dora"])))
    assert "2.root.json" not in files
    forge.repository.replace_custodians([*forge.custodians, newcomer(forge, "gale")], forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    assert "gale" in {p.custodian for p in forge.repository.custodians()}


def test_a_rotation_that_was_cut_changes_nobody(forge: BundleForge) -> None:
    """The power fails after the newcomers were laid aside and before their root was drafted: they are nobody yet."""
    forge.build()
    finn = newcomer(forge, "finn")
    Staff(forge.repository.folder).stage(forge.repository.record, [*forge.custodians, finn])
    assert "finn" not in {p.custodian for p in forge.repository.custodians()}
    forge.build(forge.cargo(table={}), signers=forge.signers(["ada", "ben", "dora"]))
    assert "finn" not in {p.custodian for p in forge.repository.custodians()}
    Staff(forge.repository.folder).stage(forge.repository.record, [*forge.custodians, finn])
    forge.repository.draft_root(forge.clock.now)
    assert "finn" not in {p.custodian for p in forge.repository.custodians()}


def test_what_runs_out_is_drafted_again(forge: BundleForge) -> None:
    """A year without a bundle: headquarters renews, the next stick carries it, the box takes it."""
    box = forge.box()
    box.install(forge.build())
    with pytest.raises(InputError, match="NOTHING"):
        renew(forge.repository, forge.clock.now, timedelta(days=90))
    forge.clock.pass_(days=44)
    while forge.clock.now < min(ends(forge.repository).values()) - timedelta(days=60):
        forge.clock.pass_(days=40)
        box.keep_time()
    drafted = renew(forge.repository, forge.clock.now, timedelta(days=90))
    assert set(drafted) == {"timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"}
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()
    assert min(ends(forge.repository).values()) - forge.clock.now > timedelta(days=390)
    box.install(forge.build())
    assert renew(forge.repository, forge.clock.now, timedelta(days=6 * 365))[0] == "root"

"""Signatures run out: what the installed root says of it holds, and no medium loosens it for itself."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bundles.document import read
from bundles.errors import GateError, TrustError
from bundles.install import keep_time
from bundles.layout import Box
from bundles.nouns import ReleaseRecord
from bundles.trust.expiry import ExpiryPolicy
from bundles.trust.repository import VALID_DAYS_OTHERS
from hybrid.carry.door import residency_at
from tests.support.bundles import ABox, BundleForge, refused, resign, with_tuf

GRACE = ExpiryPolicy(policy="grace", grace_days=30)
WARN = ExpiryPolicy(policy="warn")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def ordered(forge: BundleForge, policy: ExpiryPolicy) -> None:
    """Let root's quorum order another policy."""
    forge.repository.order_expiry(policy, forge.clock.now)
    forge.repository.sign(forge.signers())
    assert forge.repository.publish()


def late(box: ABox, days: int) -> ABox:
    """Let the box run until `days` after the metadata of a bundle built now has run out."""
    for _ in range(VALID_DAYS_OTHERS + days):
        box.clock.pass_(days=1)
    keep_time(box.standing())
    return box


def record(box: ABox, number: int) -> ReleaseRecord:
    return read(ReleaseRecord, Box(box.root).release(number).read_bytes(), what="release")


def test_without_a_word_from_root_expired_is_refused(forge: BundleForge) -> None:
    box, stick = forge.box(), forge.build()
    refused(late(box, 1), stick, "EXPIRED", TrustError)


def test_grace_lets_it_install_for_its_days_and_the_record_says_so(forge: BundleForge) -> None:
    ordered(forge, GRACE)
    box, stick = forge.box(), forge.build()
    late(box, 10).install(stick)
    made = record(box, 1)
    assert made.excused_by == "grace"
    assert set(made.expired) == {
        "timestamp", "snapshot", "targets", "models", "runtime", "site-plans-clinic-jura"
    }  # fmt: skip
    box.clock.pass_(days=25)
    refused(box, stick, "EXPIRED", TrustError)


def test_within_time_nothing_is_excused(forge: BundleForge) -> None:
    ordered(forge, WARN)
    box = forge.box()
    box.install(forge.build())
    assert (record(box, 1).excused_by, record(box, 1).expired) == (None, {})


def test_a_medium_does_not_loosen_the_policy_for_itself(forge: BundleForge) -> None:
    """Freeze with an order in the bag: an expired bundle, and beside it a true root that would excuse it. The box
    judges by the policy it has, and the new root goes in only with a bundle that needs no excuse."""
    box = forge.box()
    ordered(forge, WARN)
    stick = forge.build()
    refused(late(box, 1), stick, "EXPIRED", TrustError)
    box.install(forge.build(forge.cargo(table={})))
    assert box.standing().expiry().policy == WARN
    late(box, 200).install(forge.build(forge.cargo(table={"a": 1})))


def test_a_medium_that_tightens_the_policy_is_judged_by_it(forge: BundleForge) -> None:
    """The box still excuses; the root on the medium denies: the stricter of the two holds."""
    ordered(forge, WARN)
    box = forge.box()
    ordered(forge, ExpiryPolicy())
    stick = forge.build()
    refused(late(box, 1), stick, "EXPIRED", TrustError)


@pytest.mark.parametrize("people", [["ada", "ben"], ["ada", "dora"], ["ada"]])
def test_a_looser_policy_without_roots_quorum(forge: BundleForge, people: list[str]) -> None:
    """One release custodian, with compliance or alone, orders warn; with two it is an order of root's quorum."""
    box, stick = forge.box(), forge.build()

    def loosen(files: dict[str, bytes]) -> None:
        def warn(signed: Any) -> None:
            signed.version = 2
            signed.unrecognized_fields["expiryPolicy"] = {"policy": "warn", "graceDays": 0}

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", warn, forge.signers(people))

    bent = with_tuf(stick, loosen)
    if people == ["ada", "ben"]:
        box.install(bent)
        assert box.standing().expiry().policy == WARN
    else:
        refused(box, bent, "METADATA", TrustError)
        assert box.standing().expiry().policy == ExpiryPolicy()


@pytest.mark.parametrize("said", [{"policy": "shrug"}, {"policy": "grace"}, {"policy": "deny", "graceDays": 9}, "warn"])
def test_a_policy_that_says_nothing_known(forge: BundleForge, said: object) -> None:
    """It is no way to deny less: the root is refused."""
    stick = forge.build()

    def nonsense(files: dict[str, bytes]) -> None:
        def say(signed: Any) -> None:
            signed.version = 2
            signed.unrecognized_fields["expiryPolicy"] = said

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", say, forge.signers())

    refused(forge.box(), with_tuf(stick, nonsense), "EXPIRY-RULE", TrustError)


def test_what_the_law_ends_is_excused_by_nobody(forge: BundleForge) -> None:
    """Root says warn; the plan ended yesterday: denied."""
    ordered(forge, WARN)
    box = forge.box()
    ended = {"version": 1, "site": "clinic-jura", "since": "2026-01-01", "atoms": [], "decisions": [], "workloads": {}}
    until = (forge.clock.now - timedelta(days=1)).date().isoformat()
    stick = forge.build(forge.cargo(table={**ended, "until": until}))
    with pytest.raises(GateError, match="ended on"):
        box.install(stick, residency=residency_at(box.standing().time.now))


def test_an_installed_release_serves_as_the_installed_policy_says(forge: BundleForge) -> None:
    """Deny: what ran out does not start. Grace: it starts for the days ordered, with a warning, and then no more."""
    denied = forge.box()
    denied.install(forge.build())
    assert denied.standing().expiry().warning == ""
    assert denied.standing().expiry().days_left == VALID_DAYS_OTHERS
    late(denied, -30)
    assert "run out in 30 days" in denied.standing().expiry().warning
    denied.standing().expiry().require()
    denied.clock.pass_(days=30)
    with pytest.raises(GateError, match="ran out"):
        denied.standing().expiry().require()

    ordered(forge, GRACE)
    denied.install(forge.build(forge.cargo(table={})))
    late(denied, 29)
    expiry = denied.standing().expiry()
    assert (expiry.verdict, expiry.days_left) == ("excused", -29)
    assert "ran out 29 days ago (policy: grace, 30 days)" in expiry.warning
    expiry.require()
    denied.clock.pass_(days=2)
    assert denied.standing().expiry().verdict == "expired"


def test_the_policy_stands_in_signed_root(forge: BundleForge) -> None:
    ordered(forge, GRACE)
    root = json.loads(forge.repository.roots()[-1].read_bytes())
    assert root["signed"]["expiryPolicy"] == {"policy": "grace", "graceDays": 30}

"""Recovery custodians sign recovery orders and nothing else; whoever has none is enrolled and served all the same."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from bundles.errors import InputError, TrustError
from bundles.trust.custody import load_custodian, load_signers, make_keys
from bundles.trust.ledger import require_own
from bundles.trust.quorum import missing_recovery, require_recovery
from bundles.trust.repository import Repository
from bundles.trust.roots import quorum_of, recovery_keys, recovery_signers
from bundles.trust.signing import answer, request_of
from bundles.trust.stock import CryptoSigner, Root
from tests.support.bundles import (
    PASSPHRASE,
    PEOPLE,
    RECOVERY,
    START,
    BundleForge,
    Published,
    refused,
    resign,
    with_tuf,
)

ORDER = b"an order, in its canonical bytes"


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path, people={**PEOPLE, **RECOVERY, "rosa": "recovery"})


def root_of(forge: BundleForge) -> Root:
    found = forge.repository.published("root")
    assert found is not None
    assert isinstance(found.signed, Root)
    return found.signed


def signed_by(signers: list[CryptoSigner], payload: bytes = ORDER) -> list[tuple[str, str]]:
    return [(made.keyid, made.signature) for made in (signer.sign(payload) for signer in signers)]


def test_two_recovery_custodians_of_each_family_suffice(forge: BundleForge) -> None:
    root = root_of(forge)
    assert len(recovery_keys(root)) == 6
    require_recovery(recovery_signers(root, ORDER, signed_by(forge.signers(["rita", "rosa"]))), quorum_of(root))
    forge.box().install(forge.build())


def test_one_family_or_one_person_is_no_recovery_quorum(forge: BundleForge) -> None:
    """Every way to take three of the four signatures of two people lacks one family or one person."""
    root = root_of(forge)
    for some in combinations(forge.signers(["rita", "rolf"]), 3):
        found = recovery_signers(root, ORDER, signed_by(list(some)))
        with pytest.raises(TrustError, match="RECOVERY-QUORUM"):
            require_recovery(found, quorum_of(root))


def test_release_custodians_order_no_recovery(forge: BundleForge) -> None:
    """Whoever signs the bundles may not also wind a box back: the two quorums share nobody."""
    root = root_of(forge)
    found = recovery_signers(root, ORDER, signed_by(forge.signers(PEOPLE)))
    assert found == []
    assert len(missing_recovery(found, quorum_of(root))) == 2


def test_a_signature_on_another_order_counts_nothing(forge: BundleForge) -> None:
    other = signed_by(forge.signers(RECOVERY), b"another order")
    torn = [(keyid, value[:-2] + "zz") for keyid, value in signed_by(forge.signers(RECOVERY))]
    assert recovery_signers(root_of(forge), ORDER, [*other, *torn]) == []


def test_a_root_without_recovery_custodians_still_serves(published: Published, tmp_path: Path) -> None:
    """Repositories made before there were any: nothing is refused, and no order can be obeyed."""
    found = published.forge.repository.published("root")
    assert found is not None
    assert recovery_keys(found.signed) == {}
    older = found.signed.unrecognized_fields["quorum"]
    older.pop("recovery")
    assert quorum_of(found.signed).recovery == 2
    published.box(tmp_path / "box").install(published.bundle)


def test_a_recovery_custodian_signs_no_role(forge: BundleForge) -> None:
    """Asked to, at home or at headquarters, there is nothing for these keys to sign."""
    forge.try_build(signers=[])
    request, rita = request_of(forge.repository), load_custodian(forge.folder / "keys" / "rita")
    with pytest.raises(InputError, match="NOT-ASKED"):
        require_own(request, rita, None)
    assert answer(request, forge.signers(["rita"]), "rita").signatures == ()
    assert forge.repository.sign(forge.signers(["rita"])) == {}


def test_a_root_that_lets_a_recovery_custodian_sign_a_role(forge: BundleForge) -> None:
    """The release quorum signs a root in which recovery custodians may sign timestamps: the box keeps its root."""
    bundle = forge.build()
    extra = list(recovery_keys(root_of(forge)))

    def admit(files: dict[str, bytes]) -> None:
        def change(signed: Any) -> None:
            signed.version = 2
            signed.roles["timestamp"].keyids += extra

        files["2.root.json"] = files["1.root.json"]
        resign(files, "2.root", change, forge.signers(PEOPLE))

    refused(forge.box(), with_tuf(bundle, admit), "DUTY", TrustError)


def test_one_person_with_both_duties(tmp_path: Path) -> None:
    """Ada makes recovery keys under her own name: a release custodian is no recovery custodian."""
    made = [
        make_keys(tmp_path / "keys" / name, name, duty, PASSPHRASE) for name, duty in {**PEOPLE, **RECOVERY}.items()
    ]
    twin = make_keys(tmp_path / "twin", "ada", "recovery", PASSPHRASE)
    with pytest.raises(TrustError, match="KEY-DUTY"):
        Repository.create(tmp_path / "trust", [*made, twin], issued=START)
    assert load_signers(tmp_path / "twin", PASSPHRASE)


def test_a_single_recovery_custodian_makes_no_repository(tmp_path: Path) -> None:
    """One could never meet the quorum of two: better none than a false hope."""
    people = {**PEOPLE, "rita": "recovery"}
    made = [make_keys(tmp_path / "keys" / name, name, duty, PASSPHRASE) for name, duty in people.items()]
    with pytest.raises(InputError, match="recovery"):
        Repository.create(tmp_path / "trust", made, issued=START)


def test_an_unknown_duty_makes_no_keys(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="DUTY"):
        make_keys(tmp_path / "keys", "ada", "boss", PASSPHRASE)
    assert not (tmp_path / "keys").exists()

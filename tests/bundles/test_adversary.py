"""What an outsider found with the commands and files of their own: sticks, cards and disks that were not expected."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bundles import release
from bundles.admission import admit
from bundles.carried import carried
from bundles.document import canonical, parse, stamp
from bundles.enrolment import check_request
from bundles.errors import BundleError, GateError, InputError, MediumError, StateError, TrustError
from bundles.layout import Box
from bundles.lock import locked
from bundles.medium import Medium
from bundles.receipt import carry, folder_of, issue, last_kept, read_receipt
from bundles.recovery.obeying import challenge, damaged
from bundles.store import write_durably
from bundles.trust.custody import load_custodian, make_keys
from bundles.trust.ledger import doubts
from bundles.trust.metadata import TrustedBundles
from bundles.trust.signing import Signatures, request_from, request_of, summary
from bundles.trust.state import LastReceipt
from bundles.verification import Trust, _issued, verify
from hybrid.carry.card import STEPS
from hybrid.cli.console import printable
from hybrid.cli.orders import kind_of
from hybrid.cli.site import _card
from tests.support.bundles import MACHINE_ID, PASSPHRASE, ABox, BundleForge, refused

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def another(forge: BundleForge) -> Path:
    """Return a bundle with other content than the one before, an hour later."""
    forge.clock.pass_(hours=1)
    cargo = forge.cargo()
    cargo.files["models/minilm/w8/model.onnx"].write_text(forge.clock.now.isoformat())
    return forge.build(cargo)


def a_box_with_two(forge: BundleForge) -> tuple[ABox, Path, Path]:
    """Return a box with two releases and a receipt, and their bundles."""
    box, first, second = forge.box(), another(forge), another(forge)
    box.install(first)
    box.install(second)
    issue(box.standing(), "serves", evidence="holds")
    return box, first, second


def zero(path: Path) -> None:
    os.truncate(path, 0)


def test_a_stick_whose_receipts_folder_leads_elsewhere(forge: BundleForge, tmp_path: Path) -> None:
    """A stick formatted with links has `receipts` lead into the machine: root writes nothing there."""
    box, victim = a_box_with_two(forge)[0], tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "receipts").symlink_to(victim)
    with pytest.raises(MediumError, match="MEDIUM-SYMLINK"):
        carry(Box(box.root), tmp_path / "receipts")
    assert not list(victim.iterdir())


def test_an_endless_file_under_a_receipts_name(forge: BundleForge, tmp_path: Path) -> None:
    """A receipt's name on the stick holds a tebibyte of nothing: it is replaced, not read."""
    box, stick = a_box_with_two(forge)[0], tmp_path / "receipts"
    stick.mkdir()
    there = stick / f"{box.standing().enrolment.box_id}-00000001.json"
    there.touch()
    os.truncate(there, 2**40)
    assert carry(Box(box.root), stick) == [there]
    assert there.read_bytes() == next(folder_of(Box(box.root)).glob("*.json")).read_bytes()


@pytest.mark.parametrize("text", ["9007199254740992", "-9007199254740992", "1" + "0" * 300])
def test_an_integer_without_a_canonical_form(text: str) -> None:
    """A number that no two parsers need to agree on ended the commands with a fault; the strict reader refuses it."""
    with pytest.raises(MediumError, match="canonical form"):
        parse(f'{{"floor": {text}}}'.encode(), what="challenge")
    assert parse(b'{"floor": 9007199254740991}', what="challenge")["floor"] == 2**53 - 1


def test_a_card_that_is_no_text(tmp_path: Path) -> None:
    """A file with the card's digest among bytes of any kind still gives it, and one without gives none."""
    file = tmp_path / "card"
    file.write_bytes(b"\xff\xd0\n" + b"ab" * 32 + b"\n")
    assert _card(str(file)).strip() == "ab" * 32
    file.write_bytes(b"\xff\xd0")
    assert _card(str(file)) == str(file)


@pytest.mark.parametrize("number", [1, 2])
def test_a_release_whose_record_the_disk_lost(forge: BundleForge, number: int) -> None:
    """One zeroed record stopped every install, clean and recovery for ever; a newer bundle mends the box."""
    box, first, _ = a_box_with_two(forge)
    zero(Box(box.root).release(number))
    with pytest.raises(StateError, match="RELEASE"):
        release.load(Box(box.root), number)
    refused(box, first, "ROLLBACK")
    box.install(another(forge))
    assert release.open_release(box.root).number == 3
    assert not box.install(another(forge)).cleaned.problem
    assert release.numbers(Box(box.root)) == [3, 4]


def test_the_record_of_what_serves_is_mended_by_its_own_bundle(forge: BundleForge) -> None:
    """The bundle that serves is installed again over its damaged record, and goes back to nothing it does not know."""
    box, _, second = a_box_with_two(forge)
    zero(Box(box.root).release(2))
    assert box.install(second).record.previous is None
    assert release.open_release(box.root).number == 2


def test_recovery_where_an_old_record_and_the_metadata_are_damaged(forge: BundleForge) -> None:
    """What damaged the state damaged more: the box still asks, and the newest release's record is its floor."""
    box, _, _ = a_box_with_two(forge)
    here = Box(box.root)
    for path in [here.release(1), *(here.trust / "metadata").glob("*.json"), *here.trust.glob("state-*.json")]:
        zero(path)
    assert challenge(damaged(box.root, MACHINE_ID)).floor.release == 2
    zero(here.release(2))
    with pytest.raises(StateError, match="RECOVERY-ROOT"):
        damaged(box.root, MACHINE_ID)


def test_metadata_that_the_disk_lost(forge: BundleForge) -> None:
    """Looking at a box whose kept metadata is zeroed names the file; the same bundle brings it back."""
    box, _, second = a_box_with_two(forge)
    for path in (Box(box.root).trust / "metadata").glob("*.json"):
        zero(path)
    with pytest.raises(StateError, match="STORE") as caught:
        box.standing().expiry()
    assert "again" in caught.value.todo
    box.install(second)
    assert box.standing().expiry().verdict == "valid"


def a_request(forge: BundleForge) -> dict[str, Any]:
    """Return the request, as plain data, for a root that brings one more custodian."""
    people = [*forge.custodians, make_keys(forge.folder / "con", "con", "release", PASSPHRASE)]
    forge.repository.replace_custodians(people, forge.clock.now)
    asked: dict[str, Any] = json.loads(canonical(request_of(forge.repository)))
    return asked


def test_a_request_that_takes_a_role_from_somebody_says_so(forge: BundleForge) -> None:
    """Headquarters' files, edited by hand, let a custodian sign a role no more, with one family: it is said."""
    asked = a_request(forge)
    root = asked["roles"][0]["signed"]
    gone = next(one for one in root["roles"]["timestamp"]["keyids"]
                if root["keys"][one]["custodian"] == "ada" and root["keys"][one]["family"] == "ml-dsa")  # fmt: skip
    root["roles"]["timestamp"]["keyids"].remove(gone)
    root["consistent_snapshot"] = not root["consistent_snapshot"]
    said = summary(request_from(canonical(asked), "request"))[0][3].splitlines()
    assert "custodian con (release) is new" in said
    assert "role timestamp: ada (ml-dsa) signs it no more" in said
    assert any(line.startswith("consistent_snapshot") for line in said)


BENT: dict[str, Callable[[dict[str, Any]], object]] = {
    "no key": lambda root: root["keys"].update({next(iter(root["keys"])): "\x1b[31m"}),
    "another key under its id": lambda root: root["keys"].update(
        zip(list(root["keys"])[:2], list(root["keys"].values())[1::-1], strict=True)
    ),
    "a version that is none": lambda root: root.update(version={}),
    "a quorum that is none": lambda root: root.update(quorum=0),
    "no time of issue": lambda root: root.update(issued="0000-00-00T00:00:00Z"),
    "a key that is not there": lambda root: root["roles"]["root"]["keyids"].append("0" * 64),
}


@pytest.mark.parametrize("name", BENT)
def test_a_request_that_no_box_would_accept(forge: BundleForge, name: str) -> None:
    """What ended in a fault, or was signed and then refused by every box, is refused before it is signed."""
    asked = a_request(forge)
    BENT[name](asked["roles"][0]["signed"])
    with pytest.raises(InputError, match="REQUEST"):
        request_from(canonical(asked), "request")


def test_a_request_with_a_role_twice(forge: BundleForge) -> None:
    asked = a_request(forge)
    asked["roles"].append(asked["roles"][0])
    with pytest.raises(InputError, match="twice"):
        request_from(canonical(asked), "request")


def test_a_request_from_a_time_to_come(forge: BundleForge) -> None:
    """A box never goes back behind a signed time, so a year ahead ends what serves: the custodian's clock objects."""
    asked = a_request(forge)
    asked["roles"][0]["signed"]["issued"] = stamp(forge.clock.now + timedelta(days=300))
    request = request_from(canonical(asked), "request")
    assert any("still to come" in line for line in doubts(request, None, forge.clock.now))
    assert not doubts(request, None, forge.clock.now + timedelta(days=300))


def test_a_site_plan_from_a_time_to_come(forge: BundleForge) -> None:
    """Custodians sign a site plan by its digest: a time in it that they never saw does not move a box's floor."""
    forge.box()
    root = forge.repository.roots()[0].read_bytes()
    with Medium(forge.build()) as medium:
        found = verify(medium, Trust(root, "production", forge.clock.now))
    trusted = TrustedBundles(root, now=forge.clock.now, environment="production")
    assert _issued(trusted, found.plan) == forge.clock.now
    later = found.plan.model_copy(update={"issued": stamp(forge.clock.now + timedelta(seconds=1))})
    with pytest.raises(TrustError, match="ISSUED"):
        _issued(trusted, later)


def test_a_name_that_a_terminal_would_obey() -> None:
    """A file on a stick was named so that the terminal wiped the error and showed another line."""
    assert printable("\x1b[2K\u202ea\r\u00e9 verified\n") == "\\x1b[2K\\u202ea\\r\u00e9 verified\n"


def test_what_comes_home_on_a_stick_is_a_file(forge: BundleForge, tmp_path: Path) -> None:
    """A pipe under the name of a request, of signatures or of a public key kept headquarters waiting for ever."""
    pipe, endless = tmp_path / "pipe", tmp_path / "endless"
    os.mkfifo(pipe)
    endless.touch()
    os.truncate(endless, 2**40)
    for file in (pipe, endless):
        for read_it in (
            load_custodian,
            partial(admit, forge.repository, fingerprints=[]),
            partial(carried, Signatures),
        ):
            with pytest.raises(MediumError, match="DOCUMENT"):
                read_it(file)
        assert not kind_of(file)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(MediumError, match="no regular file"):
        carried(Signatures, folder)


def test_a_public_record_with_no_key_of_ours(forge: BundleForge, tmp_path: Path) -> None:
    """A custodian's record with a scheme that nobody knows, or an empty key, ended in a fault at headquarters."""
    honest = json.loads((forge.folder / "keys" / "ada" / "public.json").read_bytes())
    for name, value in {"scheme": "\u202e", "keytype": "rsa", "keyval": {"public": ""}}.items():
        bent = {**honest, "keys": [{**honest["keys"][0], name: value}, honest["keys"][1]]}
        (tmp_path / "public.json").write_bytes(canonical(bent))
        with pytest.raises(BundleError):
            load_custodian(tmp_path)


def test_an_enrolment_request_whose_key_is_none(forge: BundleForge) -> None:
    box = forge.box()
    assert box.enrolled is not None
    honest = box.enrolled.request
    keys = tuple(key.model_copy(update={"public_key": "-----BEGIN"}) for key in honest.keys)
    with pytest.raises(TrustError, match="REQUEST"):
        check_request(honest.model_copy(update={"keys": keys}))


def test_two_enrolments_at_once(forge: BundleForge) -> None:
    """The second came while the first made its keys: one box of two people, which never signed a valid receipt."""
    seed, card = forge.seed()
    box = ABox(forge.folder / "box-of-two", forge.clock)
    with locked(Box(box.root)), pytest.raises(GateError, match="BUSY"):
        box.enrol(seed, card)
    assert not Box(box.root).identity.exists()
    assert box.enrol(seed, card).enrolled is not None


@pytest.mark.parametrize("name", ["releases/xyz", "releases/\u00b2", None])
def test_a_current_that_leads_nowhere(forge: BundleForge, name: str | None) -> None:
    """`current` was no link, or no number: every command ended in a fault, the install that mends it too."""
    box, _, second = a_box_with_two(forge)
    current = Box(box.root).current
    current.unlink()
    if name is None:
        current.touch()
    else:
        current.symlink_to(name)
    assert release.current_number(Box(box.root)) is None
    box.install(second)
    assert release.open_release(box.root).number == 2


def test_receipts_that_the_disk_lost(forge: BundleForge, tmp_path: Path) -> None:
    """A zeroed receipt stopped every receipt and every recovery; its counter is not used again, and it is missed."""
    box, _, _ = a_box_with_two(forge)
    first = folder_of(Box(box.root)) / "00000001.json"
    whole = read_receipt(first.read_bytes(), what="first")
    issue(box.standing())
    zero(issued := first.with_name("00000002.json"))
    (first.parent / "zzz.json").touch()
    assert last_kept(Box(box.root), None) == LastReceipt(counter=2, digest=whole.digest)
    assert issue(box.standing()).counter == 3
    assert [path.name[-10:] for path in carry(Box(box.root), tmp_path / "stick")] == ["00001.json", "00003.json"]
    assert issued.stat().st_size == 0


def test_a_seed_that_is_links_to_the_stick(tmp_path: Path) -> None:
    """The copy was links back to the stick, which showed one INSTALL.sh to the sums and another to the shell."""
    stick, copy = tmp_path / "seed", tmp_path / "copy"
    stick.mkdir()
    (tmp_path / "hidden").write_text("honest")
    (stick / "INSTALL.sh").symlink_to(tmp_path / "hidden")
    typed = STEPS[1].replace("/media/seed", str(stick)).replace("/root/seed", str(copy))
    subprocess.run(["sh", "-c", typed], check=True)
    (tmp_path / "hidden").write_text("evil")
    assert (copy / "INSTALL.sh").read_text() == "honest"


@pytest.mark.parametrize("name", ["metadata/targets.json", "metadata/1.root.json", "pending/root.json"])
def test_a_repository_edited_by_hand(forge: BundleForge, name: str) -> None:
    """Files of headquarters that are no metadata ended in a fault; they are named, and odd names are no roots."""
    forge.build()
    (forge.repository.folder / "metadata" / "x.root.json").touch()
    assert [path.name for path in forge.repository.roots()] == ["1.root.json"]
    (forge.repository.folder / name).parent.mkdir(exist_ok=True)
    (forge.repository.folder / name).write_text("[]")
    role = "targets" if "targets" in name else "root"
    with pytest.raises(InputError, match="METADATA"):
        forge.repository.version(role)


def test_a_pipe_under_the_name_that_is_written_first(tmp_path: Path) -> None:
    """A stick full of pipes named as what is written beside a file: nobody is waited for, and what lay there goes."""
    neighbour = tmp_path / f".receipt.json.{os.getpid()}.part"
    os.mkfifo(neighbour)
    write_durably(tmp_path / "receipt.json", b"signed")
    assert (tmp_path / "receipt.json").read_bytes() == b"signed"
    assert not neighbour.exists()

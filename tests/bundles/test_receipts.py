"""What a box signs comes home: altered, missing and foreign receipts show, and so do clones and disks put back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundles.admission import admit, admitted
from bundles.document import canonical, plain
from bundles.enrolment import fingerprint
from bundles.errors import MediumError
from bundles.layout import Box
from bundles.ledger import Judged, judge, keep, kept, last_of
from bundles.nouns import PlanKey
from bundles.receipt import Receipt, carry, folder_of, issue, read_receipt
from bundles.shipped import shipped
from tests.support.bundles import SITE, ABox, BundleForge, FakeClock, Published
from tests.support.fuzzing import fuzzed
from tests.support.killing import killed_at_each_write

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def forge(tmp_path: Path) -> BundleForge:
    return BundleForge(tmp_path)


def a_box(forge: BundleForge, site: str = SITE) -> ABox:
    """Return a box whose keys headquarters admitted."""
    box = forge.box(site)
    assert box.enrolled is not None
    admit(forge.repository, Box(box.root).request, [fingerprint(box.enrolled.request)])
    return box


def signed(box: ABox, count: int = 1) -> list[Receipt]:
    made = []
    for _ in range(count):
        box.clock.pass_(hours=1)
        made.append(issue(box.standing(), "serves", evidence="holds"))
    return made


def at_headquarters(forge: BundleForge, receipts: list[Receipt]) -> Judged:
    keys = [key for request in admitted(forge.repository) for key in request.keys]
    return judge(receipts, keys, shipped(forge.repository.folder))


def codes(judged: Judged) -> list[tuple[int, str]]:
    return [(one.counter, one.code) for one in judged.findings]


def test_an_honest_chain_holds(forge: BundleForge) -> None:
    """Before the first bundle, after it, after the second; in any order; given twice."""
    box = a_box(forge)
    made = signed(box)
    for table in ({}, {"n": 1}):
        box.install(forge.build(forge.cargo(table=table)))
        made += signed(box)
    judged = at_headquarters(forge, [*reversed(made), made[1]])
    assert judged.findings == ()
    (chain,) = judged.chains.values()
    assert [one.counter for one in chain] == [1, 2, 3]
    assert [one.serving.release if one.serving else None for one in chain] == [None, 1, 2]
    assert made[2].previous == made[1].digest
    assert box.standing().state.receipt is not None
    assert len(list(folder_of(Box(box.root)).iterdir())) == 3


def changed(receipt: Receipt, field: str) -> Receipt:
    said = plain(receipt)
    other = {
        "boxId": "clinic-jura-9", "site": "clinic-basel", "environment": "demo", "counter": 7, "health": "unchecked",
        "previous": "sha256:" + "1" * 64, "failed": "sha256:" + "1" * 64, "evidence": "broken",
        "at": "2026-12-24T00:00:00Z", "clockSuspect": True, "rootVersion": 9, "answered": "1" * 64,
        "serving": {**(said["serving"]), "release": 5}, "log": {"size": 9, "root": "A" * 43 + "="},
        "signature": "0" * 128,
    }[field]  # fmt: skip
    return read_receipt(canonical({**said, field: other}), what=field)


@pytest.fixture(scope="module")
def one_receipt(tmp_path_factory: pytest.TempPathFactory) -> tuple[Receipt, list[PlanKey]]:
    forge = BundleForge(tmp_path_factory.mktemp("receipt"))
    box = a_box(forge)
    box.install(forge.build())
    return signed(box)[0], [key for request in admitted(forge.repository) for key in request.keys]


@pytest.mark.parametrize("field", [
    "boxId", "site", "environment", "counter", "health", "previous", "failed", "evidence", "at", "clockSuspect",
    "rootVersion", "answered", "serving", "log", "signature",
])  # fmt: skip
def test_an_altered_receipt(one_receipt: tuple[Receipt, list[PlanKey]], field: str) -> None:
    """The carrier alters one field of a receipt: it is named, and nothing of it is counted."""
    receipt, keys = one_receipt
    assert judge([receipt], keys, None).findings == ()
    judged = judge([changed(receipt, field)], keys, None)
    assert [one.code for one in judged.findings] == ["SIGNATURE"]
    assert judged.chains == {}


@pytest.mark.fuzz
@fuzzed(100)
@given(data=st.binary(max_size=300), at=st.integers(0, 2000), cut=st.integers(0, 40))
def test_any_bytes_are_a_receipt_or_refused(
    one_receipt: tuple[Receipt, list[PlanKey]], data: bytes, at: int, cut: int
) -> None:
    """Fuzzing: what is read is a receipt whose signature fails, or is refused as a document; nothing else happens."""
    receipt, keys = one_receipt
    whole = canonical(receipt)
    for bent in (data, whole[:at] + data + whole[at + cut :]):
        try:
            found = read_receipt(bent, what="receipt")
        except MediumError:
            continue
        assert found == receipt or judge([found], keys, None).findings


def test_a_receipt_from_a_cloned_box(forge: BundleForge) -> None:
    """The box with its machine is cloned, and both serve on: two receipts come home under one counter."""
    box = a_box(forge)
    box.install(forge.build())
    signed(box)
    twin = ABox(box.root.with_name("twin"), FakeClock(box.clock.now, box.clock.uptime), box.machine_id)
    shutil.copytree(box.root, twin.root, symlinks=True)
    twin.clock.pass_(minutes=7)
    made = [*signed(box), *signed(twin)]
    assert made[0].counter == made[1].counter == 2
    judged = at_headquarters(forge, [*(one for one in kept_at(box)), *made])
    assert codes(judged) == [(2, "CLONE")]
    later = at_headquarters(forge, [*kept_at(box), *kept_at(twin), *signed(twin)])
    assert "CLONE" in {code for _, code in codes(later)}


def kept_at(box: ABox) -> list[Receipt]:
    return [read_receipt(path.read_bytes(), what=str(path)) for path in sorted(folder_of(Box(box.root)).iterdir())]


def test_a_disk_that_was_put_back(forge: BundleForge) -> None:
    """The whole disk is put back to last week's copy: the box cannot know. Headquarters, which kept what came home
    before, sees the counter go back."""
    box = a_box(forge)
    box.install(forge.build())
    signed(box, 2)
    shutil.copytree(box.root, box.root.with_name("copy"), symlinks=True)
    signed(box, 3)
    before = at_headquarters(forge, kept_at(box))
    assert (before.findings, keep(forge.repository.folder, before)) == ((), 5)
    shutil.rmtree(box.root)
    box.root.with_name("copy").rename(box.root)
    box.clock.pass_(days=1)
    made = signed(box)
    judged = at_headquarters(forge, [*kept(forge.repository.folder), *made])
    assert codes(judged) == [(3, "BACK"), (3, "CLONE")]
    assert keep(forge.repository.folder, judged) == 1


def test_a_receipt_that_was_held_back(forge: BundleForge) -> None:
    box = a_box(forge)
    made = signed(box, 5)
    assert codes(at_headquarters(forge, [made[0], *made[3:]])) == [(4, "GAP")]
    assert codes(at_headquarters(forge, made[2:])) == [(3, "GAP")]


def test_a_receipt_of_a_box_that_nobody_admitted(forge: BundleForge) -> None:
    a_box(forge)
    stranger = forge.box("clinic-basel")
    judged = at_headquarters(forge, signed(stranger))
    assert (codes(judged), judged.chains) == ([(1, "KEY")], {})


def test_a_bundle_that_headquarters_never_sent(forge: BundleForge) -> None:
    """The box serves what was signed, and what headquarters has no record of having finished."""
    box = a_box(forge)
    box.install(forge.build())
    (forge.repository.folder / "builds" / SITE / "1.json").unlink()
    assert codes(at_headquarters(forge, signed(box))) == [(1, "BUNDLE")]


def test_a_cut_between_receipt_and_state_uses_no_counter_twice(forge: BundleForge) -> None:
    """The power fails after the receipt is written and before the state remembers it: the next one continues it."""
    box = a_box(forge)
    signed(box)
    state = {path: path.read_bytes() for path in (box.root / "trust").glob("state-*.json")}
    signed(box)
    for path, data in state.items():
        path.write_bytes(data)
    signed(box)
    judged = at_headquarters(forge, kept_at(box))
    assert judged.findings == ()
    assert [one.counter for chain in judged.chains.values() for one in chain] == [1, 2, 3]


def test_killed_at_every_write_of_a_receipt(forge: BundleForge, tmp_path: Path) -> None:
    """kill -9 before each file that is opened for writing, renamed or removed: whatever was signed stays, the next
    receipt continues it, and headquarters finds nothing wrong."""
    box = a_box(forge)
    signed(box)
    counters = []

    def sign(copy: ABox) -> Callable[[], object]:
        here = copy.standing()
        return lambda: issue(here)

    for copy in killed_at_each_write(box, sign, tmp_path):
        copy.clock.pass_(hours=1)
        signed(copy)
        assert at_headquarters(forge, kept_at(copy)).findings == ()
        assert not list(copy.root.rglob("receipts/.*"))
        counters.append(len(kept_at(copy)))
    assert counters == sorted(counters)
    assert (counters[0], counters[-1]) == (2, 3)
    assert len(counters) >= 6


def test_a_box_enrolled_again_begins_another_chain(forge: BundleForge) -> None:
    box = a_box(forge)
    made = signed(box, 2)
    again = a_box(forge)
    keys = [*box.enrolled.request.keys, *again.enrolled.request.keys]  # type: ignore[union-attr]
    judged = judge([*made, *signed(again)], keys, None)
    assert judged.findings == ()
    assert len(judged.chains) == 2


def test_evidence_that_was_cut_comes_home(forge: BundleForge) -> None:
    box = a_box(forge)
    signed(box)
    broken = issue(box.standing(), evidence="broken")
    assert codes(at_headquarters(forge, [*kept_at(box)])) == [(broken.counter, "LOG")]


def test_receipts_lie_beside_the_bundle_and_do_not_disturb_it(forge: BundleForge, tmp_path: Path) -> None:
    """They are carried whole, once; the bundle on the same stick installs as before."""
    box, stick = a_box(forge), tmp_path / "stick"
    stick.mkdir()
    bundle = forge.build().rename(stick / "medium")
    box.install(bundle)
    signed(box, 2)
    names = [path.name for path in carry(Box(box.root), stick / "receipts")]
    assert names == ["clinic-jura-1-00000001.json", "clinic-jura-1-00000002.json"]
    assert carry(Box(box.root), stick / "receipts") == []
    assert box.install(bundle).record.written == 0
    said = json.loads((stick / "receipts" / names[0]).read_bytes())
    assert said["serving"]["nonce"] == next(iter(shipped(forge.repository.folder)))


def test_what_headquarters_kept_answers_a_recovery(forge: BundleForge) -> None:
    box = a_box(forge)
    judged = at_headquarters(forge, signed(box, 3))
    assert (keep(forge.repository.folder, judged), keep(forge.repository.folder, judged)) == (3, 0)
    last = last_of(forge.repository.folder, "clinic-jura-1")
    assert last is not None
    assert last.counter == 3


def test_a_receipt_holds_no_free_text(published: Published) -> None:
    """Every field is a number, a time, a name that headquarters gave, or a word of a fixed list."""
    schema = json.dumps(Receipt.model_json_schema(by_alias=True))
    for name, entry in json.loads(schema)["properties"].items():
        text = [one for one in (entry, *entry.get("anyOf", [])) if one.get("type") == "string"]
        assert all({"pattern", "enum", "const"} & one.keys() for one in text), name

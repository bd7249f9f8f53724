"""The report says what boxes signed of themselves, calls it that, and shows evidence that was not handed in."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from bundles.install import keep_time
from bundles.ledger import Judged, judge
from bundles.receipt import issue
from bundles.trust.state import LogHead
from hybrid.evidence import page
from hybrid.evidence.reconciliation import Period
from hybrid.evidence.report import build
from hybrid.evidence.sources import read_sources
from tests.support.bundles import START, BundleForge
from tests.support.evidence import DIGEST, a_plan, a_problem, honest_records, write_logs

MADE = dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
TWO_DAYS = Period(dt.date(2026, 12, 1), dt.date(2026, 12, 2))


@pytest.fixture
def said(tmp_path: Path) -> tuple[BundleForge, list[Path]]:
    return BundleForge(tmp_path / "hq"), write_logs(tmp_path / "logs", honest_records(), days=2)


def receipts(forge: BundleForge, size: int, root: str = "A" * 43 + "=") -> Judged:
    """Return what the clinic's box signed after a bundle, remembering a log of `size` records."""
    box = forge.box("clinic-lyon")
    box.install(forge.build(forge.cargo(site="clinic-lyon")))
    keep_time(box.standing(), LogHead(size=size, root=root, peaks=()))
    assert box.enrolled is not None
    return judge([issue(box.standing(), "serves", evidence="holds")], box.enrolled.request.keys, None)


def report(logs: list[Path], judged: Judged | None) -> dict[str, Any]:
    return build(a_plan(), DIGEST, a_problem(), read_sources(logs, {}), TWO_DAYS, MADE, judged)


def test_without_receipts_nothing_is_said_of_them(said: tuple[BundleForge, list[Path]]) -> None:
    found = report(said[1], None)
    assert found["receipts"] is None
    assert "Receipts</h3>" not in page.render(found)


def test_a_receipt_is_shown_as_the_sites_own_claim_and_decides_nothing(said: tuple[BundleForge, list[Path]]) -> None:
    forge, logs = said
    whole = next(source for source in read_sources(logs, {}) if source.site == "clinic-lyon")
    found = report(logs, receipts(forge, whole.size, whole.root))
    rows = {row["site"]: row for row in found["receipts"]["rows"]}
    clinic = rows.pop("clinic-lyon")
    assert (clinic["release"], clinic["counter"], clinic["health"], clinic["ageDays"]) == (1, 1, "serves", 1)
    assert (clinic["evidence"], clinic["at"]) == ("", f"{START:%Y-%m-%dT%H:%M:%SZ}")
    assert rows
    assert all(row["boxId"] is None for row in rows.values())
    before = report(logs, None)
    assert found["verdict"] == before["verdict"]
    html = page.render(found)
    assert "signed of itself" in html
    assert "no receipt" in html


@pytest.mark.parametrize(("more", "says"), [(40, "records by the receipt"), (0, "another log than")])
def test_evidence_that_was_not_handed_in(said: tuple[BundleForge, list[Path]], more: int, says: str) -> None:
    """The site hands in a shorter log, or another one of the same length, than its box signed for."""
    forge, logs = said
    size = next(source.size for source in read_sources(logs, {}) if source.site == "clinic-lyon")
    found = report(logs, receipts(forge, size + more))
    row = next(row for row in found["receipts"]["rows"] if row["boxId"])
    assert says in row["evidence"]
    assert says in page.render(found)


def test_what_is_wrong_with_receipts_is_listed(said: tuple[BundleForge, list[Path]]) -> None:
    forge, logs = said
    box = forge.box("clinic-lyon")
    found = report(logs, judge([issue(box.standing())], [], None))
    assert [one["code"] for one in found["receipts"]["findings"]] == ["KEY"]
    assert "no key that was admitted" in page.render(found)

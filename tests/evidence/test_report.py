"""The report against an uneventful day, and then with one thing wrong at a time."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from hybrid.cli.report import read_pins
from hybrid.errors import InputError
from hybrid.evidence import note, page
from hybrid.evidence.audit import verify_log
from hybrid.evidence.reconciliation import Period
from hybrid.evidence.report import build
from hybrid.evidence.sources import pins_of, read_sources
from tests.support.evidence import (
    DIGEST,
    DRAFT,
    TRIAGE,
    Clock,
    a_crossing,
    a_flow,
    a_key,
    a_plan,
    a_problem,
    honest_records,
    lines_of,
    open_log,
    write_lines,
    write_logs,
)

MADE = dt.datetime(2026, 12, 2, 12, tzinfo=dt.UTC)
LATER = Clock(dt.datetime(2026, 12, 2, 10, tzinfo=dt.UTC))
TWO_DAYS = Period(dt.date(2026, 12, 1), dt.date(2026, 12, 2))
TO_OHIO = a_flow("recall", "draft", "clinic-lyon", "dc-ohio")


def a_report(paths: list[Path], **pins: str) -> dict[str, Any]:
    return build(a_plan(), DIGEST, a_problem(), read_sources(paths, pins), TWO_DAYS, MADE)


def a_report_of(tmp_path: Path, records: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return a_report(write_logs(tmp_path, records, days=2))


def flow(report: dict[str, Any], begin: str, end: str, role: str = "primary") -> dict[str, Any]:
    return next(f for f in report["flows"] if (f["from"], f["to"], f["role"]) == (begin, end, role))


def test_an_uneventful_day_is_clean(tmp_path: Path) -> None:
    report = a_report_of(tmp_path, honest_records())
    assert report["verdict"]["outcome"] == "clean"
    assert report["coverage"]["percent"] == 100
    assert flow(report, "clinic-lyon", "dc-paris")["observed"] == {"sent": 3, "received": 3, "bytes": 18_000}
    assert flow(report, "clinic-lyon", "dc-marseille", "fallback")["state"] == "quiet"
    assert report["gaps"] == {"silent": [], "uncovered": {}, "omissions": [], "foreign": {}, "erased": {}}
    assert [f["id"] for f in report["flows"] if f["id"] in report["transfers"]] == [
        flow(report, "clinic-lyon", "dc-ohio")["id"]
    ]
    assert "✓ Clean" in page.render(report)


@pytest.mark.parametrize(
    ("site", "record", "why"),
    [("clinic-lyon", a_crossing("intent", "clinic-lyon", TO_OHIO), "sent, and the plan has no such flow"),
     ("dc-ohio", a_crossing("decision", "dc-ohio", TO_OHIO), "received, and the plan has no such flow"),
     ("dc-ohio", a_crossing("breach", "dc-ohio", TO_OHIO, verdict="deny"), "the receiver recorded a breach")],
)  # fmt: skip
def test_a_crossing_that_was_not_planned_is_a_breach_shown_in_red(
    tmp_path: Path, site: str, record: dict[str, Any], why: str
) -> None:
    records = honest_records()
    records[site].append(record)
    report = a_report_of(tmp_path, records)
    html = page.render(report)
    assert report["verdict"]["outcome"] == "breach"
    assert [(b["id"], b["why"]) for b in report["breaches"]] == [(f"{site}#{len(records[site]) - 1}", why)]
    assert "✕ Not clean: breach" in html
    assert 'class="flow breach"' in html
    assert f'<tr class="breach"><th scope="row" class="mono">{site}#' in html
    assert flow(report, "clinic-lyon", "dc-paris")["observed"]["sent"] == 3


def test_a_refused_attempt_is_shown_and_is_no_breach(tmp_path: Path) -> None:
    records = honest_records()
    rules = ["residency:table/no-flow"]
    records["dc-ohio"].append(a_crossing("refusal", "dc-ohio", TO_OHIO, verdict="deny", status=451, rules=rules))
    report = a_report_of(tmp_path, records)
    assert (report["verdict"]["outcome"], report["refused"]) == ("clean", {"451": 1})
    assert report["refusals"][0]["rules"] == rules
    assert "residency:table/no-flow" in page.render(report)


def test_silence_is_not_compliance(tmp_path: Path) -> None:
    records = honest_records()
    del records["clinic-bern"]
    report = a_report_of(tmp_path, records)
    assert (report["verdict"]["outcome"], report["gaps"]["silent"]) == ("incomplete", ["clinic-bern"])
    assert "Silent, and therefore not shown to comply: clinic-bern" in page.render(report)


def test_a_day_without_a_head_is_a_gap(tmp_path: Path) -> None:
    report = a_report(write_logs(tmp_path, honest_records(), days=1))
    assert report["verdict"]["outcome"] == "incomplete"
    assert report["gaps"]["uncovered"] == dict.fromkeys(sorted(honest_records()), 1)
    assert report["coverage"]["rows"][0]["missing"] == ["2026-12-02"]


def test_what_the_sender_left_out_shows_in_the_receivers_log(tmp_path: Path) -> None:
    records = honest_records()
    records["clinic-lyon"].remove(a_crossing("intent", "clinic-lyon", DRAFT))
    report = a_report_of(tmp_path, records)
    assert report["verdict"]["outcome"] == "incomplete"
    assert report["gaps"]["omissions"][0].startswith("clinic-lyon logged 2 of the 3 crossings that dc-paris received")


def with_passports(records: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Give both sides of each crossing the jti of its passport, in the order in which they stand."""
    for entries in records.values():
        seen: Counter[str] = Counter()
        for entry in (entry for entry in entries if "flow" in entry):
            ends = f"{entry['kind']}-{entry['flow']['from']}-{entry['flow']['to']}"
            entry["jti"] = f"{ends.partition('-')[2]}-{seen[ends]}"
            seen[ends] += 1
    return records


def test_crossings_are_matched_by_their_passports_and_not_by_their_number(tmp_path: Path) -> None:
    """A sender leaves out one crossing and logs another twice: the numbers agree, and the report still says it."""
    records = with_passports(honest_records())
    assert a_report_of(tmp_path / "honest", records)["verdict"]["outcome"] == "clean"
    sent = [
        entry for entry in records["clinic-lyon"] if entry["kind"] == "intent" and entry["flow"]["to"] == "dc-paris"
    ]
    sent[0]["jti"] = sent[1]["jti"]
    report = a_report_of(tmp_path / "lied", records)
    assert flow(report, "clinic-lyon", "dc-paris")["observed"]["sent"] == 3
    assert report["verdict"]["outcome"] == "incomplete"
    assert report["gaps"]["omissions"] == ["clinic-lyon logged 2 of the 3 crossings that dc-paris received "
                                           "(patient-message@clinic-lyon, recall to draft)"]  # fmt: skip


def test_what_the_receiver_left_out_shows_in_the_senders_log(tmp_path: Path) -> None:
    """The region answers a crossing with 200 and logs none of it."""
    records = with_passports(honest_records())
    lost = next(entry for entry in records["dc-paris"] if entry["kind"] == "decision")
    records["dc-paris"].remove(lost)
    answer = {"kind": "outcome", "site": "clinic-lyon", "peer": "dc-paris", "jti": lost["jti"], "status": 200}
    records["clinic-lyon"].append(answer)
    report = a_report_of(tmp_path, records)
    assert report["verdict"]["outcome"] == "incomplete"
    assert report["gaps"]["omissions"] == ["dc-paris logged none of 1 crossings from clinic-lyon that it answered"]


def test_a_crossing_begun_before_midnight_is_no_omission(tmp_path: Path) -> None:
    """The sender wrote on the last day before the period, the receiver on its first: one crossing, both logs whole."""
    records = with_passports(honest_records())
    sent = next(entry for entry in records["clinic-lyon"] if entry["kind"] == "intent")
    records["clinic-lyon"].remove(sent)
    records["clinic-lyon"].insert(0, sent | {"at": "2026-11-30T23:59:59.999000Z"})
    assert a_report_of(tmp_path, records)["gaps"]["omissions"] == []


def test_a_site_cannot_speak_for_another(tmp_path: Path) -> None:
    """A compromised region writes the intents that Lyon left out, and a first record in the name of another site."""
    records = honest_records()
    records["clinic-lyon"].remove(forged := a_crossing("intent", "clinic-lyon", DRAFT))
    records["dc-paris"].insert(0, forged)
    report = a_report_of(tmp_path, records)
    assert flow(report, "clinic-lyon", "dc-paris")["observed"] == {"sent": 2, "received": 3, "bytes": 12_000}
    assert [line.partition(" ")[0] for line in report["gaps"]["omissions"]] == ["clinic-lyon", "dc-paris:"]
    assert report["verdict"]["outcome"] == "incomplete"
    assert report["gaps"]["silent"] == []


def test_a_breach_that_was_erased_is_not_clean(tmp_path: Path) -> None:
    """A dishonest operator erases the breach from the log, in due form and signed, before the report is made."""
    records = honest_records()
    records["dc-ohio"].append(a_crossing("breach", "dc-ohio", TO_OHIO, verdict="deny"))
    paths = write_logs(tmp_path, records, days=2)
    with open_log(tmp_path / "dc-ohio", site="dc-ohio", seed=13, clock=LATER) as log:
        log.erase([3], site="dc-ohio", by=["A. Operator"], reason="retention")
    report = a_report(paths)
    assert (report["verdict"]["outcome"], report["gaps"]["erased"]) == ("incomplete", {"dc-ohio": 1})
    assert "1 records of dc-ohio that may be of this period are gone" in page.render(report)


@pytest.mark.parametrize(
    "entry",
    [{"kind": "intent", "site": "dc-ohio", "flow": "everything"}, {"kind": "holiday", "site": "dc-ohio"},
     {"kind": "decision", "site": "dc-ohio", "bytes": "many"}, {"kind": "erasure", "site": "dc-ohio"},
     {"kind": "start", "site": "dc-ohio", "text": "the patient said"}],
)  # fmt: skip
def test_a_signed_log_of_what_is_no_record_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any]
) -> None:
    """A compromised site signs what no record may be, to stop everybody's report: its log is not believed."""
    records = honest_records()
    paths = write_logs(tmp_path, records, days=2)
    monkeypatch.setattr("hybrid.evidence.record.check", lambda entry: None)
    with open_log(tmp_path / "dc-ohio", site="dc-ohio", seed=13, clock=LATER) as log:
        log.append(entry, durable=True)
    monkeypatch.undo()
    assert not verify_log(tmp_path / "dc-ohio").holds
    report = a_report(paths)
    assert (report["verdict"]["outcome"], report["gaps"]["silent"]) == ("untrusted", ["dc-ohio"])
    assert flow(report, "clinic-lyon", "dc-paris")["observed"]["sent"] == 3


def test_evidence_that_does_not_verify_is_listed_and_nothing_rests_on_it(tmp_path: Path) -> None:
    paths = write_logs(tmp_path, honest_records(), days=2)
    lines = lines_of(tmp_path / "dc-paris")
    write_lines(tmp_path / "dc-paris", [lines[0].replace(b"6000", b"6001"), *lines[1:]])
    report = a_report(paths)
    assert report["verdict"]["outcome"] == "untrusted"
    assert report["gaps"]["silent"] == ["dc-paris"]
    assert flow(report, "clinic-lyon", "dc-paris")["observed"]["received"] == 0
    assert "record 0 is altered" in page.render(report)


def test_a_log_with_another_key_than_the_enrolled_one_is_not_believed(tmp_path: Path) -> None:
    paths = write_logs(tmp_path, honest_records(), days=2)
    other = (tmp_path / "clinic-bern" / "log.vkey").read_text().strip()
    assert a_report(paths, **{"clinic-bern": other})["verdict"]["outcome"] == "clean"
    report = a_report(paths, **{"dc-paris": other})
    assert report["verdict"]["outcome"] == "untrusted"


def test_a_site_plans_registry_pins_the_logs_keys() -> None:
    """The quorum admitted these keys; the log's origin is its site, and another use is another key."""
    pem = a_key(3).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    entry = {"site": "clinic-lyon", "from": "2026-12-01T00:00:00Z", "publicKey": pem}
    pins = pins_of({"keys": [entry | {"use": "log"}, entry | {"site": "dc-paris", "use": "passport"}]})
    assert pins == {"clinic-lyon": note.verifier_key("clinic-lyon", a_key(3).public_key())}
    with pytest.raises(InputError, match="expected SITE=VKEY"):
        read_pins(["clinic-lyon"])


def test_records_of_another_plan_are_counted_and_not_judged(tmp_path: Path) -> None:
    records = honest_records()
    records["clinic-lyon"].append(a_crossing("intent", "clinic-lyon", TO_OHIO, planDigest="sha256:" + "6" * 64))
    report = a_report_of(tmp_path, records)
    assert (report["verdict"]["outcome"], report["gaps"]["foreign"]) == ("incomplete", {"clinic-lyon": 1})
    assert report["breaches"] == []


def test_one_source_for_each_site_and_a_real_one(tmp_path: Path) -> None:
    paths = write_logs(tmp_path, {"clinic-lyon": [a_crossing("intent", "clinic-lyon", TRIAGE)]})
    with pytest.raises(InputError, match="two sources of evidence for clinic-lyon"):
        read_sources(paths * 2, {})
    with pytest.raises(InputError, match="no evidence here"):
        read_sources([tmp_path / "nowhere"], {})


class References(HTMLParser):
    """Gathers whatever a page would fetch, and whether its ids are unique."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [f"{tag} {name}" for name in ("src", "srcset", "data", "action") if name in given]
        self.fetched += [tag] * (tag in ("link", "script", "iframe", "object", "embed", "base", "img"))
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given["href"] or ""] if "href" in given else []


def test_the_page_needs_nothing_from_anywhere(tmp_path: Path) -> None:
    records = honest_records()
    records["dc-ohio"].append(a_crossing("breach", "dc-ohio", TO_OHIO, verdict="deny"))
    html = page.render(a_report_of(tmp_path, records))
    found = References()
    found.feed(html)
    assert found.fetched == []
    assert not re.search(r"https?://|@import|url\((?!#)", html)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert len(found.ids) == len(set(found.ids))


def test_what_a_log_says_cannot_become_markup(tmp_path: Path) -> None:
    records = honest_records()
    evil = a_flow("<script>alert(1)</script>", "draft", "clinic-lyon", "<b>dc</b>")
    records["clinic-lyon"].append(a_crossing("intent", "clinic-lyon", evil))
    html = page.render(a_report_of(tmp_path, records))
    assert "<script" not in html
    assert "<b>dc" not in html
    assert "&lt;script&gt;alert(1)" in html


def test_page_and_json_say_the_same(tmp_path: Path) -> None:
    report = a_report_of(tmp_path, honest_records())
    read = json.loads(page.to_json(report))
    assert read == report
    html = page.render(report)
    for row in read["flows"]:
        assert f'id="{row["id"]}"' in html
    assert read["verdict"]["digest"] in html
    for line in ("rules not reviewed by counsel", "no pack of law was applied"):
        assert (line in html) == (line != "rules not reviewed by counsel")


def test_a_fleet_of_thousands_folds_its_tables(tmp_path: Path) -> None:
    """10,000 flows stay one file that opens, with the rows folded away."""
    report = a_report_of(tmp_path, honest_records())
    many = [report["flows"][0] | {"id": f"F{number}"} for number in range(1, 3001)]
    html = page.render(report | {"flows": many})
    assert "<details><summary>3000 flows</summary>" in html
    assert len(html) < 4_000_000

"""Honest logs with knobs: `a_log` writes a real one, `Clock` is time that a test moves, `tamper` is an intruder."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.evidence.log import EvidenceLog
from placement.network import Network
from placement.problem import Problem
from sites.policy import Policy
from sites.question import Window
from tests.support.sites import a_party, a_site


@dataclass
class Clock:
    """A clock that stands still until it is told to move."""

    at: dt.datetime = dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += dt.timedelta(**by)


def a_key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def a_record(kind: str = "decision", site: str = "clinic-lyon", **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "site": site, "workload": "patient-message@clinic-lyon", "verdict": "permit", **fields}


def open_log(directory: Path, *, site: str = "clinic-lyon", seed: int = 1, clock: Clock | None = None) -> EvidenceLog:
    return EvidenceLog.open(directory, origin=f"{site}/evidence", key=a_key(seed), now=clock or Clock())


def a_log(directory: Path, records: int = 10, *, every: int = 4) -> Path:
    """Write a log of `records` records with a checkpoint after `every` of them, and close it."""
    clock = Clock()
    with open_log(directory, clock=clock) as log:
        for number in range(records):
            log.append(a_record(ms=number), durable=False)
            clock.forward(minutes=1)
            if number % every == every - 1:
                log.checkpoint()
    return directory


def lines_of(directory: Path) -> list[bytes]:
    return (directory / "records" / "000000000000.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(directory: Path, lines: list[bytes]) -> None:
    (directory / "records" / "000000000000.jsonl").write_bytes(b"".join(lines))


HEALTH = {"data": "user.health_and_medical", "law": ["FR"], "identifiability": "identified"}
OPERATIONS = {"data": "system.operations", "law": ["FR"]}
RULES = ["clinics/health-in-house", "eu-gdpr/inside-eea"]
DIGEST = "sha256:" + "5" * 64


def a_flow(first: str, second: str, begin: str, end: str, *, health: bool = True, **fields: Any) -> dict[str, Any]:
    label, rules = ([HEALTH], RULES) if health else ([OPERATIONS], ["clinics/operations-anywhere"])
    return {
        "fromStage": first, "toStage": second, "from": begin, "to": end, "role": "primary", "route": [begin, end],
        "bytes": 6144, "rate": 0.01, "label": label, "verdict": "permit", "rules": rules, **fields,
    }  # fmt: skip


DRAFT = a_flow("recall", "draft", "clinic-lyon", "dc-paris")
ANSWER = a_flow("draft", "answer", "dc-paris", "clinic-lyon")
SPARE = a_flow("recall", "draft", "clinic-lyon", "dc-marseille", role="fallback", rate=0)
TRIAGE = a_flow("input", "triage", "clinic-lyon", "dc-ohio", health=False)


def a_workload(pipeline: str, origin: str, *flows: dict[str, Any], **fields: Any) -> dict[str, Any]:
    stage = {"stage": "triage", "site": origin, "model": "message-triage", "variant": "w8", "hardware": "box"}
    stage |= {"label": [HEALTH], "rules": RULES}
    return {
        "id": f"{pipeline}@{origin}", "pipeline": pipeline, "origin": origin, "tenant": "default", "rate": 0.01,
        "status": "placed", "fallbacks": [], "latency_ms": {"modelled": 1.0, "limit": None},
        "assignments": [{"fraction": 1.0, "flows": list(flows), "stages": [stage]}],
        **fields,
    }  # fmt: skip


def a_plan() -> dict[str, Any]:
    """A plan of three workloads: health data from Lyon to Paris, operations data to Ohio, and Bern by itself."""
    return {
        "apiVersion": "hybrid/v1", "kind": "Plan", "from": "2026-12-01", "until": "2027-02-28", "inputs": {},
        "workloads": [
            a_workload("patient-message", "clinic-lyon", DRAFT, ANSWER, SPARE),
            a_workload("log-triage", "clinic-lyon", TRIAGE),
            a_workload("patient-message", "clinic-bern", status="degraded"),
        ],
        "unplaced": [], "pools": [], "cost": {"currency": "EUR", "perHour": 1.0},
        "invariants": {"checked": [1, 2, 6], "notChecked": {"18": "no stage gives retain"}},
    }  # fmt: skip


def a_problem() -> Problem:
    """The fleet of `a_plan`: French regions, one overseas and controlled from there, a disconnected Swiss clinic."""
    american = a_party("US", name="Overseas Compute Inc")
    region = {"serves": "any"}
    sites = [
        a_site("clinic-lyon", "FR-69", basis="contracted"),
        a_site("clinic-bern", "CH", connectivity={"mode": "disconnected", "links": []}),
        a_site("dc-paris", "FR", **region, basis="certified"), a_site("dc-marseille", "FR", **region),
        a_site("dc-ohio", "US", **region, parties=dict.fromkeys(("operator", "owner", "keyCustodian"), american)),
    ]  # fmt: skip
    policy = Policy.model_validate({"metadata": {"name": "clinics"}, "spec": {"rules": []}})
    window = Window(dt.date(2026, 12, 1), dt.date(2027, 2, 28))
    by_name = {site.name: site for site in sorted(sites, key=lambda site: site.name)}
    return Problem(by_name, {}, {}, {}, {"default": policy}, {}, {}, Network.of(tuple(sites)), window, "EUR")


def a_crossing(kind: str, site: str, flow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The record that a gateway writes of one crossing."""
    pipeline = "patient-message" if flow["label"] == [HEALTH] else "log-triage"
    about = {key: flow[key] for key in ("fromStage", "toStage", "from", "to", "route", "role")}
    return {
        "kind": kind, "site": site, "workload": f"{pipeline}@clinic-lyon", "pipeline": pipeline, "flow": about,
        "label": flow["label"], "verdict": "permit", "rules": flow["rules"], "planDigest": DIGEST,
        "bytes": 6000, **fields,
    }  # fmt: skip


def honest_records() -> dict[str, list[dict[str, Any]]]:
    """What every site of `a_plan` logs on an uneventful day, by site."""
    both = [(flow, flow["from"], flow["to"]) for flow in (DRAFT, ANSWER, TRIAGE)]
    records: dict[str, list[dict[str, Any]]] = {name: [] for name in ("clinic-bern", "dc-marseille")}
    for flow, begin, end in both * 3:
        records.setdefault(begin, []).append(a_crossing("intent", begin, flow))
        records.setdefault(end, []).append(a_crossing("decision", end, flow))
    work = {"kind": "outcome", "stage": "triage", "model": "message-triage", "variant": "w8", "status": 200}
    records["clinic-bern"] = [work | {"site": "clinic-bern", "workload": "patient-message@clinic-bern", "ms": 3.5}]
    records["clinic-lyon"] += [work | {"site": "clinic-lyon", "workload": "patient-message@clinic-lyon", "ms": 2.5}] * 3
    records["dc-marseille"] = [{"kind": "start", "site": "dc-marseille"}]
    return records


def write_logs(root: Path, records: dict[str, list[dict[str, Any]]], *, days: int = 1) -> list[Path]:
    """Write one log per site, a signed head on each of `days` days; return the directories."""
    for seed, (site, entries) in enumerate(sorted(records.items()), 10):
        clock = Clock()
        with open_log(root / site, site=site, seed=seed, clock=clock) as log:
            for entry in entries:
                log.append(entry, durable=False)
                clock.forward(seconds=20)
            for _ in range(days):
                log.checkpoint()
                clock.forward(days=1)
    return [root / site for site in sorted(records)]

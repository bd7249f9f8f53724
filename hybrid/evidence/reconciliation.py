"""Plan against logs: what was planned, what was seen, and what was neither or only one of them; a pure function.

A crossing counts as *sent* by its sender's intent (fsynced before the first byte left) and as *received* by its
receiver's permit. A crossing that the plan does not have is a breach, whoever logged it; so is every breach record.
Records under another plan are counted and not judged. Silence is a finding.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hybrid.evidence.sources import Record, Source
from hybrid.evidence.verifier import Flow, flow_of, key_of, side_of

MOST_LISTED = 500
"""Refused attempts and overrides beyond this are counted and not listed."""


@dataclass(frozen=True, slots=True)
class Period:
    """Days, both ends included."""

    since: dt.date
    until: dt.date

    def days(self) -> list[dt.date]:
        """Return every day."""
        return [self.since + dt.timedelta(days=at) for at in range((self.until - self.since).days + 1)]

    def to_json(self) -> dict[str, str]:
        """Return the report's form."""
        return {"from": self.since.isoformat(), "until": self.until.isoformat()}


@dataclass(slots=True)
class Seen:
    """What the logs say of one flow; `evidence` are the first and last record of each side."""

    sent: int = 0
    received: int = 0
    bytes: int = 0
    route: list[str] = field(default_factory=list)
    evidence: dict[str, list[str]] = field(default_factory=dict)

    def add(self, name: str, side: str, record: Record) -> None:
        """Count one record of one side."""
        if side == "sent":
            self.sent += 1
            self.bytes += int(record.get("bytes", 0))
        else:
            self.received += 1
        ends = self.evidence.setdefault(side, [name])
        self.evidence[side] = [ends[0], name] if name != ends[0] else ends
        self.route = self.route or list(record["flow"].get("route", []))

    def to_json(self) -> dict[str, int]:
        """Return the counts that a verifier derives again."""
        return {"sent": self.sent, "received": self.received, "bytes": self.bytes}


@dataclass(slots=True)
class Reconciliation:
    """What one pass over all the evidence found."""

    flows: dict[Flow, Seen] = field(default_factory=dict)
    breaches: list[dict[str, Any]] = field(default_factory=list)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    overrides: list[dict[str, Any]] = field(default_factory=list)
    stages: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    foreign: Counter[str] = field(default_factory=Counter)
    spoofed: Counter[str] = field(default_factory=Counter)
    days: dict[str, set[dt.date]] = field(default_factory=dict)


def planned_flows(plan: Mapping[str, Any]) -> dict[Flow, dict[str, Any]]:
    """Return the plan's flows between two sites by their key; primaries and fallbacks."""
    return {
        key_of(load["id"], flow): flow
        for load in plan["workloads"] for assignment in load["assignments"] for flow in assignment["flows"]
        if flow["from"] != flow["to"]
    }  # fmt: skip


def planned_sites(plan: Mapping[str, Any]) -> list[str]:
    """Return every site that has a gateway under the plan; one that flows only pass through has none to hear from."""
    found = {load["origin"] for load in plan["workloads"]}
    for load in plan["workloads"]:
        for assignment in load["assignments"]:
            found.update(stage["site"] for stage in assignment["stages"])
            found.update(flow[end] for flow in assignment["flows"] for end in ("from", "to"))
    return sorted(found)


def reconcile(plan: Mapping[str, Any], digest: str, sources: Iterable[Source], period: Period) -> Reconciliation:
    """Return what the evidence shows within `period` under the plan of that digest."""
    found, planned = Reconciliation(), planned_flows(plan)
    for source in sources:
        days = found.days.setdefault(source.site, {day for day in source.days if period.since <= day <= period.until})
        for name, record in _within(source, period):
            days.add(dt.date.fromisoformat(record["at"][:10]))
            if record["site"] != source.site:
                found.spoofed[source.site] += 1
            if record.get("planDigest", digest) != digest and record["kind"] != "breach":
                found.foreign[source.site] += 1
                continue
            _take(found, name, record, planned)
    return found


def _within(source: Source, period: Period) -> Iterator[tuple[str, Record]]:
    since, until = period.since.isoformat(), period.until.isoformat()
    for index, record in source.records():
        if since <= record["at"][:10] <= until:
            yield f"{source.site}#{index}", record


def _take(found: Reconciliation, name: str, record: Record, planned: Mapping[Flow, Any]) -> None:
    """Enter one record where it belongs."""
    flow, side, kind = flow_of(record), side_of(record), record["kind"]
    if kind == "breach":
        found.breaches.append(_told(name, record) | {"why": "the receiver recorded a breach"})
    if flow is not None and side:
        if flow not in planned and kind != "breach":
            found.breaches.append(_told(name, record) | {"why": f"{side}, and the plan has no such flow"})
        found.flows.setdefault(flow, Seen()).add(name, side, record)
    if kind == "refusal":
        found.refused[str(record.get("status", "?"))] += 1
        if len(found.refusals) < MOST_LISTED:
            found.refusals.append(_told(name, record))
    if kind == "counters":
        found.refused.update({status: int(count) for status, count in record.get("counts", {}).items()})
    if kind == "override" and len(found.overrides) < MOST_LISTED:
        found.overrides.append(_told(name, record) | {"by": record.get("by", [])})
    if kind == "outcome" and "stage" in record and "peer" not in record:
        model = f"{record['model']}:{record['variant']}" if record.get("model") else ""
        found.stages[record["site"], record["stage"], model, str(record.get("status", "?"))] += 1


def _told(name: str, record: Record) -> dict[str, Any]:
    """Return what a report says of one record; without a flow, it came from the peer to the site that wrote it."""
    flow = record.get("flow") or {}
    begin, end = (flow.get("from"), flow.get("to")) if flow else (record.get("peer"), record["site"])
    return {
        "id": name, "at": record["at"], "site": record["site"], "workload": record.get("workload"),
        "stage": record.get("stage"), "fromStage": flow.get("fromStage"), "toStage": flow.get("toStage"),
        "from": begin, "to": end, "peer": record.get("peer"), "status": record.get("status"),
        "data": sorted({atom["data"] for atom in record.get("label", []) if "data" in atom}),
        "rules": record.get("rules", []),
    }  # fmt: skip


def omissions(found: Reconciliation, sources: Iterable[Source]) -> list[str]:
    """Return a line for each flow of which the receiver's log knows more than its sender's own."""
    speaking = {source.site for source in sources if not source.problem}
    return [
        f"{flow[3]} logged {seen.sent} of the {seen.received} crossings that {flow[4]} received "
        f"({flow[0]}, {flow[1]} to {flow[2]})"
        for flow, seen in sorted(found.flows.items())
        if flow[3] in speaking and seen.received > seen.sent
    ] + [f"{site}: {count} records speak for another site" for site, count in sorted(found.spoofed.items())]

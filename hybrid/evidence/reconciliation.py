"""Plan against logs: what was planned, what was seen, and what was neither or only one of them; a pure function.

A crossing counts as *sent* by its sender's intent (fsynced before the first byte left) and as *received* by its
receiver's permit; the two are one crossing when flow and passport (`jti`) agree, whatever day and plan each wrote. A
crossing that the plan does not have is a breach, whoever logged it; so is every breach record. Records under another
plan are counted and not judged. Silence is a finding, and so is what was erased.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hybrid.evidence.sources import Record, Source
from hybrid.evidence.verifier import Flow, Tally, flow_of, key_of, side_of

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
    tally: Tally = field(default_factory=lambda: Tally("", "", "", ()))
    crossings: Crossings = field(default_factory=lambda: Crossings())


@dataclass(slots=True)
class Crossings:
    """The two sides of every crossing, by flow and `jti`; a record without a jti matches any other without, that day.

    Attributes:
        judged: what receivers logged within the period under the plan; the others are of any day and plan.
        answered: (sender, receiver, jti) of every crossing that its sender says was answered with 200.
    """

    sent: Counter[tuple[Flow, str]] = field(default_factory=Counter)
    received: set[tuple[str, str, str]] = field(default_factory=set)
    judged: Counter[tuple[Flow, str]] = field(default_factory=Counter)
    answered: set[tuple[str, str, str]] = field(default_factory=set)

    def enter(self, record: Record, *, judged: bool) -> None:
        """Enter one record of a site that speaks for itself."""
        flow, side, jti = flow_of(record), side_of(record), str(record.get("jti") or record["at"][:10])
        if flow and side == "sent":
            self.sent[flow, jti] += 1
        if flow and side == "received":
            self.received.add((flow[3], flow[4], jti))
            self.judged[flow, jti] += judged
        if record["kind"] == "outcome" and record.get("status") == 200 and "peer" in record and judged:
            self.answered.add((record["site"], record["peer"], jti))

    def one_sided(self, speaking: set[str]) -> Iterator[str]:
        """Yield a line for each flow, or pair of sites, of which one speaking side logged less than the other."""
        arrived, lacking, unheard = Counter[Flow](), Counter[Flow](), Counter[tuple[str, str]]()
        for (flow, jti), count in self.judged.items():
            arrived[flow] += count
            lacking[flow] += max(0, count - self.sent[flow, jti])
        for flow, count in sorted((+lacking).items()):
            if flow[3] in speaking:
                yield (f"{flow[3]} logged {arrived[flow] - count} of the {arrived[flow]} crossings that {flow[4]} "
                       f"received ({flow[0]}, {flow[1]} to {flow[2]})")  # fmt: skip
        for begin, end, _ in {(f[3], f[4], jti) for f, jti in self.sent} & self.answered - self.received:
            unheard[begin, end] += end in speaking
        for (begin, end), count in sorted((+unheard).items()):
            yield f"{end} logged none of {count} crossings from {begin} that it answered"


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
    planned = planned_flows(plan)
    since, until = period.since.isoformat(), period.until.isoformat()
    found = Reconciliation(tally=Tally(since, until, digest, planned))
    for source in sources:
        for index, record in source.records():
            judged = found.tally.take(source.site, index, record)
            if record is None:
                continue
            if record["site"] == source.site:
                found.crossings.enter(record, judged=judged)
            if judged:
                _take(found, source.site, f"{source.site}#{index}", record, planned)
    return found


def _take(found: Reconciliation, site: str, name: str, record: Record, planned: Mapping[Flow, Any]) -> None:
    """Enter one record where it belongs."""
    flow, side, kind = flow_of(record), side_of(record), record["kind"]
    if kind == "breach":
        found.breaches.append(_told(name, record) | {"why": "the receiver recorded a breach"})
    if flow is not None and side:
        if flow not in planned and kind != "breach":
            found.breaches.append(_told(name, record) | {"why": f"{side}, and the plan has no such flow"})
        if record["site"] == site:
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
    """Return a line for each side that logged less than its counterpart, and each site that speaks for another."""
    speaking = {source.site for source in sources if not source.problem}
    spoofed = sorted((+found.tally.spoofed).items())
    return [
        *found.crossings.one_sided(speaking),
        *(f"{site}: {n} records speak for another site" for site, n in spoofed),
    ]


def heads_of(sources: Iterable[Source]) -> dict[str, set[str]]:
    """Return believed site -> days on which it signed a head."""
    return {source.site: {day.isoformat() for day in source.days} for source in sources if not source.problem}

"""The residency report as data: plan, evidence and facts of the fleet joined into one JSON value; a pure function.

`hybrid.evidence.page` prints it; `hybrid.evidence.verifier` derives its counts and its verdict again. Nothing in it is
invented: what nobody wrote is null or says unknown.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from hybrid.evidence import ground
from hybrid.evidence.receipts import receipt_facts
from hybrid.evidence.reconciliation import (
    Period,
    Reconciliation,
    Seen,
    heads_of,
    omissions,
    planned_flows,
    planned_sites,
    reconcile,
)
from hybrid.evidence.sources import Source
from hybrid.evidence.verifier import Flow, outcome, verdict_digest
from hybrid.picture.places import site_facts
from placement.problem import Problem

if TYPE_CHECKING:
    from bundles.ledger import Judged

SENTENCES = {
    "breach": "Breach: data crossed, or tried to cross unseen, where the plan does not permit it.",
    "untrusted": "Not established: some of the evidence does not verify.",
    "incomplete": "No breach in the evidence at hand, and the evidence is incomplete.",
    "clean": "No breach: every crossing in the evidence was planned and permitted, and every site was heard every day.",
}
INVARIANTS = {
    1: "Every stage, artefact, flow and side sink is present and placed",
    2: "The recomputed labels are within the plan's labels",
    3: "Labels fall only at registered declassifiers",
    4: "The approver of a declassifier has authority and is not its owner",
    5: "Declassifiers run where the raw label is permitted",
    6: "Every artefact, site, activity and party has a permitting decision",
    7: "Each decision cites a rule in force; expired or unknown facts fail",
    8: "All packs triggered by data, parties and sites were evaluated",
    9: "Instruments cover exporter, importer, class and the whole window",
    10: "Everybody who can compel disclosure stays within the required set",
    11: "Excluded parties hold no key, and no plaintext arises with them",
    12: "Administrative, support and emergency access are permitted",
    13: "The stage's purpose is among the data's purposes",
    14: "Sub-processors are checked recursively",
    15: "Failover, overflow and retry targets are checked like primaries",
    16: "Whoever ends TLS processes; pass-through is declared",
    17: "Nobody joins pseudonymised data with its key unpermitted",
    18: "Retention is bounded for every copy, and an erasure path exists",
    19: "Media and receipts across an air gap are declared and directional",
    20: "The plan binds the digests of all its inputs, and expires with the earliest",
}
"""Numbered once, in design/residency.md."""

NOT_PROVED = (
    "That nothing left beside the gateways. Where no egress counters exist, the gateway's own log is the only witness "
    "(coverage says “gateway only”); what a gateway and its counterpart both leave out does not show.",
    "What receipts say. A receipt is the site's own claim; it is not among what the verdict rests on.",
    "That data was classified rightly at its source. Wrong labels at the origin are planned and logged as they stand.",
    "What people copied: screens, notes, telephones, photographs.",
    "Timing, volume and choice of route as channels.",
    "That the manifests are true. Parties, countries, contracts and certificates are as somebody wrote them, with the "
    "basis shown; no node attests its place.",
    "That the log was not rewritten before its checkpoints reached somebody else. No independent witness has "
    "countersigned these checkpoints; rewriting shows only against a copy that an outsider kept.",
    "That the rules are the law. Packs are dated readings of it, not legal advice.",
)


def build(
    plan: Mapping[str, Any], digest: str, problem: Problem, sources: list[Source], period: Period, made: dt.datetime,
    receipts: Judged | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return the report.

    Args:
        digest: of the plan's file; `made` is the one reading of the clock (UTC).
        receipts: what the boxes signed of themselves; None when nobody gave any. No verdict rests on them.
    """
    found = reconcile(plan, digest, sources, period)
    names = planned_sites(plan)
    law = ground.law_facts(problem)
    sites = [site_facts(problem.sites[name]) for name in _shown(plan, names, found, problem)]
    flows = _flows(plan, found, {site["name"]: site for site in sites})
    coverage = _coverage(names, sources, found, period)
    report: dict[str, Any] = {
        "apiVersion": "hybrid/v1", "kind": "ResidencyReport", "made": f"{made:%Y-%m-%dT%H:%M:%SZ}",
        "plan": {"digest": digest, "from": plan["from"], "until": plan["until"]},
        "period": period.to_json(),
        "scope": _scope(plan, names, problem),
        "evidence": [source.to_json() for source in sources],
        "coverage": coverage,
        "basis": ground.weakest_basis(problem, names),
        "law": law | {"unreviewed": [pack["name"] for pack in law["packs"] if not pack["reviewedBy"]]},
        "sites": sites, "flows": flows,
        "breaches": found.breaches, "refusals": found.refusals, "refused": dict(sorted(found.refused.items())),
        "overrides": found.overrides, "stages": _stages(found),
        "receipts": None if receipts is None else receipt_facts(names, receipts, sources, made),
        "gaps": found.tally.gaps(names, heads_of(sources)) | {"omissions": omissions(found, sources)},
        "transfers": [flow["id"] for flow in flows if _leaves_zone(flow, sites)],
        "sideFlows": _side_flows(problem, names),
        "falling": ground.falling(law["instruments"], flows, ground.rules_by_id(problem)),
        "invariants": _invariants(plan),
        "notProved": list(NOT_PROVED),
        "cost": plan["cost"],
    }  # fmt: skip
    said = outcome(report)
    report["verdict"] = {"outcome": said, "sentence": SENTENCES[said]}
    report["verdict"]["digest"] = verdict_digest(report)
    return report


def _shown(plan: Mapping[str, Any], names: Iterable[str], found: Reconciliation, problem: Problem) -> list[str]:
    """Return the planned sites, those on a route, and those in the evidence, as far as the fleet knows them."""
    seen = {end for flow in found.flows for end in flow[3:]}
    seen |= {site for flow in planned_flows(plan).values() for site in flow["route"]}
    seen |= {end for row in (*found.breaches, *found.refusals) for end in (row["from"], row["to"], row["site"]) if end}
    return sorted(name for name in {*names, *seen} if name in problem.sites)


def _flows(plan: Mapping[str, Any], found: Reconciliation, sites: Mapping[str, Any]) -> list[dict[str, Any]]:
    planned = planned_flows(plan)
    return [
        _flow(f"F{number}", key, planned.get(key), found.flows.get(key, Seen()), found, sites)
        for number, key in enumerate(sorted({*planned, *found.flows}), 1)
    ]


def _flow(
    name: str, key: Flow, plan: Mapping[str, Any] | None, seen: Seen, found: Reconciliation, sites: Mapping[str, Any]
) -> dict[str, Any]:
    workload, first, second, begin, end = key
    label = plan["label"] if plan else []
    ends = [sites[site] for site in (begin, end) if site in sites]
    data = {atom["data"] for atom in label} | {
        data for row in found.breaches if (row["workload"], row["from"], row["to"]) == (workload, begin, end)
        for data in row["data"] if not plan
    }  # fmt: skip
    return {
        "id": name, "workload": workload, "fromStage": first, "toStage": second, "from": begin, "to": end,
        "role": plan["role"] if plan else "unplanned", "verdict": plan["verdict"] if plan else "none",
        "rules": list(plan["rules"]) if plan else [], "data": sorted(data),
        "law": sorted({law for atom in label for law in atom.get("law", ())}),
        "route": list(plan["route"]) if plan else seen.route,
        "planned": _volume(plan) if plan else None, "observed": seen.to_json(), "evidence": seen.evidence,
        "otherRoute": seen.route if plan and seen.route and seen.route != list(plan["route"]) else [],
        "parties": sorted({site["operator"] for site in ends}),
        "state": "breach" if plan is None else "seen" if seen.sent or seen.received else "quiet",
    }  # fmt: skip


def _volume(flow: Mapping[str, Any]) -> dict[str, int]:
    return {"perDay": round(flow["rate"] * 86_400), "bytesEach": int(flow["bytes"])}


def _leaves_zone(flow: Mapping[str, Any], sites: list[dict[str, Any]]) -> bool:
    zones = {site["zone"] for site in sites if site["name"] in (flow["from"], flow["to"])}
    return len(zones) > 1


def _coverage(names: list[str], sources: list[Source], found: Reconciliation, period: Period) -> dict[str, Any]:
    """Return sites × days: a day counts when the site signed a head, or wrote a record, on it."""
    of, heads = {source.site: source for source in sources if not source.problem}, heads_of(sources)
    days = [day.isoformat() for day in period.days()]
    rows: list[dict[str, Any]] = []
    for name in names:
        source = of.get(name)
        heard = {*found.tally.days[name], *heads.get(name, ())}
        rows.append({
            "site": name, "days": sum(day in heard for day in days), "of": len(days),
            "missing": [day for day in days if day not in heard],
            "witness": "none" if source is None else "gateway only",
            "source": "none" if source is None else "imported" if source.imported else "local",
            "records": source.size if source else 0,
        })  # fmt: skip
    total, heard_days = len(names) * len(days), sum(row["days"] for row in rows)
    return {"rows": rows, "days": heard_days, "of": total, "percent": 100 * heard_days // total if total else 0}


def _scope(plan: Mapping[str, Any], names: list[str], problem: Problem) -> dict[str, Any]:
    return {
        "organisation": sorted(policy.name for policy in problem.policies.values()),
        "tenants": sorted({load["tenant"] for load in plan["workloads"]}), "sites": len(names),
        "pipelines": sorted({load["pipeline"] for load in plan["workloads"]}),
        "workloads": len(plan["workloads"]),
        "degraded": [load["id"] for load in plan["workloads"] if load["status"] == "degraded"],
        "unplaced": [load["id"] for load in plan["unplaced"]],
    }  # fmt: skip


def _stages(found: Reconciliation) -> list[dict[str, Any]]:
    return [
        {"site": site, "stage": stage, "model": model, "status": status, "count": count}
        for (site, stage, model, status), count in sorted(found.stages.items())
    ]


def _side_flows(problem: Problem, names: list[str]) -> list[dict[str, Any]]:
    """Return where logs, backups, telemetry and failover of each site go, as far as its manifest says."""
    rows = []
    for site in (problem.sites[name] for name in names):
        elsewhere = {str(activity): place for activity, place in site.spec.activities.items()}
        rows.append({
            "site": site.name, "log": elsewhere.get("log", site.spec.location),
            "backup": elsewhere.get("backup", site.spec.location),
            "failover": elsewhere.get("failover", site.spec.location), "telemetry": site.spec.telemetry or "unknown",
        })  # fmt: skip
    return rows


def _invariants(plan: Mapping[str, Any]) -> dict[str, Any]:
    stated = plan["invariants"]
    known = {str(number): text for number, text in INVARIANTS.items()}
    return {
        "checked": [{"number": n, "text": known[str(n)]} for n in stated["checked"]],
        "notChecked": [
            {"number": number, "text": text, "why": stated["notChecked"].get(str(number), "the plan does not say")}
            for number, text in INVARIANTS.items() if number not in stated["checked"]
        ],
    }  # fmt: skip

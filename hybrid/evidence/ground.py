"""The facts a report stands on: who runs each site, who can compel them, which law was read by whom, how well known.

Everything comes from the manifests; what nobody wrote stands as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from placement.problem import Problem
from sites.policy import Pack, Policy, Rule
from sites.question import taking_part
from sites.site import Basis, Site

BASES: tuple[str, ...] = get_args(Basis)
"""From the weakest to the strongest."""


def law_facts(problem: Problem) -> dict[str, Any]:
    """Return packs with their reviewers, waivers, instruments and noPack statements of every policy."""
    specs = [policy.spec for policy in problem.policies.values()]
    return {
        "packs": [{"name": name, "reviewedBy": pack.spec.reviewed_by} for name, pack in problem.packs.items()],
        "waivers": [
            {"rule": w.rule, "reason": w.reason, "by": w.by, "until": _day(w.until)} for s in specs for w in s.waivers
        ],
        "noPack": [
            {"country": n.country, "data": n.data, "reason": n.reason, "by": n.by, "until": _day(n.until)}
            for s in specs for n in s.no_pack
        ],
        "instruments": [
            {"type": i.type, "exporter": i.exporter, "importer": i.importer, "data": i.data,
             "from": _day(i.validity_from), "until": _day(i.until), "fallback": i.fallback, "basis": i.basis}
            for s in specs for i in s.instruments
        ],
        "declassifiers": [
            {"stage": d.stage, "approver": d.approver, "until": _day(d.until), "recipients": list(d.recipients),
             "sites": list(d.sites), "from": [a.data for a in d.from_atoms], "to": [a.data for a in d.to_atoms]}
            for s in specs for d in s.declassifiers
        ],
    }  # fmt: skip


def weakest_basis(problem: Problem, names: Iterable[str]) -> dict[str, Any]:
    """Return the weakest basis among the facts of these sites, and how many facts have none given."""
    facts = [basis for name in names for basis in _bases(problem.sites[name])]
    facts += [i.basis for policy in problem.policies.values() for i in policy.spec.instruments]
    given = [basis for basis in facts if basis is not None]
    weakest = min(given, key=BASES.index) if given else None
    return {"weakest": weakest, "facts": len(facts), "without": len(facts) - len(given)}


def rules_by_id(problem: Problem) -> dict[str, Rule]:
    """Return every rule that a plan can cite, by `layer/rule`."""
    layers: dict[str, Pack | Policy] = {**problem.packs}
    layers.update({policy.name: policy for policy in problem.policies.values()})
    return {f"{name}/{rule.id}": rule for name, layer in layers.items() for rule in layer.spec.rules}


def falling(
    instruments: list[dict[str, Any]], flows: list[dict[str, Any]], rules: Mapping[str, Rule]
) -> list[dict[str, Any]]:
    """Return for each instrument the flows whose cited rules test its type between its two ends."""
    found = []
    for instrument in instruments:
        resting = [
            flow["id"]
            for flow in flows
            if {instrument["exporter"], instrument["importer"]} & {flow["from"], flow["to"], *flow["parties"]}
            and any(instrument["type"] in (rules[name].instrument or ()) for name in flow["rules"] if name in rules)
        ]
        found.append({"instrument": instrument, "flows": resting})
    return found


def _bases(site: Site) -> Iterator[str | None]:
    yield site.spec.basis
    yield from (party.basis for _, party in taking_part(site) if party is not None)
    yield from (assurance.basis for assurance in site.spec.assurances or ())


def _day(day: Any) -> str | None:
    return None if day is None else str(day)

"""Which of the twenty invariants the planner's own decisions cover, and what the others lack. The checker has its own.

Numbers are those of design/residency.md. A fact that an invariant needs and nobody gave makes it *not checked*.
"""

from __future__ import annotations

from collections.abc import Iterator

from placement.problem import Problem
from placement.safeguards import copies
from sites.policy import PackSpec
from sites.question import taking_part, with_subprocessors

ALWAYS = (2, 3, 5, 6, 7, 8, 9, 10, 15, 16, 20)
"""What every placement decides, whatever facts are given: an unknown one refuses."""

OPTIONAL = (1, 4, 11, 12, 13, 14, 17, 18, 19)
"""What is decided only where the manifests give the fields that it needs."""


def invariants(problem: Problem) -> tuple[tuple[int, ...], dict[str, str]]:
    """Return the numbers that are checked, and for the others why not."""
    lacking = dict(_lacking(problem))
    checked = {*ALWAYS, *OPTIONAL} - set(lacking)
    return tuple(sorted(checked)), {str(number): lacking[number] for number in sorted(lacking)}


def _lacking(problem: Problem) -> Iterator[tuple[int, str]]:
    stages = [s for p in problem.pipelines.values() for s in (*p.spec.stages, *p.spec.fallbacks)]
    policies = [policy.spec for policy in problem.policies.values()]
    sites = problem.sites.values()
    silent = [site.name for site in sites if site.spec.telemetry is None]
    if silent:
        yield 1, f"{len(silent)} of {len(sites)} sites do not say where their telemetry goes"
    if any(policy.declassifiers and policy.approvers is None for policy in policies):
        yield 4, "a Policy with declassifiers names no approvers: nobody says over which atoms they have authority"
    rules = [
        *(rule for spec in policies for rule in spec.rules),
        *(rule for spec in _packs(problem) for rule in spec.rules),
    ]
    if not any(rule.readable_by for rule in rules):
        yield 11, "no rule relies on encryption (readableBy): every party counts as reading"
    if any(site.spec.access.support is None for site in sites):
        yield 12, "a site gives no access.support"
    if not all(stage.purpose for stage in stages):
        yield 13, _none_or_some("purpose", sum(stage.purpose is None for stage in stages), len(stages))
    if hiring := _unsaid_subprocessors(problem):
        yield 14, f"{hiring} parties do not say which sub-processors they have"
    if not any(_keys(problem)):
        yield 17, "no atom gives keyRef"
    if why := _unbounded(problem):
        yield 18, why
    apart = [site.name for site in sites if site.spec.connectivity.mode == "disconnected" and site.spec.media is None]
    if apart:
        yield 19, f"{len(apart)} disconnected sites declare no media"


def _packs(problem: Problem) -> Iterator[PackSpec]:
    """Yield the packs that any policy names."""
    named = {name for policy in problem.policies.values() for name in policy.spec.packs}
    yield from (problem.packs[name].spec for name in sorted(named & problem.packs.keys()))


def _unsaid_subprocessors(problem: Problem) -> int:
    """Return how many of those who take part at sites or end TLS on a hop do not say whom they hire."""
    parties = [party for site in problem.sites.values() for _, party in taking_part(site)]
    ending = (link for link in problem.network.wires.values() if link.tls != "passthrough")
    parties += [party for link in ending for _, party in with_subprocessors("intermediary", link.intermediary)]
    return sum(party is None or party.subprocessors is None for party in parties)


def _unbounded(problem: Problem) -> str | None:
    """Return what is not known of the copies that any stage would leave, or None."""
    if any(policy.spec.retention is None for policy in problem.policies.values()):
        return "a Policy declares no retention"
    found = [
        (f"{pipeline.name}/{stage.name}", copy.retain)
        for pipeline in problem.pipelines.values()
        for stage in (*pipeline.spec.stages, *pipeline.spec.fallbacks)
        for copy in copies(stage, (), problem.stores)
    ]
    open_ends = sorted({name for name, retain in found if retain is None})
    if open_ends:
        return f"nobody says how long {open_ends[0]} keeps its copies"
    silent = [site.name for site in problem.sites.values() if site.spec.erasure is None]
    return f"{len(silent)} of {len(problem.sites)} sites declare no erasure" if found and silent else None


def _keys(problem: Problem) -> Iterator[str | None]:
    yield from (pipeline.spec.input.key_ref for pipeline in problem.pipelines.values())
    yield from (atom.key_ref for model in problem.models.values() for atom in model.spec.trained_on or ())
    yield from (atom.key_ref for store in problem.stores.values() for atom in store.spec.data)


def _none_or_some(what: str, lacking: int, of: int) -> str:
    return f"no stage gives {what}" if lacking == of else f"{lacking} of {of} stages give no {what}"

"""Which of the twenty invariants the planner's own decisions cover, and what the others lack. The checker has its own.

Numbers are those of design/residency.md. A fact that an invariant needs and nobody gave makes it *not checked*.
"""

from __future__ import annotations

from collections.abc import Iterator

from placement.problem import Problem

ALWAYS = (2, 5, 6, 7, 8, 9, 10, 15, 16, 20)
"""What every placement decides, whatever facts are given: an unknown one refuses."""

NEVER = {
    11: "no rule relies on encryption, and manifests do not say where plaintext arises",
    14: "manifests name no sub-processors",
    18: "manifests declare no erasure path",
    19: "manifests declare no media",
}


def invariants(problem: Problem) -> tuple[tuple[int, ...], dict[str, str]]:
    """Return the numbers that are checked, and for the others why not."""
    lacking = {**NEVER, **dict(_lacking(problem))}
    checked = {*ALWAYS, 1, 3, 4, 12, 13, 17} - set(lacking)
    return tuple(sorted(checked)), {str(number): lacking[number] for number in sorted(lacking)}


def _lacking(problem: Problem) -> Iterator[tuple[int, str]]:
    stages = [s for p in problem.pipelines.values() for s in (*p.spec.stages, *p.spec.fallbacks)]
    silent = [site.name for site in problem.sites.values() if site.spec.telemetry is None]
    if silent:
        yield 1, f"{len(silent)} of {len(problem.sites)} sites do not say where their telemetry goes"
    if any(gate.parameters for policy in problem.policies.values() for gate in policy.spec.declassifiers):
        yield 3, "a declassifier names parameters, and no Pipeline gives any"
    if any(policy.spec.declassifiers for policy in problem.policies.values()):
        yield 4, "manifests do not say over which atoms an approver has authority"
    if any(site.spec.access.support is None for site in problem.sites.values()):
        yield 12, "a site gives no access.support"
    if not all(stage.purpose for stage in stages):
        yield 13, _none_or_some("purpose", sum(stage.purpose is None for stage in stages), len(stages))
    if not any(_keys(problem)):
        yield 17, "no atom gives keyRef"


def _keys(problem: Problem) -> Iterator[str | None]:
    yield from (pipeline.spec.input.key_ref for pipeline in problem.pipelines.values())
    yield from (atom.key_ref for model in problem.models.values() for atom in model.spec.trained_on or ())
    yield from (atom.key_ref for store in problem.stores.values() for atom in store.spec.data)


def _none_or_some(what: str, lacking: int, of: int) -> str:
    return f"no stage gives {what}" if lacking == of else f"{lacking} of {of} stages give no {what}"

"""How long a plan may hold: to the end of the window, or to the first day on which a fact that it rests on ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from placement.graph import ANSWER, INPUT
from placement.instance import instance_of
from placement.problem import Problem
from placement.rulings import Rulings
from sites.question import Window


def cut(problem: Problem) -> Problem:
    """Return the problem over the days for which every permit that counts on its first day still stands.

    Facts are asked as of the first day; the window then ends on the earliest last day among those that a permit
    rests on.
    """
    window = problem.window
    if not any(window.since <= day < window.until for day in _ends(problem)):
        return problem
    last = _asked(problem.during(Window(window.since, window.since))).ends
    return problem if last is None or last >= window.until else problem.during(Window(window.since, last))


def _asked(problem: Problem) -> Rulings:
    """Return the rulings of a problem, asked about each stage at each site, and of wires for what enters or answers.

    Once for each class of origins and of sites that the law can tell apart.
    """
    instance = instance_of(problem)
    cohorts = {id(workload.cohort): workload.cohort for workload in instance.workloads.values()}
    for cohort in cohorts.values():
        examples = instance.rulings.examples(cohort.pipeline.metadata.tenant)
        for stage in cohort.stages.values():
            for site in examples:
                cohort.permit(stage, site)
            for source, target in ((INPUT, stage.name), (stage.name, ANSWER)):
                cohort.router.law.paths(cohort.labels.flow(source, target), is_async=stage.is_async)
    return instance.rulings


def _ends(problem: Problem) -> Iterator[dt.date]:
    """Yield the last day of every fact that a verdict could rest on."""
    for site in problem.sites.values():
        yield from (a.until for a in site.spec.assurances or () if a.until is not None)
    for policy in problem.policies.values():
        spec = policy.spec
        for facts in (spec.waivers, spec.no_pack, spec.declassifiers):
            yield from (fact.until for fact in facts)
        yield from (i.until for i in spec.instruments if i.until is not None)
        yield from (rule.validity.until for rule in spec.rules if rule.validity.until is not None)
    for pack in problem.packs.values():
        yield from (rule.validity.until for rule in pack.spec.rules if rule.validity.until is not None)

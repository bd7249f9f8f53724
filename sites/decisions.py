"""Which questions a placement raises: at a site, and on each hop of a flow.

The table "what a plan must decide" of design/residency.md, row by row; planner, decision table and explanation all
ask through here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sites.country import country_of
from sites.data import UNKNOWN_LABEL, Label, reidentified
from sites.question import Question, taking_part, with_subprocessors
from sites.site import Activity, Link, Site
from sites.verdict import Evaluator, Verdict, permit, worst


def stage_activities(*, retains: bool, queues: bool, failover: bool) -> tuple[Activity, ...]:
    """Return what happens at a site that runs a stage, `access` left out: it is asked once per party."""
    kept: tuple[Activity, ...] = ("store", "backup") if retains or queues else ()
    return ("process", "log", *kept, *(("failover",) if failover else ()))


def stage_questions(
    label: Label, site: Site, origin: Site, *, purpose: str | None, retains: bool, queues: bool, failover: bool
) -> Iterator[Question]:
    """Yield every question that a stage raises at `site`, atom by atom.

    The label holds for logs and metrics too: where `telemetry` names another place, `log` is asked there as well. What
    is pseudonymised and meets its key in the label is asked about as identified too (invariant 17).

    Args:
        label: of the stage; an empty one is the unlabelled atom.
        site: where it would run.
        origin: where the data is born.
        purpose: the stage's, if it gives one.
        retains: whether it retrieves or retains.
        queues: whether it queues here (it is `async`, or this is a `queue` target).
        failover: whether this is a fallback or overflow target.
    """
    parties = taking_part(site)
    activities = stage_activities(retains=retains, queues=queues, failover=failover)
    for atom in (*(label or UNKNOWN_LABEL), *reidentified(label)):
        for activity in activities:
            place = site.spec.activities.get(activity, site.spec.location)
            yield Question(atom, activity, place, parties, purpose, origin, site)
        if site.spec.telemetry not in (None, "none", site.spec.activities.get("log", site.spec.location)):
            yield Question(atom, "log", site.spec.telemetry, parties, purpose, origin, site)
        for looking in parties:
            place = None if looking.party is None else looking.party.country
            yield Question(atom, "access", place, (looking,), purpose, origin, site)


def decide_stage(
    evaluator: Evaluator,
    label: Label,
    site: Site,
    origin: Site,
    *,
    purpose: str | None = None,
    retains: bool = False,
    queues: bool = False,
    failover: bool = False,
) -> Verdict:
    """Return the verdict on a stage at a site: the worst over all its questions (arguments as `stage_questions`)."""
    asked = stage_questions(
        label, site, origin, purpose=purpose, retains=retains, queues=queues, failover=failover
    )  # fmt: skip
    return worst((question, evaluator.decide(question)) for question in asked)


def permit_stage(
    evaluator: Evaluator,
    label: Label,
    site: Site,
    origin: Site,
    *,
    purpose: str | None = None,
    retains: bool = False,
    queues: bool = False,
    failover: bool = False,
) -> Verdict | None:
    """Return the permit of a stage at a site, or None at the first question that is refused (as `decide_stage`)."""
    asked = stage_questions(
        label, site, origin, purpose=purpose, retains=retains, queues=queues, failover=failover
    )  # fmt: skip
    return permit((question, evaluator.decide(question)) for question in asked)


def hop_places(link: Link, a: Site, b: Site) -> tuple[str | None, ...]:
    """Return the countries that a hop touches, ends first; None stands for one that nobody named."""
    ends = [None if site.spec.location is None else country_of(site.spec.location) for site in (a, b)]
    return tuple(dict.fromkeys([*ends, *((None,) if link.transit is None else link.transit)]))


def hop_questions(label: Label, link: Link, a: Site, b: Site, origin: Site) -> Iterator[Question]:
    """Yield every question that the hop from `a` to `b` over `link` raises, atom by atom.

    Unless TLS passes through, whoever ends it processes in each of the hop's countries, and so does each of its
    sub-processors.
    """
    parties = (*taking_part(a), *taking_part(b))
    ending = () if link.tls == "passthrough" else tuple(with_subprocessors("intermediary", link.intermediary))
    for atom in label or UNKNOWN_LABEL:
        for place in hop_places(link, a, b):
            yield Question(atom, "transit", place, parties, None, origin, None, (a, b))
            for involved in ending:
                yield Question(atom, "process", place, (involved,), None, origin, None, (a, b))


def decide_hop(evaluator: Evaluator, label: Label, link: Link, a: Site, b: Site, origin: Site) -> Verdict:
    """Return the verdict on one hop of a flow with `label` that began at `origin`; direction does not matter."""
    return worst((question, evaluator.decide(question)) for question in hop_questions(label, link, a, b, origin))


def permit_hop(evaluator: Evaluator, label: Label, link: Link, a: Site, b: Site, origin: Site) -> Verdict | None:
    """Return the permit of one hop, or None at the first question that is refused (as `decide_hop`)."""
    return permit((question, evaluator.decide(question)) for question in hop_questions(label, link, a, b, origin))


def decision_json(question: Question, verdict: Verdict) -> dict[str, Any]:
    """Return one decision as `explain --output json` prints it; `party` is null where several take part."""
    alone = question.parties[0] if len(question.parties) == 1 else None
    return {
        "data": question.atom.data,
        "activity": question.activity,
        "place": question.place,
        "party": None if alone is None else f"{alone.role}: {'unknown' if alone.party is None else alone.party.name}",
        "verdict": str(verdict.outcome),
        "rules": list(verdict.rules),
    }

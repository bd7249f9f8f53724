"""How long a plan may hold: what a permit rests on ends the window, what nobody needs does not."""

from __future__ import annotations

import datetime as dt

from placement.horizon import cut
from placement.problem import Problem
from sites.question import Window
from tests.support.placement import a_clinic, a_model, a_pipeline, a_problem, a_region
from tests.support.sites import a_policy, a_rule

DAY = dt.date(2027, 1, 15)
CERTIFIED = a_rule("certified", "require", assurances=["HDS"])


def held(until: dt.date) -> list[dict[str, str]]:
    """Return an assurance that a site holds until a day."""
    return [{"scheme": "HDS", "until": str(until)}]


def a_certified_fleet(region_until: dt.date) -> Problem:
    """Return a clinic and a region that a policy wants certified."""
    far = dt.date(2030, 1, 1)
    clinic = a_clinic(links=["dc"], assurances=held(far))
    region = a_region(assurances=held(region_until))
    return a_problem(clinic, region, a_model(), a_pipeline(), a_policy(a_rule(), CERTIFIED, packs=["law"]))


def test_a_certificate_that_ends_within_the_window_ends_it() -> None:
    problem = a_certified_fleet(DAY)
    assert problem.window.since < DAY < problem.window.until
    assert cut(problem).window == Window(problem.window.since, DAY)


def test_a_certificate_that_outlasts_the_window_leaves_it() -> None:
    problem = a_certified_fleet(dt.date(2029, 1, 1))
    assert cut(problem).window == problem.window

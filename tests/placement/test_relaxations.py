"""Whatever refuses a site can be set aside, so that it can be tried as a cause: one fleet for each kind of refusal."""

from __future__ import annotations

from typing import Any

import pytest

from placement.explanation.relaxations import RELAXATIONS, relax
from placement.instance import instance_of
from sites.noun import Noun
from tests.support.placement import a_clinic, a_knowledge, a_model, a_pipeline, a_problem, a_region, a_stage, a_variant
from tests.support.sites import a_box, a_link, a_policy, a_rule

RECALL: dict[str, Any] = {"task": "retrieve", "models": ["encoder"], "knowledge": "protocols", "output": "6KiB"}
FAR = [a_link("dc")]


def refuses(*nouns: Noun, **spec: Any) -> list[Noun]:
    """Return a clinic, a region and a pipeline, with what is given in their place."""
    kinds = {type(noun) for noun in nouns}
    usual: list[Noun] = [a_clinic(links=FAR), a_model(), a_pipeline(**spec)]
    kept = [noun for noun in usual if type(noun) not in kinds]
    regions = [] if any(noun.metadata.name == "dc" for noun in nouns if hasattr(noun, "metadata")) else [a_region()]
    return [*nouns, *kept, *regions]


FLEETS: dict[str, list[Noun]] = {
    "approval:small": refuses(a_model(state="candidate")),
    "apart:operator": refuses(
        a_region(parties={}), a_clinic(links=FAR),
        a_pipeline("mail", a_stage("one"), a_stage("two"), apart=[{"stages": ["one", "two"], "by": "operator"}]),
    ),
    "hardware:accelerator": refuses(a_model("small", a_variant(needs={"accelerator": "1/2"}))),
    "hardware:cpus": refuses(a_model("small", a_variant(needs={"cpus": 100}))),
    "hardware:disk": refuses(a_model("small", a_variant(needs={"disk": "100TiB"}))),
    "hardware:memory": refuses(a_model("small", a_variant(needs={"memory": "1TiB"}))),
    "hardware:none": refuses(a_region(hardware=[]), a_clinic(links=FAR)),
    "hardware:speed": refuses(a_region(hardware=[a_box(arch="aarch64")]), a_clinic(links=FAR)),
    "knowledge:protocols": refuses(
        a_model("encoder", task="embed"), a_knowledge(sites={"role": "clinic"}),
        a_pipeline("mail", a_stage("recall", **RECALL)),
    ),
    "link:disconnected": refuses(a_clinic(mode="disconnected")),
    "link:intermittent": refuses(a_clinic(links=FAR, mode="intermittent")),
    "link:none": refuses(a_clinic()),
    "pin:triage": refuses(a_pipeline("mail", a_stage(sites=["clinic"]))),
    "quality:accuracy": refuses(a_pipeline("mail", a_stage(quality={"accuracy": 0.95}))),
    "residency:org/near": refuses(
        a_region("dc", "US"), a_clinic(links=FAR),
        a_policy(a_rule(), a_rule("near", "require", countries=["FR"]), packs=["law"]),
    ),
    "residency:unlabelled": refuses(a_pipeline(input={"data": []})),
    "serves:own": refuses(a_region(serves="own"), a_clinic(links=FAR)),
    "spread:triage": refuses(
        a_region(parties={}), a_clinic(links=FAR),
        a_pipeline(spread=[{"stage": "triage", "by": "operator", "most": 0.5}]),
    ),
    "taint:moving": refuses(a_region(taints=[{"name": "moving", "reason": "out in May"}]), a_clinic(links=FAR)),
}  # fmt: skip

BINDING = {"capacity", "latency", "survive"}
"""Kinds that no site's refusal names: they bind the workload as a whole."""

ELSEWHERE = {"declassifier", "erasure", "media", "retention"}
"""Kinds of which tests/placement/test_declassifiers.py and test_safeguards.py hold the fleets."""


@pytest.mark.parametrize("family", FLEETS)
def test_what_refuses_is_gone_when_it_is_set_aside_and_nothing_new_refuses(family: str) -> None:
    problem = a_problem(*FLEETS[family])
    before, after = refusals(problem), refusals(relax(problem, [family]))
    refused = [key for key, rules in before.items() if family in rules]
    assert refused
    for key in refused:
        assert family not in after.get(key, set())
    assert all(rules <= before.get(key, set()) for key, rules in after.items())


def refusals(problem: Any) -> dict[tuple[str, str, str], set[str]]:
    """Return the rules against each site, by workload, stage and site."""
    return {
        (name, stage, site): {reason.rule for reason in reasons}
        for name, workload in instance_of(problem).workloads.items()
        for stage, sites in workload.refusals.items()
        for site, reasons in sites.items()
    }


def test_every_kind_of_family_is_tried_here_or_where_it_is_at_home() -> None:
    assert {family.partition(":")[0] for family in FLEETS} | BINDING | ELSEWHERE == set(RELAXATIONS)

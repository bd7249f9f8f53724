"""A problem without one rule of its law: for the test of a cause, and for the price of a rule. Never for a plan."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import TypeVar

from placement.pipeline import Pipeline
from placement.problem import Problem
from sites.data import UNLABELLED
from sites.policy import NoPack, Pack, Policy, Rule

P = TypeVar("P", Policy, Pack)

LEGAL = "residency:"
"""How the families begin that are rules of law: their price may be told, their relaxation is never proposed."""

PERMIT_ALL = Rule(
    id="set-aside", effect="permit", data="all", activities="all", source="a relaxation", confidence="high"
)


def without_law(problem: Problem, name: str) -> Problem:
    """Return the problem without the rule `layer/rule`; what only unknown facts refuse stays refused.

    A requirement or prohibition is removed. A permit that does not hold, and a layer without any (`layer/no-permit`),
    gets one that permits everything. `no-pack/CC` gets a person's word. Where `unlabelled` refuses, somebody says what
    the data is. `pack/applicability` goes with its pack.
    """
    layer, _, rule = name.partition("/")
    if name == UNLABELLED:
        return _labelled(problem)
    if rule == "applicability":
        return replace(problem, policies={t: _without_pack(p, layer) for t, p in problem.policies.items()})
    if layer == "no-pack":
        return replace(problem, policies={t: _excused(p, rule) for t, p in problem.policies.items()})
    policies = {
        tenant: _without(policy, rule) if policy.name == layer else policy
        for tenant, policy in problem.policies.items()
    }
    packs = {key: _without(pack, rule) if key == layer else pack for key, pack in problem.packs.items()}
    return replace(problem, policies=policies, packs=packs)


def _without(holder: P, rule: str) -> P:
    spec = holder.spec.model_copy(update={"rules": _left(holder.spec.rules, rule)})
    return holder.model_copy(update={"spec": spec})


def _left(rules: tuple[Rule, ...], gone: str) -> tuple[Rule, ...]:
    is_permit = gone == "no-permit" or any(rule.id == gone and rule.effect == "permit" for rule in rules)
    kept = tuple(rule for rule in rules if rule.id != gone)
    return (*kept, PERMIT_ALL) if is_permit else kept


def _labelled(problem: Problem) -> Problem:
    """Take every model that says nothing as trained on nothing restricted, every such input as what may be served."""
    models = {
        name: model.model_copy(
            update={"spec": model.spec.model_copy(update={"trained_on": model.spec.trained_on or ()})}
        )
        for name, model in problem.models.items()
    }
    pipelines = {name: _described(p, problem.policies[p.metadata.tenant]) for name, p in problem.pipelines.items()}
    return replace(problem, models=models, pipelines=pipelines)


def _described(pipeline: Pipeline, policy: Policy) -> Pipeline:
    """Return a pipeline whose input is of the first class that the organisation permits, for all it is used for."""
    spec = pipeline.spec
    if spec.input.data:
        return pipeline
    named = (rule.data for rule in policy.spec.rules if rule.effect == "permit" and rule.data != "all")
    data = next(named, ("system.operations",))[:1]
    purposes = tuple(sorted({stage.purpose for stage in (*spec.stages, *spec.fallbacks) if stage.purpose}))
    given = spec.input.model_copy(update={"data": data, "purposes": spec.input.purposes or purposes})
    return pipeline.model_copy(update={"spec": spec.model_copy(update={"input": given})})


def _without_pack(policy: Policy, name: str) -> Policy:
    """Return a policy without a pack; for countries that only it speaks for, `no-pack/CC` then refuses."""
    spec = policy.spec.model_copy(update={"packs": tuple(pack for pack in policy.spec.packs if pack != name)})
    return policy.model_copy(update={"spec": spec})


def _excused(policy: Policy, country: str) -> Policy:
    word = NoPack(country=country, reason="a relaxation", by="nobody", until=dt.date.max)
    spec = policy.spec.model_copy(update={"no_pack": (*policy.spec.no_pack, word)})
    return policy.model_copy(update={"spec": spec})

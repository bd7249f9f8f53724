"""Honest builders of pipelines, models, knowledge and problems, with knobs to make one thing wrong at a time.

Manifest spelling in keyword arguments, as in `tests.support.sites`; a problem of these nouns permits everything unless
its policy says otherwise.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from placement.catalogue import Model
from placement.knowledge import Knowledge
from placement.pipeline import Pipeline
from placement.problem import Problem, problem_of
from sites.noun import Noun
from sites.policy import Pack, Policy
from sites.site import Site
from tests.support.sites import WINDOW, a_box, a_fleet, a_link, a_pack, a_policy, a_rule, a_site

DIGEST = "sha256:" + "0" * 64
EVERYWHERE = ("CH", "DE", "FR", "US")


def a_stage(name: str = "triage", **fields: Any) -> dict[str, Any]:
    """Return a stage that classifies with the model `small`, straight from the input."""
    return {"name": name, "task": "classify", "models": ["small"], "output": "200B", **fields}


def a_pipeline(name: str = "mail", *stages: dict[str, Any], **spec: Any) -> Pipeline:
    """Return a pipeline of these stages (none given: one) at every site labelled `role: clinic`."""
    given = {"data": ["system.operations"], "size": "2KiB", **spec.pop("input", {})}
    metadata = {"name": name, **({"tenant": spec.pop("tenant")} if "tenant" in spec else {})}
    facts = {"origins": {"role": "clinic"}, "rate": "0.5/s", "input": given, "stages": list(stages) or [a_stage()]}
    return Pipeline.model_validate({"metadata": metadata, "spec": {**facts, **spec}})


def a_variant(name: str = "w8", **fields: Any) -> dict[str, Any]:
    """Return a variant of one cpu that answers ten requests a second on x86_64."""
    needs = {"cpus": 1, "memory": "1GiB", "disk": "1GiB", **fields.pop("needs", {})}
    speed = [{"hardware": "x86_64", "service": "50ms", "throughput": "10/s"}]
    return {"name": name, "needs": needs, "quality": {"accuracy": 0.9}, "speed": speed, **fields}


def a_model(name: str = "small", *variants: dict[str, Any], **spec: Any) -> Model:
    """Return an approved classifier, trained on nothing restricted."""
    facts = {
        "task": "classify", "source": {"digest": DIGEST}, "licence": "Apache-2.0", "trainedOn": [],
        "state": "approved", "approval": {"by": "Board (example)", "on": "2026-11-20"},
        "variants": list(variants) or [a_variant()],
    }  # fmt: skip
    return Model.model_validate({"metadata": {"name": name}, "spec": {**facts, **spec}})


def a_knowledge(name: str = "protocols", **spec: Any) -> Knowledge:
    """Return a store of operations data under French law that may live anywhere."""
    data = [{"data": "system.operations", "law": ["FR"]}]
    facts = {"data": data, "sites": {}, "size": "40MB", "source": {"digest": DIGEST}}
    return Knowledge.model_validate({"metadata": {"name": name}, "spec": {**facts, **spec}})


def a_clinic(
    name: str = "clinic", location: str = "FR", *, links: Any = (), mode: str = "connected", **spec: Any
) -> Site:
    """Return a site at which requests are born; `links` are names or whole links."""
    wired = [a_link(link) if isinstance(link, str) else link for link in links]
    spec.setdefault("labels", {"role": "clinic"})
    return a_site(name, location, connectivity={"mode": mode, "links": wired}, **spec)


def a_region(name: str = "dc", location: str = "FR", *, price: str = "0.5 EUR/h", **spec: Any) -> Site:
    """Return a site that serves any origin with one large node."""
    box = a_box(name="rack", cpus=64, memory="256GiB", price=price)
    facts: dict[str, Any] = {"serves": "any", "hardware": [box], "connectivity": {"mode": "connected"}, **spec}
    return a_site(name, location, labels={"role": "region"}, **facts)


def a_law(*rules: dict[str, Any], **fields: Any) -> Pack:
    """Return a pack in force in a few countries that permits everything, unless rules are given."""
    return a_pack(*(rules or (a_rule("lawful"),)), name="law", countries=EVERYWHERE, **fields)


def a_problem(*nouns: Noun, law: Pack | None = None, root: Path = Path("fleet")) -> Problem:
    """Return the problem of these nouns under a permissive policy, unless one is among them."""
    policies = [noun for noun in nouns if isinstance(noun, Policy)]
    given = [*nouns, *([] if policies else [a_policy(packs=["law"])])]
    return problem_of(a_fleet(*given, given=(law or a_law(),), root=root), WINDOW)

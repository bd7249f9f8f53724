"""Two clinics and a data centre with the plan that the design asks for, every number worked out by hand.

u = 0.7 makes a stage last 13/6 of its service time. `draft` runs in Paris for Lyon; the ship has no wire and no GPU, so
`quote` serves there and `triage`, from which no answer can then be reached, does not run.
"""

from __future__ import annotations

from typing import Any

from placement.check import checker_digest
from sites.fleet import Fleet
from tests.support.check import SINCE, UNTIL, ZERO, Shape, a_fleet, a_pack, a_policy, a_rule, a_site

HEALTH, OPERATIONS = "user.health_and_medical", "system.operations"
PURPOSE = "essential.service"


def hardware(**changes: Any) -> Shape:
    """Return a small box: 8 cpus at 0.08 EUR/h."""
    box = {"name": "box", "count": 1, "arch": "x86_64", "isa": ["avx2"], "cpus": 8, "memory": "32GiB",
           "disk": "500GiB", "price": "0.08 EUR/h"}  # fmt: skip
    return {**box, **changes}


def speed(hardware: str, service: str, throughput: str) -> Shape:
    """Return one measured speed."""
    return {"hardware": hardware, "service": service, "throughput": throughput}


def a_model(name: str, task: str, needs: Shape, speed: Shape, variant: str = "w8", **spec: Any) -> Shape:
    """Return an approved model of one variant."""
    body = {
        "task": task, "source": {"package": name, "digest": ZERO}, "licence": "Apache-2.0", "trainedOn": [],
        "state": "approved", "approval": {"by": "Board (example)", "on": "2026-11-20"},
        "variants": [{"name": variant, "needs": needs, "quality": {"accuracy": 0.9}, "speed": [speed]}], **spec,
    }  # fmt: skip
    return {"kind": "Model", "metadata": {"name": name}, "spec": body}


def clinics() -> dict[str, Shape]:
    """Return the manifests by file."""
    small = {"cpus": 1, "memory": "110MiB", "disk": "26MB"}
    large = {"cpus": 4, "memory": "16GiB", "disk": "20GB", "accelerator": "1/2"}
    wire = {"to": "dc-paris", "bandwidth": "20Mbit/s", "rtt": "18ms", "price": "0.02 EUR/GB", "transit": ["FR"],
            "tls": "passthrough"}  # fmt: skip
    gpu = hardware(name="gpu", cpus=32, memory="256GiB", disk="2000GiB", price="2 EUR/h",
                   accelerators={"kind": "l4", "count": 2, "memory": "24GiB"})  # fmt: skip
    lyon = a_site("clinic-lyon", "FR-69", hardware=[hardware()], connectivity={"mode": "connected", "links": [wire]})
    paris = a_site("dc-paris", "FR", serves="any", hardware=[gpu])
    ship = a_site("ship", "FR", hardware=[hardware()], connectivity={"mode": "disconnected"})
    for clinic in (lyon, ship):
        clinic["metadata"]["labels"] = {"role": "clinic"}
    stages = [
        {"name": "triage", "task": "classify", "models": ["message-triage"], "quality": {"accuracy": 0.85},
         "output": "200B"},
        {"name": "recall", "task": "retrieve", "models": ["minilm"], "knowledge": "care-protocols", "output": "6KiB"},
        {"name": "draft", "task": "generate", "models": ["assistant"], "after": ["input", "triage", "recall"],
         "output": "1KiB", "fallback": ["quote"]},
    ]  # fmt: skip
    quote = {"name": "quote", "task": "quote", "after": ["recall"], "output": "1KiB"}
    pipeline = {
        "origins": {"role": "clinic"}, "priority": 10, "rate": "0.5/s", "latency": "3s",
        "input": {"data": [HEALTH], "identifiability": "identified", "purposes": [PURPOSE], "size": "2KiB"},
        "stages": [{**stage, "purpose": PURPOSE} for stage in stages], "fallbacks": [{**quote, "purpose": PURPOSE}],
    }  # fmt: skip
    store = {"data": [{"data": OPERATIONS, "law": ["FR"], "purposes": ["essential"]}], "sites": {"role": "clinic"},
             "size": "40MB", "source": {"path": "knowledge", "digest": ZERO}}  # fmt: skip
    policy = a_policy(
        a_rule(
            "health-european", "require", data=[HEALTH], compellableBy={"within": ["EU", "CH"]}, countries=["EU", "CH"]
        ),
        a_rule("operations-anywhere", data=[OPERATIONS]),
        a_rule("health-in-house", data=[HEALTH]),
        packs=["eu-law"],
    )
    return {
        "sites/clinic-lyon.yaml": {"kind": "Site", **lyon},
        "sites/dc-paris.yaml": {"kind": "Site", **paris},
        "sites/ship.yaml": {"kind": "Site", **ship},
        "pipeline.yaml": {"kind": "Pipeline", "metadata": {"name": "patient-message"}, "spec": pipeline},
        "models/triage.yaml": a_model("message-triage", "classify", small, speed("x86_64", "3ms", "300/s")),
        "models/minilm.yaml": a_model("minilm", "embed", small, speed("x86_64-avx2", "6ms", "150/s")),
        "models/assistant.yaml": a_model("assistant", "generate", large, speed("l4", "600ms", "2/s"), "fp16"),
        "knowledge.yaml": {"kind": "Knowledge", "metadata": {"name": "care-protocols"}, "spec": store},
        "policy.yaml": {"kind": "Policy", **policy, "metadata": {"name": "clinics"}},
    }  # fmt: skip


def laws() -> dict[str, Shape]:
    """Return the packs by name: one that permits inside the Union, and an org-default without rules."""
    eu = a_pack("eu-law", a_rule("inside", countries=["EU"]), countries=["EU"], jurisdiction=["EU"])
    return {"eu-law": eu, "org-default": a_pack("org-default", data=[], jurisdiction=[])}


RAW = [{"data": HEALTH, "law": ["FR"], "identifiability": "identified", "purposes": [PURPOSE]}]
BOTH = [{"data": OPERATIONS, "law": ["FR"], "purposes": ["essential"]}, *RAW]
RAW_RULES = ["clinics/health-in-house", "eu-law/inside"]
BOTH_RULES = ["clinics/health-in-house", "clinics/operations-anywhere", "eu-law/inside"]


def _stage(name: str, site: str, model: tuple[str, str, str] | None, label: list[Shape], rules: list[str]) -> Shape:
    keys = ("model", "variant", "hardware")
    chosen = dict(zip(keys, model or (None, None, None), strict=True))
    return {"stage": name, "site": site, **chosen, "label": label, "rules": [*rules, "invariant/13"]}


def _flow(ends: str, route: list[str], size: int, label: list[Shape], rules: list[str]) -> Shape:
    source, target = ends.split(">")
    return {
        "fromStage": source, "toStage": target, "from": route[0], "to": route[-1], "role": "primary", "route": route,
        "bytes": size, "rate": 0.5, "label": label, "verdict": "permit", "rules": rules if len(route) > 1 else [],
    }  # fmt: skip


def _spare(ends: str, size: int) -> Shape:
    """Return a flow that runs at Lyon when `quote` takes over there."""
    return {**_flow(ends, ["clinic-lyon"], size, BOTH, []), "role": "fallback", "rate": 0.0}


def _workload(
    origin: str, status: str, stages: list[Shape], flows: list[Shape], order: list[Shape], ms: float, cost: float
) -> Shape:
    return {
        "id": f"patient-message@{origin}", "pipeline": "patient-message", "origin": origin, "tenant": "default",
        "rate": 0.5, "status": status, "assignments": [{"fraction": 1.0, "stages": stages, "flows": flows}],
        "fallbacks": [{"stage": "draft", "order": order}], "latency_ms": {"modelled": ms, "limit": 3000.0},
        "costPerHour": cost,
    }  # fmt: skip


def _pool(site: str, model: str, variant: str, group: str, utilisation: float, devices: list[int]) -> Shape:
    nodes = {f"{group}-0": {"replicas": 1, "accelerators": devices}}
    return {"site": site, "model": model, "variant": variant, "hardware": group, "replicas": 1, "nodes": nodes,
            "load": 0.5, "utilisation": utilisation}  # fmt: skip


def the_plan(fleet: Fleet) -> Shape:
    """Return the valid plan of `clinics()`, bound to the digests of `fleet`."""
    triage, minilm, assistant = ("message-triage", "w8", "box"), ("minilm", "w8", "box"), ("assistant", "fp16", "gpu")
    here, wire, back, aboard = ["clinic-lyon"], ["clinic-lyon", "dc-paris"], ["dc-paris", "clinic-lyon"], ["ship"]
    lyon = _workload(
        "clinic-lyon", "placed",
        [_stage("triage", "clinic-lyon", triage, RAW, RAW_RULES),
         _stage("recall", "clinic-lyon", minilm, BOTH, BOTH_RULES),
         _stage("draft", "dc-paris", assistant, BOTH, BOTH_RULES)],
        [_flow("input>triage", here, 2048, RAW, RAW_RULES), _flow("input>recall", here, 2048, RAW, RAW_RULES),
         _flow("input>draft", wire, 2048, RAW, RAW_RULES), _flow("triage>draft", wire, 200, RAW, RAW_RULES),
         _flow("recall>draft", wire, 6144, BOTH, BOTH_RULES), _flow("draft>answer", back, 1024, BOTH, BOTH_RULES),
         _spare("quote>answer", 1024), _spare("recall>quote", 6144)],
        [{"stage": "quote", "site": "clinic-lyon"}, {"queue": "clinic-lyon"}],
        1333.867,  # recall 13, half of 18 and 6144 B at 20 Mbit/s 2.4576, draft 1300, 9 and 1024 B back 0.4096
        0.520339,  # two eighths of the box at 0.01, a quarter of the GPU node at 0.5, and its egress
    )  # fmt: skip
    ship = _workload(
        "ship", "degraded",
        [_stage("recall", "ship", minilm, BOTH, BOTH_RULES), _stage("quote", "ship", None, BOTH, BOTH_RULES)],
        [_flow("input>recall", aboard, 2048, RAW, []), _flow("recall>quote", aboard, 6144, BOTH, []),
         _flow("quote>answer", aboard, 1024, BOTH, [])],
        [{"queue": "ship"}], 13.0, 0.01,
    )  # fmt: skip
    return {
        "apiVersion": "hybrid/v1", "kind": "Plan", "from": SINCE.isoformat(), "until": UNTIL.isoformat(),
        "inputs": {**fleet.digests, "checker": checker_digest()},
        "engine": {"name": "by hand", "version": "1", "work": 0, "seed": 0},
        "workloads": [lyon, ship], "unplaced": [],
        "pools": [
            _pool("clinic-lyon", *triage, 0.00166666667, []), _pool("clinic-lyon", *minilm, 0.00333333333, []),
            _pool("dc-paris", *assistant, 0.25, [0]), _pool("ship", *minilm, 0.00333333333, []),
        ],
        "invariants": {"checked": [1, 2, 6], "notChecked": {"18": "no stage gives retain"}},
        # Three boxes' eighths at 0.01 and a quarter of the GPU node at 0.5; 1,800 requests of 9,416 B at 0.02 EUR/GB.
        "cost": {"currency": "EUR", "perHour": 0.530339, "billedPerHour": 2.160339, "egressPerHour": 0.000339,
                 "lowerBoundPerHour": 0.530339, "gap": 0.0, "gapOver": "all"},
    }  # fmt: skip


def fleet_and_plan() -> tuple[Fleet, Shape]:
    """Return the valid pair."""
    fleet = a_fleet(clinics(), laws())
    return fleet, the_plan(fleet)

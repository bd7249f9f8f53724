"""Joins what runs with what was planned: nodes by their labels, replicas by their nodes, applications by plan digest.

Labels are declared by the nodes and attested by nobody: what is compared here is the declaration with the inventory of
the plan. Where data could be served outside its plan the application is drained; a missing replica is only reported.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hybrid.cluster.compile import Node
from hybrid.cluster.schema import NODE, SITE, Application, ServeConfig

RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference; `drains` names the applications that must not go on serving."""

    what: str
    drains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What was observed: labels by node id, and applications as the keeper tells them."""

    nodes: Mapping[str, Mapping[str, str]]
    applications: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, observed: Mapping[str, Any]) -> Live:
        """Read the keeper's answer to `observe`."""
        return cls({node["id"]: node["labels"] for node in observed["nodes"]}, observed["applications"])

    def running_on(self, name: str) -> list[str]:
        """Return the node ids of an application's running replicas."""
        replicas = self.applications.get(name, {}).get("replicas", ())
        return [replica["node"] for replica in replicas if replica["state"] == RUNNING]


def compare(config: ServeConfig, nodes: tuple[Node, ...], live: Live) -> tuple[Finding, ...]:
    """Return every difference between plan and reality; empty when they agree. Pure."""
    return (*_nodes(nodes, live), *_applications(config, live))


def _nodes(planned: tuple[Node, ...], live: Live) -> Iterator[Finding]:
    inventory = {node.name: node.labels for node in planned}
    claimed = Counter(labels[NODE] for labels in live.nodes.values() if NODE in labels)
    for identifier, labels in sorted(live.nodes.items()):
        if SITE not in labels and NODE not in labels:
            continue  # a node that claims nothing is given nothing: every replica is pinned
        name = labels.get(NODE, "")
        ours = {key: value for key, value in labels.items() if key.startswith("hybrid/")}
        there = tuple(sorted(app for app in live.applications if identifier in live.running_on(app)))
        if name not in inventory:
            yield Finding(
                f"node {identifier[:12]} says it is {name or 'nameless'} at {labels.get(SITE)}: not planned", there
            )
        elif ours != dict(inventory[name]):
            yield Finding(f"node {name} says {_say(ours)}, planned {_say(inventory[name])}", there)
        elif claimed[name] > 1:
            yield Finding(f"{claimed[name]} nodes say they are {name}", there)
    for name in sorted(inventory.keys() - claimed.keys()):
        yield Finding(f"node {name} is planned and not there")


def _applications(config: ServeConfig, live: Live) -> Iterator[Finding]:
    planned = {application.name: application for application in config.applications}
    for name in sorted(live.applications.keys() - planned.keys()):
        yield Finding(f"application {name} is not planned", (name,))
    for name, application in sorted(planned.items()):
        if name not in live.applications:
            yield Finding(f"application {name} is planned and not there")
        else:
            yield from _application(application, live)


def _application(planned: Application, live: Live) -> Iterator[Finding]:
    name, found = planned.name, live.applications[planned.name]
    digest = found["args"].get("admission", {}).get("plan_digest")
    if digest != planned.args.admission.plan_digest:
        yield Finding(f"{name} runs plan {digest}, wanted {planned.args.admission.plan_digest}", (name,))
    elif found["args"] != planned.args.model_dump(mode="json"):
        yield Finding(f"{name} runs with other arguments than planned", (name,))
    deployment = planned.deployments[0]
    pin = deployment.ray_actor_options.label_selector
    on = live.running_on(name)
    for identifier in on:
        labels = live.nodes.get(identifier, {})
        if any(labels.get(key) != value for key, value in pin.items()):
            yield Finding(f"a replica of {name} runs on a node that says {_say(labels)}, planned {_say(pin)}", (name,))
    if len(on) != deployment.num_replicas or found["status"] != RUNNING:
        why = f": {found['message']}" if found["message"] else ""
        yield Finding(f"{name} has {len(on)} of {deployment.num_replicas} replicas ({found['status']}){why}")


def _say(labels: Mapping[str, str]) -> str:
    return (
        ", ".join(f"{key}={value}" for key, value in sorted(labels.items()) if key.startswith("hybrid/")) or "nothing"
    )


def record(log: Path, at: dt.datetime, plan_digest: str, findings: tuple[Finding, ...]) -> None:
    """Append what a check found to a log of JSON lines."""
    line = {
        "at": at.isoformat(timespec="seconds"), "kind": "live-check", "planDigest": plan_digest,
        "findings": [asdict(finding) for finding in findings],
    }  # fmt: skip
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line, ensure_ascii=False) + "\n")

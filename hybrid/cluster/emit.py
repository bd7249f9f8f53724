"""Writes a compiled region for those who run it: `serve.yaml`, or a KubeRay RayService around the same text."""

from __future__ import annotations

from typing import Any

from hybrid.cluster.compile import Node, Region
from hybrid.cluster.schema import HARDWARE, SITE

RAY_VERSION = "2.60.0"
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
}
"""What every Ray process runs with: authenticated, silent towards the outside, and fast."""


def serve_yaml(region: Region) -> str:
    """Return the configuration as YAML; the same region gives the same bytes."""
    head = f"# Written by `hybrid cluster compile` from plan {region.plan_digest}; do not edit.\n"
    return head + _yaml(region.config.plain())


def kuberay_yaml(region: Region, *, image: str, name: str) -> str:
    """Return a RayService for KubeRay: one worker group per site and hardware, pinned by node labels.

    The pods' nodes must carry `hybrid/site` and `hybrid/hardware`; the token comes from a Secret `NAME-token`.
    """
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in region.nodes:
        groups.setdefault((node.labels[SITE], node.labels[HARDWARE]), []).append(node)
    service = {
        "apiVersion": "ray.io/v1",
        "kind": "RayService",
        "metadata": {"name": name},
        "spec": {
            "serveConfigV2": serve_yaml(region),
            "rayClusterConfig": {
                "rayVersion": RAY_VERSION,
                "headGroupSpec": {
                    "rayStartParams": {"num-cpus": "0", "dashboard-host": "127.0.0.1"},
                    "template": _pod(image, name, {SITE: region.sites[0]}, {}),
                },
                "workerGroupSpecs": [_group(image, name, nodes) for _, nodes in sorted(groups.items())],
            },
        },
    }
    return _yaml(service)


def _group(image: str, name: str, nodes: list[Node]) -> dict[str, Any]:
    first, count = nodes[0], len(nodes)
    pin = {key: first.labels[key] for key in (SITE, HARDWARE)}
    limits: dict[str, Any] = {"cpu": first.cpus, "memory": first.memory}
    if first.gpus:
        limits["nvidia.com/gpu"] = first.gpus
    return {
        "groupName": f"{first.labels[SITE]}-{first.labels[HARDWARE]}",
        "replicas": count,
        "minReplicas": count,
        "maxReplicas": count,
        "labels": pin,
        "rayStartParams": {},
        "template": _pod(image, name, pin, {"limits": limits, "requests": limits}),
    }


def _pod(image: str, name: str, pin: dict[str, str], resources: dict[str, Any]) -> dict[str, Any]:
    token = {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": f"{name}-token", "key": "token"}}}
    environment = [{"name": key, "value": value} for key, value in ENVIRONMENT.items()]
    container: dict[str, Any] = {"name": "ray", "image": image, "env": [*environment, token]}
    if resources:
        container["resources"] = resources
    return {"spec": {"nodeSelector": pin, "automountServiceAccountToken": False, "containers": [container]}}


def _yaml(value: Any) -> str:
    """Write YAML without aliases, and with texts of several lines as they are."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, data: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", data, style="|" if "\n" in data else None)

    Plain.add_representer(str, text)
    written: str = yaml.dump(value, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110)
    return written

"""Compiles the pools that a plan puts at some sites into a Serve configuration; the same input, the same bytes.

One cluster never spans a legal border, so all sites are of one country. Every pool becomes one application with one
deployment, pinned to its site and hardware. Fallbacks to other sites are not compiled: the gateway takes them, because
each is checked again before it is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.cluster import schema
from hybrid.errors import HybridError, InputError
from placement.catalogue import Model, Variant
from placement.problem import Problem
from sites.site import Hardware, Site

ONGOING = 4
"""Requests that a replica works on at once: generation shares its cores, so more only makes each slower."""
QUEUED = 32
"""Requests that wait per proxy before 503 with Retry-After; without it a dead site's requests wait for ever."""
TASKS = frozenset({"generate", "classify", "embed"})
"""What replicas run. A retrieve stage runs in the gateway's own process, beside the index."""
TIMEOUT_S, LEAST_TIMEOUT_S = 30.0, 5.0


class BorderError(HybridError):
    """The cluster would span a legal border."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the cluster as the plan wants it: its labels and what it offers (memory in bytes)."""

    name: str
    labels: Mapping[str, str]
    cpus: int
    memory: int
    gpus: int


@dataclass(frozen=True, slots=True)
class Region:
    """What a region runs: the configuration, and the nodes that the plan counts on."""

    sites: tuple[str, ...]
    country: str
    plan_digest: str
    config: schema.ServeConfig
    nodes: tuple[Node, ...]


def compile_region(
    plan: Mapping[str, Any], plan_digest: str, problem: Problem, sites: tuple[str, ...], *,
    models: Path, site_plan: Mapping[str, Any] | None,
) -> Region:  # fmt: skip
    """Compile the pools that `plan` has at `sites`.

    Args:
        plan: the parsed plan.json, and `plan_digest` of its bytes (`sha256:…`).
        problem: the fleet it was made from.
        models: folder with `<model>/<variant>/` of each pool's files.
        site_plan: the verified site plan whose gateway keys are admitted; None admits nobody.

    Raises:
        BorderError: the sites lie in different countries.
        InputError: a site is unknown, has no pool, or the site plan belongs to another plan.
    """
    country = _country(problem, sites)
    pools = sorted((p for p in plan["pools"] if p["site"] in sites and _tasks(p, plan, problem) & TASKS), key=_name)
    if not pools:
        raise InputError(
            f"the plan has no pool at {', '.join(sites)}",
            advice="see the pools with `hybrid plan`, and name their site",
        )
    admission = _admission(plan_digest, site_plan, sites)
    applications = []
    for pool in pools:
        model, variant, _ = _nouns(pool, problem)
        args = _args(pool, model, variant, models, admission)
        applications.append(_application(pool, variant, args))
    config = schema.ServeConfig(
        http_options=schema.HttpOptions(request_timeout_s=_timeout(plan, sites)), applications=tuple(applications)
    )
    return Region(sites, country, plan_digest, config, tuple(_nodes(pools, problem)))


def _country(problem: Problem, sites: tuple[str, ...]) -> str:
    countries: dict[str, list[str]] = {}
    for name in sites:
        if name not in problem.sites:
            raise InputError(f"{name}: no such site in the fleet", advice="check --site against `hybrid validate`")
        place = problem.sites[name].spec.location
        if place is None:
            raise BorderError(f"{name} has no location, so its law is unknown", advice="state the site's location")
        countries.setdefault(str(place)[:2], []).append(name)
    if len(countries) > 1:
        named = ", ".join(f"{', '.join(names)} in {code}" for code, names in sorted(countries.items()))
        raise BorderError(f"one cluster never spans a legal border: {named}", advice="compile one cluster per country")
    return next(iter(countries))


def _admission(
    plan_digest: str, site_plan: Mapping[str, Any] | None, sites: tuple[str, ...]
) -> dict[str, schema.Admission]:
    if site_plan is None:
        return {site: schema.Admission(plan_digest=plan_digest, epoch=1) for site in sites}
    if site_plan["planDigest"] != plan_digest:
        raise InputError(
            f"the site plan belongs to plan {site_plan['planDigest'][:19]}…, this is {plan_digest[:19]}…",
            advice="install the bundle built from this plan first, or compile the plan that is installed",
        )
    gone = set(site_plan.get("revoked", ()))
    return {
        site: schema.Admission(
            plan_digest=plan_digest,
            epoch=site_plan["epoch"],
            keys=tuple(
                schema.Key(keyid=key["keyid"], public_key=key["publicKey"], since=key["from"], until=key["until"])
                for key in site_plan["keys"]
                if key["use"] == "passport" and key["site"] == site and key["keyid"] not in gone
            ),
        )
        for site in sites
    }


def _name(pool: Mapping[str, Any]) -> str:
    """Return a pool's name; pools that tenants or labels must not share differ in their partition."""
    parts = [pool["site"], pool["model"], pool["variant"], pool["hardware"]]
    if partition := pool.get("partition"):
        parts.append(partition)
    return ".".join(parts)


def _tasks(pool: Mapping[str, Any], plan: Mapping[str, Any], problem: Problem) -> set[str]:
    """Return the tasks of the stages that the plan gives to a pool."""
    tasks: set[str] = set()
    for workload in plan["workloads"]:
        spec = problem.pipelines[workload["pipeline"]].spec
        task_of = {stage.name: stage.task for stage in (*spec.stages, *spec.fallbacks)}
        for assignment in workload["assignments"]:
            tasks |= {
                task_of[stage["stage"]]
                for stage in assignment["stages"]
                if all(stage.get(key) == pool[key] for key in ("site", "model", "variant", "hardware"))
            }
    return tasks


def _nouns(pool: Mapping[str, Any], problem: Problem) -> tuple[Model, Variant, Hardware]:
    model, site = problem.models.get(pool["model"]), problem.sites[pool["site"]]
    variant = next((v for v in model.spec.variants if v.name == pool["variant"]), None) if model else None
    group = _group(site, pool["hardware"])
    if model is None or variant is None or group is None:
        raise InputError(
            f"the pool {_name(pool)} names what the fleet does not have", advice="plan this fleet again: it has changed"
        )
    return model, variant, group


def _group(site: Site, name: str) -> Hardware | None:
    return next((group for group in site.spec.hardware if group.name == name), None)


def _args(
    pool: Mapping[str, Any], model: Model, variant: Variant, models: Path, admission: Mapping[str, schema.Admission]
) -> schema.StageArgs:
    return schema.StageArgs.model_validate({
        "site": pool["site"], "model": pool["model"], "variant": pool["variant"], "hardware": pool["hardware"],
        "task": model.spec.task, "directory": str(models / pool["model"] / pool["variant"]),
        "files": dict(sorted(variant.files.items())), "admission": admission[pool["site"]],
    })  # fmt: skip


def _application(pool: Mapping[str, Any], variant: Variant, args: schema.StageArgs) -> schema.Application:
    cpus, gpus = float(variant.needs.cpus), (variant.needs.accelerator or 0) / 8
    pin = {schema.SITE: pool["site"], schema.HARDWARE: pool["hardware"]}
    deployment = schema.Deployment(
        num_replicas=pool["replicas"],
        max_ongoing_requests=ONGOING,
        max_queued_requests=QUEUED,
        graceful_shutdown_wait_loop_s=1.0,
        graceful_shutdown_timeout_s=10.0,
        health_check_period_s=2.0,
        health_check_timeout_s=10.0,
        ray_actor_options=schema.ActorOptions(
            num_cpus=cpus, num_gpus=gpus, memory=variant.needs.memory, label_selector=pin
        ),
        placement_group_bundles=(schema.Bundle(CPU=cpus, GPU=gpus, memory=variant.needs.memory),),
        placement_group_bundle_label_selector=(pin,),
    )
    name = _name(pool)
    return schema.Application(
        name=name, route_prefix="/" + name.replace(".", "/"), args=args, deployments=(deployment,)
    )


def _timeout(plan: Mapping[str, Any], sites: tuple[str, ...]) -> float:
    """The longest latency that a workload served here may take; 30 s where none states one."""
    limits = [
        workload.get("latency_ms", {}).get("limit")
        for workload in plan["workloads"]
        if any(s["site"] in sites for a in workload["assignments"] for s in a["stages"])
    ]
    stated = [limit / 1000 for limit in limits if limit is not None]
    return max(LEAST_TIMEOUT_S, *stated) if stated and len(stated) == len(limits) else TIMEOUT_S


def _nodes(pools: Iterable[Mapping[str, Any]], problem: Problem) -> list[Node]:
    found: dict[str, Node] = {}
    for pool in pools:
        _, _, group = _nouns(pool, problem)
        for short in pool["nodes"]:
            name = f"{pool['site']}.{short}"
            labels = {schema.SITE: pool["site"], schema.HARDWARE: pool["hardware"], schema.NODE: name}
            gpus = group.accelerators.count if group.accelerators else 0
            found[name] = Node(name, labels, group.cpus, group.memory, gpus)
    return [found[name] for name in sorted(found)]

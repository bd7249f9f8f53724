"""`hybrid cluster`: compile a plan for a region's Ray Serve, apply it to a local head, look at it, check it, end it."""

from __future__ import annotations

import datetime as dt
import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out, progress, table

if TYPE_CHECKING:
    from hybrid.cluster.compile import Region
    from hybrid.cluster.live import Live
    from hybrid.cluster.region import Change

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Run a region's stages on Ray Serve, as planned.")

PlanArgument = Annotated[Path, typer.Argument(help="The plan, plan.json.")]
FleetArgument = Annotated[Path, typer.Argument(help="The fleet it was made from.")]
SiteOption = Annotated[
    list[str], typer.Option("--site", help="A site of the region; several of one country may share.")
]
RootOption = Annotated[Path, typer.Option("--root", help="The box's root; its installed release admits the gateway.")]
ModelsOption = Annotated[
    Path | None, typer.Option("--models", help="Folder with MODEL/VARIANT/; default: the release.")
]
SitePlanOption = Annotated[Path | None, typer.Option(help="A verified site plan, where no release is installed.")]
ROOT = Path("/var/lib/hybrid")


class Form(StrEnum):
    """In which form `compile` writes the region."""

    serve = "serve"
    kuberay = "kuberay"


@app.command("compile")
def compile_(
    plan: PlanArgument,
    fleet: FleetArgument,
    site: SiteOption,
    root: RootOption = ROOT,
    models: ModelsOption = None,
    site_plan: SitePlanOption = None,
    form: Annotated[Form, typer.Option("--emit", help="serve.yaml, or a KubeRay RayService.")] = Form.serve,
    image: Annotated[str, typer.Option(help="Container image of the RayService.")] = "",
    to: Annotated[Path | None, typer.Option("-o", "--to", help="File to write; default: standard output.")] = None,
) -> None:
    """Compile PLAN's pools at a region's sites to a Ray Serve configuration; the same input gives the same bytes."""
    from hybrid.cluster import emit as emitters
    from hybrid.errors import InputError

    region = _region(plan, fleet, site, root, models, site_plan)
    if form is Form.kuberay:
        if not image:
            raise InputError(
                "--emit kuberay needs --image", advice="name the image that holds sovereign-hybrid[cluster]"
            )
        text = emitters.kuberay_yaml(region, image=image, name=f"hybrid-{region.sites[0]}")
    else:
        text = emitters.serve_yaml(region)
    if to is None:
        typer.echo(text, nl=False)
    else:
        (part := to.with_name(to.name + ".part")).write_text(text, encoding="utf-8")
        part.replace(to)


@app.command()
def apply(
    plan: PlanArgument,
    fleet: FleetArgument,
    site: SiteOption,
    root: RootOption = ROOT,
    models: ModelsOption = None,
    site_plan: SitePlanOption = None,
    gateway_user: Annotated[
        str | None, typer.Option(help="The user that the gateway runs as; may open the data socket alone.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the difference; change nothing.")] = False,
    output: OutputOption = Output.text,
) -> None:
    """Bring the local cluster to what PLAN says: show the difference, start the head, drain, deploy, wait."""
    from hybrid.cluster import head, live, region

    wanted = _region(plan, fleet, site, root, models, site_plan)
    run = _run(root)
    seen = region.observe(run) if head.find(run) else live.Live({}, {})
    difference = region.change(wanted, seen)
    if output is Output.text:
        _print_change(difference)
    if not dry_run:
        with progress("cluster", total=3) as advance:
            region.apply(wanted, run, difference, gateway_user=gateway_user, advance=advance)
        seen = region.observe(run)
    emit(output, _told(run, seen, difference), lambda: _print_live(seen))
    next_step(f"hybrid cluster verify --root {root}")


@app.command()
def status(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """Show nodes, applications and replicas of the local cluster, and the socket that the gateway uses."""
    from hybrid.cluster import region

    run = _run(root)
    seen = region.observe(run)
    emit(output, _told(run, seen, None), lambda: _print_live(seen))


@app.command()
def verify(
    root: RootOption = ROOT,
    drain: Annotated[bool, typer.Option(help="Take out of service what may not serve.")] = True,
    output: OutputOption = Output.text,
) -> None:
    """Check replicas, node labels and plan digest against the plan; exit 1 when anything differs."""
    from dataclasses import asdict

    from hybrid.cluster import region

    run = _run(root)
    findings = region.verify(run, drain=drain, now=dt.datetime.now(dt.UTC))
    drained = sorted({name for finding in findings for name in finding.drains}) if drain else []
    data = {"agrees": not findings, "findings": [asdict(f) for f in findings], "drained": drained}
    emit(output, data, lambda: _print_findings([f.what for f in findings], drained))
    if findings:
        raise typer.Exit(1)


@app.command()
def stop(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """End the local cluster: every process that belongs to it, and no other."""
    from hybrid.cluster import head

    ended = head.stop(_run(root))
    emit(output, {"ended": ended}, lambda: out().print(f"{ended} processes ended" if ended else "nothing runs here"))


def _run(root: Path) -> Path:
    return root / "run" / "cluster"


def _region(
    plan: Path, fleet: Path, sites: list[str], root: Path, models: Path | None, site_plan: Path | None
) -> Region:
    from hybrid.cluster.compile import compile_region
    from hybrid.cluster.installed import models_of, site_plan_of
    from hybrid.cluster.planned import read_planned

    planned = read_planned(plan, fleet, dt.datetime.now(dt.UTC).date())
    return compile_region(
        planned.plan, planned.digest, planned.problem, tuple(sorted(set(sites))),
        models=(models or models_of(root, _run(root) / "models")).resolve(),
        site_plan=json.loads(site_plan.read_text()) if site_plan else site_plan_of(root),
    )  # fmt: skip


def _told(run: Path, seen: Live, difference: Change | None) -> dict[str, Any]:
    from dataclasses import asdict

    told: dict[str, Any] = {"dataSocket": str(run / "data.sock"), "nodes": dict(seen.nodes)}
    told["applications"] = {name: _summary(found) for name, found in sorted(seen.applications.items())}
    return told if difference is None else told | {"change": asdict(difference)}


def _summary(found: Any) -> dict[str, Any]:
    running = [replica["node"] for replica in found["replicas"] if replica["state"] == "RUNNING"]
    digest = found["args"].get("admission", {}).get("plan_digest", "")
    return {"status": found["status"], "replicas": len(running), "nodes": sorted(running), "planDigest": digest}


def _print_change(difference: Change) -> None:
    rows = [(word, name) for word in ("added", "replaced", "removed", "kept") for name in getattr(difference, word)]
    table("what changes", ("change", "application"), rows)


def _print_live(seen: Live) -> None:
    from hybrid.cluster.schema import NODE, SITE

    rows = []
    for name, found in sorted(seen.applications.items()):
        told = _summary(found)
        labels = [seen.nodes.get(node, {}) for node in told["nodes"]]
        on = ", ".join(f"{label.get(NODE, '?')} ({label.get(SITE, '?')})" for label in labels)
        rows.append((name, told["status"], told["replicas"], on, told["planDigest"][:19]))
    table("applications", ("application", "status", "replicas", "on", "plan"), rows)


def _print_findings(findings: list[str], drained: list[str]) -> None:
    for finding in findings:
        out().print(f"differs: {finding}", markup=False)
    for name in drained:
        out().print(f"drained: {name}", markup=False)
    if not findings:
        out().print("what runs is what was planned (node labels are declared, not attested)")

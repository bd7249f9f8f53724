"""Brings a region's cluster to what was compiled, in the order in which nothing serves outside its plan meanwhile."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from hybrid.cluster import head, live
from hybrid.cluster.compile import Node, Region
from hybrid.cluster.live import Finding, Live
from hybrid.cluster.schema import parse_config
from hybrid.errors import HybridError, InputError

ASK_S = 60.0
SETTLE_S = 180.0


@dataclass(frozen=True, slots=True)
class Change:
    """What applying would change, by application name; `replaced` ones are drained first."""

    added: tuple[str, ...]
    replaced: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]


def change(region: Region, seen: Live) -> Change:
    """Compare a compiled region with what runs; pure."""
    wanted = {application.name: application for application in region.config.applications}
    running = seen.applications
    same = tuple(
        n for n, app in wanted.items() if n in running and running[n]["args"] == app.args.model_dump(mode="json")
    )
    return Change(
        tuple(name for name in wanted if name not in running),
        tuple(name for name in wanted if name in running and name not in same),
        tuple(sorted(running.keys() - wanted.keys())),
        same,
    )


def observe(run: Path) -> Live:
    """Ask the running head what it runs. Raises HybridError when there is none."""
    return Live.of(head.ask(run, {"do": "observe"}, timeout_s=ASK_S))


def apply(
    region: Region, run: Path, wanted: Change, *, gateway_user: str | None = None,
    advance: Callable[[float], None] = lambda _: None,
) -> None:  # fmt: skip
    """Start the head where none runs, drain what changes, deploy, and wait until plan and reality agree.

    A tightened pin that cannot be met would leave the old replica serving at the old place: so what changes is drained
    before the new configuration is given. Where nothing changes nothing is deployed. `gateway_user` as in `head.start`.

    Raises:
        HybridError: it did not settle in three minutes; the message says what is missing. What was drained stays so.
    """
    if head.find(run) is None:
        head.start(run, region.nodes, bound=False, gateway_user=gateway_user)
    advance(1)
    if gone := [*wanted.replaced, *wanted.removed]:
        head.ask(run, {"do": "drain", "applications": gone}, timeout_s=ASK_S)
    _remember(run, region)
    if wanted.added or gone:
        head.ask(run, {"do": "apply", "config": region.config.plain()}, timeout_s=ASK_S)
    advance(1)
    settle(region, run)
    advance(1)


def settle(region: Region, run: Path, *, patience_s: float = SETTLE_S) -> Live:
    """Wait until what runs is what was planned.

    Raises:
        HybridError: it is not, within `patience_s`; at once where something serves outside its plan, which is drained.
    """
    deadline = time.monotonic() + patience_s
    while True:
        seen = observe(run)
        findings = live.compare(region.config, region.nodes, seen)
        if not findings:
            return seen
        drained = _drain(run, findings)
        failed = any(app["status"] == "DEPLOY_FAILED" for app in seen.applications.values())
        if drained or failed or time.monotonic() > deadline:
            said = "; ".join(finding.what for finding in findings)
            raise HybridError(f"the cluster is not as planned: {said}", advice=f"read {run / 'head.log'}")
        time.sleep(0.5)


def _drain(run: Path, findings: tuple[Finding, ...]) -> list[str]:
    """Take what serves outside its plan out of service; return the applications."""
    gone = sorted({name for finding in findings for name in finding.drains})
    if gone:
        head.ask(run, {"do": "drain", "applications": gone}, timeout_s=ASK_S)
    return gone


def verify(run: Path, *, drain: bool, now: dt.datetime) -> tuple[Finding, ...]:
    """Check what runs against what was applied, log it, and drain what must not go on. Returns the findings.

    Raises:
        InputError: nothing was applied with `run`.
        HybridError: no head runs.
    """
    region = remembered(run)
    findings = live.compare(region.config, region.nodes, observe(run))
    live.record(run / "live.jsonl", now, region.plan_digest, findings)
    if drain:
        _drain(run, findings)
    return findings


def _remember(run: Path, region: Region) -> None:
    record = {
        "sites": region.sites, "country": region.country, "planDigest": region.plan_digest,
        "config": region.config.plain(), "nodes": [asdict(node) for node in region.nodes],
    }  # fmt: skip
    part = run / "region.json.part"
    part.write_text(json.dumps(record, indent=1))
    part.replace(run / "region.json")


def remembered(run: Path) -> Region:
    """Return the region that was last applied with `run`. Raises InputError when none was."""
    try:
        record = json.loads((run / "region.json").read_text())
    except FileNotFoundError:
        raise InputError(
            f"{run}: nothing was applied here", advice="hybrid cluster apply PLAN FLEET --site …"
        ) from None
    nodes = tuple(Node(**node) for node in record["nodes"])
    config = parse_config(record["config"], str(run / "region.json"))
    return Region(tuple(record["sites"]), record["country"], record["planDigest"], config, nodes)

"""The engines of a region: the pools of this site that run on a Ray Serve head, reached over the head's own socket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hybrid.gateway.engines import Engine, Wanted
from hybrid.gateway.identity import Identity

DATA_SOCKET = "data.sock"


def region_engines(
    run: Path, site_plan: Mapping[str, Any], identity: Identity, now: Callable[[], dt.datetime]
) -> dict[Wanted, Engine]:
    """Return an engine for every pool of this site that was applied with the head at `run`.

    Each request carries a passport of this gateway for this site, plan and body; the replica checks it again.

    Raises:
        InputError: nothing was applied there.
    """
    from hybrid.cluster.admission import issuer
    from hybrid.cluster.client import RegionEngine
    from hybrid.cluster.region import remembered

    site, config = site_plan["site"], remembered(run).config
    engines: dict[Wanted, Engine] = {}
    for application in config.applications:
        pool = application.args
        if pool.site == site:
            issue = issuer(
                identity.passport, identity.passport_id, site=site, model=pool.model,
                plan_digest=site_plan["planDigest"], epoch=site_plan["epoch"], now=now,
            )  # fmt: skip
            seconds = config.http_options.request_timeout_s
            engines[Wanted(pool.task, pool.model, pool.variant)] = RegionEngine(
                pool.task, run / DATA_SOCKET, application.route_prefix, issue, seconds
            )
    return engines

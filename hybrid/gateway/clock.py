"""The time that a gateway judges by: the box's effective time at the start, advanced by a clock that cannot be set.

When the box does not believe its own clock, or its anti-rollback state is lost or foreign, the gateway goes on with
local stages and lets nothing leave (design/bundles.md, "Time").
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hybrid.gateway.registry import moment

if TYPE_CHECKING:
    from bundles.trust.state import State

_log = logging.getLogger("hybrid.gateway")


@dataclass(frozen=True)
class EffectiveClock:
    """Calls give the time in UTC; `suspect` says that nothing may leave by it.

    `state` is what the box remembered when it was asked; None when that is lost or foreign.
    """

    start: dt.datetime
    suspect: bool
    state: State | None = None
    _began: float = field(default_factory=time.monotonic)

    def __call__(self) -> dt.datetime:
        """Return the effective time now."""
        return self.start + dt.timedelta(seconds=time.monotonic() - self._began)


def effective_clock(root: Path, plan: Mapping[str, Any]) -> EffectiveClock:
    """Return the clock of the box under `root` with the signed site plan `plan`; it never starts before the plan.

    Raises:
        GateError: the release's signatures have run out, and the policy in force lets nothing serve then.
    """
    from bundles.errors import BundleError
    from bundles.install import standing
    from bundles.trust.clock import read_clock
    from bundles.trust.state import machine_id

    wall, floor = dt.datetime.now(dt.UTC), moment(plan["issued"])
    try:
        here = standing(root, read_clock(), machine_id())
    except BundleError as error:
        _log.warning("nothing leaves this site: %s", error)
        return EffectiveClock(max(wall, floor), suspect=True)
    expiry = here.expiry()
    expiry.require()
    if expiry.warning:
        _log.warning("%s", expiry.warning)
    judged = here.time
    if judged.suspect:
        _log.warning("nothing leaves this site: its clock is ahead of what was signed; install a newer bundle")
        return EffectiveClock(max(judged.now, floor), True, here.state)
    return EffectiveClock(max(wall, judged.now, floor), False, here.state)

"""The gateway's pen: every record goes to the evidence log with what always belongs to it, and no text ever.

`note` is quick (the record is in the kernel when it returns) and `kept` waits for the disk, so that local work can
overlap the fsync and a crossing can wait for it. `keep_signed` sees to it that a quiet log is signed too.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from hybrid.errors import EvidenceError, HybridError
from hybrid.evidence.commitment import BodyKeys
from hybrid.evidence.log import EvidenceLog, LogFullError
from hybrid.gateway.refusal import UNAVAILABLE, Refusal, RefusedError
from hybrid.gateway.table import FlowEntry

JSON = "application/json"
SIGN_WITHIN_S = 45.0
"""A head is to be signed within 60 seconds; the rest is for a disk that is slow just then."""

FULL = Refusal(UNAVAILABLE, "evidence/full", "the evidence log takes no more; nothing is served", retry_after=60)


@dataclass(frozen=True)
class Journal:
    """Writes the records of one site under one plan.

    `disk` runs the waits for the disk, `now` is effective time.
    """

    log: EvidenceLog
    keys: BodyKeys
    disk: Executor
    site: str
    plan_digest: str
    epoch: int
    now: Callable[[], dt.datetime]

    def note(self, kind: str, fields: Mapping[str, Any]) -> int:
        """Append a record and return its index. Raises RefusedError (503) when the log takes no more."""
        entry = {"kind": kind, "site": self.site, "planDigest": self.plan_digest, "epoch": self.epoch}
        try:
            return self.log.append(entry | {k: v for k, v in fields.items() if v is not None}, durable=False).index
        except (LogFullError, EvidenceError) as error:
            raise RefusedError(FULL) from error

    async def kept(self, index: int) -> None:
        """Return once record `index` is on the disk. Raises RefusedError (503) when the disk refuses."""
        try:
            await asyncio.get_running_loop().run_in_executor(self.disk, self.log.sync, index)
        except EvidenceError as error:
            raise RefusedError(FULL) from error

    async def keep_signed(self, every_s: float = SIGN_WITHIN_S) -> None:
        """Sign the log's head now, and every `every_s` seconds when records came since, until cancelled.

        A disk that refuses is asked again next time: what serves meanwhile is refused where it must be logged.
        """
        signed = 0
        while True:
            size = self.log.size
            if size > signed:
                with contextlib.suppress(HybridError):
                    await asyncio.get_running_loop().run_in_executor(self.disk, self.log.checkpoint)
                    signed = size
            await asyncio.sleep(every_s)

    def commitment(self, body: bytes) -> str:
        """Return the commitment to a body, whose key lies in the site's erasable store. Raises RefusedError (503)."""
        try:
            return self.keys.commit(JSON, body)
        except OSError as error:
            raise RefusedError(FULL) from error


def flow_json(flow: FlowEntry) -> dict[str, Any]:
    """Return a flow as plan, log and report write it."""
    return {
        "fromStage": flow.from_stage, "toStage": flow.to_stage, "from": flow.from_site, "to": flow.to_site,
        "route": list(flow.route), "role": flow.role,
    }  # fmt: skip

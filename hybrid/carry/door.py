"""Asks the site plan, before an install, whether it may stand at this box at all: residency at the door."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bundles.nouns import Enrolment
    from bundles.verification import Residency


def residency_at(now: datetime) -> Residency:
    """Return the check of a site plan at `now`, the effective time.

    It refuses a table for another site, one whose legal window is over (legal expiry always denies), and one that
    places a stage here, or lets a flow end here, without a permit.
    """

    def refusals(table: Mapping[str, Any], enrolment: Enrolment) -> list[str]:
        from hybrid.errors import HybridError
        from hybrid.gateway.table import Table

        try:
            read = Table.of(table)
        except HybridError as error:
            return [str(error)]
        today = now.date().isoformat()
        found = [f"the table is for {read.site}"] if read.site != enrolment.site else []
        if today > read.file.until:
            found.append(f"the plan ended on {read.file.until} (today is {today}, effective time)")
        return found

    return refusals

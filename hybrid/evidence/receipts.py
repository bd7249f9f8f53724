"""What the boxes' receipts say, beside what their logs show: each row is a site's own claim, and is called that.

A receipt proves no crossing and no absence of one. It says which release a box says serves and how far its log
reached, and so shows evidence that was not handed in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from hybrid.evidence.sources import Source

if TYPE_CHECKING:
    from bundles.ledger import Judged
    from bundles.receipt import Receipt

CLAIM = (
    "Each row is what the site's own box signed of itself. It is held against the keys that were admitted, the bundles "
    "that were sent and the receipts before it; nobody else saw it, and its time is the box's own."
)


def receipt_facts(names: Iterable[str], judged: Judged, sources: Iterable[Source], made: dt.datetime) -> dict[str, Any]:
    """Return a row for each box that sent receipts, one without a box for each planned site that sent none, and
    everything that is wrong with the receipts at hand."""
    heads = {source.site: source for source in sources if not source.problem}
    rows = [_row(chain[-1], heads.get(chain[-1].site), made) for chain in judged.chains.values()]
    silent = sorted(set(names) - {row["site"] for row in rows})
    rows += [dict.fromkeys(rows[0] if rows else _FIELDS) | {"site": name} for name in silent]
    return {
        "claim": CLAIM,
        "rows": sorted(rows, key=lambda row: (row["site"], row["boxId"] or "")),
        "findings": [{"boxId": one.box, "counter": one.counter, "code": one.code, "says": one.says}
                     for one in judged.findings],
    }  # fmt: skip


_FIELDS = (
    "site", "boxId", "counter", "release", "health", "expiry", "at", "ageDays", "clockSuspect", "logSize", "evidence",
)  # fmt: skip


def _row(last: Receipt, source: Source | None, made: dt.datetime) -> dict[str, Any]:
    at = dt.datetime.strptime(last.at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=dt.UTC)
    serving = last.serving
    said = (
        last.site, last.box_id, last.counter, serving.release if serving else None, last.health,
        serving.expiry if serving else None, last.at, (made - at).days, last.clock_suspect,
        last.log.size if last.log else None, "; ".join(_evidence(last, source)),
    )  # fmt: skip
    return dict(zip(_FIELDS, said, strict=True))


def _evidence(last: Receipt, source: Source | None) -> Iterator[str]:
    """Yield what the evidence at hand lacks of what the receipt says of the log."""
    if last.evidence == "broken":
        yield "the box says that its log was cut or deleted"
    if last.log is None:
        return
    if source is None:
        yield f"{last.log.size} records by the receipt, no evidence here"
    elif source.size < last.log.size:
        yield f"{last.log.size} records by the receipt, {source.size} here"
    elif source.size == last.log.size and source.root != last.log.root:
        yield "another log than the receipt's"

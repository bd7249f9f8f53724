"""Honest logs with knobs: `a_log` writes a real one, `Clock` is time that a test moves, `tamper` is an intruder."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.evidence.log import EvidenceLog


@dataclass
class Clock:
    """A clock that stands still until it is told to move."""

    at: dt.datetime = dt.datetime(2026, 12, 1, 8, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        return self.at

    def forward(self, **by: float) -> None:
        self.at += dt.timedelta(**by)


def a_key(seed: int = 1) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)


def a_record(kind: str = "decision", site: str = "clinic-lyon", **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "site": site, "workload": "patient-message@clinic-lyon", "verdict": "permit", **fields}


def open_log(directory: Path, *, site: str = "clinic-lyon", seed: int = 1, clock: Clock | None = None) -> EvidenceLog:
    return EvidenceLog.open(directory, origin=f"{site}/evidence", key=a_key(seed), now=clock or Clock())


def a_log(directory: Path, records: int = 10, *, every: int = 4) -> Path:
    """Write a log of `records` records with a checkpoint after `every` of them, and close it."""
    clock = Clock()
    with open_log(directory, clock=clock) as log:
        for number in range(records):
            log.append(a_record(ms=number), durable=False)
            clock.forward(minutes=1)
            if number % every == every - 1:
                log.checkpoint()
    return directory


def lines_of(directory: Path) -> list[bytes]:
    return (directory / "records" / "000000000000.jsonl").read_bytes().splitlines(keepends=True)


def write_lines(directory: Path, lines: list[bytes]) -> None:
    (directory / "records" / "000000000000.jsonl").write_bytes(b"".join(lines))

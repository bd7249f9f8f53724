"""What an appended record costs: to the kernel, to the disk, and to the disk together with others.

    python benchmarks/evidence/append.py [DIRECTORY]

The peer in the same run is a bare loop of `write` and `fdatasync` of as many bytes, on the same file system.
"""

from __future__ import annotations

import datetime as dt
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hybrid.evidence.audit import verify_log
from hybrid.evidence.log import EvidenceLog

RECORD = {
    "kind": "intent", "site": "clinic-lyon", "workload": "patient-message@clinic-lyon", "pipeline": "patient-message",
    "flow": {"fromStage": "recall", "toStage": "draft", "from": "clinic-lyon", "to": "dc-paris",
             "route": ["clinic-lyon", "dc-paris"]},
    "label": [{"data": "user.health_and_medical", "law": ["FR"], "identifiability": "identified"}],
    "verdict": "permit", "rules": ["clinics/health-in-house", "eu-gdpr/inside-eea"], "planDigest": "sha256:" + "5" * 64,
    "epoch": 3, "bytes": 6144,
}  # fmt: skip
LINE = 700


def rate(count: int, act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return count / (time.perf_counter() - began)


def bare(directory: Path, count: int, each: int) -> float:
    """Write `count` records of bytes, one fdatasync after every `each`."""
    file = os.open(directory / "bare", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def loop() -> None:
        for number in range(count):
            os.write(file, b"x" * LINE)
            if number % each == each - 1:
                os.fdatasync(file)

    found = rate(count, loop)
    os.close(file)
    return found


def together(log: EvidenceLog, threads: int, each: int) -> float:
    def write() -> None:
        for _ in range(each):
            log.append(RECORD, durable=True)

    def crowd() -> None:
        writers = [threading.Thread(target=write) for _ in range(threads)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    return rate(threads * each, crowd)


def alone(log: EvidenceLog, count: int, *, durable: bool) -> float:
    def loop() -> None:
        for _ in range(count):
            log.append(RECORD, durable=durable)

    return rate(count, loop)


def batch(log: EvidenceLog, batches: int, each: int) -> float:
    """As an event loop does it: append many, then wait once for the last."""

    def loop() -> None:
        for _ in range(batches):
            for _ in range(each):
                last = log.append(RECORD, durable=False)
            log.sync(last.index)

    return rate(batches * each, loop)


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else ".") as place:
        directory = Path(place)
        log = EvidenceLog.open(
            directory / "log", origin="bench", key=Ed25519PrivateKey.generate(), now=lambda: dt.datetime.now(dt.UTC)
        )
        rows = [
            ("bare write + fdatasync, one by one", bare(directory, 1500, 1)),
            ("append(durable=True), one thread", alone(log, 1500, durable=True)),
            ("append(durable=True), 64 threads", together(log, 64, 100)),
            ("64 × append, one sync", batch(log, 100, 64)),
            ("bare, one fdatasync for 64", bare(directory, 12800, 64)),
            ("append(durable=False)", alone(log, 10_000, durable=False)),
            ("checkpoint()", rate(200, lambda: [log.checkpoint() for _ in range(200)])),
        ]
        log.close()
        size = verify_log(directory / "log").size
        rows.append((f"audit verify of {size} records", rate(size, lambda: verify_log(directory / "log"))))
        for name, found in rows:
            print(f"{name:40} {found:10,.0f} / s {1e6 / found:10,.1f} µs")


if __name__ == "__main__":
    main()

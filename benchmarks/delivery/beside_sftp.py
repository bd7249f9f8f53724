"""Print how fast a delivery is beside OpenSSH's own sftp, to the same sshd, in the same run, rounds interleaved.

    python benchmarks/delivery/beside_sftp.py [--megabytes 200] [--rounds 3]

All write to a temporary folder on the same disk. "sending alone" is the peer of plain sftp; the whole delivery also
hashes the bundle here, has every file synced and hashed at the far end, and renames it, which sftp does not do (`-f`
syncs).
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from hybrid.delivery.delivery import deliver
from hybrid.delivery.parcel import read_parcel
from tests.support.delivery import Host, a_bundle, an_sshd

MB = 1_000_000
ROWS = ("hybrid deliver", "  sending alone", "sftp", "sftp gcm -B", "sftp gcm -B, put -f")


def by_hybrid(bundle: Path, host: Host, into: Path) -> tuple[float, float]:
    """Return the seconds of the whole delivery, and of sending alone: from the first block to the last."""
    moments: list[float] = []
    began = time.monotonic()
    deliver(
        read_parcel(bundle), host.direct, str(into), patience_s=30, attempts=1,
        advance=lambda _: moments.append(time.monotonic()),
    )  # fmt: skip
    return time.monotonic() - began, moments[-1] - moments[0]


def by_sftp(bundle: Path, host: Host, into: Path, *options: str, flags: str = "") -> float:
    command = [
        "sftp", "-q", "-P", str(host.port), "-i", str(host.identity), "-o", f"UserKnownHostsFile={host.known_hosts}",
        "-o", "BatchMode=yes", *options, "-b", "-", f"{host.direct.user}@127.0.0.1",
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, input=f"put -r {flags} {bundle} {into}\n", text=True, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    rows: dict[str, list[float]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as name, an_sshd(Path(name) / "sshd") as host:
        bundle = a_bundle(Path(name) / "bundle", blobs=(wanted.megabytes * MB,))
        for index in range(wanted.rounds):
            folders = [host.far / f"{index}-{way}" for way in range(4)]
            for folder in folders:
                folder.mkdir()
            whole, sending = by_hybrid(bundle, host, folders[0])
            best = ("-B", "261120", "-o", "Ciphers=aes128-gcm@openssh.com")
            seconds = (
                whole, sending, by_sftp(bundle, host, folders[1]), by_sftp(bundle, host, folders[2], *best),
                by_sftp(bundle, host, folders[3], *best, flags="-f"),
            )  # fmt: skip
            for name, value in zip(ROWS, seconds, strict=True):
                rows[name].append(value)
    print(f"{wanted.megabytes} MB to a real sshd on loopback, median of {wanted.rounds}, {os.cpu_count()} cores")
    for what, seconds in rows.items():
        median = statistics.median(seconds)
        print(f"{what:<20} {median:7.2f} s  {wanted.megabytes / median:7.1f} MB/s")


if __name__ == "__main__":
    main()

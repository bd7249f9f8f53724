"""Print how fast a delivery is beside OpenSSH's own sftp, to the same sshd, in the same run, rounds interleaved.

    python -m benchmarks.delivery.beside_sftp [--megabytes 200] [--rounds 3]

Both write to a temporary folder on the same disk. `hybrid deliver` also hashes the bundle here, has every file synced
and hashed at the far end, and renames it; its row "of that, the wire" leaves the hashing here out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from hybrid.delivery.delivery import deliver
from hybrid.delivery.parcel import read_parcel
from tests.support.delivery import Host, a_bundle, an_sshd

MB = 1_000_000


def by_hybrid(bundle: Path, host: Host, into: Path) -> tuple[float, float]:
    began = time.monotonic()
    parcel = read_parcel(bundle)
    done = deliver(parcel, host.direct, str(into), patience_s=30, attempts=1)
    return time.monotonic() - began, done.seconds


def by_sftp(bundle: Path, host: Host, into: Path, *options: str) -> float:
    command = [
        "sftp", "-q", "-P", str(host.port), "-i", str(host.identity), "-o", f"UserKnownHostsFile={host.known_hosts}",
        "-o", "BatchMode=yes", *options, "-b", "-", f"{host.direct.user}@127.0.0.1",
    ]  # fmt: skip
    began = time.monotonic()
    subprocess.run(command, input=f"put -r {bundle} {into}\n", text=True, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    wanted = parser.parse_args()
    rows: dict[str, list[float]] = {"hybrid deliver": [], "of that, the wire": [], "sftp": [], "sftp aes128-gcm -B": []}
    with tempfile.TemporaryDirectory() as name, an_sshd(Path(name) / "sshd") as host:
        bundle = a_bundle(Path(name) / "bundle", blobs=(wanted.megabytes * MB,))
        for index in range(wanted.rounds):
            folders = [host.far / f"{index}-{way}" for way in range(3)]
            for folder in folders:
                folder.mkdir()
            whole, wire = by_hybrid(bundle, host, folders[0])
            rows["hybrid deliver"].append(whole)
            rows["of that, the wire"].append(wire)
            rows["sftp"].append(by_sftp(bundle, host, folders[1]))
            best = ("-B", "261120", "-o", "Ciphers=aes128-gcm@openssh.com")
            rows["sftp aes128-gcm -B"].append(by_sftp(bundle, host, folders[2], *best))
    print(f"{wanted.megabytes} MB to a real sshd on loopback, median of {wanted.rounds}, {os.cpu_count()} cores")
    for what, seconds in rows.items():
        median = statistics.median(seconds)
        print(f"{what:<20} {median:7.2f} s  {wanted.megabytes / median:7.1f} MB/s")


if __name__ == "__main__":
    main()

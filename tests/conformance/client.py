#!/usr/bin/env python3
"""A TUF client for the public conformance suite: stock rules from `bundles.trust.stock`, our own durable persistence.

Contract: `--metadata-dir D init ROOT`, `--metadata-dir D --metadata-url U refresh`, and `… --target-name T
--target-base-url B --target-dir DIR download`; exit 0 or 1. It lives here because boxes read media and no network, and
because nothing that authorises on a box may do so without the quorum, which the suite's repositories do not know.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, build_opener

sys.path.insert(0, str(Path(__file__).parents[2]))

from tuf.api.exceptions import EqualVersionNumberError

from bundles.store import write_durably
from bundles.trust.stock import EnvelopeType, RepositoryError, TargetFile, Targets, TrustedMetadataSet

ROOT_CAP, TIMESTAMP_CAP, SNAPSHOT_CAP, TARGETS_CAP = 512_000, 16_384, 2_000_000, 5_000_000
ROTATIONS, DELEGATIONS = 256, 32
T = TypeVar("T")
_OPEN = build_opener(ProxyHandler({})).open


def fetch(url: str, cap: int) -> bytes:
    """Return the bytes at `url`, refused above `cap`: the answer to endless data."""
    with _OPEN(url, timeout=30) as answer:
        data: bytes = answer.read(cap + 1)
    if len(data) > cap:
        raise RepositoryError(f"{url} is longer than {cap} bytes")
    return data


class Client:
    """Metadata in a folder, one file per role; a root is kept before what it signs, each whole or not at all."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url.rstrip("/")
        self.set = TrustedMetadataSet((folder / "root.json").read_bytes(), EnvelopeType.METADATA)

    def refresh(self) -> None:
        self._roots()
        self._timestamp()
        self._snapshot()
        self._targets("targets", "root")

    def find(self, path: str) -> TargetFile:
        """Walk the delegations in their order, as the specification says (5.6.7)."""
        left, seen = [("targets", "root")], set[str]()
        while left and len(seen) <= DELEGATIONS:
            role, parent = left.pop()
            if role in seen:
                continue
            signed = self._targets(role, parent)
            if path in signed.targets:
                return signed.targets[path]
            seen.add(role)
            children, final = _children(signed, path)
            left = ([] if final else left) + [(child, role) for child in reversed(children)]
        raise RepositoryError(f"no target {path}")

    def download(self, path: str, url: str, folder: Path) -> None:
        found, file = self.find(path), folder / quote(path, "")
        if file.is_file() and _holds(found, file.read_bytes()):
            return
        where = path
        if self.set.root.consistent_snapshot:
            head, slash, name = path.rpartition("/")
            where = f"{head}{slash}{next(iter(found.hashes.values()))}.{name}"
        data = fetch(f"{url.rstrip('/')}/{where}", found.length)
        found.verify_length_and_hashes(data)
        write_durably(file, data)

    def _roots(self) -> None:
        for version in range(self.set.root.version + 1, self.set.root.version + ROTATIONS):
            try:
                data = fetch(f"{self.url}/{version}.root.json", ROOT_CAP)
            except HTTPError as error:
                if error.code not in (403, 404):
                    raise
                return
            self.set.update_root(data)
            self._keep("root", data)

    def _timestamp(self) -> None:
        self._local("timestamp", self.set.update_timestamp)
        data = fetch(f"{self.url}/timestamp.json", TIMESTAMP_CAP)
        try:
            self.set.update_timestamp(data)
        except EqualVersionNumberError:
            return
        self._keep("timestamp", data)

    def _snapshot(self) -> None:
        if self._local("snapshot", lambda data: self.set.update_snapshot(data, trusted=True)):
            return
        meta = self.set.timestamp.snapshot_meta
        data = fetch(self._where("snapshot", meta.version), meta.length or SNAPSHOT_CAP)
        self.set.update_snapshot(data)
        self._keep("snapshot", data)

    def _targets(self, role: str, parent: str) -> Targets:
        if self.set.contains(role, parent):
            return cast(Targets, self.set[role])
        if local := self._local(role, lambda data: self.set.update_delegated_targets(data, role, parent)):
            return local
        meta = self.set.snapshot.meta.get(f"{role}.json")
        if meta is None:
            raise RepositoryError(f"{role} is not part of the snapshot")
        data = fetch(self._where(role, meta.version), meta.length or TARGETS_CAP)
        found = self.set.update_delegated_targets(data, role, parent)
        self._keep(role, data)
        return found

    def _local(self, role: str, act: Callable[[bytes], T]) -> T | None:
        """Return what `act` makes of the metadata kept here; None when there is none, or it holds no longer."""
        try:
            return act(self._file(role).read_bytes())
        except (OSError, RepositoryError):
            return None

    def _keep(self, role: str, data: bytes) -> None:
        write_durably(self._file(role), data)

    def _file(self, role: str) -> Path:
        return self.folder / f"{quote(role, '')}.json"

    def _where(self, role: str, version: int) -> str:
        prefix = f"{version}." if self.set.root.consistent_snapshot else ""
        return f"{self.url}/{prefix}{quote(role, '')}.json"


def _children(signed: Targets, path: str) -> tuple[list[str], bool]:
    """Return the roles that may speak about `path`, in order, and whether the last of them has the final word."""
    found: list[str] = []
    for role, terminating in signed.delegations.get_roles_for_target(path) if signed.delegations else ():
        found.append(role)
        if terminating:
            return found, True
    return found, False


def _holds(target: TargetFile, data: bytes) -> bool:
    try:
        target.verify_length_and_hashes(data)
    except RepositoryError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--metadata-dir", type=Path, required=True)
    parser.add_argument("--metadata-url", default="")
    parser.add_argument("--target-name", action="append", default=[])
    parser.add_argument("--target-base-url", default="")
    parser.add_argument("--target-dir", type=Path)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("init").add_argument("root", type=Path)
    commands.add_parser("refresh")
    commands.add_parser("download")
    given = parser.parse_args()
    if given.command == "init":
        write_durably(given.metadata_dir / "root.json", given.root.read_bytes())
        return
    client = Client(given.metadata_dir, given.metadata_url)
    client.refresh()
    for name in given.target_name:
        client.download(name, given.target_base_url, given.target_dir)


if __name__ == "__main__":
    try:
        main()
    except (OSError, RepositoryError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")

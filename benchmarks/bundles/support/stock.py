"""Runs python-tuf's own client, against a repository of its own on the same disk, as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlparse

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import FetcherInterface, Updater

EXPIRES = datetime.now(UTC).replace(microsecond=0) + timedelta(days=100)


class FromDisk(FetcherInterface):
    """The small fetcher that python-tuf needs for local paths."""

    def _fetch(self, url: str) -> Iterator[bytes]:
        path = Path(urlparse(url).path)
        if not path.exists():
            from tuf.api.exceptions import DownloadHTTPError

            raise DownloadHTTPError(str(path), 404)
        return self._pieces(path)

    @staticmethod
    def _pieces(path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(1024 * 1024):
                yield piece


def publish(folder: Path, targets: Mapping[str, TargetFile]) -> bytes:
    """Publish `targets` (files lie in `folder/targets`) and return the root to believe."""
    signer = CryptoSigner.generate_ed25519()
    root = Root(expires=EXPIRES, consistent_snapshot=False)
    for role in ("root", "timestamp", "snapshot", "targets"):
        root.add_key(signer.public_key, role)
    signed = {"root": root, "targets": Targets(expires=EXPIRES, targets=dict(targets))}
    signed["snapshot"] = Snapshot(expires=EXPIRES, meta={"targets.json": MetaFile(1)})
    signed["timestamp"] = Timestamp(expires=EXPIRES)
    (folder / "metadata").mkdir(parents=True, exist_ok=True)
    for role, one in signed.items():
        metadata = Metadata(one)
        metadata.sign(signer)
        metadata.to_file(str(folder / "metadata" / ("1.root.json" if role == "root" else f"{role}.json")))
    return (folder / "metadata" / "1.root.json").read_bytes()


def client(folder: Path, into: Path, root: bytes) -> Updater:
    """Return a client that has nothing yet."""
    (into / "metadata").mkdir(parents=True)
    (into / "targets").mkdir()
    return Updater(
        str(into / "metadata"), f"file://{folder}/metadata/", str(into / "targets"), f"file://{folder}/targets/",
        fetcher=FromDisk(), bootstrap=root,
    )  # fmt: skip


def download(folder: Path, into: Path, root: bytes, names: list[str]) -> None:
    """Refresh and download every target, as python-tuf's documentation shows it."""
    updater = client(folder, into, root)
    updater.refresh()
    for name in names:
        found = updater.get_targetinfo(name)
        assert found is not None
        updater.download_target(found)

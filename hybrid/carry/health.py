"""Starts the release that serves since a moment ago, asks it, and ends it: an install that it fails is rolled back.

The process is the release's own gateway (`hybrid.carry.probe`), in the release's own runtime, as the user who owns
the box's passport key, on a Unix socket, without a network. It has the box's real trust, store and passport key, and
a log, a key for that log, an index and a credential of its own in a folder that is thrown away: the running service
keeps its log, the evidence gets no request that nobody made, and no second history is ever signed with the box's key.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid.carry.golden import ENVIRONMENT, POWERLESS, first_that_reads, starting

if TYPE_CHECKING:
    from bundles.release import Release

PATIENCE_S = 300
OWN = ("evidence", "knowledge", "gateway", "identity")
SHARED = ("trust", "releases", "store", "runtimes")


def check(release: Release) -> list[str]:
    """Return why the release is not healthy: it does not start, does not answer, or answers too slowly."""
    with _scratch(release) as place:
        command = [*_confined(release), *starting(release, "hybrid.carry.probe"), str(place)]
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=ENVIRONMENT,
                timeout=PATIENCE_S, check=False, cwd="/",
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return [f"the service did not answer within {PATIENCE_S} s"]
    if done.returncode:
        return [f"the service does not start: {(done.stderr.strip().splitlines() or ['no message'])[-1]}"]
    return [str(line) for line in json.loads(done.stdout)]


@contextmanager
def _scratch(release: Release) -> Iterator[Path]:
    """Give a box's root in which what a service writes is its own, and all else the box's; it ends with the body."""
    from bundles.layout import Box

    box = Box(release.root)
    place = box.run / "probe"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    try:
        for name in OWN:
            (place / name).mkdir(mode=0o700)
        for name in SHARED:
            (place / name).symlink_to(box.root / name)
        (place / "current").symlink_to(Path("releases") / str(release.number))
        for name in ("passport.key", "tls.key", "tls.crt", "enrolment.json"):
            (place / "identity" / name).symlink_to(box.identity / name)
        for index in (box.root / "knowledge").glob("*.index"):
            (place / "knowledge" / index.name).symlink_to(index)
        _give(place, box.identity / "passport.key")
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _give(place: Path, like: Path) -> None:
    """Let the folder and what it holds belong to the owner of `like`, where we may."""
    owner = like.stat()
    if os.geteuid() == 0 and owner.st_uid:
        for path in (place, *(place / name for name in OWN)):
            os.chown(path, owner.st_uid, owner.st_gid)


def _confined(release: Release) -> list[str]:
    """Return the strictest command prefix below which the service can read its key and its launcher, or none at all.

    Unlike a golden check it is what is about to run with its key and with whatever network the box has.
    """
    key = release.root / "identity" / "passport.key"
    owner = key.stat()
    service = [*POWERLESS, f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}", "--clear-groups"]
    needed = [str(path) for path in (key, release.launcher, __file__) if path]
    prefixes = [["unshare", "-n", *service], ["unshare", "-n", *POWERLESS], ["unshare", "-Urn"]]
    return first_that_reads(prefixes, needed) or []

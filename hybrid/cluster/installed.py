"""What the installed, verified release of a region's box gives to its cluster: the site plan and folders of models."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hybrid.errors import InputError

PREFIX = "models/"


def site_plan_of(root: Path) -> Mapping[str, Any] | None:
    """Return the verified site plan under `root`, None where nothing is installed (then replicas admit nobody)."""
    if not (root / "current").exists():
        return None
    from bundles.release import open_release

    return open_release(root).site_plan


def models_of(root: Path, folder: Path) -> Path:
    """Lay out the release's models below `folder` as MODEL/VARIANT/ of links to its verified blobs; return `folder`.

    Raises:
        InputError: nothing is installed under `root`.
    """
    if not (root / "current").exists():
        raise InputError(f"{root}: no release is installed", advice="name the models' folder with --models")
    from bundles.release import open_release

    release = open_release(root)
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for name, blob in release.files.items():
        if name.startswith(PREFIX):
            (link := part / name.removeprefix(PREFIX)).parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(blob.resolve())
    part.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    part.replace(folder)
    return folder

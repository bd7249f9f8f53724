"""The demo's custodians, and how a box is enrolled and gets its bundles: the same words for every site of the story."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

from tools.demo.story import Story, StoryError

ROOT = Path(__file__).parent.parent.parent
CUSTODIANS = {"anna": "release", "bruno": "release", "clara": "compliance"}


def make_trust(story: Story) -> None:
    """Make three custodians' demo keys and the trust repository that they sign in turn; the keys end with the story."""
    story.extra["HYBRID_PASSPHRASE"] = secrets.token_hex(16)
    story.secrets.append(story.home / "keys")
    for name, duty in CUSTODIANS.items():
        show = 60 if name == "anna" else 0
        story.run(
            "hybrid", "trust", "add-key", f"keys/{name}", "--custodian", name, "--duty", duty, "--demo", show=show
        )
    story.run("hybrid", "trust", "init", "trust", "--custodian", "keys", "--demo", "--keys", "keys")


def make_wheels(story: Story) -> None:
    """Put the wheels of the edge lock and our own side by side, as the seed and the bundles carry them."""
    wheels = story.home / "wheels"
    wheels.mkdir()
    for wheel in (ROOT / "build" / "wheelhouse").glob("*.whl"):
        os.link(wheel, wheels / wheel.name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)]
    if subprocess.run(build, cwd=ROOT, capture_output=True, check=False).returncode != 0:
        raise StoryError("our own wheel cannot be built: python -m hatchling build -t wheel")


def card_for(story: Story, site: str, jurisdiction: str, show: int = 60) -> str:
    """Write the seed medium of `site` and return the digest on the card."""
    seed = f"seed-{site}"
    made = story.run(
        "hybrid", "trust", "card", "trust", "--site", site, "--jurisdiction", jurisdiction,
        "-o", seed, "--wheelhouse", "wheels", "--output", "json", show=show,
    )  # fmt: skip
    return str(json.loads(made)["card"])


def build(story: Story, site: str, to: str, *more: str, show: int = 12) -> None:
    """Build the bundle of `site`, signed by every custodian."""
    own = next((story.home / "wheels").glob("sovereign_hybrid-*.whl"))
    story.run(
        "hybrid", "bundle", "build", "fleet", "plan.json", "--site", site, "--trust", "trust", "-o", to,
        "--wheelhouse", "wheels", "--lock", "../../locks/edge.txt", "--own-wheel", own.relative_to(story.home),
        "--models", "models", "--keys", "keys", *more, show=show,
    )  # fmt: skip


def copy_with_a_flipped_bit(bundle: Path, to: Path) -> str:
    """Copy `bundle` and flip one bit in the middle of its largest blob; return that blob's name."""
    shutil.copytree(bundle, to)
    blob = max((to / "blobs").rglob("*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    with blob.open("r+b") as file:
        file.seek(blob.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))
    return blob.name

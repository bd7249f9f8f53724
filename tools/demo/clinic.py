"""Chapters 3 and 4: a clinic without a network is enrolled, installs, refuses what it should, and answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tools.demo.box import Box
from tools.demo.custody import build, card_for, copy_with_a_flipped_bit, make_trust, make_wheels
from tools.demo.story import Story, wait_until

SITE, JURISDICTION = "clinic-jura", "FR-39"
HERE = "http://127.0.0.1:8470"
MESSAGE = "I forgot my blood pressure tablet this morning. Should I take two tonight?"


def install(story: Story) -> None:
    """Enrol the box from its seed, install two bundles, try to cheat it, and go back."""
    make_trust(story)
    make_wheels(story)
    card = card_for(story, SITE, JURISDICTION)
    box = Box(story, SITE)
    fingerprint = enrol(story, box, card)
    story.say("The box's request travels home; its fingerprint is read out over the telephone.")
    request = f"{SITE}/root/identity/request.json"
    build(story, SITE, "last-month", "--request", request, "--fingerprint", fingerprint)
    hybrid, root = python_of(box), ("--root", f"{SITE}/root")
    story.run("hybrid", "bundle", "verify", "last-month", "--trust", "trust", show=8)
    box.run(*hybrid, "site", "install", "last-month", *root)
    build(story, SITE, "this-month", show=4)
    blob = copy_with_a_flipped_bit(story.home / "this-month", story.home / "tampered")
    story.say(f"On the way somebody flips one bit of blob {blob[:12]}…:")
    box.run(*hybrid, "site", "install", "tampered", *root, expect=3)
    box.run(*hybrid, "site", "install", "this-month", *root)
    story.say("Then somebody brings last month's stick again, which was validly signed:")
    box.run(*hybrid, "site", "install", "last-month", *root, expect=3)
    story.say("The person at the box may go back to the release that stayed beside the new one:")
    box.run(*hybrid, "site", "rollback", *root)
    box.run(*hybrid, "site", "status", *root)


def enrol(story: Story, box: Box, card: str) -> str:
    """Check the seed with the box's own tools, unpack the verifier, enrol, and return the request's fingerprint."""
    seed, site = f"seed-{box.name}", box.name
    box.run("sh", "-c", f"cd {seed} && sha256sum --check --strict --quiet SHA256SUMS && sha256sum SHA256SUMS")
    story.say(f"The card that travelled separately says {card.removeprefix('sha256:')[:16]}…: the same.")
    packages = f"{site}/verifier/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
    box.run(Path(sys.executable).resolve(), "-m", "venv", "--without-pip", f"{site}/verifier")
    box.run(
        "sh", "-c", f"for w in {seed}/wheels/*.whl; do {site}/verifier/bin/python -m zipfile -e $w {packages}; done"
    )
    arguments = ["--card", card, "--demo", "--root", f"{site}/root", "--output", "json"]
    made = box.run(*python_of(box), "site", "enrol", seed, *arguments)
    return str(json.loads(made)["fingerprint"])


def python_of(box: Box) -> tuple[str, ...]:
    """Return the words that run `hybrid` on the box: its own Python with the seed's verifier and nothing else."""
    return (f"{box.name}/verifier/bin/python", "-I", "-m", "hybrid")

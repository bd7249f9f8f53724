"""Chapters 3 and 4: a clinic without a network is enrolled, installs, refuses what it should, and answers."""

from __future__ import annotations

import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from tools.demo.box import Box
from tools.demo.custody import ROOT, build, card_for, copy_with_a_flipped_bit, make_trust, make_wheels
from tools.demo.story import WIDTH, Story, StoryError, wait_until

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
    blob = copy_with_a_flipped_bit(story.home / "last-month", story.home / "tampered")
    story.say(f"On the way somebody flips one bit of blob {blob[:12]}…:")
    box.run(*hybrid, "site", "install", "tampered", *root, expect=3)
    box.run(*hybrid, "site", "install", "last-month", *root)
    story.say("A month later: the runtime was patched, so the next bundle carries a higher security version.")
    build(story, SITE, "this-month", "--security-version", "2")
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
    story.say("Only the wheels that SHA256SUMS names are unpacked: one that somebody added stays outside.")
    unpack = f"{site}/verifier/bin/python -I -m zipfile -e {seed}/$w {packages}"
    box.run("sh", "-c", f"cut -c67- {seed}/SHA256SUMS | grep '^wheels/' | while read -r w; do {unpack}; done")
    arguments = ["--card", card, "--demo", "--root", f"{site}/root", "--output", "json"]
    made = box.run(*python_of(box), "site", "enrol", seed, *arguments)
    return str(json.loads(made)["fingerprint"])


def python_of(box: Box) -> tuple[str, ...]:
    """Return the words that run `hybrid` on the box: its own Python with the seed's verifier and nothing else."""
    return (f"{box.name}/verifier/bin/python", "-I", "-m", "hybrid")


def answer(story: Story) -> None:
    """Index the protocols, serve, answer a message, refuse a passport, and verify the log."""
    root = f"{SITE}/root"
    box = Box(story, SITE)
    hybrid = installed(story, root)
    issue = ("site", "credential", "front-desk", "--pipeline", "patient-message", "--floor", "user.health_and_medical")
    key = box.run(*hybrid, *issue, "--root", root).strip()
    service = box.start(
        *box.service_user(root),
        *hybrid,
        "site",
        "serve",
        "--root",
        root,
        "--hop-port",
        "8471",
        log=story.home / "jura.log",
    )
    wait_until(lambda: "http://" in (story.home / "jura.log").read_text(), "the gateway of clinic-jura")
    box.run(*hybrid, "knowledge", "list", "--root", root)
    ask(story, key, MESSAGE, box=box)
    story.say("Somebody with the box's own key hands over a draft that its plan does not run here:")
    box.run(
        sys.executable, ROOT / "tools" / "demo" / "stray_passport.py", root, "https://127.0.0.1:8471", "draft", expect=1
    )
    story.end(service)
    box.run(*hybrid, "audit", "verify", f"{root}/evidence")


def installed(story: Story, root: str) -> tuple[str, ...]:
    """Return the words that run `hybrid` from the installed release: its own runtime, nothing of the seed."""
    launcher = next((story.home / root / "runtimes").glob("*/run.py"))
    return (str(Path(sys.executable).resolve()), "-I", "-B", str(launcher.relative_to(story.home)))


def ask(story: Story, key: str, message: str, url: str = HERE, box: Box | None = None) -> dict[str, Any]:
    """Ask a gateway as a front desk would, with OpenAI's API; print who served it and what it says, and return it."""
    body = json.dumps({"model": "patient-message", "messages": [{"role": "user", "content": message}]})
    headers = ["-H", f"Authorization: Bearer {key}", "-H", "Content-Type: application/json"]
    run = story.run if box is None else box.run
    answer: dict[str, Any] = json.loads(run("curl", "-sS", *headers, "-d", body, f"{url}/v1/chat/completions", show=0))
    if "error" in answer:
        raise StoryError(f"the gateway refused: {answer['error']}")
    for served in answer["hybrid"]["served"]:
        model = f" ({served['model']}/{served['variant']})" if served["model"] else ""
        print(f"   {served['stage']} served by {served['by']} at {served['site']}{model}")
    print(textwrap.indent(textwrap.fill(answer["choices"][0]["message"]["content"], WIDTH - 5), "   | "))
    return answer

"""Chapter 5: a connected clinic drafts on Ray Serve in the region; the link is cut, and the fallback answers."""

from __future__ import annotations

import json
import sys

from tools.demo.clinic import MESSAGE, ask
from tools.demo.custody import ROOT, build, card_for
from tools.demo.story import Story, wait_until

CLINIC, REGION = "clinic-lyon", "dc-paris"
PLACES = {CLINIC: "FR-69", REGION: "FR-IDF"}
CLINIC_PORT, REGION_PORT, HOP_PORT, WIRE_PORT = 8472, 8480, 8481, 8482
HERE = f"http://127.0.0.1:{CLINIC_PORT}"


def tell(story: Story) -> None:
    """Bring a region and a clinic up from their bundles, ask across the wire, cut it, ask again."""
    _install(story)
    root = ("--root", f"{REGION}/root")
    story.run("hybrid", "cluster", "apply", "plan.json", "fleet", "--site", REGION, *root)
    story.at_the_end(lambda: stop_cluster(story))
    story.run("hybrid", "cluster", "verify", *root)
    _serve(story)
    wire = story.start(
        sys.executable, ROOT / "tools/demo/wire.py", str(WIRE_PORT), str(HOP_PORT), log=story.home / "wire.log"
    )
    wait_until(lambda: "up" in (story.home / "wire.log").read_text(), "the wire")
    key = _front_desk(story)
    ask(story, key, MESSAGE, HERE)
    story.say("The link between clinic-lyon and dc-paris is cut:")
    story.end(wire)
    ask(story, key, MESSAGE, HERE)
    story.say("The fallback answered, at a place the plan permits, in the order that the plan fixed.")
    _bypass(story)
    stop_cluster(story)


def _install(story: Story) -> None:
    """Enrol both sites, admit both boxes, and install a bundle at each."""
    admit: list[str] = []
    for site, jurisdiction in PLACES.items():
        card = card_for(story, site, jurisdiction, show=0)
        enrol = ("hybrid", "site", "enrol", f"seed-{site}", "--card", card, "--demo", "--root", f"{site}/root")
        made = json.loads(story.run(*enrol, "--output", "json", show=0))
        admit += ["--request", f"{site}/root/identity/request.json", "--fingerprint", made["fingerprint"]]
    for site in PLACES:
        build(story, site, f"bundle-{site}", *admit, show=1)
        admit = []
        story.run("hybrid", "site", "install", f"bundle-{site}", "--root", f"{site}/root", show=1)


def _serve(story: Story) -> None:
    """Start the region's gateway in front of Ray Serve."""
    log = story.home / "paris.log"
    hop = ("--hop-host", "127.0.0.1", "--hop-port", str(HOP_PORT))
    region = ("--port", str(REGION_PORT), *hop, "--region", f"{REGION}/root/run/cluster")
    story.start("hybrid", "site", "serve", "--root", f"{REGION}/root", *region, log=log)
    wait_until(lambda: "http://" in log.read_text(), "the gateway of dc-paris")


def _front_desk(story: Story) -> str:
    """Start the clinic's gateway, which knows the wire to the region, and return a key for its front desk."""
    root, log = f"{CLINIC}/root", story.home / "lyon.log"
    issue = ("site", "credential", "front-desk", "--pipeline", "patient-message", "--floor", "user.health_and_medical")
    key = story.run("hybrid", *issue, "--root", root).strip()
    peers = story.home / root / "gateway" / "peers.json"
    peers.write_text(json.dumps({REGION: f"https://127.0.0.1:{WIRE_PORT}"}), encoding="utf-8")
    story.start("hybrid", "site", "serve", "--root", root, "--port", str(CLINIC_PORT), log=log)
    wait_until(lambda: "http://" in log.read_text(), "the gateway of clinic-lyon")
    return key


def _bypass(story: Story) -> None:
    """Push a message at the region past the clinic's gateway; the region refuses it and remembers."""
    story.say(
        "Now somebody at clinic-lyon pushes a message at dc-paris past the gateway, without waiting to be let in:"
    )
    script = ROOT / "tools/demo/stray_passport.py"
    story.run(sys.executable, script, f"{CLINIC}/root", f"https://127.0.0.1:{HOP_PORT}", "triage", REGION, expect=1)


def stop_cluster(story: Story) -> None:
    """End the Ray head and everything below it; done once, whoever calls first."""
    if (story.home / REGION / "root" / "run" / "cluster").exists():
        story.run("hybrid", "cluster", "stop", "--root", f"{REGION}/root")

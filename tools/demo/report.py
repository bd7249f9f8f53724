"""Chapter 6: the residency report, planned against observed, with the bypass that was tried."""

from __future__ import annotations

from pathlib import Path

from tools.demo.custody import ROOT
from tools.demo.story import Story

BUNDLES = {"clinic-jura": "this-month", "clinic-lyon": "bundle-clinic-lyon", "dc-paris": "bundle-dc-paris"}


def tell(story: Story) -> None:
    """Export what each site may send home, write the report, and verify it twice, once without our own code."""
    story.end_services()
    evidence, pins = [], []
    for site, bundle in BUNDLES.items():
        story.run("hybrid", "audit", "export", f"{site}/root/evidence", "-o", f"{site}.evidence", show=3)
        evidence += ["--evidence", f"{site}.evidence"]
        story.run("hybrid", "bundle", "verify", bundle, "--trust", "trust", "--site-plan", f"{site}.plan.json", show=1)
        pins += ["--key", f"{site}.plan.json"]
    to = ["-o", "report.html", "--json", "report.json"]
    story.say("Something went past the gateway today, so the report says so and the command exits with 1:")
    story.run("hybrid", "report", "residency", "plan.json", "fleet", *evidence, *pins, *to, expect=1)
    folders = [f"{site}.evidence" for site in BUNDLES]
    story.run("hybrid", "report", "verify", "report.json", *folders, "--plan", "plan.json", *pins)
    story.say("The same check by one file that needs only Python's cryptography, and imports nothing of ours:")
    story.run("python", Path("../..") / "hybrid/evidence/verifier.py", "report.json", *folders, show=12)
    story.results.insert(0, (story.home / "report.html", "the residency report"))
    story.results.append((story.home / "report.json", "the same for programs"))
    story.results.append((ROOT / "hybrid/evidence/verifier.py", "the verifier, to be read"))

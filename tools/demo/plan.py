"""Chapter 1: the example fleet is planned and checked; a manifest changed for the worse is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

from tools.demo.story import Story, StoryError


def tell(story: Story) -> None:
    """Plan the clinics, ask why, check, then let a region's owner change hands."""
    story.run("hybrid", "init", "fleet")
    story.run("hybrid", "validate", "fleet")
    story.run("hybrid", "plan", "fleet", "-o", "plan.json")
    story.say("log-triage holds no personal data and goes where it is cheapest; patient-message may not.")
    story.run("hybrid", "explain", "plan.json", "patient-message@clinic-lyon/draft", "--not", "dc-virginia")
    story.run("hybrid", "check", "plan.json", "fleet")
    _for_the_worse(story)


def _for_the_worse(story: Story) -> None:
    """The operator of the French region is bought by a company under another law: nothing else changes."""
    worse = story.home / "fleet-sold"
    shutil.copytree(story.home / "fleet", worse)
    replace_once(
        worse / "sites" / "dc-paris.yaml",
        "controlledBy: []",
        "controlledBy: [{name: Example Holdings Inc., country: US, controlledBy: []}]",
    )
    story.say("Now dc-paris is sold to a company in the United States. One line of its manifest changes:")
    story.run("diff", "fleet/sites/dc-paris.yaml", "fleet-sold/sites/dc-paris.yaml", expect=1)
    story.run("hybrid", "plan", "fleet-sold", "-o", "sold.json")
    story.run(
        "hybrid",
        "explain",
        "sold.json",
        "patient-message@clinic-lyon/draft",
        "--not",
        "dc-paris",
        "--fleet",
        "fleet-sold",
    )
    story.run("hybrid", "diff", "plan.json", "sold.json")


def replace_once(file: Path, old: str, new: str) -> None:
    """Replace the first `old` in `file`. Raises StoryError when it is not there: the story would be another."""
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise StoryError(f"{file} holds no {old!r}")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")

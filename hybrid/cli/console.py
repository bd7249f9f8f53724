"""What every door shares: data on stdout, progress on stderr, errors that say what to do, and exit codes."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PIPED_WIDTH = 160
"""Columns of a table that goes to a file or a pipe and is nobody's screen."""

REFUSED, WRONG_INPUT, TRUST_BROKEN, WORLD_FAILED, INTERRUPTED = 1, 2, 3, 4, 130


class Output(StrEnum):
    """How a command prints its result."""

    text = "text"
    json = "json"


OutputOption = Annotated[Output, typer.Option("--output", help="text for people, json for programs.")]


def out() -> Console:
    """Return the console of data (stdout); colour only on a terminal and without NO_COLOR."""
    from rich.console import Console

    piped = not sys.stdout.isatty()
    return Console(
        highlight=False, soft_wrap=piped, width=PIPED_WIDTH if piped and "COLUMNS" not in os.environ else None
    )


def err() -> Console:
    """Return the console of progress and errors (stderr)."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())


def printable(text: object) -> str:
    """Return `text` with what a terminal would obey, or show in another order, spelt out: names come from any stick."""
    return "".join(c if c in "\n\t" or c.isprintable() else ascii(c)[1:-1] for c in str(text))


def emit(output: Output, data: Any, text: Callable[[], None]) -> None:
    """Print `data` as JSON, or call `text` to print the same for people."""
    if output is Output.json:
        sys.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, sort_keys=False) + "\n")
    else:
        text()


def table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Print a table on stdout; numbers are expected already formatted."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))  # no markup: data may hold [brackets]
    out().print(shown)


def next_step(line: str) -> None:
    """Print the next command to type, on stderr."""
    err().print(f"next: {line}", style="dim", markup=False)


class Bar:
    """A progress bar: called with units that are done, and told of more that are to do."""

    def __init__(self, shown: Progress, label: str, total: float | None) -> None:
        """Show `label` with `total` units to do."""
        self._shown, self._total = shown, total or 0
        self._task = shown.add_task(label, total=total)

    def __call__(self, units: float) -> None:
        """Take `units` as done."""
        self._shown.advance(self._task, units)

    def more(self, units: float) -> None:
        """Take `units` more as to do."""
        self._total += units
        self._shown.update(self._task, total=self._total)


@contextmanager
def progress(label: str, total: float | None = None) -> Iterator[Bar]:
    """Show a bar on stderr while the body runs; it yields `advance(units)`. Silent when stderr is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    shown: Progress = Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(),
        console=err(), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with shown:
        yield Bar(shown, label, total)


def fail(message: str, *, advice: str = "") -> None:
    """Print one error on stderr, with its advice on a line of its own."""
    console = err()
    console.print(f"error: {printable(message)}", style="red", markup=False)
    if advice:
        console.print(f"  do: {printable(advice)}", markup=False)


WRONG_PATH = (errno.ENOENT, errno.EISDIR, errno.ENOTDIR)
"""A path that the user gave and that is not what the command reads."""

WORLD: dict[int, str] = {
    errno.ENOSPC: "the disk is full; free space and run the same command again",
    errno.EDQUOT: "the disk quota is used up; free space and run the same command again",
    errno.EROFS: "the file system is read-only; mount it writable or choose another place",
    errno.EACCES: "permission denied; run as a user who may read or write it",
    errno.EADDRINUSE: "the address is in use; stop what listens there or choose another port",
    errno.ENOENT: "no such file or directory; check the path",
    errno.EISDIR: "this is a folder; name the file in it",
    errno.ENOTDIR: "this is a file; name the folder",
}


def exit_code_of(error: BaseException) -> int:
    """Print `error` and return the exit code for it.

    An error of one of our trees carries `exit_code` and perhaps `advice`; an `OSError` is the world's failure,
    except a path that is not there or of the other kind, which is wrong input. Anything else is a fault of ours:
    traceback, 4.
    """
    if isinstance(error, KeyboardInterrupt):
        fail("interrupted; nothing half-written stays")
        return INTERRUPTED
    code = getattr(error, "exit_code", None)
    if isinstance(code, int):
        fail(str(error), advice=getattr(error, "advice", ""))
        return code
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return WORLD_FAILED
    if isinstance(error, OSError):
        fail(
            f"{error.filename or ''}: {error.strerror or error}".lstrip(": "),
            advice=WORLD.get(error.errno or 0, ""),
        )
        return WRONG_INPUT if error.errno in WRONG_PATH else WORLD_FAILED
    if isinstance(error, ImportError) and error.name:
        extra = EXTRA_OF.get(error.name.split(".")[0], "")
        if extra:
            fail(
                f"this command needs {error.name}, which is not installed",
                advice=f"pip install 'sovereign-hybrid[{extra}]'",
            )
            return WORLD_FAILED
    import traceback

    traceback.print_exception(error)
    fail("this is a fault in hybrid; please report it with the lines above")
    return WORLD_FAILED


EXTRA_OF = {
    **dict.fromkeys(("aiohttp", "numpy", "onnxruntime", "starlette", "tokenizers", "uvicorn", "uvloop"), "site"),
    **dict.fromkeys(("onnx", "optimum", "sentence_transformers", "sklearn", "torch", "transformers"), "models"),
    "model_signing": "openssf",
    "paramiko": "deliver",
    "ray": "cluster",
}

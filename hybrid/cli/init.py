"""`hybrid init`: copy the example fleet into a new directory, whole or not at all."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, out
from hybrid.errors import InputError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty directory.")],
    output: OutputOption = Output.text,
) -> None:
    """Copy the commented example (clinics in three countries) into DIR; a DIR with anything in it is refused."""
    made = copy_example(directory)
    data = {"fleet": str(directory), "files": made}
    emit(output, data, lambda: out().print(f"{directory}: {len(made)} files; begin with README.md", markup=False))
    next_step(f"hybrid validate {directory}")


def copy_example(directory: Path) -> list[str]:
    """Copy the example into `directory` and return its files, relative.

    It is copied to a neighbour and renamed, so that an interrupted copy leaves nothing behind.

    Raises:
        InputError: `directory` is not empty, is no directory, or its parent does not exist.
    """
    if directory.is_symlink() or (directory.exists() and not directory.is_dir()):
        raise InputError(f"{directory} is no directory", advice="name a new directory")
    if directory.is_dir() and any(directory.iterdir()):
        raise InputError(f"{directory} is not empty", advice="name a new directory; nothing was changed")
    if not directory.absolute().parent.is_dir():
        raise InputError(f"{directory.absolute().parent} does not exist", advice=f"mkdir -p {directory.parent}")
    target = directory.resolve()
    exists = target.is_dir()
    # Beside a new directory, inside an existing one: its parent may not be ours, and somebody may stand in it.
    neighbour = Path(mkdtemp(prefix=f".{target.name}.", dir=target if exists else target.parent))
    try:
        with as_file(files("sites") / "examples" / "clinics") as example:
            shutil.copytree(example, neighbour / "fleet", ignore=shutil.ignore_patterns("__pycache__", ".*"))
        if exists:
            _move_entries(neighbour / "fleet", target)
        else:
            (neighbour / "fleet").rename(target)
    finally:
        shutil.rmtree(neighbour, ignore_errors=True)
    return sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())


def _move_entries(source: Path, target: Path) -> None:
    """Move everything in `source` into `target`; if that is interrupted, take back what was moved."""
    moved: list[Path] = []
    try:
        for entry in sorted(source.iterdir()):
            moved.append(target / entry.name)
            entry.rename(moved[-1])
    except BaseException:
        for entry in moved:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink(missing_ok=True)
        raise

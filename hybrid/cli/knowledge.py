"""`hybrid knowledge`: index a site's documents with the release's own embedder, and list what is indexed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, progress, table

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Index and list a site's documents.",
)  # fmt: skip

RootOption = Annotated[Path, typer.Option("--root", help="The site's folder.")]
ROOT = Path("/var/lib/hybrid")


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="The Knowledge's name, e.g. care-protocols.")],
    documents: Annotated[
        Path | None, typer.Option("--from", help="A folder of .md or .txt files; without it, those of the release.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="The embedder, as MODEL/VARIANT; without it, the plan's.")
    ] = None,
    label: Annotated[
        Path | None, typer.Option("--label", help="The store's atoms as JSON; without it, as the plan says.")
    ] = None,
    root: RootOption = ROOT,
    output: OutputOption = Output.text,
) -> None:
    """Cut, embed and index documents at this site; what was indexed under NAME before is replaced."""
    from bundles.release import open_release
    from hybrid.errors import InputError
    from hybrid.gateway.table import Table
    from hybrid.knowledge import build_index, documents_in, documents_of

    release = open_release(root)
    planned = Table.of(release.site_plan["table"])
    store = planned.file.stores.get(name)
    if model is None:
        if store is None:
            raise InputError(f"the plan reads no {name} at this site", advice="name its embedder with --model")
        model = f"{store.model}/{store.variant}"
    atoms = _atoms(label) if label is not None or store is None else planned.label_json(store.label)
    found = documents_in(documents) if documents is not None else documents_of(release, name)
    if not found:
        raise InputError(f"the release carries no documents for {name}", advice="name their folder with --from")
    embedder, _, variant = model.partition("/")
    with progress(f"indexing {name}") as advance:
        index = build_index(
            release, name, found, knowledge=root / "knowledge", model=embedder, variant=variant,
            label=atoms, advance=advance,
        )  # fmt: skip
    told = {"name": name, "documents": len(found), "passages": len(index.passages), "embedder": model}
    emit(output, told, lambda: print(f"{name}: {len(found)} documents, {len(index.passages)} passages, by {model}"))
    next_step(f"hybrid site serve --root {root}")


def _atoms(path: Path | None) -> list[dict[str, Any]]:
    from hybrid.errors import InputError

    if path is None:
        return []
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise InputError(
            f"{path}: not JSON: {error}", advice='a list of atoms: [{"data": "…", "law": ["FR"]}]'
        ) from error
    if not isinstance(found, list) or not all(isinstance(atom, dict) and "data" in atom for atom in found):
        raise InputError(f"{path}: not a list of atoms", advice='[{"data": "system.operations", "law": ["FR"]}]')
    return found


@app.command("list")
def list_knowledge(root: RootOption = ROOT, output: OutputOption = Output.text) -> None:
    """List this site's indexes, each verified against its own digest."""
    from dataclasses import asdict

    from hybrid.knowledge import list_indexes

    found = list_indexes(root / "knowledge")
    shown = [
        (one.name, one.documents, one.passages, one.embedder, _short(one.label), f"{one.bytes / 1e3:.0f} kB")
        for one in found
    ]
    columns = ("knowledge", "documents", "passages", "embedder", "label", "size")
    emit(output, [asdict(one) for one in found], lambda: table("", columns, shown))


def _short(label: tuple[dict[str, Any], ...]) -> str:
    atoms = (f"{atom['data']} ({', '.join(atom.get('law', [])) or 'law unknown'})" for atom in label)
    return ", ".join(atoms) or "unlabelled"

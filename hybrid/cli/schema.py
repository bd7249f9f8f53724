"""`hybrid schema`: print the JSON Schema of a manifest kind, so that an editor completes and checks while one types."""

from __future__ import annotations

import json
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hybrid.errors import InputError

if TYPE_CHECKING:
    from sites.noun import Noun

app = typer.Typer(rich_markup_mode=None)


@app.command()
def schema(kind: Annotated[str, typer.Argument(help="Site, Pipeline, Model, Knowledge, Policy or Pack.")]) -> None:
    """Print the JSON Schema (2020-12) of one kind of manifest."""
    from placement.problem import KINDS
    from sites.policy import Pack

    kinds: dict[str, type[Noun]] = {**KINDS, "Pack": Pack}
    known = {name.lower(): name for name in kinds}
    name = known.get(kind.lower())
    if name is None:
        close = get_close_matches(kind.lower(), known, n=1)
        advice = f"did you mean {known[close[0]]}?" if close else f"there are {', '.join(kinds)}"
        raise InputError(f"there is no kind {kind!r}", advice=advice)
    sys.stdout.write(json.dumps(schema_of(name, kinds[name]), indent=2, ensure_ascii=False) + "\n")


def schema_of(kind: str, model: type[Noun]) -> dict[str, Any]:
    """Return the JSON Schema of a manifest: the noun with its envelope of `apiVersion` and `kind`."""
    from sites.manifest import API_VERSION

    made = model.model_json_schema(by_alias=True)
    made["properties"] = {"apiVersion": {"const": API_VERSION}, "kind": {"const": kind}, **made["properties"]}
    made["required"] = ["apiVersion", "kind", *made["required"]]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}

"""Writes the bill of materials: CycloneDX 1.6, models with their cards, licences; the same bytes for the same input."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from bundles.document import canonical
from bundles.oci import Descriptor
from bundles.provenance.card import ModelCard, licences_of

_SPACE = uuid.UUID("6d2c9d0e-6f0f-5f43-9c0c-3a8a6a6f1a57")


def bill_of(
    site: str, issued: str, files: Mapping[str, Descriptor], cards: Mapping[str, ModelCard] | None = None,
    licences: Mapping[str, str] | None = None,
) -> bytes:  # fmt: skip
    """Return the bill of a bundle for `site`; `files` is logical path -> blob.

    One component per wheel (purl), per model variant and per other file, sorted by reference.

    Args:
        cards: `<model>/<variant>` -> what is known of it; `licences` logical path of a wheel -> its licence.
    """
    groups: dict[str, dict[str, Descriptor]] = {}
    for path, blob in files.items():
        groups.setdefault(path.split("/")[0], {})[path] = blob
    components: list[dict[str, Any]] = []
    for kind, found in sorted(groups.items()):
        if kind == "models":
            components += _models(found, cards or {})
        else:
            components += _wheels(found, licences or {}) if kind == "runtime" else _files(found)
    serial = uuid.uuid5(_SPACE, canonical({"site": site, "files": {p: b.digest for p, b in files.items()}}).decode())
    return canonical(
        {
            "bomFormat": "CycloneDX",
            "specVersion": "1.6",
            "serialNumber": f"urn:uuid:{serial}",
            "version": 1,
            "metadata": {
                "timestamp": issued,
                "component": {"type": "application", "bom-ref": f"bundle/{site}", "name": f"bundle for {site}"},
            },
            "components": components,
        }
    )


def _hashes(blob: Descriptor) -> list[dict[str, str]]:
    return [{"alg": "SHA-256", "content": blob.digest.removeprefix("sha256:")}]


def _files(files: Mapping[str, Descriptor]) -> list[dict[str, Any]]:
    return [
        {"type": "data" if not path.startswith("policy/") else "file", "bom-ref": path, "name": path,
         "hashes": _hashes(blob)}
        for path, blob in sorted(files.items())
    ]  # fmt: skip


def _models(files: Mapping[str, Descriptor], cards: Mapping[str, ModelCard]) -> list[dict[str, Any]]:
    variants: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path, blob in sorted(files.items()):
        name, variant = (*path.split("/")[1:3], "")[:2]
        part = {"type": "file", "bom-ref": path, "name": path.rsplit("/", 1)[1], "hashes": _hashes(blob)}
        variants.setdefault((name, variant), []).append(part)
    return [
        {"type": "machine-learning-model", "bom-ref": f"models/{name}/{variant}", "name": name, "version": variant,
         "components": parts, **(cards[f"{name}/{variant}"].as_component() if f"{name}/{variant}" in cards else {})}
        for (name, variant), parts in sorted(variants.items())
    ]  # fmt: skip


def _wheels(files: Mapping[str, Descriptor], licences: Mapping[str, str]) -> list[dict[str, Any]]:
    found = []
    for path, blob in sorted(files.items()):
        name, version = path.rsplit("/", 1)[1].split("-")[:2]
        name = name.lower().replace("_", "-")
        purl = f"pkg:pypi/{name}@{version}"
        found.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
             "hashes": _hashes(blob), **({"licenses": said} if (said := licences_of(licences.get(path, ""))) else {})}
        )  # fmt: skip
    return found

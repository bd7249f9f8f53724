"""Writes in-toto statements: how a file was built (SLSA provenance v1) and how it was tested.

A statement is canonical JSON. It is not signed by itself: it travels as a file of the bundle, which two families of
custodians sign, and names what it speaks of by digest.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bundles.document import DOCUMENT_CAP, canonical, parse
from bundles.errors import InputError

STATEMENT = "https://in-toto.io/Statement/v1"
SLSA = "https://slsa.dev/provenance/v1"
TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
BUILD = "urn:sovereign-hybrid:build:{}:v1"
WORKSHOP = "urn:sovereign-hybrid:workshop"


def build_statement(
    subject: Mapping[str, str], kind: str, *, parameters: Mapping[str, str], materials: Mapping[str, str],
    tools: Mapping[str, str],
) -> bytes:  # fmt: skip
    """Return the SLSA provenance of `subject` (file name -> `sha256:<hex>`).

    Args:
        kind: what was done, e.g. `export` or `quantize`.
        materials: name -> `sha256:<hex>` of what it was made from; `tools` name -> version of what made it.
    """
    definition = {
        "buildType": BUILD.format(kind), "externalParameters": dict(parameters),
        "resolvedDependencies": [_resource(name, digest) for name, digest in sorted(materials.items())],
    }  # fmt: skip
    run = {"builder": {"id": WORKSHOP, "version": dict(tools)}}
    return _statement(subject, SLSA, {"buildDefinition": definition, "runDetails": run})


def evaluation_statement(
    subject: Mapping[str, str], *, texts: str, passed: Sequence[str], warned: Sequence[str] = ()
) -> bytes:
    """Return the test result of `subject`, measured with texts of digest `texts`; a line for each measure."""
    configuration = [_resource("texts", texts)] if texts else []
    result = "WARNED" if warned else "PASSED"
    return _statement(
        subject, TEST_RESULT,
        {"result": result, "configuration": configuration, "passedTests": list(passed), "warnedTests": list(warned)},
    )  # fmt: skip


def subjects_of(file: Path) -> dict[str, str]:
    """Return what the statement in `file` speaks of: file name -> `sha256:<hex>`.

    Raises:
        InputError: no statement.
    """
    document = parse(file.read_bytes(), what=str(file), cap=DOCUMENT_CAP)
    try:
        if document["_type"] != STATEMENT:
            raise KeyError("_type")
        return {one["name"]: "sha256:" + one["digest"]["sha256"] for one in document["subject"]}
    except (KeyError, TypeError):
        raise InputError("STATEMENT", f"{file} is no in-toto statement", advice="make the model again") from None


def _statement(subject: Mapping[str, str], kind: str, predicate: Mapping[str, Any]) -> bytes:
    resources = [_resource(name, digest) for name, digest in sorted(subject.items())]
    return canonical({"_type": STATEMENT, "subject": resources, "predicateType": kind, "predicate": dict(predicate)})


def _resource(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest.removeprefix("sha256:")}}

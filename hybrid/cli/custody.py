"""Where commands get passphrases and signing keys from: a file, the environment, or a prompt; never an argument."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.trust.stock import CryptoSigner

PASSPHRASE = "HYBRID_PASSPHRASE"

PassphraseOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help=f"File with the passphrase; else ${PASSPHRASE}, else a prompt.")
]
KeysOption = Annotated[
    Path | None, typer.Option("--keys", help="Sign here, with the custodians' keys in this folder or below it.")
]


def passphrase_from(file: Path | None, *, new: bool = False) -> bytes:
    """Return the passphrase; `new` asks twice.

    Raises:
        InputError: none was given and there is nobody to ask.
    """
    if file is not None:
        return file.read_bytes().rstrip(b"\n")
    if (given := os.environ.get(PASSPHRASE)) is not None:
        return given.encode()
    if not sys.stdin.isatty():
        raise InputError("no passphrase was given", advice=f"--passphrase-file FILE, or set {PASSPHRASE}")
    return str(typer.prompt("Passphrase", hide_input=True, confirmation_prompt=new, err=True)).encode()


def signers_from(folder: Path, file: Path | None) -> list[CryptoSigner]:
    """Return the signers of every custodian whose keys lie in `folder`."""
    from bundles.trust.custody import key_folders, load_signers

    passphrase = passphrase_from(file)
    return [signer for found in key_folders(folder) for signer in load_signers(found, passphrase)]

"""Where commands get passphrases and signing keys from: a file, the environment, or a prompt; never an argument."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybrid.errors import InputError

if TYPE_CHECKING:
    from bundles.trust.stock import Signer

PASSPHRASE = "HYBRID_PASSPHRASE"
PIN = "HYBRID_PIN"

PassphraseOption = Annotated[
    Path | None, typer.Option("--passphrase-file", help=f"File with the passphrase; else ${PASSPHRASE}, else a prompt.")
]
PinOption = Annotated[
    Path | None, typer.Option("--pin-file", help=f"File with the token's PIN; else ${PIN}, else a prompt.")
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


def pin_from(file: Path | None) -> Callable[[], str]:
    """Return who is asked for a token's PIN: the file, the environment, or once a prompt.

    Raises:
        InputError: when asked, and none was given, and there is nobody to ask.
    """

    @cache
    def ask() -> str:
        if file is not None:
            return file.read_text().rstrip("\n")
        if (given := os.environ.get(PIN)) is not None:
            return given
        if not sys.stdin.isatty():
            raise InputError("no PIN was given", advice=f"--pin-file FILE, or set {PIN}")
        return str(typer.prompt("PIN of the token", hide_input=True, err=True))

    return ask


def signers_from(folder: Path, file: Path | None, pin_file: Path | None = None) -> list[Signer]:
    """Return the signers of every custodian whose keys lie in `folder`; asks only for what is needed to open them."""
    from bundles.trust.custody import families, key_folders, load_signers

    folders, pin = key_folders(folder), pin_from(pin_file)
    in_files = any(not on_token for found in folders for on_token in families(found).values())
    passphrase = passphrase_from(file) if in_files else b""
    return [signer for found in folders for signer in load_signers(found, passphrase, pin)]

"""Signs a variant as OpenSSF's model signing does, for those who verify with that tool; a site needs none of it.

The signature is over every file of the variant. It stands beside the model in the workshop and travels with it; what
a site believes is what its custodians signed.
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path

from hybrid.errors import InputError
from hybrid.models.workshop import Workshop


def sign_variant(model: str, variant: str, workshop: Workshop, key: Path) -> Path:
    """Sign `variant` as it lies in the workshop with the elliptic-curve `key` (PEM) and return the signature's path.

    Raises:
        InputError: the variant is not there, or `key` is no such key.
    """
    from model_signing import signing

    workshop.files(model, variant)
    path = signature_of(workshop.root, model, variant)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=key)  # type: ignore[no-untyped-call]
        signer.sign(workshop.variant(model, variant), part)
        part.replace(path)
    except (ValueError, TypeError) as error:
        raise InputError(f"{key}: no key to sign with: {error}",
                         advice="openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256") from None  # fmt: skip
    finally:
        part.unlink(missing_ok=True)
    return path


def signature_of(root: Path, model: str, variant: str) -> Path:
    """Return where the signature of a variant stands in the workshop at `root`, whether it is there or not."""
    return root / model / "provenance" / f"{variant}.openssf.sig"


def signed_files(signature: Path) -> dict[str, str]:
    """Return what a signature is about: file name -> `sha256:<hex>`.

    Raises:
        InputError: no such signature.
    """
    try:
        envelope = json.loads(signature.read_bytes())["dsseEnvelope"]
        statement = json.loads(base64.b64decode(envelope["payload"]))
        resources = statement["predicate"]["resources"]
        return {one["name"]: f"{one['algorithm']}:{one['digest']}" for one in resources}
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise InputError(
            f"{signature}: no OpenSSF model signature", advice="sign it again: hybrid model sign"
        ) from None

"""A custodian's key on a PKCS#11 token: SoftHSM 2 from Debian, which offers Ed25519 and no ML-DSA.

So the Ed25519 key is on the token and the ML-DSA key in an encrypted file beside it, as with most tokens of today.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bundles.errors import InputError
from bundles.trust.custody import Custodian, Token, families, load_signers, make_keys
from tests.support.bundles import PASSPHRASE, BundleForge

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "271828"
pytestmark = pytest.mark.debian("softhsm2")


def a_token(label: str) -> None:
    command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "314159"]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Two tokens, ada's and ben's; SoftHSM reads its folder once per process, so they are made before any is used."""
    place = tmp_path_factory.mktemp("tokens")
    (place / "softhsm2.conf").write_text(f"directories.tokendir = {place}\nobjectstore.backend = file\n")
    os.environ["SOFTHSM2_CONF"] = str(place / "softhsm2.conf")
    a_token("ada")
    a_token("ben")
    yield
    del os.environ["SOFTHSM2_CONF"]


def on_token(folder: Path, name: str, **knobs: str) -> Custodian:
    token = Token(MODULE, name, lambda: knobs.pop("pin", PIN))
    return make_keys(folder, name, "release", PASSPHRASE, token=token)


@pytest.mark.usefixtures("tokens")
def test_a_bundle_signed_by_a_token(tmp_path: Path) -> None:
    """The box cannot tell where a key was kept: rotation, signing and install are the same."""
    forge = BundleForge(tmp_path)
    box = forge.box()
    folder = forge.folder / "keys" / "on-token"
    made = on_token(folder, "ada")
    assert families(folder) == {"ed25519": True, "ml-dsa": False}
    assert not (folder / "ed25519.pem").exists()
    before = forge.signers()
    forge.repository.replace_custodians([made, *forge.custodians[1:]], forge.clock.now)
    ada = load_signers(folder, PASSPHRASE, lambda: PIN)
    forge.repository.sign([*before, *ada, *forge.signers(["ben"])])
    assert forge.repository.publish()
    box.install(forge.build(signers=[*ada, *forge.signers(["ben", "dora"])]))


@pytest.mark.usefixtures("tokens")
def test_the_key_does_not_leave_the_token(tmp_path: Path) -> None:
    """Whoever has the folder, and even the PIN, has no private key: it is sensitive and not extractable."""
    import pkcs11

    on_token(tmp_path / "keys", "ada")
    where = json.loads((tmp_path / "keys" / "ed25519.token.json").read_bytes())
    with pkcs11.lib(MODULE).get_token(token_label="ada").open(user_pin=PIN) as session:
        (key,) = session.get_objects(
            {pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PRIVATE_KEY, pkcs11.Attribute.ID: bytes.fromhex(where["id"])}
        )
        assert key[pkcs11.Attribute.SENSITIVE]
        assert not key[pkcs11.Attribute.EXTRACTABLE]
        with pytest.raises(pkcs11.PKCS11Error):
            key[pkcs11.Attribute.VALUE]
    assert PIN.encode() not in b"".join(file.read_bytes() for file in (tmp_path / "keys").iterdir())


@pytest.mark.usefixtures("tokens")
def test_a_wrong_pin(tmp_path: Path) -> None:
    on_token(tmp_path / "keys", "ada")
    signer = load_signers(tmp_path / "keys", PASSPHRASE, lambda: "000000")[0]
    with pytest.raises(InputError, match=r"\[PIN\]"):
        signer.sign(b"text")
    with pytest.raises(InputError, match=r"\[PIN\]"):
        on_token(tmp_path / "more", "ada", pin="1")
    assert not (tmp_path / "more").exists()
    with pytest.raises(InputError, match=r"\[PIN\]"):
        load_signers(tmp_path / "keys", PASSPHRASE)


@pytest.mark.usefixtures("tokens")
def test_another_token_of_that_name_and_no_token(tmp_path: Path) -> None:
    """The folder names the token's serial: a second token, relabelled, is not taken for the first."""
    on_token(tmp_path / "keys", "ada")
    file = tmp_path / "keys" / "ed25519.token.json"
    honest = json.loads(file.read_bytes())
    for change in ({"token": "ben"}, {"serial": "0000"}, {"token": "nobody"}, {"module": "/nowhere.so"}, {"id": "00"}):
        file.write_text(json.dumps({**honest, **change}))
        with pytest.raises(InputError, match=r"\[TOKEN\]"):
            load_signers(tmp_path / "keys", PASSPHRASE, lambda: PIN)[0].sign(b"text")
    file.write_text(json.dumps(honest))
    assert load_signers(tmp_path / "keys", PASSPHRASE, lambda: PIN)[0].sign(b"text").signature


@pytest.mark.usefixtures("tokens")
def test_the_command_takes_the_pin_from_a_file(tmp_path: Path) -> None:
    """A PIN is never an argument, where every process of the machine could read it."""
    (tmp_path / "pin").write_text(PIN + "\n")
    (tmp_path / "passphrase").write_text(PASSPHRASE.decode() + "\n")
    files = ["--passphrase-file", str(tmp_path / "passphrase"), "--pin-file", str(tmp_path / "pin")]
    command = [sys.executable, "-m", "hybrid", "trust", "add-key", str(tmp_path / "keys"), "--custodian", "ben"]
    done = subprocess.run(
        [*command, "--token", "ben", "--module", MODULE, *files, "--output", "json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["onToken"] == ["ed25519"]
    help_ = subprocess.run([*command[:5], "--help"], capture_output=True, text=True, check=True).stdout
    assert "--pin-file" in help_
    assert "--pin " not in help_

"""Only the known key is accepted: unknown, changed, revoked and certified ones are refused before the user is named."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid.delivery.connection import connect
from hybrid.delivery.destination import destination
from hybrid.delivery.errors import DeliveryError, HostKeyError
from hybrid.delivery.host_keys import check, name_of, read_known_hosts
from hybrid.errors import InputError
from tests.support.delivery import Host, an_sshd, make_key

OURS, OTHER = b"\0\0\0\x0bssh-ed25519 ours", b"\0\0\0\x0bssh-ed25519 other"


def line(names: str, blob: bytes, marker: str = "") -> str:
    return f"{marker} {names} ssh-ed25519 {base64.b64encode(blob).decode()}".strip() + "\n"


def hashed(name: str) -> str:
    salt = b"s" * 20
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


def verdict(tmp_path: Path, text: str, name: str = "lyon.example", blob: bytes = OURS) -> str:
    """Return "" when accepted, else the refusal."""
    (file := tmp_path / "known_hosts").write_text(text)
    try:
        check(read_known_hosts((file,)), name, "ssh-ed25519", blob)
    except HostKeyError as error:
        return f"{error}; {error.advice}"
    return ""


@pytest.mark.parametrize(
    "names", ["lyon.example", "a,lyon.example", "*.example", "ly?n.example", hashed("lyon.example")]
)
def test_a_known_key_is_accepted(tmp_path: Path, names: str) -> None:
    assert verdict(tmp_path, line(names, OURS)) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not known"),
        (line("paris.example", OURS), "not known"),
        (line("lyon.example", OTHER), "another key"),
        (line("*.example,!lyon.example", OURS), "not known"),
        (line("[lyon.example]:2222", OURS), "not known"),
        (line("lyon.example", OURS) + line("*", OURS, "@revoked"), "revoked"),
        (line("elsewhere", OURS, "@revoked") + line("lyon.example", OURS), "revoked"),
        (line("lyon.example", OURS, "@cert-authority"), "not known"),
        (line("lyon.example", OURS) + "@revoked * ssh-ed25519 ???\n", "cannot be read"),
        (line("lyon.example", OURS) + "@future * ssh-ed25519 AAAA\n", "cannot be read"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, text: str, why: str) -> None:
    assert why in verdict(tmp_path, text)


def test_one_authority_line_does_not_spoil_the_others(tmp_path: Path) -> None:
    assert verdict(tmp_path, line("*", OTHER, "@cert-authority") + "nonsense\n" + line("lyon.example", OURS)) == ""


def test_a_port_is_part_of_the_name(tmp_path: Path) -> None:
    assert name_of("Lyon.example", 22) == "lyon.example"
    assert verdict(tmp_path, line("[lyon.example]:2222", OURS), name_of("lyon.example", 2222)) == ""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with an_sshd(tmp_path_factory.mktemp("sshd") / "one") as running:
        yield running


@pytest.mark.debian("openssh-server")
@pytest.mark.parametrize(
    ("known", "why"),
    [
        ("", "not known"),
        ("{name} {other}\n", "another key"),
        ("{name} {own}\n@revoked * {own}\n", "revoked"),
        ("@cert-authority * {own}\n", "not known"),
    ],
)
def test_a_real_host_whose_key_is_doubtful_learns_no_user_name(
    host: Host, tmp_path: Path, known: str, why: str
) -> None:
    other = make_key(tmp_path / "other")
    text = known.format(name=f"[127.0.0.1]:{host.port}", own=host.public_key, other=other)
    (file := tmp_path / "known_hosts").write_text(text)
    to = destination(f"secret-user@127.0.0.1:{host.port}", identity=host.identity, known_hosts=file)
    with pytest.raises(HostKeyError, match=why), connect(to, patience_s=5):
        pass
    assert "secret-user" not in (host.known_hosts.parent / "log").read_text()


@pytest.mark.debian("openssh-server")
def test_a_key_that_the_host_does_not_know_is_said(host: Host, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    to = destination(f"root@127.0.0.1:{host.port}", identity=tmp_path / "stranger", known_hosts=host.known_hosts)
    with pytest.raises(DeliveryError, match="accepts none of our keys") as caught, connect(to, patience_s=5):
        pass
    assert caught.value.exit_code == 4


def test_a_site_is_a_host_of_the_ssh_configuration(tmp_path: Path) -> None:
    (config := tmp_path / "config").write_text(
        "Host clinic-lyon\n HostName 10.1.2.3\n Port 2222\n User edge\n HostKeyAlias lyon-box\n"
        "Host behind\n ProxyJump gate\n"
    )
    to = destination("clinic-lyon", ssh_config=config)
    assert (str(to), to.known_as) == ("edge@10.1.2.3:2222", "lyon-box")
    assert str(destination("me@clinic-lyon:22", ssh_config=config)) == "me@10.1.2.3:22"
    with pytest.raises(InputError, match="proxyjump"):
        destination("behind", ssh_config=config)
    with pytest.raises(InputError, match="expected a site"):
        destination("a b", ssh_config=config)
    assert str(destination("u@[::1]:2022", ssh_config=config)) == "u@[::1]:2022"

"""Whom `--to` names: a site with a Host entry in an OpenSSH configuration, or `[user@]host[:port]`."""

from __future__ import annotations

import getpass
import re
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import InputError

SHAPE = re.compile(
    r"(?:(?P<user>[^@\s]+)@)?(?:\[(?P<ip6>[0-9A-Fa-f:]+)\]|(?P<host>[A-Za-z0-9_.-]+))(?::(?P<port>\d{1,5}))?"
)
DEFAULT_IDENTITIES = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
DEFAULT_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to connect and as whom.

    Attributes:
        known_as: the name under which the host's key is known (HostKeyAlias, else the host).
        identities: private key files to offer, in order; those that do not exist are passed over.
        known_hosts: the only source of host keys.
    """

    host: str
    port: int
    user: str
    known_as: str
    identities: tuple[Path, ...]
    known_hosts: tuple[Path, ...]

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.user}@{host}:{self.port}"


def destination(
    to: str, *, ssh_config: Path | None = None, identity: Path | None = None, known_hosts: Path | None = None
) -> Destination:
    """Return where `to` points; what it does not say comes from `ssh_config` (default `~/.ssh/config`).

    Raises:
        InputError: `to` has another shape, a named file is missing, or the entry asks for a detour (ProxyJump).
    """
    found = SHAPE.fullmatch(to)
    if not found:
        raise InputError(
            f"--to {to}: expected a site or [user@]host[:port]", advice="for example --to admin@10.0.0.7:22"
        )
    name = found["ip6"] or found["host"]
    entry = _entry(name, ssh_config)
    port = int(found["port"] or entry.get("port", "22"))
    if not 0 < port < 65536:
        raise InputError(f"--to {to}: {port} is no port", advice="a port is 1 to 65535")
    return Destination(
        host=entry.get("hostname", name),
        port=port,
        user=found["user"] or entry.get("user") or getpass.getuser(),
        known_as=entry.get("hostkeyalias", ""),
        identities=_files(identity, entry.get("identityfile", DEFAULT_IDENTITIES)),
        known_hosts=_files(known_hosts, entry.get("userknownhostsfile", " ".join(DEFAULT_KNOWN_HOSTS)).split()),
    )


def _entry(name: str, ssh_config: Path | None) -> dict[str, str]:
    import paramiko

    path = ssh_config or Path("~/.ssh/config").expanduser()
    if not path.exists():
        if ssh_config:
            raise InputError(f"{ssh_config}: no such file", advice="check --ssh-config")
        return {}
    entry = dict(paramiko.SSHConfig.from_path(str(path)).lookup(name))
    for detour in ("proxyjump", "proxycommand"):
        if entry.get(detour, "none") != "none":
            raise InputError(
                f"{path}: {name} is reached through {detour}, which this command does not take",
                advice=f"open a tunnel (ssh -L 2222:{name}:22 …) and deliver to its end, with HostKeyAlias {name}",
            )
    return entry


def _files(given: Path | None, configured: object) -> tuple[Path, ...]:
    if given is not None:
        if not given.is_file():
            raise InputError(f"{given}: no such file", advice="check the path")
        return (given,)
    assert isinstance(configured, (list, tuple))
    return tuple(Path(str(name)).expanduser() for name in configured)

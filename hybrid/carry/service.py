"""Makes a service of a box's releases: a user of its own, what that user may read and write, and systemd's units.

All of it may be done again at any time and changes nothing then. The units are those of the Ansible role, word for
word, with this box's paths.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from pathlib import Path

from bundles.store import make_folders, write_durably
from hybrid.errors import HybridError

UNITS = Path(__file__).with_name("units")
WRITES = ("evidence", "knowledge", "gateway")
KEYS = ("passport.key", "log.key", "tls.key", "tls.crt")
"""What the service signs with; the key of receipts stays root's."""


def units(root: Path, command: Path, user: str) -> dict[str, str]:
    """Return name -> text of the units that serve the box under `root` by `command`, as `user`."""
    words = {"@ROOT@": str(root), "@COMMAND@": str(command), "@USER@": user}
    found = {}
    for file in sorted(UNITS.iterdir()):
        text = file.read_text("utf-8")
        for name, value in words.items():
            text = text.replace(name, value)
        found[file.name] = text
    return found


def set_up(root: Path, command: Path, user: str, folder: Path) -> list[str]:
    """Make user, folders, permissions and units in `folder`; return the names of units that were changed.

    Raises:
        HybridError: not root, or the user cannot be made.
    """
    if os.geteuid() != 0:
        raise HybridError("a service is set up by root", advice="type the same as root")
    owner = _user(user)
    give(root, owner.pw_uid, owner.pw_gid)
    changed = []
    for name, text in units(root, command, user).items():
        path = folder / name
        if not path.is_file() or path.read_text("utf-8") != text:
            write_durably(path, text.encode())
            changed.append(name)
    return changed


def give(root: Path, user: int, group: int) -> None:
    """Let the service read who the box is and its own keys, and write its log, its indexes and its own state."""
    for name in WRITES:
        make_folders(root / name, mode=0o700)
        os.chown(root / name, user, group)
    identity = root / "identity"
    for path, owner, mode in [(identity, 0, 0o750), (identity / "enrolment.json", 0, 0o640),
                              *((identity / name, user, 0o400) for name in KEYS)]:  # fmt: skip
        os.chown(path, owner, group, follow_symlinks=False)
        path.chmod(mode)


def start(folder: Path) -> bool:
    """Let systemd start the service now and at boot; False where systemd is not what runs here."""
    if not Path("/run/systemd/system").is_dir() or folder != Path("/etc/systemd/system"):
        return False
    subprocess.run(["systemctl", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "enable", "--quiet", "--now", "hybrid-site.service", "hybrid-time.timer"], check=True)
    return True


def _user(name: str) -> pwd.struct_passwd:
    """Return the service's user, who is made where there is none: without a home, a shell or a password."""
    try:
        return pwd.getpwnam(name)
    except KeyError:
        pass
    command = ["useradd", "--system", "--user-group", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin"]
    try:
        done = subprocess.run([*command, name], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise HybridError("this box has no useradd", advice=f"make a system user {name} by its own means") from None
    if done.returncode:
        raise HybridError(f"no user {name}: {done.stderr.strip()}", advice=f"make a system user {name} by hand")
    return pwd.getpwnam(name)

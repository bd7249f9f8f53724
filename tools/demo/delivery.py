"""Chapter 7: a bundle travels over SSH to a real sshd; the wire is cut in the middle, and the delivery resumes."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from tools.demo.custody import ROOT
from tools.demo.story import Story, StoryError, wait_until

SSHD_PORT, WIRE_PORT, CUT_AFTER = 8490, 8491, 30_000_000


def tell(story: Story) -> None:
    """Start an sshd with keys of its own, cut the wire after 30 MB, and deliver."""
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if sshd is None:
        story.say("No sshd is installed here, so this chapter is left out: apt-get install openssh-server")
        return
    folder = story.home / "ssh"
    story.secrets.append(folder)
    _configure(folder)
    story.start(sshd, "-D", "-e", "-f", "ssh/config", log=story.home / "sshd.log")
    wait_until(_listens, "sshd", 10)
    ends = (str(WIRE_PORT), str(SSHD_PORT), str(CUT_AFTER))
    story.start(sys.executable, ROOT / "tools/demo/wire.py", *ends, log=story.home / "ssh-wire.log")
    wait_until(lambda: "up" in (story.home / "ssh-wire.log").read_text(), "the wire")
    to = ["--to", f"{getpass.getuser()}@127.0.0.1:{WIRE_PORT}", "--into", str(story.home / "incoming")]
    keys = ["--identity", "ssh/client", "--known-hosts", "ssh/known_hosts"]
    story.say(
        f"The wire is cut once, after {CUT_AFTER // 10**6} MB; the first attempt stops there, the second resumes:"
    )
    story.run("hybrid", "deliver", "this-month", *to, *keys, "--attempts", "1", expect=4)
    story.run("hybrid", "deliver", "this-month", *to, *keys)
    story.run("hybrid", "bundle", "verify", "incoming/this-month", "--trust", "trust", show=1)


def _configure(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    shutil.copyfile(folder / "client.pub", folder / "authorized")
    public = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{WIRE_PORT} {public}\n")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own folder for parting privileges
    lines = [
        f"ListenAddress 127.0.0.1:{SSHD_PORT}", f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/authorized",
        "PidFile none", "StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no",
        "PermitRootLogin prohibit-password", f"Subsystem sftp {_sftp_server()}",
    ]  # fmt: skip
    (folder / "config").write_text("\n".join(lines) + "\n")


def _sftp_server() -> str:
    for path in ("/usr/lib/openssh/sftp-server", "/usr/libexec/openssh/sftp-server", "/usr/lib/ssh/sftp-server"):
        if Path(path).exists():
            return path
    raise StoryError("sshd is here, but its sftp-server is not: apt-get install openssh-sftp-server")


def _listens() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", SSHD_PORT)) == 0

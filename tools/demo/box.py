"""A machine without a network: a network namespace that holds nothing but its own loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tools.demo.story import Story, StoryError, wait_until

SERVICE_UID = 64184
WRITES = ("evidence", "gateway", "knowledge")
"""Folders that the service of a box writes."""

READS = (
    "identity",
    "identity/enrolment.json",
    *(f"identity/{name}" for name in ("passport.key", "log.key", "tls.key", "tls.crt")),
)
"""What it alone may read besides root; the key of receipts is not among it."""

LINE = "run `make demo` as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1"


class Box:
    """One site's machine in a network namespace; commands run in it by `nsenter`.

    With root only the network is parted; without, `unshare -Urn` gives a namespace of an ordinary user.
    """

    def __init__(self, story: Story, name: str) -> None:
        """Enter the namespace that an earlier chapter made, or make it: one sleeping process holds it open.

        Raises:
            StoryError: this machine allows neither way; the message is the line to type.
        """
        self.story, self.name = story, name
        if name not in story.places:
            (story.home / name).mkdir()
            story.places[name] = self._make()
        self.inside = story.places[name]

    def _make(self) -> tuple[str, ...]:
        """Make the namespace and return the words that enter it; it ends with the story."""
        story = self.story
        root = os.geteuid() == 0
        unshare = ["unshare", "--net"] if root else ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
            raise StoryError(f"no network namespace can be made here; {LINE}")
        keeper = subprocess.Popen(
            [*unshare, "sh", "-c", "ip link set lo up && exec sleep infinity"],
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
        story.at_the_end(lambda: story.end(keeper))
        own = () if root else ("--user", "--preserve-credentials")
        inside = ("nsenter", f"--target={keeper.pid}", "--net", *own)
        wait_until(lambda: _is_up(inside), f"the loopback of {self.name}", 5)
        story.say(f"{self.name} is a network namespace with loopback only{'' if root else ', of an ordinary user'}.")
        return inside

    def service_user(self, root: str) -> tuple[str, ...]:
        """Return the words that run a service on the box as a user of its own, which owns only what it writes.

        Without root the namespace is already an ordinary user's; where the user could not reach the folder (a home
        that is closed to others) the service runs as root. Either is said.
        """
        if os.geteuid() != 0:
            self.story.say("The service runs in `unshare -Urn`, as the user who started the demo.")
            return ()
        words = ("setpriv", f"--reuid={SERVICE_UID}", f"--regid={SERVICE_UID}", "--clear-groups", "--no-new-privs")
        home = self.story.home / root
        if subprocess.run([*words, "test", "-x", home], capture_output=True, check=False).returncode != 0:
            self.story.say("The service runs as root: this folder is closed to every other user.")
            return ()
        for name in WRITES:
            (home / name).mkdir(exist_ok=True)
        owner = f"{SERVICE_UID}:{SERVICE_UID}"
        subprocess.run(["chown", "--recursive", owner, *(home / name for name in WRITES)], check=True)
        subprocess.run(["chown", owner, *(home / name for name in READS)], check=True)
        self.story.say(
            f"The service has a user of its own ({SERVICE_UID}); store, releases and root of trust stay root's."
        )
        return words

    def run(self, *command: str | Path, expect: int = 0, show: int = 60) -> str:
        """Run `command` inside; see `Story.run`."""
        return self.story.run(*command, expect=expect, show=show, inside=self.inside, at=self.name)

    def start(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a service inside; see `Story.start`."""
        return self.story.start(*command, log=log, inside=self.inside, at=self.name)


def _is_up(inside: tuple[str, ...]) -> bool:
    shown = subprocess.run([*inside, "ip", "-brief", "link"], capture_output=True, text=True, check=False).stdout
    return "LOOPBACK,UP" in shown

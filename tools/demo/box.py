"""A machine without a network: a network namespace that holds nothing but its own loopback."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from tools.demo.story import Story, StoryError, wait_until

LINE = "run `make demo` as root, or allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1"


class Box:
    """One site's machine in a network namespace; commands run in it by `nsenter`.

    With root only the network is parted; without, `unshare -Urn` gives a namespace of an ordinary user.
    """

    def __init__(self, story: Story, name: str) -> None:
        """Make the namespace, held open by one sleeping process that ends with the story.

        Raises:
            StoryError: this machine allows neither way; the message is the line to type.
        """
        self.story, self.name, self.folder = story, name, story.home / name
        self.folder.mkdir()
        root = os.geteuid() == 0
        unshare = ["unshare", "--net"] if root else ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
            raise StoryError(f"no network namespace can be made here; {LINE}")
        self._keeper = subprocess.Popen(
            [*unshare, "sh", "-c", "ip link set lo up && exec sleep infinity"],
            process_group=0,
            stdin=subprocess.DEVNULL,
        )
        story.at_the_end(lambda: story.end(self._keeper))
        own = () if root else ("--user", "--preserve-credentials")
        self.inside = ("nsenter", f"--target={self._keeper.pid}", "--net", *own)
        wait_until(self._is_up, f"the loopback of {name}", 5)
        story.boxes[name] = self
        story.say(f"{name} is a network namespace with loopback only{'' if root else ', of an ordinary user'}.")

    def _is_up(self) -> bool:
        shown = subprocess.run(
            [*self.inside, "ip", "-brief", "link"], capture_output=True, text=True, check=False
        ).stdout
        return "LOOPBACK,UP" in shown

    def run(self, *command: str | Path, expect: int = 0, show: int = 60) -> str:
        """Run `command` inside; see `Story.run`."""
        return self.story.run(*command, expect=expect, show=show, inside=self.inside, at=self.name)

    def start(self, *command: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Start a service inside; see `Story.start`."""
        return self.story.start(*command, log=log, inside=self.inside, at=self.name)

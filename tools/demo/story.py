"""Tells the story: prints a command as a person would type it, runs it, shows its output, and ends what it started.

Services run in process groups of their own and are ended by their ids, in reverse order, whatever happens; commands
in the foreground share our group, so that Ctrl-C reaches them first.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

WIDTH = 100
BIN = Path(sys.executable).parent


class StoryError(Exception):
    """A step did not go as told: the demo stops and says at which command."""


def _styled(text: str, code: str) -> str:
    plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
    return text if plain else f"\033[{code}m{text}\033[0m"


@dataclass
class Story:
    """One telling, in one directory.

    Attributes:
        home: where everything is made; removed and made anew at the start.
        secrets: files and folders deleted at the end, also after Ctrl-C (demo keys).
        results: files a reader may want to open, with what they show.
        extra: environment variables for every command, such as the demo's passphrase.
        places: the words that enter a machine which an earlier chapter made, by site.
    """

    home: Path
    secrets: list[Path] = field(default_factory=list)
    results: list[tuple[Path, str]] = field(default_factory=list)
    extra: dict[str, str] = field(default_factory=dict)
    places: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _services: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _endings: list[Callable[[], None]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def chapter(self, number: int, title: str) -> None:
        """Print a chapter's heading with the time since the start."""
        elapsed = time.monotonic() - self._began
        head = f"━━ {number}  {title} "
        print("\n" + _styled(head + "━" * max(4, WIDTH - len(head) - 8) + f" {elapsed:4.0f} s", "1;36"), flush=True)

    def say(self, text: str) -> None:
        """Print one line of narration."""
        print(_styled(f"   {text}", "3"), flush=True)

    def run(
        self, *command: str | Path, expect: int = 0, show: int = 60, inside: Sequence[str] = (), at: str = "",
    ) -> str:  # fmt: skip
        """Print `command`, run it in `home`, print at most `show` lines of its output, and return all it put on stdout.

        Args:
            expect: the exit code that the story tells.
            inside: words before the command that enter another place, such as `nsenter …`.
            at: the name of that place, shown as the prompt's host.

        Raises:
            StoryError: it exited with anything but `expect`.
        """
        line = shlex.join(str(part) for part in command)
        print(_styled(f"\n {at}$ {line}", "1"), flush=True)
        done = subprocess.run(
            [*inside, *self._resolved(command)], cwd=self.home, env=self.environment(), text=True, check=False,
            stdout=subprocess.PIPE, stderr=None if sys.stderr.isatty() else subprocess.PIPE,
        )  # fmt: skip
        lines = [*done.stdout.rstrip().splitlines(), *(done.stderr or "").rstrip().splitlines()]
        for shown in lines[:show]:
            print(f"   {shown}")
        if len(lines) > show:
            print(_styled(f"   … {len(lines) - show} more lines", "2"))
        if expect:
            print(_styled(f"   exit {done.returncode}", "2"), flush=True)
        if done.returncode != expect:
            raise StoryError(f"`{line}` exited with {done.returncode}, expected {expect}")
        return done.stdout

    def start(
        self, *command: str | Path, log: Path, inside: Sequence[str] = (), at: str = ""
    ) -> subprocess.Popen[bytes]:
        """Print and start a service in a process group of its own; its output goes to `log` (see `run`)."""
        print(_styled(f"\n {at}$ {shlex.join(str(part) for part in command)} &", "1"), flush=True)
        with log.open("wb") as output:
            service = subprocess.Popen(
                [*inside, *self._resolved(command)], cwd=self.home, env=self.environment(), process_group=0,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._services.append(service)
        return service

    def finish(self, service: subprocess.Popen[bytes], log: Path, patience_s: float = 300.0) -> None:
        """Wait for something started that ends by itself, and print what it said. Raises StoryError when it failed."""
        code = service.wait(patience_s)
        for line in log.read_text().rstrip().splitlines():
            print(f"   {line}")
        if code != 0:
            raise StoryError(f"what was started with its output in {log.name} exited with {code}")

    def environment(self) -> dict[str, str]:
        """Return our environment, the workshop's commands first on the path, telemetry off, `extra` on top."""
        quiet = {"HF_HUB_OFFLINE": "1", "ORT_DISABLE_TELEMETRY": "1", "RAY_USAGE_STATS_ENABLED": "0"}
        return {**os.environ, **quiet, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **self.extra}

    def at_the_end(self, ending: Callable[[], None]) -> None:
        """Call `ending` when the story ends, last registered first."""
        self._endings.append(ending)

    def end(self, service: subprocess.Popen[bytes], patience_s: float = 10.0) -> None:
        """End one service that we started: SIGTERM to its group, SIGKILL after `patience_s` seconds."""
        for number, wait in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            if service.poll() is not None:
                break
            try:
                os.killpg(service.pid, number)
                service.wait(wait)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def end_services(self) -> None:
        """End every service that runs, last started first."""
        for service in reversed(self._services):
            self.end(service)
        self._services.clear()

    def close(self) -> None:
        """End every service, run the endings, delete the secrets; a second Ctrl-C does not interrupt it."""
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            for ending in reversed(self._endings):
                ending()
            self.end_services()
            for secret in self.secrets:
                shutil.rmtree(secret, ignore_errors=True) if secret.is_dir() else secret.unlink(missing_ok=True)
        finally:
            signal.signal(signal.SIGINT, previous)

    def _resolved(self, command: Sequence[str | Path]) -> list[str]:
        first = BIN / str(command[0])
        return [str(first) if first.exists() else str(command[0]), *(str(part) for part in command[1:])]


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Poll `ready` every 0.1 s. Raises StoryError when it is not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise StoryError(f"{what} was not ready within {seconds:.0f} s")
        time.sleep(0.1)

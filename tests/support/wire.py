"""Two machines' networks, joined by one cable and by nothing else: namespaces that end with the test."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest


@dataclass(frozen=True)
class Network:
    """The network of one machine; `holder` is the process that keeps it."""

    holder: int
    address: str

    def inside(self, *command: object) -> list[str]:
        """Return the words that run `command` in this network."""
        return ["nsenter", f"--target={self.holder}", "--net", *map(str, command)]

    def cable(self, state: str) -> None:
        """Set the cable `up` or `down` at this end."""
        subprocess.run(self.inside("ip", "link", "set", "cable", state), check=True)


@contextmanager
def a_cable() -> Iterator[tuple[Network, Network]]:
    """Give two networks, 10.77.0.1 and 10.77.0.2, with a veth pair between them; needs root."""
    if os.geteuid() != 0:
        pytest.skip("joins two network namespaces: needs root")
    with ExitStack() as stack:
        first, second = (Network(stack.enter_context(_namespace()), f"10.77.0.{n}") for n in (1, 2))
        _run(
            first.inside("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", second.holder)
        )
        for network in (first, second):
            _run(network.inside("ip", "address", "add", f"{network.address}/24", "dev", "cable"))
            network.cable("up")
        yield first, second


@contextmanager
def _namespace() -> Iterator[int]:
    with subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo up; exec sleep 3600"],
                          stdout=subprocess.PIPE) as holder:  # fmt: skip
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"up\n":
                pytest.skip("this kernel gives no network namespace")
            yield holder.pid
        finally:
            holder.kill()


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no veth pair here: {done.stderr.strip()}")

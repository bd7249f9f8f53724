"""The region gateway's engine for a stage that Ray Serve runs: one request over the head's private socket."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import HybridError, InputError
from hybrid.gateway.passport import HEADER

MOST_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class RegionEngine:
    """Runs one task of one pool in the cluster.

    Attributes:
        data_socket: `RUN/data.sock` of the head.
        route: the pool's route, `/site/model/variant/hardware` with dots as slashes.
        issue: makes the passport of a body (`admission.issuer`).
        timeout_s: the longest wait for an answer.
    """

    task: str
    data_socket: Path
    route: str
    issue: Callable[[bytes], str]
    timeout_s: float

    def run(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stage's payload.

        Raises:
            InputError: the replica says that the inputs do not fit.
            HybridError: no replica answered, or it refused.
        """
        body = json.dumps({"inputs": dict(inputs)}).encode()
        status, answer = self._post(body)
        try:
            value: Any = json.loads(answer)
        except ValueError:
            value = {}
        if status == 200 and isinstance(value, dict):
            return value
        said = value.get("error", {}).get("message", "") if isinstance(value, dict) else ""
        if status == 400:
            raise InputError(f"the region's {self.task}: {said}")
        raise HybridError(
            f"the region's {self.task} answered {status} {said}".rstrip(), advice="see `hybrid cluster status`"
        )

    def _post(self, body: bytes) -> tuple[int, bytes]:
        connection = _Local(self.data_socket, self.timeout_s)
        headers = {"content-type": "application/json", HEADER: self.issue(body)}
        try:
            connection.request("POST", self.route, body, headers)
            response = connection.getresponse()
            return response.status, response.read(MOST_ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise HybridError(
                f"the region's head does not answer at {self.data_socket}: {error}",
                advice="see `hybrid cluster status`",
            ) from error
        finally:
            connection.close()


class _Local(http.client.HTTPConnection):
    """HTTP over a socket of the file system."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("region", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))

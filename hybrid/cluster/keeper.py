"""Inside the namespaces: starts Ray with its labelled nodes, answers `head.ask`, and carries the gateway's bytes in.

Run as `python -m hybrid.cluster.keeper RUN LIFELINE` by `head.start` alone. As the first process of its pid namespace
it reaps; its child does the work, and with it everything ends. The cluster's token is made here and never leaves.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from hybrid.cluster.schema import ServeConfig, parse_config

GCS = "127.0.0.1:6379"
SCRATCH = Path("/dev/shm")  # a tmpfs of our own: Ray's sockets need short paths, and its memory is freed with us
OBJECT_STORE = 80_000_000
DATA_PORT = 8000


def main(run: Path, lifeline: int) -> None:
    """Set up the namespaces, start Ray, and serve until told to stop or the lifeline closes."""
    if os.getpid() == 1:
        _reap_for_a_child()
    threading.Thread(target=_watch, args=(lifeline,), daemon=True).start()
    _furnish(run)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    _start_ray(json.loads((run / "nodes.json").read_text()))
    os.chdir(run)  # relative names: a socket's path may have at most 107 bytes
    os.umask(0o177)
    asyncio.run(_serve())


def _reap_for_a_child() -> None:
    """Fork: the child goes on; this process, the namespace's first, waits for every orphan and ends with the child."""
    child = os.fork()
    if child == 0:
        return
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    while True:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 0x7F)


def _watch(lifeline: int) -> None:
    """End when whoever started us ends before telling us to stay; a bound head is never told."""
    from hybrid.cluster.head import KEEP

    if os.read(lifeline, 1) != KEEP:
        os._exit(1)


def _furnish(run: Path) -> None:
    """Raise loopback, name the host so that no resolver is asked, and mount a private scratch folder."""
    with socket.socket() as sock:
        up = struct.pack("16sh14x", b"lo", 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(sock, 0x8914, up)  # SIOCSIFFLAGS
    socket.sethostname("localhost")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=1777", "tmpfs", str(SCRATCH)], check=True)
    (run / "ray").mkdir(mode=0o700, exist_ok=True)
    logs = run / "ray" / "session"  # Ray opens this one to everybody; its parent stays shut
    logs.mkdir(exist_ok=True)
    (SCRATCH / "ray").mkdir()
    subprocess.run(["mount", "--bind", str(logs), str(SCRATCH / "ray")], check=True)
    for name, file in (
        ("CONFIG_FILE_LOC", "haproxy.cfg"), ("SOCKET_PATH", "admin.sock"),
        ("SERVER_STATE_BASE", ""), ("SERVER_STATE_FILE", "server-state"),
    ):  # fmt: skip
        os.environ[f"RAY_SERVE_HAPROXY_{name}"] = str(SCRATCH / "haproxy" / file).rstrip("/")


def _start_ray(nodes: list[dict[str, Any]]) -> None:
    """Start one Ray node per entry; the first is the head's own."""
    head = ["--head", "--port=6379", "--include-dashboard=false", f"--temp-dir={SCRATCH / 'ray'}"]
    first = _ray_node(nodes[0], head)
    import ray
    import ray.serve  # five seconds of one core, while the head starts on the other

    if first.wait() != 0:
        raise SystemExit("the head node did not start")
    joining = [_ray_node(node, [f"--address={GCS}"]) for node in nodes[1:]]
    if max((process.wait() for process in joining), default=0) != 0:
        raise SystemExit("a node did not start")
    ray.init(address=GCS, log_to_driver=False, configure_logging=False, namespace="hybrid")


def _ray_node(node: dict[str, Any], role: list[str]) -> subprocess.Popen[bytes]:
    labels = ",".join(f"{key}={value}" for key, value in node["labels"].items())
    return subprocess.Popen(
        [
            sys.executable, "-m", "ray.scripts.scripts", "start", *role, "--node-ip-address=127.0.0.1",
            "--disable-usage-stats", "--include-log-monitor=false", f"--object-store-memory={OBJECT_STORE}",
            f"--num-cpus={node['cpus']}", f"--num-gpus={node['gpus']}", f"--memory={node['memory']}",
            f"--labels={labels}",
        ],
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


async def _serve() -> None:
    done = asyncio.Event()
    await asyncio.start_unix_server(_carry, "data.sock")
    await asyncio.start_unix_server(lambda reader, writer: _answer(reader, writer, done), "control.sock")
    await done.wait()
    await asyncio.to_thread(_shut_down)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, done: asyncio.Event) -> None:
    request = json.loads(await reader.readline() or b"{}")
    verb = VERBS.get(request.get("do", ""))
    try:
        answer = {"error": "no such request"} if verb is None else await asyncio.to_thread(verb, request)
    except Exception as error:
        answer = {"error": (str(error).strip().splitlines() or [type(error).__name__])[-1]}
    writer.write(json.dumps(answer).encode() + b"\n")
    await writer.drain()
    writer.close()
    if request.get("do") == "stop":
        done.set()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Join one connection of the gateway to the data port inside."""
    try:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", DATA_PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


def _client() -> Any:
    from ray.serve.context import _get_global_client

    return _get_global_client(raise_if_no_controller_running=False)


def _apply(request: dict[str, Any]) -> dict[str, Any]:
    """Deploy a configuration; what stands in it is read by our own schema first, here too."""
    from ray import serve
    from ray.serve.schema import ServeDeploySchema

    config: ServeConfig = parse_config(request["config"], "apply")
    plain = config.plain()
    serve.start(proxy_location=config.proxy_location, http_options=plain["http_options"])
    _client().deploy_apps(ServeDeploySchema.model_validate(plain))
    return {}


def _drain(request: dict[str, Any]) -> dict[str, Any]:
    """Take applications out of service and wait until their replicas are gone."""
    if (client := _client()) is not None:
        client.delete_apps(request["applications"], blocking=True)
    return {}


def _observe(_: dict[str, Any]) -> dict[str, Any]:
    import ray

    listed: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    nodes = [{"id": n["NodeID"], "labels": n["Labels"]} for n in listed if n["Alive"]]
    client = _client()
    found = client.get_serve_details()["applications"] if client is not None else {}
    return {"nodes": nodes, "applications": {name: _application(details) for name, details in found.items()}}


def _application(details: dict[str, Any]) -> dict[str, Any]:
    replicas = [
        {"id": replica.get("replica_id", ""), "node": replica.get("node_id", ""), "state": _word(replica["state"])}
        for deployment in details["deployments"].values()
        for replica in deployment["replicas"]
    ]
    config = details.get("deployed_app_config") or {}
    message = details.get("message", "") or next((d["message"] for d in details["deployments"].values()), "")
    return {
        "status": _word(details["status"]),
        "message": message,
        "args": config.get("args", {}),
        "replicas": replicas,
    }


def _word(state: Any) -> str:
    """Return the value of one of Serve's string enumerations."""
    return str(getattr(state, "value", state))


def _shut_down() -> None:
    from ray import serve

    serve.shutdown()  # type: ignore[no-untyped-call]


VERBS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "ping": lambda _: {},
    "apply": _apply,
    "drain": _drain,
    "observe": _observe,
    "stop": lambda _: {},
}


def _entry() -> NoReturn:
    main(Path(sys.argv[1]), int(sys.argv[2]))
    raise SystemExit(0)


if __name__ == "__main__":
    _entry()

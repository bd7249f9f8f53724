"""The composition root of a site: opens the installed release, its engines, its log and its keys, and listens.

Two doors: one for callers with a credential (a port on loopback by default, or a socket), and, where the site has a
wire, one for other gateways (TLS 1.3, mutual). Everything is opened before anything listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime as dt
import gc
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import socket as Socket  # noqa: N812
from typing import Any, Protocol

from hybrid.errors import InputError
from hybrid.evidence.commitment import BodyKeys
from hybrid.evidence.head import remembered
from hybrid.evidence.log import EvidenceLog
from hybrid.gateway.chain import Chain, wanted
from hybrid.gateway.clock import effective_clock
from hybrid.gateway.credentials import FILE, Credentials
from hybrid.gateway.engines import Engine, Wanted, engines_for
from hybrid.gateway.front import Front
from hybrid.gateway.identity import Identity, read_identity
from hybrid.gateway.journal import Journal
from hybrid.gateway.ladder import Epoch, Receiver, Replays
from hybrid.gateway.limits import Limits
from hybrid.gateway.listening import listen, listen_unix, listening
from hybrid.gateway.metrics import Metrics
from hybrid.gateway.peers import read_peers
from hybrid.gateway.protocols import dryrun, hop, oip, openai
from hybrid.gateway.registry import Registry
from hybrid.gateway.run import NoHops
from hybrid.gateway.table import Table
from hybrid.gateway.tls import server_context
from hybrid.gateway.transport import Transport

DISK_WAITERS = 8


class Installed(Protocol):
    """What this service needs of `bundles.release.Release`: signed, verified and opened."""

    @property
    def root(self) -> Path:
        """The box's root folder."""

    @property
    def number(self) -> int:
        """The number of the release."""

    @property
    def site_plan(self) -> Mapping[str, Any]:
        """The signed site plan."""

    @property
    def files(self) -> Mapping[str, Path]:
        """Logical path to verified file."""


class Gateway:
    """Everything of one site, opened; `serve` runs it, tests mount its two applications where they like."""

    def __init__(
        self,
        release: Installed,
        *,
        clock: Callable[[], dt.datetime],
        suspect: Callable[[], bool] = lambda: False,
        engines: Mapping[Wanted, Engine] | None = None,
        peers: Mapping[str, str] | None = None,
        head: tuple[int, bytes] | None = None,
    ) -> None:
        """Open the release's table, keys, log and engines.

        Args:
            release: the installed release.
            clock: effective time, UTC.
            suspect: says that the clock is not to be believed; then nothing leaves the site.
            engines: further engines (the region's), which take precedence over those on onnxruntime.
            peers: site to `https://host:port`; by default `gateway/peers.json` under the root.
            head: size and root of the log that the box remembers; a shorter log, or another one, refuses.
        """
        plan = release.site_plan
        self.table = Table.of(plan["table"])
        self.metrics, self.limits, self.clock, self.suspect = Metrics(), Limits(time.monotonic), clock, suspect
        self.identity = read_identity(release.root / "identity")
        self.credentials = Credentials.read(release.root / FILE, site=plan["site"])
        self.receiver = _receiver(plan, self.table, self.identity, clock())
        self.workers = ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="stage")
        self.disk = ThreadPoolExecutor(DISK_WAITERS, thread_name_prefix="disk")
        given = dict(engines or {})
        here = [want for want in wanted_here(self.table) if want not in given]
        index_stores(release, self.table)
        self.engines = engines_for(release, here, knowledge=release.root / "knowledge") | given
        evidence = release.root / "evidence"
        self.log = EvidenceLog.open(evidence, origin=plan["site"], key=self.identity.log, now=clock, head=head)
        self.journal = Journal(
            self.log, BodyKeys(evidence, clock), self.disk, plan["site"], plan["planDigest"], plan["epoch"], clock
        )
        self.transport = self._transport(read_peers(release.root) if peers is None else peers, suspect)
        self.chain = Chain(
            self.table, self.engines, self.transport or NoHops(), self.journal, self.metrics, self.workers
        )
        self.journal.note("start", {"release": release.number})
        _give_back()

    @classmethod
    def of(cls, release: Installed, *, region: Path | None = None) -> Gateway:
        """Open a release with the box's effective time, and with the engines of a region's head where there is one."""
        clock = effective_clock(release.root, release.site_plan)
        engines: Mapping[Wanted, Engine] | None = None
        if region is not None:
            from hybrid.gateway.regional import region_engines

            identity = read_identity(release.root / "identity")
            engines = region_engines(region, release.site_plan, identity, clock)
        head = remembered(clock.state.log) if clock.state else None
        return cls(release, clock=clock, suspect=lambda: clock.suspect, engines=engines, head=head)

    def _transport(self, peers: Mapping[str, str], suspect: Callable[[], bool]) -> Transport | None:
        if not peers:
            return None
        return Transport(self.identity, self.receiver, self.journal, self.metrics, peers, suspect)

    def front(self) -> Any:
        """Return the application for callers."""
        front = Front(self.table, self.credentials, self.chain, self.journal, self.limits, self.metrics)
        return _application([route for protocol in (openai, oip, dryrun) for route in protocol.routes(front)])

    def receiving(self) -> Any:
        """Return the application for other gateways."""
        door = hop.Receiving(
            self.receiver, Replays(), self.chain, self.journal, self.limits, self.metrics, self.clock,
            suspect=lambda: self.suspect(),
        )  # fmt: skip
        return _application(hop.routes(door))

    def context(self) -> Any:
        """Return the TLS context of the door for other gateways."""
        certificates = self.receiver.registry.certificates(self.clock())
        return server_context(self.identity.certificate, self.identity.tls_key, certificates)

    async def close(self) -> None:
        """Finish: count what was only counted, sign the log's head, end the threads."""
        if self.transport is not None:
            await self.transport.close()
        counted = self.metrics.refusals()
        if counted:
            self.journal.note("counters", {"counts": counted})
        self.journal.note("stop", {})
        self.workers.shutdown(wait=True, cancel_futures=True)
        self.disk.shutdown(wait=True)
        self.log.close()


def _give_back() -> None:
    """Return to the system the memory that only opening needed: megabytes that a small box misses."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def _application(routes: Iterable[Any]) -> Any:
    from starlette.applications import Starlette

    return Starlette(routes=list(routes))


def _receiver(plan: Mapping[str, Any], table: Table, identity: Identity, started: dt.datetime) -> Receiver:
    registry = Registry.of(plan)
    epochs = (Epoch(plan["epoch"], plan["planDigest"], table),)
    if table.site != plan["site"]:
        raise InputError(f"the table is of {table.site}, the site plan of {plan['site']}", advice="build it again")
    mine = registry.find(identity.passport_id, "passport", started)
    if mine is None or mine.site != plan["site"]:
        raise InputError(
            f"the signed plan does not know this box's passport key {identity.passport_id[:19]}…",
            advice="send identity/request.json home, have it admitted, and install the bundle built with it",
        )
    return Receiver(plan["site"], registry, epochs, started.replace(microsecond=0))


def wanted_here(table: Table) -> list[Wanted]:
    """Return the engines that this site's own targets ask for."""
    targets = [
        target
        for workload in table.workloads.values()
        for assignment in workload.assignments
        for entry in assignment.stages.values()
        for target in entry.targets
        if target.site == table.site and target.role != "queue"
    ]
    return list(dict.fromkeys(wanted(target) for target in targets))


def index_stores(release: Installed, table: Table) -> tuple[str, ...]:
    """Index the release's documents for each store of `table` whose index is missing or of another release.

    Returns the names that were indexed; a store whose documents the site itself added is left alone.

    Raises:
        InputError: the release lacks the embedder.
    """
    from hybrid.knowledge import build_index, documents_of, is_current

    made, knowledge = [], release.root / "knowledge"
    for name, store in table.file.stores.items():
        label, model, variant = table.label_json(store.label), store.model, store.variant
        documents = documents_of(release, name)
        if documents and not is_current(release, name, knowledge=knowledge, model=model, variant=variant, label=label):
            build_index(release, name, documents, knowledge=knowledge, model=model, variant=variant, label=label)
            made.append(name)
    return tuple(made)


def _announce(address: str) -> None:
    print(address, flush=True)  # whoever waits for it may be reading a file


def serve(
    root: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8470,
    socket: Path | None = None,
    hop_host: str = "0.0.0.0",
    hop_port: int | None = None,
    region: Path | None = None,
    ready: Callable[[str], None] = _announce,
) -> None:
    """Open the installed release under `root` and serve it until SIGINT or SIGTERM.

    Args:
        root: the box's root folder.
        host: with `port`, where callers connect; port 0 takes a free one.
        socket: a Unix socket for callers, instead of host and port.
        hop_host: with `hop_port`, where other gateways connect; no port means that the site has no wire.
        region: the run folder of a Ray Serve head whose replicas serve this site's pools.
        ready: called once with the address for callers, when everything listens.

    Raises:
        HybridError: an address is taken, the log is in use; InputError, EvidenceError: see `Gateway`.
    """
    import uvloop

    from bundles.release import open_release
    from bundles.retention import in_use

    with contextlib.ExitStack() as stack:
        callers = stack.enter_context(listen_unix(socket) if socket else listen(host, port))
        hops = None if hop_port is None else stack.enter_context(listen(hop_host, hop_port))
        release = open_release(root)
        stack.enter_context(in_use(release))
        gateway = Gateway.of(release, region=region)
        where = str(socket) if socket else "http://{}:{}".format(*callers.getsockname()[:2])
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(gateway, callers, hops, lambda: ready(where)))


@contextlib.asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run endless `work` beside the body, and end it with the body."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _serve(gateway: Gateway, callers: Socket, hops: Socket | None, ready: Callable[[], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(listening(gateway.front(), callers))
            if hops is not None:
                await stack.enter_async_context(listening(gateway.receiving(), hops, tls=gateway.context()))
            await stack.enter_async_context(_running(gateway.journal.keep_signed()))
            ready()
            await stop.wait()
    finally:
        await gateway.close()

"""Runs a hub: listens where it is told to, until it is told to stop, its time is over, or its medium is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Callable
from functools import partial
from socket import socket as Socket  # noqa: N812
from typing import Any

from hybrid.gateway.listening import listening
from hybrid.hub.application import Application
from hybrid.hub.doors import Doors, HubProtocol, Porch


async def serve(
    application: Application, bound: Socket, *, tls: ssl.SSLContext | None, stop: asyncio.Event, doors: Doors,
    ready: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Serve until `stop` is set or the medium is gone; what is being sent then gets some seconds to arrive.

    Raises:
        BundleError: the medium could not be read any more.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # strangers do not get to write to this terminal
    asyncio.get_running_loop().set_exception_handler(_without_strangers)
    try:
        async with listening(
            application, Porch.over(bound, doors), tls=tls, protocol=partial(HubProtocol, doors=doors)
        ):
            ready()
            ends = [asyncio.create_task(event.wait()) for event in (stop, application.broken)]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
    finally:
        application.close()
    if application.error:
        raise application.error


def _without_strangers(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Say what went wrong, but for what others did to their own connections."""
    if not isinstance(context.get("exception"), OSError):
        loop.default_exception_handler(context)


def run(
    application: Application, bound: Socket, *, tls: ssl.SSLContext | None, seconds: float, ready: Callable[[], None]
) -> None:  # fmt: skip
    """Serve from this process for `seconds`, or until SIGINT or SIGTERM."""

    async def until_told() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        loop.call_later(seconds, stop.set)
        await serve(application, bound, tls=tls, stop=stop, doors=Doors(), ready=ready)

    with contextlib.closing(bound), asyncio.Runner() as runner:
        runner.run(until_told())

"""A wire between two sites on this machine: forwards TCP until its process ends, which cuts it.

Usage: wire.py FROM_PORT TO_PORT [BYTES]. With BYTES it is cut once, after that many bytes towards TO_PORT.
"""

from __future__ import annotations

import asyncio
import sys

PIECE = 65536


class Wire:
    """Forwards connections from one loopback port to another; `left` counts the bytes until the one cut."""

    def __init__(self, to_port: int, cut_after: int | None) -> None:
        """Remember where to and for how long."""
        self.to_port, self.left = to_port, cut_after

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forward one connection both ways until either side ends, or the cut."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            self._pump(reader, far_writer, counted=True), self._pump(far_reader, writer, counted=False)
        )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        try:
            while piece := await reader.read(PIECE):
                if counted and self._is_cut(len(piece)):
                    break
                writer.write(piece)
                await writer.drain()
        except OSError:
            pass  # the other side ended first
        finally:
            writer.close()

    def _is_cut(self, size: int) -> bool:
        if self.left is None:
            return False
        self.left -= size
        if self.left > 0:
            return False
        self.left = None
        print("cut", flush=True)
        return True


async def main() -> None:
    """Serve until the process ends."""
    from_port, to_port, *cut = (int(word) for word in sys.argv[1:])
    server = await asyncio.start_server(Wire(to_port, cut[0] if cut else None).carry, "127.0.0.1", from_port)
    print("up", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())

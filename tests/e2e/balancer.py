"""A load balancer of the simplest kind: connections go to the nodes in turn; one that doesn't take
them is passed over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Balancer:
    """Passes bytes on, both ways.

    Attributes:
        nodes: their URLs; may be changed at any moment.
        served: connections by node.
    """

    nodes: list[str] = field(default_factory=list)
    served: dict[str, int] = field(default_factory=dict)
    url: str = ""
    _turn: int = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Balancer]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found = await self._connect()
        if found is None:
            writer.transport.abort()
            return
        there, back = found
        ways = [
            asyncio.create_task(_pass(reader, back)),
            asyncio.create_task(_pass(there, writer)),
        ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for task in ways:
            task.cancel()
        for each in (back, writer):
            each.close()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        nodes = list(self.nodes)
        self._turn += 1
        for place in range(len(nodes)):
            url = nodes[(self._turn + place) % len(nodes)]
            with contextlib.suppress(OSError):
                at = urlsplit(url)
                found = await asyncio.open_connection(at.hostname, at.port)
                self.served[url] = self.served.get(url, 0) + 1
                return found
        return None


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

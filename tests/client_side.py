"""A line between a till and the gateway that loses requests and replies, by a seed."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from tillgate.server import Address, listen, url_of


class LossyLine:
    """Passes HTTP/1.1 requests on, one at a time on each connection, and loses some.

    A lost request never reaches the gateway; a lost reply was answered there. Either way the till's
    connection is cut.
    """

    def __init__(self, gateway: str, seed: int, lost_requests: float, lost_replies: float) -> None:
        parts = urlsplit(gateway)
        self._host, self._port = parts.hostname, parts.port
        self._dice = random.Random(seed)
        self._rates = (lost_requests, lost_replies)
        self.lost_requests = self.lost_replies = self.passed = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Listen; gives the address for tills."""
        listener = listen(Address("127.0.0.1", 0))
        server = await asyncio.start_server(self._serve, sock=listener)
        try:
            yield url_of(listener)
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind: asyncio.StreamWriter | None = None
        try:
            gateway, behind = await asyncio.open_connection(self._host, self._port)
            while request := await _message(reader):
                if self._dice.random() < self._rates[0]:
                    self.lost_requests += 1
                    return
                behind.write(request)
                reply = await _message(gateway)
                if self._dice.random() < self._rates[1]:
                    self.lost_replies += 1
                    return
                self.passed += 1
                writer.write(reply)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            for end in (writer, behind):
                if end is not None:
                    end.transport.abort() if end is writer else end.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One message with a Content-Length or without a body; empty at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return head + (await reader.readexactly(length) if length else b"")

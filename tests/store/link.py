"""A wire between a store and its database that a test can cut, without or after the request."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

CANCEL_REQUEST = bytes.fromhex("0000001004d2162e")


class Link:
    """Passes everything on until it is told otherwise.

    Attributes:
        on_request: asked about what the store sends; False loses it and the connection with it.
        on_answer: the same for what the server sends; None loses it and keeps the connection.
        cancels: cancel requests that were sent.
    """

    def __init__(self, server: Path) -> None:
        self._server = server / ".s.PGSQL.5432"
        self.on_request: Callable[[bytes], bool] = lambda data: True
        self.on_answer: Callable[[bytes], bool | None] = lambda data: True
        self.connections = 0
        self.cancels = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """The folder of its socket."""
        with tempfile.TemporaryDirectory(prefix="tillgate-link-") as folder:
            path = Path(folder) / ".s.PGSQL.5432"
            server = await asyncio.start_unix_server(self._serve, path)
            try:
                yield folder
            finally:
                server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        there, back = await asyncio.open_unix_connection(self._server)
        both = [
            asyncio.create_task(self._pass(reader, back, self._asks)),
            asyncio.create_task(self._pass(there, writer, lambda data: self.on_answer(data))),
        ]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for each in (back, writer):
            each.transport.abort()
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)

    def _asks(self, data: bytes) -> bool:
        self.cancels += data.startswith(CANCEL_REQUEST)
        return self.on_request(data)

    @staticmethod
    async def _pass(
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        may: Callable[[bytes], bool | None],
    ) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                verdict = may(data)
                if verdict is False:
                    return
                if verdict:
                    writer.write(data)
                    await writer.drain()

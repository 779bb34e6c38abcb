"""A merchant's receiver over real HTTP: answers with the bytes it is told and keeps what came."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def status(number: int, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers)
    return f"HTTP/1.1 {number} So\r\n{lines}Content-Length: 0\r\n\r\n".encode()


@dataclass
class Got:
    """One request. Header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


Script = Callable[[Got], Awaitable[bytes | None] | bytes | None]
"""What is answered, as raw bytes; None closes the connection without a word."""


@dataclass
class Receiver:
    """See the module. A connection is kept only after a plain 200."""

    script: Script = lambda _: OK
    tls: ssl.SSLContext | None = None
    got: list[Got] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Receiver]:
        server = await asyncio.start_server(self._take, "127.0.0.1", self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (each.partition(":") for each in lines if each)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        got = Got(line, headers, body)
        self.got.append(got)
        answer = self.script(got)
        if inspect.isawaitable(answer):
            answer = await answer
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return answer.startswith(OK[:15]) and answer.endswith(OK[-4:])

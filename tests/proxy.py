"""What stands between two sides over real HTTP and spoils messages."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass
class Relay(ABC):
    """Serves at `url` while it is `running` and asks the `upstream` of whoever builds on it."""

    upstream: str
    url: str = field(default="", init=False)
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set, init=False)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, OSError):
                while await self._exchange(await _message(reader), writer):
                    pass
        except asyncio.CancelledError:
            pass  # the end of the run
        finally:
            self._tasks.discard(task)
            await _close(writer)

    @abstractmethod
    async def _exchange(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Write the reply; False: the connection breaks now."""

    async def _forward(self, request: bytes) -> bytes:
        """Ask the other side."""
        host, _, port = self.upstream.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            await _close(writer)


@dataclass
class Proxy(Relay):
    """Spoils messages on command. Numbers count from 1."""

    on_request: Callable[[int, bytes], bytes | None] = lambda number, raw: raw
    on_response: Callable[[int, bytes], bytes | None] = lambda number, raw: raw
    seen: int = 0
    bodies: list[bytes] = field(default_factory=list)

    async def _exchange(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        self.seen += 1
        number = self.seen
        self.bodies.append(request.partition(b"\r\n\r\n")[2])
        spoiled = self.on_request(number, request)
        if spoiled is None:
            return False
        whole = await self._forward(spoiled)
        answer = self.on_response(number, whole)
        if answer is None:
            return False
        writer.write(answer)
        await writer.drain()
        return len(answer) == len(whole)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((line for line in lines if line.startswith("content-length:")), "x:0")
    return head + await reader.readexactly(int(length.partition(":")[2]))


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, asyncio.CancelledError):
        await writer.wait_closed()


def flip(raw: bytes, position: int) -> bytes:
    """The message with one bit of its body changed."""
    changed = bytearray(raw)
    start = raw.index(b"\r\n\r\n") + 4
    changed[start + position % (len(raw) - start)] ^= 1
    return bytes(changed)

"""A proxy that spoils messages between two real processes, by a seed.

What befalls an exchange depends on the seed and its number alone, so a run can be read again; what
meets what in time is the machine's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

HELD_S = (9.0, 11.0)
"""How long a late message is held: past every time-out (the longest is 8 s)."""


class Fault(StrEnum):
    """What may befall an exchange."""

    REQUEST_LOST = "the request is lost before it has an effect"
    REPLY_LOST = "the reply is lost after the effect"
    REQUEST_LATE = "the request arrives after the caller gave up"
    REPLY_LATE = "the reply comes after the caller gave up"
    DUPLICATE = "the request arrives twice"
    REFUSED = "HTTP 503 before the effect"
    BROKEN_AFTER = "HTTP 502 after the effect"
    GARBAGE = "bytes that nobody signed come back"
    FLIPPED = "one bit of the reply is another one"


@dataclass
class FaultProxy:
    """Stands before `upstream`. `rate` is the part of exchanges that a fault befalls."""

    upstream: str
    name: str
    seed: int
    rate: float
    is_on: bool = True
    seen: Counter[str] = field(default_factory=Counter)
    url: str = ""
    _number: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[FaultProxy]:
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
                while answer := await self._exchange(await _message(reader)):
                    writer.write(answer)
                    await writer.drain()
        except asyncio.CancelledError:
            pass  # the end of the run
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _exchange(self, request: bytes) -> bytes | None:
        """The reply, or None when the connection breaks instead."""
        self._number += 1
        dice = Random(f"{self.seed}-{self.name}-{self._number}")
        fault = dice.choice(list(Fault)) if self.is_on and dice.random() < self.rate else None
        self.seen[fault or "none"] += 1
        held_s = dice.uniform(*HELD_S)
        match fault:
            case Fault.REQUEST_LOST:
                return None
            case Fault.REFUSED:
                return _status(503)
            case Fault.REQUEST_LATE:
                await asyncio.sleep(held_s)
            case Fault.DUPLICATE:
                await self._forward(request)
        reply = await self._forward(request)
        match fault:
            case Fault.REPLY_LOST:
                return None
            case Fault.REPLY_LATE:
                await asyncio.sleep(held_s)
            case Fault.BROKEN_AFTER:
                return _status(502)
            case Fault.GARBAGE:
                return _status(200, dice.randbytes(200))
            case Fault.FLIPPED:
                return _flipped(reply, dice)
        return reply

    async def _forward(self, request: bytes) -> bytes:
        host, _, port = self.upstream.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.close()


def _status(status: int, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _flipped(raw: bytes, dice: Random) -> bytes:
    changed = bytearray(raw)
    start = raw.index(b"\r\n\r\n") + 4
    if start < len(raw):
        changed[dice.randrange(start, len(raw))] ^= 1 << dice.randrange(8)
    return bytes(changed)


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").lower().split("\r\n")
    length = next((line for line in lines if line.startswith("content-length:")), "x:0")
    return head + await reader.readexactly(int(length.partition(":")[2]))

"""A proxy that spoils messages between two real processes, by a seed.

What befalls an exchange depends on the seed and its number alone, so a run can be read again; what
meets what in time is the machine's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from tests.proxy import Relay

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
class FaultProxy(Relay):
    """Stands before `upstream`. `rate` is the part of exchanges that a fault befalls."""

    name: str
    seed: int
    rate: float
    is_on: bool = True
    seen: Counter[str] = field(default_factory=Counter)
    _number: int = 0

    async def _exchange(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        reply = await self._reply(request)
        if reply is None:
            return False
        writer.write(reply)
        await writer.drain()
        return True

    async def _reply(self, request: bytes) -> bytes | None:
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


def _status(status: int, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def _flipped(raw: bytes, dice: Random) -> bytes:
    changed = bytearray(raw)
    start = raw.index(b"\r\n\r\n") + 4
    if start < len(raw):
        changed[dice.randrange(start, len(raw))] ^= 1 << dice.randrange(8)
    return bytes(changed)

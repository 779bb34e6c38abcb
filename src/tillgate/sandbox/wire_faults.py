"""Answers as they leave, whole or spoilt: what a `Do` says of the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.types import Receive, Scope, Send

from tillgate.sandbox.plays import Do

TRANSPORT = "tillgate.transport"
"""The extension of a request's scope that holds its connection (`server.Protocol`)."""
GARBAGE = b"<html><body>upstream connect error \x00\xff"
PAGE = b"<html><head><title>Error</title></head><body>The service is unavailable.</body></html>"
DRIP_PARTS = 20
HTML = "text/html; charset=UTF-8"


@dataclass(frozen=True, slots=True)
class Wire:
    """One request's way back."""

    scope: Scope
    receive: Receive
    send: Send

    async def answer(self, headers: Mapping[str, str], body: bytes, status: int = 200) -> None:
        """Whole and at once."""
        await self._start(headers, len(body), status)
        await self.send({"type": "http.response.body", "body": body})

    async def spoilt(self, do: Do, headers: Mapping[str, str], body: bytes) -> None:
        """As `do` wants it; `headers` and `body` are spoilt already as far as they are signed."""
        if do.reset:
            await self._cut()
        elif do.lose is not None:
            await self._hold()
        elif do.http_status is not None:
            await self.answer({"Content-Type": HTML}, PAGE, do.http_status)
        elif do.drip_s:
            await self._drip(do.drip_s, headers, body)
        else:
            await self.answer(headers, body)

    async def _start(self, headers: Mapping[str, str], length: int, status: int = 200) -> None:
        pairs = [(n.lower().encode(), value.encode("latin-1")) for n, value in headers.items()]
        pairs.append((b"content-length", str(length).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})

    async def _hold(self) -> None:
        """Until the caller gives up."""
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def _cut(self) -> None:
        extension = (self.scope.get("extensions") or {}).get(TRANSPORT)
        if extension is not None:
            extension["transport"].abort()
        await self._hold()

    async def _drip(self, over_s: float, headers: Mapping[str, str], body: bytes) -> None:
        await self._start(headers, len(body))
        size = max(1, -(-len(body) // DRIP_PARTS))
        parts = [body[i : i + size] for i in range(0, len(body), size)]
        for part in parts:
            await asyncio.sleep(over_s / len(parts))
            await self.send({"type": "http.response.body", "body": part, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

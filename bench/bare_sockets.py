"""The bare program on raw sockets: asyncio protocols and httptools on both sides."""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

from bench.bare_work import NOTIFY_PATH, PAY_PATH, Settings, Signed, Store, Work

_SALE = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_ACK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nClient-Id: %b\r\nResponse-Time: %b\r\n"
    b"Signature: %b\r\nContent-Length: %d\r\n\r\n%b"
)
_PAY = (
    b"POST %b HTTP/1.1\r\nHost: %b\r\nContent-Type: application/json; charset=UTF-8\r\n"
    b"Client-Id: %b\r\nRequest-Time: %%b\r\nSignature: %%b\r\nContent-Length: %%d\r\n\r\n%%b"
)


class _Parsed(asyncio.Protocol):
    """Collects one message at a time."""

    transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.body = self.time = self.signature = b""

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 9 and name.lower() == b"signature":
            self.signature = value
        elif len(name) in (12, 13) and name.lower() in (b"request-time", b"response-time"):
            self.time = value

    def on_body(self, body: bytes) -> None:
        self.body = self.body + body if self.body else body


class _Inbound(_Parsed):
    def __init__(self, bare: Sockets) -> None:
        self.bare = bare
        self.parser = httptools.HttpRequestParser(self)
        self.data_received = self.parser.feed_data  # type: ignore[method-assign]

    def on_url(self, url: bytes) -> None:
        self.url = url

    def on_message_complete(self) -> None:
        message = Signed(self.time, self.signature, self.body)
        self.body = b""
        work = self.acknowledge if self.url == NOTIFY_PATH.encode() else self.sell
        self.bare.run(work(message))

    async def sell(self, message: Signed) -> None:
        answer = await self.bare.work.sale(message.body, self.bare.post)
        self.transport.write(_SALE % (len(answer), answer))

    async def acknowledge(self, message: Signed) -> None:
        time, signature, body = await self.bare.work.notified(message)
        self.transport.write(_ACK % (self.bare.client_id, time, signature, len(body), body))


class _Outbound(_Parsed):
    def __init__(self, idle: list[_Outbound]) -> None:
        self.idle = idle
        self.parser = httptools.HttpResponseParser(self)
        self.data_received = self.parser.feed_data  # type: ignore[method-assign]
        self.answer: asyncio.Future[Signed] | None = None

    def on_message_complete(self) -> None:
        answer, self.answer = self.answer, None
        self.idle.append(self)
        assert answer is not None
        answer.set_result(Signed(self.time, self.signature, self.body))
        self.body = b""

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)
        if self.answer is not None:
            self.answer.set_exception(exc or ConnectionError("closed before it answered"))


class Sockets:
    """The server, and a client that keeps its connections."""

    work: Work

    def __init__(self, settings: Settings) -> None:
        address = settings.base_url.removeprefix("http://")
        self._host, _, port = address.partition(":")
        self._port = int(port)
        self.client_id = settings.client_id.encode()
        self._head = _PAY % (PAY_PATH.encode(), address.encode(), self.client_id)
        self._idle: list[_Outbound] = []
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self, coroutine: Any) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def post(self, message: Signed) -> Signed:
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await self._loop.create_connection(
                lambda: _Outbound(self._idle), self._host, self._port
            )
        connection.answer = self._loop.create_future()
        time, signature, body = message
        connection.transport.write(self._head % (time, signature, len(body), body))
        return await connection.answer

    async def listen(self) -> tuple[asyncio.Server, str]:
        server = await self._loop.create_server(lambda: _Inbound(self), "127.0.0.1", 0)
        return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def serve(settings: Settings, store: Store, ended: asyncio.Event) -> None:
    bare = Sockets(settings)
    server, url = await bare.listen()
    bare.work = Work(settings, store, url + NOTIFY_PATH)
    print("bare on", url, flush=True)
    await ended.wait()
    server.close()

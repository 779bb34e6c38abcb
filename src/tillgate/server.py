"""Serving an ASGI application: the listening socket, the event loop, the line that says it is
ready, the end.

Shared by the gateway and the sandbox; knows nothing of either.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from types import FrameType
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

KEEP_ALIVE_S = 75
"""Longer than any client keeps an idle connection (aiohttp 15 s, nginx 60 s), so that the client
closes first and never sends a payment into a connection that is just being closed."""
GARBAGE_LOOK = 10_000
"""So many new containers until the collector looks for cycles. CPython's 700 cost 4 % of a
payment's CPU at 300 per second, for a megabyte or two.
"""
GRACE_S = 10
"""How long a stop waits for answers that are still being written."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. Port 0 lets the system pick a free one."""

    host: str
    port: int


def listen(address: Address, *, is_shared: bool = False) -> socket.socket:
    """Bind the socket first, so that the real port is known to whoever builds the application.

    A shared address may be bound by several processes of one user; the system deals connections
    out among those that listen (SO_REUSEPORT, which does so on Linux only).

    Raises:
        OSError: the address is in use or not ours.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if is_shared:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # asyncio's own loop sets this only on sockets it made itself; without it an answer that is
    # written in two parts waits 40 ms for the other side's delayed acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        listener.bind((address.host, address.port))
    except OSError:
        listener.close()
        raise
    return listener


def url_of(listener: socket.socket) -> str:
    """`http://127.0.0.1:8080` of a bound socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class JoiningTransport:
    """A transport that holds one piece back until the next, or until the loop's next turn.

    uvicorn writes an answer's head and its body apart, and the loop sends each at once: a system
    call and a packet more for each answer, 3 % of a payment's CPU.
    """

    __slots__ = ("_held", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._held = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See `asyncio.Transport`. Holds one piece at most, so back-pressure is as it was."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held + data)
        else:
            self._held = data
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is held now."""
        if self._held:
            held, self._held = self._held, b""
            self._transport.write(held)

    def close(self) -> None:
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Cut it; what is held stays unsent."""
        self.drop()
        self._transport.abort()

    def drop(self) -> None:
        """Nobody is there to send to."""
        self._held = b""


class Protocol(HttpToolsProtocol):
    """Tells an application which connection a request came on, as an extension of its scope: the
    sandbox cuts connections on purpose.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(cast(asyncio.Transport, JoiningTransport(transport, self.loop)))

    def connection_lost(self, exc: Exception | None) -> None:
        """It has gone."""
        cast(JoiningTransport, self.transport).drop()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request's first byte came."""
        super().on_message_begin()
        self.scope["extensions"] = {"tillgate.transport": {"transport": self.transport}}


class _Server(uvicorn.Server):
    """Says when it listens, and tells the application of a stop before it waits for open
    answers.
    """

    def __init__(
        self, config: uvicorn.Config, on_ready: Callable[[], None], on_stop: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            # What start-up made stays for good; what requests make dies by its count, nearly all.
            gc.freeze()
            gc.set_threshold(GARBAGE_LOOK)
            self._on_ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


def port_of(listener: socket.socket) -> int:
    """Of a bound socket."""
    port: int = listener.getsockname()[1]
    return port


def serve(
    app: ASGIApp,
    *listeners: socket.socket,
    on_ready: Callable[[], None],
    on_stop: Callable[[], None] = lambda: None,
    on_hangup: Callable[[], object] | None = None,
    until_stdin_closes: bool = False,
) -> int:
    """Serve until SIGINT or SIGTERM (or, for a child of the demo, until its parent is gone).

    `on_hangup` is called on each SIGHUP, in a thread, so that the loop goes on meanwhile.

    Returns:
        The exit status: 0 after a clean stop, 1 when the application could not start.
    """
    server = _Server(_config(app), on_ready, on_stop)

    async def run() -> None:
        if until_stdin_closes:
            _stop_when_stdin_closes(server)
        if on_hangup is not None:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, loop.run_in_executor, None, on_hangup)
        await server.serve(sockets=list(listeners))

    # uvicorn raises the signal again after its clean stop; the stop is what was asked for.
    with contextlib.suppress(KeyboardInterrupt):
        _run_loop(run)
    return 0 if server.started else 1


class Background:
    """The same in a thread of this process, for tests: it stops at once and cuts what is open."""

    def __init__(self, app: Starlette, listener: socket.socket) -> None:
        self._listener = listener
        self._server = _CuttingServer(app)
        self._is_settled = threading.Event()
        self._server.on_settled = self._is_settled.set
        self._thread = threading.Thread(target=self._run, name="tillgate", daemon=True)

    def start(self) -> None:
        """Returns when it listens.

        Raises:
            RuntimeError: the application could not start.
        """
        self._thread.start()
        self._is_settled.wait()
        if not self._server.started:
            raise RuntimeError("the application did not start; the log says why")

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self._server.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._server.serve(sockets=[self._listener]))
        finally:
            self._listener.close()
            self._is_settled.set()


class _CuttingServer(uvicorn.Server):
    """Says when it listens; at its end it waits for nobody."""

    on_settled: Callable[[], None]

    def __init__(self, app: Starlette) -> None:
        super().__init__(_config(self._call))
        self._app = app
        self._is_cutting = False

    async def _call(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except asyncio.CancelledError:
            if not self._is_cutting:  # else it is meant, and nothing to report
                raise

    async def main_loop(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        ticking = asyncio.create_task(super().main_loop())
        self.on_settled()
        await self._stopping.wait()
        ticking.cancel()

    def stop(self) -> None:
        """From another thread."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        self._is_cutting = True
        await asyncio.sleep(0)  # the connections notice that they are lost
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)
        await self.lifespan.shutdown()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        interface="asgi3",
        loop="none",
        http=Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # nobody asks where a caller sits
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )


def _stop_when_stdin_closes(server: _Server) -> None:
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            server.handle_exit(signal.SIGTERM, None)

    loop.add_reader(sys.stdin.fileno(), readable)


def _run_loop(run: Callable[[], Coroutine[None, None, None]]) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(run())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not CPython, or no wheel: asyncio's own loop does the same, slower
        return None
    return uvloop.new_event_loop

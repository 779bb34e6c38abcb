"""One signed POST over HTTP and what became of it. Knows nothing of signatures or messages.

The client is given a `Transport`, so that the simulation can lose, delay and spoil the very bytes
that would travel. "No connection" is said only where none was usable (ADR 0004).
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, cast

import aiohttp
import httptools
import msgspec
from aiohappyeyeballs import start_connection
from multidict import CIMultiDict
from yarl import URL

CONNECT_TIMEOUT_S = 2.0
"""Wait for a connection, the wait for a free one in the pool included; the code lives one minute
only.
"""
IDLE_CONNECTION_S = 15.0
"""How long an unused connection is kept: below the idle limits of usual servers and balancers
(60 s).
"""
CONNECTIONS_MAX = 256
NAMES_KEPT_S = 30.0
"""How long an address is believed; as the HTTP client that was here before did."""
HEADERS_BYTES_MAX = 1 << 16
ANSWER_BYTES_MAX = 1 << 20
"""Answers are about 1 KiB; a body without end must not fill the memory."""


class NoConnection(Exception):
    """No connection was usable, so no byte of the request left."""


class ConnectionBroke(Exception):
    """It may have arrived; its answer did not, or not as HTTP."""


class Reply(NamedTuple):
    """What came back. Header names in any case; the body as it travelled."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """Carries requests to one network."""

    async def start(self) -> None:
        """Open what it needs, inside the loop that uses it."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Reply:
        """Send one request, once, and give its answer, whatever its status.

        Raises:
            NoConnection: no byte left.
            TimeoutError: it may have arrived; no whole answer came in time.
            ConnectionBroke: it may have arrived.
        """
        ...


class HttpTransport:
    """Over HTTP/1.1 with kept connections. `start` it first, inside the loop that uses it.

    A request is written in one piece to a connection that stands, so "no byte left" is known here
    and not concluded from the kind of an exception. Nothing is ever sent twice. ADR 0030.
    """

    def __init__(self, base_url: str, idle_s: float = IDLE_CONNECTION_S) -> None:
        """An unused connection is closed after `idle_s`."""
        self._url = URL(base_url.rstrip("/"))
        self._idle_s = idle_s
        self._heads: dict[str, str] = {}
        self._connections: set[_Connection] = set()
        self._idle: list[_Connection] = []
        self._addresses: asyncio.Future[list[Any]] | None = None
        self._addresses_until = 0.0
        self._sweep: asyncio.TimerHandle | None = None
        self._tls: ssl.SSLContext | None = None
        self._is_closed = False
        self._loop: asyncio.AbstractEventLoop
        self._places: asyncio.Semaphore

    async def start(self) -> None:
        """Opens nothing yet: the first call does."""
        self._loop = asyncio.get_running_loop()
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        if self._url.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])

    async def close(self) -> None:
        """Close all connections. A call that is out loses its answer."""
        self._is_closed = True
        if self._sweep:
            self._sweep.cancel()
        for connection in list(self._connections):
            connection.end()
        await asyncio.sleep(0)  # they notice it

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Reply:
        """See `Transport`."""
        request = self._request(path, body, headers)
        ends_at = self._loop.time() + timeout_s
        if self._places.locked():
            await self._a_place(timeout_s)
        else:
            await self._places.acquire()
        try:
            connection = self._kept() or await self._connected(ends_at)
            answer = connection.ask(request)
            timer = self._loop.call_at(ends_at, connection.give_up)
            try:
                return await answer
            finally:
                timer.cancel()
                self._take_back(connection)
        finally:
            self._places.release()

    def _request(self, path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
        head = self._heads.get(path)
        if head is None:
            url = URL(str(self._url) + path)
            head = (
                f"POST {url.raw_path_qs} HTTP/1.1\r\nHost: {url.host_port_subcomponent}\r\n"
                f"User-Agent: tillgate\r\nAccept: */*\r\n"
            )
            self._heads[path] = head
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if lines.count("\n") + lines.count("\r") != 2 * len(headers):
            raise NoConnection("a header holds a line's end")
        return f"{head}{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def _a_place(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(min(timeout_s, CONNECT_TIMEOUT_S)):
                await self._places.acquire()
        except TimeoutError:
            raise NoConnection("every connection was busy") from None

    def _kept(self) -> _Connection | None:
        """The connection that was used last: the others grow old and are closed."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable and not self._is_old(connection):
                return connection
            connection.end()
        return None

    def _is_old(self, connection: _Connection) -> bool:
        return self._loop.time() - connection.idle_since >= self._idle_s

    async def _connected(self, ends_at: float) -> _Connection:
        """A new connection.

        Raises:
            NoConnection: there is none to be had, or not in time.
        """
        if self._is_closed:
            raise NoConnection("it is closed")
        limit_at = min(ends_at, self._loop.time() + CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout_at(limit_at):
                connected = await start_connection(
                    await self._resolved(), happy_eyeballs_delay=0.25, interleave=1
                )
                try:
                    _, connection = await self._loop.create_connection(
                        lambda: _Connection(self._loop, self._connections),
                        sock=connected,
                        ssl=self._tls,
                        server_hostname=self._url.raw_host if self._tls else None,
                    )
                except BaseException:
                    connected.close()
                    raise
        except TimeoutError:
            raise NoConnection("none within the time-out") from None
        except (OSError, ValueError) as error:
            raise NoConnection(type(error).__name__) from None
        return connection

    async def _resolved(self) -> list[Any]:
        """Where the network's name leads, looked up once in a while, as the system does it."""
        known = self._addresses
        if known is None or self._loop.time() >= self._addresses_until:
            looking = self._loop.getaddrinfo(
                self._url.raw_host, self._url.port, type=socket.SOCK_STREAM
            )
            self._addresses = known = asyncio.ensure_future(looking)
            self._addresses_until = self._loop.time() + NAMES_KEPT_S
        try:
            # Several calls wait for one look-up: one that is cut off takes it from nobody.
            return await asyncio.shield(known)
        except (OSError, ValueError):
            if self._addresses is known:
                self._addresses = None
            raise

    def _take_back(self, connection: _Connection) -> None:
        """A connection is its call's until here: nobody else may ask on it before."""
        connection.rest()
        if not connection.is_usable:
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweep is None:
            self._sweep = self._loop.call_later(self._idle_s, self._close_old)

    def _close_old(self) -> None:
        old = [connection for connection in self._idle if self._is_old(connection)]
        self._idle = self._idle[len(old) :]  # they stand in the order in which they came to rest
        for connection in old:
            connection.end()
        self._sweep = None
        if self._idle:
            due = self._idle[0].idle_since + self._idle_s
            self._sweep = self._loop.call_at(due, self._close_old)


class _Connection(asyncio.Protocol):
    """One connection: one request at a time, and its answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[_Connection]) -> None:
        """`connections` holds it while it stands."""
        self._loop = loop
        self._connections = connections
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Reply] | None = None
        self._transport: asyncio.Transport
        self.is_usable = True
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        """Forget the last message."""
        self._status = 0
        self._headers: CIMultiDict[str] = CIMultiDict()
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by its methods only
        self._connections.add(self)

    def ask(self, request: bytes) -> asyncio.Future[Reply]:
        """Send it. The answer is a `Reply`, `TimeoutError` or `ConnectionBroke`."""
        self._answer = self._loop.create_future()
        self._received = 0
        self._transport.write(request)
        return self._answer

    def give_up(self) -> None:
        """Its time is over."""
        self._fail(TimeoutError())

    def rest(self) -> None:
        """Whoever asked has gone. What is still under way is nobody's answer, so nothing else may
        come on this connection.
        """
        if self._answer is not None:
            self._answer = None
            self._abort()

    def end(self) -> None:
        """Close it; who waits for an answer hears so."""
        if self._answer is not None:
            self._fail(ConnectionBroke("closed at our end"))
        else:
            self.is_usable = False
            self._transport.close()

    def _fail(self, error: Exception) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)
        self._abort()

    def _abort(self) -> None:
        self.is_usable = False
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._parser is None:
            self._abort()  # nobody asked
            return
        self._received += len(data)
        if self._received > ANSWER_BYTES_MAX + HEADERS_BYTES_MAX:
            self._fail(ConnectionBroke("an answer without end"))
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._fail(ConnectionBroke("what came back is not HTTP"))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_usable = False
        self._connections.discard(self)
        self._parser = None  # it holds this object, too
        if self._answer is None:
            return
        if exc is None and self._status >= 200 and self._ends_with_connection():
            self._deliver()
        else:
            reason = type(exc).__name__ if exc else "closed before the answer was whole"
            self._fail(ConnectionBroke(reason))

    def _ends_with_connection(self) -> bool:
        return "Content-Length" not in self._headers and "Transfer-Encoding" not in self._headers

    def on_message_begin(self) -> None:
        """See httptools: more came than was asked for, or the answer begins."""
        if self._answer is None:
            self._abort()
        self._begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """See httptools. Bytes that are no UTF-8 become lone surrogates."""
        self._headers.add(name.decode("latin-1"), value.decode("utf-8", "surrogateescape"))

    def on_headers_complete(self) -> None:
        """See httptools."""
        assert self._parser is not None
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """See httptools. Before the answer there may be others that say to wait."""
        if self._status < 200:
            return
        assert self._parser is not None
        if not self._parser.should_keep_alive():
            self.is_usable = False
        self._deliver()

    def _deliver(self) -> None:
        if len(self._body) > ANSWER_BYTES_MAX:
            self._fail(ConnectionBroke("an answer without end"))
            return
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(Reply(self._status, self._headers, self._body))
        if not self.is_usable:
            self._transport.close()


async def fetch_json(url: str, timeout_s: float) -> Any:
    """What an address of ours tells, with a connection of its own: for people, now and then.

    Raises:
        TimeoutError, ConnectionBroke: it tells nothing, or nothing that can be read.
    """
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with (
            aiohttp.ClientSession(trust_env=False, timeout=timeout) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            body = await _read(response)
            if response.status != 200:
                raise ConnectionBroke(f"HTTP {response.status}")
            return msgspec.json.decode(body)
    except TimeoutError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ConnectionBroke(type(error).__name__) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = await response.content.read(ANSWER_BYTES_MAX + 1)
    while chunk := await response.content.read(ANSWER_BYTES_MAX + 1):
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise ValueError("an answer without end")
    return body

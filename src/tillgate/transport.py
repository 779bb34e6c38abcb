"""One signed POST over HTTP and what became of it. Knows nothing of signatures or messages.

The client is given a `Transport`, so that the simulation can lose, delay and spoil the very bytes
that would travel. "No connection" is said only where none was usable (ADR 0004).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import aiohttp
import msgspec

CONNECT_TIMEOUT_S = 2.0
"""Wait for a connection, the wait for a free one in the pool included; the code lives one minute
only.
"""
IDLE_CONNECTION_S = 15.0
"""How long an unused connection is kept: below the idle limits of usual servers and balancers
(60 s).
"""
CONNECTIONS_MAX = 256
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
    """Over HTTP with pooled connections. `start` it first, inside the loop that uses it."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._session: aiohttp.ClientSession

    async def start(self) -> None:
        """Open the one session of this process: pooled connections, no cookies, no proxies."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX,
                keepalive_timeout=IDLE_CONNECTION_S,
                ttl_dns_cache=30,
                # As the system does, with whatever its administrator set up for names.
                resolver=aiohttp.ThreadedResolver(),
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # the signature covers the bytes that travel
            trust_env=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Reply:
        """See `Transport`."""
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            async with self._session.post(
                self._base_url + path,
                data=body,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                return Reply(response.status, response.headers, await _read(response))
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NoConnection(type(error).__name__) from None
        except TimeoutError:
            raise
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ConnectionBroke(type(error).__name__) from None


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

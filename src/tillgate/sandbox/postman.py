"""Carries notifications to acquirers over HTTP. Imported with the first one: its library takes
longer to load than the rest of the sandbox.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from yarl import URL

TIMEOUT_S = 5.0
"""Source: Alipay+ page "timeout": notifyPayment 5 s."""
CONNECTIONS_MAX = 256
IDLE_CONNECTION_S = 15.0
ANSWER_BYTES_MAX = 64 * 1024


class NotDelivered(Exception):
    """Nothing that could be read came back. The message says why."""


@dataclass(frozen=True, slots=True)
class Ack:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Postman:
    """One session: pooled connections, no cookies, no proxies, no redirects."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=CONNECTIONS_MAX, keepalive_timeout=IDLE_CONNECTION_S
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,  # the signature covers the bytes that travel
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S),
        )

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> Ack:
        """Send it once and read the whole answer.

        Raises:
            NotDelivered: no address, no connection, no answer in time, or too long a one.
        """
        try:
            address = URL(url, encoded=True)  # as it was given: its path is signed
            sent = headers | {"Accept-Encoding": "identity"}
            async with self._session.post(
                address, data=body, headers=sent, allow_redirects=False
            ) as answer:
                raw = await answer.content.read(ANSWER_BYTES_MAX)
                while chunk := await answer.content.read(ANSWER_BYTES_MAX):
                    raw += chunk
                    if len(raw) > ANSWER_BYTES_MAX:
                        raise NotDelivered("the answer is too long")
                return Ack(answer.status, answer.headers, raw)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # A TimeoutError is an OSError.
            raise NotDelivered(f"no answer ({type(error).__name__})") from None

    async def close(self) -> None:
        """Drop all connections."""
        await self._session.close()

"""One POST to an address that a merchant chose, and what became of it. Knows nothing of signatures
or events.

A name is looked up once for each connection, every address it stands for is checked, and the
connection is made to one of these very addresses, with the name for TLS. So a name that means
something else a moment later leads nowhere. Redirects are not followed; proxies of the environment
and cookies are not used; the answer's body is not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import aiodns
import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tillgate.core.webhook_address import AddressPolicy, AddressRefused, IpAddress, Target
from tillgate.core.webhooks import Failure

LIMIT_S = 10.0
"""From the look-up of its name to the head of its answer (issue 6); Standard Webhooks names 15 to
30 s, payment providers 5 to 20 s.
"""
CONNECT_LIMIT_S = 5.0
IDLE_CONNECTION_S = 4.0
"""How long an unused connection is kept: below Node's 5 s, the shortest among usual servers."""
ANSWER_BYTES_MAX = 4096
"""Read so that the connection can be used again, then forgotten."""
ANSWER_REST_S = 1.0
"""How long the rest of an answer may take: its head has said all."""
LOOK_UP_S, LOOK_UP_TRIES = 1.0, 2
"""How long a name server has for its first answer, and how often it is asked. c-ares waits longer
each time and ends by itself: no thread is held, so a name that nobody answers holds up no other.
"""
_HEADERS = {
    "Content-Type": "application/json",
    "User-Agent": "tillgate-webhooks",
    "Accept-Encoding": "identity",
}

LookUp = Callable[[str, int], Awaitable[Sequence[IpAddress]]]
"""All addresses of a name and a port. Raises OSError where there is none."""


class Answered(NamedTuple):
    """An answer's head."""

    status: int
    retry_after: str | None


class NotAnswered(Exception):
    """No answer came; `failure` says why."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class WebhookTransport(Protocol):
    """Carries webhooks."""

    async def start(self) -> None:
        """Open what it needs, inside the loop that uses it."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...

    async def check(self, url: str) -> None:
        """Look whether an address may be sent to, as far as that is known now.

        Raises:
            AddressRefused: it may not.
        """
        ...

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send once, and give the answer whatever its status.

        Raises:
            NotAnswered: it may have arrived or not.
        """
        ...


class HttpWebhookTransport:
    """See `WebhookTransport`. `start` it first, inside the loop that uses it."""

    def __init__(
        self,
        policy: AddressPolicy,
        look_up: LookUp | None = None,
        resolver: Callable[[], aiodns.DNSResolver] | None = None,
        tls: ssl.SSLContext | None = None,
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._policy = policy
        self._make_resolver = resolver or _resolver
        self._resolver: aiodns.DNSResolver | None = None
        self._look_up = look_up or self._ask
        self._tls = tls or ssl.create_default_context()
        self._limit = aiohttp.ClientTimeout(total=limit_s, sock_connect=CONNECT_LIMIT_S)
        self._session: aiohttp.ClientSession

    async def start(self) -> None:
        """Open the one session of this process."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                resolver=_Checked(self._policy, self._look_up),
                use_dns_cache=False,
                socket_factory=self._socket,
                limit=0,  # the deliverer counts
                keepalive_timeout=IDLE_CONNECTION_S,
                ssl=self._tls,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers=_HEADERS,
            timeout=self._limit,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()
        if self._resolver is not None:
            await self._resolver.close()

    async def check(self, url: str) -> None:
        """See `WebhookTransport`. In development a name is only read, not looked up."""
        target = self._policy.target(url)
        if target.ip is not None or self._policy.allows_local:
            return
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                found = await self._look_up(target.host, target.port)
        except (OSError, UnicodeError):  # a time-out is an OSError
            found = ()
        if not found:
            raise AddressRefused("Its name leads to no address now.")
        for ip in found:
            self._policy.check(ip)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """See `WebhookTransport`."""
        try:
            target, address = self._policy.target(url), URL(url, encoded=True)
            if not _is_same(address, target):
                raise NotAnswered(Failure.ADDRESS_REFUSED)
            async with self._session.post(
                address, data=body, headers=headers, allow_redirects=False
            ) as response:
                await _read_away(response)
                return Answered(response.status, response.headers.get("Retry-After"))
        except (AddressRefused, aiohttp.InvalidURL):
            raise NotAnswered(Failure.ADDRESS_REFUSED) from None
        except aiohttp.ClientConnectorDNSError:
            raise NotAnswered(Failure.NAME_NOT_FOUND) from None
        except (aiohttp.ClientSSLError, ssl.SSLError):
            raise NotAnswered(Failure.TLS_FAILED) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
            raise NotAnswered(Failure.NOT_CONNECTED) from None
        except TimeoutError:
            raise NotAnswered(Failure.TIMED_OUT) from None
        except (aiohttp.ClientError, OSError, ValueError):
            raise NotAnswered(Failure.BROKE_OFF) from None

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """The last line: no socket is made for an address that may not be sent to."""
        family, kind, protocol, _, address = info
        self._policy.check(ipaddress.ip_address(address[0]))
        return socket.socket(family, kind, protocol)

    async def _ask(self, host: str, port: int) -> Sequence[IpAddress]:
        """The system's hosts file, then its name servers."""
        self._resolver = self._resolver or self._make_resolver()
        try:
            found = await self._resolver.getaddrinfo(host, port=port, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            raise OSError("no address") from error
        names = dict.fromkeys(node.addr[0].decode() for node in found.nodes)
        return [ipaddress.ip_address(name) for name in names]


class _Checked(AbstractResolver):
    """Gives only addresses that were checked; aiohttp connects to what it is given."""

    def __init__(self, policy: AddressPolicy, look_up: LookUp) -> None:
        self._policy = policy
        self._look_up = look_up

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            found = await self._look_up(host, port)
        except UnicodeError:
            raise OSError("no name that can be looked up") from None
        if not found:
            raise OSError("no address")
        for ip in found:
            self._policy.check(ip)
        return [_result(host, port, ip) for ip in found]

    async def close(self) -> None:
        """Nothing is kept open."""


def _is_same(address: URL, target: Target) -> bool:
    """Whether the client reads the address as the policy did."""
    host = address.host or ""
    if target.ip is not None:
        try:
            return address.port == target.port and ipaddress.ip_address(host) == target.ip
        except ValueError:
            return False
    return (host.lower(), address.port) == (target.host.lower(), target.port)


def _result(host: str, port: int, ip: IpAddress) -> ResolveResult:
    return ResolveResult(
        hostname=host,
        host=str(ip),
        port=port,
        family=socket.AF_INET if ip.version == 4 else socket.AF_INET6,
        proto=socket.IPPROTO_TCP,
        flags=socket.AI_NUMERICHOST,
    )


def _resolver() -> aiodns.DNSResolver:
    return aiodns.DNSResolver(timeout=LOOK_UP_S, tries=LOOK_UP_TRIES)


async def _read_away(response: aiohttp.ClientResponse) -> None:
    read = 0
    with contextlib.suppress(TimeoutError, aiohttp.ClientError, OSError):
        async with asyncio.timeout(ANSWER_REST_S):
            while read <= ANSWER_BYTES_MAX:
                chunk = await response.content.read(ANSWER_BYTES_MAX)
                read += len(chunk)
                if not chunk:
                    return

"""What several test files share: keys, settings, a server in the test's own loop, a scripted
network.

No mocks: everything here speaks real HTTP with real signatures.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn

from tillgate.alipayplus import messages
from tillgate.alipayplus.signing import KeyRing, SigningKey, new_private_key
from tillgate.clock import SystemClock
from tillgate.config import GatewaySettings
from tillgate.connectors import ConnectorSettings
from tillgate.core.limits import Limit
from tillgate.merchants import Directory, hash_key, read_directory
from tillgate.server import Address, Protocol, listen, port_of, url_of
from tillgate.store.postgres_url import PostgresUrl
from tillgate.web.app import ByPort
from tillgate.wiring import build_gateway

CLIENT_ID = "SANDBOX_5Y0000000000"
API_KEY = "tg_test_merchant_one"
OTHER_API_KEY = "tg_test_merchant_two"
OPERATOR_KEY = "tg_test_operator"
TILL_KEY = "tg_test_till_a1"
"""Of merchant 3, its store A, terminal 1."""
STORE_B_KEY = "tg_test_store_b"
"""Of merchant 3, every till of its store B."""
OFFICE_KEY = "tg_test_office"
"""Of merchant 3, its back office."""
CODE = "281006020000000000000012"
SEAL_KEY = bytes(range(32))


@cache
def acquirer_key() -> SigningKey:
    return SigningKey.load(new_private_key())


@cache
def network_key() -> SigningKey:
    return SigningKey.load(new_private_key())


def ring(key: SigningKey) -> KeyRing:
    return KeyRing.load({key.version: key.public_pem()})


def merchant_document(number: int = 1, key: str = API_KEY) -> dict[str, Any]:
    return {
        "id": f"M0000000000{number}",
        "name": "cup Hu",
        "mcc": "1405",
        "region": "JP",
        "city": "xxx",
        "settlement_currency": "USD",
        "store": [
            {
                "id": "S0000000001",
                "name": "UGG-2",
                "mcc": "1405",
                "terminal": [{"id": "122222"}],
            }
        ],
        "key": [{"id": f"tg_test_{number}", "hash": hash_key(key)}],
    }


def chain_document() -> dict[str, Any]:
    """Merchant 3: two stores with two terminals each, and keys that are for a part of it."""
    document = merchant_document(3)
    [store] = document["store"]
    terminals = [{"id": "1"}, {"id": "2"}]
    document["store"] = [store | {"id": name, "terminal": terminals} for name in ("A", "B")]
    document["key"] = [
        {
            "id": "tg_test_till",
            "hash": hash_key(TILL_KEY),
            "roles": ["till"],
            "store": "A",
            "terminal": "1",
        },
        {
            "id": "tg_test_store",
            "hash": hash_key(STORE_B_KEY),
            "roles": ["till"],
            "store": "B",
        },
        {"id": "tg_test_office", "hash": hash_key(OFFICE_KEY), "roles": ["back_office"]},
    ]
    return document


def directory() -> Directory:
    two = [merchant_document(1, API_KEY), merchant_document(2, OTHER_API_KEY), chain_document()]
    alice = {"id": "alice", "key": [{"id": "tg_test_a", "hash": hash_key(OPERATOR_KEY)}]}
    return read_directory({"merchant": two, "operator": [alice]}, "merchants.toml")


def alipay_plus_settings(network_url: str) -> ConnectorSettings:
    return ConnectorSettings(
        name="alipay_plus",
        kind="alipay_plus",
        takes=(),
        base_url=network_url,
        client_id=CLIENT_ID,
        signing_key=acquirer_key(),
        network_keys=ring(network_key()),
        notify_url=None,
        options={},
    )


STORE: ContextVar[PostgresUrl | None] = ContextVar("store", default=None)
"""Where gateways keep what they know; by default in a file of the test's folder."""


def gateway_settings(folder: Path, network_url: str) -> GatewaySettings:
    return GatewaySettings(
        listen=Address("127.0.0.1", 0),
        public_url="",
        store=STORE.get() or folder / "tillgate.sqlite3",
        seal_key=SEAL_KEY,
        log_level="INFO",
        seed=directory(),
        is_live=False,
        admin_listen=Address("127.0.0.1", 0),
        limit=Limit(per_second=0, burst=1),
        connectors=(alipay_plus_settings(network_url),),
    )


class _Server(uvicorn.Server):
    """A server inside a test: the test's own signal handlers stay."""

    @contextlib.contextmanager
    def capture_signals(self):
        yield


@contextlib.asynccontextmanager
async def serving(app: Any, *listeners: socket.socket) -> AsyncIterator[str]:
    """Serve an application in this loop; gives its URL."""
    config = uvicorn.Config(
        app, lifespan="on", log_config=None, http=Protocol, timeout_graceful_shutdown=2
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve(sockets=list(listeners)))
    while not server.started:
        if task.done():
            await task
            raise AssertionError("the application did not start")
        await asyncio.sleep(0.002)
    try:
        yield url_of(listeners[0])
    finally:
        server.should_exit = True
        await task


@dataclass
class Api:
    """The merchant's API as a test calls it."""

    url: str
    session: aiohttp.ClientSession
    on_stop: Callable[[], None] = lambda: None
    admin_url: str = ""

    async def post(
        self, body: Any, key: str | None = "key-1", wait: int = 0, **headers: str
    ) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        if key is not None:
            sent["Idempotency-Key"] = key
        if wait:
            sent["Prefer"] = f"wait={wait}"
        sent |= headers
        data = body if isinstance(body, bytes) else messages.msgspec.json.encode(body)
        async with self.session.post(
            f"{self.url}/v1/payments", data=data, headers=sent
        ) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str, key: str = API_KEY, wait: int = 0) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key}"}
        if wait:
            headers["Prefer"] = f"wait={wait}"
        async with self.session.get(self.at(path), headers=headers) as response:
            return response.status, await response.json(content_type=None)

    def at(self, path: str) -> str:
        """The whole address: operators have one of their own."""
        return (self.admin_url if path.startswith("/admin") else self.url) + path

    async def admin(
        self, method: str, path: str, body: Any = None, key: str = OPERATOR_KEY
    ) -> tuple[int, Any]:
        """A call of operators' API; `path` begins behind `/admin/v1`."""
        headers = {"Authorization": f"Bearer {key}"}
        url = f"{self.admin_url}/admin/v1{path}"
        async with self.session.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json() if response.status != 204 else None


@contextlib.asynccontextmanager
async def gateway(folder: Path, network_url: str, **changes: Any) -> AsyncIterator[Api]:
    """A whole gateway on a loopback port, with a client."""
    listener = listen(Address("127.0.0.1", 0))
    settings = replace(gateway_settings(folder, network_url), **changes)
    admin = listen(Address("127.0.0.1", 0))
    built = build_gateway(settings, url_of(listener), admin_url=url_of(admin))
    app = ByPort(built.app, built.admin, port_of(admin))
    async with serving(app, listener, admin) as url, aiohttp.ClientSession() as session:
        yield Api(url, session, built.on_stop, url_of(admin))


def order(**changes: Any) -> dict[str, Any]:
    """A good request body; `code`, `value`, `currency` and top-level fields can be changed."""
    amount = {"currency": changes.pop("currency", "JPY"), "value": changes.pop("value", 100)}
    inner = {"merchant_order_id": changes.pop("order", "order-1"), "amount": amount}
    if "description" in changes:
        inner["description"] = changes.pop("description")
    return {"code": changes.pop("code", CODE), "order": inner, **changes}


# --- A network on command


@dataclass
class Call:
    """A request that reached the scripted network, its signature checked."""

    path: str
    body: bytes
    message: dict[str, Any]
    headers: dict[str, str]


Answer = bytes | None
"""What the script sends back: raw HTTP bytes, or None to close the connection without a word."""
Script = Callable[[Call], Awaitable[Answer]]


@dataclass
class ScriptedNetwork:
    """Alipay+ as a test wants it: real HTTP and signatures, answers from a script."""

    script: Script
    calls: list[Call] = field(default_factory=list)
    url: str = ""
    _tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    def count(self, api: str) -> int:
        return sum(call.path.endswith(api) for call in self.calls)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[ScriptedNetwork]:
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
            await self._converse(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                path = head[0].split(" ")[1]
                ring(acquirer_key()).verify(
                    headers["signature"], path, CLIENT_ID, headers["request-time"], body
                )
                call = Call(path, body, messages.msgspec.json.decode(body), headers)
                self.calls.append(call)
                answer = await self.script(call)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"Content-Length: 999" in answer or not answer.startswith(b"HTTP/1.1 200"):
                    break


def http_answer(body: bytes, headers: dict[str, str], status: int = 200) -> bytes:
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} OK\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def signed_answer(
    call: Call, message: Any, *, key: SigningKey | None = None, time: str | None = None
) -> bytes:
    """An answer as Alipay+ signs it."""
    body = message if isinstance(message, bytes) else messages.msgspec.json.encode(message)
    time = time or messages.format_time(SystemClock().now())
    signature = (key or network_key()).sign(call.path, CLIENT_ID, time, body)
    headers = {
        "Content-Type": "application/json",
        "client-id": CLIENT_ID,
        "response-time": time,
        "signature": signature,
    }
    return http_answer(body, headers)


def result(status: str, code: str) -> dict[str, str]:
    return {"resultCode": code, "resultStatus": status, "resultMessage": code.lower()}


def paid(call: Call, payment_id: str = "2026010100000001", **changes: Any) -> dict[str, Any]:
    """The guide's successful answer to a pay."""
    return {
        "acquirerId": "2021228100000000",
        "pspId": "120120012012",
        "result": result("S", "SUCCESS"),
        "paymentId": payment_id,
        "paymentAmount": call.message["paymentAmount"],
        "paymentTime": "2021-04-08T14:48:50+08:00",
        "customerId": "208812211212001",
        "walletBrandName": "KAKAOPAY",
        **changes,
    }


def notification(payment_request_id: str, **changes: Any) -> dict[str, Any]:
    """A successful notification of 100 yen."""
    return {
        "paymentResult": result("S", "SUCCESS"),
        "paymentRequestId": payment_request_id,
        "paymentId": "2026010100000001",
        "acquirerId": "2021228100000000",
        "pspId": "120120012012",
        "customerId": "208812211212001",
        "walletBrandName": "KAKAOPAY",
        "paymentAmount": {"currency": "JPY", "value": "100"},
        "paymentTime": "2021-04-08T14:48:50+08:00",
        **changes,
    }


async def notify(
    api: Api,
    message: Any,
    *,
    key: SigningKey | None = None,
    client_id: str = CLIENT_ID,
    tamper: Callable[[bytes], bytes] = lambda body: body,
) -> tuple[int, bytes, Any]:
    """Send a notification as Alipay+ does; gives status, body and headers of the answer."""
    path = "/alipayplus/v1/notifyPayment"
    body = message if isinstance(message, bytes) else messages.msgspec.json.encode(message)
    time = messages.format_time(SystemClock().now())
    headers = {
        "Client-Id": client_id,
        "Request-Time": time,
        "Signature": (key or network_key()).sign(path, client_id, time, body),
        "Content-Type": "application/json",
    }
    async with api.session.post(api.url + path, data=tamper(body), headers=headers) as response:
        return response.status, await response.read(), response.headers


# --- A sandbox and what stands between


@contextlib.asynccontextmanager
async def sandbox(**changes: Any) -> AsyncIterator[str]:
    """The sandbox on a loopback port, with the test keys; gives its URL."""
    from tillgate.sandbox.app import SandboxSettings, create_app
    from tillgate.sandbox.wallets import load_wallets

    settings = SandboxSettings(
        signing_key=network_key(),
        acquirers={CLIENT_ID: ring(acquirer_key())},
        wallets=load_wallets(),
    )
    app = create_app(replace(settings, **changes), SystemClock())
    async with serving(app, listen(Address("127.0.0.1", 0))) as url:
        yield url


Change = Callable[[bytes], bytes | None]
"""What a proxy does to a message: hand on these bytes, or (None) close the connection instead."""


@dataclass
class Wallets:
    """The sandbox's control API as a test uses it."""

    url: str
    session: aiohttp.ClientSession

    async def code(self, **asked: str) -> str:
        async with self.session.post(f"{self.url}/sandbox/codes", json=asked) as response:
            return str((await response.json())["code"])

    async def get(self, path: str) -> Any:
        async with self.session.get(f"{self.url}/sandbox{path}") as response:
            return await response.json()

    async def debits(self, payment_request_id: str) -> tuple[int, int]:
        """How often and how much (net, in the payment's currency) the customer was charged."""
        async with self.session.get(
            f"{self.url}/sandbox/payments/{payment_request_id}"
        ) as response:
            if response.status == 404:
                return 0, 0
            told = await response.json()
            return int(told["debits"]), int(told["net_debit"])

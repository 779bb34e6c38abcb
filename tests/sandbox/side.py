"""What the sandbox's tests share: a network with given times, and a running sandbox with a real
acquirer's server beside it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import uvicorn
from aiohttp import web
from yarl import URL

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import Amount, PaymentMethod, PayOrder, PayRequest, RefundRequest
from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import SystemClock
from tillgate.core.codes import CodeKind
from tillgate.sandbox.app import SandboxSettings, create_app
from tillgate.sandbox.choices import Choices
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.wallets import load_wallets
from tillgate.server import Address, Protocol, listen, url_of

CLIENT = "SANDBOX_5Y0000000000000"
NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
WALLETS = load_wallets()


@dataclass(frozen=True)
class Keys:
    network: SigningKey
    acquirer: SigningKey
    stranger: SigningKey


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def seeded(seed: int = 1):
    source = random.Random(seed)
    return lambda count: f"{source.randrange(10**count):0{count}d}"


def new_network(wallets=WALLETS, **choices) -> tuple[Network, Exchanges]:
    record = Exchanges()
    return Network(wallets, seeded(), record, choices=Choices(**choices)), record


def code_of(network: Network, customer_id: str = "kakaopay_minji", now: datetime = NOW) -> str:
    customer = WALLETS.customer(customer_id)
    wallet = WALLETS.wallet(customer.wallet_id)
    return network.codes.issue(customer, wallet, CodeKind.CGCP, now).code


def refund_request(
    id_: str = "refund_1", value: str | int = "40", currency: str = "JPY", **changes
) -> RefundRequest:
    """Of pay_1, unless another payment is named."""
    names_one = "payment_id" in changes or "payment_request_id" in changes
    ids = {} if names_one else {"payment_request_id": "pay_1"}
    amount = Amount(currency=currency, value=value)
    return RefundRequest(refund_request_id=id_, refund_amount=amount, **ids, **changes)


def pay_request(code: str, id_: str = "pay_1", value: str | int = "100", **changes) -> PayRequest:
    amount = Amount(currency=changes.pop("currency", "JPY"), value=value)
    request = PayRequest(
        payment_request_id=id_,
        payment_notify_url="http://127.0.0.1:1/notify",
        order=PayOrder(reference_order_id=f"o-{id_}", order_description="Tea", order_amount=amount),
        payment_amount=amount,
        payment_method=PaymentMethod(payment_method_type="CONNECT_WALLET", payment_method_id=code),
    )
    return messages.msgspec.structs.replace(request, **changes)


@dataclass
class Shop:
    """The acquirer's notification server. `answers` holds how to answer the next ones."""

    keys: Keys
    url: str = ""
    got: asyncio.Queue = field(default_factory=asyncio.Queue)
    answers: list[str] = field(default_factory=list)

    async def notify(self, request: web.Request) -> web.Response:
        body = await request.read()
        path = request.raw_path
        KeyRing.load({1: self.keys.network.public_pem()}).verify(
            request.headers["Signature"],
            path,
            request.headers["Client-Id"],
            request.headers["Request-Time"],
            body,
        )
        how = self.answers.pop(0) if self.answers else "good"
        self.got.put_nowait((how, json.loads(body)))
        status = "F" if how == "result F" else "S"
        answer = messages.encode(
            messages.Acknowledgement(
                result=messages.Result(result_code="SUCCESS", result_status=status)
            )
        )
        time = messages.format_time(datetime.now(UTC))
        key = self.keys.stranger if how == "stranger" else self.keys.acquirer
        headers = {
            "Response-Time": time,
            "Client-Id": CLIENT,
            "Signature": key.sign(path, CLIENT, time, answer),
        }
        if how == "unsigned":
            headers = {}
        return web.Response(body=answer, status=500 if how == "500" else 200, headers=headers)


@dataclass
class Rig:
    """A running sandbox and somebody who talks to it."""

    url: str
    keys: Keys
    shop: Shop
    session: aiohttp.ClientSession

    async def send(self, path: str, body: bytes, **how) -> tuple[dict[str, Any], Any]:
        """Sign and send, with `how` to spoil it after signing. Gives the answer and its headers."""
        client_id = how.get("client_id", CLIENT)
        time = how.get("time", messages.format_time(datetime.now(UTC)))
        key = how.get("key", self.keys.acquirer)
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": client_id,
            "Request-Time": time,
            "Signature": key.sign(path, client_id, time, body),
        } | how.get("headers", {})
        async with self.session.request(
            how.get("method", "POST"),
            URL(self.url + how.get("sent_path", path), encoded=True),
            data=how.get("sent_body", body),
            headers={name: value for name, value in headers.items() if value is not None},
        ) as answer:
            assert answer.status == 200
            raw = await answer.read()
            if "Signature" in answer.headers:
                KeyRing.load({1: self.keys.network.public_pem()}).verify(
                    answer.headers["Signature"],
                    how.get("sent_path", path),
                    client_id,
                    answer.headers["Response-Time"],
                    raw,
                )
                assert answer.headers["Client-Id"] == client_id
                assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
            return json.loads(raw) if raw else {}, answer.headers

    async def pay(self, code: str, id_: str = "pay_1", path="/notify", **changes) -> dict[str, Any]:
        request = pay_request(code, id_, payment_notify_url=self.shop.url + path, **changes)
        answer, headers = await self.send(messages.PAY_PATH, messages.encode(request))
        assert "Signature" in headers
        return answer

    async def control(self, method: str, path: str, **json_) -> tuple[int, Any]:
        kwargs = {"json": json_} if method in ("POST", "PUT", "PATCH") else {}
        async with self.session.request(method, self.url + path, **kwargs) as answer:
            return answer.status, await answer.json(content_type=None)

    async def code(self, **asked) -> str:
        status, body = await self.control("POST", "/sandbox/codes", **asked)
        assert status == 201, body
        return body["code"]


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()

    async def startup(self, sockets=None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextlib.asynccontextmanager
async def running(keys: Keys, clock=None, **changes) -> AsyncIterator[Rig]:
    settings = SandboxSettings(
        signing_key=keys.network,
        acquirers={CLIENT: KeyRing.load({1: keys.acquirer.public_pem()})},
        wallets=WALLETS,
        notify_delay_s=0.01,
        notify_retries_s=(0.01, 0.01),
    )
    app = create_app(replace(settings, **changes), clock or SystemClock())
    shop = Shop(keys)
    shop_app = web.Application()
    shop_app.router.add_post("/{tail:.*}", shop.notify)
    runner = web.AppRunner(shop_app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    shop.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    listener = listen(Address("127.0.0.1", 0))
    # asyncio's own loop leaves Nagle's algorithm on for a socket made without a protocol number;
    # every answer of two writes would wait 40 ms for an acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    config = uvicorn.Config(app, http=Protocol, ws="none", lifespan="on", log_config=None)
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    await server.is_up.wait()
    assert server.started
    try:
        async with aiohttp.ClientSession(auto_decompress=False) as session:
            yield Rig(url_of(listener), keys, shop, session)
    finally:
        server.should_exit = True
        await serving
        await runner.cleanup()

"""The sandbox in a thread of its own, and an acquirer who knows it by its address only."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from tests.support import serving
from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import SystemClock
from tillgate.sandbox.app import SandboxSettings, create_app
from tillgate.sandbox.wallets import load_wallets
from tillgate.server import Address, listen

from .client import Acquirer, new_key, private_pem, public_pem
from .shop import Shop, opened

CLIENT_ID = "SANDBOX_5Y3A2N2YEB3002022"
OTHER_CLIENT_ID = "SANDBOX_THE_OTHER"


@dataclass
class Control:
    """The testers' side, by plain HTTP."""

    url: str

    def __call__(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def code(self, **asked: Any) -> str:
        status, body = self("POST", "/sandbox/codes", asked)
        assert status == 201, body
        return body["code"]

    def advance(self, seconds: float) -> None:
        status, body = self("PUT", "/sandbox/clock", {"advance_s": seconds})
        assert status == 200, body

    def payment(self, request_id: str) -> dict[str, Any]:
        return self("GET", f"/sandbox/payments/{request_id}")[1]


@dataclass
class Desk:
    """All that a test needs. Every test has payments of its own."""

    acquirer: Acquirer
    shop: Shop
    control: Control
    number: Iterator[int]

    def new_id(self) -> str:
        return f"pay-{next(self.number)}"

    def paid(self, value: int = 1000, **changes: Any) -> str:
        request_id = self.new_id()
        answer = self.acquirer.pay(request_id, self.control.code(), value, **changes)
        assert answer.result == "S SUCCESS", answer.message
        return request_id

    def waiting(self, value: int = 1000) -> str:
        """A payment that its customer has still to confirm."""
        request_id = self.new_id()
        code = self.control.code(customer="kakaopay_junho")
        assert self.acquirer.pay(request_id, code, value).result == "U PAYMENT_IN_PROCESS"
        return request_id


@contextmanager
def in_thread(settings: SandboxSettings) -> Iterator[str]:
    """Serve the sandbox in a loop of its own, so that a synchronous client can be beside it."""
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    is_up = threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        app = create_app(settings, SystemClock())
        async with serving(app, listen(Address("127.0.0.1", 0))) as url:
            urls.append(url)
            is_up.set()
            await stop.wait()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert is_up.wait(10), "the sandbox did not start"
    try:
        yield urls[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.fixture(scope="session")
def keys() -> tuple[Any, Any]:
    """The acquirer's and the network's."""
    return new_key(), new_key()


@pytest.fixture(scope="package")
def running(keys) -> Iterator[tuple[Control, Iterator[int]]]:
    """The sandbox, once, and the numbers of all payments there."""
    acquirer_key, network_key = keys
    ring = KeyRing.load({1: public_pem(acquirer_key)})
    settings = SandboxSettings(
        signing_key=SigningKey.load(private_pem(network_key)),
        acquirers={CLIENT_ID: ring, OTHER_CLIENT_ID: ring},
        wallets=load_wallets(),
        notify_delay_s=0.01,
        notify_retries_s=(0.01, 0.01),
    )
    with in_thread(settings) as url:
        yield Control(url), count(1)


@pytest.fixture
def desk(running, keys) -> Iterator[Desk]:
    """The one sandbox, with nothing left of the test before, and a new acquirer's two sides."""
    control, number = running
    acquirer_key, network_key = keys
    public = network_key.public_key()
    control("DELETE", "/sandbox/rules")
    control("PUT", "/sandbox/clock", {"follow": True})
    with opened(Shop(CLIENT_ID, acquirer_key, public)) as shop:
        acquirer = Acquirer(control.url, CLIENT_ID, acquirer_key, public)
        yield Desk(acquirer, shop, control, number)

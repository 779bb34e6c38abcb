"""A follower on a real store, with a network whose every call waits for the test's word."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tillgate.clock import SystemClock
from tillgate.core.codes import mask
from tillgate.core.model import (
    CancelAnswered,
    Event,
    InquiryAnswered,
    InquiryUnanswered,
    Order,
    PayAnswered,
    Payment,
    PaymentRequestId,
    Receipt,
    Report,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS, Policy
from tillgate.core.payment import open_payment
from tillgate.core.refund_model import Refund
from tillgate.core.results import PAYMENT_IN_PROCESS, Outcome
from tillgate.gateway.follow import Follower
from tillgate.gateway.history import opened_row
from tillgate.gateway.lanes import Lane
from tillgate.gateway.sealing import Sealer
from tillgate.store import Opening, Store
from tillgate.store.sqlite import open_sqlite

NAME = "alipay_plus"


@dataclass
class MovedClock:
    """The system's clock, which a test may put forward."""

    ahead: timedelta = timedelta(0)

    def now(self) -> datetime:
        return SystemClock().now() + self.ahead


@dataclass
class Call:
    """A call that reached the network; its answer is the test's to give."""

    api: str
    key: str
    at: datetime
    answer: asyncio.Future[Event]


@dataclass
class HeldNetwork:
    """A connector whose calls stay open until the test answers them, or answer by a rule."""

    clock: MovedClock
    policy: Policy = ALIPAY_PLUS
    name: str = NAME
    calls: list[Call] = field(default_factory=list)
    rule: Callable[[Call], Event] | None = None
    open: int = 0
    open_max: int = 0

    async def pay(self, body: bytes) -> Any:
        return await self._call("pay", body.decode())

    async def inquire(self, payment: Payment) -> Any:
        return await self._call("inquire", payment.payment_request_id)

    async def cancel(self, payment: Payment) -> Any:
        return await self._call("cancel", payment.payment_request_id)

    async def refund(self, payment: Payment) -> Any:
        return await self._call("refund", payment.payment_request_id)

    async def give_back(self, refund: Refund) -> Any:
        return await self._call("give_back", refund.refund_request_id)

    async def look_up(self, refund: Refund) -> Any:
        return await self._call("look_up", refund.refund_request_id)

    def build_pay(self, *parts: Any) -> bytes:
        raise NotImplementedError

    async def _call(self, api: str, key: str) -> Event:
        answer = asyncio.get_running_loop().create_future()
        call = Call(api, key, self.clock.now(), answer)
        self.calls.append(call)
        self.open += 1
        self.open_max = max(self.open_max, self.open)
        try:
            if self.rule:
                await asyncio.sleep(0)
                return self.rule(call)
            return await answer
        finally:
            self.open -= 1

    def apis(self) -> list[str]:
        return [call.api for call in self.calls]


IN_PROCESS = PayAnswered(Report(outcome=Outcome.UNKNOWN, code=PAYMENT_IN_PROCESS))
STILL_OPEN = InquiryAnswered(Report(outcome=Outcome.UNKNOWN, code=PAYMENT_IN_PROCESS))
CANCELLED = CancelAnswered(Outcome.SUCCESS, "SUCCESS")
LOST = InquiryUnanswered("lost")


def paid(call: Call) -> Report:
    receipt = Receipt(payment_id=f"p-{call.key}")  # type: ignore[arg-type]
    return Report(
        outcome=Outcome.SUCCESS, code="SUCCESS", amount=Money("JPY", 100), receipt=receipt
    )


def opening(
    number: int, placed_at: datetime, sealer: Sealer, policy: Policy = ALIPAY_PLUS
) -> tuple[Opening, Any]:
    key = PaymentRequestId(f"pay_{number:05}")
    order = Order(
        merchant_id="M",
        store_id="S",
        terminal_id="T",
        merchant_order_id=f"o-{number}",
        description=None,
        amount=Money("JPY", 100),
        code_masked=mask("281006020000000000000012"),
        connector=NAME,
        rule="4",
        table="t",
        placed_at=placed_at,
        expires_at=placed_at + timedelta(seconds=60),
    )
    taken = open_payment(key, order, policy)
    given = Opening(
        payment=taken.payment,
        pay_body=sealer.seal(key.encode(), key),
        idempotency_key=key,
        code_fingerprint=b"f" * 32,
        expires_in_s=None,
        history=opened_row(taken),
    )
    return given, taken


@dataclass
class Side:
    """What a test works with."""

    store: Store
    network: HeldNetwork
    follower: Follower
    clock: MovedClock
    sealer: Sealer

    def limit(self, calls_max: int, inquiries_max: int) -> None:
        self.follower._calls._lanes[NAME] = Lane(calls_max, inquiries_max)

    async def sale(self, number: int) -> Payment:
        """A new sale, as the acceptance makes it."""
        given, taken = opening(number, self.clock.now(), self.sealer, self.network.policy)
        await self.follower.open(given, given.payment.payment_request_id.encode(), taken)
        return given.payment

    async def stored(self, number: int, age_s: float) -> Payment:
        """A row that an earlier process left: its first pay was sent that long ago."""
        given, _ = opening(number, self.clock.now() - timedelta(seconds=age_s), self.sealer)
        await self.store.open(given)
        return given.payment

    async def until(self, what: Callable[[], Any]) -> None:
        """Let the loop run until it is so."""
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.001)

    async def die(self) -> None:
        """As kill -9 ends it: nothing is sent, saved or set any more."""
        for driven in self.follower._driven.values():
            if driven.timer:
                driven.timer.cancel()
        doing = [*self.follower._tasks]
        for task in doing:
            task.cancel()
        await asyncio.gather(*doing, return_exceptions=True)

    async def row(self, number: int) -> Payment:
        found = await self.store.load(PaymentRequestId(f"pay_{number:05}"))
        assert found is not None
        return found


@contextlib.asynccontextmanager
async def following(
    folder: Path, open_store: Callable[[], Store] | None = None
) -> AsyncIterator[Side]:
    """A node on a SQLite file in this folder, or on any other database."""
    clock = MovedClock()
    store = open_store() if open_store else open_sqlite(folder / "follow.sqlite3")
    sealer = Sealer(bytes(32), lambda length: bytes(length))
    network = HeldNetwork(clock)
    follower = Follower(store, {NAME: network}, sealer, clock)
    try:
        yield Side(store, network, follower, clock, sealer)
    finally:
        for call in network.calls:
            if not call.answer.done():
                call.answer.cancel()
        await follower.stop()
        await store.close()

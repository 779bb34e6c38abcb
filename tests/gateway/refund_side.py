"""Refunds on a real store, with a network that keeps a ledger and answers by the test's rule."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from tests.gateway.follower_side import HeldNetwork, MovedClock, opening
from tillgate.core.access import Caller, Role
from tillgate.core.model import Notified, Payment, PaymentId, Receipt, Report
from tillgate.core.money import Money
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    Refund,
    RefundReport,
    RefundRequestId,
    SendAnswered,
)
from tillgate.core.results import Outcome
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.refund import AskedRefund, OpenedRefund, Refunds
from tillgate.gateway.refund_calls import RefundCalls
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.gateway.sealing import Sealer
from tillgate.store import Store
from tillgate.store.refunds import load_refund, load_refunds
from tillgate.store.sqlite import SqliteStore

NAME = "alipay_plus"
OFFICE = Caller(key_id="office", roles=frozenset({Role.BACK_OFFICE}), merchant_id="M")


def done(refund: Refund) -> RefundReport:
    return RefundReport(
        outcome=Outcome.SUCCESS, code="SUCCESS", amount=refund.amount, refund_id="R"
    )


@dataclass
class LedgerNetwork(HeldNetwork):
    """Takes each refund once, whatever the till hears; `reply` says what that is.

    Attributes:
        taken: minor units given back, by refundRequestId.
        sent: every refund that arrived, in order.
        takes: whether a refund that arrives is done.
        reply: what is heard of a send; None answers truly.
    """

    taken: dict[str, Refund] = field(default_factory=dict)
    sent: list[Refund] = field(default_factory=list)
    looks: int = 0
    takes: Callable[[Refund], bool] = lambda refund: True
    reply: Callable[[Refund], Any] | None = None

    async def give_back(self, refund: Refund) -> Any:
        self.sent.append(refund)
        if self.takes(refund):
            self.taken.setdefault(refund.refund_request_id, refund)
        await asyncio.sleep(0)
        if self.reply:
            answer = self.reply(refund)
            return await answer if asyncio.isfuture(answer) else answer
        if refund.refund_request_id in self.taken:
            return SendAnswered(done(refund))
        return SendAnswered(RefundReport(outcome=Outcome.FAILURE, code="PROCESS_FAIL"))

    async def look_up(self, refund: Refund) -> Any:
        self.looks += 1
        await asyncio.sleep(0)
        if refund.refund_request_id in self.taken:
            return LookAnswered(done(refund))
        return LookFoundNothing()

    def given_back(self) -> int:
        return sum(refund.amount.value for refund in self.taken.values())


@dataclass
class Node:
    """One process of the gateway."""

    payments: Follower
    refunds: RefundFollower
    use: Refunds
    cancels: Interventions
    own_store: Store | None

    async def stop(self) -> None:
        await self.refunds.stop()
        await self.payments.stop()
        if self.own_store is not None:
            await self.own_store.close()


@dataclass
class Side:
    """What a test works with: one database, one network, as many processes as it wants."""

    store: Store
    network: LedgerNetwork
    clock: MovedClock
    sealer: Sealer
    open_store: Callable[[], Store]
    nodes: list[Node] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def node(self) -> Node:
        connectors: Any = {NAME: self.network}
        # SQLite serves one process: two nodes there are two followers on one store.
        store = self.store if isinstance(self.store, SqliteStore) else self.open_store()
        payments = Follower(store, connectors, self.sealer, self.clock)
        calls = RefundCalls(payments.calls, connectors, self.clock)
        refunds = RefundFollower(store, payments, calls, self.clock)
        use = Refunds(
            store=store,
            payments=payments,
            refunds=refunds,
            calls=calls,
            clock=self.clock,
            draw_id=lambda now: f"ref_{next(self.numbers):05}",
        )
        cancels = Interventions(payments, connectors, self.clock)
        node = Node(payments, refunds, use, cancels, None if store is self.store else store)
        self.nodes.append(node)
        return node

    async def paid(self, number: int = 1, age: timedelta = timedelta(0)) -> Payment:
        """A payment of 100 yen that was paid so long ago."""
        given, taken = opening(number, self.clock.now() - age, self.sealer)
        await self.store.open(given)
        receipt = Receipt(payment_id=PaymentId(f"N{number}"))
        report = Report(
            outcome=Outcome.SUCCESS, code="SUCCESS", amount=Money("JPY", 100), receipt=receipt
        )
        follower = Follower(self.store, {NAME: self.network}, self.sealer, self.clock)
        paid = await follower.apply(taken.payment.payment_request_id, Notified(report))
        assert paid is not None
        return paid

    async def row(self, payment: Payment) -> Payment:
        found = await self.store.load(payment.payment_request_id)
        assert found is not None
        return found

    async def refund(self, key: str) -> Refund:
        found = await load_refund(self.store, RefundRequestId(key))
        assert found is not None
        return found

    async def all(self, payment: Payment) -> list[Refund]:
        return await load_refunds(self.store, payment.payment_request_id, limit=1000)

    async def until(self, what: Callable[[], Any]) -> None:
        """Let the loop run until it is so."""
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.001)


async def ask(
    node: Node, payment: Payment, value: int | None, key: str = "k", reason: str | None = None
) -> OpenedRefund:
    """A merchant asks for a refund of so many yen; None is all that is left."""
    amount = None if value is None else Money("JPY", value)
    return await node.use.open(OFFICE, payment, key, AskedRefund(amount=amount, reason=reason))


@contextlib.asynccontextmanager
async def refunding(open_store: Callable[[], Store]) -> AsyncIterator[Side]:
    clock, store = MovedClock(), open_store()
    sealer = Sealer(bytes(32), lambda length: bytes(length))
    side = Side(store, LedgerNetwork(clock), clock, sealer, open_store)
    try:
        yield side
    finally:
        for call in side.network.calls:
            call.answer.cancel()
        for node in side.nodes:
            await node.stop()
        await store.close()

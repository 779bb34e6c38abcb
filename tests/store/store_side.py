"""What the tests of stores share: payments, and a database of either engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import pytest

from tests.pgbouncer_side import pgbouncer_before
from tests.postgres_side import Server
from tillgate.core.model import (
    Order,
    PayAnswered,
    Payment,
    PaymentId,
    PaymentRequestId,
    Receipt,
    Report,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import open_payment, step
from tillgate.core.results import Outcome
from tillgate.store import History, MerchantEvent, Opening, Store
from tillgate.store.postgres import open_postgres
from tillgate.store.postgres_url import read_postgres_url
from tillgate.store.sqlite import open_sqlite

NOW = datetime(2026, 1, 31, 23, 59, 59, 123456, tzinfo=UTC)

T = TypeVar("T")
OpenStore = Callable[[], Store]
"""Opens a store on the database of one test; on PostgreSQL any number of them at once."""


@pytest.fixture(
    params=["sqlite", "postgres", "pooled", pytest.param("pgbouncer", marks=pytest.mark.soak)]
)
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OpenStore]:
    """The suite that every engine has to pass is written with this. `pooled` is PostgreSQL as it is
    used behind PgBouncer, `pgbouncer` is behind one.
    """
    if request.param == "sqlite":
        yield lambda: open_sqlite(tmp_path / "test.sqlite3")
        return
    server: Server = request.getfixturevalue("postgres")
    if request.param == "pgbouncer":
        with pgbouncer_before(server) as folder:
            yield opener(server.migrated().replace(str(server.folder), str(folder)))
        return
    mode = "&pgbouncer=transaction" if request.param == "pooled" else ""
    yield opener(server.migrated() + mode)


def opener(url: str) -> OpenStore:
    """Opens stores on this database."""
    where = read_postgres_url(url)
    return lambda: open_postgres(where)


def with_store(open_store: OpenStore, work: Callable[[Store], Awaitable[T]]) -> T:
    """Run `work(store)` and close it."""

    async def run() -> T:
        store = open_store()
        try:
            return await work(store)
        finally:
            await store.close()

    return asyncio.run(run())


def order(number: int = 1, **changes) -> Order:
    fields = {
        "merchant_id": "M1",
        "store_id": "S1",
        "terminal_id": "T1",
        "merchant_order_id": f"order-{number}",
        "description": None,
        "amount": Money("JPY", 100),
        "code_masked": "281006************12",
        "connector": "alipay_plus",
        "rule": "4",
        "table": "guide",
        "placed_at": NOW,
        "expires_at": NOW + timedelta(seconds=60),
    }
    return Order(**(fields | changes))


def opening(number: int = 1, key: str | None = None, **changes) -> Opening:
    payment = open_payment(
        PaymentRequestId(f"pay_{number:05}"), order(number, **changes), ALIPAY_PLUS
    ).payment
    return Opening(
        payment=payment,
        pay_body=b"sealed",
        idempotency_key=key or f"key-{number}",
        code_fingerprint=b"f" * 32,
        expires_in_s=None,
        history=history(payment, "accepted"),
    )


def history(payment: Payment, kind: str) -> History:
    return History(
        version=payment.version, at=NOW, kind=kind, status=payment.status.value, detail=b"{}"
    )


def paid(payment: Payment, payment_id: str) -> Payment:
    report = Report(
        outcome=Outcome.SUCCESS,
        code="SUCCESS",
        amount=payment.order.amount,
        receipt=Receipt(payment_id=PaymentId(payment_id), paid_at=NOW, wallet="GCASH"),
    )
    return step(payment, PayAnswered(report), NOW, ALIPAY_PLUS).payment


def told(payment, sequence, **changes) -> MerchantEvent:
    event = MerchantEvent(
        event_id=f"evt_{payment.payment_request_id}_{sequence}",
        merchant_id=payment.order.merchant_id,
        store_id=payment.order.store_id,
        terminal_id=payment.order.terminal_id,
        payment_request_id=payment.payment_request_id,
        refund_request_id=None,
        sequence=sequence,
        type="payment.succeeded",
        at=NOW,
        body=b'{"id": 1}',
    )
    return replace(event, **changes)

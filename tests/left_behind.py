"""Payments that an earlier process of the gateway left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.core.payment_cases import EVENTS
from tillgate.core.model import Order, Payment, PaymentRequestId
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import open_payment, step
from tillgate.gateway.history import opened_row, row_of
from tillgate.store import Opening
from tillgate.store.sqlite import open_sqlite

UNRESOLVED = [(1, "pay S"), (2, "cancel asked"), (3, "cancel too late"), (904, "timer")]
UNDECIDED = [(1, "pay U in process"), (2, "cancel asked"), (3, "cancel too late"), (904, "timer")]


async def leave(folder: Path, facts: Sequence[tuple[int, str]], age_s: int) -> Payment:
    """Put the payment `pay_01` of merchant 1 into the gateway's store: it lived through these
    facts, each so many seconds after it was placed.
    """
    placed_at = datetime.now(UTC) - timedelta(seconds=age_s)
    taken = open_payment(
        PaymentRequestId("pay_01"),
        Order(
            merchant_id="M00000000001",
            store_id="S0000000001",
            terminal_id="122222",
            merchant_order_id="left",
            description=None,
            amount=Money("JPY", 100),
            code_masked="281006************12",
            connector="alipay_plus",
            rule="4",
            table="guide",
            placed_at=placed_at,
            expires_at=placed_at + timedelta(seconds=60),
        ),
        ALIPAY_PLUS,
    )

    store = open_sqlite(folder / "tillgate.sqlite3")
    payment = taken.payment
    opening = Opening(
        payment=payment,
        pay_body=b"sealed",
        idempotency_key="left",
        code_fingerprint=b"f" * 32,
        expires_in_s=None,
        history=opened_row(taken),
    )
    await store.open(opening)
    for seconds, name in facts:
        now = placed_at + timedelta(seconds=seconds)
        after = step(payment, EVENTS[name], now, ALIPAY_PLUS)
        row = row_of(after, EVENTS[name], now)
        await store.save(after.payment, row, keep_body=False)
        payment = after.payment
    await store.close()
    return payment

"""A hundred tills over lines that lose a fifth of their requests and a fifth of the replies.

Each does what docs/till-guide.md says, with the client of the package. The sandbox's ledger
is the judge.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter

from tests.client_side import LossyLine
from tests.support import API_KEY, Wallets, gateway, sandbox
from tillgate.client import ApiError, AsyncTillgate, OutcomeUnknown

TILLS = 100
SEED = 20_261_123


def test_every_order_is_debited_exactly_once_and_every_till_hears_its_end(tmp_path):
    async def till(url, wallets, number):
        """Two sales: a plain one, and one that an impatient cashier scans twice."""
        told = []
        async with AsyncTillgate(url, API_KEY, patience_s=90) as shop:
            for kind in ("plain", "double"):
                order, sale = f"{number}-{kind}", {"currency": "JPY", "value": 100}
                keys = [secrets.token_urlsafe(8) for _ in range(2 if kind == "double" else 1)]
                scans = [
                    shop.pay(await wallets.code(), order=order, idempotency_key=key, **sale)
                    for key in keys
                ]
                told += [
                    (order, outcome)
                    for outcome in await asyncio.gather(*scans, return_exceptions=True)
                ]
        return told

    async def whole():
        async with contextlib.AsyncExitStack() as stack:
            there = await stack.enter_async_context(sandbox())
            api = await stack.enter_async_context(gateway(tmp_path, there))
            line = LossyLine(api.url, SEED, lost_requests=0.2, lost_replies=0.2)
            url = await stack.enter_async_context(line.running())
            wallets = Wallets(there, api.session)
            tills = (till(url, wallets, number) for number in range(TILLS))
            told = [each for one in await asyncio.gather(*tills) for each in one]
            entries = (await wallets.get("/ledger"))["entries"]
            ids = [each.id for _, each in told if not isinstance(each, ApiError)]
            charged = Counter([await wallets.debits(payment_id) for payment_id in ids])
            async with api.session.get(f"{there}/sandbox/ledger/check") as books:
                problems = (await books.json())["problems"]
            return told, entries, charged, problems, line

    told, entries, charged, problems, line = asyncio.run(whole())
    assert problems == []
    assert line.lost_requests > TILLS / 10
    assert line.lost_replies > TILLS / 10
    # Nobody ended without an answer.
    assert not [each for _, each in told if isinstance(each, OutcomeUnknown)]
    paid = Counter(order for order, each in told if not isinstance(each, ApiError))
    refused = [(order, each) for order, each in told if isinstance(each, ApiError)]
    # Of two scans of one order at most one is a payment; the other one is shown the first.
    assert {order for order, _ in told} == set(paid)
    assert set(paid.values()) == {1}
    assert {each.code for _, each in refused} == {"order_already_has_a_payment"}
    assert {order.partition("-")[2] for order, _ in refused} == {"double"}
    assert len(refused) == TILLS
    # The ledger knows one debit of each order, as the tills were told.
    assert {each.status for _, each in told if not isinstance(each, ApiError)} == {"SUCCEEDED"}
    assert charged == {(1, 100): 2 * TILLS}
    assert [each["kind"] for each in entries] == ["debit"] * 2 * TILLS

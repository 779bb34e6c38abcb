"""A payment in the moment of its first commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from tests.gateway.follower_side import following, opening, paid
from tillgate.core.model import CancelRequested, PayAnswered, Status
from tillgate.core.results import Outcome


def test_a_second_attempt_is_told_as_one_before_its_commit_is_confirmed(tmp_path):
    """Its row stands, and the word of it is on the way: a till that asks again reads the row."""

    async def run():
        async with following(tmp_path) as side:
            first = await side.sale(1)
            await side.until(lambda: side.network.calls)
            [call] = side.network.calls
            refused = replace(paid(call), outcome=Outcome.FAILURE, code="RISK_REJECT")
            call.answer.set_result(PayAnswered(refused))
            assert (await side.follower.wait(first, 10)).status is Status.FAILED

            real, told = side.store.open, asyncio.Event()

            async def slow(given):
                result = await real(given)
                await told.wait()
                return result

            side.store.open = slow
            given, taken = opening(2, side.clock.now(), side.sealer)
            order = replace(given.payment.order, merchant_order_id=first.order.merchant_order_id)
            given = replace(given, payment=replace(given.payment, order=order))
            key = given.payment.payment_request_id
            selling = asyncio.ensure_future(
                side.follower.open(given, b"", replace(taken, payment=given.payment))
            )
            while await side.store.load(key) is None:
                await asyncio.sleep(0.001)
            row = await side.store.load(key)
            assert row.order.attempt == 2
            assert await side.follower.current(key) == row
            assert await side.follower.wait(row, 0.01) == row
            cancelling = asyncio.ensure_future(side.follower.apply(key, CancelRequested("till")))
            await asyncio.sleep(0)
            told.set()
            assert await selling == row
            assert (await cancelling).order.attempt == 2

    asyncio.run(run())

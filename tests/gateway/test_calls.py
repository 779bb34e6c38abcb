"""Calls under pressure: bounded, never late, never of a payment that does not want them, and
nobody starves.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.gateway.follower_side import (
    CANCELLED,
    IN_PROCESS,
    LOST,
    NAME,
    STILL_OPEN,
    Side,
    following,
    paid,
)
from tillgate.core.errors import StoreError
from tillgate.core.model import CancelRequested, PayAnswered, PaymentRequestId, PayNeverLeft, Status
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.gateway import follow
from tillgate.gateway.circuit import FAILURES_TO_OPEN
from tillgate.gateway.sealing import Sealer


def run(tmp_path, work):
    async def whole():
        async with following(tmp_path) as side, asyncio.timeout(20):
            return await work(side)

    return asyncio.run(whole())


def test_a_pay_that_could_not_leave_in_time_does_not_leave_and_counts_as_never_sent(
    tmp_path, monkeypatch
):
    """All places are taken for too long: it is planned anew, and says so."""

    async def work(side: Side):
        side.limit(1, 1)
        await side.sale(1)
        await side.until(lambda: side.network.calls)
        stall(side, monkeypatch, 3.9)
        second = await side.sale(2)
        while (await side.row(2)).sends_never_left == 0:
            await asyncio.sleep(0.01)
        row = await side.row(2)
        history = await side.store.load_history(second.payment_request_id)
        assert side.network.apis() == ["pay"]
        assert (row.status, row.sends, row.sends_open) == (Status.PENDING, 1, 0)
        assert b"too busy" in history[-1].detail
        # Its next send waits for its place before it is counted.
        side.clock.ahead += timedelta(seconds=1)
        await asyncio.sleep(0)
        first = side.network.calls[0]
        first.answer.set_result(PayAnswered(paid(first)))
        await side.until(lambda: len(side.network.calls) == 2)
        row = await side.row(2)
        assert (row.sends, row.calling) == (2, "pay")
        # The lease begins when the call leaves: 8 s of call and 1 s of grace.
        assert row.next_action_at == _Near(side.network.calls[1].at + timedelta(seconds=9))

    run(tmp_path, work)


class _Near:
    def __init__(self, at):
        self.at = at

    def __eq__(self, other):
        return abs(other - self.at) < timedelta(seconds=0.5)

    __hash__ = None


def stall(side: Side, monkeypatch, seconds: float) -> None:
    """Let so much time pass, by the clock, between a sale's commit and its first send."""
    real = side.store.open

    async def stalls(opening):
        result = await real(opening)
        side.clock.ahead += timedelta(seconds=seconds)
        return result

    monkeypatch.setattr(side.store, "open", stalls)


def test_a_pay_with_less_than_half_of_its_time_left_is_not_sent(tmp_path, monkeypatch):
    """The disk stalls between the count and the send: the outcome must not count as lost while
    the pay is on its way."""

    async def work(side: Side):
        stall(side, monkeypatch, 4.1)  # of 8
        await side.sale(1)
        while (await side.row(1)).sends_never_left == 0:
            await asyncio.sleep(0.001)
        assert side.network.calls == []

    run(tmp_path, work)


def test_a_pay_that_leaves_late_is_cut_off_when_its_saved_time_is_over(tmp_path, monkeypatch):
    """A busy process sends it all the same, and nothing of it is under way once it counts as
    lost."""

    async def work(side: Side):
        side.network.policy = replace(
            ALIPAY_PLUS,
            pay_timeout=timedelta(seconds=0.4),
            outcome_grace=timedelta(seconds=0.05),
        )
        stall(side, monkeypatch, 0.15)
        payment = await side.sale(1)
        await side.until(lambda: side.network.open)
        await side.until(lambda: not side.network.open)
        assert side.clock.now() <= payment.next_action_at
        while (await side.row(1)).calling is not None:
            await asyncio.sleep(0.001)
        row = await side.row(1)
        history = await side.store.load_history(payment.payment_request_id)
        assert (history[-1].kind, row.sends_open) == ("pay_unanswered", 1)

    run(tmp_path, work)


def test_a_waiting_pay_that_is_cancelled_meanwhile_never_leaves(tmp_path):
    async def work(side: Side):
        side.limit(1, 1)
        await side.sale(1)
        await side.until(lambda: side.network.calls)
        second = await side.sale(2)
        await side.follower.apply(second.payment_request_id, CancelRequested("till"))
        first = side.network.calls[0]
        first.answer.set_result(PayAnswered(paid(first)))
        while (await side.row(2)).status is not Status.CANCELLED:
            await asyncio.sleep(0.001)
        assert side.network.apis() == ["pay"]

    run(tmp_path, work)


def test_due_steps_wait_for_a_place_before_they_are_saved(tmp_path):
    """A hundred overdue payments, two places: two calls at a time, and a row that waits is
    untouched."""

    async def work(side: Side):
        side.limit(3, 2)
        for number in range(100):
            await side.stored(number, age_s=80)  # past expiry: one last inquiry each
        assert await side.follower.recover() == 100
        await side.until(lambda: len(side.network.calls) == 2)
        rows = [await side.row(number) for number in range(100)]
        assert sum(row.inquiries for row in rows) == 2
        side.network.rule = lambda call: STILL_OPEN if call.api == "inquire" else CANCELLED
        for call in side.network.calls[:]:
            call.answer.set_result(LOST)
        await side.until(lambda: not side.follower._driven)
        rows = [await side.row(number) for number in range(100)]
        assert {(row.status, row.inquiries, row.cancels) for row in rows} == {
            (Status.CANCELLED, 1, 1)
        }
        assert side.network.open_max == 2
        lane = side.follower._calls._lanes["alipay_plus"]
        assert (lane.in_flight, lane.waiting) == (0, 0)

    run(tmp_path, work)


def test_a_sale_is_not_kept_waiting_by_any_number_of_overdue_inquiries(tmp_path):
    async def work(side: Side):
        side.limit(3, 2)
        for number in range(50):
            await side.stored(number, age_s=80)
        await side.follower.recover()
        await side.until(lambda: len(side.network.calls) == 2)
        await side.sale(99)
        await side.until(lambda: side.network.apis() == ["inquire", "inquire", "pay"])

    run(tmp_path, work)


def test_a_payment_that_ends_while_its_step_waits_is_asked_about_no_more(tmp_path):
    async def work(side: Side):
        side.limit(1, 1)
        for number in (1, 2):
            await side.stored(number, age_s=80)
        await side.follower.recover()
        await side.until(lambda: len(side.network.calls) == 1)
        waiting = {"pay_00001", "pay_00002"} - {side.network.calls[0].key}
        key = waiting.pop()
        report = paid(side.network.calls[0])
        await side.follower.apply(key, PayAnswered(report))
        side.network.calls[0].answer.set_result(LOST)
        await side.until(lambda: side.network.apis() == ["inquire", "cancel"])
        side.network.calls[1].answer.set_result(CANCELLED)
        await side.until(lambda: not side.follower._driven)
        assert {call.key for call in side.network.calls} == {side.network.calls[0].key}

    run(tmp_path, work)


def test_the_cancel_after_a_last_inquiry_takes_over_its_place(tmp_path):
    async def work(side: Side):
        side.limit(1, 1)
        for number in range(5):
            await side.stored(number, age_s=80)
        await side.follower.recover()
        order = []
        side.network.rule = lambda call: (
            order.append(call.key) or (STILL_OPEN if call.api == "inquire" else CANCELLED)
        )
        side.network.calls and side.network.calls[0].answer.set_result(STILL_OPEN)
        await side.until(lambda: not side.follower._driven)
        apis = side.network.apis()
        assert apis == ["inquire", "cancel"] * 5

    run(tmp_path, work)


def test_recovery_reads_in_batches_and_lets_others_have_their_turn(tmp_path, monkeypatch):
    async def work(side: Side):
        monkeypatch.setattr(follow, "BATCH_ROWS", 7)
        side.network.rule = lambda call: IN_PROCESS
        for number in range(50):
            await side.stored(number, age_s=1)
        turns, sizes = [], []
        real = side.store.load_waiting

        async def counted(*args, **more):
            batch = await real(*args, **more)
            sizes.append(len(batch))
            asyncio.get_running_loop().call_soon(turns.append, len(sizes))
            return batch

        monkeypatch.setattr(side.store, "load_waiting", counted)
        assert await side.follower.recover() == 50
        assert sizes == [7] * 7 + [1, 0]
        assert turns[:7] == [1, 2, 3, 4, 5, 6, 7]
        assert all(driven.timer for driven in side.follower._driven.values())
        assert len(side.follower._driven) == 50

    run(tmp_path, work)


def test_forgotten_rows_are_found_behind_any_number_of_driven_ones(tmp_path, monkeypatch):
    """A look reads one batch; the next look goes on behind it."""

    async def work(side: Side):
        monkeypatch.setattr(follow, "BATCH_ROWS", 10)
        monkeypatch.setattr(follow, "LOOK_INTERVAL_S", 0.01)
        side.limit(1, 1)
        for number in range(35):
            await side.stored(number, age_s=30)
        await side.follower.recover()
        await side.stored(99, age_s=20)  # later than all the others, driven by nobody
        await side.until(lambda: "pay_00099" in side.follower._driven)
        await side.stored(100, age_s=40)  # earlier than all that were looked at
        await side.until(lambda: "pay_00100" in side.follower._driven)

    run(tmp_path, work)


def test_the_outcome_of_an_earlier_call_is_not_taken_for_the_awaited_ones(tmp_path):
    """Both are pays. That the first never left says nothing of the second, which is out."""

    async def work(side: Side):
        moment = timedelta(milliseconds=300)  # a busy machine must not see a fourth
        side.network.policy = replace(ALIPAY_PLUS, pay_timeout=moment, outcome_grace=moment)
        await side.sale(1)
        await side.until(lambda: len(side.network.calls) == 2)
        side.network.calls[0].answer.set_result(PayNeverLeft("no connection"))
        await side.until(lambda: len(side.network.calls) == 3)
        row = await side.row(1)
        assert (row.sends, row.sends_never_left) == (3, 0)

    run(tmp_path, work)


@pytest.mark.parametrize("fault", ["unsealed", "read"])
def test_a_pay_that_cannot_be_read_back_says_nothing_of_the_network(tmp_path, monkeypatch, fault):
    """However often: the network was never asked, so new sales go on."""

    async def work(side: Side):
        if fault == "unsealed":
            other = Sealer(bytes([1]) * 32, lambda length: bytes(length))
            monkeypatch.setattr(side, "sealer", other)
        else:

            async def fails(key):
                raise StoreError("the database could not be read")

            monkeypatch.setattr(side.store, "load_pay_body", fails)
        for number in range(FAILURES_TO_OPEN):
            await side.stored(number, age_s=30)  # its pay counts as lost: it is sent again
        await side.follower.recover()
        for number in range(FAILURES_TO_OPEN):
            while (await side.row(number)).sends_never_left == 0:
                await asyncio.sleep(0.001)
        assert side.network.calls == []
        assert side.follower.networks() == {NAME: "up"}
        history = await side.store.load_history(PaymentRequestId("pay_00000"))
        assert b"the stored request cannot be read" in history[-1].detail

    run(tmp_path, work)

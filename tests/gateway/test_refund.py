"""Refunds through the gateway on a real store: races, repeats, crashes, lost replies."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from tests.gateway.refund_side import OFFICE, ask, done, refunding
from tillgate.core.errors import (
    CannotRefund,
    CannotResolve,
    GatewayError,
    KeyReused,
    RefundInstead,
    RefundNotFound,
    StoreError,
)
from tillgate.core.model import Status
from tillgate.core.refund_model import (
    LookFoundNothing,
    RefundRequestId,
    RefundStatus,
    SendAnswered,
    SendNeverLeft,
    SendUnanswered,
)
from tillgate.gateway import refund_follow
from tillgate.gateway.refund_calls import RefundCalls
from tillgate.store import Sql
from tillgate.store.refunds import list_refunds, load_refund_history
from tillgate.store.sqlite import open_sqlite


def run_on(open_store, work):
    async def whole():
        async with refunding(open_store) as side:
            return await work(side)

    return asyncio.run(whole())


def run(tmp_path, work):
    return run_on(lambda: open_sqlite(tmp_path / "refund.sqlite3"), work)


async def told(side):
    rows = await side.store.read(Sql("SELECT * FROM merchant_event ORDER BY position"))
    return [(row["sequence"], row["type"], row["refund_request_id"]) for row in rows]


def test_a_part_goes_back_and_the_merchant_is_told_in_the_same_commit(open_store):
    async def work(side):
        node, payment = side.node(), await side.paid()
        opened = await ask(node, payment, 30, reason="a broken cup")
        assert opened.is_new
        before = await side.row(payment)
        refund = await node.refunds.wait(opened.refund, 5)
        return before, await side.row(payment), refund, await told(side), side.network.sent

    before, after, refund, events, sent = run_on(open_store, work)
    assert before.reserved == 30  # in the commit that opens it, whatever has become of it since
    assert (after.reserved, after.refunded, after.announced) == (30, 30, 2)
    assert refund.status is RefundStatus.SUCCEEDED
    assert events == [(1, "payment.succeeded", None), (2, "refund.succeeded", "ref_00001")]
    assert [each.reason for each in sent] == ["a broken cup"]


def test_several_parts_and_then_all_that_is_left(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        for number, value in enumerate((30, 20, None)):
            opened = await ask(node, payment, value, key=f"k{number}")
            await node.refunds.wait(opened.refund, 5)
        with pytest.raises(CannotRefund, match="All of it"):
            await ask(node, payment, None, key="k9")
        return await side.row(payment), side.network.given_back(), await told(side)

    payment, given_back, events = run(tmp_path, work)
    assert (payment.reserved, payment.refunded, given_back) == (100, 100, 100)
    assert not payment.holds_order
    assert [sequence for sequence, _, _ in events] == [1, 2, 3, 4]


def test_a_refused_refund_gives_its_reservation_back_and_is_told(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        side.network.takes = lambda refund: False
        opened = await ask(node, payment, None)
        refund = await node.refunds.wait(opened.refund, 5)
        return refund, await side.row(payment), await told(side)

    refund, payment, events = run(tmp_path, work)
    assert (refund.status, refund.result_code) == (RefundStatus.FAILED, "PROCESS_FAIL")
    assert (payment.reserved, payment.refunded) == (0, 0)
    assert events[-1][1] == "refund.failed"


def test_the_same_request_again_gives_the_refund_as_it_is_now(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        first = await ask(node, payment, None)
        running = await ask(node, payment, None)
        ended = await node.refunds.wait(first.refund, 5)
        again = await ask(side.node(), payment, None)  # another process
        return first, running, ended, again, len(side.network.sent)

    first, running, ended, again, sent = run(tmp_path, work)
    assert running.refund.refund_request_id == first.refund.refund_request_id
    assert (again.is_new, again.refund) == (False, ended)
    assert sent == 1


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [(None, None, "$.amount"), (31, None, "$.amount.value"), (30, "else", "$.reason")],
)
def test_another_body_under_the_same_key_is_refused_with_the_first_difference(
    tmp_path, value, reason, path
):
    async def work(side):
        node, payment = side.node(), await side.paid()
        await ask(node, payment, 30)
        with pytest.raises(KeyReused) as refused:
            await ask(node, payment, value, reason=reason)
        return refused.value.path, len(await side.all(payment))

    assert run(tmp_path, work) == (path, 1)


def test_a_key_of_another_payments_refund_is_refused(tmp_path):
    async def work(side):
        node, one, two = side.node(), await side.paid(1), await side.paid(2)
        await ask(node, one, 30)
        with pytest.raises(KeyReused, match="refund of payment pay_00001"):
            await ask(node, two, 30)
        return (await side.row(two)).reserved

    assert run(tmp_path, work) == 0


@pytest.mark.parametrize("value", [None, 100, 40])
def test_a_key_that_races_with_itself_opens_one_refund(open_store, value):
    """Also where the first one takes all that is left, and also on two processes."""

    async def work(side):
        nodes, payment = [side.node(), side.node()], await side.paid()
        asked = [ask(nodes[number % 2], payment, value) for number in range(20)]
        opened = await asyncio.gather(*asked)
        return opened, await side.row(payment), len(await side.all(payment))

    opened, payment, count = run_on(open_store, work)
    assert len({each.refund.refund_request_id for each in opened}) == 1
    assert sum(each.is_new for each in opened) == 1
    assert (payment.reserved, count) == (value or 100, 1)


# Races
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("nodes", "value"), [(1, 1), (1, 7), (1, 100), (2, 7)])
def test_a_hundred_refunds_at_once_never_give_back_more_than_was_paid(open_store, nodes, value):
    async def work(side):
        all_nodes, payment = [side.node() for _ in range(nodes)], await side.paid()

        async def one(number):
            node = all_nodes[number % nodes]
            try:
                opened = await ask(node, payment, value, key=f"k{number}")
            except (CannotRefund, StoreError) as error:
                return error
            return await node.refunds.wait(opened.refund, 10)

        results = await asyncio.gather(*(one(number) for number in range(100)))
        return results, await side.row(payment), side.network.given_back()

    results, payment, given_back = run_on(open_store, work)
    done_ = [each for each in results if not isinstance(each, GatewayError)]
    assert {each.status for each in done_} == {RefundStatus.SUCCEEDED}
    assert payment.refunded == payment.reserved == given_back == value * len(done_)
    assert given_back <= 100
    busy = [each for each in results if isinstance(each, StoreError)]
    assert len(done_) + len(busy) >= 100 // value  # nobody is refused while enough is left
    if nodes == 1:
        assert not busy
        assert given_back == 100 // value * value


@pytest.mark.parametrize("nodes", [1, 2])
@pytest.mark.parametrize("turn", range(6))
def test_cancel_and_refund_exclude_each_other_whoever_comes_first(open_store, nodes, turn):
    async def work(side):
        all_nodes, payment = [side.node() for _ in range(nodes)], await side.paid()
        asked = [
            all_nodes[0].cancels.cancel(payment, OFFICE),
            ask(all_nodes[-1], payment, 30),
        ]
        if turn % 2:
            asked.reverse()
        results = await asyncio.gather(*asked, return_exceptions=True)
        return results, await side.row(payment), await side.all(payment)

    results, payment, refunds = run_on(open_store, work)
    refused = [each for each in results if isinstance(each, Exception)]
    assert len(refused) == 1
    if payment.status is Status.SUCCEEDED:
        assert isinstance(refused[0], RefundInstead)
        assert (payment.reserved, len(refunds)) == (30, 1)
    else:
        assert payment.status is Status.CANCELLING
        assert isinstance(refused[0], CannotRefund)
        assert (payment.reserved, refunds) == (0, [])


# Lost replies, crashes, another node
# -------------------------------------------------------------------------------------------------


def test_a_lost_reply_is_followed_by_the_identical_refund(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        replies = iter([SendUnanswered("the reply was lost")])
        side.network.reply = lambda refund: next(replies, SendAnswered(done(refund)))
        opened = await ask(node, payment, 30, reason="a broken cup")
        refund = await node.refunds.wait(opened.refund, 8)
        return refund, side.network.sent, side.network.given_back()

    refund, sent, given_back = run(tmp_path, work)
    assert refund.status is RefundStatus.SUCCEEDED
    assert (refund.sends, given_back) == (2, 30)
    content = {(one.refund_request_id, one.amount, one.reason, one.opened_at) for one in sent}
    assert (len(sent), len(content)) == (2, 1)


def test_the_row_is_saved_before_the_call_leaves(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        seen = []

        def look(refund):
            rows = side.store._all("SELECT sends FROM refund WHERE status = 'PENDING'")
            seen.append((refund.sends, [row["sends"] for row in rows]))
            return SendUnanswered("lost") if len(seen) == 1 else SendAnswered(done(refund))

        side.network.reply = look
        opened = await ask(node, payment, 30)
        await node.refunds.wait(opened.refund, 8)
        return seen

    assert run(tmp_path, work) == [(1, [1]), (2, [2])]


def test_a_refund_whose_process_died_is_taken_up_by_the_next_one(open_store):
    async def work(side):
        node, payment = side.node(), await side.paid()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        opened = await ask(node, payment, 30)
        await side.until(lambda: side.network.sent)
        # The process dies here: its timers are gone, its memory too.
        for driven in node.refunds._driven.values():
            driven.timer.cancel()
        node.refunds._stopping.set()
        side.network.reply = None
        side.clock.ahead += timedelta(seconds=20)
        second = side.node()
        taken_up = await second.refunds.recover()
        refund = await second.refunds.wait(opened.refund, 5)
        never.cancel()
        return taken_up, refund, side.network.given_back()

    taken_up, refund, given_back = run_on(open_store, work)
    assert (taken_up, refund.status, refund.sends, given_back) == (
        1,
        RefundStatus.SUCCEEDED,
        2,
        30,
    )


def test_an_overdue_refund_of_a_dead_node_is_taken_up_within_five_seconds(tmp_path, monkeypatch):
    monkeypatch.setattr(refund_follow, "LOOK_INTERVAL_S", 0.05)

    async def work(side):
        dying, payment = side.node(), await side.paid()
        living = side.node()
        await living.refunds.recover()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        opened = await ask(dying, payment, 30)
        await side.until(lambda: side.network.sent)
        for driven in dying.refunds._driven.values():
            driven.timer.cancel()
        dying.refunds._stopping.set()
        side.network.reply = None
        side.clock.ahead += timedelta(seconds=9 + 2 + 0.1)
        refund = await living.refunds.wait(opened.refund, 5)
        never.cancel()
        return refund

    assert run(tmp_path, work).status is RefundStatus.SUCCEEDED
    assert refund_follow.OVERDUE + timedelta(seconds=2) <= timedelta(seconds=5)


def test_an_end_that_could_not_be_saved_is_asked_for_again(tmp_path, monkeypatch):
    real, failures = refund_follow.save_told_refund, []

    async def failing(*args):
        if not failures:
            failures.append(1)
            raise StoreError("the disk is full")
        await real(*args)

    monkeypatch.setattr(refund_follow, "save_told_refund", failing)

    async def work(side):
        node, payment = side.node(), await side.paid()
        opened = await ask(node, payment, 30)
        await side.until(lambda: failures)
        for driven in node.refunds._driven.values():
            driven.timer.cancel()
        side.clock.ahead += timedelta(seconds=20)
        node.refunds._drive(next(iter(node.refunds._driven.values())))
        refund = await node.refunds.wait(opened.refund, 5)
        return refund, await side.row(payment), side.network.given_back(), await told(side)

    refund, payment, given_back, events = run(tmp_path, work)
    assert refund.status is RefundStatus.SUCCEEDED
    assert (payment.refunded, given_back, len(events)) == (30, 30, 2)


def test_two_nodes_that_hear_the_same_success_give_back_once(open_store):
    async def work(side):
        one, two, payment = side.node(), side.node(), await side.paid()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        opened = await ask(one, payment, 30)
        await side.until(lambda: side.network.sent)
        event = SendAnswered(done(opened.refund))
        key = opened.refund.refund_request_id
        await asyncio.gather(one.refunds.apply(key, event), two.refunds.apply(key, event))
        never.cancel()
        return await side.row(payment), await told(side)

    payment, events = run_on(open_store, work)
    assert (payment.reserved, payment.refunded, payment.announced) == (30, 30, 2)
    assert len(events) == 2


def test_a_node_that_reads_the_payment_after_another_ended_the_refund_changes_nothing(tmp_path):
    """It read the refund before that, so both rows have to be looked at anew."""

    async def work(side):
        one, two, payment = side.node(), side.node(), await side.paid()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        opened = await ask(one, payment, 100)
        await side.until(lambda: side.network.sent)
        key, event = opened.refund.refund_request_id, SendAnswered(done(opened.refund))
        two.refunds._take_up([opened.refund])
        await one.refunds.apply(key, event)
        refund = await two.refunds.apply(key, event)
        never.cancel()
        return refund, await side.row(payment), await told(side)

    refund, payment, events = run(tmp_path, work)
    assert (refund.status, payment.refunded, len(events)) == (RefundStatus.SUCCEEDED, 100, 2)


def test_a_fault_of_ours_in_a_due_step_leaves_no_refund_without_a_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(refund_follow, "LOOK_INTERVAL_S", 0.05)
    real, faults = refund_follow.refund_step, []

    def faulty(refund, event, *args, **more):
        if isinstance(event, refund_follow.TimerDue) and not faults:
            faults.append(refund.refund_request_id)
            raise RuntimeError("a fault of ours")
        return real(refund, event, *args, **more)

    monkeypatch.setattr(refund_follow, "refund_step", faulty)

    async def work(side):
        node, payment = side.node(), await side.paid()
        await node.refunds.recover()
        replies = iter([SendUnanswered("lost")])
        side.network.reply = lambda refund: next(replies, SendAnswered(done(refund)))
        opened = await ask(node, payment, 30)
        await side.until(lambda: faults)
        side.clock.ahead += timedelta(seconds=5)
        return await node.refunds.wait(opened.refund, 8)

    assert run(tmp_path, work).status is RefundStatus.SUCCEEDED


def test_what_never_left_keeps_its_reservation_until_it_fails(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        side.network.takes = lambda refund: False
        side.network.reply = lambda refund: SendNeverLeft("no connection")
        opened = await ask(node, payment, 30)
        key = opened.refund.refund_request_id
        await side.until(lambda: node.refunds._driven[key].refund.version > 1)
        reserved = (await side.row(payment)).reserved
        while driven := node.refunds._driven.get(key):
            # A call that is under way when the time jumps would count as lost.
            await side.until(lambda: driven.refund.calling is None)
            version = driven.refund.version
            side.clock.ahead += timedelta(seconds=40)
            node.refunds._drive(driven)
            await side.until(
                lambda version=version: (
                    driven.refund.version > version + 1 or driven.refund.is_final
                )
            )
        refund = await side.refund(key)
        return reserved, refund, (await side.row(payment)).reserved

    reserved, refund, after = run(tmp_path, work)
    assert (reserved, refund.status, after) == (30, RefundStatus.FAILED, 0)


# What is refused, and reading
# -------------------------------------------------------------------------------------------------


def test_what_the_rules_forbid_is_refused_before_the_network(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        old = await side.paid(2, age=timedelta(days=365))
        words = []
        for asked, value in ((payment, 101), (old, 1)):
            with pytest.raises(CannotRefund) as refused:
                await ask(node, asked, value, key=f"k{value}")
            words.append(str(refused.value))
        return words, side.network.sent, await side.all(payment)

    words, sent, refunds = run(tmp_path, work)
    assert words[0].startswith("Of JPY 100 only JPY 100 is left")
    assert "window closed" in words[1]
    assert (sent, refunds) == ([], [])


def test_a_connector_that_refunds_nothing_refuses_before_anything_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(RefundCalls, "can", lambda self, name: False)

    async def work(side):
        node, payment = side.node(), await side.paid()
        with pytest.raises(CannotRefund, match="refunds nothing"):
            await ask(node, payment, 30)
        return (await side.row(payment)).reserved

    assert run(tmp_path, work) == 0


def test_a_refund_is_read_only_through_its_own_payment(tmp_path):
    async def work(side):
        node, one, two = side.node(), await side.paid(1), await side.paid(2)
        opened = await ask(node, one, 30)
        key = opened.refund.refund_request_id
        found = await node.use.one(one, key)
        with pytest.raises(RefundNotFound):
            await node.use.one(two, key)
        with pytest.raises(RefundNotFound):
            await node.use.one(one, "ref_none")
        return found.refund_request_id == key

    assert run(tmp_path, work)


def test_an_operator_resolves_what_nobody_could_say(tmp_path):
    async def work(side):
        node, payment = side.node(), await side.paid()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        opened = await ask(node, payment, 30)
        key = opened.refund.refund_request_id
        with pytest.raises(CannotResolve, match="nothing is left"):
            await resolve(node, key, 1)
        await side.until(lambda: side.network.sent)
        side.clock.ahead += timedelta(hours=1)
        side.network.look_up = lambda refund: never
        # The bound is over: asked once more, and that question is lost, too.
        for _ in range(2):
            side.clock.ahead += timedelta(hours=1)
            await node.refunds.apply(key, refund_follow.TimerDue())
        stuck = await side.refund(key)
        assert stuck.status is RefundStatus.UNRESOLVED
        assert await waiting(side) == [key]
        with pytest.raises(CannotResolve, match=f"version {stuck.version} now, not 2"):
            await resolve(node, key, 2)
        refund = await resolve(node, key, stuck.version)
        never.cancel()
        assert await waiting(side) == []
        history = await load_refund_history(side.store, RefundRequestId(key))
        return refund, await side.row(payment), json.loads(history[-1].detail), await told(side)

    refund, payment, detail, events = run(tmp_path, work)
    assert (refund.status, payment.reserved) == (RefundStatus.FAILED, 0)
    assert detail == {"status": "FAILED", "by": "alice", "why": "the file"}
    assert [event[1] for event in events[-2:]] == ["refund.unresolved", "refund.failed"]


def test_what_was_sent_again_a_moment_ago_is_not_resolved_as_failed(tmp_path):
    """It may have arrived, and the network's books of before do not show it."""

    async def work(side):
        node, payment = side.node(), await side.paid()
        never = asyncio.get_running_loop().create_future()
        side.network.reply = lambda refund: never
        key = (await ask(node, payment, 30)).refund.refund_request_id
        await side.until(lambda: side.network.sent)
        side.clock.ahead += timedelta(hours=1)
        side.network.look_up = lambda refund: never
        for _ in range(2):
            side.clock.ahead += timedelta(hours=1)
            await node.refunds.apply(key, refund_follow.TimerDue())
        side.clock.ahead += timedelta(hours=1)
        await node.refunds.apply(key, refund_follow.TimerDue())
        await node.refunds.apply(key, LookFoundNothing())
        again = await side.refund(key)
        assert (again.status, again.sends) == (RefundStatus.UNRESOLVED, 2)
        with pytest.raises(CannotResolve, match="sent to the network at"):
            await resolve(node, key, again.version)
        side.clock.ahead += timedelta(seconds=61)
        refund = await resolve(node, key, again.version)
        never.cancel()
        return refund

    assert run(tmp_path, work).status is RefundStatus.FAILED


async def resolve(node, key, version):
    return await node.use.resolve(
        key, RefundStatus.FAILED, seen_version=version, by="alice", why="the file"
    )


async def waiting(side):
    found = await list_refunds(side.store, status=RefundStatus.UNRESOLVED, limit=10)
    return [refund.refund_request_id for refund in found]


# Idempotency
# -------------------------------------------------------------------------------------------------

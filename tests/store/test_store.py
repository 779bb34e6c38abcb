"""The store's promises. The suite that every engine has to pass, on a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.store_side import NOW, history, opening, order, paid, told, with_store
from tillgate.core.access import Caller, Role
from tillgate.core.errors import PaymentIdTaken, StaleVersion, StoreError
from tillgate.core.model import Call, Closing, PayAnswered, PaymentId, Receipt, Report, Status
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import step
from tillgate.core.results import Outcome
from tillgate.core.webhooks import EndpointStatus
from tillgate.gateway.streams import Streams
from tillgate.store import KeyHeld, Opened, OrderHeld, Sql, Unmatched
from tillgate.store.registry import load_directory, load_keys
from tillgate.store.rows import from_microseconds
from tillgate.store.tickets import keep_ticket, take_ticket
from tillgate.store.webhook_endpoints import Endpoint, create_endpoint
from tillgate.store.webhook_log import list_deliveries


def test_what_was_opened_is_read_back_whole_also_by_another_process(open_store):
    given = opening(description="日本語 — “quotes”")
    assert with_store(open_store, lambda store: store.open(given)) == Opened()
    key = given.payment.payment_request_id
    assert with_store(open_store, lambda store: store.load(key)) == given.payment
    assert with_store(open_store, lambda store: store.load_pay_body(key)) == b"sealed"


def test_every_field_survives_a_save(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        full = replace(
            given.payment,
            status=Status.UNRESOLVED,
            version=2,
            is_final=True,
            holds_order=False,
            sends=3,
            sends_never_left=1,
            may_resend=False,
            inquiries=4,
            has_asked_last=True,
            cancels=5,
            refunds=7,
            closing=Closing.BY_REFUND,
            closing_since=NOW + timedelta(microseconds=2),
            was_reopened=True,
            was_cancelled_there=True,
            was_refunded_there=True,
            mismatches=6,
            was_reported_paid=True,
            cancelled_by="till",
            refused_code="INVALID_CODE",
            calling=Call.INQUIRY,
            next_action=Call.CANCEL,
            next_action_at=NOW + timedelta(microseconds=1),
            result_code="U",
            result_message="message",
            receipt=Receipt(
                payment_id=PaymentId("p"),
                paid_at=NOW,
                wallet="w",
                customer_id="c",
                psp_id="s",
                acquirer_id="a",
            ),
            changed_at=NOW + timedelta(days=1),
            reserved=3,
            refunded=2,
            announced=8,
        )
        await store.save(full, history(full, "x"), keep_body=True)
        assert await store.load(full.payment_request_id) == full

    with_store(open_store, work)


def test_the_same_key_a_hundred_times_at_once_opens_one_payment(open_store):
    async def work(store):
        openings = [replace(opening(n), idempotency_key="the-key") for n in range(100)]
        results = await asyncio.gather(*(store.open(each) for each in openings))
        assert results.count(Opened()) == 1
        winner = openings[results.index(Opened())].payment
        held = [result for result in results if result != Opened()]
        assert all(isinstance(result, KeyHeld) for result in held)
        assert {result.request.payment for result in held} == {winner}

    with_store(open_store, work)


def test_the_same_key_of_another_merchant_is_another_key(open_store):
    async def work(store):
        assert await store.open(opening(1, key="k", merchant_id="M1")) == Opened()
        assert await store.open(opening(2, key="k", merchant_id="M2")) == Opened()

    with_store(open_store, work)


def test_an_order_has_one_live_or_paid_payment(open_store):
    async def work(store):
        first = opening(1)
        second = replace(opening(2), payment=replace(opening(2).payment, order=order(1)))
        await store.open(first)
        assert await store.open(second) == OrderHeld(first.payment)
        done = paid(first.payment, "p1")
        await store.save(done, history(done, "pay_answered"), keep_body=False)
        assert await store.open(second) == OrderHeld(done)

    with_store(open_store, work)


def test_a_failed_payment_gives_its_order_free(open_store):
    async def work(store):
        first = opening(1)
        second = replace(opening(2), payment=replace(opening(2).payment, order=order(1)))
        await store.open(first)
        report = Report(outcome=Outcome.FAILURE, code="RISK_REJECT")
        failed = step(first.payment, PayAnswered(report), NOW, ALIPAY_PLUS).payment
        assert failed.status is Status.FAILED
        await store.save(failed, history(failed, "pay_answered"), keep_body=False)
        assert await store.open(second) == Opened(2, first.payment.payment_request_id)

    with_store(open_store, work)


def test_a_stale_version_is_refused_and_changes_nothing(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        done = paid(given.payment, "p1")
        await store.save(done, history(done, "pay_answered"), keep_body=False)
        other = replace(given.payment, version=2, sends=2)
        with pytest.raises(StaleVersion):
            await store.save(other, history(other, "timer_due"), keep_body=True)
        assert await store.load(done.payment_request_id) == done
        assert len(await store.load_history(done.payment_request_id)) == 2

    with_store(open_store, work)


def test_what_is_known_is_given_back_only_while_it_is_so(open_store):
    """A failover that lost a commit may make something else of a version: that is read, too."""

    async def work(store):
        given = opening()
        key = given.payment.payment_request_id
        assert await store.load(key, given.payment) is None
        await store.open(given)
        assert await store.load(key, given.payment) is given.payment
        done = paid(given.payment, "p1")
        await store.save(done, history(done, "pay_answered"), keep_body=False)
        assert await store.load(key, given.payment) == done
        assert await store.load(key, done) is done
        lost = (
            {"status": Status.CANCELLED},
            {"changed_at": done.changed_at + timedelta(microseconds=1)},
            {"reserved": 1},
            {"reserved": 1, "refunded": 1},
        )
        for other in lost:
            assert await store.load(key, replace(done, **other)) == done

    with_store(open_store, work)


def test_of_two_writers_of_one_version_one_wins(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        rivals = [replace(given.payment, version=2, sends=n) for n in range(2, 22)]
        results = await asyncio.gather(
            *(store.save(each, history(each, "x"), keep_body=True) for each in rivals),
            return_exceptions=True,
        )
        assert results.count(None) == 1
        assert sum(isinstance(result, StaleVersion) for result in results) == 19
        saved = await store.load(given.payment.payment_request_id)
        assert saved == rivals[results.index(None)]

    with_store(open_store, work)


def test_a_network_id_belongs_to_one_payment_and_a_clash_spares_its_neighbours(open_store):
    async def work(store):
        openings = [opening(n) for n in range(4)]
        await asyncio.gather(*(store.open(each) for each in openings))
        ids = ["a", "b", "a", "c"]
        done = [paid(o.payment, i) for o, i in zip(openings, ids, strict=True)]
        results = await asyncio.gather(
            *(store.save(each, history(each, "pay_answered"), keep_body=False) for each in done),
            return_exceptions=True,
        )
        assert results[1] is None
        assert results[3] is None
        assert sorted(type(results[i]).__name__ for i in (0, 2)) == ["NoneType", "PaymentIdTaken"]
        assert any(isinstance(result, PaymentIdTaken) for result in results)

    with_store(open_store, work)


def test_the_body_is_erased_when_it_is_not_kept(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        key = given.payment.payment_request_id
        pending = replace(given.payment, version=2)
        await store.save(pending, history(pending, "x"), keep_body=True)
        assert await store.load_pay_body(key) == b"sealed"
        done = paid(pending, "p1")
        await store.save(done, history(done, "x"), keep_body=False)
        assert await store.load_pay_body(key) is None

    with_store(open_store, work)


def test_waiting_payments_come_soonest_first_and_resting_ones_not(open_store):
    async def work(store):
        late, early, done = opening(1), opening(2, placed_at=NOW - timedelta(hours=1)), opening(3)
        for each in (late, early, done):
            await store.open(each)
        finished = paid(done.payment, "p")
        await store.save(finished, history(finished, "x"), keep_body=False)
        waiting = await store.load_waiting(limit=99)
        assert list(waiting) == [early.payment, late.payment]

    with_store(open_store, work)


def test_what_is_told_is_saved_with_the_change_or_not_at_all(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        done = paid(given.payment, "p1")
        event = told(done, 1)
        await store.save(done, history(done, "pay_answered"), keep_body=False, told=event)
        with pytest.raises(StaleVersion):
            await store.save(done, history(done, "x"), keep_body=False, told=told(done, 2))
        [placed] = await store.load_events(done.order.merchant_id, after=0, limit=9)
        assert placed.event == event
        assert await store.last_position() == placed.position
        assert await store.load_events("another", after=0, limit=9) == []

    with_store(open_store, work)


def test_an_event_waits_for_every_endpoint_that_wants_it_from_its_commit_on(open_store):
    async def work(store):
        wanted = {
            "we_1": ("M1", None),
            "we_2": ("M1", ("payment.failed",)),
            "we_3": ("M1", ("payment.failed", "payment.succeeded")),
            "we_4": ("M2", None),
        }
        for name, (merchant_id, types) in wanted.items():
            await create_endpoint(store, endpoint(name, merchant_id, types), 99)
        given = opening()
        await store.open(given)
        done = paid(given.payment, "p1")
        late = replace(done, version=9)
        with pytest.raises(StaleVersion):
            await store.save(late, history(late, "x"), keep_body=False, told=told(done, 1))
        await store.save(done, history(done, "x"), keep_body=False, told=told(done, 1))
        return {
            name: [
                (each.event_id, each.sequence, each.next_attempt_at)
                for each in await list_deliveries(store, name, state=None, before=None, limit=9)
            ]
            for name in wanted
        }

    there = [(f"evt_{opening().payment.payment_request_id}_1", 1, NOW)]
    waiting = with_store(open_store, work)
    assert waiting == {"we_1": there, "we_2": [], "we_3": there, "we_4": []}


def endpoint(name, merchant_id, types):
    return Endpoint(
        endpoint_id=name,
        merchant_id=merchant_id,
        url=f"https://{name}.example",
        description="",
        event_types=types,
        secrets=b"sealed",
        status=EndpointStatus.ACTIVE,
        active_since=NOW,
        created_at=NOW,
        changed_at=NOW,
    )


def test_events_are_read_in_their_order_from_any_place_and_by_store(open_store):
    async def work(store):
        for n in range(5):
            given = opening(n)
            await store.open(given)
            done = paid(given.payment, f"p{n}")
            event = told(done, 1, store_id=f"S{n % 2}")
            await store.save(done, history(done, "x"), keep_body=False, told=event)
        merchant = given.payment.order.merchant_id
        events = await store.load_events(merchant, after=0, limit=9)
        positions = [placed.position for placed in events]
        assert positions == sorted(positions)
        assert len(positions) == 5
        rest = await store.load_events(merchant, after=positions[1], limit=2)
        assert [placed.position for placed in rest] == positions[2:4]
        odd = await store.load_events(merchant, store_id="S1", after=0, limit=9)
        assert [placed.position for placed in odd] == [positions[1], positions[3]]

    with_store(open_store, work)


def test_each_attempt_of_an_order_follows_the_newest_whatever_its_opener_saw(open_store):
    """Two tills that scan at once after a failed attempt saw the same attempt before theirs."""

    async def work(store):
        report = Report(outcome=Outcome.FAILURE, code="RISK_REJECT")
        keys = []
        for number in range(1, 5):
            given = replace(
                opening(number), payment=replace(opening(number).payment, order=order(1))
            )
            payment, key = given.payment, given.payment.payment_request_id
            before = keys[-1] if keys else None
            assert await store.open(given) == Opened(number, before)
            saved = await store.load(key)
            assert (saved.order.attempt, saved.order.previous) == (number, before)
            assert replace(saved, order=payment.order) == payment
            request = await store.load_request(payment.order.merchant_id, given.idempotency_key)
            assert request.payment == saved
            assert request.code_fingerprint == given.code_fingerprint
            failed = step(saved, PayAnswered(report), NOW, ALIPAY_PLUS).payment
            await store.save(failed, history(failed, "pay_answered"), keep_body=False)
            keys.append(key)
        assert await store.load_request("another", opening(1).idempotency_key) is None
        other = replace(opening(9), payment=replace(opening(9).payment, order=order(2)))
        assert await store.open(other) == Opened()

    with_store(open_store, work)


def test_a_transaction_is_all_or_nothing_and_tells_what_it_returned(open_store):
    insert = (
        "INSERT INTO unmatched_notification (received_at, payment_request_id, outcome, code)"
        " VALUES (?, ?, ?, ?) RETURNING id, code"
    )

    async def work(store):
        def keeps():
            [row] = yield Sql(insert, (1, "a", "S", "first"))
            rows = yield Sql("SELECT code FROM unmatched_notification WHERE id = ?", (row["id"],))
            return rows[0]["code"]

        def changes_its_mind():
            yield Sql(insert, (1, "b", "S", "second"))
            raise KeyError("no")

        def is_wrong():
            yield Sql(insert, (1, "c", "S", "third"))
            yield Sql("SELECT nothing FROM nowhere")

        outcomes = await asyncio.gather(
            *(store.transact(each) for each in (keeps, changes_its_mind, is_wrong)),
            return_exceptions=True,
        )
        assert outcomes[0] == "first"
        assert isinstance(outcomes[1], KeyError)
        assert isinstance(outcomes[2], StoreError)
        [row] = await store.read(Sql("SELECT count(*) AS n FROM unmatched_notification"))
        assert row["n"] == 1

    with_store(open_store, work)


def test_the_history_is_read_in_order(open_store):
    async def work(store):
        given = opening()
        await store.open(given)
        done = paid(given.payment, "p")
        await store.save(done, history(done, "pay_answered"), keep_body=False)
        rows = await store.load_history(done.payment_request_id)
        assert [(row.version, row.kind, row.status) for row in rows] == [
            (1, "accepted", "PENDING"),
            (2, "pay_answered", "SUCCEEDED"),
        ]

    with_store(open_store, work)


def test_a_notification_without_payment_is_kept(open_store):
    kept = Unmatched(
        received_at=NOW,
        payment_request_id="nobody",
        payment_id=None,
        outcome="S",
        code="SUCCESS",
        amount="JPY 100",
    )

    async def work(store):
        await store.keep_unmatched(kept)
        return await store.read(Sql("SELECT payment_request_id FROM unmatched_notification"))

    [row] = with_store(open_store, work)
    assert row["payment_request_id"] == "nobody"


def test_only_what_is_due_by_then_is_read(open_store):
    async def work(store):
        first = opening(1)
        await store.open(first)
        due = first.payment.next_action_at
        return (
            list(await store.load_waiting(due - timedelta(microseconds=1), limit=9)),
            list(await store.load_waiting(due, limit=9)),
        )

    before, then = with_store(open_store, work)
    assert before == []
    assert [payment.payment_request_id for payment in then] == ["pay_00001"]


def test_after_closing_nothing_is_taken(open_store):
    async def run():
        store = open_store()
        saving = asyncio.gather(*(store.open(opening(n)) for n in range(50)))
        await asyncio.sleep(0)
        await store.close()
        assert await saving == [Opened()] * 50
        with pytest.raises(StoreError):
            await store.open(opening(99))

    asyncio.run(run())


def test_waiting_payments_come_in_batches_that_meet_without_gap_or_repeat(open_store):
    """Many rows share one moment: the id decides between them."""

    async def work(store):
        for number in range(1, 8):
            placed_at = NOW + timedelta(seconds=number // 4)
            await store.open(opening(number, placed_at=placed_at))
        seen, last = [], None
        while batch := await store.load_waiting(after=last, limit=2):
            seen += [payment.payment_request_id for payment in batch]
            last = batch[-1]
        assert seen == [f"pay_{number:05}" for number in range(1, 8)]

    with_store(open_store, work)


def test_look_ups_at_once_are_not_mixed_up(open_store):
    async def work(store):
        given = [opening(n) for n in range(40)]
        await asyncio.gather(*(store.open(each) for each in given))
        keys = [each.payment.payment_request_id for each in given]
        looks = [store.load(key) for key in (*keys, "pay_none", *reversed(keys))]
        payments = [each.payment for each in given]
        assert await asyncio.gather(*looks) == [*payments, None, *reversed(payments)]

    with_store(open_store, work)


def test_a_look_up_that_nobody_waits_for_any_more_harms_no_other(open_store):
    async def work(store):
        await store.open(opening())
        key = opening().payment.payment_request_id
        looks = [asyncio.ensure_future(store.load(key)) for _ in range(3)]
        await asyncio.sleep(0)
        looks[1].cancel()
        assert await looks[0] == await looks[2] == opening().payment
        assert await store.load(key) == opening().payment

    with_store(open_store, work)


def test_a_name_that_no_row_can_have_is_not_found(open_store):
    async def work(store):
        await store.open(opening())
        assert await store.load("pay_\0") is None
        assert await store.load("pay_\ud800") is None
        assert await store.load_request("M1", "key\0") is None
        assert await store.read(Sql("SELECT 1 FROM payment WHERE store_id = ?", ("\0",))) in (
            [],
            (),
        )

    with_store(open_store, work)


def test_old_tickets_are_forgotten_and_a_strange_one_writes_nothing(open_store):
    async def work(store):
        for second in (1, 2, 900):
            until = NOW + timedelta(seconds=second)
            await keep_ticket(store, f"until-{second}", "tg_test_1", NOW, until)
        later = NOW + timedelta(seconds=500)
        await keep_ticket(store, "new", "tg_test_1", later, later + timedelta(seconds=30))
        rows = await store.read(Sql("SELECT ticket_hash FROM event_ticket ORDER BY ticket_hash"))
        assert [row["ticket_hash"] for row in rows] == ["new", "until-900"]
        assert await take_ticket(store, "until-1", later) is None
        assert await take_ticket(store, "until-900", later) == "tg_test_1"
        assert await take_ticket(store, "until-900", later) is None
        assert await take_ticket(store, "new", later + timedelta(seconds=31)) is None

    with_store(open_store, work)


def test_a_key_that_nothing_can_read_keeps_no_other_from_being_read(open_store):
    """Such as one of a later release that is being rolled out: else no revocation would count."""

    async def work(store):
        def insert():
            for key_id, roles, until in (("a", "operator,king", 2**62), ("b", "operator", None)):
                yield Sql(
                    "INSERT INTO api_key (key_id, key_hash, operator_id, roles, label, created_at,"
                    " expires_at) VALUES (?, ?, 'x', ?, '', 0, ?)",
                    (key_id, key_id, roles, until),
                )

        await store.transact(insert)
        _, directory = await load_directory(store)
        assert {key.caller.key_id: key.caller.roles for key in directory.keys} == {
            "a": {Role.OPERATOR},
            "b": {Role.OPERATOR},
        }
        assert len(await load_keys(store, None, "", 9)) == 2

    with_store(open_store, work)


def test_a_quiet_listener_is_spoken_to_while_others_are_busy(open_store):
    """A pause passes also for who is woken again and again by nothing of his."""

    async def work(store):
        caller = Caller(key_id="k", roles=frozenset(), merchant_id="quiet")
        streams = Streams(store)
        heard = streams.listen(streams.enter(caller), 0, pause_s=0.2)
        first = asyncio.ensure_future(anext(heard))
        async with asyncio.timeout(10):
            while not first.done():
                streams._wake(None)
                await store.last_position()
                await asyncio.sleep(0)
        assert first.result() == []
        await heard.aclose()
        streams.stop()

    with_store(open_store, work)


@pytest.mark.parametrize("value", [2**62, -(2**62)])
def test_a_moment_that_nothing_can_hold_is_the_nearest_one(value):
    assert from_microseconds(value).year == (9999 if value > 0 else 1)

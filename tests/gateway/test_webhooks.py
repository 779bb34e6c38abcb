"""Webhooks arrive: every event, in the order of its payment, and nobody waits for another."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.webhook_world import DAY, HOUR, MINUTE, SECOND, Sent, World
from tillgate.core.webhooks import DeliveryState, EndpointStatus, Failure, PausedReason
from tillgate.gateway.webhooks import PLACES_OF_ENDPOINT, PLACES_OF_FAILING
from tillgate.store.webhook_endpoints import load_endpoint
from tillgate.store.webhook_log import list_deliveries, load_attempts, load_delivery
from tillgate.webhook_transport import Answered, NotAnswered


def ok(sent: Sent) -> int:
    return 200


def down(sent: Sent) -> int:
    raise NotAnswered(Failure.NOT_CONNECTED)


async def never(sent: Sent) -> int:
    await asyncio.Event().wait()
    raise AssertionError


def test_an_event_leaves_at_once_and_is_delivered_once():
    world = World()

    async def work():
        world.process()
        made = await world.endpoint("shop.example", ok)
        event_id = await world.tell(1)
        committed = world.loop.time()
        await asyncio.sleep(HOUR)
        return made.endpoint, event_id, committed

    endpoint, event_id, committed = world.run(work())
    [sent] = world.sent
    assert (sent.event_id, sent.sequence, sent.type) == (event_id, 1, "payment.succeeded")
    assert sent.at - committed < 0.05

    delivery = asyncio.run(load_delivery(world.store, endpoint.endpoint_id, event_id))
    [attempt] = asyncio.run(load_attempts(world.store, endpoint.endpoint_id, event_id))
    assert delivery.state is DeliveryState.DELIVERED
    assert (delivery.attempts, delivery.last_status, delivery.next_attempt_at) == (1, 200, None)
    assert (attempt.attempt, attempt.status, attempt.error) == (1, 200, None)


def test_what_another_process_committed_is_found_within_the_second():
    world = World()

    async def work():
        world.process()
        await world.endpoint("shop.example", ok)
        for number in range(20):
            await asyncio.sleep(0.37)
            await world.tell(number, is_nudged=False)
            committed = world.loop.time()
            await asyncio.sleep(1)
            assert world.sent[-1].at - committed < 0.5

    world.run(work())
    assert len(world.sent) == 20


def test_an_endpoint_gets_what_it_asked_for_and_nobody_anothers():
    world = World()

    async def work():
        world.process()
        await world.endpoint("all.example", ok)
        await world.endpoint("refunds.example", ok, types=("refund.succeeded", "refund.failed"))
        await world.endpoint("other.example", ok, merchant="M2")
        await world.tell(1)
        await world.tell(1, 2, "refund.succeeded")
        await world.tell(2, merchant="M2")
        await world.tell(3, merchant="M3")
        await asyncio.sleep(MINUTE)

    world.run(work())
    assert {(sent.host, sent.event_id) for sent in world.sent} == {
        ("all.example", "evt_00001_1"),
        ("all.example", "evt_00001_2"),
        ("refunds.example", "evt_00001_2"),
        ("other.example", "evt_00002_1"),
    }


def test_a_receiver_that_is_down_for_two_days_gets_everything_in_order_soon_after():
    """Payments go on meanwhile, each with a refund a little later; another merchant notices
    nothing.
    """
    world = World(look_interval_s=20)
    back_at = 2 * DAY

    def comes_back(sent: Sent) -> int:
        return ok(sent) if world.loop.time() >= back_at else down(sent)

    async def work():
        world.process()
        made = await world.endpoint("shop.example", comes_back)
        await world.endpoint("other.example", ok, merchant="M2")
        told = []
        for number in range(150):
            told.append(await world.tell(number))
            await world.tell(number, merchant="M2", sequence=9)
            await asyncio.sleep(10 * MINUTE)
            told.append(await world.tell(number, 2, "refund.succeeded"))
            await asyncio.sleep(10 * MINUTE)
        at_the_end = world.loop.time()
        await asyncio.sleep(HOUR)
        endpoint = await load_endpoint(world.store, made.endpoint.endpoint_id)
        assert endpoint.status is EndpointStatus.ACTIVE
        return told, at_the_end

    told, at_the_end = world.run(work())
    assert at_the_end > back_at
    taken = world.taken("shop.example")
    assert sorted(sent.event_id for sent in taken) == sorted(told)
    world.assert_in_order("shop.example")
    # The next event after its return tells that it is back; all that waited follows at once.
    assert max(sent.at for sent in taken[:285]) - back_at < 11 * MINUTE
    assert len(world.taken("other.example")) == 150
    assert world.open_max["shop.example"] <= PLACES_OF_ENDPOINT


def test_other_merchants_wait_for_nobody():
    """Receivers that never answer, refuse, redirect, break off or hang: a good one is told within
    a quarter of a second all the while.
    """
    world = World()

    async def breaks(sent: Sent) -> int:
        await asyncio.sleep(5)
        raise NotAnswered(Failure.BROKE_OFF)

    async def slow(sent: Sent) -> int:
        await asyncio.sleep(9)
        return 200

    bad = [never, breaks, slow, down, lambda _: 500, lambda _: 302, lambda _: 404]

    async def work():
        world.process()
        for index in range(200):
            receive = bad[index % len(bad)]
            await world.endpoint(f"bad{index}.example", receive, merchant=f"B{index}")
        await world.endpoint("good.example", ok, merchant="M1")
        lags = []
        number = 0
        for _ in range(20):
            for index in range(200):
                number += 1
                await world.tell(number, merchant=f"B{index}", is_nudged=index == 0)
            number += 1
            await world.tell(number)
            committed = world.loop.time()
            await asyncio.sleep(1)
            [sent] = [each for each in world.sent if each.event_id == f"evt_{number:05}_1"]
            lags.append(sent.at - committed)
        return lags

    lags = world.run(work())
    assert max(lags) < 0.25, lags
    for host, most in world.open_max.items():
        assert most <= PLACES_OF_ENDPOINT, host


def test_a_failing_endpoint_has_two_places_and_a_good_one_more():
    world = World()

    async def work():
        world.process()
        await world.endpoint("bad.example", never)
        await world.endpoint("good.example", slowly)
        for number in range(100):
            await world.tell(number)
        await asyncio.sleep(15 * SECOND)
        bad_at_first, world.open_max["bad.example"] = world.open_max["bad.example"], 0
        await asyncio.sleep(MINUTE)
        return bad_at_first

    async def slowly(sent: Sent) -> int:
        await asyncio.sleep(0.5)
        return 200

    at_first = world.run(work())
    assert at_first <= PLACES_OF_ENDPOINT
    assert world.open_max["bad.example"] == PLACES_OF_FAILING
    assert world.open_max["good.example"] == PLACES_OF_ENDPOINT
    assert len(world.taken("good.example")) == 100


def test_an_event_that_is_never_taken_blocks_only_its_own_payment_and_only_for_three_days():
    world = World(look_interval_s=60)

    def refuses_one(sent: Sent) -> int:
        return 422 if sent.event_id == "evt_00001_1" else 200

    async def work():
        world.process()
        made = await world.endpoint("shop.example", refuses_one)
        await world.tell(1)
        await world.tell(1, 2, "refund.succeeded")
        for number in range(2, 100):
            await asyncio.sleep(HOUR)
            await world.tell(number)
            await asyncio.sleep(MINUTE)
            assert f"pay_{number:05}" in [sent.payment for sent in world.taken("shop.example")]
        endpoint_id = made.endpoint.endpoint_id
        return (
            await load_endpoint(world.store, endpoint_id),
            await load_delivery(world.store, endpoint_id, "evt_00001_1"),
            await load_delivery(world.store, endpoint_id, "evt_00001_2"),
        )

    endpoint, refused, later = world.run(work())
    assert endpoint.status is EndpointStatus.ACTIVE
    assert refused.state is DeliveryState.GIVEN_UP
    assert later.state is DeliveryState.DELIVERED
    tries = [sent.at for sent in world.sent if sent.event_id == "evt_00001_1"]
    assert 3 * DAY <= tries[-1] - tries[0] <= 3.5 * DAY
    [after] = [sent.at for sent in world.sent if sent.event_id == "evt_00001_2"]
    assert 0 <= after - tries[-1] < 2


def test_the_schedule_of_a_receiver_that_is_alone_with_one_event():
    """As the specification's example, with one minute more; then the endpoint is paused, and
    nothing was given up.
    """
    world = World(look_interval_s=60)

    async def work():
        world.process()
        made = await world.endpoint("shop.example", down)
        await world.tell(1)
        await asyncio.sleep(30 * DAY)
        endpoint_id = made.endpoint.endpoint_id
        paused = await load_endpoint(world.store, endpoint_id)
        kept = await load_delivery(world.store, endpoint_id, "evt_00001_1")
        missed = await world.tell(2)
        world.receivers["shop.example"] = ok
        await asyncio.sleep(DAY)
        seen = len(world.sent)
        await world.office.resume(paused)
        await asyncio.sleep(MINUTE)
        return paused, kept, seen, missed, await load_endpoint(world.store, endpoint_id)

    paused, kept, seen, missed, resumed = world.run(work())
    delays = [5, *(minutes * MINUTE for minutes in (1, 5, 30, 120, 300, 600, 840, 1200, 1440))]
    at = [sent.at for sent in world.sent[:seen]]
    steps = [round(b - a) for a, b in pairwise(at)]
    assert steps == delays
    assert (paused.status, paused.paused_reason) == (EndpointStatus.PAUSED, PausedReason.FAILING)
    assert kept.state is DeliveryState.PENDING
    assert [sent.event_id for sent in world.sent[seen:]] == ["evt_00001_1", missed]
    assert (resumed.status, resumed.failing_since) == (EndpointStatus.ACTIVE, None)


def test_after_a_resume_each_event_has_its_three_days_again():
    world = World(look_interval_s=60)

    async def work():
        world.process()
        made = await world.endpoint("shop.example", down)
        await world.tell(1)
        await asyncio.sleep(5 * DAY)
        seen = len(world.sent)
        await world.office.resume(made.endpoint)
        await asyncio.sleep(5 * DAY)
        return seen

    seen = world.run(work())
    again = [sent.at for sent in world.sent[seen:]]
    assert len(again) == seen
    assert again[-1] - again[0] > 3 * DAY


def test_a_pause_keeps_what_happens_and_a_resume_sends_it_in_order():
    world = World()

    async def work():
        world.process()
        made = await world.endpoint("shop.example", ok)
        await world.office.pause(made.endpoint)
        for number in range(700):
            await world.tell(number)
        await world.tell(5, 2, "refund.succeeded")
        await asyncio.sleep(HOUR)
        assert world.sent == []
        await world.office.resume(made.endpoint)
        await asyncio.sleep(MINUTE)

    world.run(work())
    assert len(world.sent) == 701
    world.assert_in_order("shop.example")
    order = [sent.payment for sent in world.sent[:700]]
    # Several at a time, so nearly in the order in which it happened.
    assert all(abs(int(name[4:]) - index) < 50 for index, name in enumerate(order))


def test_410_disables_an_endpoint_and_nothing_is_kept_for_it():
    world = World()

    async def work():
        world.process()
        made = await world.endpoint("shop.example", lambda _: 410)
        for number in range(40):
            await world.tell(number, is_nudged=False)
        await asyncio.sleep(MINUTE)
        await world.tell(100)
        await asyncio.sleep(HOUR)
        endpoint_id = made.endpoint.endpoint_id
        found = await list_deliveries(world.store, endpoint_id, state=None, before=None, limit=99)
        return await load_endpoint(world.store, endpoint_id), found

    endpoint, found = world.run(work())
    assert (endpoint.status, endpoint.paused_reason) == (
        EndpointStatus.DISABLED,
        PausedReason.GONE,
    )
    assert len(world.sent) <= PLACES_OF_ENDPOINT
    assert len(found) == 40
    assert {each.state for each in found} == {DeliveryState.GIVEN_UP}


def test_retry_after_holds_back_all_that_waits_for_the_endpoint():
    world = World()

    def busy(sent: Sent) -> Answered | int:
        return Answered(429, "600") if world.loop.time() < 100 else 200

    async def work():
        world.process()
        await world.endpoint("shop.example", busy)
        await world.endpoint("other.example", ok)
        await world.tell(1)
        await asyncio.sleep(SECOND)
        for number in range(2, 30):
            await world.tell(number)
        await asyncio.sleep(590 * SECOND)
        early = [sent for sent in world.sent if sent.host == "shop.example"]
        await asyncio.sleep(15 * SECOND)
        return early

    early = world.run(work())
    assert [sent.event_id for sent in early] == ["evt_00001_1"]
    assert len(world.taken("shop.example")) == 29
    assert max(sent.at for sent in world.taken("other.example")) < 2


def test_an_answer_after_the_time_out_is_asked_for_again_and_known_by_its_id():
    """The receiver took it; we cannot know. It hears the same id again, never a later event of the
    payment first.
    """
    world = World()
    processed: list[str] = []

    async def late(sent: Sent) -> int:
        processed.append(sent.event_id)
        if processed.count(sent.event_id) == 1:
            await asyncio.sleep(12)
        return 200

    async def work():
        world.process()
        await world.endpoint("shop.example", late)
        await world.tell(1)
        await world.tell(1, 2, "refund.succeeded")
        await asyncio.sleep(HOUR)

    world.run(work())
    assert processed == ["evt_00001_1", "evt_00001_1", "evt_00001_2", "evt_00001_2"]


def test_what_a_dead_process_was_sending_is_sent_by_another():
    world = World()

    async def work():
        first = world.process()
        await world.endpoint("shop.example", never)
        await world.tell(1)
        await world.tell(1, 2, "refund.succeeded")
        await asyncio.sleep(SECOND)
        assert len(world.sent) == 1
        world.loop.kill(first)
        world.receivers["shop.example"] = ok
        world.process()
        await asyncio.sleep(40 * SECOND)

    world.run(work())
    assert [sent.event_id for sent in world.sent] == ["evt_00001_1", "evt_00001_1", "evt_00001_2"]
    assert world.sent[1].at < 32


def test_several_processes_share_the_work_and_send_nothing_twice():
    world = World()

    async def a_moment(sent: Sent) -> int:
        await asyncio.sleep(0.02)
        return 200

    async def work():
        for _ in range(3):
            world.process()
        await world.endpoint("shop.example", a_moment)
        await world.endpoint("other.example", a_moment)
        for number in range(200):
            await world.tell(number)
            await world.tell(number, 2, "refund.succeeded")
        await asyncio.sleep(MINUTE)

    world.run(work())
    assert len(world.sent) == 800
    for host in ("shop.example", "other.example"):
        assert len(world.taken(host)) == 400
        world.assert_in_order(host)


def test_an_outcome_that_could_not_be_saved_is_sent_again():
    world = World()

    def goes_down(sent: Sent) -> int:
        world.is_store_down = world.loop.time() < 60
        return 200

    async def work():
        world.process()
        await world.endpoint("shop.example", goes_down)
        await world.tell(1)
        await asyncio.sleep(70 * SECOND)
        world.is_store_down = False
        await asyncio.sleep(70 * SECOND)

    world.run(work())
    assert [sent.event_id for sent in world.sent] == ["evt_00001_1"] * 2


def test_secrets_that_cannot_be_read_send_nothing_and_are_shown():
    world = World()

    async def work():
        world.process()
        made = await world.endpoint("shop.example", ok)
        world.connection.execute("UPDATE webhook_endpoint SET secrets = x'00'")
        event_id = await world.tell(1)
        await asyncio.sleep(MINUTE)
        return await load_delivery(world.store, made.endpoint.endpoint_id, event_id)

    delivery = world.run(work())
    assert world.sent == []
    assert (delivery.state, delivery.last_error) == (DeliveryState.PENDING, Failure.NOT_SIGNED)


def test_a_retry_after_that_is_no_date_is_a_failure_as_any_other():
    """It once made an event immortal: sent every 30 s, never counted, and all behind it stuck."""
    world = World()
    far = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"

    async def work():
        made = await world.endpoint("shop.example", lambda sent: Answered(503, far))
        await world.tell(1)
        world.process()
        await asyncio.sleep(4 * DAY)
        return await load_endpoint(world.store, made.endpoint.endpoint_id)

    endpoint = world.run(work())
    assert (endpoint.status, endpoint.paused_reason) == (
        EndpointStatus.PAUSED,
        PausedReason.FAILING,
    )
    assert len(world.sent) < 20


def test_a_fault_of_ours_is_counted_and_shown_and_ends_nothing(caplog):
    world = World()

    def breaks(sent: Sent) -> int:
        raise ZeroDivisionError

    async def work():
        made = await world.endpoint("bad.example", breaks)
        await world.endpoint("shop.example", ok)
        event_id = await world.tell(1)
        world.process()
        await asyncio.sleep(HOUR)
        return await load_delivery(world.store, made.endpoint.endpoint_id, event_id)

    delivery = world.run(work())
    assert (delivery.state, delivery.last_error) == (DeliveryState.PENDING, Failure.FAULT)
    assert delivery.failures == delivery.attempts == 5  # at once, 5 s, 1, 5 and 30 min
    assert [sent.host for sent in world.sent if sent.is_taken] == ["shop.example"]
    assert "alert: " in caplog.text


def test_an_endpoint_that_has_just_recovered_is_not_paused_by_an_older_attempt():
    world = World()
    is_back = False

    async def receive(sent: Sent) -> int:
        if not is_back:
            return 500
        if sent.payment == "pay_00001":
            return 200
        await asyncio.sleep(2)
        return 200 if world.loop.time() > 2.95 * DAY + HOUR else 503

    async def work():
        nonlocal is_back
        made = await world.endpoint("shop.example", receive)
        await world.tell(1)
        await world.tell(2)
        world.process()
        await asyncio.sleep(2.9 * DAY)
        is_back = True
        await asyncio.sleep(3 * DAY)
        return await load_endpoint(world.store, made.endpoint.endpoint_id)

    endpoint = world.run(work())
    assert (endpoint.status, endpoint.failing_since) == (EndpointStatus.ACTIVE, None)
    assert {sent.payment for sent in world.taken("shop.example")} == {"pay_00001", "pay_00002"}


def test_what_is_replayed_is_sent_now_behind_the_earlier_ones_of_its_payment():
    world = World()

    async def work():
        made = await world.endpoint("shop.example", lambda sent: 500)
        await world.tell(1, 1)
        await world.tell(1, 2)
        world.process()
        await asyncio.sleep(2 * HOUR)
        count = len(world.sent)
        world.receivers["shop.example"] = ok
        await world.office.replay_one(made.endpoint, "evt_00001_2")
        await asyncio.sleep(MINUTE)
        return [(sent.sequence, sent.is_taken) for sent in world.sent[count:]]

    assert world.run(work()) == [(1, True), (2, True)]


def test_what_can_not_be_sent_yet_takes_nobodys_place():
    """As when a later event of a payment is due before the one that it waits for."""
    world = World()

    async def work():
        for number in range(60):
            await world.endpoint(f"bad{number}", down, merchant=f"M{number // 16}")
        for number in range(4):
            await world.tell(100 + number, 1, merchant=f"M{number}")
            await world.tell(100 + number, 2, merchant=f"M{number}")
        world.process()
        await asyncio.sleep(2 * HOUR)
        world.connection.execute(
            "UPDATE webhook_delivery SET next_attempt_at = 0 WHERE sequence = 2"
        )
        await world.endpoint("shop.example", ok, merchant="GOOD")
        told = world.loop.time()
        await world.tell(900, merchant="GOOD")
        await asyncio.sleep(MINUTE)
        return [sent.at - told for sent in world.sent if sent.host == "shop.example"]

    [late] = world.run(work())
    assert late < 1


def test_what_comes_while_the_one_before_is_sent_is_sent_right_after_it():
    world = World()

    async def slow(sent: Sent) -> int:
        await asyncio.sleep(2 if sent.sequence == 1 else 0)
        return 200

    async def work():
        await world.endpoint("shop.example", slow)
        world.process()
        await world.tell(1, 1)
        await asyncio.sleep(1)
        await world.tell(1, 2)
        await asyncio.sleep(MINUTE)

    world.run(work())
    first, second = world.sent
    assert second.at - first.at < 2.5


# --- Whatever receivers do

Behaviour = st.sampled_from(
    ["ok", "ok", "500", "down", "slow", "late", "breaks", "redirect", "429"]
)


@settings(max_examples=150)
@given(
    st.lists(Behaviour, max_size=30),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 30)), min_size=1, max_size=40),
    st.integers(1, 3),
)
def test_every_event_arrives_and_none_of_one_payment_in_the_wrong_order(
    behaviours, events, processes
):
    """Behaviours of one receiver, one after the other, then it is well; events of a few payments
    with pauses between them. What is paused after 3 days of failures is resumed.
    """
    world = World(look_interval_s=60)
    plays = list(behaviours)

    async def plays_on(sent: Sent) -> int | Answered:
        play = plays.pop(0) if plays else "ok"
        if play in ("slow", "late"):
            await asyncio.sleep(3 if play == "slow" else 11)
        if play in ("down", "breaks"):
            raise NotAnswered(Failure.NOT_CONNECTED if play == "down" else Failure.BROKE_OFF)
        return {"500": 500, "redirect": 302, "429": Answered(429, "60")}.get(play, 200)

    async def work():
        for _ in range(processes):
            world.process()
        made = await world.endpoint("shop.example", plays_on)
        await world.endpoint("other.example", ok, merchant="M2")
        sequences = dict.fromkeys(range(6), 0)
        told = []
        for index, (number, pause) in enumerate(events):
            sequences[number] += 1
            told.append(await world.tell(number, sequences[number]))
            await world.tell(1000 + index, merchant="M2")
            committed = world.loop.time()
            await asyncio.sleep(1)
            assert world.taken("other.example")[-1].at - committed < 0.5
            await asyncio.sleep(pause)
        while len(world.taken("shop.example")) < len(told) and world.loop.time() < 30 * DAY:
            await asyncio.sleep(HOUR)
            endpoint = await world.office.find(made.endpoint.endpoint_id)
            if endpoint.status is EndpointStatus.PAUSED:
                await world.office.resume(endpoint)
        return told

    told = world.run(work())
    assert sorted(sent.event_id for sent in world.taken("shop.example")) == sorted(told)
    world.assert_in_order("shop.example")

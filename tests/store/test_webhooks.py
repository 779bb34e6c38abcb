"""Endpoints and deliveries, on either engine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.store.store_side import NOW, open_store, with_store  # noqa: F401 -- a fixture
from tillgate.core.model import PaymentRequestId
from tillgate.core.webhooks import (
    LEASE,
    DeliveryState,
    EndpointStatus,
    PausedReason,
    Verdict,
)
from tillgate.store import MerchantEvent, Sql
from tillgate.store.rows import merchant_event_values
from tillgate.store.sqlite import INSERT_MERCHANT_EVENT
from tillgate.store.webhook_endpoints import (
    Endpoint,
    TooMany,
    UrlTaken,
    activate_endpoint,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    list_endpoints,
    load_endpoint,
    pause_endpoint,
    replace_secrets,
)
from tillgate.store.webhook_log import (
    events_between,
    insert_delivery,
    list_deliveries,
    load_attempts,
    load_delivery,
    replay,
)
from tillgate.store.webhooks import (
    INSERT_DELIVERIES,
    Attempt,
    Waiting,
    claim,
    delivery_values,
    give_up_all,
    hurry,
    settle,
    waiting_endpoints,
)

SECOND = timedelta(seconds=1)
TAKEN = Verdict(state=DeliveryState.DELIVERED)


def endpoint(number: int = 1, **changes) -> Endpoint:
    fields = {
        "endpoint_id": f"we_{number}",
        "merchant_id": "M1",
        "url": f"https://shop{number}.example/",
        "description": None,
        "event_types": None,
        "secrets": b"sealed",
        "active_since": NOW,
        "created_at": NOW,
        "changed_at": NOW,
    }
    return Endpoint(**(fields | changes))


def event(number: int, sequence: int = 1, at=NOW) -> MerchantEvent:
    return MerchantEvent(
        event_id=f"evt_{number}_{sequence}",
        merchant_id="M1",
        store_id="S1",
        terminal_id="T1",
        payment_request_id=PaymentRequestId(f"pay_{number}"),
        refund_request_id=None,
        sequence=sequence,
        type="payment.succeeded",
        at=at,
        body=b"{}",
    )


async def tell(store, *events: MerchantEvent) -> None:
    def work():
        for each in events:
            yield Sql(INSERT_MERCHANT_EVENT, merchant_event_values(each))
            yield Sql(INSERT_DELIVERIES, delivery_values(each))

    await store.transact(work)


async def take(store, now=NOW, count: int = 10, name: str = "we_1"):
    return await claim(store, {name: count}, now, LEASE)


async def end(store, claimed, verdict: Verdict, now=NOW) -> None:
    done = Attempt(attempt=claimed.delivery.attempts, at=now, duration_ms=5, status=200, error=None)
    await settle(store, claimed.delivery, done, verdict, now)


def failed(at) -> Verdict:
    return Verdict(state=DeliveryState.PENDING, next_attempt_at=at, failing_since=NOW)


def names(claimed) -> list[str]:
    return sorted(each.delivery.event_id for each in claimed)


def test_endpoints_are_kept_changed_and_listed(open_store):  # noqa: F811
    async def work(store):
        assert await create_endpoint(store, endpoint(), 2) == endpoint()
        assert await create_endpoint(store, endpoint(9, url=endpoint().url), 2) == UrlTaken("we_1")
        two = endpoint(2, description="d", event_types=("payment.failed", "refund.failed"))
        assert await create_endpoint(store, two, 2) == two
        assert await create_endpoint(store, endpoint(3), 2) == TooMany()
        assert await create_endpoint(store, endpoint(4, merchant_id="M2"), 2)
        assert await load_endpoint(store, "we_2") == two
        assert [e.endpoint_id for e in await list_endpoints(store, "M1", limit=9)] == [
            "we_1",
            "we_2",
        ]
        assert len(await list_endpoints(store, None, after="we_1", limit=9)) == 2
        told = {"description": "x", "event_types": ("refund.failed",)}
        taken = await change_endpoint(store, "we_1", NOW, {"url": two.url})
        assert taken == UrlTaken("we_2")
        changed = await change_endpoint(store, "we_2", NOW + SECOND, {"url": two.url, **told})
        assert (changed.description, changed.event_types) == ("x", ("refund.failed",))
        # Two who change different things at once lose neither.
        await asyncio.gather(
            change_endpoint(store, "we_2", NOW + SECOND, {"description": "y"}),
            change_endpoint(store, "we_2", NOW + SECOND, {"event_types": None}),
        )
        both = await load_endpoint(store, "we_2")
        assert (both.description, both.event_types, both.url) == ("y", None, two.url)
        assert await change_endpoint(store, "we_none", NOW, {"description": "y"}) is None
        assert changed.changed_at == NOW + SECOND
        assert await replace_secrets(store, "we_1", b"other", b"new", NOW) is None
        assert (await replace_secrets(store, "we_1", b"sealed", b"new", NOW)).secrets == b"new"
        paused = await pause_endpoint(store, "we_1", NOW)
        assert (paused.status, paused.paused_reason) == (
            EndpointStatus.PAUSED,
            PausedReason.MERCHANT,
        )
        active = await activate_endpoint(store, "we_1", NOW + SECOND)
        assert (active.status, active.paused_reason) == (EndpointStatus.ACTIVE, None)
        assert active.active_since == NOW + SECOND

    with_store(open_store, work)


def test_of_one_payment_only_the_next_is_leased_and_a_lease_ends(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, event(1), event(1, 2), event(2))
        first = await take(store)
        assert names(first) == ["evt_1_1", "evt_2_1"]
        assert first[0].event.body == b"{}"
        assert await take(store, NOW + SECOND) == []
        again = await take(store, NOW + LEASE)
        assert names(again) == ["evt_1_1", "evt_2_1"]
        assert {each.delivery.attempts for each in again} == {2}
        [one] = [each for each in first if each.delivery.event_id == "evt_1_1"]
        # A failure under a lease that is over says nothing; a success does.
        await end(store, one, failed(NOW))
        assert await take(store, NOW + LEASE + SECOND) == []
        await end(store, one, TAKEN, NOW + LEASE)
        assert names(await take(store, NOW + LEASE + SECOND)) == ["evt_1_2"]
        found = await load_delivery(store, "we_1", "evt_1_1")
        assert (found.state, found.delivered_at) == (DeliveryState.DELIVERED, NOW + LEASE)

    with_store(open_store, work)


def test_what_fails_holds_back_its_payment_and_is_logged(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, event(1), event(1, 2))
        [one] = await take(store)
        await end(store, one, failed(NOW + 60 * SECOND), NOW + SECOND)
        [waiting] = await waiting_endpoints(store)
        assert (waiting.is_failing, waiting.due_at) == (True, NOW + 60 * SECOND)
        later = event(1, 3, NOW + 2 * SECOND)
        await tell(store, later)
        assert await take(store, NOW + 59 * SECOND) == []
        [again] = await take(store, NOW + 60 * SECOND)
        assert (again.delivery.failures, again.delivery.tried_since) == (1, NOW)
        await end(store, again, TAKEN, NOW + 61 * SECOND)
        assert names(await take(store, NOW + 61 * SECOND)) == ["evt_1_2"]
        assert [each.attempt for each in await load_attempts(store, "we_1", "evt_1_1")] == [1, 2]
        assert (await load_endpoint(store, "we_1")).failing_since is None

    with_store(open_store, work)


def test_a_pause_a_ban_and_a_wait_hold_back_all(open_store):  # noqa: F811
    async def work(store):
        for number in (1, 2, 3):
            await create_endpoint(store, endpoint(number), 9)
        await tell(store, event(1), event(2))
        for number, verdict in (
            (1, failed(NOW)),
            (2, Verdict(state=DeliveryState.GIVEN_UP, failing_since=NOW)),
            (3, failed(NOW)),
        ):
            [early] = await take(store, count=1, name=f"we_{number}")
            await end(store, early, failed(NOW))  # failing since then
            [one] = await take(store, NOW, count=1, name=f"we_{number}")
            status = (EndpointStatus.PAUSED, EndpointStatus.DISABLED, None)[number - 1]
            reason = (PausedReason.FAILING, PausedReason.GONE, None)[number - 1]
            verdict = Verdict(
                state=verdict.state,
                next_attempt_at=verdict.next_attempt_at,
                failing_since=NOW,
                endpoint_status=status,
                paused_reason=reason,
                not_before=None if status else NOW + 600 * SECOND,
            )
            await end(store, one, verdict)
            assert await take(store, NOW + 599 * SECOND, name=f"we_{number}") == []
            found = await load_endpoint(store, f"we_{number}")
            assert (found.status, found.paused_reason) == (
                status or EndpointStatus.ACTIVE,
                reason,
            )
        assert len(await take(store, NOW + 600 * SECOND, name="we_3")) == 2
        await give_up_all(store, "we_2")
        gone = await list_deliveries(
            store, "we_2", state=DeliveryState.GIVEN_UP, before=None, limit=9
        )
        assert len(gone) == 2

    with_store(open_store, work)


def test_a_resume_makes_all_due_and_begins_the_three_days_anew(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, *(event(number) for number in range(3)))
        for one in await take(store):
            await end(store, one, failed(NOW + 3600 * SECOND))
        resumed_at = NOW + 60 * SECOND
        assert await take(store, resumed_at) == []
        await activate_endpoint(store, "we_1", resumed_at)
        await hurry(store, "we_1", resumed_at)
        again = await take(store, resumed_at + SECOND)
        assert len(again) == 3
        assert {(e.delivery.failures, e.delivery.tried_since) for e in again} == {
            (0, resumed_at + SECOND)
        }

    with_store(open_store, work)


def test_replays_pages_and_a_delivery_of_its_own(open_store):  # noqa: F811
    async def work(store):
        await tell(store, *(event(n, at=NOW + n * SECOND) for n in range(5)))
        await create_endpoint(store, endpoint(), 9)
        await insert_delivery(store, endpoint(), event(7, at=NOW + 9 * SECOND), b"own", NOW)
        [own] = await take(store)
        assert (own.delivery.payload, own.event) == (b"own", None)
        between = await events_between(store, endpoint(), NOW + SECOND, NOW + 4 * SECOND, 9)
        assert between == ["evt_1_1", "evt_2_1", "evt_3_1"]
        assert len(await replay(store, endpoint(), [*between, "evt_unknown"], NOW)) == 3
        assert names(await take(store)) == between
        # What is being sent is left alone.
        assert await replay(store, endpoint(), ["evt_1_1"], NOW + SECOND) == []
        assert len(await replay(store, endpoint(), ["evt_1_1"], NOW + LEASE)) == 1
        others = endpoint(2, merchant_id="M2")
        await create_endpoint(store, others, 9)
        assert await replay(store, others, ["evt_1_1"], NOW) == []
        page = await list_deliveries(store, "we_1", state=None, before=None, limit=2)
        assert [each.event_id for each in page] == ["evt_7_1", "evt_3_1"]
        before = (page[-1].created_at, page[-1].event_id)
        rest = await list_deliveries(store, "we_1", state=None, before=before, limit=9)
        assert [each.event_id for each in rest] == ["evt_2_1", "evt_1_1"]

    with_store(open_store, work)


def test_a_deleted_endpoint_leaves_nothing(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, *(event(number) for number in range(5)))
        for one in await take(store, count=3):
            await end(store, one, TAKEN)
        await delete_endpoint(store, "we_1")
        assert await load_endpoint(store, "we_1") is None
        assert await waiting_endpoints(store) == []
        assert await list_deliveries(store, "we_1", state=None, before=None, limit=9) == []
        assert await load_attempts(store, "we_1", "evt_0_1") == []

    with_store(open_store, work)


def test_two_that_claim_at_once_share(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, *(event(n, s) for n in range(20) for s in (1, 2)))
        taken = await asyncio.gather(*(take(store, count=7) for _ in range(4)))
        claimed = [each.delivery.event_id for some in taken for each in some]
        assert len(claimed) == len(set(claimed)) <= 20
        assert all(name.endswith("_1") for name in claimed)

    with_store(open_store, work)


def test_an_older_attempt_neither_pauses_nor_dates_back_what_took_something_since(open_store):  # noqa: F811
    """On three days of failure, one success, and then what was under way fails."""

    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, event(1), event(2), event(3))
        later = NOW + 3 * 86_400 * SECOND
        one, two, three = sorted(await take(store), key=lambda each: each.delivery.event_id)
        await end(store, one, failed(NOW))
        assert (await load_endpoint(store, "we_1")).failing_since == NOW
        await end(store, two, Verdict(state=DeliveryState.DELIVERED), later)
        assert (await load_endpoint(store, "we_1")).failing_since is None
        pause = Verdict(
            state=DeliveryState.PENDING,
            next_attempt_at=later,
            failing_since=NOW,
            endpoint_status=EndpointStatus.PAUSED,
            paused_reason=PausedReason.FAILING,
        )
        await end(store, three, pause, later)
        found = await load_endpoint(store, "we_1")
        assert (found.status, found.failing_since) == (EndpointStatus.ACTIVE, later)

    with_store(open_store, work)


def test_a_410_from_before_a_resume_disables_nothing(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, event(1))
        [one] = await take(store)
        await activate_endpoint(store, "we_1", NOW + SECOND)
        gone = Verdict(
            state=DeliveryState.GIVEN_UP,
            failing_since=NOW,
            endpoint_status=EndpointStatus.DISABLED,
            paused_reason=PausedReason.GONE,
        )
        done = Attempt(attempt=1, at=NOW, duration_ms=5, status=410, error="status")
        assert not await settle(store, one.delivery, done, gone, NOW + 2 * SECOND)
        assert (await load_endpoint(store, "we_1")).status is EndpointStatus.ACTIVE

    with_store(open_store, work)


def test_a_replayed_event_makes_the_earlier_ones_of_its_payment_due(open_store):  # noqa: F811
    async def work(store):
        await create_endpoint(store, endpoint(), 9)
        await tell(store, event(1), event(1, 2))
        [one] = await take(store)
        await end(store, one, failed(NOW + 600 * SECOND))
        assert await waiting_endpoints(store) == [
            Waiting("we_1", is_failing=True, due_at=NOW + 600 * SECOND)
        ]
        at = NOW + 5 * SECOND
        await replay(store, await load_endpoint(store, "we_1"), [event(1, 2).event_id], at)
        [waiting] = await waiting_endpoints(store)
        assert waiting.due_at == at
        assert names(await take(store, at)) == [event(1).event_id]

    with_store(open_store, work)

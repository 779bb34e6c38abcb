"""Histories of payments that are long over go to a file; whatever may still move stays whole."""

from __future__ import annotations

import asyncio
import gzip
import json
from datetime import timedelta

import pytest

from tests.gateway.refund_side import ask, refunding
from tests.store.archive_side import (
    CUT,
    GONE,
    MICROSECOND,
    OLD,
    PAID,
    REFUSED,
    WHOLE,
    change,
    heard,
    keys,
    lines,
    quiet,
    report,
    rows,
    run,
    sold,
    timeline,
    wrong,
)
from tests.store.store_side import NOW, opening, with_store
from tillgate.core.model import Notified
from tillgate.store import KeyHeld, OrderHeld, ended, schema
from tillgate.store.archive import Moved, plan
from tillgate.store.archive_file import name_of
from tillgate.store.migrate import HEAD
from tillgate.store.rows import to_microseconds

CUT_AT = to_microseconds(CUT)


def test_the_steps_go_and_one_row_says_where_they_are(open_store, tmp_path):
    async def work(store):
        await sold(store, 1)
        await sold(store, 2, NOW)
        moved, file = await run(store, tmp_path)
        assert moved == Moved(payments=1, steps=1)
        assert await timeline(store, 1) == GONE
        assert await timeline(store, 2) == WHOLE
        [row] = await store.load_history("pay_00001")
        assert (row.version, row.at, row.status) == (2, OLD, "SUCCEEDED")
        assert json.loads(row.detail) == {"steps": 2, "file": "a.gz"}
        assert keys(lines(file.path)) == ["pay_00001"]
        assert await wrong(store) == []

    with_store(open_store, work)


def test_a_line_holds_all_that_is_known_but_no_code(open_store, tmp_path):
    async def work(store):
        await sold(store, 1)
        await change(store, "UPDATE payment SET pay_body = code_fingerprint")
        _, file = await run(store, tmp_path)
        text = gzip.decompress(file.path.read_bytes()).decode()
        header, line = map(json.loads, text.splitlines())
        assert header == {"archive": "tillgate payments that are long over, 1", "schema": HEAD}
        row = line["payment"]
        left_out = {"pay_body", "code_fingerprint"}
        assert set(row) == set(schema.payment.columns.keys()) - left_out
        for secret in ("sealed", "ffff", "ZmZm"):  # as it is, in hex, in base 64
            assert secret not in text
        told = {"placed_at", "is_final", "may_resend", "next_action_at", "amount", "code_masked"}
        assert {name: row[name] for name in told} == {
            "placed_at": "2024-11-07T23:59:59.123456Z",
            "is_final": True,
            "may_resend": True,
            "next_action_at": None,
            "amount": 100,
            "code_masked": "281006************12",
        }
        assert line["refunds"] == []
        assert line["history"] == [
            {
                "version": 1,
                "at": "2024-11-07T23:59:59.123456Z",
                "kind": "accepted",
                "status": "PENDING",
                "detail": {
                    "route": "alipay_plus",
                    "rule": "4",
                    "table": "guide",
                    "then": ["send pay"],
                },
            },
            {
                "version": 2,
                "at": "2024-11-07T23:59:59.123456Z",
                "kind": "pay_answered",
                "status": "SUCCEEDED",
                "detail": {
                    "outcome": "S",
                    "code": "SUCCESS",
                    "amount": "JPY 100",
                    "payment_id": "p1",
                },
            },
        ]

    with_store(open_store, work)


def test_a_repeat_of_any_age_still_finds_its_payment(open_store, tmp_path):
    async def work(store):
        before = await sold(store, 1)
        await run(store, tmp_path)
        assert await store.load("pay_00001") == before
        again = await store.open(opening(7, key="key-1"))
        assert isinstance(again, KeyHeld)
        assert again.request.payment == before
        assert again.request.code_fingerprint == b"f" * 32
        other = await store.open(opening(8, merchant_order_id="order-1"))
        assert other == OrderHeld(before)

    with_store(open_store, work)


OPEN = [
    "UPDATE payment SET status = 'PENDING'",
    "UPDATE payment SET status = 'CANCELLING'",
    "UPDATE payment SET status = 'UNRESOLVED'",
    "UPDATE payment SET is_final = false",
    "UPDATE payment SET calling = 'inquiry'",
    "UPDATE payment SET next_action = 'inquiry'",
    "UPDATE payment SET next_action_at = 1",
    "UPDATE payment SET reserved = 1",
    f"UPDATE payment SET placed_at = {CUT_AT}",
    f"UPDATE payment SET changed_at = {CUT_AT}",
    f"UPDATE payment_event SET at = {CUT_AT}",
]


@pytest.mark.parametrize("statement", OPEN)
def test_what_is_open_or_young_stays_whole(open_store, tmp_path, statement):
    async def work(store):
        for number in (1, 2, 3):
            await sold(store, number)
        await change(store, f"{statement} WHERE payment_request_id = 'pay_00002'")
        assert (await run(store, tmp_path))[0].payments == 2
        assert [await timeline(store, n) for n in (1, 2, 3)] == [GONE, WHOLE, GONE]
        assert keys(lines(tmp_path / "a.gz")) == ["pay_00001", "pay_00003"]

    with_store(open_store, work)


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "CANCELLED"])
def test_however_it_ended_its_history_goes(open_store, tmp_path, status):
    async def work(store):
        await sold(store, 1)
        await change(store, "UPDATE payment SET status = ?", status)
        await run(store, tmp_path)
        assert await timeline(store, 1) == GONE

    with_store(open_store, work)


def test_the_bound_is_exact(open_store, tmp_path):
    async def work(store):
        await sold(store, 1)
        assert (await run(store, tmp_path, bound=OLD))[0] == Moved()
        assert (await run(store, tmp_path, bound=OLD + MICROSECOND))[0].payments == 1

    with_store(open_store, work)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_reach_the_end_past_what_stays(open_store, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(ended, "BATCH", batch)

    async def work(store):
        for number in range(1, 7):
            await sold(store, number)
        await change(
            store,
            "UPDATE payment SET is_final = false"
            " WHERE payment_request_id IN ('pay_00002', 'pay_00003', 'pay_00004')",
        )
        moved, file = await run(store, tmp_path)
        assert moved == Moved(payments=3, steps=3)
        assert keys(lines(file.path)) == ["pay_00001", "pay_00005", "pay_00006"]

    with_store(open_store, work)


def test_it_stops_where_a_whole_batch_is_young(open_store, tmp_path, monkeypatch):
    monkeypatch.setattr(ended, "BATCH", 2)

    async def work(store):
        for number in range(1, 8):
            await sold(store, number, OLD if number in (1, 7) else NOW)
        await run(store, tmp_path)
        assert await timeline(store, 1) == GONE
        # Nobody sells in that order; so this one shows that nothing behind was looked at.
        assert await timeline(store, 7) == WHOLE

    with_store(open_store, work)


def test_a_second_run_finds_nothing_and_leaves_no_file(open_store, tmp_path):
    async def work(store):
        await sold(store, 1)
        await run(store, tmp_path)
        moved, file = await run(store, tmp_path, "b.gz")
        assert (moved, file.is_there, file.path.exists()) == (Moved(), False, False)
        assert json.loads((await store.load_history("pay_00001"))[0].detail)["file"] == "a.gz"

    with_store(open_store, work)


def test_what_happens_later_is_told_behind_and_goes_the_next_time(open_store, tmp_path):
    """A payment that failed long ago turns out to be paid: the customer gets it back."""

    async def work(store):
        failed = await sold(store, 1, outcome=REFUSED)
        await run(store, tmp_path)
        reopened = await heard(store, failed, Notified(report(1, PAID)), NOW)
        assert reopened.was_reopened
        assert await timeline(store, 1) == [*GONE, (3, "notified")]
        assert await wrong(store) == []
        assert (await run(store, tmp_path, "b.gz"))[0] == Moved()

        await change(
            store,
            "UPDATE payment SET status = 'CANCELLED', calling = NULL, next_action = NULL,"
            " next_action_at = NULL",
        )
        late = NOW + timedelta(days=1)
        moved, file = await run(store, tmp_path, "c.gz", bound=late)
        assert moved == Moved(payments=1, steps=1)
        [row] = await store.load_history("pay_00001")
        assert (row.version, row.kind) == (3, "archived")
        assert json.loads(row.detail) == {"steps": 3, "file": "c.gz"}
        # The way back: that file names the one before it.
        [line] = lines(file.path)
        assert [(each["version"], each["kind"]) for each in line["history"]] == [
            *GONE,
            (3, "notified"),
        ]
        assert line["history"][0]["detail"] == {"steps": 2, "file": "a.gz"}
        assert await wrong(store) == []

    with_store(open_store, work)


def refunded(open_store, tmp_path, work):
    """Run `work(store)` on a payment that was refunded in two parts 450 days ago, one of which
    failed; the whole gateway did it.
    """

    async def go():
        async with refunding(open_store) as world:
            world.clock.ahead = -timedelta(days=450)
            node, payment = world.node(), await world.paid()
            await node.refunds.wait((await ask(node, payment, 30)).refund, 5)
            world.network.takes = lambda refund: False
            await node.refunds.wait((await ask(node, payment, 20, "k2")).refund, 5)
            await work(world.store, world.clock.now() + timedelta(days=50))

    asyncio.run(go())


COUNTS = "SELECT refund_request_id, count(*), max(kind) FROM refund_event GROUP BY 1 ORDER BY 1"


def test_refunds_go_with_their_payment(open_store, tmp_path):
    async def work(store, bound):
        moved, file = await run(store, tmp_path, bound=bound)
        assert moved == Moved(payments=1, refunds=2, steps=7)
        assert await rows(store, COUNTS) == [
            ("ref_00001", 1, "archived"),
            ("ref_00002", 1, "archived"),
        ]
        [line] = lines(file.path)
        told = [(each["refund"]["status"], each["refund"]["amount"]) for each in line["refunds"]]
        assert told == [("SUCCEEDED", 30), ("FAILED", 20)]
        first = line["refunds"][0]
        assert set(first["refund"]) == set(schema.refund.columns.keys())
        assert first["refund"]["sent_at"].endswith("Z")
        assert [each["version"] for each in first["history"]] == [1, 2]
        assert [each["version"] for each in line["history"]] == [1, 2, 3, 4, 5, 6]
        assert await wrong(store) == []

    refunded(open_store, tmp_path, work)


OPEN_REFUND = [
    "UPDATE refund SET status = 'PENDING'",
    "UPDATE refund SET status = 'UNRESOLVED'",
    "UPDATE refund SET calling = 'inquiry'",
    "UPDATE refund SET next_action = 'inquiry'",
    "UPDATE refund SET next_action_at = 1",
    "UPDATE refund SET changed_at = {0}",
    "UPDATE refund_event SET at = {0}",
]


@pytest.mark.parametrize("statement", OPEN_REFUND)
def test_a_payment_waits_for_each_of_its_refunds(open_store, tmp_path, statement):
    async def work(store, bound):
        text = statement.format(to_microseconds(bound))
        await change(store, f"{text} WHERE refund_request_id = 'ref_00002'")
        assert (await run(store, tmp_path, bound=bound))[0] == Moved()
        assert not (tmp_path / "a.gz").exists()
        assert [count for _, count, _ in await rows(store, COUNTS)] == [2, 2]

    refunded(open_store, tmp_path, work)


def test_a_plan_tells_what_a_run_does_and_writes_nothing(open_store, tmp_path):
    async def work(store, bound):
        planned = await plan(store.read, bound, quiet)
        assert planned == Moved(payments=1, refunds=2, steps=7)
        assert planned == await plan(store.read, bound, quiet)
        assert (await run(store, tmp_path, bound=bound))[0] == planned
        assert await plan(store.read, bound, quiet) == Moved()

    refunded(open_store, tmp_path, work)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM payment_event WHERE version = 1",
        "DELETE FROM payment_event WHERE version = 2",
        "UPDATE payment_event SET detail = pay_body FROM payment WHERE payment_event.version = 1"
        " AND payment.payment_request_id = payment_event.payment_request_id",
    ],
)
def test_a_damaged_history_is_left_as_it_is_and_told(open_store, tmp_path, statement):
    async def work(store):
        for number in (1, 2):
            await sold(store, number)
        # A third step, so that there is something that could go.
        await change(store, "UPDATE payment SET version = 3, pay_body = code_fingerprint")
        await change(
            store,
            "INSERT INTO payment_event SELECT payment_request_id, 3, at, kind, status, detail"
            " FROM payment_event WHERE version = 2",
        )
        await change(store, f"{statement} AND payment_event.payment_request_id = 'pay_00001'")
        left = await timeline(store, 1)
        moved, _ = await run(store, tmp_path)
        assert moved == Moved(payments=1, steps=2, damaged=("pay_00001",))
        assert await timeline(store, 1) == left

    with_store(open_store, work)


def test_each_run_has_a_name_of_its_own():
    assert name_of(NOW, "0a1b2c3d") == "tillgate-archive-20260131T235959Z-0a1b2c3d.jsonl.gz"

"""Pages of payments: each fits, none is missed, and no page looks through everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.store.store_side import NOW, opening, with_store
from tillgate.ids import drawn_at, first_id, new_id
from tillgate.store.reports import Wanted, find_page, list_alerts

COUNT = 23
LOOKED_AT = 5


async def fill(store):
    """Payments of two stores, every seventh in the rare one; their ids, newest first."""
    ids = []
    for number in range(1, COUNT + 1):
        changes = {"store_id": "rare" if number % 7 == 0 else "S1", "merchant_id": f"M{number % 2}"}
        each = opening(number, **changes)
        await store.open(each)
        ids.append((each.payment.payment_request_id, changes))
    return sorted(ids, reverse=True)


async def pages(store, wanted, limit=4, **looked_at):
    """All pages, as lists of ids."""
    found = []
    while True:
        page = await find_page(store, wanted, limit, **looked_at)
        found.append([each.payment_request_id for each in page.payments])
        assert len(found) <= COUNT
        if page.looks_on is None:
            return found
        wanted = replace(wanted, before=page.looks_on)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"store_id": "rare"},
        {"store_id": "nowhere"},
        {"merchant_id": "M1", "store_id": "rare"},
        {"merchant_id": "M0"},
    ],
    ids=str,
)
def test_pages_hold_all_that_fit_once_newest_first(open_store, fields):
    async def work(store):
        ids = await fill(store)
        found = await pages(store, Wanted(**fields), looked_at=LOOKED_AT)
        fitting = [id_ for id_, changes in ids if fields.items() <= changes.items()]
        assert [id_ for page in found for id_ in page] == fitting
        assert all(len(page) <= 4 for page in found)
        return len(found)

    with_store(open_store, work)


def test_a_page_of_something_rare_looks_through_so_many_and_says_where_it_stopped(open_store):
    async def work(store):
        ids = await fill(store)
        page = await find_page(store, Wanted(store_id="nowhere"), 4, LOOKED_AT)
        assert page.payments == []
        assert page.looks_on == ids[LOOKED_AT - 1][0]
        found = await pages(store, Wanted(store_id="nowhere"), looked_at=LOOKED_AT)
        assert len(found) == COUNT // LOOKED_AT + 1

    with_store(open_store, work)


def test_what_has_a_name_is_found_at_once_however_old(open_store):
    """Nobody may read "there is none" where the answer is "look further"."""

    async def work(store):
        ids = await fill(store)
        oldest = ids[-1][0]
        [payment] = (await find_page(store, Wanted(payment_request_id=oldest), 1)).payments
        order = payment.order
        for named in (
            {"payment_request_id": oldest},
            {"merchant_order_id": order.merchant_order_id},
            {"merchant_id": order.merchant_id, "merchant_order_id": order.merchant_order_id},
        ):
            wanted = Wanted(store_id=order.store_id, **named)
            page = await find_page(store, wanted, 4, 1)
            assert [each.payment_request_id for each in page.payments] == [oldest], named
            assert page.looks_on is None

    with_store(open_store, work)


def test_an_id_tells_when_it_was_drawn():
    at = NOW.replace(microsecond=123_000)
    assert drawn_at(new_id("pay", at)) == at
    assert drawn_at(first_id("evt", at + timedelta(days=40_000))) == at + timedelta(days=40_000)
    for wrong in ("", "pay_01", "pay_" + "!" * 26):
        with pytest.raises(ValueError, match=r"no id|not found"):
            drawn_at(wrong)


def test_alerts_are_found_newest_first_and_nobodys_words_are_taken_for_one(
    open_store,
):
    async def work(store):
        for number, detail in enumerate(
            (
                b'{"alerts":["paid twice"],"x":1}',
                b'{"why":"\\"alerts\\":[]"}',
                b'{"then":["send pay"]}',
                b'{"alerts":["late","again"]}',
            ),
            1,
        ):
            given = opening(number)
            at = NOW + timedelta(seconds=number)
            await store.open(replace(given, history=replace(given.history, at=at, detail=detail)))
        found = await list_alerts(store, NOW, 9)
        assert [(each.payment_request_id, each.reasons) for each in found] == [
            ("pay_00004", ("late", "again")),
            ("pay_00001", ("paid twice",)),
        ]
        assert found[0].at == NOW + timedelta(seconds=4)
        assert len(await list_alerts(store, NOW, 1)) == 1
        assert await list_alerts(store, NOW + timedelta(seconds=4), 9) == []

    with_store(open_store, work)

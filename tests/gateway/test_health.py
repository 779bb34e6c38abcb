"""The last hour as the console shows it."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import pytest

from tests.gateway.test_people import SetClock
from tests.store.store_side import NOW, open_store, opening, paid, with_store  # noqa: F401
from tillgate.core.errors import StoreError
from tillgate.core.model import PayUnanswered
from tillgate.gateway.health import (
    KEPT,
    Health,
    Span,
    merged,
    read_spans,
    step_of,
    write_spans,
)
from tillgate.gateway.metrics import Watch
from tillgate.web.console.health import charts_of


class Told(Watch):
    def __init__(self):
        self.heard = []

    def changed(self, before, after):
        self.heard.append(after.status.value)


def test_it_counts_looks_and_hands_on(open_store):  # noqa: F811
    async def work(store):
        clock, told = SetClock(NOW), Told()
        health = Health(told, store, clock)
        given = opening(1)
        await store.open(given)
        done = paid(given.payment, "p1")
        health.changed(None, given.payment)
        health.changed(given.payment, done)
        health.changed(done, done)
        health.called("alipay_plus", "pay", PayUnanswered("x"), timedelta(milliseconds=120))
        health.called("alipay_plus", "inquiryPayment", PayUnanswered("x"), timedelta(0))
        clock.at = NOW + timedelta(seconds=10)
        await health.look()
        span, following = health.spans
        assert told.heard == ["PENDING", "SUCCEEDED", "SUCCEEDED"]
        assert (span.ended, span.inquiries) == ({"SUCCEEDED": 1}, 1)
        assert span.percentile(0.5) == pytest.approx(120, rel=0.05)
        assert (span.oldest_s, span.webhook_s) == (10.0, 0.0)
        assert span.database_ms > 0
        assert following == Span(clock.at)

    with_store(open_store, work)


def test_an_hour_is_kept_and_a_store_that_is_away_is_no_fault(open_store):  # noqa: F811
    async def work(store):
        health = Health(Watch(), store, SetClock(NOW))
        for _ in range(KEPT + 5):
            health._spans.append(Span(NOW))
        assert len(health.spans) == KEPT

        async def away(statement):
            raise StoreError("away")

        store.report = away
        await health.look()
        assert health.spans[-2].database_ms is None

    with_store(open_store, work)


def spans_of(*times_ms, **more):
    calls = dict(Counter(map(step_of, times_ms)))
    return Span(NOW, calls=calls, **more)


@pytest.mark.parametrize(("share", "told"), [(0.5, 51), (0.99, 100), (1, 100), (0, 1)])
def test_percentiles_are_right_to_a_twentieth(share, told):
    found = spans_of(*range(100, 0, -1)).percentile(share)
    assert found == pytest.approx(told, rel=0.05)
    assert Span(NOW).percentile(share) is None
    for tiny in (0, 0.001):
        assert spans_of(tiny).percentile(share) < 0.02


def test_memory_does_not_grow_with_the_calls():
    health = Health(Watch(), None, SetClock(NOW))
    for number in range(20_000):
        took = timedelta(milliseconds=number * 3)
        health.called("alipay_plus", "pay", PayUnanswered("x"), took)
    [span] = health.spans
    assert sum(span.calls.values()) == 20_000
    assert len(span.calls) < 150


def test_several_workers_are_told_as_one():
    mine = [spans_of(5, ended={"SUCCEEDED": 1}), spans_of(5, database_ms=3.0)]
    yours = [spans_of(700, 700, ended={"SUCCEEDED": 2, "FAILED": 1}, inquiries=4, oldest_s=9.0)]
    first, last = merged([mine, read_spans(write_spans(yours))])
    assert (first.ended, first.oldest_s) == ({"SUCCEEDED": 1}, None)
    assert (last.ended, last.inquiries) == ({"SUCCEEDED": 2, "FAILED": 1}, 4)
    assert (last.oldest_s, last.webhook_s, last.database_ms) == (9.0, None, 3.0)
    assert last.percentile(0.5) == pytest.approx(700, rel=0.05)
    assert sum(last.calls.values()) == 3


def test_pictures_stay_inside_and_say_what_is_known():
    spans = [spans_of(5, 700, inquiries=3, oldest_s=61.0) for _ in range(KEPT)]
    spans[-1].ended["SUCCEEDED"] = 12
    charts = {each.title: each for each in charts_of(spans)}
    assert charts["Payments that ended"].lines[0].latest == "12"
    assert charts["Payments that ended"].top == "20"
    assert [line.latest for line in charts["The network's answer to a pay"].lines] == ["724", "724"]
    assert charts["Inquiries per payment"].lines[0].latest == "1.5"
    assert charts["The database's answer"].lines[0].latest == "none"
    for each in charts.values():
        for line in each.lines:
            for point in line.points.split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= 360
                assert 0 <= y <= 90
    assert charts_of([Span(NOW)])

"""The last hour as the console shows it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.gateway.test_people import SetClock
from tests.store.store_side import NOW, open_store, opening, paid, with_store  # noqa: F401
from tillgate.core.errors import StoreError
from tillgate.core.model import PayUnanswered
from tillgate.gateway.health import KEPT, Health, Span
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
        assert (span.ended, span.calls_ms, span.inquiries) == ({"SUCCEEDED": 1}, [120.0], 1)
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


@pytest.mark.parametrize(("share", "told"), [(0.5, 51), (0.99, 100), (0, 1)])
def test_percentiles(share, told):
    assert Span(NOW, calls_ms=[float(n) for n in range(100, 0, -1)]).percentile(share) == told
    assert Span(NOW).percentile(share) is None


def test_pictures_stay_inside_and_say_what_is_known():
    spans = [Span(NOW, calls_ms=[5.0, 700.0], inquiries=3, oldest_s=61.0) for _ in range(KEPT)]
    spans[-1].ended["SUCCEEDED"] = 12
    charts = {each.title: each for each in charts_of(spans)}
    assert charts["Payments that ended"].lines[0].latest == "12"
    assert charts["Payments that ended"].top == "20"
    assert [line.latest for line in charts["The network's answer to a pay"].lines] == ["700", "700"]
    assert charts["Inquiries per payment"].lines[0].latest == "1.5"
    assert charts["The database's answer"].lines[0].latest == "none"
    for each in charts.values():
        for line in each.lines:
            for point in line.points.split():
                x, y = map(float, point.split(","))
                assert 0 <= x <= 360
                assert 0 <= y <= 90
    assert charts_of([Span(NOW)])

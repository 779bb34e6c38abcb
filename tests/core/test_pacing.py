from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.pacing import (
    ALIPAY_CN,
    ALIPAY_CN_INQUIRIES,
    ALIPAY_PLUS,
    FIXED_INQUIRIES,
    Policy,
)


def utc(text):
    return datetime.fromisoformat(text).astimezone(UTC)


def seconds(value):
    return timedelta(seconds=value)


def test_the_numbers_are_the_networks():
    assert Policy() == ALIPAY_PLUS
    assert ALIPAY_PLUS.order_life == seconds(60)
    assert ALIPAY_PLUS.pay_timeout == seconds(8)
    assert ALIPAY_PLUS.inquiry_timeout == seconds(5)
    assert ALIPAY_PLUS.cancel_timeout == seconds(8)
    assert ALIPAY_PLUS.refund_timeout == seconds(8)
    assert ALIPAY_PLUS.closing_limit == timedelta(minutes=15)
    assert ALIPAY_PLUS.operator_limit == seconds(90)
    assert ALIPAY_PLUS.never_sent_limit == seconds(10)
    assert ALIPAY_PLUS.unknown_cancel_limit == seconds(60 + 8 + 5)
    assert ALIPAY_PLUS.cancel_window_closes == time(0, 15)
    assert ALIPAY_PLUS.unresolved_inquiry == timedelta(hours=1)
    assert ALIPAY_PLUS.unresolved_limit == timedelta(days=7)


def test_alipay_cns_own_numbers_are_its_own():
    assert ALIPAY_CN.paid_is_refunded
    assert not ALIPAY_PLUS.paid_is_refunded
    assert ALIPAY_CN.cancel_timeout == ALIPAY_CN.refund_timeout == seconds(8 + 5)
    assert ALIPAY_CN.unknown_cancel_limit == seconds(60 + 8 + 5)
    assert ALIPAY_CN.cancel_window_closes == time(0, 15)


def test_alipay_cn_is_asked_first_after_5_seconds_then_every_3_for_a_minute():
    assert ALIPAY_CN.inquiry_wait(0) == seconds(5)
    assert {ALIPAY_CN.inquiry_wait(asked) for asked in range(1, 19)} == {seconds(3)}
    assert sum(ALIPAY_CN_INQUIRIES, timedelta()) < seconds(60)


def test_two_refunds_of_one_trade_are_at_least_3_seconds_apart():
    assert min(ALIPAY_CN.closing_repeats) >= seconds(3)


def test_with_the_last_one_there_are_10_to_20_inquiries_within_60_seconds():
    assert 10 <= len(FIXED_INQUIRIES) + 1 <= 20
    assert sum(FIXED_INQUIRIES, timedelta()) < seconds(60)


@pytest.mark.parametrize(("sent", "wait"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (99, 8)])
def test_a_resend_waits_longer_each_time_and_the_last_wait_repeats(sent, wait):
    assert ALIPAY_PLUS.pay_wait(sent) == seconds(wait)


@pytest.mark.parametrize(("asked", "wait"), [(0, 3), (1, 3), (18, 3), (19, None), (20, None)])
def test_inquiries_come_every_3_seconds_until_they_are_used_up(asked, wait):
    assert ALIPAY_PLUS.inquiry_wait(asked) == (None if wait is None else seconds(wait))


@pytest.mark.parametrize(("sent", "wait"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 10), (99, 10)])
def test_a_cancel_is_repeated_with_growing_waits(sent, wait):
    assert ALIPAY_PLUS.cancel_wait(sent) == seconds(wait)


@pytest.mark.parametrize(
    ("count", "wait"), [(1, 1), (2, 2), (3, 5), (4, 10), (5, 30), (6, 30), (99, 30)]
)
def test_asking_and_refunding_while_closing_wait_longer_each_time(count, wait):
    assert ALIPAY_PLUS.closing_wait(count) == seconds(wait)


# The cancel window closes at 00:15 of the next day in UTC+8, whatever the zone here.
CLOSES = [
    ("2026-01-30T16:00:00Z", "2026-01-31T16:15:00Z"),  # midnight there, a new day begins
    ("2026-01-31T03:00:00Z", "2026-01-31T16:15:00Z"),
    ("2026-01-31T15:59:59Z", "2026-01-31T16:15:00Z"),  # 23:59:59 there
    ("2026-01-31T15:59:59.999999Z", "2026-01-31T16:15:00Z"),
    ("2026-01-31T16:00:00Z", "2026-02-01T16:15:00Z"),
    ("2026-01-31T16:14:59Z", "2026-02-01T16:15:00Z"),
    ("2026-01-31T23:59:59-05:00", "2026-02-01T16:15:00Z"),
    ("2024-02-28T16:00:00Z", "2024-02-29T16:15:00Z"),
    ("2025-12-31T15:00:00Z", "2025-12-31T16:15:00Z"),
    ("2025-12-31T16:00:00Z", "2026-01-01T16:15:00Z"),
]


@pytest.mark.parametrize(("placed_at", "closes_at"), CLOSES)
def test_the_cancel_window_closes_at_a_quarter_past_midnight_utc_plus_8(placed_at, closes_at):
    closes = ALIPAY_PLUS.cancel_until(utc(placed_at))
    assert closes == utc(closes_at)
    assert closes.tzinfo is UTC


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_the_window_is_open_for_a_quarter_of_an_hour_to_a_day_more(placed_at):
    left = ALIPAY_PLUS.cancel_until(placed_at) - placed_at
    assert timedelta(minutes=15) < left <= timedelta(hours=24, minutes=15)

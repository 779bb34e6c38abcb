"""The schedule and the meaning of answers, as literals."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.webhooks import (
    GIVE_UP_AFTER,
    PAUSE_AFTER,
    RETRY_DELAYS,
    DeliveryState,
    EndpointStatus,
    Failure,
    Outcome,
    PausedReason,
    Verdict,
    judge,
    next_attempt,
    outcome_of,
    read_retry_after,
)

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
FAILED = Outcome(failure=Failure.TIMED_OUT)


def test_the_delays():
    minutes = [1, 5, 30, 120, 300, 600, 840, 1200, 1440]
    assert [d.total_seconds() for d in RETRY_DELAYS] == [5, *(60 * m for m in minutes)]


@given(st.lists(st.integers(0, 999), min_size=12, max_size=12))
def test_an_event_is_tried_for_three_days_and_then_given_up(draws):
    """From 75 h 36 min to a tenth more, whatever is drawn."""
    at: datetime | None = NOW
    last, attempts = NOW, 0
    while at is not None:
        last, attempts = at, attempts + 1
        at = next_attempt(attempts, NOW, at, FAILED, draws[attempts - 1])
    assert attempts in (10, 11)
    assert GIVE_UP_AFTER <= last - NOW <= timedelta(hours=84)


@given(st.integers(1, 100), st.integers(0, 999))
def test_jitter_only_adds_and_at_most_a_tenth(failures, permille):
    at = next_attempt(failures, NOW, NOW, FAILED, permille)
    delay = RETRY_DELAYS[min(failures, len(RETRY_DELAYS)) - 1]
    assert at is not None
    assert delay <= at - NOW <= delay + delay / 10


def test_what_was_drawn_moves_the_moment():
    assert next_attempt(5, NOW, NOW, FAILED, 0) != next_attempt(5, NOW, NOW, FAILED, 500)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_2xx_is_a_yes(status):
    assert outcome_of(status, "5", NOW) == Outcome(failure=None, http_status=status)


@pytest.mark.parametrize("status", [100, 199, 300, 301, 302, 304, 307, 400, 404, 410, 500, 502])
def test_all_else_is_a_no_and_its_retry_after_counts_for_nothing(status):
    expected = Outcome(failure=Failure.STATUS, http_status=status)
    assert outcome_of(status, "5", NOW) == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("3600", 3600),
        ("3601", 3600),
        ("9" * 4000, 3600),
        ("Sat, 31 Jan 2026 09:02:00 GMT", 120),
        ("Sat, 31 Jan 2026 09:02:00 -0000", 120),
        ("Sun, 01 Feb 2026 09:00:00 GMT", 3600),
        ("Sat, 31 Jan 2026 08:59:59 GMT", None),
        ("0", None),
        ("-1", None),
        ("1.5", None),
        ("\u0661", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_followed_within_an_hour(status, text, seconds):
    expected = None if seconds is None else timedelta(seconds=seconds)
    assert read_retry_after(text, NOW) == expected
    assert outcome_of(status, text, NOW).asked_delay == expected


def test_retry_after_makes_nothing_sooner():
    """`Retry-After: 1` for three days would be a quarter of a million requests."""
    hurried = Outcome(failure=Failure.STATUS, http_status=503, asked_delay=timedelta(seconds=1))
    assert next_attempt(4, NOW, NOW, hurried, 0) == NOW + timedelta(minutes=30)
    slowed = Outcome(failure=Failure.STATUS, http_status=429, asked_delay=timedelta(minutes=10))
    assert next_attempt(1, NOW, NOW, slowed, 999) == NOW + timedelta(minutes=10)


def verdict(outcome=FAILED, *, failures=0, tried=NOW, failing=None, now=NOW) -> Verdict:
    return judge(
        outcome, failures=failures, tried_since=tried, failing_since=failing, now=now, permille=0
    )


def test_a_yes_ends_it_and_the_endpoints_failing():
    taken = Outcome(failure=None, http_status=204)
    assert verdict(taken, failing=NOW, now=NOW + 9 * PAUSE_AFTER) == Verdict(
        state=DeliveryState.DELIVERED
    )


def test_a_first_failure_is_tried_again_and_noted_at_the_endpoint():
    assert verdict() == Verdict(
        state=DeliveryState.PENDING,
        next_attempt_at=NOW + timedelta(seconds=5),
        failing_since=NOW,
    )


def test_410_disables_the_endpoint():
    gone = Outcome(failure=Failure.STATUS, http_status=410)
    assert verdict(gone) == Verdict(
        state=DeliveryState.GIVEN_UP,
        endpoint_status=EndpointStatus.DISABLED,
        paused_reason=PausedReason.GONE,
        failing_since=NOW,
    )


def test_an_endpoint_that_asks_for_time_gets_it_for_all_that_waits():
    asked = timedelta(minutes=10)
    told = verdict(Outcome(failure=Failure.STATUS, http_status=429, asked_delay=asked))
    assert (told.not_before, told.next_attempt_at) == (NOW + asked, NOW + asked)


def test_what_is_down_altogether_is_paused_before_anything_of_it_is_given_up():
    """Its last attempt comes at 75 h, and would have been the last."""
    late = NOW + PAUSE_AFTER
    assert verdict(failures=9, failing=NOW, now=late) == Verdict(
        state=DeliveryState.PENDING,
        next_attempt_at=late,
        endpoint_status=EndpointStatus.PAUSED,
        paused_reason=PausedReason.FAILING,
        failing_since=NOW,
    )
    just_before = verdict(failures=8, failing=NOW, now=late - timedelta(microseconds=1))
    assert (just_before.state, just_before.endpoint_status) == (DeliveryState.PENDING, None)


def test_what_an_endpoint_refuses_while_it_takes_others_is_given_up():
    late = NOW + GIVE_UP_AFTER
    recently = late - timedelta(hours=1)
    assert verdict(failures=9, failing=recently, now=late) == Verdict(
        state=DeliveryState.GIVEN_UP, failing_since=recently
    )

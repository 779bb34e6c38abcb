"""The token bucket."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.limits import Buckets, Limit

NOW = datetime(2026, 1, 31, tzinfo=UTC)


def after(milliseconds):
    return NOW + timedelta(milliseconds=milliseconds)


def test_a_burst_then_the_pace():
    buckets = Buckets(Limit(per_second=2, burst=3))
    assert [buckets.wait_s("k", NOW) for _ in range(5)] == [0, 0, 0, 1, 1]
    assert buckets.wait_s("k", after(499)) == 1
    assert buckets.wait_s("k", after(500)) == 0
    assert buckets.wait_s("k", after(500)) == 1


def test_keys_do_not_share_a_bucket():
    buckets = Buckets(Limit(per_second=1, burst=1))
    assert buckets.wait_s("a", NOW) == 0
    assert buckets.wait_s("b", NOW) == 0
    assert buckets.wait_s("a", NOW) == 1


def test_without_a_limit_everything_passes():
    buckets = Buckets(Limit(per_second=0, burst=1))
    assert not any(buckets.wait_s("k", NOW) for _ in range(1000))


def test_a_clock_that_is_set_back_locks_nobody_out():
    buckets = Buckets(Limit(per_second=10, burst=1))
    assert buckets.wait_s("k", after(3_600_000)) == 0
    assert buckets.wait_s("k", NOW) == 1
    assert buckets.wait_s("k", after(100)) == 0


@given(
    st.integers(1, 50),
    st.integers(1, 20),
    st.lists(st.integers(0, 700), min_size=1, max_size=200),
)
def test_never_more_than_the_burst_and_the_pace(per_second, burst, gaps):
    buckets, at, taken = Buckets(Limit(per_second, burst)), 0, 0
    for gap in gaps:
        at += gap
        wait = buckets.wait_s("k", after(at))
        taken += wait == 0
        assert 0 <= wait <= max(1, 1 // per_second + 1)
    assert taken <= burst + per_second * at / 1000

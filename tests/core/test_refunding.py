"""What refunds do to their payment: never above what was paid, and cancel or refund, never both."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.payment_cases import ASKED, EVENTS, PLACED, POLICY, WALKS, at, letters, walk
from tillgate.core.model import (
    Alert,
    CancelRequested,
    RefundReleased,
    RefundReserved,
    RefundSucceeded,
    RefundUnresolved,
    Status,
)
from tillgate.core.money import Money
from tillgate.core.payment import may_cancel, step
from tillgate.core.refunding import may_refund, refundable

PAID = walk((1, "pay S"))
YEAR = timedelta(days=365)


def after(*events, start=PAID, now=None):
    payment = start
    for event in events:
        payment = step(payment, event, now or at(100), POLICY).payment
    return payment


@pytest.mark.parametrize("state", sorted(set(WALKS) - {"SUCCEEDED"}))
@pytest.mark.parametrize(
    "event", [RefundReserved(1), RefundSucceeded(1), RefundReleased(1), RefundUnresolved(1)]
)
def test_a_payment_that_is_not_paid_takes_no_word_of_a_refund(state, event):
    facts, seconds = WALKS[state]
    before = walk(*facts)
    assert step(before, event, at(seconds), POLICY).payment is before
    assert may_refund(before, None, at(seconds), POLICY) is not None


# reserved and refunded before, the event, the two after; None: nothing changes
ROWS = [
    ((0, 0), RefundReserved(30), (30, 0)),
    ((0, 0), RefundReserved(100), (100, 0)),
    ((0, 0), RefundReserved(101), None),
    ((0, 0), RefundReserved(0), None),
    ((0, 0), RefundReserved(-1), None),
    ((70, 0), RefundReserved(30), (100, 0)),
    ((71, 0), RefundReserved(30), None),
    ((100, 100), RefundReserved(1), None),
    ((70, 40), RefundSucceeded(30), (70, 70)),
    ((70, 40), RefundSucceeded(31), None),
    ((100, 70), RefundSucceeded(30), (100, 100)),
    ((70, 40), RefundReleased(30), (40, 40)),
    ((70, 40), RefundReleased(31), None),
    ((0, 0), RefundReleased(1), None),
    ((70, 40), RefundUnresolved(30), (70, 40)),
    ((70, 40), RefundUnresolved(31), None),
    ((0, 0), RefundUnresolved(1), None),
]


def with_sums(reserved, refunded):
    facts = [RefundReserved(reserved)] if reserved else []
    return after(*facts, *([RefundSucceeded(refunded)] if refunded else []))


@pytest.mark.parametrize(("before", "event", "expected"), ROWS)
def test_each_row_of_reserving_and_giving_back(before, event, expected):
    payment = with_sums(*before)
    assert (payment.reserved, payment.refunded) == before
    taken = step(payment, event, at(200), POLICY)
    if expected is None:
        assert taken.payment is payment
        return
    assert (taken.payment.reserved, taken.payment.refunded) == expected
    assert taken.payment.status is Status.SUCCEEDED
    assert taken.payment.version == payment.version + 1
    told = not isinstance(event, RefundReserved)
    assert taken.payment.announced == payment.announced + told
    assert taken.payment.holds_order is (taken.payment.refunded < 100)


@given(
    st.lists(
        st.tuples(
            st.sampled_from([RefundReserved, RefundSucceeded, RefundReleased, RefundUnresolved]),
            st.integers(-5, 120),
        ),
        max_size=40,
    )
)
def test_whatever_comes_the_sums_stay_below_what_was_paid(facts):
    payment = PAID
    for kind, value in facts:
        if value < 1 and kind is not RefundReserved:
            continue  # a refund's amount is never below 1: Money
        before, payment = payment, step(payment, kind(value), at(200), POLICY).payment
        assert 0 <= payment.refunded <= payment.reserved <= payment.order.amount.value
        assert payment.refunded >= before.refunded
        assert payment.holds_order <= before.holds_order
        if payment.reserved:
            assert may_cancel(payment, at(200), POLICY) is not None
            assert step(payment, CancelRequested("till"), at(200), POLICY).payment is payment


WHY = [
    ((0, 0), None, None),
    ((0, 0), Money("JPY", 100), None),
    ((40, 40), Money("JPY", 60), None),
    ((40, 0), Money("JPY", 61), "Of JPY 100 only JPY 60 is left to refund, which is less than"),
    ((100, 0), None, "All of it, JPY 100, is refunded or being refunded"),
    ((100, 100), Money("JPY", 1), "All of it"),
    ((0, 0), Money("USD", 1), "It was paid in JPY"),
]


@pytest.mark.parametrize(("sums", "amount", "words"), WHY)
def test_a_refusal_names_what_is_left(sums, amount, words):
    problem = may_refund(with_sums(*sums), amount, at(200), POLICY)
    assert (problem is None) if words is None else (problem or "").startswith(words)


def test_a_refund_is_possible_for_365_days():
    last = PLACED + YEAR - timedelta(seconds=1)
    assert may_refund(PAID, None, last, POLICY) is None
    assert after(RefundReserved(1), now=last).reserved == 1
    problem = may_refund(PAID, None, PLACED + YEAR, POLICY)
    assert problem is not None
    assert "2027-01-31T03:00:00Z" in problem
    assert after(RefundReserved(1), now=PLACED + YEAR) is PAID


def test_inside_the_window_both_are_possible_and_after_it_the_refund_is_named():
    assert may_cancel(PAID, at(100), POLICY) is None
    assert may_refund(PAID, None, at(100), POLICY) is None
    closed = may_cancel(PAID, PLACED + timedelta(days=2), POLICY)
    assert closed == (
        "It is paid and its cancel window closed at 2026-01-31T16:15:00Z: refund it instead,"
        " until 2027-01-31T03:00:00Z."
    )


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        ((30, 0), "refund the JPY 70 that is left instead"),
        ((30, 30), "refund the JPY 70 that is left instead"),
        ((100, 30), "all of it goes back that way"),
    ],
)
def test_a_refund_that_is_open_or_done_forbids_the_cancel(sums, words):
    assert words in (may_cancel(with_sums(*sums), at(200), POLICY) or "")


def test_a_refund_that_failed_leaves_the_cancel_possible():
    payment = after(RefundReserved(100), RefundReleased(100))
    assert may_cancel(payment, at(200), POLICY) is None
    assert refundable(payment) == ASKED


def test_a_cancel_that_came_first_forbids_the_refund():
    cancelling = step(PAID, CancelRequested("till"), at(100), POLICY).payment
    assert cancelling.status is Status.CANCELLING
    assert after(RefundReserved(1), start=cancelling) is cancelling
    assert "being cancelled" in (may_refund(cancelling, None, at(100), POLICY) or "")


def test_a_trade_that_counts_as_closed_after_its_own_full_refund_is_no_alarm():
    """AlipayCN calls a trade that is refunded in full closed."""
    payment = with_sums(100, 100)
    assert step(payment, EVENTS["notified F"], at(200), POLICY).payment is payment
    part = with_sums(99, 99)
    taken = step(part, EVENTS["notified F"], at(200), POLICY)
    assert letters(taken.effects) == "A"
    assert isinstance(taken.effects[0], Alert)

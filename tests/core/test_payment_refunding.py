"""A network on which a cancel is for unknown results only: what is known to be paid is refunded.

Everything else is as with Alipay+ (test_payment.py, test_payment_closing.py).
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.core.payment_cases import EVENTS, POLICY, at, opened
from tillgate.core.model import Alert, Closing, SendCancel, SendRefund, Status, TellTill
from tillgate.core.payment import step

REFUNDS = replace(POLICY, paid_is_refunded=True)


def walked(*facts, start=None):
    """The last step of these (seconds since placing, event name)."""
    payment, taken = start or opened(policy=REFUNDS), None
    for seconds, fact in facts:
        taken = step(payment, EVENTS[fact], at(seconds), REFUNDS)
        payment = taken.payment
    return taken


def test_a_paid_payment_that_a_till_cancels_is_refunded_in_full():
    taken = walked((1, "pay S"), (5, "cancel asked"))
    assert (taken.payment.status, taken.payment.closing) == (Status.CANCELLING, Closing.BY_REFUND)
    assert taken.effects == (SendRefund(), TellTill())
    assert (taken.payment.refunds, taken.payment.cancels) == (1, 0)
    done = walked((6, "refund S"), start=taken.payment).payment
    assert (done.status, done.was_refunded_there, done.next_action) == (
        Status.CANCELLED,
        True,
        None,
    )


@pytest.mark.parametrize("reported", ["notified S", "inquiry S"])
def test_a_success_after_the_end_is_refunded(reported):
    failed = walked((1, "pay F judged"), (5, reported))
    assert failed.payment.status is Status.CANCELLING
    assert failed.effects[0] == SendRefund()
    assert any(isinstance(effect, Alert) for effect in failed.effects)


def test_a_success_that_a_cancel_waited_for_is_refunded():
    taken = walked((1, "cancel asked"), (3, "pay S"))
    assert (taken.payment.status, taken.effects) == (Status.CANCELLING, (SendRefund(),))


@pytest.mark.parametrize("unknown", ["pay unanswered", "pay U in process", "pay U other"])
def test_an_unknown_result_is_cancelled(unknown):
    taken = walked((1, unknown), (5, "cancel asked"))
    assert taken.effects == (SendCancel(), TellTill())


@pytest.mark.parametrize(
    "unclear", ["pay S without amount", "pay S other amount", "pay S taken id"]
)
def test_an_unclear_success_is_cancelled_since_nobody_knows_what_to_refund(unclear):
    taken = walked((1, "cancel asked"), (3, unclear))
    assert taken.effects == (SendCancel(),)


def test_a_refused_refund_is_asked_about_and_a_closed_trade_ends_it():
    asking = walked((1, "pay S"), (5, "cancel asked"), (6, "refund refused")).payment
    assert (asking.status, asking.closing) == (Status.CANCELLING, Closing.ASKING)
    closed = walked((9, "timer"), (10, "inquiry F"), start=asking).payment
    assert closed.status is Status.CANCELLED


def test_a_lost_refund_is_sent_again_under_the_same_id():
    lost = walked((1, "pay S"), (5, "cancel asked"), (6, "refund unanswered")).payment
    again = walked((9, "timer"), start=lost)
    assert (again.effects, again.payment.refunds) == ((SendRefund(),), 2)


def test_what_was_refunded_is_not_refunded_again_by_the_same_success():
    done = walked((1, "pay S"), (5, "cancel asked"), (6, "refund S")).payment
    assert step(done, EVENTS["notified S"], at(9), REFUNDS).payment is done

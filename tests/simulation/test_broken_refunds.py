"""The invariants of refunds can fail: what is broken about them is caught, soon and by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tillgate.core.model import (
    CancelRequested,
    Event,
    Payment,
    RefundReleased,
    RefundReserved,
    RefundSucceeded,
    Status,
    Step,
    TimerDue,
)
from tillgate.core.pacing import Policy
from tillgate.core.payment import step
from tillgate.core.refund import refund_step
from tillgate.core.refund_model import (
    GiveBack,
    LookAnswered,
    LookFoundNothing,
    Refund,
    RefundEvent,
    RefundRequestId,
    RefundStatus,
    RefundStep,
    SendAnswered,
    SendUnanswered,
)
from tillgate.core.results import Outcome
from tillgate.simulation.run import Subject, run

AT_MOST = 8_000
"""Payments until a broken variant must be caught."""


def ended(refund: Refund, status: RefundStatus, now: datetime) -> RefundStep:
    done = replace(
        refund,
        status=status,
        version=refund.version + 1,
        calling=None,
        next_action=None,
        next_action_at=None,
        changed_at=now,
    )
    return RefundStep(done)


def unanswered_is_failed(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    if isinstance(event, SendUnanswered) and not refund.is_final:
        return ended(refund, RefundStatus.FAILED, now)
    return refund_step(refund, event, now, policy)


def unanswered_is_done(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    if isinstance(event, SendUnanswered) and refund.sends > 2 and not refund.is_final:
        return ended(refund, RefundStatus.SUCCEEDED, now)
    return refund_step(refund, event, now, policy)


def not_listed_is_failed(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    if isinstance(event, LookFoundNothing) and not refund.is_final:
        return ended(refund, RefundStatus.FAILED, now)
    return refund_step(refund, event, now, policy)


def refused_and_not_listed_is_failed(
    refund: Refund, event: RefundEvent, now: datetime, policy: Policy
):
    return refund_step(refund, event, now, replace(policy, lists_every_refund=True))


def any_refusal_is_failed(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    is_refusal = isinstance(event, SendAnswered) and event.report.outcome is Outcome.FAILURE
    if is_refusal and not refund.is_final:
        return ended(refund, RefundStatus.FAILED, now)
    return refund_step(refund, event, now, policy)


def undecided_is_done(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    is_heard = isinstance(event, SendAnswered | LookAnswered)
    if is_heard and event.report.outcome is Outcome.UNKNOWN and not refund.is_final:
        return ended(refund, RefundStatus.SUCCEEDED, now)
    return refund_step(refund, event, now, policy)


def a_resend_has_a_new_id(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    taken = refund_step(refund, event, now, policy)
    if taken.refund.sends <= refund.sends:
        return taken
    other = RefundRequestId(f"{refund.refund_request_id}_{taken.refund.sends}")
    return RefundStep(replace(taken.refund, refund_request_id=other), taken.effects)


def sends_are_not_counted(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    taken = refund_step(refund, event, now, policy)
    return RefundStep(replace(taken.refund, sends=1), taken.effects)


def an_end_is_not_final(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    is_told_done = isinstance(event, SendAnswered) and event.report.outcome is Outcome.SUCCESS
    if is_told_done and refund.status is RefundStatus.FAILED:
        return ended(refund, RefundStatus.SUCCEEDED, now)
    if isinstance(event, SendUnanswered) and refund.sends_open > 1:
        return ended(refund, RefundStatus.FAILED, now)
    return refund_step(refund, event, now, policy)


def never_gives_up(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    return refund_step(refund, event, now, replace(policy, closing_limit=timedelta(days=1)))


def forgets_its_timer(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    taken = refund_step(refund, event, now, policy)
    if isinstance(event, TimerDue) and taken.refund.next_action_at is not None:
        later = replace(taken.refund, next_action_at=now + timedelta(days=30))
        return RefundStep(later, taken.effects)
    return taken


def forgets_the_version(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    taken = refund_step(refund, event, now, policy)
    return RefundStep(replace(taken.refund, version=refund.version), taken.effects)


def sends_twice_at_once(refund: Refund, event: RefundEvent, now: datetime, policy: Policy):
    taken = refund_step(refund, event, now, policy)
    if GiveBack() in taken.effects:
        return RefundStep(taken.refund, (*taken.effects, GiveBack()))
    return taken


UNTRUE = {"refund-untrue", "paid-without-debit"}
BROKEN = {
    unanswered_is_failed: UNTRUE,
    unanswered_is_done: UNTRUE,
    not_listed_is_failed: UNTRUE,
    refused_and_not_listed_is_failed: UNTRUE,
    any_refusal_is_failed: UNTRUE,
    undecided_is_done: UNTRUE,
    a_resend_has_a_new_id: {"resend-differs", *UNTRUE},
    sends_are_not_counted: {"sent-uncounted"},
    an_end_is_not_final: {"final-turned-false", *UNTRUE},
    never_gives_up: {"too-late"},
    forgets_its_timer: {"never-ends", "too-late"},
    forgets_the_version: {"version"},
    sends_twice_at_once: {"sent-uncounted"},
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_refund_is_caught(broken):
    report = run(1, AT_MOST, subject=Subject(refund_step=broken), violations_max=1)
    assert report.violations, f"{broken.__name__} survived {AT_MOST} payments"
    found = report.violations[0]
    assert found.invariant in BROKEN[broken], f"{found.invariant}: {found.detail}"
    assert found.tape


def changed(payment: Payment, **changes) -> Step:
    return Step(replace(payment, version=payment.version + 1, **changes))


def reserves_whatever_is_asked(payment: Payment, event: Event, now: datetime, policy: Policy):
    if isinstance(event, RefundReserved) and payment.status is Status.SUCCEEDED:
        return changed(payment, reserved=payment.reserved + event.value)
    return step(payment, event, now, policy)


def reserves_what_is_being_cancelled(payment: Payment, event: Event, now: datetime, policy: Policy):
    if isinstance(event, RefundReserved) and payment.status is Status.CANCELLING:
        return changed(payment, reserved=payment.reserved + event.value)
    return step(payment, event, now, policy)


def cancels_what_is_being_refunded(payment: Payment, event: Event, now: datetime, policy: Policy):
    if isinstance(event, CancelRequested) and payment.reserved:
        taken = step(replace(payment, reserved=0, refunded=0), event, now, policy)
        kept = replace(taken.payment, reserved=payment.reserved, refunded=payment.refunded)
        return Step(kept, taken.effects)
    return step(payment, event, now, policy)


def keeps_what_a_failed_refund_reserved(
    payment: Payment, event: Event, now: datetime, policy: Policy
):
    taken = step(payment, event, now, policy)
    if isinstance(event, RefundReleased):
        return Step(replace(taken.payment, reserved=payment.reserved), taken.effects)
    return taken


def books_no_success(payment: Payment, event: Event, now: datetime, policy: Policy):
    taken = step(payment, event, now, policy)
    if isinstance(event, RefundSucceeded):
        return Step(replace(taken.payment, refunded=payment.refunded), taken.effects)
    return taken


BROKEN_BOOKS = {
    reserves_whatever_is_asked: {"refund-books", "raised"},
    reserves_what_is_being_cancelled: {"refund-books", "cancelled-and-refunded"},
    cancels_what_is_being_refunded: {
        "cancelled-and-refunded",
        "paid-without-debit",
        "unresolved-for-nothing",
    },
    keeps_what_a_failed_refund_reserved: {"refund-books"},
    books_no_success: {"refund-books"},
}


@pytest.mark.parametrize("broken", BROKEN_BOOKS, ids=lambda broken: broken.__name__)
def test_a_payment_that_books_its_refunds_badly_is_caught(broken):
    report = run(1, AT_MOST, subject=Subject(step=broken), violations_max=1)
    assert report.violations, f"{broken.__name__} survived {AT_MOST} payments"
    found = report.violations[0]
    assert found.invariant in BROKEN_BOOKS[broken], f"{found.invariant}: {found.detail}"


def test_an_end_that_tells_the_payment_the_opposite_is_caught():
    def opposite(refund: Refund):
        is_done = refund.status is RefundStatus.SUCCEEDED
        return (RefundReleased if is_done else RefundSucceeded)(refund.amount.value)

    report = run(1, AT_MOST, subject=Subject(refund_ends=opposite), violations_max=1)
    assert [one.invariant for one in report.violations] == ["refund-books"]

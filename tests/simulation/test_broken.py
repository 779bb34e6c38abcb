"""The invariants can fail: code that is broken as peers were is caught, soon and by name."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tillgate.core.model import (
    Alert,
    CancelAnswered,
    CancelUnanswered,
    Event,
    InquiryAnswered,
    InquiryUnanswered,
    Notified,
    Payment,
    PayUnanswered,
    Report,
    SendInquiry,
    SendPay,
    Status,
    Step,
    TellTill,
    TimerDue,
)
from tillgate.core.pacing import Policy
from tillgate.core.payment import open_payment, step
from tillgate.core.results import Outcome
from tillgate.simulation.run import Subject, run

AT_MOST = 6_000
"""Payments until a broken variant must be caught."""


def ended(payment: Payment, status: Status, now: datetime) -> Step:
    done = replace(
        payment,
        status=status,
        version=payment.version + 1,
        is_final=True,
        holds_order=status is Status.SUCCEEDED,
        calling=None,
        next_action=None,
        next_action_at=None,
        changed_at=now,
    )
    return Step(done, (TellTill(),))


def unanswered_is_failed(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, PayUnanswered) and payment.status is Status.PENDING:
        return ended(payment, Status.FAILED, now)
    return step(payment, event, now, policy)


def expires_without_a_cancel(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    is_over = isinstance(event, TimerDue) and now >= payment.order.expires_at
    if is_over and payment.status is Status.PENDING:
        return ended(payment, Status.FAILED, now)
    return step(payment, event, now, policy)


def believes_a_late_success(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    report = getattr(event, "report", None)
    is_paid = isinstance(report, Report) and report.outcome is Outcome.SUCCESS
    if is_paid and payment.status in (Status.FAILED, Status.CANCELLED):
        return ended(payment, Status.SUCCEEDED, now)
    return step(payment, event, now, policy)


def ignores_a_late_success(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, Notified) and payment.status in (Status.FAILED, Status.CANCELLED):
        return Step(payment)
    return step(payment, event, now, policy)


def gives_up_cancelling(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, CancelUnanswered) and payment.cancels >= 3:
        return ended(payment, Status.CANCELLED, now)
    return step(payment, event, now, policy)


def leaves_it_cancelling(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, CancelUnanswered) and payment.status is Status.CANCELLING:
        later = now + timedelta(minutes=10)
        after = replace(payment, calling=None, next_action_at=later, version=payment.version + 1)
        return Step(after)
    return step(payment, event, now, policy)


def success_wins_over_a_cancel(
    payment: Payment, event: Event, now: datetime, policy: Policy
) -> Step:
    report = getattr(event, "report", None)
    is_paid = isinstance(report, Report) and report.outcome is Outcome.SUCCESS
    if is_paid and payment.status is Status.CANCELLING:
        return ended(payment, Status.SUCCEEDED, now)
    return step(payment, event, now, policy)


def believes_any_amount(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, InquiryUnanswered) and payment.mismatches:
        return ended(payment, Status.SUCCEEDED, now)
    return step(payment, event, now, policy)


def stops_asking_when_the_question_succeeded(
    payment: Payment, event: Event, now: datetime, policy: Policy
) -> Step:
    if isinstance(event, InquiryAnswered) and payment.status is Status.PENDING:
        return ended(payment, Status.SUCCEEDED, now)
    return step(payment, event, now, policy)


def order_not_exist_ends_a_cancel_at_once(
    payment: Payment, event: Event, now: datetime, policy: Policy
) -> Step:
    if isinstance(event, CancelAnswered) and payment.status is Status.CANCELLING:
        return ended(payment, Status.CANCELLED, now)
    return step(payment, event, now, policy)


def asks_all_the_time(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    return step(payment, event, now, replace(policy, inquiries=(timedelta(seconds=1),) * 99))


def says_it_is_not_final(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    taken = step(payment, event, now, policy)
    if taken.payment.status is Status.CANCELLING and taken.payment.is_final:
        return Step(replace(taken.payment, is_final=False), taken.effects)
    return taken


def forgets_the_version(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    taken = step(payment, event, now, policy)
    if taken.payment is payment:
        return taken
    return Step(replace(taken.payment, version=payment.version), taken.effects)


def sends_what_is_not_counted(
    payment: Payment, event: Event, now: datetime, policy: Policy
) -> Step:
    taken = step(payment, event, now, policy)
    if any(isinstance(effect, SendInquiry) for effect in taken.effects):
        return Step(taken.payment, (*taken.effects, SendPay()))
    return taken


def raises(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, Notified) and payment.status is Status.CANCELLING:
        raise ValueError("unexpected")
    return step(payment, event, now, policy)


def gives_up_early(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    if isinstance(event, TimerDue) and payment.cancels:
        unresolved = replace(
            payment,
            status=Status.UNRESOLVED,
            calling=None,
            version=payment.version + 1,
            next_action_at=now + policy.unresolved_inquiry,
        )
        return Step(unresolved, (TellTill(), Alert("tired")))
    return step(payment, event, now, policy)


BROKEN = {
    unanswered_is_failed: {"not-paid-while-debited", "charged-for-nothing", "order-paid-twice"},
    expires_without_a_cancel: {
        "not-paid-while-debited",
        "charged-for-nothing",
        "order-paid-twice",
        "illegal-edge",
    },
    believes_a_late_success: {"illegal-edge"},
    ignores_a_late_success: {"charged-for-nothing", "order-paid-twice"},
    gives_up_cancelling: {"not-paid-while-debited", "charged-for-nothing"},
    leaves_it_cancelling: {"too-late"},
    success_wins_over_a_cancel: {"illegal-edge"},
    believes_any_amount: {"illegal-edge", "paid-without-debit", "another-amount"},
    stops_asking_when_the_question_succeeded: {"paid-without-debit"},
    order_not_exist_ends_a_cancel_at_once: {"not-paid-while-debited", "charged-for-nothing"},
    asks_all_the_time: {"inquiry-storm"},
    says_it_is_not_final: {"final-turned-false"},
    forgets_the_version: {"version"},
    sends_what_is_not_counted: {"sent-uncounted"},
    raises: {"raised"},
    gives_up_early: {"illegal-edge", "unresolved-for-nothing", "raised"},
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_step_is_caught(broken):
    report = run(1, AT_MOST, subject=Subject(step=broken), violations_max=1)
    assert report.violations, f"{broken.__name__} survived {AT_MOST} payments"
    found = report.violations[0]
    assert found.invariant in BROKEN[broken], f"{found.invariant}: {found.detail}"
    assert found.tape


def test_a_resend_with_other_bytes_is_caught():
    def with_a_new_id(body: bytes, sends: int) -> bytes:
        return body.replace(b'"pay_0', b'"pay_%d' % sends) if sends > 1 else body

    report = run(1, AT_MOST, subject=Subject(pay_body=with_a_new_id), violations_max=1)
    assert [one.invariant for one in report.violations] == ["resend-differs"]


def test_a_payment_opened_without_its_send_counted_is_caught():
    def uncounted(request_id, order, policy):
        taken = open_payment(request_id, order, policy)
        return Step(replace(taken.payment, sends=0), taken.effects)

    report = run(1, AT_MOST, subject=Subject(open_payment=uncounted), violations_max=1)
    assert [one.invariant for one in report.violations] == ["sent-uncounted"]


def test_what_is_found_is_shrunk_to_the_few_draws_that_matter():
    report = run(1, AT_MOST, subject=Subject(step=unanswered_is_failed), violations_max=1)
    found = report.violations[0]
    assert len(found.draws) <= 5
    assert len(found.tape) <= 15
    assert found.tape[0].endswith("opened 1")

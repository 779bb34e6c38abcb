"""The life of a payment: what is true of the money, what may happen, and what to do about it.

Theory of operation. `open_payment` makes a payment; `step` takes one fact about it and returns the
next payment with the effects to perform. The caller saves first and performs after, and each
effect's answer is the next fact. Nothing here waits: `next_action_at` says when to call back with
`TimerDue`. A crash between saving and performing loses nothing, because a call whose outcome never
comes is due again at `next_action_at`, and every call to the network is idempotent.

Three rules hold everywhere. "Unknown" is an outcome, never a guess: only an explicit, signed answer
ends a payment of which a byte may have left. A send is counted in the commit before it, so that a
crash cannot turn "unanswered" into "never sent". The first final result wins; what contradicts it
is an alert.

`step` is total: no fact raises, whatever the status. Source of the table: ADRs 0011 and 0012; its
rows are tested as literals in tests/core/test_payment.py. This module must never read a clock, log
or call anything.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never

from tillgate.core.model import (
    RESTING,
    TOLD,
    Alert,
    Call,
    CancelAnswered,
    CancelRequested,
    CancelUnanswered,
    Closing,
    Effect,
    Event,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Notified,
    Order,
    PayAnswered,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    Receipt,
    RefundAnswered,
    RefundReleased,
    RefundReserved,
    RefundSucceeded,
    RefundUnanswered,
    RefundUnresolved,
    Report,
    Resolved,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    Step,
    TellTill,
    TimerDue,
    changed,
)
from tillgate.core.pacing import Policy
from tillgate.core.refunding import (
    refund_done,
    refund_released,
    refund_reserved,
    refund_stuck,
    why_not_cancel,
)
from tillgate.core.results import (
    CANCEL_WINDOW_EXCEED,
    MEANINGS,
    ORDER_NOT_EXIST,
    PAYMENT_IN_PROCESS,
    REPEAT_REQ_INCONSISTENT,
    Judges,
    NextStep,
    Outcome,
    meaning_of,
)


def open_payment(payment_request_id: PaymentRequestId, order: Order, policy: Policy) -> Step:
    """The first state: PENDING with its first send counted, to be saved before the pay leaves."""
    payment = Payment(
        payment_request_id=payment_request_id,
        order=order,
        status=Status.PENDING,
        version=1,
        sends=1,
        calling=Call.PAY,
        next_action=Call.PAY,
        next_action_at=order.placed_at + policy.pay_timeout + policy.outcome_grace,
        changed_at=order.placed_at,
    )
    return Step(payment, (SendPay(),))


def step(
    payment: Payment, event: Event, now: datetime, policy: Policy, *, is_awaited: bool = True
) -> Step:
    """Apply one fact.

    Args:
        payment: the payment as last saved.
        event: what happened.
        now: aware UTC.
        policy: the connector's numbers.
        is_awaited: False for the outcome of a call that is known not to be the awaited one
            (`is_call_of`); of another kind than the awaited it is seen here.

    Returns:
        The next payment, its `version` one higher when anything changed, and the effects. The very
        same object and no effects when the fact adds nothing.

    Never raises.
    """
    call = _OUTCOME_OF.get(type(event))
    if call is not None and not (is_awaited and payment.calling is call):
        taken = _unawaited(payment, event, now, policy)
    else:
        taken = _apply(payment, event, now, policy)
    if taken.payment == payment and not taken.effects:
        return Step(payment)
    # An alert on an unchanged payment is saved too: the history is where people read it.
    is_told = taken.payment.status is not payment.status and taken.payment.status in TOLD
    saved = changed(
        taken.payment, version=payment.version + 1, announced=taken.payment.announced + is_told
    )
    return Step(saved, taken.effects)


def is_call_of(asked: Payment, payment: Payment) -> bool:
    """Whether a call that left when the payment was saved as `asked` is the one it awaits now.

    The moment at which a call counts as lost is saved with it, and no two calls share one.
    """
    return payment.calling is not None and asked.next_action_at == payment.next_action_at


def _apply(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    match event:
        case PayAnswered(report):
            return _pay_answered(payment, report, now, policy)
        case PayUnanswered():
            return _pay_unanswered(payment, now, policy)
        case PayNeverLeft():
            return _pay_never_left(payment, now, policy)
        case PayRefusedUnsigned(code):
            return _pay_refused_unsigned(payment, code, now, policy)
        case InquiryAnswered(report):
            return _inquiry_answered(payment, report, now, policy)
        case InquiryRefused(code):
            return _inquiry_refused(payment, code, now, policy)
        case InquiryUnanswered():
            return _ask_later(_heard(payment), now, policy)
        case Notified(report):
            return _reported(payment, report, now, policy)
        case CancelRequested(by):
            return _cancel_requested(payment, by, now, policy)
        case CancelAnswered(outcome, code):
            return _cancel_answered(payment, outcome, code, now, policy)
        case CancelUnanswered():
            return _cancel_later(payment, now, policy)
        case RefundAnswered(outcome, code):
            return _refund_answered(payment, outcome, code, now, policy)
        case RefundUnanswered():
            return _refund_later(payment, now, policy)
        case RefundReserved(value):
            return refund_reserved(payment, value, now, policy)
        case RefundSucceeded(value):
            return refund_done(payment, value)
        case RefundReleased(value):
            return refund_released(payment, value)
        case RefundUnresolved(value):
            return refund_stuck(payment, value)
        case Resolved(status):
            return _resolved(payment, status, now, policy)
        case TimerDue():
            return _timer_due(payment, now, policy)
        case _:
            assert_never(event)


_OUTCOME_OF: dict[type[Event], Call] = {
    PayAnswered: Call.PAY,
    PayUnanswered: Call.PAY,
    PayNeverLeft: Call.PAY,
    PayRefusedUnsigned: Call.PAY,
    InquiryAnswered: Call.INQUIRY,
    InquiryRefused: Call.INQUIRY,
    InquiryUnanswered: Call.INQUIRY,
    CancelAnswered: Call.CANCEL,
    CancelUnanswered: Call.CANCEL,
    RefundAnswered: Call.REFUND,
    RefundUnanswered: Call.REFUND,
}
"""Which call a fact is the outcome of. Where it stands below, that call is awaited."""


def _unawaited(payment: Payment, event: Event, now: datetime, policy: Policy) -> Step:
    """The outcome of a call that nobody awaits: a repeat, another driver's, one that counted as
    lost.

    It never moves the plan. What it reports of the money is heard all the same.
    """
    match event:
        case InquiryAnswered(report):
            return _reported(payment, report, now, policy)
        case PayAnswered(report):
            if report.outcome is Outcome.FAILURE and payment.status is not Status.SUCCEEDED:
                # The refusal of one send says nothing of another one.
                return Step(payment)
            return _reported(payment, report, now, policy)
        case CancelAnswered(Outcome.SUCCESS, _) if payment.was_reopened:
            # The network said so before it reported a success; only a new answer counts.
            return Step(payment)
        case CancelAnswered(Outcome.SUCCESS, _) | RefundAnswered(Outcome.SUCCESS, _):
            if payment.status in (Status.CANCELLING, Status.UNRESOLVED):
                if isinstance(event, CancelAnswered):
                    return _cancelled_there(payment, now, policy)
                return _finish(changed(payment, was_refunded_there=True), Status.CANCELLED, now)
            if payment.status is Status.SUCCEEDED:
                alert = Alert("the network gave back the money of a payment that succeeded here")
                return Step(payment, (alert,))
            return Step(payment)
        case _:
            return Step(payment)


# --- The outcome of a pay call: awaited while PENDING, and by a cancel that waits for it


def _pay_answered(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    heard = _heard(payment)
    if payment.status is Status.CANCELLING:
        return _give_back(_with_success(heard, report), report, now, policy)
    match report.outcome:
        case Outcome.SUCCESS:
            return _reported(heard, report, now, policy)
        case Outcome.FAILURE:
            return _pay_failed(heard, report, now, policy)
        case Outcome.UNKNOWN:
            noted = _noted(heard, report)
            if report.code == PAYMENT_IN_PROCESS:
                return _ask_later(noted, now, policy)
            return _pay_later(noted, now, policy)
        case _:
            assert_never(report.outcome)


def _pay_failed(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    meaning = meaning_of(report.code, Outcome.FAILURE)
    alerts = _alert_if(meaning.alert, f"pay was refused with {report.code}")
    is_first_word = payment.sends_open <= 1
    if report.code == REPEAT_REQ_INCONSISTENT:
        # Something of ours stands at the network under this id, with other content: never send it
        # again.
        noted = changed(_noted(payment, report), may_resend=False)
        return _and(_ask_soon(noted, now, policy), *alerts)
    if is_first_word and meaning.judges is not Judges.NOTHING and not payment.was_reported_paid:
        return _and(_finish(_noted(payment, report), Status.FAILED, now), *alerts)
    # An earlier send is unanswered, or a success was reported that did not count yet: a resend may
    # be refused for a code that the first one already used, and a refused message says nothing
    # about it. The inquiry decides.
    aside = changed(payment, refused_code=report.code)
    if meaning.judges is Judges.MESSAGE:
        aside = changed(payment, may_resend=False)
    return _and(_ask_soon(aside, now, policy), *alerts)


def _pay_unanswered(payment: Payment, now: datetime, policy: Policy) -> Step:
    if payment.status is Status.CANCELLING:
        return _cancel_now(payment, now, policy)
    return _pay_later(_heard(payment), now, policy)


def _pay_never_left(payment: Payment, now: datetime, policy: Policy) -> Step:
    counted = changed(_heard(payment), sends_never_left=payment.sends_never_left + 1)
    if payment.status is not Status.CANCELLING:
        return _pay_later(counted, now, policy)
    if counted.sends_open == 0:
        return _finish(counted, Status.CANCELLED, now)
    return _cancel_now(counted, now, policy)


def _pay_refused_unsigned(payment: Payment, code: str, now: datetime, policy: Policy) -> Step:
    alert = Alert(f"the network answered {code} without a signature: check keys and client id")
    if payment.status is Status.CANCELLING:
        return _and(_cancel_now(payment, now, policy), alert)
    heard = changed(_heard(payment), may_resend=False, result_code=code)
    return _and(_ask_later(heard, now, policy), alert)


# --- The outcome of an inquiry: awaited while PENDING, UNRESOLVED, and CANCELLING after the window


def _inquiry_answered(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    heard = _heard(payment)
    if payment.status is Status.CANCELLING:
        return _closing_told(heard, report, now, policy)
    if payment.status is Status.CANCELLED:
        return _looked_again(heard, report, now, policy)
    match report.outcome:
        case Outcome.SUCCESS | Outcome.FAILURE:
            taken = _reported(heard, report, now, policy)
            if taken.payment.status is Status.UNRESOLVED:
                return _and(_ask_later(taken.payment, now, policy), *taken.effects)
            return taken
        case Outcome.UNKNOWN:
            noted = _noted(heard, report) if heard.status is Status.PENDING else heard
            return _ask_later(noted, now, policy)
        case _:
            assert_never(report.outcome)


def _looked_again(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    """The one look after a cancel that was confirmed early."""
    if report.outcome is Outcome.UNKNOWN:
        alive = changed(payment, was_reopened=True)
        return _and(
            _cancel_now(_anew(alive), now, policy),
            Alert("alive at the network after its cancel was confirmed: cancelling once more"),
        )
    taken = _reported(payment, report, now, policy)
    if taken.payment.status is not Status.CANCELLED:
        return taken
    return _and(_at_rest(taken.payment), *taken.effects)


def _at_rest(payment: Payment) -> Step:
    return Step(
        changed(payment, calling=None, closing_since=None, next_action=None, next_action_at=None)
    )


def _inquiry_refused(payment: Payment, code: str, now: datetime, policy: Policy) -> Step:
    heard = _heard(payment)
    if code == ORDER_NOT_EXIST and heard.status is Status.CANCELLED:
        return _at_rest(heard)
    if code != ORDER_NOT_EXIST:
        alert = Alert(f"the network refused an inquiry with {code}")
        return _and(_ask_later(heard, now, policy), alert)
    is_old = now >= _no_pay_on_its_way_at(payment, policy)
    if heard.status is Status.CANCELLING and heard.was_cancelled_there and is_old:
        # The cancel was answered S before, and now the network knows nothing to pay: it is closed.
        # Earlier it may only not know it yet.
        return _finish(heard, Status.CANCELLED, now)
    if heard.status is not Status.PENDING or heard.has_asked_last:
        return _ask_later(heard, now, policy)
    if heard.refused_code is not None:
        # The resend was refused and the first send never became an order: close it; its reason
        # stays.
        return _cancel_now(heard, now, policy)
    return _pay_later(heard, now, policy) if heard.may_resend else _ask_later(heard, now, policy)


# --- What any source reports of the money


def _reported(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    match report.outcome:
        case Outcome.SUCCESS:
            return _reported_paid(payment, report, now, policy)
        case Outcome.FAILURE:
            return _reported_not_paid(payment, report, now, policy)
        case Outcome.UNKNOWN:
            return Step(payment)
        case _:
            assert_never(report.outcome)


def _reported_paid(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    match payment.status:
        case Status.PENDING:
            return _paid_while_pending(payment, report, now, policy)
        case Status.SUCCEEDED:
            return Step(payment, _contradictions(payment, report))
        case Status.CANCELLING:
            # Only the cancel's answer ends it; the receipt is kept for a refund.
            noted = _with_success(payment, report)
            if payment.calling is Call.INQUIRY and not report.is_cancelled:
                # The network may have judged that question before the money moved: ask anew.
                return _ask_later(noted, now, policy)
            return Step(noted)
        case Status.FAILED | Status.CANCELLED:
            if report.is_cancelled or _was_given_back(payment, report):
                return Step(payment)
            # The till was told that nothing is charged, so the customer's money must go back.
            told = payment.status.value
            reopened = changed(_with_success(payment, report), was_reopened=True)
            return _and(
                _give_back(_anew(reopened), report, now, policy),
                Alert(f"paid at the network after it ended {told} here: giving the money back"),
            )
        case Status.UNRESOLVED:
            if report.is_cancelled:
                return _finish(_noted(payment, report), Status.CANCELLED, now)
            if (wrong := _wrong_in(payment, report)) is not None:
                return Step(payment, (Alert(f"a success was reported with {wrong}"),))
            if payment.was_refunded_there:
                return Step(payment, (Alert(_PAID_TWICE),))
            return _and(
                _refund_now(_with_success(payment, report), now, policy),
                TellTill(),
                Alert("an unresolved payment is paid at the network: giving the money back"),
            )
        case _:
            assert_never(payment.status)


_PAID_TWICE = "it is paid once more after it was refunded in full"


def _was_given_back(payment: Payment, report: Report) -> bool:
    """Whether the reported success is the one that our refund has given back: it stays a success
    there.
    """
    mine, theirs = payment.receipt.payment_id, report.receipt.payment_id
    return payment.was_refunded_there and (theirs is None or theirs == mine)


def _contradictions(payment: Payment, report: Report) -> tuple[Alert, ...]:
    """What is wrong with another success of a payment that succeeded already."""
    mine, theirs = payment.receipt.payment_id, report.receipt.payment_id
    return (
        *_alert_if(report.is_cancelled, "the network shows a cancel that we never sent"),
        *_alert_if(
            bool(mine and theirs and mine != theirs),
            f"a second success came with paymentId {theirs}",
        ),
        *_alert_if(
            report.amount not in (None, payment.order.amount),
            f"a second success came with {report.amount}",
        ),
    )


def _paid_while_pending(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    if report.is_cancelled:
        alert = Alert("the network shows a cancel that we never sent")
        return _and(_cancel_now(_with_receipt(payment, report), now, policy), alert)
    wrong = _wrong_in(payment, report)
    if wrong is None and report.amount is None:
        # A success without an amount is never enough: the next answer has to name it.
        return _ask_soon(changed(payment, was_reported_paid=True), now, policy)
    if wrong is None:
        return _finish(_with_success(_noted(payment, report), report), Status.SUCCEEDED, now)
    seen = changed(
        payment,
        mismatches=payment.mismatches + 1,
        was_reported_paid=True,
        may_resend=False,
    )
    alert = Alert(f"a success was reported with {wrong}")
    if seen.mismatches > 1:
        return _and(_cancel_now(seen, now, policy), alert)
    return _and(_ask_soon(seen, now, policy), alert)


def _wrong_in(payment: Payment, report: Report) -> str | None:
    """What makes a reported success not the one that was asked for, in words."""
    if report.is_payment_id_taken:
        return f"paymentId {report.receipt.payment_id}, which another payment holds"
    if report.amount is not None and report.amount != payment.order.amount:
        return f"{report.amount} where {payment.order.amount} was asked for"
    return None


def _reported_not_paid(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    match payment.status:
        case Status.PENDING if payment.was_reported_paid:
            # Paid and not paid: whatever was taken goes back, and the cancel's answer says so.
            alert = Alert(
                f"a failure ({report.code}) was reported after a success that was unclear"
            )
            return _and(_cancel_now(_noted(payment, report), now, policy), alert)
        case Status.PENDING:
            alerts = _alert_if(
                meaning_of(report.code, Outcome.FAILURE).alert, f"the payment failed: {report.code}"
            )
            return _and(_finish(_noted(payment, report), Status.FAILED, now), *alerts)
        case Status.SUCCEEDED if payment.reserved == payment.order.amount.value:
            # Where a trade that is refunded in full counts as closed, this is our own refund.
            return Step(payment)
        case Status.SUCCEEDED:
            return Step(
                payment, (Alert(f"a failure ({report.code}) was reported after a success"),)
            )
        case Status.UNRESOLVED:
            return _finish(_noted(payment, report), Status.CANCELLED, now)
        case Status.CANCELLING | Status.FAILED | Status.CANCELLED:
            return Step(payment)
        case _:
            assert_never(payment.status)


# --- Closing


def _cancel_requested(payment: Payment, by: str, now: datetime, policy: Policy) -> Step:
    match payment.status:
        case Status.PENDING:
            asked = changed(payment, cancelled_by=by)
            if payment.sends_open == 0:
                return _finish(asked, Status.CANCELLED, now)
            if payment.calling is Call.PAY:
                # The cancel waits for the running pay call's answer or its time-out.
                closing = changed(
                    asked, status=Status.CANCELLING, next_action=Call.CANCEL, changed_at=now
                )
                return Step(closing, (TellTill(),))
            return _cancel_now(asked, now, policy)
        case Status.SUCCEEDED:
            if may_cancel(payment, now, policy) is not None:
                return Step(payment)
            asked = changed(payment, cancelled_by=by)
            if policy.paid_is_refunded:
                return _and(_refund_now(asked, now, policy), TellTill())
            return _cancel_now(asked, now, policy)
        case Status.CANCELLING | Status.CANCELLED | Status.FAILED | Status.UNRESOLVED:
            return Step(payment)
        case _:
            assert_never(payment.status)


def may_cancel(payment: Payment, now: datetime, policy: Policy) -> str | None:
    """Why a till may not cancel this payment, in words; None when it may or has no need to.

    A paid one is cancelled or refunded, never both: "once refunded, no cancel" (Antom "Cancel").
    """
    if payment.status is Status.UNRESOLVED:
        return "Nobody could say whether it is paid; the acquirer's operator decides."
    return why_not_cancel(payment, now, policy)


def _cancel_answered(
    payment: Payment, outcome: Outcome, code: str, now: datetime, policy: Policy
) -> Step:
    match outcome:
        case Outcome.SUCCESS if payment.was_reopened:
            # It had ended and was reported paid after that: one more look before believing it.
            confirmed = changed(payment, was_cancelled_there=True)
            return _ask_whether_paid(confirmed, now, policy)
        case Outcome.SUCCESS:
            return _cancelled_there(payment, now, policy)
        case Outcome.UNKNOWN:
            return _cancel_later(payment, now, policy)
        case Outcome.FAILURE if code == CANCEL_WINDOW_EXCEED:
            return _ask_whether_paid(payment, now, policy)
        case Outcome.FAILURE if code == ORDER_NOT_EXIST and not payment.was_reported_paid:
            # A pay may still be on its way, so "no such order" counts only when none can be.
            counts_at = _no_pay_on_its_way_at(payment, policy)
            if now >= counts_at:
                return _finish(payment, Status.CANCELLED, now)
            at = min(now + policy.cancel_wait(payment.cancels), counts_at)
            return Step(_planned(payment, Call.CANCEL, at))
        case Outcome.FAILURE if _cancel_left_late(payment, policy):
            return _ask_whether_paid(payment, now, policy)
        case Outcome.FAILURE:
            # Slowly, but once as soon as the window is over: the network's clock decides.
            at, over = now + policy.cancel_refused_repeat, _window_of(payment, policy)
            refused = _planned(payment, Call.CANCEL, over if now < over < at else at)
            return Step(refused, (Alert(f"the network refused a cancel with {code}"),))
        case _:
            assert_never(outcome)


def _anew(payment: Payment) -> Payment:
    """It ended, and there is something to be given back all the same."""
    return changed(payment, closing=Closing.BY_CANCEL, closing_since=None)


def _give_back(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    """What the network wants for a payment of which it just said this: a cancel, or, where cancels
    are for unknown results only, a refund of what is known to be paid as asked.

    Nothing else is refunded: of a success that is unclear, or once a refund was confirmed, only a
    cancel says what became of the money.
    """
    is_known = report.outcome is Outcome.SUCCESS and not report.is_cancelled
    is_clear = report.amount is not None and _wrong_in(payment, report) is None
    if policy.paid_is_refunded and is_known and is_clear and not payment.was_refunded_there:
        told = () if payment.status is Status.CANCELLING else (TellTill(),)
        return _and(_refund_now(payment, now, policy), *told)
    return _cancel_now(payment, now, policy)


def _cancel_now(payment: Payment, now: datetime, policy: Policy) -> Step:
    closing = changed(
        payment,
        status=Status.CANCELLING,
        cancels=payment.cancels + 1,
        calling=Call.CANCEL,
        next_action=Call.CANCEL,
        next_action_at=now + policy.cancel_timeout + policy.outcome_grace,
        changed_at=now if payment.status is not Status.CANCELLING else payment.changed_at,
    )
    if payment.status is Status.CANCELLING:
        return Step(closing, (SendCancel(),))
    return Step(closing, (SendCancel(), TellTill()))


def _cancelled_there(payment: Payment, now: datetime, policy: Policy) -> Step:
    """The network confirmed the cancel: the till is told."""
    return _closed_there(changed(payment, was_cancelled_there=True), now, policy)


def _closed_there(payment: Payment, now: datetime, policy: Policy) -> Step:
    """The network said that it is closed, after a cancel.

    It may have confirmed the cancel of an order that it does not know, and take a pay that is
    still on its way. Whether that happened is asked once, when none can be any more.
    """
    done = _finish(payment, Status.CANCELLED, now)
    look_at = _no_pay_on_its_way_at(payment, policy)
    if now >= look_at:
        return done
    return Step(_looking_again(done.payment, look_at), done.effects)


def _looking_again(payment: Payment, at: datetime) -> Payment:
    return changed(
        payment, inquiries=0, closing_since=at, next_action=Call.INQUIRY, next_action_at=at
    )


def _no_pay_on_its_way_at(payment: Payment, policy: Policy) -> datetime:
    return payment.order.placed_at + policy.unknown_cancel_limit


def _cancel_later(payment: Payment, now: datetime, policy: Policy) -> Step:
    if _cancel_left_late(payment, policy):
        return _ask_whether_paid(payment, now, policy)
    return Step(_planned(payment, Call.CANCEL, now + policy.cancel_wait(payment.cancels)))


def _window_of(payment: Payment, policy: Policy) -> datetime:
    return policy.cancel_until(payment.order.placed_at)


def _cancel_left_late(payment: Payment, policy: Policy) -> bool:
    """Whether the awaited cancel left after the window closed by our clock.

    The network's clock decides, so one cancel always goes out after that moment.
    """
    assert payment.next_action_at is not None
    left_at = payment.next_action_at - policy.cancel_timeout - policy.outcome_grace
    return left_at >= policy.cancel_until(payment.order.placed_at)


# --- Closing after the cancel window: is it paid? Then it is refunded in full


def _ask_whether_paid(payment: Payment, now: datetime, policy: Policy) -> Step:
    return _ask_now(
        changed(payment, closing=Closing.ASKING, closing_since=now, inquiries=0, refunds=0),
        now,
        policy,
    )


def _closing_told(payment: Payment, report: Report, now: datetime, policy: Policy) -> Step:
    """An inquiry's answer while CANCELLING: only where it was asked for does it lead on."""
    match report.outcome:
        case Outcome.SUCCESS if report.is_cancelled:
            return _closed_there(_with_receipt(payment, report), now, policy)
        case Outcome.SUCCESS if (wrong := _wrong_in(payment, report)) is not None:
            # What is to be given back is not clear: a person has to look.
            return _give_up(payment, f"a success was reported with {wrong}", now, policy)
        case Outcome.SUCCESS if payment.was_refunded_there:
            return _give_up(payment, _PAID_TWICE, now, policy)
        case Outcome.SUCCESS:
            return _refund_now(_with_success(payment, report), now, policy)
        case Outcome.FAILURE:
            return _closed_there(_with_receipt(payment, report), now, policy)
        case Outcome.UNKNOWN:
            return _ask_later(payment, now, policy)
        case _:
            assert_never(report.outcome)


def refund_request_id(payment: Payment) -> str:
    """The id of the one refund in full that closing may need: derived, so it is saved before it is
    sent.

    As long as the payment's own id; unique because that is.
    """
    return f"rev_{payment.payment_request_id.removeprefix('pay_')}"


def _refund_now(payment: Payment, now: datetime, policy: Policy) -> Step:
    is_first = payment.refunds == 0 or payment.closing_since is None
    refunding = changed(
        payment,
        status=Status.CANCELLING,
        changed_at=now if payment.status is not Status.CANCELLING else payment.changed_at,
        closing=Closing.BY_REFUND,
        closing_since=now if is_first else payment.closing_since,
        refunds=1 if is_first else payment.refunds + 1,
        calling=Call.REFUND,
        next_action=Call.REFUND,
        next_action_at=now + policy.refund_timeout + policy.outcome_grace,
    )
    return Step(refunding, (SendRefund(),))


def _refund_answered(
    payment: Payment, outcome: Outcome, code: str, now: datetime, policy: Policy
) -> Step:
    match outcome:
        case Outcome.SUCCESS:
            return _finish(changed(payment, was_refunded_there=True), Status.CANCELLED, now)
        case Outcome.UNKNOWN:
            return _refund_later(payment, now, policy)
        case Outcome.FAILURE:
            # Perhaps it is not paid (any more): the answer that said so may have been an old one.
            asking = changed(payment, closing=Closing.ASKING)
            refused = _ask_later(changed(asking, inquiries=payment.refunds), now, policy)
            return _and(refused, Alert(f"the network refused a refund with {code}"))
        case _:
            assert_never(outcome)


def _refund_later(payment: Payment, now: datetime, policy: Policy) -> Step:
    at = now + policy.closing_wait(payment.refunds)
    if _closing_took_too_long(payment, at, policy):
        return _give_up(payment, "it is paid and the refund was not confirmed", now, policy)
    return Step(_planned(payment, Call.REFUND, at))


def _closing_took_too_long(payment: Payment, at: datetime, policy: Policy) -> bool:
    return payment.closing_since is not None and at >= payment.closing_since + policy.closing_limit


def _give_up(payment: Payment, why: str, now: datetime, policy: Policy) -> Step:
    unresolved = changed(
        payment,
        status=Status.UNRESOLVED,
        calling=None,
        closing=Closing.BY_CANCEL,
        closing_since=None,
        next_action=Call.INQUIRY,
        next_action_at=now,
        changed_at=now,
    )
    asked = _ask_later(unresolved, now, policy)
    return Step(asked.payment, (TellTill(), Alert(f"unresolved: {why}")))


def may_resolve(payment: Payment, status: Status, now: datetime, policy: Policy) -> str | None:
    """Why an operator may not resolve this payment so, in words; None when it is allowed."""
    if status not in RESTING:
        return "a payment is resolved as SUCCEEDED, FAILED or CANCELLED"
    if payment.status is Status.CANCELLING and now < payment.changed_at + policy.operator_limit:
        return "it is being cancelled; give the network its time first"
    if payment.status not in (Status.UNRESOLVED, Status.CANCELLING):
        return f"it is {payment.status.value}: nothing is left to resolve"
    if status is Status.SUCCEEDED and not payment.holds_order:
        return "the till was told that it is not paid: give the money back instead"
    if status is Status.SUCCEEDED and payment.calling in (Call.CANCEL, Call.REFUND):
        return f"a {payment.calling.value} is on its way to the network: try again in a few seconds"
    return None


def _resolved(payment: Payment, status: Status, now: datetime, policy: Policy) -> Step:
    if may_resolve(payment, status, now, policy) is not None:
        return Step(payment)
    return _finish(payment, status, now)


# --- Time


def _timer_due(payment: Payment, now: datetime, policy: Policy) -> Step:
    if payment.next_action_at is None or now < payment.next_action_at:
        return Step(payment)
    match payment.status:
        case Status.PENDING:
            return _pending_due(payment, now, policy)
        case Status.CANCELLING:
            return _closing_due(payment, now, policy)
        case Status.UNRESOLVED | Status.CANCELLED:
            return _ask_now(payment, now, policy)
        case Status.SUCCEEDED | Status.FAILED:
            return Step(payment)
        case _:
            assert_never(payment.status)


def _closing_due(payment: Payment, now: datetime, policy: Policy) -> Step:
    match payment.closing:
        case Closing.BY_CANCEL:
            return _cancel_now(payment, now, policy)
        case Closing.ASKING if not _closing_took_too_long(payment, now, policy):
            return _ask_now(payment, now, policy)
        case Closing.BY_REFUND if not _closing_took_too_long(payment, now, policy):
            return _refund_now(payment, now, policy)
        case Closing.ASKING | Closing.BY_REFUND:
            return _give_up(payment, "nothing explicit came in time", now, policy)
        case _:
            assert_never(payment.closing)


def _pending_due(payment: Payment, now: datetime, policy: Policy) -> Step:
    # A call that is still awaited now lost its outcome (a crash): whatever it was, it may have
    # arrived.
    placed_at, expires_at = payment.order.placed_at, payment.order.expires_at
    if payment.sends_open == 0 and now >= min(placed_at + policy.never_sent_limit, expires_at):
        return _finish(payment, Status.FAILED, now)
    if now >= expires_at:
        if payment.has_asked_last:
            return _cancel_now(payment, now, policy)
        return _ask_now(changed(payment, has_asked_last=True), now, policy)
    if payment.next_action is Call.PAY and payment.may_resend:
        return _pay_now(payment, now, policy)
    return _ask_now(payment, now, policy)


def _pay_now(payment: Payment, now: datetime, policy: Policy) -> Step:
    sent = changed(
        payment,
        sends=payment.sends + 1,
        calling=Call.PAY,
        next_action=Call.PAY,
        next_action_at=now + policy.pay_timeout + policy.outcome_grace,
    )
    return Step(sent, (SendPay(),))


def _pay_later(payment: Payment, now: datetime, policy: Policy) -> Step:
    """Send the identical pay again when its wait is over, while the code lives."""
    if not payment.may_resend:
        return _ask_later(payment, now, policy)
    at = now + policy.pay_wait(max(payment.sends, 1))
    if payment.sends_open == 0:
        at = min(at, payment.order.placed_at + policy.never_sent_limit)
    return _before_expiry(payment, Call.PAY, at, now, policy)


def _ask_now(payment: Payment, now: datetime, policy: Policy) -> Step:
    asked = changed(
        payment,
        inquiries=payment.inquiries + 1,
        calling=Call.INQUIRY,
        next_action=Call.INQUIRY,
        next_action_at=now + policy.inquiry_timeout + policy.outcome_grace,
    )
    return Step(asked, (SendInquiry(),))


def _ask_soon(payment: Payment, now: datetime, policy: Policy) -> Step:
    """Ask at once when nothing was asked yet and no call runs; else at the usual pace, so no
    storm.
    """
    if payment.calling is None and payment.inquiries == 0:
        return _ask_now(payment, now, policy)
    wait = policy.inquiry_wait(payment.inquiries)
    at = payment.order.expires_at if wait is None else now + wait
    if payment.next_action is Call.INQUIRY and payment.next_action_at is not None:
        # An inquiry that is planned already is not put off by hearing the same again.
        at = min(at, payment.next_action_at)
    return _before_expiry(payment, Call.INQUIRY, at, now, policy)


def _ask_later(payment: Payment, now: datetime, policy: Policy) -> Step:
    match payment.status:
        case Status.PENDING:
            wait = policy.inquiry_wait(payment.inquiries)
            at = payment.order.expires_at if wait is None else now + wait
            return _before_expiry(payment, Call.INQUIRY, at, now, policy)
        case Status.UNRESOLVED | Status.CANCELLED:
            if now >= payment.order.placed_at + policy.unresolved_limit:
                return _at_rest(payment)
            return Step(_planned(payment, Call.INQUIRY, now + _look_wait(payment, now, policy)))
        case Status.CANCELLING:
            at = now + policy.closing_wait(max(payment.inquiries, 1))
            if _closing_took_too_long(payment, at, policy):
                return _give_up(payment, "nobody could say whether it is paid", now, policy)
            return Step(_planned(payment, Call.INQUIRY, at))
        case Status.SUCCEEDED | Status.FAILED:
            return Step(payment)
        case _:
            assert_never(payment.status)


def _look_wait(payment: Payment, now: datetime, policy: Policy) -> timedelta:
    """How long until an ended or unresolved payment is asked about once more."""
    if payment.closing_since is None or _closing_took_too_long(payment, now, policy):
        return policy.unresolved_inquiry
    return policy.closing_wait(max(payment.inquiries, 1))


def _before_expiry(
    payment: Payment, action: Call, at: datetime, now: datetime, policy: Policy
) -> Step:
    """Plan an action of a PENDING payment; nothing is planned beyond its expiry but the last
    inquiry.
    """
    if payment.calling is not None:
        # Another call runs: its outcome, or its being lost, plans the next one.
        return Step(payment)
    if payment.has_asked_last:
        # The cancel follows the last inquiry with no gap.
        return _cancel_now(payment, now, policy)
    if at >= payment.order.expires_at:
        action, at = Call.INQUIRY, payment.order.expires_at
    return Step(_planned(payment, action, at))


def _planned(payment: Payment, action: Call, at: datetime) -> Payment:
    return changed(payment, calling=None, next_action=action, next_action_at=at)


# --- Small parts


def _heard(payment: Payment) -> Payment:
    """The awaited call has its outcome."""
    return changed(payment, calling=None)


def _noted(payment: Payment, report: Report) -> Payment:
    return changed(
        _with_receipt(payment, report), result_code=report.code, result_message=report.message
    )


def _with_success(payment: Payment, report: Report) -> Payment:
    """Remember that the network called it paid: "no such order" proves nothing after that."""
    if report.outcome is not Outcome.SUCCESS or report.is_cancelled:
        return _with_receipt(payment, report)
    return changed(_with_receipt(payment, report), was_reported_paid=True)


def _with_receipt(payment: Payment, report: Report) -> Payment:
    """Keep what the network tells: the newest word of each field, unless the id is somebody
    else's.
    """
    if report.is_payment_id_taken:
        return payment
    old, new = payment.receipt, report.receipt
    merged = Receipt(
        payment_id=new.payment_id or old.payment_id,
        paid_at=new.paid_at or old.paid_at,
        wallet=new.wallet or old.wallet,
        customer_id=new.customer_id or old.customer_id,
        psp_id=new.psp_id or old.psp_id,
        acquirer_id=new.acquirer_id or old.acquirer_id,
    )
    return payment if merged == old else changed(payment, receipt=merged)


def _finish(payment: Payment, status: Status, now: datetime) -> Step:
    done = changed(
        payment,
        status=status,
        is_final=True,
        holds_order=payment.holds_order and status is Status.SUCCEEDED,
        calling=None,
        closing=Closing.BY_CANCEL,
        closing_since=None,
        next_action=None,
        next_action_at=None,
        changed_at=now,
    )
    return Step(done, (TellTill(),))


def _and(taken: Step, *effects: Effect) -> Step:
    return Step(taken.payment, (*taken.effects, *effects))


def _alert_if(condition: bool, reason: str) -> tuple[Alert, ...]:
    return (Alert(reason),) if condition else ()


def next_step(payment: Payment) -> NextStep:
    """The one table of what the till does, by status and result code."""
    match payment.status:
        case Status.PENDING:
            known = MEANINGS.get(payment.result_code or "")
            if known and (known.outcome is Outcome.UNKNOWN or known.judges is Judges.MESSAGE):
                return known.next_step
            is_plain = payment.result_code is None and payment.sends <= 1 and not payment.mismatches
            return NextStep.WAIT if is_plain else NextStep.WAIT_DO_NOT_CHARGE_AGAIN
        case Status.CANCELLING:
            is_settled = payment.is_final and not payment.holds_order
            return NextStep.NONE if is_settled else NextStep.WAIT_DO_NOT_CHARGE_AGAIN
        case Status.SUCCEEDED:
            return NextStep.NONE
        case Status.FAILED:
            if payment.sends_open == 0:
                return NextStep.TRY_AGAIN
            return _over(payment.result_code or "")
        case Status.CANCELLED:
            if payment.cancelled_by is not None:
                return NextStep.NONE
            if payment.refused_code is not None:
                return _over(payment.refused_code)
            return NextStep.SHOW_NEW_CODE
        case Status.UNRESOLVED:
            return NextStep.CALL_SUPPORT
        case _:
            assert_never(payment.status)


def _over(code: str) -> NextStep:
    """What to do after a payment that ended with this code: never to wait for it."""
    told = meaning_of(code, Outcome.FAILURE).next_step
    return NextStep.CALL_SUPPORT if told is NextStep.WAIT_DO_NOT_CHARGE_AGAIN else told


def expiry(placed_at: datetime, requested: timedelta | None, policy: Policy) -> datetime:
    """Final expiry of an order: the earlier of what was requested and the network's own limit.

    Source: the guide, table "paymentExpiryTime" (absent, exactly or more than one minute: one
        minute).
    """
    life = policy.order_life if requested is None else min(requested, policy.order_life)
    return placed_at + life

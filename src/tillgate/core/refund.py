"""The life of a refund that a merchant asked for: what is true of the money, and what to do next.

The same shape as `core/payment.py`: `open_refund` makes one, `refund_step` takes one fact and
returns the next refund with the effects to perform, after it was saved. The payment reserved the
amount in the commit that opened the refund, so the sum of all refunds never exceeds it.

What is unknown stays unknown: the identical refund goes out again under the same id, which the
network takes once ("Timeout or U: retry with the same refundRequestId", Alipay+ refund), and in
between it is asked whether it is among the payment's `transactions`; Alipay+ has no inquiry of its
own for refunds. That it is not listed proves little, and the refusal of one send says nothing of
the sends before it. So a refund of which a byte may have left fails only by a signed word that is
about all of them: the refusal of its only send; its entry as failed, once nothing sent can be on
its way any more; or, then, a network that lists every refund and does not list this one after it
refused it. The first final result wins.

`refund_step` is total and never raises. Its rows are literals in tests/core/test_refund.py.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from tillgate.core.model import Alert, Call, Payment, TellTill, TimerDue
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.refund_model import (
    ENDED,
    GiveBack,
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    LookUp,
    Refund,
    RefundEffect,
    RefundEvent,
    RefundReport,
    RefundRequestId,
    RefundResolved,
    RefundStatus,
    RefundStep,
    SendAnswered,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)
from tillgate.core.refunding import utc_text
from tillgate.core.results import REPEAT_REQ_INCONSISTENT, Judges, Outcome, meaning_of


def open_refund(
    refund_request_id: RefundRequestId,
    payment: Payment,
    amount: Money,
    reason: str | None,
    requested_by: str,
    now: datetime,
    policy: Policy,
) -> RefundStep:
    """The first state: PENDING with its first send counted, to be saved before it leaves, together
    with the payment's `RefundReserved`.
    """
    refund = Refund(
        refund_request_id=refund_request_id,
        payment_request_id=payment.payment_request_id,
        merchant_id=payment.order.merchant_id,
        connector=payment.order.connector,
        payment_id=payment.receipt.payment_id,
        amount=amount,
        reason=reason,
        requested_by=requested_by,
        opened_at=now,
        status=RefundStatus.PENDING,
        version=1,
        sends=1,
        sent_at=now,
        calling=Call.REFUND,
        next_action=Call.REFUND,
        next_action_at=now + policy.refund_timeout + policy.outcome_grace,
        changed_at=now,
    )
    return RefundStep(refund, (GiveBack(),))


def refund_step(
    refund: Refund, event: RefundEvent, now: datetime, policy: Policy, *, is_awaited: bool = True
) -> RefundStep:
    """Apply one fact.

    Args:
        refund: as last saved.
        event: what happened.
        now: aware UTC.
        policy: the connector's numbers.
        is_awaited: False for the outcome of a call that is known not to be the awaited one
            (`is_refund_call_of`); of another kind than the awaited it is seen here.

    Returns:
        The next refund, its `version` one higher when anything changed, and the effects. The very
        same object and no effects when the fact adds nothing.

    Never raises.
    """
    call = _OUTCOME_OF.get(type(event))
    if call is not None and not (is_awaited and refund.calling is call):
        taken = _unawaited(refund, event, now, policy)
    else:
        taken = _apply(refund, event, now, policy)
    if taken.refund == refund and not taken.effects:
        return RefundStep(refund)
    return RefundStep(replace(taken.refund, version=refund.version + 1), taken.effects)


def is_refund_call_of(asked: Refund, refund: Refund) -> bool:
    """Whether a call that left when the refund was saved as `asked` is the one it awaits now."""
    return refund.calling is not None and asked.next_action_at == refund.next_action_at


def may_resolve_refund(
    refund: Refund, status: RefundStatus, now: datetime, policy: Policy
) -> str | None:
    """Why an operator may not resolve this refund so, in words; None when it is allowed.

    As FAILED only when nothing that was sent can arrive any more: what the operator saw at the
    network may be from before.
    """
    if status not in ENDED:
        return "a refund is resolved as SUCCEEDED or FAILED"
    if refund.status is not RefundStatus.UNRESOLVED:
        return f"it is {refund.status.value}: nothing is left to resolve"
    quiet_at = _quiet_at(refund, policy)
    if status is RefundStatus.FAILED and now < quiet_at:
        return (
            f"it was sent to the network at {utc_text(refund.sent_at)}: look there once more"
            f" after {utc_text(quiet_at)}"
        )
    return None


def _apply(refund: Refund, event: RefundEvent, now: datetime, policy: Policy) -> RefundStep:
    match event:
        case SendAnswered(report):
            return _send_answered(_heard(refund), report, now, policy)
        case SendUnanswered():
            return _again(_heard(refund), now, policy)
        case SendNeverLeft():
            left = replace(_heard(refund), sends_never_left=refund.sends_never_left + 1)
            return _again(left, now, policy)
        case SendRefusedUnsigned(code):
            alert = Alert(f"the network answered {code} without a signature: check keys and ids")
            heard = replace(_heard(refund), result_code=code)
            return _and(_later(heard, Call.INQUIRY, now, policy), alert)
        case LookAnswered(report):
            return _look_answered(_heard(refund), report, now, policy)
        case LookFoundNothing():
            return _not_listed(_heard(refund), now, policy)
        case LookRefused(code):
            alert = Alert(f"the network refused an inquiry about a refund with {code}")
            return _and(_later(_heard(refund), _resend_or_ask(refund), now, policy), alert)
        case LookUnanswered():
            return _later(_heard(refund), _resend_or_ask(refund), now, policy)
        case RefundResolved(status):
            if may_resolve_refund(refund, status, now, policy) is not None:
                return RefundStep(refund)
            return _finish(refund, status, now)
        case TimerDue():
            return _timer_due(refund, now, policy)
        case _:
            assert_never(event)


_OUTCOME_OF: dict[type[RefundEvent], Call] = {
    SendAnswered: Call.REFUND,
    SendUnanswered: Call.REFUND,
    SendNeverLeft: Call.REFUND,
    SendRefusedUnsigned: Call.REFUND,
    LookAnswered: Call.INQUIRY,
    LookFoundNothing: Call.INQUIRY,
    LookRefused: Call.INQUIRY,
    LookUnanswered: Call.INQUIRY,
}
"""Which call a fact is the outcome of."""


def _unawaited(refund: Refund, event: RefundEvent, now: datetime, policy: Policy) -> RefundStep:
    """The outcome of a call that nobody awaits: only a success is heard, and contradictions."""
    match event:
        case SendAnswered(report) | LookAnswered(report):
            if refund.is_final:
                return RefundStep(refund, _contradiction(refund, report))
            if report.outcome is Outcome.SUCCESS:
                return _told_done(refund, report, now, policy)
            return RefundStep(refund)
        case _:
            return RefundStep(refund)


def _contradiction(refund: Refund, report: RefundReport) -> tuple[RefundEffect, ...]:
    """What is wrong with a report about a refund that ended."""
    is_done = refund.status is RefundStatus.SUCCEEDED
    match report.outcome:
        case Outcome.SUCCESS if not is_done:
            told = "done"
        case Outcome.SUCCESS if report.amount not in (None, refund.amount):
            told = f"done with {report.amount}"
        case Outcome.FAILURE if is_done:
            told = f"refused ({report.code})"
        case Outcome.SUCCESS | Outcome.FAILURE | Outcome.UNKNOWN:
            return ()
        case _:
            assert_never(report.outcome)
    return (Alert(f"a refund was reported {told} after it ended {refund.status.value} here"),)


# --- What the network says of it


def _send_answered(
    refund: Refund, report: RefundReport, now: datetime, policy: Policy
) -> RefundStep:
    match report.outcome:
        case Outcome.SUCCESS:
            return _told_done(refund, report, now, policy)
        case Outcome.FAILURE:
            return _refused(refund, report, now, policy)
        case Outcome.UNKNOWN:
            return _again(_noted(refund, report), now, policy)
        case _:
            assert_never(report.outcome)


def _look_answered(
    refund: Refund, report: RefundReport, now: datetime, policy: Policy
) -> RefundStep:
    match report.outcome:
        case Outcome.SUCCESS:
            return _told_done(refund, report, now, policy)
        case Outcome.FAILURE if refund.sends_open <= 1 or now >= _quiet_at(refund, policy):
            return _finish(_noted(refund, report), RefundStatus.FAILED, now)
        case Outcome.FAILURE:
            # It failed, and an earlier send may still arrive: look once more when none can.
            aside = replace(_noted(refund, report), refused_code=report.code)
            return _ask_at(aside, _quiet_at(refund, policy), now, policy)
        case Outcome.UNKNOWN:
            return _later(_noted(refund, report), Call.INQUIRY, now, policy)
        case _:
            assert_never(report.outcome)


def _told_done(refund: Refund, report: RefundReport, now: datetime, policy: Policy) -> RefundStep:
    if report.amount is not None and report.amount != refund.amount:
        alert = Alert(f"{report.amount} was reported as refunded instead of {refund.amount}")
        return _and(_give_up(replace(refund, may_resend=False), now, policy), alert)
    return _finish(_noted(refund, report), RefundStatus.SUCCEEDED, now)


def _refused(refund: Refund, report: RefundReport, now: datetime, policy: Policy) -> RefundStep:
    meaning = meaning_of(report.code, Outcome.FAILURE)
    is_only = refund.sends_open <= 1
    # Said once: the identical refund goes out again, and is refused again.
    is_news = (meaning.alert or not is_only) and report.code != refund.result_code
    alerts = (Alert(f"a refund was refused with {report.code}"),) if is_news else ()
    noted = _noted(refund, report)
    if report.code == REPEAT_REQ_INCONSISTENT:
        aside = replace(noted, refused_code=report.code, may_resend=False)
        return _and(_later(aside, Call.INQUIRY, now, policy), *alerts)
    if is_only and meaning.judges is not Judges.NOTHING:
        return _and(_finish(noted, RefundStatus.FAILED, now), *alerts)
    if is_only or policy.lists_every_refund:
        aside = replace(noted, refused_code=report.code)
        return _and(_later(aside, Call.INQUIRY, now, policy), *alerts)
    return _and(_again(noted, now, policy), *alerts)


def _not_listed(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    if refund.refused_code not in (None, REPEAT_REQ_INCONSISTENT):
        quiet_at = _quiet_at(refund, policy)
        if now >= quiet_at:
            return _finish(refund, RefundStatus.FAILED, now)
        return _ask_at(refund, quiet_at, now, policy)
    if refund.may_resend and refund.status is RefundStatus.UNRESOLVED:
        return _send_now(refund, now, policy)
    return _later(refund, _resend_or_ask(refund), now, policy)


def _quiet_at(refund: Refund, policy: Policy) -> datetime:
    """When nothing that was sent can arrive any more."""
    return refund.sent_at + policy.refund_settles


# --- Time


def _timer_due(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    if refund.next_action_at is None or now < refund.next_action_at:
        return RefundStep(refund)
    # A call that is still awaited now lost its outcome (a crash): it may have arrived.
    is_asking = refund.calling is Call.INQUIRY
    if refund.status is RefundStatus.UNRESOLVED:
        if is_asking or refund.calling is Call.REFUND:
            return _later(_heard(refund), Call.INQUIRY, now, policy)
        return _ask_now(refund, now, policy)
    if now < _limit_of(refund, policy):
        if refund.next_action is Call.REFUND and _resend_or_ask(refund) is Call.REFUND:
            return _send_now(refund, now, policy)
        return _ask_now(refund, now, policy)
    if refund.sends_open == 0 or is_asking:
        return _over_time(refund, now, policy)
    return _ask_now(refund, now, policy)


def _limit_of(refund: Refund, policy: Policy) -> datetime:
    return refund.opened_at + policy.closing_limit


def _over_time(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    if refund.sends_open == 0:
        return _finish(refund, RefundStatus.FAILED, now)
    return _give_up(refund, now, policy)


def _again(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    """After a send that nobody answered: the identical one, or, every other time, a question."""
    is_turn_to_ask = refund.sends_open > 0 and refund.sends % 2 == 0
    action = Call.INQUIRY if is_turn_to_ask else _resend_or_ask(refund)
    return _later(refund, action, now, policy)


def _resend_or_ask(refund: Refund) -> Call:
    may_send = refund.may_resend and refund.refused_code is None
    return Call.REFUND if may_send else Call.INQUIRY


def _later(refund: Refund, action: Call, now: datetime, policy: Policy) -> RefundStep:
    if refund.status is RefundStatus.UNRESOLVED:
        if now >= refund.opened_at + policy.unresolved_limit:
            alert = Alert(
                "an unresolved refund is not asked about any more: a person has to end it"
            )
            return RefundStep(_planned(refund, None, None), (alert,))
        return RefundStep(_planned(refund, Call.INQUIRY, now + policy.unresolved_inquiry))
    at = now + policy.closing_wait(max(refund.sends + refund.inquiries, 1))
    if at >= _limit_of(refund, policy):
        return _over_time(refund, now, policy)
    return RefundStep(_planned(refund, action, at))


def _ask_at(refund: Refund, at: datetime, now: datetime, policy: Policy) -> RefundStep:
    """Ask then, if that is inside its time; an unresolved one too, once."""
    if refund.status is RefundStatus.PENDING and at >= _limit_of(refund, policy):
        return _over_time(refund, now, policy)
    return RefundStep(_planned(refund, Call.INQUIRY, at))


def _send_now(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    sent = replace(
        refund,
        sends=refund.sends + 1,
        sent_at=now,
        calling=Call.REFUND,
        next_action=Call.REFUND,
        next_action_at=now + policy.refund_timeout + policy.outcome_grace,
    )
    return RefundStep(sent, (GiveBack(),))


def _ask_now(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    asked = replace(
        refund,
        inquiries=refund.inquiries + 1,
        calling=Call.INQUIRY,
        next_action=Call.INQUIRY,
        next_action_at=now + policy.inquiry_timeout + policy.outcome_grace,
    )
    return RefundStep(asked, (LookUp(),))


# --- Small parts


def _give_up(refund: Refund, now: datetime, policy: Policy) -> RefundStep:
    if refund.status is RefundStatus.UNRESOLVED:
        return _later(_heard(refund), Call.INQUIRY, now, policy)
    unresolved = replace(
        refund,
        status=RefundStatus.UNRESOLVED,
        calling=None,
        next_action=Call.INQUIRY,
        next_action_at=now + policy.unresolved_inquiry,
        changed_at=now,
    )
    alert = Alert("unresolved: nobody could say whether a refund was done")
    return RefundStep(unresolved, (TellTill(), alert))


def _finish(refund: Refund, status: RefundStatus, now: datetime) -> RefundStep:
    done = replace(
        refund,
        status=status,
        calling=None,
        next_action=None,
        next_action_at=None,
        changed_at=now,
    )
    return RefundStep(done, (TellTill(),))


def _planned(refund: Refund, action: Call | None, at: datetime | None) -> Refund:
    return replace(refund, calling=None, next_action=action, next_action_at=at)


def _heard(refund: Refund) -> Refund:
    return replace(refund, calling=None)


def _noted(refund: Refund, report: RefundReport) -> Refund:
    return replace(
        refund,
        result_code=report.code,
        result_message=report.message,
        refund_id=report.refund_id or refund.refund_id,
        refunded_at=report.refunded_at or refund.refunded_at,
    )


def _and(taken: RefundStep, *effects: RefundEffect) -> RefundStep:
    return RefundStep(taken.refund, (*taken.effects, *effects))

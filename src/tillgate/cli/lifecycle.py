"""`tillgate lifecycle`: the picture of a payment's life, drawn from the code by walking it.

Every state that `step` can reach from `open_payment` is visited with every kind of fact, before and
after the moments that matter (expiry, the cancel window). What is drawn is what happened; nothing
is listed by hand.
"""

from __future__ import annotations

import argparse
import inspect
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from tillgate.core.model import (
    CancelAnswered,
    CancelRequested,
    CancelUnanswered,
    Event,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Notified,
    Order,
    PayAnswered,
    Payment,
    PaymentId,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    Receipt,
    RefundAnswered,
    RefundUnanswered,
    Report,
    Resolved,
    Status,
    TimerDue,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS, Policy
from tillgate.core.payment import open_payment, step
from tillgate.core.results import CANCEL_WINDOW_EXCEED, ORDER_NOT_EXIST, Outcome

PLACED = datetime(2026, 1, 1, 4, 0, tzinfo=UTC)
_ASKED, _OTHER = Money("JPY", 100), Money("JPY", 99)

Edges = dict[tuple[Status, Status], list[str]]


def _report(outcome: Outcome, code: str, amount: Money | None = None) -> Report:
    receipt = Receipt(payment_id=PaymentId("1")) if outcome is Outcome.SUCCESS else Receipt()
    return Report(outcome=outcome, code=code, amount=amount, receipt=receipt)


_PAID = _report(Outcome.SUCCESS, "SUCCESS", _ASKED)
_PAID_OTHER = _report(Outcome.SUCCESS, "SUCCESS", _OTHER)
_JUDGED = _report(Outcome.FAILURE, "RISK_REJECT")
_REFUSED = _report(Outcome.FAILURE, "PARAM_ILLEGAL")
_IN_PROCESS = _report(Outcome.UNKNOWN, "PAYMENT_IN_PROCESS")
_UNKNOWN = _report(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION")

FACTS: dict[str, Event] = {
    "pay S": PayAnswered(_PAID),
    "pay S, another amount": PayAnswered(_PAID_OTHER),
    "pay F": PayAnswered(_JUDGED),
    "pay F, message refused": PayAnswered(_REFUSED),
    "pay U, in process": PayAnswered(_IN_PROCESS),
    "pay U": PayAnswered(_UNKNOWN),
    "pay unanswered": PayUnanswered("silence"),
    "pay never left": PayNeverLeft("no connection"),
    "pay refused, unsigned": PayRefusedUnsigned("INVALID_SIGNATURE"),
    "inquiry S": InquiryAnswered(_PAID),
    "inquiry S, another amount": InquiryAnswered(_PAID_OTHER),
    "inquiry S, cancelled there": InquiryAnswered(replace(_PAID, is_cancelled=True)),
    "inquiry F": InquiryAnswered(_JUDGED),
    "inquiry U": InquiryAnswered(_IN_PROCESS),
    "inquiry: no such order": InquiryRefused(ORDER_NOT_EXIST),
    "inquiry unanswered": InquiryUnanswered("silence"),
    "notified S": Notified(_PAID),
    "notified S, another amount": Notified(_PAID_OTHER),
    "notified F": Notified(_JUDGED),
    "cancel asked for": CancelRequested("till"),
    "cancel S": CancelAnswered(Outcome.SUCCESS, "SUCCESS"),
    "cancel U": CancelAnswered(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION"),
    "cancel: no such order": CancelAnswered(Outcome.FAILURE, ORDER_NOT_EXIST),
    "cancel: window over": CancelAnswered(Outcome.FAILURE, CANCEL_WINDOW_EXCEED),
    "cancel refused": CancelAnswered(Outcome.FAILURE, "PARAM_ILLEGAL"),
    "cancel unanswered": CancelUnanswered("silence"),
    "refund S": RefundAnswered(Outcome.SUCCESS, "SUCCESS"),
    "refund F": RefundAnswered(Outcome.FAILURE, "PROCESS_FAIL"),
    "refund unanswered": RefundUnanswered("silence"),
    "resolved as SUCCEEDED": Resolved(Status.SUCCEEDED, "operator", "evidence"),
    "resolved as FAILED": Resolved(Status.FAILED, "operator", "evidence"),
    "resolved as CANCELLED": Resolved(Status.CANCELLED, "operator", "evidence"),
    "time": TimerDue(),
}


def edges(policy: Policy = ALIPAY_PLUS) -> Edges:
    """Every change of status that the code makes, with the facts that make it."""
    found: Edges = {}
    opened = open_payment(PaymentRequestId("pay_0"), _order(policy), policy).payment
    seen, waiting = {_key(opened, PLACED)}, deque([(opened, PLACED)])
    while waiting:
        payment, now = waiting.popleft()
        for name, fact, at in _next_facts(payment, now, policy):
            after = step(payment, fact, at, policy).payment
            if after is payment:
                continue
            if after.status is not payment.status:
                names = found.setdefault((payment.status, after.status), [])
                if name not in names:
                    names.append(name)
            key = _key(after, at)
            if key not in seen:
                seen.add(key)
                waiting.append((after, at))
    return found


def _next_facts(
    payment: Payment, now: datetime, policy: Policy
) -> Iterator[tuple[str, Event, datetime]]:
    placed = payment.order.placed_at
    moments = [now + timedelta(seconds=1)]
    if payment.status is Status.PENDING:
        ahead = (placed + policy.never_sent_limit, payment.order.expires_at)
    else:
        ahead = (placed + policy.unknown_cancel_limit, policy.cancel_until(placed))
    moments += [moment + timedelta(seconds=1) for moment in ahead if now < moment]
    for name, fact in FACTS.items():
        if not isinstance(fact, TimerDue):
            yield from ((name, fact, moment) for moment in moments)
        elif payment.next_action_at is not None:
            yield from ((name, fact, max(payment.next_action_at, moment)) for moment in moments)


def _key(payment: Payment, now: datetime) -> tuple[object, ...]:
    """What decides about the future, with counts cut where more of the same changes nothing."""
    age = now - payment.order.placed_at
    policy = ALIPAY_PLUS
    return (
        payment.status,
        payment.calling,
        payment.closing,
        payment.next_action,
        payment.is_final,
        payment.holds_order,
        payment.may_resend,
        payment.has_asked_last,
        payment.was_reported_paid,
        payment.was_reopened,
        payment.refused_code is None,
        payment.cancelled_by is None,
        min(payment.sends_open, 2),
        min(payment.mismatches, 2),
        sum(age >= limit for limit in (policy.never_sent_limit, policy.order_life)),
        age >= policy.unknown_cancel_limit,
        now >= policy.cancel_until(payment.order.placed_at),
    )


def _order(policy: Policy) -> Order:
    return Order(
        merchant_id="M",
        store_id="S",
        terminal_id="T",
        merchant_order_id="O",
        description=None,
        amount=_ASKED,
        code_masked="",
        connector="alipay_plus",
        rule="4",
        table="guide",
        placed_at=PLACED,
        expires_at=PLACED + policy.order_life,
    )


def diagram(found: Edges) -> str:
    """The picture, in Mermaid's words."""
    lines = ["stateDiagram-v2", "    [*] --> PENDING: accepted from a till"]
    for (before, after), names in found.items():
        lines.append(f"    {before.value} --> {after.value}: {'<br/>'.join(names)}")
    return "\n".join(lines)


def document(found: Edges) -> str:
    """docs/payment-lifecycle.md: the picture, the edges and what each status says."""
    lines = [
        "# A payment's life\n",
        "Drawn from the code (`tillgate lifecycle`): every state that can be reached was visited"
        " with every kind of fact. The rules are in `src/tillgate/core/payment.py`.\n",
        f"```mermaid\n{diagram(found)}\n```\n",
        "## What each status says of the money\n",
        "| status | meaning |",
        "|---|---|",
        *(f"| `{status.value}` | {docstring_of(status)} |" for status in Status),
        "\n## Every change of status\n",
        "| from | to | by |",
        "|---|---|---|",
    ]
    for (before, after), names in found.items():
        lines.append(f"| `{before.value}` | `{after.value}` | {'; '.join(names)} |")
    lines += [
        "\n## The numbers, for Alipay+\n",
        "Each with its source in `src/tillgate/core/pacing.py`.\n",
        "| number | value |",
        "|---|---|",
        *(f"| `{name}` | {_words(getattr(ALIPAY_PLUS, name))} |" for name in Policy.__slots__),
        "",
    ]
    return "\n".join(lines)


def docstring_of(member: StrEnum) -> str:
    """The docstring that stands under an enum's member in its source."""
    source = inspect.getsource(type(member))
    after = source.partition(f'{member.name} = "{member.value}"')[2]
    return after.partition('"""')[2].partition('"""')[0]


def _words(value: object) -> str:
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, tuple):
        seconds = [f"{wait.total_seconds():g}" for wait in value]
        same = len(set(seconds)) == 1
        return f"{len(seconds)} times {seconds[0]} s" if same else f"{', '.join(seconds)} s"
    return str(value)


def lifecycle(arguments: argparse.Namespace) -> int:
    """Print the picture, or the whole document."""
    found = edges()
    print(document(found) if arguments.document else diagram(found))
    return 0

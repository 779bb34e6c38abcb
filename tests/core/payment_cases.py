"""Payments for the tests: each status by its walk from `open_payment`, and every event by name."""

from datetime import UTC, datetime, timedelta

from tillgate.core.model import (
    Alert,
    CancelAnswered,
    CancelRequested,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Notified,
    Order,
    PayAnswered,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    Receipt,
    RefundAnswered,
    RefundUnanswered,
    Report,
    Resolved,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    TellTill,
    TimerDue,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import expiry, open_payment, step
from tillgate.core.results import Outcome

POLICY = ALIPAY_PLUS
PLACED = datetime(2026, 1, 31, 3, 0, tzinfo=UTC)
WINDOW_CLOSES = datetime(2026, 1, 31, 16, 15, tzinfo=UTC)  # 00:15 UTC+8 of the next day there
ASKED = Money("JPY", 100)
OTHER = Money("JPY", 10_000)
MINE = Receipt(payment_id="A1", paid_at=PLACED, wallet="KAKAOPAY", customer_id="C1")
THEIRS = Receipt(payment_id="B7")


def at(seconds):
    return PLACED + timedelta(seconds=seconds)


def order(placed_at=PLACED, life=None):
    return Order(
        merchant_id="m1",
        store_id="s1",
        terminal_id="t1",
        merchant_order_id="o1",
        description=None,
        amount=ASKED,
        code_masked="281006************12",
        connector="alipay_plus",
        rule="default",
        table="guide",
        placed_at=placed_at,
        expires_at=expiry(placed_at, life, POLICY),
    )


def opened(placed_at=PLACED, life=None, policy=POLICY):
    return open_payment("tg_1", order(placed_at, life), policy).payment


def walk(*facts, start=None):
    """The payment after these (seconds since placing, event name or event)."""
    payment = start or opened()
    for seconds, fact in facts:
        event = EVENTS[fact] if isinstance(fact, str) else fact
        payment = step(payment, event, at(seconds), POLICY).payment
    return payment


def paid(amount=ASKED, receipt=MINE, **more):
    report = {"code": "SUCCESS", "amount": amount, "receipt": receipt, **more}
    return Report(outcome=Outcome.SUCCESS, **report)


def failed(code):
    return Report(outcome=Outcome.FAILURE, code=code)


def unknown(code):
    return Report(outcome=Outcome.UNKNOWN, code=code)


EVENTS = {
    "pay S": PayAnswered(paid()),
    "pay S without amount": PayAnswered(paid(amount=None)),
    "pay S other amount": PayAnswered(paid(amount=OTHER)),
    "pay S taken id": PayAnswered(paid(receipt=THEIRS, is_payment_id_taken=True)),
    "pay F judged": PayAnswered(failed("INVALID_CODE")),
    "pay F message": PayAnswered(failed("PARAM_ILLEGAL")),
    "pay F repeat": PayAnswered(failed("REPEAT_REQ_INCONSISTENT")),
    "pay F says nothing": PayAnswered(failed("ORDER_NOT_EXIST")),
    "pay U in process": PayAnswered(unknown("PAYMENT_IN_PROCESS")),
    "pay U other": PayAnswered(unknown("UNKNOWN_EXCEPTION")),
    "pay unanswered": PayUnanswered("time-out"),
    "pay never left": PayNeverLeft("connection refused"),
    "pay refused unsigned": PayRefusedUnsigned("INVALID_SIGNATURE"),
    "inquiry S": InquiryAnswered(paid()),
    "inquiry S cancelled": InquiryAnswered(paid(is_cancelled=True)),
    "inquiry F": InquiryAnswered(failed("ORDER_IS_CLOSED")),
    "inquiry U": InquiryAnswered(unknown("PAYMENT_IN_PROCESS")),
    "inquiry not exist": InquiryRefused("ORDER_NOT_EXIST"),
    "inquiry refused": InquiryRefused("PARAM_ILLEGAL"),
    "inquiry unanswered": InquiryUnanswered("time-out"),
    "notified S": Notified(paid()),
    "notified S without amount": Notified(paid(amount=None)),
    "notified S other amount": Notified(paid(amount=OTHER)),
    "notified F": Notified(failed("RISK_REJECT")),
    "notified U": Notified(unknown("PAYMENT_IN_PROCESS")),
    "cancel asked": CancelRequested("till"),
    "cancel S": CancelAnswered(Outcome.SUCCESS, "SUCCESS"),
    "cancel U": CancelAnswered(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION"),
    "cancel not exist": CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST"),
    "cancel too late": CancelAnswered(Outcome.FAILURE, "CANCEL_WINDOW_EXCEED"),
    "cancel refused": CancelAnswered(Outcome.FAILURE, "PROCESS_FAIL"),
    "cancel unanswered": CancelUnanswered("time-out"),
    "refund S": RefundAnswered(Outcome.SUCCESS, "SUCCESS"),
    "refund U": RefundAnswered(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION"),
    "refund refused": RefundAnswered(Outcome.FAILURE, "PROCESS_FAIL"),
    "refund unanswered": RefundUnanswered("time-out"),
    "resolved SUCCEEDED": Resolved(Status.SUCCEEDED, "operator", "evidence"),
    "resolved FAILED": Resolved(Status.FAILED, "operator", "evidence"),
    "resolved CANCELLED": Resolved(Status.CANCELLED, "operator", "evidence"),
    "timer": TimerDue(),
}

LETTERS = {
    SendPay: "P",
    SendInquiry: "I",
    SendCancel: "C",
    SendRefund: "R",
    TellTill: "T",
    Alert: "A",
}


def letters(effects):
    """The effects as letters in order: Pay, Inquiry, Cancel, Refund, Tell, Alert."""
    return "".join(LETTERS[type(effect)] for effect in effects)


CANCELLED = [(1, "pay U in process"), (2, "cancel asked"), (3, "cancel S")]
TOO_LATE = [(1, "pay U in process"), (2, "cancel asked"), (3, "cancel too late")]

# name: (facts that lead there, seconds since placing at which the table's event comes)
WALKS = {
    "first send out": ([], 2),
    "resend planned": ([(8, "pay unanswered")], 8.5),
    "second send out": ([(8, "pay unanswered"), (9, "timer")], 10),
    "resend refused": ([(8, "pay unanswered"), (9, "timer"), (10, "pay F judged")], 11),
    "in process": ([(1, "pay U in process")], 2),
    "inquiry out": ([(1, "pay U in process"), (4, "timer")], 5),
    "last inquiry out": ([(1, "pay U in process"), (60, "timer")], 61),
    "never left": ([(1, "pay never left")], 1.5),
    "refused unsigned": ([(1, "pay refused unsigned")], 2),
    "mismatch seen": ([(1, "pay S other amount")], 2),
    "SUCCEEDED": ([(1, "pay S")], 2),
    "FAILED": ([(1, "pay F judged")], 2),
    "FAILED never left": ([(1, "pay never left"), (10, "timer")], 11),
    "closing, pay out": ([(1, "cancel asked")], 2),
    "cancel out": ([(1, "pay U in process"), (2, "cancel asked")], 3),
    "cancel planned": (
        [(1, "pay U in process"), (2, "cancel asked"), (3, "cancel unanswered")],
        3.5,
    ),
    "giving back": ([(1, "pay S"), (2, "cancel asked")], 3),
    "CANCELLED": (CANCELLED, 4),
    "CANCELLED, looking": ([*CANCELLED, (73, "timer")], 74),
    "CANCELLED, refunded": ([*TOO_LATE, (4, "inquiry S"), (5, "refund S")], 6),
    "CANCELLED never left": ([(1, "pay never left"), (2, "cancel asked")], 3),
    "reopened": ([*CANCELLED, (4, "notified S")], 5),
    "reopened, planned": ([*CANCELLED, (4, "notified S"), (5, "cancel unanswered")], 5.5),
    "reopened, asking": ([*CANCELLED, (4, "notified S"), (5, "cancel S")], 6),
    "reopened, refunding": (
        [*CANCELLED, (4, "notified S"), (5, "cancel S"), (6, "inquiry S")],
        7,
    ),
    "asking": (TOO_LATE, 4),
    "asking planned": ([*TOO_LATE, (4, "inquiry U")], 4.5),
    "refunding": ([*TOO_LATE, (4, "inquiry S")], 5),
    "refund planned": ([*TOO_LATE, (4, "inquiry S"), (5, "refund unanswered")], 5.5),
    "UNRESOLVED": ([*TOO_LATE, (909, "timer")], 910),
    "UNRESOLVED asking": ([*TOO_LATE, (909, "timer"), (4509, "timer")], 4510),
}

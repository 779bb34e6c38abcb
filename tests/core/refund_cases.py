"""Refunds for the tests: each state by its walk from `open_refund`, and every event by name."""

from datetime import timedelta

from tests.core.payment_cases import POLICY
from tests.core.payment_cases import at as payment_at
from tests.core.payment_cases import walk as payment_walk
from tillgate.core.model import Alert, TellTill, TimerDue
from tillgate.core.money import Money
from tillgate.core.refund import open_refund, refund_step
from tillgate.core.refund_model import (
    GiveBack,
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    LookUp,
    RefundReport,
    RefundResolved,
    RefundStatus,
    SendAnswered,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)
from tillgate.core.results import Outcome

PAID = payment_walk((1, "pay S"))
OPENED = payment_at(100)
PART = Money("JPY", 30)
OTHER_PART = Money("JPY", 31)


def at(seconds):
    return OPENED + timedelta(seconds=seconds)


def opened(policy=POLICY):
    return open_refund("ref_1", PAID, PART, "broken", "key", OPENED, policy).refund


def done(amount=PART):
    return RefundReport(
        outcome=Outcome.SUCCESS, code="SUCCESS", amount=amount, refund_id="R1", refunded_at=OPENED
    )


def refused(code="PROCESS_FAIL"):
    return RefundReport(outcome=Outcome.FAILURE, code=code)


def unknown(code="UNKNOWN_EXCEPTION"):
    return RefundReport(outcome=Outcome.UNKNOWN, code=code)


EVENTS = {
    "send S": SendAnswered(done()),
    "send S without amount": SendAnswered(done(None)),
    "send S other amount": SendAnswered(done(OTHER_PART)),
    "send F": SendAnswered(refused()),
    "send F message": SendAnswered(refused("PARAM_ILLEGAL")),
    "send F repeat": SendAnswered(refused("REPEAT_REQ_INCONSISTENT")),
    "send F says nothing": SendAnswered(refused("ORDER_NOT_EXIST")),
    "send U": SendAnswered(unknown()),
    "send unanswered": SendUnanswered("time-out"),
    "send never left": SendNeverLeft("connection refused"),
    "send refused unsigned": SendRefusedUnsigned("INVALID_SIGNATURE"),
    "look S": LookAnswered(done()),
    "look S other amount": LookAnswered(done(OTHER_PART)),
    "look F": LookAnswered(refused()),
    "look U": LookAnswered(unknown("PROCESSING")),
    "not listed": LookFoundNothing(),
    "look refused": LookRefused("PARAM_ILLEGAL"),
    "look unanswered": LookUnanswered("time-out"),
    "resolved SUCCEEDED": RefundResolved(RefundStatus.SUCCEEDED, "operator", "evidence"),
    "resolved FAILED": RefundResolved(RefundStatus.FAILED, "operator", "evidence"),
    "resolved PENDING": RefundResolved(RefundStatus.PENDING, "operator", "evidence"),
    "timer": TimerDue(),
}

LETTERS = {GiveBack: "R", LookUp: "I", TellTill: "T", Alert: "A"}


def letters(effects):
    """The effects as letters in order: Refund, Inquiry, Tell, Alert."""
    return "".join(LETTERS[type(effect)] for effect in effects)


def walk(*facts, start=None, policy=POLICY):
    """The refund after these (seconds since opening, event name or event)."""
    refund = start or opened()
    for seconds, fact in facts:
        event = EVENTS[fact] if isinstance(fact, str) else fact
        refund = refund_step(refund, event, at(seconds), policy).refund
    return refund


TWICE = [(8, "send unanswered"), (9, "timer"), (17, "send unanswered")]
TOO_LONG = [(8, "send unanswered"), (900, "timer"), (901, "look unanswered")]
NEVER = [(1, "send never left"), (2, "timer"), (3, "send never left")]

# name: (facts that lead there, seconds since opening at which the table's event comes)
WALKS = {
    "first send out": ([], 2),
    "resend planned": ([(8, "send unanswered")], 8.5),
    "second send out": ([(8, "send unanswered"), (9, "timer")], 10),
    "question planned": (TWICE, 18),
    "asking": ([*TWICE, (20, "timer")], 21),
    "refused after silence": ([(8, "send unanswered"), (9, "timer"), (10, "send F")], 11),
    "asking, refused": (
        [(8, "send unanswered"), (9, "timer"), (10, "send F"), (20, "timer")],
        21,
    ),
    "third send refused too": (
        [
            *((8, "send unanswered"), (9, "timer"), (10, "send F"), (20, "timer")),
            *((21, "not listed"), (30, "timer"), (31, "send F")),
        ],
        32,
    ),
    "listed as failed, asking, quiet": ([*TWICE, (20, "timer"), (21, "look F"), (70, "timer")], 71),
    "only send says nothing, asking, quiet": ([(1, "send F says nothing"), (70, "timer")], 71),
    "in conflict": ([(1, "send F repeat"), (70, "timer")], 71),
    "refused unsigned": ([(1, "send refused unsigned")], 2),
    "never left": (NEVER, 3.5),
    "SUCCEEDED": ([(1, "send S")], 2),
    "FAILED": ([(1, "send F")], 2),
    "UNRESOLVED": (TOO_LONG, 910),
    "UNRESOLVED asking": ([*TOO_LONG, (4501, "timer")], 4502),
    "UNRESOLVED sending": ([*TOO_LONG, (4501, "timer"), (4502, "not listed")], 4503),
    "UNRESOLVED, just sent again": (
        [*TOO_LONG, (4501, "timer"), (4502, "not listed"), (4503, "send unanswered")],
        4504,
    ),
}

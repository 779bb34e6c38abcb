"""The invariants of refunds: what a merchant is told of one is what the network's books say."""

from __future__ import annotations

from collections.abc import Iterable

from tillgate.core.model import Call, Status, Step
from tillgate.core.refund_model import GiveBack, Refund, RefundEffect, RefundStatus
from tillgate.simulation.checks import CLOSING_BOUND
from tillgate.simulation.faults import S
from tillgate.simulation.stage import Case, RefundCase, Violated

PENDING, SUCCEEDED = RefundStatus.PENDING, RefundStatus.SUCCEEDED
FAILED, UNRESOLVED = RefundStatus.FAILED, RefundStatus.UNRESOLVED


def check_refund(refund: RefundCase, before: Refund, after: Refund, now: int, slack: int) -> None:
    """A new row was committed; `refund.row` is `after` already."""
    case, name = refund.case, f"refund {refund.number}"
    if after.version != before.version + 1:
        raise Violated("version", case, f"{name}: {before.version} then {after.version}")
    if before.is_final and after.status is not before.status:
        raise Violated("final-turned-false", case, f"{name}: {before.status} to {after.status}")
    if after.status is PENDING and after.next_action_at is None:
        raise Violated("no-timer", case, name)
    since = max(refund.opened_at, case.held_until)
    if before.status is PENDING and now > since + CLOSING_BOUND + slack:
        raise Violated("too-late", case, f"{name}: {(now - since) / S:.3f} s")
    if after.status is UNRESOLVED is not before.status and not case.had_bad_answer:
        raise Violated("unresolved-for-nothing", case, name)
    if before.status is not after.status:
        check_true(refund)


def check_true(refund: RefundCase) -> None:
    """What was told of it is what the network booked under its id."""
    row = refund.row
    given = {SUCCEEDED: row.amount.value, FAILED: 0}.get(row.status)
    if given is not None and refund.money != given:
        detail = f"refund {refund.number}: {row.status}, {refund.money} of {row.amount} given back"
        raise Violated("refund-untrue", refund.case, detail)


def check_end_counts(refund: RefundCase, taken: Step) -> None:
    """A refund that ends changes its payment, or it could never be saved."""
    if taken.payment is refund.case.row:
        detail = f"the end of refund {refund.number} changes nothing"
        raise Violated("refund-books", refund.case, detail)


def check_booked(case: Case, refunds: Iterable[RefundCase]) -> None:
    """The payment's own sums are those of its refunds, and never more than was paid."""
    mine = [refund.row for refund in refunds if refund.case is case]
    reserved = sum(row.amount.value for row in mine if row.status is not FAILED)
    refunded = sum(row.amount.value for row in mine if row.status is SUCCEEDED)
    row, paid = case.row, case.row.order.amount.value
    if (row.reserved, row.refunded) != (reserved, refunded) or reserved > paid:
        told = f"{row.reserved} reserved, {row.refunded} refunded of {paid}"
        raise Violated("refund-books", case, f"{told}; its refunds say {reserved}, {refunded}")
    if reserved and row.status is not Status.SUCCEEDED:
        raise Violated("cancelled-and-refunded", case, f"{row.status}, {reserved} reserved")


def check_refund_send(refund: RefundCase, effect: RefundEffect, body: bytes) -> None:
    """A request leaves now; the counts in `refund` include it."""
    row, case, name = refund.row, refund.case, f"refund {refund.number}"
    is_send = isinstance(effect, GiveBack)
    if row.calling is not (Call.REFUND if is_send else Call.INQUIRY) or refund.sends > row.sends:
        detail = f"{name}: awaited {row.calling}, {refund.sends} of {row.sends} sends"
        raise Violated("sent-uncounted", case, detail)
    if is_send:
        check_refund_sent(refund, body)


def check_refund_sent(refund: RefundCase, body: bytes) -> None:
    """It leaves; `sends` counts this one."""
    case, name = refund.case, f"refund {refund.number}"
    if refund.sends > refund.row.sends:
        raise Violated("sent-uncounted", case, f"{name}: {refund.sends} of {refund.row.sends}")
    refund.body = refund.body or body
    if body != refund.body:
        raise Violated("resend-differs", case, f"{name}, sent {refund.sends}. time")


def check_refunds_end(refunds: Iterable[RefundCase], cases: Iterable[Case]) -> None:
    """Nothing is left to come."""
    refunds = tuple(refunds)
    for refund in refunds:
        if refund.row.status is PENDING:
            raise Violated("never-ends", refund.case, f"refund {refund.number}")
        check_true(refund)
    for case in cases:
        check_booked(case, refunds)

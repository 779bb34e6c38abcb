"""The invariants of design section 7, each under the name that a violation is reported by.

Asked after every event. The sandbox's ledger is the truth of the money; the committed row is what
the till is told.
"""

from __future__ import annotations

from collections.abc import Iterable

from tillgate.core.model import (
    RESTING,
    WAITING,
    Call,
    Closing,
    Event,
    Payment,
    Report,
    Resolved,
    Status,
)
from tillgate.simulation.faults import HOUR, MINUTE, S
from tillgate.simulation.stage import Case, Edge, Violated

PENDING, SUCCEEDED, FAILED = Status.PENDING, Status.SUCCEEDED, Status.FAILED
CANCELLING, CANCELLED, UNRESOLVED = Status.CANCELLING, Status.CANCELLED, Status.UNRESOLVED

LEGAL_EDGES: tuple[Edge, ...] = (
    (PENDING, SUCCEEDED),
    (PENDING, FAILED),
    (PENDING, CANCELLING),
    (PENDING, CANCELLED),
    (SUCCEEDED, CANCELLING),
    (FAILED, CANCELLING),
    (CANCELLED, CANCELLING),
    (CANCELLING, CANCELLED),
    (CANCELLING, UNRESOLVED),
    (CANCELLING, SUCCEEDED),
    (CANCELLING, FAILED),
    (UNRESOLVED, CANCELLING),
    (UNRESOLVED, CANCELLED),
    (UNRESOLVED, SUCCEEDED),
    (UNRESOLVED, FAILED),
)
"""Source: the table of design section 3, as literals. What leads out of CANCELLING or UNRESOLVED to
SUCCEEDED or FAILED is an operator's word only."""
_LEGAL = frozenset(LEGAL_EDGES)

INVARIANTS = {
    "two-debits": "a payment never costs its customer more than was asked",
    "order-paid-twice": "an order has at most one un-refunded debit in the end",
    "paid-without-debit": "told SUCCEEDED means a net debit of what was asked, then and afterwards",
    "not-paid-while-debited": "told FAILED or CANCELLED is not said while the money is taken,"
    " but on the network's word",
    "charged-for-nothing": "told FAILED or CANCELLED means a net debit of zero in the end",
    "another-amount": "no success is believed that names another amount than was asked for",
    "final-turned-false": "`is_final` once true stays true",
    "illegal-edge": "only the edges of design section 3 are walked",
    "version": "each commit has the next version",
    "no-timer": "a waiting payment has a timer",
    "resend-differs": "a pay is resent byte for byte, under the same id",
    "sent-uncounted": "nothing is sent that was not counted in a commit before",
    "inquiry-storm": "at most 21 inquiries in the first minute",
    "too-late": "final within 90 s of placing, or of the last fault that it may have felt; clocks"
    " that are apart may add 20 s",
    "beyond-the-window": "final or UNRESOLVED 30 min after the cancel window closed",
    "never-ends": "nothing waits when nothing is left to come",
    "unresolved-for-nothing": "UNRESOLVED only after a fault that it may have felt",
    "refund-untrue": "told a refund SUCCEEDED means that its amount was given back under its id,"
    " FAILED that nothing was, then and afterwards",
    "refund-books": "what a payment has reserved and refunded is the sum of its refunds, and never"
    " more than was paid",
    "cancelled-and-refunded": "what is being refunded is not cancelled, and the other way round",
    "raised": "no step raises",
    "history": "each version has its row in the history",
    "told-unsaved": "a till is told nothing that was not committed just so",
    "acknowledged-unsaved": "an acknowledged notification is durable",
    "acknowledged-unsigned": "an acknowledgement is signed",
    "forgery-believed": "a notification with a bad signature gets 401",
    "secret-told": "no payment code, signature or key stands in a log line or the history",
}
"""What each name means."""

INQUIRIES_MAX = 21
BOUND = 90 * S
CLOSING_BOUND = 16 * MINUTE
"""`Policy.closing_limit` and one more call."""
HARD_BOUND = 30 * MINUTE


def check_commit(
    case: Case, before: Payment, after: Payment, event: Event, now: int, slack: int
) -> None:
    """A new row was committed after this fact; `case.row` is `after` already."""
    if after.version != before.version + 1:
        raise Violated("version", case, f"{before.version} then {after.version}")
    if before.is_final and not after.is_final:
        raise Violated("final-turned-false", case, f"{before.status} to {after.status}")
    if after.status in WAITING and after.next_action_at is None:
        raise Violated("no-timer", case, f"{after.status}")
    if case.waiting_since is not None:
        check_bounds(case, before, now, slack)
    if before.status is not after.status:
        _check_edge(case, before, after, by_operator=isinstance(event, Resolved))
    if after.status is SUCCEEDED and before.status is PENDING:
        report = getattr(event, "report", None)
        if not isinstance(report, Report) or report.amount != after.order.amount:
            raise Violated("another-amount", case, f"{event}")
    is_waiting = after.status in WAITING
    if not is_waiting:
        case.waiting_since = None
    elif before.status not in WAITING:
        case.waiting_since = now


def _check_edge(case: Case, before: Payment, after: Payment, *, by_operator: bool) -> None:
    edge = (before.status, after.status)
    if edge not in _LEGAL or (
        not by_operator
        and before.status in (CANCELLING, UNRESOLVED)
        and after.status in (SUCCEEDED, FAILED)
    ):
        raise Violated("illegal-edge", case, f"{before.status} to {after.status}")
    # A pay may come in between a confirmed cancel and its answer: then one more look is planned.
    will_look = after.status is CANCELLED and after.next_action_at is not None
    is_told_so = after.status in (FAILED, CANCELLED) and not will_look
    if is_told_so and case.money and not case.is_flipped:
        raise Violated("not-paid-while-debited", case, f"{after.status}, debited {case.money}")
    if after.status is UNRESOLVED and not case.had_bad_answer:
        raise Violated("unresolved-for-nothing", case, f"from {before.status}")
    if after.status is SUCCEEDED:
        check_money(case)


def check_money(case: Case) -> None:
    """The ledger or the row changed."""
    asked = case.row.order.amount.value
    if not 0 <= case.money <= asked:
        raise Violated("two-debits", case, f"net debit {case.money}, asked {asked}")
    refunded = sum(case.refunded.values())
    if case.row.status is SUCCEEDED and case.money + refunded != asked:
        told = f"net debit {case.money}, asked {asked}, refunded {refunded}"
        raise Violated("paid-without-debit", case, told)


def check_send(case: Case, call: Call, body: bytes, now: int) -> None:
    """A request leaves now; the counts in `case` include it."""
    row = case.row
    if body != case.body:
        raise Violated("resend-differs", case, f"the pay sent {case.pays_sent}. time")
    if row.calling is not call or case.pays_sent > row.sends or case.cancels_sent > row.cancels:
        counts = (
            f"{case.pays_sent} of {row.sends} pays, {case.cancels_sent} of {row.cancels} cancels"
        )
        raise Violated("sent-uncounted", case, f"{call}, awaited {row.calling}; {counts}")
    if case.inquiries_sent > INQUIRIES_MAX:
        raise Violated("inquiry-storm", case, f"{case.inquiries_sent} in the first minute")


def check_bounds(case: Case, row: Payment, now: int, slack: int) -> None:
    """`row` was waiting until now."""
    assert case.waiting_since is not None
    start = max(case.waiting_since, case.last_bad)
    bound = BOUND if row.closing is Closing.BY_CANCEL else CLOSING_BOUND
    if now > start + bound + slack:
        raise Violated("too-late", case, f"{row.status} for {(now - start) / S:.3f} s")
    start = max(case.waiting_since, case.closes_at)
    if now > start + HARD_BOUND + slack and now > case.last_bad + HOUR:
        raise Violated("beyond-the-window", case, f"{row.status} {(now - start) / S:.3f} s after")


def check_end(cases: Iterable[Case], *, is_cut: bool) -> None:
    """Nothing is left to come; `is_cut`: the world was left while somebody was still asking."""
    paid = 0
    for case in cases:
        row = case.row
        if row.status not in RESTING and row.status is not UNRESOLVED:
            raise Violated("never-ends", case, f"{row.status}, cut: {is_cut}")
        check_money(case)
        if row.status in (FAILED, CANCELLED) and case.money:
            raise Violated("charged-for-nothing", case, f"{row.status}, debited {case.money}")
        paid += bool(case.money) and row.status is not UNRESOLVED
        if paid > 1:
            raise Violated("order-paid-twice", case, f"{paid} debits stand")

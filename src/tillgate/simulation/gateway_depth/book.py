"""What the store really holds, read after every commit and held against the invariants.

The rows are read back with SQL, so whatever the gateway believes, this is what a crash would leave.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable

import msgspec

from tillgate.core.model import Call, Event, Notified, Payment, Report, Resolved, Status
from tillgate.core.refund_model import Refund
from tillgate.core.results import Outcome
from tillgate.simulation.checks import (
    INQUIRIES_MAX,
    check_bounds,
    check_commit,
    check_end,
    check_money,
)
from tillgate.simulation.faults import MINUTE
from tillgate.simulation.gateway_depth.scene import Scene
from tillgate.simulation.refund_checks import (
    check_booked,
    check_refund,
    check_refund_sent,
    check_refunds_end,
)
from tillgate.simulation.stage import Case, RefundCase, Violated
from tillgate.store.refunds import to_refund
from tillgate.store.rows import PAYMENT_COLUMNS, to_payment

SLACK = 20_000_000
"""Microseconds that clocks that are apart, slow commits and looks may add to a bound."""

_ROWS = f"SELECT {', '.join(PAYMENT_COLUMNS)}, idempotency_key FROM payment"
_REFUNDS = "SELECT * FROM refund"
_EVENT = "SELECT kind, detail FROM payment_event WHERE payment_request_id = ? AND version = ?"
_UNMATCHED = "SELECT 1 FROM unmatched_notification"
_SENDS = {
    '"send pay"': Call.PAY,
    '"send inquiryPayment"': Call.INQUIRY,
    '"send cancelPayment"': Call.CANCEL,
    '"send refund"': Call.REFUND,
}
"""As the history says that a commit leads to a call."""
_MARKS = {
    "signature=": "a signature",
    "algorithm=": "a signature",
    "private key": "a private key",
}
"""What a secret is known by, whoever's it is: its place in a header or the first line of a PEM, in
small letters.
"""


class Book:
    """All payments of a world, as committed.

    Attributes:
        cases: by our id.
        refunds: of merchants, by our id.
        codes: every payment code that was shown: none may be read anywhere.
        paid_again: numbers of payments that the network took after it had confirmed a cancel of
            them: for a moment nobody can know, so only the end counts.
        told_of: hears of each committed change of a status.
    """

    def __init__(self, scene: Scene, connection: sqlite3.Connection) -> None:
        self._scene = scene
        self._connection = connection
        self.cases: dict[str, Case] = {}
        self.refunds: dict[str, RefundCase] = {}
        self.codes: list[str] = []
        self.paid_again: set[int] = set()
        self._rows: dict[str, sqlite3.Row] = {}
        self._versions: dict[str, dict[int, Payment]] = {}
        self._refund_versions: dict[tuple[str, int], Refund] = {}
        self._counted: Counter[tuple[str, Call]] = Counter()
        self._sent: Counter[tuple[str, Call]] = Counter()
        self.told_of: Callable[[Case, Payment, Payment], None] = lambda case, before, after: None

    def look(self) -> None:
        """Something was committed.

        Raises:
            Violated: an invariant does not hold.
        """
        self._scene.tally.events += 1
        for row in self._connection.execute(_ROWS).fetchall():
            key: str = row[0]
            if self._rows.get(key) == row:
                continue
            self._rows[key] = row
            payment = to_payment(row)
            case = self.cases.get(key)
            if case is None:
                self._opened(payment, row["idempotency_key"])
            else:
                self._changed(case, payment)
        self._look_at_refunds()

    def _look_at_refunds(self) -> None:
        """After their payments: both are of the same commit."""
        scene = self._scene
        for row in self._connection.execute(_REFUNDS).fetchall():
            after = to_refund(row)
            known = self.refunds.get(after.refund_request_id)
            if known is not None and known.row == after:
                continue
            case = self.cases[after.payment_request_id]
            if known is None:
                number = len(self.refunds) + 1
                known = RefundCase(number=number, case=case, row=after, opened_at=scene.now)
                self.refunds[after.refund_request_id] = known
            else:
                before, known.row = known.row, after
                check_refund(known, before, after, scene.now, SLACK)
            self._refund_versions[after.refund_request_id, after.version] = after
            if scene.tape is not None:
                scene.note("store", f"refund {known.number} v{after.version} {after.status}")
            check_booked(case, self.refunds.values())

    def _opened(self, payment: Payment, idempotency_key: str) -> None:
        scene = self._scene
        case = Case(
            number=len(self.cases) + 1,
            request_id=payment.payment_request_id,
            idempotency_key=idempotency_key,
            code="",
            body=b"",
            row=payment,
            waiting_since=scene.now,
            placed_at=scene.now,
            last_bad=max(scene.now, scene.last_trouble),
            held_until=scene.last_trouble,
            closes_at=scene.micros(scene.policy.cancel_until(payment.order.placed_at)),
        )
        scene.tally.connectors[payment.order.connector] += 1
        self.cases[case.request_id] = case
        self._versions[case.request_id] = {payment.version: payment}
        if payment.version != 1 or payment.status is not Status.PENDING:
            raise Violated("version", case, f"opened as {payment.status}, {payment.version}")
        self._check_event(case, payment)

    def _changed(self, case: Case, after: Payment) -> None:
        scene, before = self._scene, case.row
        case.row = after
        event = self._check_event(case, after)
        was_flipped = case.is_flipped
        case.is_flipped = was_flipped or case.number in self.paid_again
        check_commit(case, before, after, event, scene.now, SLACK)
        case.is_flipped = was_flipped
        if before.status is not after.status:
            edge = (before.status, after.status)
            scene.tally.edges[edge] = scene.tally.edges.get(edge, 0) + 1
            check_money(case)
            self.told_of(case, before, after)
        if after.holds_order and not before.holds_order:
            raise Violated("order-paid-twice", case, "it holds its order again")
        self._versions[case.request_id][after.version] = after

    def _check_event(self, case: Case, payment: Payment) -> Event:
        values = (case.request_id, payment.version)
        event = self._connection.execute(_EVENT, values).fetchone()
        if event is None:
            raise Violated("history", case, f"version {payment.version} has no row")
        kind, detail = str(event["kind"]), event["detail"].decode()
        self.check_text(detail, "the history")
        for words, call in _SENDS.items():
            if words in detail:
                self._counted[case.request_id, call] += 1
        scene = self._scene
        if scene.tape is not None:
            scene.note(
                "store", f"{case.number} v{payment.version} {payment.status}: {kind} {detail}"
            )
        return _event(kind, detail, payment)

    def check_text(self, text: str, where: str) -> None:
        """No payment code, signature or private key stands in what people read."""
        for code in self.codes:
            if code in text:
                self._scene.fail("secret-told", f"a payment code stands in {where}")
        folded = text.lower()
        for mark, secret in _MARKS.items():
            if mark in folded:
                self._scene.fail("secret-told", f"{secret} stands in {where}")

    def told(self, payment: Payment) -> None:
        """A till was answered this: it must have been committed just so.

        Raises:
            Violated: it was not.
        """
        key = payment.payment_request_id
        if key not in self.cases:
            self._scene.fail("told-unsaved", f"{key} is not stored at all")
        elif self._versions[key].get(payment.version) != payment:
            detail = f"{payment.status}, version {payment.version}"
            raise Violated("told-unsaved", self.cases[key], detail)

    def leaves(self, case: Case, call: Call, body: bytes, *, asks_twice: bool) -> None:
        """A request of this case is handed to the wire. `asks_twice`: its cancels and refunds may
        each be followed by a question of their own.

        Raises:
            Violated: it was not counted before, or is not the same as before.
        """
        mine = [refund.row for refund in self.refunds.values() if refund.case is case]
        key = (case.request_id, call)
        self._sent[key] += 1
        sent, counted = self._sent[key], self._counted[key]
        if call is Call.INQUIRY and asks_twice:
            counted += self._sent[case.request_id, Call.CANCEL]
            counted += self._sent[case.request_id, Call.REFUND]
        if call is Call.INQUIRY:
            # Some dialects ask about a refund by asking about its payment.
            counted += sum(refund.inquiries for refund in mine)
        if call is Call.PAY:
            counted = min(counted, case.row.sends)
        if call is Call.CANCEL:
            counted = min(counted, case.row.cancels)
        if sent > counted:
            raise Violated("sent-uncounted", case, f"{sent} of {counted} {call} calls")
        if call is Call.PAY:
            case.body = case.body or body
            if body != case.body:
                raise Violated("resend-differs", case, f"the pay sent {sent}. time")
        is_counted = case.row.calling is Call.INQUIRY or not (asks_twice or mine)
        if call is Call.INQUIRY and is_counted and self._scene.now < case.placed_at + MINUTE:
            case.inquiries_sent += 1
            if case.inquiries_sent > INQUIRIES_MAX:
                detail = f"{case.inquiries_sent} in the first minute"
                raise Violated("inquiry-storm", case, detail)

    def refund_leaves(self, refund_request_id: str, call: Call, body: bytes) -> None:
        """The same of a merchant's refund.

        Raises:
            Violated: it was not counted before, or is not the same as before.
        """
        refund = self.refunds.get(refund_request_id)
        if refund is None:
            self._scene.fail("sent-uncounted", "a refund that was never stored")
        elif call is Call.REFUND:
            refund.sends += 1
            check_refund_sent(refund, body)

    def told_refund(self, refund: Refund) -> None:
        """A merchant was answered this: it must have been committed just so."""
        if self._refund_versions.get((refund.refund_request_id, refund.version)) != refund:
            detail = f"{refund.refund_request_id}, {refund.status}, version {refund.version}"
            self._scene.fail("told-unsaved", detail)

    def touch(self, until: int) -> None:
        """A fault that every payment feels: nothing bounds its length before that moment."""
        self._scene.last_trouble = max(self._scene.last_trouble, until)
        for case in self.cases.values():
            case.last_bad = max(case.last_bad, until)
            case.held_until = max(case.held_until, until)
            case.had_bad_answer = True

    def check_waiting(self) -> None:
        """Time passes.

        Raises:
            Violated: somebody waits for too long.
        """
        for case in self.cases.values():
            if case.waiting_since is not None:
                check_bounds(case, case.row, self._scene.now, SLACK)

    def check_end(self, *, is_cut: bool) -> None:
        """The world is over: order by order, nobody paid twice or for nothing.

        Raises:
            Violated: somebody did.
        """
        orders: dict[str, list[Case]] = {}
        for case in self.cases.values():
            orders.setdefault(case.row.order.merchant_order_id, []).append(case)
        for cases in orders.values():
            check_end(cases, is_cut=is_cut)
        check_refunds_end(self.refunds.values(), self.cases.values())

    def has_unmatched(self) -> bool:
        """Whether a notification that fits no payment was kept."""
        return self._connection.execute(_UNMATCHED).fetchone() is not None

    def open_orders(self) -> set[str]:
        """Orders that a payment holds."""
        return {c.row.order.merchant_order_id for c in self.cases.values() if c.row.holds_order}


def _event(kind: str, detail: str, payment: Payment) -> Event:
    """The fact of a history row, as far as the shared checks ask for it."""
    if kind == "resolved":
        return Resolved(payment.status, "", "")
    told = msgspec.json.decode(detail)
    is_right = told.get("amount") == str(payment.order.amount)
    outcome = Outcome(told["outcome"]) if "outcome" in told else Outcome.UNKNOWN
    amount = payment.order.amount if is_right else None
    return Notified(Report(outcome=outcome, code=kind, amount=amount))

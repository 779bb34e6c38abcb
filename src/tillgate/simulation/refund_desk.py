"""Merchants who give money back: all of it, a part, several parts at once, more than there is, or
while a till cancels.

What `gateway/refund.py` does with a store happens here on virtual time: opening a refund and ending
one each commit the refund and its payment together, everything in between the refund alone; each
commit fails, is unknown or kills the process as a payment's does.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from tillgate.connectors import GivesBack
from tillgate.core.model import CancelRequested, Payment, Status
from tillgate.core.model import RefundReserved as Reserved
from tillgate.core.money import Money
from tillgate.core.refund import is_refund_call_of, may_resolve_refund, open_refund, refund_step
from tillgate.core.refund_model import (
    GiveBack,
    LookUp,
    Refund,
    RefundEffect,
    RefundEvent,
    RefundRequestId,
    RefundResolved,
    RefundStatus,
    RefundStep,
)
from tillgate.core.refunding import may_refund, refundable
from tillgate.gateway.follow import SAVE_ATTEMPTS_MAX
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import HOUR, MINUTE, MS, REFUND_CALLS, Fault, Outage, S
from tillgate.simulation.refund_checks import (
    check_booked,
    check_end_counts,
    check_refund,
    check_refund_send,
)
from tillgate.simulation.stage import Case, RefundCase, Stage, Subject
from tillgate.simulation.tape import refund_said

if TYPE_CHECKING:
    from tillgate.simulation.nodes import Node, Nodes
    from tillgate.simulation.other_side import OtherSide
    from tillgate.simulation.wire import Flight, Wire

Wish = tuple[int | None, int]
"""How much, as the payment's amount by so much (None: all that is left, 0: more than was paid),
and how long after the first of them.
"""
_PLANS: Table[tuple[Wish, ...]] = Table(
    "refund.plan",
    ((), 0.88),
    (((None, 0),), 0.03),
    (((3, 0),), 0.03),
    (((2, 0), (2, 0)), 0.015),
    (((2, 0), (None, 30 * S)), 0.015),
    (((3, 0), (3, 0), (3, MS), (3, 10 * S)), 0.015),
    (((0, 0), (None, S)), 0.005),
    (((None, 0), (None, 0), (2, 0)), 0.01),
)
_STARTS: Table[int] = Table("refund.after", (5 * S, 4), (S, 2), (MINUTE, 2), (HOUR, 1))
_STORMS: Table[int] = Table(
    "refund.storm", (0, 4), (30 * S, 3), (2 * MINUTE, 2), (20 * MINUTE, 1), (40 * MINUTE, 0.5)
)
"""For how long calls and commits go wrong once a merchant begins."""
_AWAY: Table[Fault | None] = Table(
    "refund.away",
    (None, 0.8),
    (Fault.NETWORK_DOWN, 0.05),
    (Fault.NETWORK_SILENT, 0.05),
    (Fault.NETWORK_BROKEN, 0.05),
    (Fault.WRONG_KEYS, 0.05),
)
_AWAY_FOR: Table[int] = Table(
    "refund.away.for", (10 * S, 3), (MINUTE, 3), (10 * MINUTE, 1), (25 * MINUTE, 2)
)
_VISITS: Table[int] = Table("refund.operator", (5 * MINUTE, 1), (90 * MINUTE, 1))
_KNOCKS_MAX = 40
FIRST_NUMBER = 1_000
"""Refunds are numbered from here: a node drives both, by number."""


class RefundDesk:
    """The back office of a world's merchant, and the lines of the house for its refunds."""

    def __init__(
        self, stage: Stage, subject: Subject, nodes: Nodes, other: OtherSide, wire: Wire
    ) -> None:
        self._stage = stage
        self._subject = subject
        self._nodes = nodes
        self._other = other
        self._wire = wire
        self.refunds: dict[str, RefundCase] = {}
        connector = other.dialect.connector
        assert isinstance(connector, GivesBack)
        self._connector = connector

    # The merchant
    # ------------------------------------------------------------------------------------------

    def told(self, case: Case, before: Payment, after: Payment) -> None:
        """A payment was committed: perhaps its merchant gives it back."""
        is_paid = after.status is Status.SUCCEEDED and before.status is not Status.SUCCEEDED
        if not is_paid or case.is_refunding:
            return
        dice = self._stage.dice
        plan = dice.pick(_PLANS)
        if not plan:
            return
        case.is_refunding = True
        wait = dice.pick(_STARTS) + dice.up_to("refund.after.more", 2000) * MS
        self._stage.after(wait, self._begin, case, plan)

    def _begin(self, case: Case, plan: tuple[Wish, ...]) -> None:
        stage, dice = self._stage, self._stage.dice
        storm = dice.pick(_STORMS)
        if storm:
            stage.clears_at = max(stage.clears_at, stage.now + storm)
            case.refund_calls = dice.pick(REFUND_CALLS)
        away = dice.pick(_AWAY)
        if away is not None:
            stage.outages += (Outage(away, stage.now, stage.now + dice.pick(_AWAY_FOR)),)
        for number, (part, wait) in enumerate(plan):
            stage.after(wait, self._ask, case, f"{case.number}.{number}", part, 0)
        if dice.chance("refund.and_cancel", 0.15):
            stage.after(dice.up_to("refund.and_cancel.at", 500) * MS, self._cancel, case)

    def _cancel(self, case: Case) -> None:
        node = self._nodes.somebody()
        if node is not None:
            self._stage.count(Fault.TILL_CANCELS_LATER)
            self._nodes.apply(node, case, CancelRequested("till"))

    def _ask(self, case: Case, key: str, part: int | None, knocks: int) -> None:
        if key in self.refunds:
            return  # The same key: the same refund.
        node = self._nodes.somebody()
        is_answered = node is not None and self._open(node, case, key, part)
        if not knocks:
            self._stage.count(Fault.MERCHANT_REFUNDS)
        if not is_answered and knocks < _KNOCKS_MAX:
            # 503, or no answer: the merchant asks again with the same key.
            self._stage.after(S, self._ask, case, key, part, knocks + 1)

    def _open(self, node: Node, case: Case, key: str, part: int | None) -> bool:
        """Whether the merchant has an answer: a refund, or why not."""
        stage, paid = self._stage, case.row.order.amount
        now = stage.instant(node.skew)
        left = refundable(case.row)
        if part is None:
            amount = left
        else:
            amount = Money(paid.currency, paid.value // part if part else paid.value + 1)
        is_blind = stage.dice.chance("refund.blind", 0.3)
        if may_refund(case.row, amount, now, stage.policy) is not None:
            stage.count(Fault.REFUND_REFUSED)
            if not is_blind or amount is None:
                return True  # else the payment itself has to refuse it
        assert amount is not None

        def opened() -> tuple[RefundCase, Refund, tuple[RefundEffect, ...]]:
            number = len(self.refunds) + FIRST_NUMBER
            id_ = RefundRequestId(f"ref_{number:026d}")
            taken = open_refund(id_, case.row, amount, None, "key", now, stage.policy)
            refund = RefundCase(number=number, case=case, row=taken.refund, opened_at=stage.now)
            self.refunds[key] = refund
            check_booked(case, self.refunds.values())
            return refund, taken.refund, taken.effects

        return self._nodes.apply(node, case, Reserved(amount.value), also=opened)

    # The four lines of the house
    # ------------------------------------------------------------------------------------------

    def apply(
        self, node: Node, refund: RefundCase, event: RefundEvent, asked: Refund | None = None
    ) -> bool:
        """As `Nodes.apply`, of a refund."""
        stage = self._stage
        memory: Refund = node.driven.get(refund.number) or refund.row
        for _ in range(SAVE_ATTEMPTS_MAX):
            stage.tally.events += 1
            now = stage.instant(node.skew)
            if asked is None or is_refund_call_of(asked, memory):
                taken = self._subject.refund_step(memory, event, now, stage.policy)
            else:
                taken = refund_step(memory, event, now, stage.policy, is_awaited=False)
            if stage.tape is not None:
                stage.note(
                    f"node {node.number}", f"refund {refund.number}: {refund_said(event, taken)}"
                )
            if taken.refund is memory:
                return True
            if refund.row is not memory and refund.row.version != memory.version:
                stage.count(Fault.STALE_VERSION)
                memory = refund.row
                self._nodes.drive(node, refund, memory)
                continue
            return self._save(node, refund, now, taken)
        return False

    def _save(self, node: Node, refund: RefundCase, now: datetime, taken: RefundStep) -> bool:
        before = refund.row

        def written() -> tuple[RefundCase, Refund, tuple[RefundEffect, ...]]:
            refund.row = taken.refund
            check_refund(refund, before, taken.refund, stage.now, self._nodes.slack)
            if taken.refund.is_final:
                check_booked(refund.case, self.refunds.values())
            elif taken.refund.status is RefundStatus.UNRESOLVED is not before.status:
                stage.after(stage.dice.pick(_VISITS), self._resolve, refund)
            return refund, taken.refund, taken.effects

        stage = self._stage
        if taken.refund.status is before.status:
            return self._nodes.save(node, lambda: (written(),))
        end = self._subject.refund_ends(taken.refund)
        check_end_counts(refund, self._subject.step(refund.case.row, end, now, stage.policy))
        return self._nodes.apply(node, refund.case, end, also=written)

    def _resolve(self, refund: RefundCase) -> None:
        """With evidence only: the network's books, when nothing is on its way."""
        node, stage = self._nodes.somebody(), self._stage
        status = RefundStatus.SUCCEEDED if refund.money else RefundStatus.FAILED
        if node is None or refund.case.flights:
            return
        now = stage.instant(node.skew)
        if may_resolve_refund(refund.row, status, now, stage.policy) is not None:
            return
        stage.count(Fault.OPERATOR_RESOLVES)
        self.apply(node, refund, RefundResolved(status, "operator", "the network's books"))

    # Effects
    # ------------------------------------------------------------------------------------------

    def perform(self, node: Node, refund: RefundCase, effects: tuple[Any, ...]) -> None:
        """Send what was saved."""
        row = refund.row
        for effect in effects:
            match effect:
                case GiveBack():
                    refund.sends += 1
                    coroutine: Any = self._connector.give_back(row)
                case LookUp():
                    coroutine = self._connector.look_up(row)
                case _:
                    continue
            token = (node, node.life, row)
            body = self._wire.send(refund.case, coroutine, node.skew, token, self._heard, refund)
            check_refund_send(refund, effect, body)

    def _heard(self, flight: Flight, event: RefundEvent) -> None:
        node, life, asked = flight.token
        assert flight.refund is not None
        if node.life != life:
            return  # The process that asked is gone.
        if self._stage.now < node.paused_until:
            self._stage.after(node.paused_until - self._stage.now, self._heard, flight, event)
            return
        self.apply(node, flight.refund, event, asked)

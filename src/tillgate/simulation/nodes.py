"""The shell, played exactly: load, step, save where the version matches, perform; crash anywhere.

What `gateway/follow.py` does with a store and an event loop happens here on virtual time, with
commits that fail, are unknown or kill the process, workers that pause, and clocks that jump.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tillgate.core.model import (
    Call,
    Effect,
    Event,
    InquiryAnswered,
    Notified,
    PayAnswered,
    Payment,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Step,
    TimerDue,
)
from tillgate.core.payment import is_call_of, step
from tillgate.core.refund_model import Refund
from tillgate.gateway.follow import OVERDUE, SAVE_ATTEMPTS_MAX, STORE_RETRY_S
from tillgate.simulation.checks import check_commit, check_money, check_send
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, MS, Fault, S, Weather
from tillgate.simulation.other_side import OtherSide
from tillgate.simulation.other_side import Told as TellsOf
from tillgate.simulation.people import Told
from tillgate.simulation.refund_desk import RefundDesk
from tillgate.simulation.speech import FOREIGN_ID, Dialect
from tillgate.simulation.stage import MICROSECOND, Case, RefundCase, Stage, Subject
from tillgate.simulation.tape import said
from tillgate.simulation.wire import Flight, Wire

_DOWN_FOR: Table[int] = Table(
    "down", (300 * MS, 4), (3 * S, 3), (12 * S, 2), (65 * S, 1), (5 * MINUTE, 0.5)
)
_CALLS: dict[type[Effect], Call] = {
    SendPay: Call.PAY,
    SendInquiry: Call.INQUIRY,
    SendCancel: Call.CANCEL,
    SendRefund: Call.REFUND,
}
Saved = tuple[Case, Payment, tuple[Any, ...]] | tuple[RefundCase, Refund, tuple[Any, ...]]
"""What was written, and the effects that follow."""
_LOOK = 2 * S
SKEW_MAX = 4 * S
"""Beyond this the client calls fresh answers stale (it allows 5 s, of times in whole seconds)."""
_OVERDUE = OVERDUE // MICROSECOND
_CRASHES = (Fault.CRASH_BEFORE_COMMIT, Fault.CRASH_DURING_COMMIT, Fault.CRASH_AFTER_COMMIT)


class Node:
    """One worker process: its clock, and what it drives from memory."""

    __slots__ = ("driven", "is_up", "life", "number", "paused_until", "skew", "timers")

    def __init__(self, number: int, skew: int) -> None:
        self.number = number
        self.skew = skew
        self.is_up = True
        self.life = 0
        self.paused_until = 0
        self.driven: dict[int, Any] = {}
        self.timers: dict[int, int] = {}


class Nodes:
    """All workers and the one store under them."""

    def __init__(
        self,
        stage: Stage,
        subject: Subject,
        weather: Weather,
        cases: dict[str, Case],
        skews: tuple[int, ...],
        slack: int,
    ) -> None:
        self._stage = stage
        self._subject = subject
        self._weather = weather
        self._cases = cases
        self.slack = slack
        self._nodes = [Node(number, skew) for number, skew in enumerate(skews)]
        self._wire: Wire
        self._dialect: Dialect
        self._told: Told

    def connect(self, other: OtherSide, told: Told) -> None:
        """Join the other parts of the world."""
        self._dialect = other.dialect
        self._wire = Wire(self._stage, self._weather, other.dialect, other, self._heard)
        self._told = told
        self.desk = RefundDesk(self._stage, self._subject, self, other, self._wire)

    def _rows(self) -> list[Case | RefundCase]:
        return [*self._cases.values(), *self.desk.refunds.values()]

    def somebody(self) -> Node | None:
        """A node that answers, any."""
        up = [node for node in self._nodes if node.is_up]
        if len(up) > 1:
            return up[self._stage.dice.up_to("node", len(up) - 1)]
        return up[0] if up else None

    # Facts
    # ------------------------------------------------------------------------------------------

    def open(self, node: Node, case: Case, taken: Step) -> bool | None:
        """Commit a new payment and perform what follows. False: busy; None: nobody can say."""
        fate = self._commit_fate()
        if fate is Fault.STORE_BUSY or fate is Fault.CRASH_BEFORE_COMMIT:
            if fate is Fault.CRASH_BEFORE_COMMIT:
                self._crash(node)
            return False
        self._cases[case.request_id] = case
        self._stage.tally.connectors[case.row.order.connector] += 1
        if self._stage.tape is not None:
            self._stage.note("store", f"opened {case.number}")
        if fate is Fault.COMMIT_UNKNOWN:
            self._watch(case)
            return None
        if fate in _CRASHES:
            self._crash(node)
            return None
        self.drive(node, case, taken.payment)
        self._perform(node, case, taken.effects)
        if fate is Fault.CRASH_AFTER_SEND:
            self._crash(node)
            return None
        return True

    def apply(
        self,
        node: Node,
        case: Case,
        event: Event,
        asked: Payment | None = None,
        also: Callable[[], Saved] | None = None,
    ) -> bool:
        """The four lines of the house. False: nothing was saved, or nobody knows.

        `asked` is the payment as it was saved with the call whose outcome this is; `also` writes
        what is saved in the same commit, if there is one.
        """
        stage = self._stage
        memory = node.driven.get(case.number) or case.row
        for _ in range(SAVE_ATTEMPTS_MAX):
            stage.tally.events += 1
            now = stage.instant(node.skew)
            if asked is None or is_call_of(asked, memory):
                taken = self._subject.step(memory, event, now, stage.policy)
            else:
                taken = step(memory, event, now, stage.policy, is_awaited=False)
            if stage.tape is not None:
                stage.note(f"node {node.number}", f"{case.number}: {said(event, memory, taken)}")
            if taken.payment is memory:
                return True
            if case.row is not memory and case.row.version != memory.version:
                stage.count(Fault.STALE_VERSION)
                memory = case.row
                self.drive(node, case, memory)
                continue
            if self._is_id_taken(case, taken.payment):
                event = _with_taken_id(event)
                continue

            def written(event: Event = event, taken: Step = taken) -> Iterable[Saved]:
                self._commit(case, taken.payment, event)
                yield case, taken.payment, taken.effects
                if also is not None:
                    yield also()

            return self.save(node, written)
        return False

    def save(self, node: Node, write: Callable[[], Iterable[Saved]]) -> bool:
        """One commit and what follows from it. False: nothing was saved, or nobody knows."""
        fate = self._commit_fate()
        if fate is Fault.STORE_BUSY:
            return False
        if fate is Fault.CRASH_BEFORE_COMMIT:
            self._crash(node)
            return False
        saved = tuple(write())
        if fate is Fault.COMMIT_UNKNOWN:
            for of, _, _ in saved:
                self._watch(of)
            return False
        if fate in _CRASHES:
            self._crash(node)
            return False
        for of, row, _ in saved:
            self.drive(node, of, row)
        for of, _, effects in saved:
            if isinstance(of, RefundCase):
                self.desk.perform(node, of, effects)
            else:
                self._perform(node, of, effects)
        if fate is Fault.CRASH_AFTER_SEND:
            self._crash(node)
        return True

    def _commit_fate(self) -> Fault | None:
        stage = self._stage
        if not stage.is_stormy():
            return None
        fate = stage.dice.pick(self._weather.commit)
        if fate is not None:
            stage.count(fate)
            for case in self._cases.values():
                # A lost outcome is asked for again when its call counts as lost.
                case.last_bad = max(case.last_bad, stage.now + stage.longest_call)
                case.held_until = case.last_bad
                case.had_bad_answer = True
        return fate

    def _commit(self, case: Case, after: Payment, event: Event) -> None:
        stage, before = self._stage, case.row
        case.row = after
        check_commit(case, before, after, event, stage.now, self.slack)
        if before.status is not after.status:
            edge = (before.status, after.status)
            stage.tally.edges[edge] = stage.tally.edges.get(edge, 0) + 1
            check_money(case)
        self._told(case, before, after)

    def _is_id_taken(self, case: Case, payment: Payment) -> bool:
        mine = payment.receipt.payment_id
        if mine is None or mine == case.row.receipt.payment_id:
            return False
        if mine == FOREIGN_ID:
            return True
        return any(
            other.row.receipt.payment_id == mine
            for other in self._cases.values()
            if other is not case
        )

    # Effects
    # ------------------------------------------------------------------------------------------

    def _perform(self, node: Node, case: Case, effects: tuple[Effect, ...]) -> None:
        stage, asked = self._stage, case.row
        for effect in effects:
            call = _CALLS.get(type(effect))
            if call is None:
                continue
            body = case.body
            match call:
                case Call.PAY:
                    case.pays_sent += 1
                    body = self._subject.pay_body(body, case.pays_sent)
                case Call.INQUIRY if stage.now < case.placed_at + MINUTE:
                    case.inquiries_sent += 1
                case Call.CANCEL:
                    case.cancels_sent += 1
                case _:
                    pass
            check_send(case, call, body, stage.now)
            self._wire.call(case, call, body, node.skew, (node, node.life, asked))

    def _heard(self, flight: Flight, event: Event) -> None:
        node, life, asked = flight.token
        if node.life != life:
            return  # The process that asked is gone.
        if self._stage.now < node.paused_until:
            self._stage.after(node.paused_until - self._stage.now, self._heard, flight, event)
            return
        self.apply(node, flight.case, event, asked)

    def notified(self, case: Case, told: TellsOf) -> bool:
        """A notification, properly signed; whether it was acknowledged."""
        node = self.somebody()
        if node is None or self._stage.now < node.paused_until:
            return False
        report = self._dialect.report(told)
        return report is None or self.apply(node, case, Notified(report))

    # Time
    # ------------------------------------------------------------------------------------------

    def drive(self, node: Node, case: Case | RefundCase, row: Any) -> None:
        """This node drives it from now on, while there is anything to do."""
        if row.next_action_at is None:
            node.driven.pop(case.number, None)
            node.timers.pop(case.number, None)
            return
        node.driven[case.number] = row
        due = self._stage.micros(row.next_action_at) - node.skew - self._stage.now
        self._set_timer(node, case, max(due, MS))

    def _set_timer(self, node: Node, case: Case | RefundCase, delay: int) -> None:
        number = self._stage.after(delay, self._timer_due, node, node.life, case)
        node.timers[case.number] = number

    def _timer_due(self, node: Node, life: int, case: Case | RefundCase) -> None:
        stage = self._stage
        if node.life != life or node.timers.get(case.number) != stage.current:
            return
        if stage.now < node.paused_until:
            self._set_timer(node, case, node.paused_until - stage.now)
            return
        before = node.driven[case.number]
        if isinstance(case, RefundCase):
            is_saved = self.desk.apply(node, case, TimerDue())
        else:
            is_saved = self.apply(node, case, TimerDue())
        if not is_saved:
            if node.life == life:
                self._set_timer(node, case, int(STORE_RETRY_S * S))
        elif node.driven.get(case.number) is before:
            self.drive(node, case, before)  # A moment early, by this clock.

    def jump(self, number: int, by: int) -> None:
        """A node's clock is set."""
        node = self._nodes[number % len(self._nodes)]
        self._stage.count(Fault.CLOCK_JUMP)
        node.skew = max(-SKEW_MAX, min(SKEW_MAX, node.skew + by))

    def pause(self, length: int) -> None:
        """The first node stands still; the other one takes over what is overdue."""
        self._stage.count(Fault.WORKER_PAUSED)
        self._nodes[0].paused_until = self._stage.now + length
        for case in self._cases.values():
            case.last_bad = max(case.last_bad, self._stage.now + length)
            case.held_until = case.last_bad
            case.had_bad_answer = True
        for row in self._rows():
            self._watch(row)

    def crash(self) -> None:
        """A node dies at no particular moment."""
        node = self.somebody()
        if node is not None:
            self._stage.count(Fault.CRASH_AFTER_SEND)
            self._crash(node)

    def _crash(self, node: Node) -> None:
        stage = self._stage
        if stage.tape is not None:
            stage.note(f"node {node.number}", "dies")
        node.life += 1
        node.is_up = False
        node.driven.clear()
        node.timers.clear()
        stage.after(stage.dice.pick(_DOWN_FOR), self._restart, node)
        for row in self._rows():
            self._watch(row)

    def _restart(self, node: Node) -> None:
        stage = self._stage
        if stage.tape is not None:
            stage.note(f"node {node.number}", "starts again")
        node.is_up = True
        node.paused_until = 0
        for case in self._cases.values():
            case.last_bad = case.held_until = max(case.last_bad, stage.now)
            case.had_bad_answer = True
        for of in self._rows():
            if of.row.next_action_at is not None:
                self.drive(node, of, of.row)

    def _watch(self, case: Case | RefundCase) -> None:
        """Look, as every node does all the time, whether this row is overdue and forgotten."""
        due = case.row.next_action_at
        if due is None:
            return
        wait = self._stage.micros(due) + _OVERDUE - self._stage.now
        self._stage.after(max(wait, 0) + _LOOK, self._look, case)

    def _look(self, case: Case | RefundCase) -> None:
        due = case.row.next_action_at
        if due is None:
            return
        awake = [n for n in self._nodes if n.is_up and self._stage.now >= n.paused_until]
        if any(case.number in node.driven for node in awake):
            return
        if not awake or self._stage.micros(due) + _OVERDUE > self._stage.now + awake[0].skew:
            self._watch(case)
            return
        self.drive(awake[0], case, case.row)


def _with_taken_id(event: Event) -> Event:
    match event:
        case PayAnswered(report) | InquiryAnswered(report) | Notified(report):
            return type(event)(replace(report, is_payment_id_taken=True))
        case _:
            return event

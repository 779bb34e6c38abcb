"""The network of a world: the sandbox's pure one, its customers, its notifications, and promises
that it breaks.

What is booked in the sandbox's ledger is the truth of every check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tillgate.core.errors import PaymentNotFound
from tillgate.core.model import Call
from tillgate.core.routing_table import ALIPAY_CN
from tillgate.sandbox.choices import DEFAULTS, KeyRefusal
from tillgate.sandbox.ledger import Kind
from tillgate.sandbox.network import NotWaiting
from tillgate.sandbox.payment import State
from tillgate.sandbox.wallets import Customer
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import HOUR, MINUTE, MS, Fault, S, Weather
from tillgate.simulation.network import CLIENT_ID, WALLET, BreakingNetwork, draw_choices
from tillgate.simulation.speech import Dialect, Leg
from tillgate.simulation.stage import Case, RefundCase, Stage

_DECIDES: Table[int | None] = Table(
    "customer.confirms",
    (3 * S, 8),
    (15 * S, 3),
    (50 * S, 2),
    (59 * S, 1),
    (60 * S, 1),
    (61 * S, 1),
    (75 * S, 1),
    (None, 5),
)
_SLOWLY = 50 * S
Told = Any
"""A notification in its dialect."""
NOTIFY_WAITS = (S, 5 * S, 30 * S, 2 * MINUTE, 10 * MINUTE, HOUR, 6 * HOUR, 15 * HOUR)
"""Between repeats of a notification that nobody acknowledged."""
_LATE = 5 * MINUTE
_FLIPS: Table[int] = Table("flip.after", (2 * S, 3), (20 * S, 2), (70 * S, 2), (HOUR, 1))


class OtherSide:
    """The network with everybody behind it."""

    def __init__(
        self,
        stage: Stage,
        weather: Weather,
        dialect: Dialect,
        cases: dict[str, Case],
        deliver: Callable[[Case, Told], bool],
        check: Callable[[Case], None],
    ) -> None:
        self._stage = stage
        self._weather = weather
        self._cases = cases
        self._deliver = deliver
        self._check = check
        self._drawn = 0
        self._booked = 0
        self.dialect = dialect
        choices = draw_choices(stage.dice)
        if dialect.name == ALIPAY_CN:
            choices = DEFAULTS  # its pages say what Alipay+'s leave open
        self.signs_key_refusals = choices.key_refusal is KeyRefusal.SIGNED
        self.network = BreakingNetwork(self._digits, choices)

    def _digits(self, count: int) -> str:
        self._drawn += 1
        return f"{self._drawn:0{count}d}"

    def issue(self, customer: Customer, age: int = 0) -> str:
        """A code on a customer's screen, `age` old by now."""
        at = self._stage.instant(-age)
        return self.network.codes.issue(customer, WALLET, self.dialect.code_kind, at).code

    def use_up(self, code: str) -> None:
        """Somebody else scans it first."""
        self.network.codes.redeem(code, self._stage.instant(), (CLIENT_ID, "somebody else's"))

    # What arrives
    # ------------------------------------------------------------------------------------------

    def take(self, leg: Leg) -> Any:
        """Serve one request, now; gives the answer."""
        answer = self.dialect.take(self.network, leg, self._stage.instant())
        case = self._cases[leg.request_id]
        if leg.call is Call.PAY and self.may_still_pay(case):
            self._ask_customer(case)
        self.settle()
        return answer

    def settle(self) -> None:
        """Whatever just happened: look at the books, and tell of payments that ended."""
        entries = self.network.ledger.entries
        while self._booked < len(entries):
            entry = entries[self._booked]
            self._booked += 1
            case = self._cases[entry.payment_request_id]
            sign = 1 if entry.kind is Kind.DEBIT else -1
            case.money += sign * entry.amount.value
            if sign < 0:
                self._look_at_refunds(case)
            if self._stage.tape is not None:
                self._stage.note("ledger", f"{entry.kind.value} {entry.amount}: {case.money}")
            self._check(case)
        for payment in self.network.take_finals():
            case = self._cases[payment.payment_request_id]
            told = self.dialect.told(self.network, payment, self._stage.instant())
            if told is not None:
                self._tell(case, told)

    def _look_at_refunds(self, case: Case) -> None:
        payment = self.network.orders.find(case.request_id, self._stage.instant())
        case.refunded = {
            refund.refund_request_id: refund.amount.value
            for refund in payment.refunds
            if refund.refund_request_id.startswith("ref_")
        }

    def refund_age(self, refund: RefundCase) -> int:
        """How long ago the network did it; 0: it did not."""
        payment = self.network.orders.find(refund.case.request_id, self._stage.instant())
        for done in payment.refunds:
            if done.refund_request_id == refund.row.refund_request_id:
                return self._stage.now - self._stage.micros(done.refunded_at)
        return 0

    def age_of(self, case: Case) -> int | None:
        """How long the network has known it; None: it does not."""
        try:
            payment = self.network.orders.find(case.request_id, self._stage.instant())
        except PaymentNotFound:
            return None
        return self._stage.now - self._stage.micros(payment.placed_at)

    def may_still_pay(self, case: Case) -> bool:
        """Whether a customer could still confirm it."""
        try:
            payment = self.network.orders.find(case.request_id, self._stage.instant())
        except PaymentNotFound:
            return False
        return payment.state is State.IN_PROCESS

    # Customers
    # ------------------------------------------------------------------------------------------

    def _ask_customer(self, case: Case) -> None:
        if case.is_customer_asked:
            return
        case.is_customer_asked = True
        stage = self._stage
        after = stage.dice.pick(_DECIDES)
        if after is None:
            stage.count(Fault.CUSTOMER_SILENT)
        else:
            if after >= _SLOWLY:
                stage.count(Fault.CUSTOMER_SLOW)
            after += stage.dice.up_to("customer.more", 999) * MS
            stage.after(after, self._decide, case)
        self._expire()

    def _decide(self, case: Case) -> None:
        stage = self._stage
        declines = stage.dice.chance("customer.declines", 0.2)
        if stage.tape is not None:
            stage.note("customer", "declines" if declines else "confirms")
        try:
            if declines:
                stage.count(Fault.CUSTOMER_DECLINES)
                self.network.decline(case.request_id, stage.instant())
            else:
                self.network.confirm(case.request_id, stage.instant())
        except NotWaiting:
            pass
        self.settle()

    def _expire(self) -> None:
        upcoming = self.network.expire(self._stage.instant())
        self.settle()
        if upcoming is not None:
            self._stage.after(self._stage.micros(upcoming) - self._stage.now, self._expire)

    # Broken promises
    # ------------------------------------------------------------------------------------------

    def plan_flip(self, case: Case) -> None:
        """Perhaps this ended payment is paid after all."""
        if self._stage.dice.chance("flip", 0.03):
            self._stage.after(self._stage.dice.pick(_FLIPS), self._flip, case)

    def _flip(self, case: Case) -> None:
        stage, request_id = self._stage, case.request_id
        if self.age_of(case) is None:
            return
        is_stubborn = stage.dice.chance("flip.stubborn", 0.4)
        if not self.network.succeed_after_all(request_id, stage.instant(), is_stubborn=is_stubborn):
            return
        stage.count(Fault.LATE_SUCCESS_STUBBORN if is_stubborn else Fault.LATE_SUCCESS)
        case.is_flipped = True
        if stage.dice.chance("flip.self_cancel", 0.3):
            stage.after(5 * S, self._give_back, case)
        self.settle()

    def _give_back(self, case: Case) -> None:
        self._stage.count(Fault.SELF_CANCEL)
        self.network.give_back(case.request_id, self._stage.instant())
        self.settle()

    # Notifications
    # ------------------------------------------------------------------------------------------

    def _tell(self, case: Case, told: Told) -> None:
        stage = self._stage
        wait = (50 + stage.dice.up_to("notify.wait", 950)) * MS
        fate = stage.dice.pick(self._weather.notify) if stage.is_stormy() else None
        if fate is Fault.NOTIFY_NEVER and case.is_flipped:
            # Without a word nobody could know: then the network's own promise is all there is.
            fate = Fault.NOTIFY_LATE
        amiss = None
        if fate in (Fault.NOTIFY_WRONG_AMOUNT, Fault.NOTIFY_NO_AMOUNT):
            amiss = self.dialect.told_amiss(told, fate)
            fate = fate if amiss is not None else None
        if fate is not None:
            stage.count(fate)
        match fate:
            case Fault.NOTIFY_NEVER:
                return
            case Fault.NOTIFY_LATE:
                wait = 3 * S + stage.dice.up_to("notify.late", _LATE // MS) * MS
            case Fault.NOTIFY_TWICE:
                self._send_after(wait * 3, case, told)
            case Fault.NOTIFY_FIRST:
                wait = 0
            case Fault.NOTIFY_BAD_SIGNATURE:
                self._send_badly_signed(case, told)
                wait = NOTIFY_WAITS[1]  # Refused with 401, and sent again.
            case Fault.NOTIFY_NO_AMOUNT:
                told = amiss
            case Fault.NOTIFY_WRONG_AMOUNT:
                case.last_bad = max(case.last_bad, stage.now + 3 * wait)
                case.had_bad_answer = True
                self._send_after(wait, case, amiss)
                if stage.dice.chance("notify.wrong_again", 0.5):
                    self._send_after(wait * 2, case, amiss)
                wait *= 3
            case _:
                pass
        self._send_after(wait, case, told)

    def _send_after(self, wait: int, case: Case, told: Told) -> None:
        case.untold += 1
        self._stage.after(wait, self._send, case, told, 0)

    def _send_badly_signed(self, case: Case, told: Told) -> None:
        """Nothing to see here: at depth core a signature is a word, and a bad one never counts."""

    def _send(self, case: Case, told: Told, repeats: int) -> None:
        is_away = self._stage.outage() in (Fault.NETWORK_DOWN, Fault.NETWORK_SILENT)
        if not is_away and self._deliver(case, told):
            case.untold -= 1
            return
        self._stage.count(Fault.NOTIFY_REFUSED)
        if repeats < len(NOTIFY_WAITS):
            self._stage.after(NOTIFY_WAITS[repeats], self._send, case, told, repeats + 1)
        else:
            case.untold -= 1

"""The tills and the operator of a world: they scan twice, cancel at any moment and try again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tillgate.core.model import CancelRequested, Payment, Resolved, Status
from tillgate.core.payment import may_resolve
from tillgate.sandbox.wallets import Customer
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import HOUR, MINUTE, MS, Fault, S
from tillgate.simulation.network import CAREFUL, POOR, QUICK
from tillgate.simulation.other_side import OtherSide
from tillgate.simulation.stage import Case, Stage

if TYPE_CHECKING:
    from tillgate.simulation.nodes import Node, Nodes

Told = Callable[[Case, Payment, Payment], None]
OpenCase = Callable[["Node", str, str], bool | None]
"""Open a payment at a node, by idempotency key, for a code: as `Nodes.open`."""

_CUSTOMERS: Table[Customer] = Table("customer", (QUICK, 0.72), (CAREFUL, 0.22), (POOR, 0.06))
_CODES: Table[str] = Table(
    "code", ("good", 0.95), ("used", 0.02), ("expired", 0.015), ("unknown", 0.015)
)
_CANCELS_AT: Table[int | None] = Table(
    "till.cancels",
    (None, 0.86),
    (0, 0.02),
    (100 * MS, 0.02),
    (2 * S, 0.02),
    (9 * S, 0.02),
    (30 * S, 0.03),
    (58 * S, 0.02),
    (64 * S, 0.01),
)
_BEFORE_CLOSE: Table[int] = Table(
    "till.before_close", (HOUR, 1), (S, 2), (300 * MS, 2), (0, 1), (-S, 1), (-3 * S, 1)
)
"""How long before the cancel window closes, by the network's clock, a paid one is cancelled."""
_VISITS: Table[int] = Table("operator", (MINUTE, 1), (5 * MINUTE, 1), (40 * MINUTE, 1))
ATTEMPTS_MAX = 3
_KNOCKS_MAX = 40


class People:
    """One till with its orders, and the operator."""

    def __init__(
        self,
        stage: Stage,
        other: OtherSide,
        nodes: Nodes,
        cases: dict[str, Case],
        open_case: OpenCase,
    ) -> None:
        self._stage = stage
        self._other = other
        self._nodes = nodes
        self._cases = cases
        self._open_case = open_case
        self._codes = 0

    # Scanning
    # ------------------------------------------------------------------------------------------

    def start(self) -> None:
        """The first customer shows a code."""
        code = self._show_code()
        self._scan("k1", code, 0)
        if self._stage.dice.chance("till.twice", 0.04):
            wait = self._stage.dice.up_to("till.twice.after", 70_000) * MS
            self._stage.after(wait, self._scan_again, code)

    def _show_code(self) -> str:
        dice = self._stage.dice
        customer, kind = dice.pick(_CUSTOMERS), dice.pick(_CODES)
        if kind != "good":
            self._stage.count(Fault.CODE_UNUSABLE)
        match kind:
            case "expired":
                return self._other.issue(customer, age=2 * MINUTE)
            case "unknown":
                return self._other.dialect.unknown_code
            case _:
                code = self._other.issue(customer)
                if kind == "used":
                    self._other.use_up(code)
                return code

    def _scan_again(self, code: str) -> None:
        self._stage.count(Fault.TILL_SCANS_TWICE)
        self._scan("twice", code, 0)

    def _scan(self, key: str, code: str, knocks: int) -> None:
        if any(case.idempotency_key == key for case in self._cases.values()):
            return  # The same key: the same payment.
        if any(case.row.holds_order for case in self._cases.values()):
            return  # 409: the order has a live or paid payment.
        node = self._nodes.somebody()
        opened = self._open_case(node, key, code) if node is not None else False
        if opened is not True and knocks < _KNOCKS_MAX:
            # 503, or no answer: the till asks again with the same key.
            self._stage.after(S, self._scan, key, code, knocks + 1)
        if opened:
            self._plan_cancel(key)

    def _plan_cancel(self, key: str) -> None:
        at = self._stage.dice.pick(_CANCELS_AT)
        if at is not None:
            at += self._stage.dice.up_to("till.cancels.more", 999) * MS
            case = next(c for c in self._cases.values() if c.idempotency_key == key)
            self._stage.after(at, self._cancel, case, Fault.TILL_CANCELS, 0)

    def _cancel(self, case: Case, why: Fault, knocks: int) -> None:
        if not knocks:
            self._stage.count(why)
        node = self._nodes.somebody()
        is_taken = node is not None and self._nodes.apply(node, case, CancelRequested("till"))
        if not is_taken and knocks < _KNOCKS_MAX:
            self._stage.after(S, self._cancel, case, why, knocks + 1)

    # What they are told
    # ------------------------------------------------------------------------------------------

    def told(self, case: Case, before: Payment, after: Payment) -> None:
        """A row was committed."""
        if before.status is after.status:
            return
        stage = self._stage
        if after.is_final and not case.is_told:
            case.is_told = True
            self._first_told(case, after)
        match after.status:
            case Status.UNRESOLVED:
                if stage.dice.chance("operator.unresolved", 0.85):
                    stage.after(stage.dice.pick(_VISITS), self._resolve, case)
            case Status.CANCELLING:
                if stage.dice.chance("operator.closing", 0.5):
                    stage.after(91 * S, self._resolve, case)
            case Status.FAILED | Status.CANCELLED:
                self._other.plan_flip(case)
            case _:
                pass

    def _first_told(self, case: Case, after: Payment) -> None:
        stage, dice = self._stage, self._stage.dice
        if after.status is not Status.SUCCEEDED:
            if len(self._cases) < ATTEMPTS_MAX and dice.chance("till.second_code", 0.4):
                wait = (1000 + dice.up_to("till.second_code.after", 19_000)) * MS
                stage.after(wait, self._second_code, f"k{len(self._cases) + 1}")
        elif dice.chance("till.cancels_later", 0.9 if stage.second_storm else 0.05):
            wait = 5 * S
            if stage.second_storm or dice.chance("till.at_the_close", 0.7):
                wait = case.closes_at - dice.pick(_BEFORE_CLOSE) - stage.now
            stage.after(max(wait, 0), self._cancel, case, Fault.TILL_CANCELS_LATER, 0)

    def _second_code(self, key: str) -> None:
        self._stage.count(Fault.TILL_SECOND_CODE)
        self._scan(key, self._show_code(), 0)

    # The operator
    # ------------------------------------------------------------------------------------------

    def _resolve(self, case: Case) -> None:
        """With evidence only: the network's support says what the books say, when nothing is on
        its way.
        """
        row, stage = case.row, self._stage
        now = stage.instant()
        node = self._nodes.somebody()
        if case.flights or case.is_flipped or node is None:
            return
        if case.money:
            status = Status.SUCCEEDED
        else:
            is_failed = stage.dice.chance("operator.failed", 0.5)
            status = Status.FAILED if is_failed else Status.CANCELLED
        if row.status not in (Status.UNRESOLVED, Status.CANCELLING):
            return
        if case.money not in (0, row.order.amount.value):
            return
        if may_resolve(row, status, now, stage.policy) is not None:
            return
        if not case.money and self._other.may_still_pay(case):
            return
        stage.count(Fault.OPERATOR_RESOLVES)
        self._nodes.apply(node, case, Resolved(status, "operator", "the network's books"))

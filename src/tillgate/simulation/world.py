"""One order of one till, alone in its world, from the scan to the end of everything."""

from __future__ import annotations

import heapq
from datetime import UTC, datetime, timedelta

from tillgate.core.codes import mask
from tillgate.core.model import Order, Payment, PaymentRequestId, Status
from tillgate.core.payment import expiry
from tillgate.core.refund_model import RefundStatus
from tillgate.merchants import Merchant, Store, Terminal
from tillgate.simulation.checks import check_end, check_money
from tillgate.simulation.dialects import DIALECTS
from tillgate.simulation.dice import Dice, Table
from tillgate.simulation.faults import (
    AT_THE_CLOSE,
    AWAY_AT_THE_CLOSE,
    AWAY_FOR,
    AWAY_PAST_THE_CLOSE,
    CLEARS_AFTER,
    DAY,
    HOUR,
    JUMPS,
    MS,
    SKEWS,
    WEATHERS,
    Fault,
    Outage,
    S,
    draw_outages,
)
from tillgate.simulation.nodes import Node, Nodes
from tillgate.simulation.other_side import OtherSide
from tillgate.simulation.people import People
from tillgate.simulation.refund_checks import check_refunds_end
from tillgate.simulation.stage import Case, Stage, Subject, Tally

_NOON = datetime(2026, 1, 31, 4, 0, tzinfo=UTC)
_MIDNIGHT = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)
"""In UTC+8, the network's calendar."""
_STARTS: Table[datetime] = Table(
    "start",
    (_NOON, 0.86),
    (_MIDNIGHT - timedelta(seconds=2), 0.04),
    (_MIDNIGHT - timedelta(seconds=70), 0.03),
    (_MIDNIGHT, 0.02),
    (_MIDNIGHT + timedelta(minutes=14, seconds=58), 0.03),
    (_MIDNIGHT + timedelta(minutes=15), 0.02),
)
_LIVES: Table[timedelta | None] = Table(
    "expires_in",
    (None, 0.85),
    (timedelta(seconds=1), 0.03),
    (timedelta(seconds=5), 0.06),
    (timedelta(seconds=30), 0.06),
)
SKEW_SLACK = 20 * S
"""What jumps and skew may add to a bound that is counted on the network's clock."""
_HORIZON = 3 * HOUR
_LONG_HORIZON = 8 * DAY

MERCHANT = Merchant(
    id="M1",
    name="Simulated",
    mcc="5411",
    region="JP",
    city=None,
    settlement_currency="USD",
    stores={"S1": Store(id="S1", name="Store", mcc="5411", terminals={"T1": Terminal(id="T1")})},
)


class World:
    """Built with its dice, run once."""

    def __init__(
        self, dice: Dice, tally: Tally, subject: Subject, tape: list[str] | None = None
    ) -> None:
        base = dice.pick(_STARTS)
        dialect = self._dialect = dice.pick(DIALECTS)
        stage = self._stage = Stage(dice, base, dice.pick(dialect.policies), tally, tape)
        self._subject = subject
        self._cases: dict[str, Case] = {}
        self._life = dice.pick(_LIVES)
        weather = dice.pick(WEATHERS)
        stage.clears_at = dice.pick(CLEARS_AFTER)
        stage.outages = draw_outages(dice)
        self._plan_second_storm(dice)
        skews = self._draw_skews(dice)
        slack = SKEW_SLACK
        self._nodes = Nodes(stage, subject, weather, self._cases, skews, slack)
        self._other = OtherSide(
            stage, weather, dialect, self._cases, self._nodes.notified, check_money
        )
        self._people = People(stage, self._other, self._nodes, self._cases, self._open)
        self._nodes.connect(self._other, self._told)
        self._horizon = _LONG_HORIZON if dice.chance("horizon", 0.02) else _HORIZON
        self._plan_trouble(dice, len(skews))

    def _draw_skews(self, dice: Dice) -> tuple[int, ...]:
        count = 2 if dice.chance("workers", 0.15) else 1
        skews = tuple(dice.pick(SKEWS) for _ in range(count))
        if any(skews):
            self._stage.count(Fault.CLOCK_SKEW)
        return skews

    def _plan_second_storm(self, dice: Dice) -> None:
        stage = self._stage
        closes = stage.micros(stage.policy.cancel_until(stage.base))
        if closes < HOUR and dice.chance("away.past_the_close", 0.25):
            # So a payment meets the end of its window before anybody could say what it is.
            starts = dice.up_to("away.starts", 70_000) * MS
            kind = dice.pick(AWAY_PAST_THE_CLOSE)
            stage.outages += (Outage(kind, starts, closes + dice.pick(AWAY_FOR)),)
        length = dice.pick(AT_THE_CLOSE)
        if not length:
            return
        starts = closes - 10 * S
        stage.second_storm = (starts, starts + length)
        away = dice.pick(AWAY_AT_THE_CLOSE)
        if away is not None:
            stage.outages += (Outage(away, starts, starts + length),)

    def _plan_trouble(self, dice: Dice, workers: int) -> None:
        stage = self._stage
        jump = dice.pick(JUMPS)
        if jump:
            at = dice.up_to("jump.at", 80_000) * MS
            stage.after(at, self._nodes.jump, dice.up_to("jump.who", workers - 1), jump)
        if workers > 1 and dice.chance("pause", 0.3):
            at = dice.up_to("pause.at", 70_000) * MS
            length = (1000 + dice.up_to("pause.length", 40_000)) * MS
            stage.after(at, self._nodes.pause, length)
        if dice.chance("crash", 0.03):
            stage.after(dice.up_to("crash.at", 80_000) * MS, self._nodes.crash)

    def run(self) -> None:
        """From the scan to the end.

        Raises:
            Violated: an invariant does not hold.
        """
        stage, queue = self._stage, self._stage.queue
        self._people.start()
        is_cut = False
        while queue:
            stage.now, stage.current, act, arguments = heapq.heappop(queue)
            if stage.now > self._horizon and self._is_over():
                is_cut = True
                break
            act(*arguments)
        stage.tally.virtual_us += stage.now
        check_end(self._cases.values(), is_cut=is_cut)
        check_refunds_end(self._nodes.desk.refunds.values(), self._cases.values())

    def _told(self, case: Case, before: Payment, after: Payment) -> None:
        self._people.told(case, before, after)
        self._nodes.desk.told(case, before, after)

    def _is_over(self) -> bool:
        """Only UNRESOLVED ones still ask; all was told, and everything had its time."""
        horizon = self._horizon
        if any(
            refund.row.status is RefundStatus.PENDING
            for refund in self._nodes.desk.refunds.values()
        ):
            return False
        return all(
            (case.row.next_action_at is None or case.row.status is Status.UNRESOLVED)
            and not case.untold
            and self._stage.now > case.closes_at + horizon
            for case in self._cases.values()
        )

    def _open(self, node: Node, key: str, code: str) -> bool | None:
        stage = self._stage
        number = len(self._cases) + 1
        placed_at = stage.instant(node.skew)
        order = Order(
            merchant_id="M1",
            store_id="S1",
            terminal_id="T1",
            merchant_order_id="O1",
            description=None,
            amount=self._dialect.amount,
            code_masked=mask(code),
            connector=self._dialect.name,
            rule="4",
            table="simulated",
            placed_at=placed_at,
            expires_at=expiry(placed_at, self._life, stage.policy),
        )
        request_id = PaymentRequestId(f"pay_{number:026d}")
        taken = self._subject.open_payment(request_id, order, stage.policy)
        case = Case(
            number=number,
            request_id=request_id,
            idempotency_key=key,
            code=code,
            body=self._dialect.connector.build_pay(
                request_id, order, MERCHANT, MERCHANT.stores["S1"], code
            ),
            row=taken.payment,
            waiting_since=stage.now,
            placed_at=stage.now,
            last_bad=stage.now,
            closes_at=stage.micros(stage.policy.cancel_until(stage.instant())),
        )
        return self._nodes.open(node, case, taken)

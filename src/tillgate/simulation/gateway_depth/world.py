"""A few orders in one world: one to three gateways, one store, one network, and all troubles."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

from tillgate.simulation.checks import check_money
from tillgate.simulation.dice import Dice, Table
from tillgate.simulation.faults import (
    AT_THE_CLOSE,
    AWAY_AT_THE_CLOSE,
    AWAY_PAST_THE_CLOSE,
    CLEARS_AFTER,
    HOUR,
    JUMPS,
    MINUTE,
    MS,
    SKEWS,
    WEATHERS,
    Fault,
    Outage,
    S,
    draw_outages,
)
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.database import cleaned
from tillgate.simulation.gateway_depth.keys import STAND_INS, rsa_keys
from tillgate.simulation.gateway_depth.loop import VirtualLoop
from tillgate.simulation.gateway_depth.network_side import NetworkSide
from tillgate.simulation.gateway_depth.office import Office
from tillgate.simulation.gateway_depth.scene import Failure, GatewayTally, Scene
from tillgate.simulation.gateway_depth.tills import Till
from tillgate.simulation.gateway_depth.tongues import TONGUES
from tillgate.simulation.gateway_depth.wire import Wire
from tillgate.simulation.gateway_depth.workers import Parts, Workers
from tillgate.simulation.stage import Case, RefundCase, Violated

_NOON = datetime(2026, 1, 31, 4, 0, tzinfo=UTC)
_CLOSES = datetime(2026, 1, 31, 16, 15, tzinfo=UTC)
"""The cancel window of the day before, in UTC+8."""
_STARTS: Table[datetime] = Table(
    "start",
    (_NOON, 0.96),
    (_CLOSES - timedelta(minutes=15, seconds=2), 0.015),
    (_CLOSES - timedelta(minutes=15, seconds=70), 0.01),
    (_CLOSES, 0.015),
)
_ORDERS: Table[int] = Table("orders", (1, 0.35), (2, 0.3), (3, 0.2), (4, 0.08), (6, 0.07))
_WORKERS: Table[int] = Table("workers", (1, 0.6), (2, 0.28), (3, 0.12))
_HORIZON = 8 * MINUTE
"""What would come later than this stays away, but for worlds near the close of the window."""
_PAST_THE_CLOSE = 45 * MINUTE
_TO_THE_NEXT_QUESTION = 100 * MINUTE
"""What nobody could say is asked again an hour later."""
_TO_THE_END = 30 * MINUTE
"""Nobody may wait longer than this after the last fault; then the world is left."""
_TICK = 2 * S


class World:
    """Built with its dice, run once."""

    def __init__(
        self,
        dice: Dice,
        tally: GatewayTally,
        parts: Parts,
        tape: list[str] | None = None,
        workers: int | None = None,
    ) -> None:
        count = dice.pick(_ORDERS)
        tally.orders += count
        base = dice.pick(_STARTS)
        tongue = dice.pick(TONGUES)
        scene = self._scene = Scene(dice, base, dice.pick(tongue.dialect.policies), tally, tape)
        scene.loop = VirtualLoop(scene)
        scene.loop.set_exception_handler(self._escaped)
        keys = rsa_keys() if dice.chance("rsa", 0.01) else STAND_INS
        weather = dice.pick(WEATHERS)
        scene.clears_at = dice.pick(CLEARS_AFTER)
        scene.outages = draw_outages(dice)
        scene.until = _HORIZON
        self._plan_the_close(dice)
        connection = cleaned()
        book = self._book = Book(scene, connection)
        side = NetworkSide(scene, weather, tongue, book, keys, self._money_moved)
        wire = Wire(scene, weather, tongue, side, book)
        self._workers = Workers(
            scene,
            weather,
            book,
            connection,
            wire,
            tongue,
            keys,
            self._draw_skews(dice, dice.pick(_WORKERS) if workers is None else workers),
            parts,
            reads_fail=dice.chance("reads_fail", 0.05),
        )
        side.deliver = self._workers.deliver
        book.told_of = Office(scene, book, side, self._workers).told_of
        self._tills = [Till(scene, book, side, self._workers, n + 1) for n in range(count)]
        self._selling = count
        self._plan_trouble(dice, side)

    def _draw_skews(self, dice: Dice, workers: int) -> tuple[int, ...]:
        skews = tuple(dice.pick(SKEWS) for _ in range(workers))
        if any(skews):
            self._scene.count(Fault.CLOCK_SKEW)
        return skews

    def _plan_the_close(self, dice: Dice) -> None:
        scene = self._scene
        closes = scene.micros(scene.policy.cancel_until(scene.base))
        if closes >= HOUR:
            return
        scene.until = closes + _PAST_THE_CLOSE
        if dice.chance("away.past_the_close", 0.25):
            # So a payment meets the end of its window before anybody could say what it is.
            starts = dice.up_to("away.starts", 70_000) * MS
            kind = dice.pick(AWAY_PAST_THE_CLOSE)
            scene.outages += (Outage(kind, starts, closes + 16 * MINUTE),)
            if dice.chance("until.the_next_question", 0.4):
                scene.until = closes + _TO_THE_NEXT_QUESTION
        length = dice.pick(AT_THE_CLOSE)
        if length:
            starts = closes - 10 * S
            scene.second_storm = (starts, starts + length)
            kind_then = dice.pick(AWAY_AT_THE_CLOSE)
            if kind_then is not None:
                scene.outages += (Outage(kind_then, starts, starts + length),)

    def _plan_trouble(self, dice: Dice, side: NetworkSide) -> None:
        scene, workers = self._scene, self._workers
        count = len(workers.all)
        jump = dice.pick(JUMPS)
        if jump:
            at = dice.up_to("jump.at", 80_000) * MS
            scene.after(at, workers.jump, dice.up_to("jump.who", count - 1), jump)
        if dice.chance("pause", 0.1):
            at = dice.up_to("pause.at", 70_000) * MS
            length = (1000 + dice.up_to("pause.length", 40_000)) * MS
            scene.after(at, workers.pause, dice.up_to("pause.who", count - 1), length)
        if dice.chance("crash", 0.06):
            who = dice.up_to("crash.who", count - 1)
            scene.after(dice.up_to("crash.at", 80_000) * MS, workers.crash_one, who)
        if dice.chance("stop", 0.05):
            who = dice.up_to("stop.who", count - 1)
            scene.after(dice.up_to("stop.at", 80_000) * MS, workers.stop_one, who)
        if dice.chance("notify.unknown", 0.02):
            scene.after(dice.up_to("notify.unknown.at", 20_000) * MS, side.notify_unknown)

    def run(self) -> Failure | None:
        """From the first scan to the end; gives the invariant that does not hold."""
        scene, loop = self._scene, self._scene.loop
        log, level = logging.getLogger("tillgate"), logging.getLogger("tillgate").level
        listener, propagates = _Listener(self._logged), log.propagate
        log.addHandler(listener)
        log.propagate = False
        log.setLevel(logging.INFO)
        try:
            loop.call_soon(self._begin, context=loop.outside.context)
            loop.run_forever()
            for error in loop.unheard():
                scene.fail("raised", f"in a task: {type(error).__name__}: {error}")
        finally:
            loop.end()
            log.removeHandler(listener)
            log.propagate = propagates
            log.setLevel(level)
        scene.tally.virtual_us += scene.now
        if scene.failure is not None and scene.tape is not None:
            scene.note("VIOLATED", f"{scene.failure.invariant}: {scene.failure.detail}")
        return scene.failure

    def _begin(self) -> None:
        scene = self._scene
        for worker in self._workers.all:
            self._workers.start(worker)
        for till in self._tills:
            scene.loop.start(scene.loop.outside, till.sell(), self._sold)
        context = scene.loop.outside.context
        scene.loop.call_at(S / 2 / S, self._tick, context=context)

    def _sold(self, task: asyncio.Task[None]) -> None:
        self._selling -= 1
        error = task.exception()
        if error is not None:
            self._scene.fail("raised", f"in a till: {type(error).__name__}: {error}")

    def _tick(self) -> None:
        scene, book = self._scene, self._book
        try:
            book.check_waiting()
            rows: list[Case | RefundCase] = [*book.cases.values(), *book.refunds.values()]
            is_at_rest = not (self._selling or scene.coming or self._workers.are_asked())
            is_over = is_at_rest and not any(map(self._is_busy, rows))
            end = max(scene.until, scene.clears_at, scene.last_trouble)
            is_cut = scene.now > end + _TO_THE_END
            if is_over or is_cut:
                book.check_end(is_cut=is_cut)
                scene.loop.stop()
                return
        except Violated as violated:
            scene.violated(violated)
            return
        context = scene.loop.outside.context
        scene.loop.call_later(_TICK / S, self._tick, context=context)

    def _is_busy(self, case: Case | RefundCase) -> bool:
        """Something is planned for it; that an UNRESOLVED one asks for days is not waited for."""
        at = case.row.next_action_at
        if at is None:
            return False
        scene = self._scene
        return case.row.status.name != "UNRESOLVED" or scene.micros(at) < scene.until

    def _money_moved(self, case: Case) -> None:
        check_money(case)

    # What must never be
    # ------------------------------------------------------------------------------------------

    def _escaped(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self._scene.fail("raised", f"{context.get('message')}: {error!r}")

    def _logged(self, record: logging.LogRecord) -> None:
        scene, text = self._scene, record.getMessage()
        if record.exc_info:
            error = record.exc_info[1]
            scene.fail("raised", f"{text}: {type(error).__name__}: {error}")
        self._book.check_text(text, "a log line")
        if scene.tape is not None:
            scene.note("log", text)


class _Listener(logging.Handler):
    """Hears what the gateway logs."""

    def __init__(self, heard: Any) -> None:
        super().__init__()
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on."""
        self._heard(record)

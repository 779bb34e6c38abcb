"""Whoever hears of a committed change: the operator, and the wallet that pays after the end."""

from __future__ import annotations

import asyncio
from typing import Any

from tillgate.core.errors import RequestError, StoreError
from tillgate.core.model import Payment, Status
from tillgate.core.payment import may_resolve
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, Fault, S
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.network_side import NetworkSide
from tillgate.simulation.gateway_depth.scene import Scene
from tillgate.simulation.gateway_depth.workers import Gone, Workers
from tillgate.simulation.stage import Case

_VISITS: Table[int] = Table("operator", (MINUTE, 1), (5 * MINUTE, 1))


class Office:
    """See the module."""

    def __init__(self, scene: Scene, book: Book, side: NetworkSide, workers: Workers) -> None:
        self._scene = scene
        self._book = book
        self._side = side
        self._workers = workers

    def told_of(self, case: Case, before: Payment, after: Payment) -> None:
        """A status changed."""
        scene = self._scene
        match after.status:
            case Status.UNRESOLVED if scene.dice.chance("operator.unresolved", 0.7):
                scene.after(scene.dice.pick(_VISITS), self._resolve, case)
            case Status.CANCELLING if scene.dice.chance("operator.closing", 0.3):
                scene.after(91 * S, self._resolve, case)
            case Status.FAILED | Status.CANCELLED:
                self._side.plan_flip(case)
            case _:
                pass

    def _resolve(self, case: Case) -> None:
        """With evidence only: the network's support says what the books say, when nothing is on
        its way.
        """
        scene, row = self._scene, case.row
        worker = self._workers.somebody()
        if worker is None or case.flights or case.is_flipped:
            return
        if row.status not in (Status.UNRESOLVED, Status.CANCELLING):
            return
        if case.money not in (0, row.order.amount.value):
            return
        if not case.money and self._side.may_still_pay(case):
            return
        status = Status.SUCCEEDED if case.money else Status.CANCELLED
        if not case.money and scene.dice.chance("operator.failed", 0.5):
            status = Status.FAILED
        if may_resolve(row, status, worker.now(), scene.policy) is not None:
            return
        scene.count(Fault.OPERATOR_RESOLVES)
        work = worker.interventions.resolve(row.payment_request_id, status, "operator", "the books")
        self._workers.ask(worker, work).add_done_callback(
            self._resolved, context=scene.loop.outside.context
        )

    def _resolved(self, done: asyncio.Future[Any]) -> None:
        error = done.exception()
        if error is not None and not isinstance(error, RequestError | StoreError | Gone):
            self._scene.fail("raised", f"an operator: {type(error).__name__}: {error}")

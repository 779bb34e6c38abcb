"""The workers of a world: whole gateways over one store that crash, stand still and start again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from tillgate.alipayplus.client import AlipayPlusClient
from tillgate.connectors import Connector, NotifyCall
from tillgate.core.errors import StoreError
from tillgate.gateway.accept import Acceptance
from tillgate.gateway.follow import STOP_GRACE_S, Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.notify import Notifications
from tillgate.gateway.refund import Refunds
from tillgate.gateway.refund_calls import RefundCalls
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.gateway.routes import Routes
from tillgate.gateway.sealing import KEY_BYTES, Sealer
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, MS, Fault, S, Weather
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.database import Reader, Writer
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.gateway_depth.loop import Life
from tillgate.simulation.gateway_depth.network_side import Answered
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.gateway_depth.tongue import Tongue
from tillgate.simulation.gateway_depth.wire import Wire, WorldTransport
from tillgate.simulation.nodes import SKEW_MAX
from tillgate.store.sqlite import SqliteStore
from tillgate.tables import TableSource, load_shipped

_DOWN_FOR: Table[int] = Table(
    "down", (300 * MS, 4), (3 * S, 3), (12 * S, 2), (65 * S, 1), (3 * MINUTE, 0.3)
)
_NOTIFY_TIMEOUT_S = 5.0
_START_AGAIN = S
_SEAL_KEY = b"s" * KEY_BYTES


class Gone(Exception):
    """The connection to a worker broke: nobody can say what it did."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The code on trial. Tests break a part of it and expect to be told."""

    follower: type[Follower] = Follower
    store: type[SqliteStore] = SqliteStore
    notifications: type[Notifications] = Notifications
    client: type[AlipayPlusClient] = AlipayPlusClient
    refund_follower: type[RefundFollower] = RefundFollower


AS_BUILT = Parts()


class Worker:
    """One of them, over all its starts. It is a `Clock`: its own."""

    def __init__(self, scene: Scene, number: int, skew: int) -> None:
        self._scene = scene
        self.number = number
        self.name = f"worker {number}"
        self.skew = skew
        self.is_up = False
        self.is_paused = False
        self.life: Life
        self.follower: Follower
        self.acceptance: Acceptance
        self.interventions: Interventions
        self.notifications: Notifications
        self.refund_follower: RefundFollower
        self.refunds: Refunds
        self.asked: dict[asyncio.Future[Any], None] = {}

    def now(self) -> datetime:
        """Aware UTC, as far as this machine knows."""
        return self._scene.instant(self.skew)


class Workers:
    """All of them."""

    def __init__(
        self,
        scene: Scene,
        weather: Weather,
        book: Book,
        connection: sqlite3.Connection,
        wire: Wire,
        tongue: Tongue,
        keys: Keys,
        skews: tuple[int, ...],
        parts: Parts,
        *,
        reads_fail: bool,
    ) -> None:
        self._scene = scene
        self._weather = weather
        self._book = book
        self._connection = connection
        self._wire = wire
        self._tongue = tongue
        self._parts = parts
        self._reads_fail = reads_fail
        self._keys = keys
        self._drawn = 0
        self._sealer = Sealer(_SEAL_KEY, self._draw)
        self.all = [Worker(scene, number, skew) for number, skew in enumerate(skews)]

    def _draw(self, size: int) -> bytes:
        self._drawn += 1
        return self._drawn.to_bytes(size)

    def _draw_id(self, now: datetime) -> str:
        self._drawn += 1
        return f"pay_{self._drawn:026d}"

    def _draw_refund_id(self, now: datetime) -> str:
        return self._draw_id(now).replace("pay_", "ref_")

    # From start to death
    # ------------------------------------------------------------------------------------------

    def start(self, worker: Worker) -> None:
        """A process starts: everything new, over the same store."""
        scene, parts = self._scene, self._parts
        life = worker.life = scene.loop.new_life()
        reader = Reader(scene, self._connection, may_fail=self._reads_fail)

        def crash() -> None:
            if not life.is_dead:
                self.crash(worker)

        writer = Writer(scene, self._weather, self._book, self._connection, life, crash)
        store = parts.store(cast(sqlite3.Connection, reader), writer, lambda: None)
        transport = WorldTransport(self._wire, life, worker.name)
        connector = self._tongue.connector(
            transport, self._keys, worker, scene.policy, parts.client
        )
        connectors: dict[str, Connector] = {connector.name: connector}
        worker.follower = parts.follower(store, connectors, self._sealer, worker)
        worker.acceptance = Acceptance(
            store=store,
            follower=worker.follower,
            connectors=connectors,
            routes=Routes(load_shipped(), self._tongue.integrations, TableSource("guide")),
            sealer=self._sealer,
            clock=worker,
            draw_id=self._draw_id,
        )
        worker.interventions = Interventions(worker.follower, connectors, worker)
        calls = RefundCalls(worker.follower.calls, connectors, worker)
        worker.refund_follower = parts.refund_follower(store, worker.follower, calls, worker)
        worker.refunds = Refunds(
            store=store,
            payments=worker.follower,
            refunds=worker.refund_follower,
            calls=calls,
            clock=worker,
            draw_id=self._draw_refund_id,
        )
        worker.notifications = parts.notifications(store, worker.follower, connectors, worker)

        def started(task: asyncio.Task[int]) -> None:
            error = task.exception()
            if error is None:
                worker.is_up = True
                return
            if not isinstance(error, StoreError):
                scene.fail("raised", f"at start: {type(error).__name__}: {error}")
            self._die(worker, _START_AGAIN)

        async def recovered() -> int:
            return await worker.follower.recover() + await worker.refund_follower.recover()

        scene.loop.start(life, recovered(), started)

    def crash(self, worker: Worker) -> None:
        """A process dies here and now."""
        if worker.life.is_dead:
            return
        self._die(worker, self._scene.dice.pick(_DOWN_FOR))

    def _die(self, worker: Worker, down_for: int) -> None:
        scene = self._scene
        if scene.tape is not None:
            scene.note(worker.name, f"dies, for {down_for / S:g} s")
        worker.is_up = worker.is_paused = False
        scene.loop.kill(worker.life)
        asked, worker.asked = worker.asked, {}
        for answer in asked:
            if not answer.done():
                answer.set_exception(Gone())
                answer.exception()  # the till may have left
        # Whoever takes over sees a payment 2 s after it was due, looking every 2 s.
        self._book.touch(scene.now + down_for + 14 * S)
        scene.surely(down_for, self._start_again, worker)

    def _start_again(self, worker: Worker) -> None:
        if self._scene.tape is not None:
            self._scene.note(worker.name, "starts again")
        self._book.touch(self._scene.now + 14 * S)
        self.start(worker)

    def crash_one(self, number: int) -> None:
        """One dies at no particular moment."""
        worker = self.all[number % len(self.all)]
        if worker.is_up:
            self._scene.count(Fault.CRASH_AFTER_SEND)
            self.crash(worker)

    def stop_one(self, number: int) -> None:
        """One is stopped as an operator does it, and started again."""
        worker, scene = self.all[number % len(self.all)], self._scene
        if not worker.is_up:
            return
        scene.trouble(Trouble.WORKER_STOPS)
        worker.is_up = False
        self._book.touch(scene.now + int(STOP_GRACE_S * S) + 14 * S)
        life = worker.life

        def stopped(task: asyncio.Task[None]) -> None:
            error = task.exception()
            if error is not None:
                scene.fail("raised", f"at stop: {type(error).__name__}: {error}")
            if worker.life is life and not life.is_dead:
                self._die(worker, S)

        async def stops() -> None:
            await asyncio.gather(worker.refund_follower.stop(), worker.follower.stop())

        scene.loop.start(life, stops(), stopped)

    def pause(self, number: int, length: int) -> None:
        """One stands still: none of its callbacks runs."""
        worker = self.all[number % len(self.all)]
        scene = self._scene
        if worker.life.is_dead or worker.is_paused:
            return
        scene.count(Fault.WORKER_PAUSED)
        worker.is_paused = True
        scene.loop.pause(worker.life)
        self._book.touch(scene.now + length + 14 * S)
        scene.surely(length, self._resume, worker, worker.life)

    def _resume(self, worker: Worker, life: Life) -> None:
        if worker.life is life and worker.is_paused:
            if self._scene.tape is not None:
                self._scene.note(worker.name, "goes on")
            worker.is_paused = False
            self._scene.loop.resume(life)

    def jump(self, number: int, by: int) -> None:
        """A clock is set."""
        worker = self.all[number % len(self.all)]
        self._scene.count(Fault.CLOCK_JUMP)
        worker.skew = max(-SKEW_MAX, min(SKEW_MAX, worker.skew + by))

    # Asking one
    # ------------------------------------------------------------------------------------------

    def somebody(self) -> Worker | None:
        """Whom the load balancer picks: it knows who is down, not who stands still."""
        up = [worker for worker in self.all if worker.is_up]
        if len(up) > 1:
            return up[self._scene.dice.up_to("worker", len(up) - 1)]
        return up[0] if up else None

    def are_asked(self) -> bool:
        """Somebody still works on an answer, though the one who asked may have left."""
        return any(worker.asked for worker in self.all)

    def ask(self, worker: Worker, work: Coroutine[Any, Any, Any]) -> asyncio.Future[Any]:
        """Let a worker do something; the future ends with `Gone` when it dies over it."""
        answer: asyncio.Future[Any] = self._scene.loop.create_future()
        worker.asked[answer] = None

        def done(task: asyncio.Task[Any]) -> None:
            worker.asked.pop(answer, None)
            error = task.exception()
            if answer.done():
                return  # who asked has left
            if error is None:
                answer.set_result(task.result())
            else:
                answer.set_exception(error)
                answer.exception()

        self._scene.loop.start(worker.life, work, done)
        return answer

    def deliver(self, call: NotifyCall, answered: Answered) -> None:
        """A notification comes to whoever is up."""
        worker = self.somebody()
        if worker is None:
            answered(None)
            return
        scene = self._scene
        answer = self.ask(worker, worker.notifications.receive(self._tongue.dialect.name, call))
        outside = scene.loop.outside.context

        def heard(done: asyncio.Future[Any]) -> None:
            timer.cancel()
            error = done.exception()
            if error is not None and not isinstance(error, Gone):
                scene.fail("raised", f"a notification: {type(error).__name__}: {error}")
            result = done.result() if error is None else None
            if scene.tape is not None:
                status = result.status if result else "nothing"
                scene.note(worker.name, f"answers a notification with {status}")
            scene.happens(answered, result)

        def gives_up() -> None:
            answer.remove_done_callback(heard)
            answered(None)

        timer = scene.loop.call_later(_NOTIFY_TIMEOUT_S, scene.happens, gives_up, context=outside)
        answer.add_done_callback(heard, context=outside)


Ask = Callable[[Worker], Coroutine[Any, Any, Any]]

"""The other side of a world: the sandbox's signed API over its network, and the notifications it
sends, with real headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from tillgate.connectors import NotifyAnswer, NotifyCall
from tillgate.core.model import Call, Status
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, Fault, Weather
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.gateway_depth.tongue import FORGERIES, Headers, Tongue
from tillgate.simulation.other_side import NOTIFY_WAITS, OtherSide, Told
from tillgate.simulation.speech import Leg
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import Reply

_FORGERIES: Table[str] = Table("forgery", *((way, 1) for way in FORGERIES))

Answered = Callable[[NotifyAnswer | None], None]
Deliver = Callable[[NotifyCall, Answered], None]
"""Bring a notification to some worker; None: no answer in time."""


class NetworkSide(OtherSide):
    """See the module."""

    def __init__(
        self,
        scene: Scene,
        weather: Weather,
        tongue: Tongue,
        book: Book,
        keys: Keys,
        check: Callable[[Case], None],
    ) -> None:
        super().__init__(
            scene, weather, tongue.dialect, book.cases, lambda case, told: False, check
        )
        self._tongue = tongue
        self._scene = scene
        self._book = book
        self._keys = keys
        self._app = tongue.app(self.network, keys, self, self.settle)
        self._cancelled: set[int] = set()
        self.deliver: Deliver

    def now(self) -> datetime:
        """The network's own clock is the world's."""
        return self._scene.instant()

    # What arrives
    # ------------------------------------------------------------------------------------------

    def post(
        self, case: Case, leg: Leg, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        """A request arrives: the sandbox's ASGI application answers at once."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        before = case.money
        _finish(self._app(scope, receive, send))
        if leg.call is Call.PAY and self.may_still_pay(case):
            if case.is_customer_asked:
                self._expire()
            else:
                self._ask_customer(case)
        start, content = sent
        if self._tongue.confirms_cancel(leg, content["body"]):
            self._cancelled.add(case.number)
        if case.money > before and case.number in self._cancelled:
            self._book.paid_again.add(case.number)
        pairs = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], Headers(pairs), content["body"])

    def signed(
        self, leg: Leg, path: str, message: Any, *, age: int = 0, is_forged: bool = False
    ) -> Reply:
        """An answer that the network, or somebody in its place, signs; its time is `age` old."""
        key = self._keys.stranger if is_forged else self._keys.network
        return self._tongue.signed(leg, path, message, key, self._scene.instant(-age))

    # Notifications
    # ------------------------------------------------------------------------------------------

    def _send(self, case: Case, told: Told, repeats: int) -> None:
        scene = self._scene
        if scene.outage() in (Fault.NETWORK_DOWN, Fault.NETWORK_SILENT):
            self._again(case, told, repeats)
            return

        def answered(answer: NotifyAnswer | None) -> None:
            if answer is None or answer.status != 200:
                self._again(case, told, repeats)
            else:
                self._acknowledged(case, told, answer)

        if scene.tape is not None:
            is_paid, amount = self._tongue.is_paid(told), self._tongue.amount_told(told)
            said = f"{'paid' if is_paid else 'not paid'} {amount or ''}"
            scene.note("network", f"notifies {case.number}: {said}")
        self.deliver(self._call(told), answered)

    def _again(self, case: Case, told: Told, repeats: int) -> None:
        self._scene.count(Fault.NOTIFY_REFUSED)
        if repeats == len(NOTIFY_WAITS):
            return
        wait = NOTIFY_WAITS[repeats]
        if case.is_flipped:
            # Without a word nobody could know of it, so the world waits for that.
            self._scene.surely(min(wait, 10 * MINUTE), self._send, case, told, repeats + 1)
        else:
            self._scene.after(wait, self._send, case, told, repeats + 1)

    def _call(self, told: Told) -> NotifyCall:
        return self._tongue.notify_call(told, self._keys, self._scene.instant())

    def _acknowledged(self, case: Case, told: Told, answer: NotifyAnswer) -> None:
        """Whoever acknowledges has committed what it was told, and says so as is wanted."""
        row = case.row
        self._tongue.check_acknowledged(answer, self._keys, case)
        amount, is_paid = self._tongue.amount_told(told), self._tongue.is_paid(told)
        is_unclear = row.mismatches > 0 or (is_paid and amount is None)
        if row.status is Status.PENDING and not is_unclear:
            raise Violated("acknowledged-unsaved", case, "it is still PENDING")
        is_known = row.was_reported_paid or row.status is Status.SUCCEEDED
        if is_paid and amount == row.order.amount and not is_known:
            raise Violated("acknowledged-unsaved", case, f"{row.status} knows of no success")

    def _send_badly_signed(self, case: Case, told: Told) -> None:
        """A lie in the network's name: it must get 401 and change nothing."""
        scene = self._scene
        scene.trouble(Trouble.NOTIFY_FORGED)
        how, amount = scene.dice.pick(_FORGERIES), case.row.order.amount
        call = self._tongue.forged(told, amount, how, self._keys, scene.instant())

        def answered(answer: NotifyAnswer | None) -> None:
            if answer is not None and answer.status != 401:
                raise Violated("forgery-believed", case, f"HTTP status {answer.status}")

        self.deliver(call, answered)

    def notify_unknown(self) -> None:
        """A signed notification of a payment that is not ours: kept for a person."""
        scene = self._scene
        scene.trouble(Trouble.NOTIFY_UNKNOWN)

        def answered(answer: NotifyAnswer | None) -> None:
            if answer is not None and answer.status == 200 and not self._book.has_unmatched():
                scene.fail("acknowledged-unsaved", "a notification that fits no payment is lost")

        self.deliver(self._call(self._tongue.of_nobody()), answered)


def _finish(work: Awaitable[None]) -> None:
    """Run what never waits."""
    try:
        work.__await__().send(None)
    except StopIteration:
        return
    raise AssertionError("the sandbox waits for something")

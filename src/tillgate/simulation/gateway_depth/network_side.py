"""The other side of a world: the sandbox's signed API over its network, and the notifications it
sends, with real headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import SUCCESS, Notification, Wire, amount_of
from tillgate.alipayplus.signing import BadSignature
from tillgate.connectors import NotifyAnswer, NotifyCall
from tillgate.core.model import Status
from tillgate.core.results import Outcome
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.payment import wire_time
from tillgate.sandbox.signed_api import CONTENT_TYPE, SignedApi
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, Fault, Weather
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.network import CLIENT_ID
from tillgate.simulation.other_side import NOTIFY_WAITS, OtherSide
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import Reply

NOTIFY_PATH = "/alipayplus/v1/notifyPayment"
NOTIFY_URL = f"https://acquirer.example{NOTIFY_PATH}"
_FORGERIES: Table[str] = Table(
    "forgery", *((way, 1) for way in ("stranger", "changed", "unsigned", "client", "path"))
)

Answered = Callable[[NotifyAnswer | None], None]
Deliver = Callable[[NotifyCall, Answered], None]
"""Bring a notification to some worker; None: no answer in time."""


class NetworkSide(OtherSide):
    """See the module."""

    def __init__(
        self, scene: Scene, weather: Weather, book: Book, keys: Keys, check: Callable[[Case], None]
    ) -> None:
        super().__init__(scene, weather, book.cases, lambda case, told: False, check)
        self._scene = scene
        self._book = book
        self._keys = keys
        self._api = SignedApi(
            self.network,
            Exchanges(),
            signing_key=keys.network,
            acquirers={CLIENT_ID: keys.acquirer_ring},
            clock=self,
            after_each=self.settle,
        )
        self._cancelled: set[int] = set()
        self.deliver: Deliver

    def now(self) -> datetime:
        """The network's own clock is the world's."""
        return self._scene.instant()

    # What arrives
    # ------------------------------------------------------------------------------------------

    def post(self, case: Case, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """A request arrives: the sandbox's ASGI application answers at once."""
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [(k.lower().encode(), v.encode()) for k, v in headers.items()],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        before = case.money
        _finish(self._api(scope, receive, send))
        if path == messages.PAY_PATH and self.may_still_pay(case):
            if case.is_customer_asked:
                self._expire()
            else:
                self._ask_customer(case)
        start, content = sent
        if path == messages.CANCEL_PATH and b'"resultStatus":"S"' in content["body"]:
            self._cancelled.add(case.number)
        if case.money > before and case.number in self._cancelled:
            self._book.paid_again.add(case.number)
        pairs = {name.decode(): value.decode() for name, value in start["headers"]}
        return Reply(start["status"], _Headers(pairs), content["body"])

    def signed(self, path: str, message: Wire, *, age: int = 0, is_forged: bool = False) -> Reply:
        """An answer that the network, or somebody in its place, signs; its time is `age` old."""
        body = messages.encode(message)
        time = wire_time(self._scene.instant(-age))
        key = self._keys.stranger if is_forged else self._keys.network
        headers = {
            "content-type": CONTENT_TYPE,
            "client-id": CLIENT_ID,
            "response-time": time,
            "signature": key.sign(path, CLIENT_ID, time, body),
        }
        return Reply(200, _Headers(headers), body)

    # Notifications
    # ------------------------------------------------------------------------------------------

    def _send(self, case: Case, told: Notification, repeats: int) -> None:
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
            scene.note("network", f"notifies {case.number}: {_words(told)}")
        self.deliver(self._call(messages.encode(told)), answered)

    def _again(self, case: Case, told: Notification, repeats: int) -> None:
        self._scene.count(Fault.NOTIFY_REFUSED)
        if repeats == len(NOTIFY_WAITS):
            return
        wait = NOTIFY_WAITS[repeats]
        if case.is_flipped:
            # Without a word nobody could know of it, so the world waits for that.
            self._scene.surely(min(wait, 10 * MINUTE), self._send, case, told, repeats + 1)
        else:
            self._scene.after(wait, self._send, case, told, repeats + 1)

    def _call(self, body: bytes) -> NotifyCall:
        time = wire_time(self._scene.instant())
        signature = self._keys.network.sign(NOTIFY_PATH, CLIENT_ID, time, body)
        headers = {"client-id": CLIENT_ID, "request-time": time, "signature": signature}
        return NotifyCall(path=NOTIFY_PATH, headers=headers, body=body)

    def _acknowledged(self, case: Case, told: Notification, answer: NotifyAnswer) -> None:
        """Whoever says S has committed what it was told, and signed the S."""
        row, headers = case.row, answer.headers
        try:
            time = headers.get("Response-Time")
            self._keys.acquirer_ring.verify(
                headers.get("Signature"), NOTIFY_PATH, CLIENT_ID, time, answer.body
            )
        except BadSignature as error:
            raise Violated("acknowledged-unsigned", case, str(error)) from None
        amount = told.payment_amount
        is_paid = told.payment_result.result_status is Outcome.SUCCESS
        is_unclear = row.mismatches > 0 or (is_paid and amount is None)
        if row.status is Status.PENDING and not is_unclear:
            raise Violated("acknowledged-unsaved", case, "it is still PENDING")
        is_known = row.was_reported_paid or row.status is Status.SUCCEEDED
        if is_paid and amount == amount_of(row.order.amount) and not is_known:
            raise Violated("acknowledged-unsaved", case, f"{row.status} knows of no success")

    def _send_badly_signed(self, case: Case, told: Notification) -> None:
        """A lie in the network's name: it must get 401 and change nothing."""
        scene = self._scene
        scene.trouble(Trouble.NOTIFY_FORGED)
        lie = msgspec.structs.replace(
            told, payment_result=SUCCESS, payment_amount=amount_of(case.row.order.amount)
        )
        call = self._call(messages.encode(lie))
        match scene.dice.pick(_FORGERIES):
            case "stranger":
                signature = self._keys.stranger.sign(
                    NOTIFY_PATH, CLIENT_ID, call.headers["request-time"], call.body
                )
                call = _with(call, "signature", signature)
            case "changed":
                call = replace(call, body=call.body + b" ")
            case "unsigned":
                call = _with(call, "signature", None)
            case "client":
                call = _with(call, "client-id", "SOMEBODY")
            case _:
                signature = self._keys.network.sign(
                    f"{NOTIFY_PATH}?", CLIENT_ID, call.headers["request-time"], call.body
                )
                call = _with(call, "signature", signature)

        def answered(answer: NotifyAnswer | None) -> None:
            if answer is not None and answer.status != 401:
                raise Violated("forgery-believed", case, f"HTTP status {answer.status}")

        self.deliver(call, answered)

    def notify_unknown(self) -> None:
        """A signed notification of a payment that is not ours: kept for a person."""
        scene = self._scene
        scene.trouble(Trouble.NOTIFY_UNKNOWN)
        told = Notification(
            payment_result=SUCCESS, payment_request_id="pay_elsewhere", payment_id="elsewhere"
        )

        def answered(answer: NotifyAnswer | None) -> None:
            if answer is not None and answer.status == 200 and not self._book.has_unmatched():
                scene.fail("acknowledged-unsaved", "a notification that fits no payment is lost")

        self.deliver(self._call(messages.encode(told)), answered)


def _with(call: NotifyCall, name: str, value: str | None) -> NotifyCall:
    headers = {key: text for key, text in call.headers.items() if key != name}
    return replace(call, headers=headers | ({name: value} if value is not None else {}))


def _words(told: Notification) -> str:
    result, amount = told.payment_result, told.payment_amount
    words = f"{result.result_status.value}/{result.result_code}"
    return f"{words}, {amount.currency} {amount.value}" if amount else words


class _Headers(dict[str, str]):
    """Names in any case, as an HTTP client gives them."""

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(name.lower(), default)


def _finish(work: Awaitable[None]) -> None:
    """Run what never waits."""
    try:
        work.__await__().send(None)
    except StopIteration:
        return
    raise AssertionError("the sandbox waits for something")

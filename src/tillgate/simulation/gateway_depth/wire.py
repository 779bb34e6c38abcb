"""The wire between the workers and the network: the bytes that would travel, and what becomes of
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import (
    SUCCESS,
    CancelResponse,
    InquiryResponse,
    PayResponse,
    RefundResponse,
    Result,
    amount_of,
)
from tillgate.core.model import Call
from tillgate.core.results import ORDER_NOT_EXIST, REPEAT_REQ_INCONSISTENT, Outcome
from tillgate.sandbox.payment import RESULTS
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MS, REFUSALS, UNKNOWNS, UNSIGNED, Fault, S, Weather
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.loop import NEVER, Life
from tillgate.simulation.gateway_depth.network_side import NetworkSide
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.other_side import with_other_amount
from tillgate.simulation.stage import Case, Violated
from tillgate.simulation.wire import FOREIGN_ID, READ_LAG_MAX
from tillgate.transport import ConnectionBroke, NoConnection, Reply

_SLOW: Table[int] = Table(
    "call.slow", (3 * S, 2), (9 * S, 3), (20 * S, 2), (58 * S, 1), (62 * S, 1), (65 * S, 1)
)
_SLOW_REPLY: Table[int] = Table(
    "reply.slow", (2 * S, 2), (4900 * MS, 1), (7900 * MS, 1), (12 * S, 2)
)
_NO_CONNECTION: Table[int] = Table("no_connection", (MS, 3), (S, 1), (2 * S, 1))
_GARBAGE: Table[str] = Table(
    "garbage",
    *((how, 1) for how in ("half", "words", "other bytes", "unsigned", "5xx", "empty", "list")),
    ("forged", 2),
    ("old", 2),
)
_STATUSES: Table[int] = Table("status", *((status, 1) for status in (502, 404, 429, 500, 503, 302)))


@dataclass(frozen=True, slots=True)
class _Api:
    call: Call
    requests: msgspec.json.Decoder[Any]
    responses: msgspec.json.Decoder[Any]
    answer: Callable[..., Any]


_APIS = {
    messages.PAY_PATH: _Api(Call.PAY, messages.PAY_REQUESTS, messages.PAY_RESPONSES, PayResponse),
    messages.INQUIRY_PATH: _Api(
        Call.INQUIRY, messages.INQUIRY_REQUESTS, messages.INQUIRY_RESPONSES, InquiryResponse
    ),
    messages.CANCEL_PATH: _Api(
        Call.CANCEL, messages.CANCEL_REQUESTS, messages.CANCEL_RESPONSES, CancelResponse
    ),
    messages.REFUND_PATH: _Api(
        Call.REFUND, messages.REFUND_REQUESTS, messages.REFUND_RESPONSES, RefundResponse
    ),
}


class Flight:
    """One request on its way and its future answer."""

    __slots__ = ("api", "back", "body", "case", "fate", "headers", "path", "timer")

    def __init__(
        self, case: Case, path: str, body: bytes, headers: Mapping[str, str], fate: Fault | None
    ) -> None:
        self.case = case
        self.path = path
        self.api = _APIS[path]
        self.body = body
        self.headers = headers
        self.fate = fate
        self.back: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self.timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """It has its outcome."""
        if self.timer is not None:
            self.timer.cancel()


class WorldTransport:
    """What one worker sends with. See `tillgate.transport.Transport`."""

    def __init__(self, wire: Wire, life: Life, who: str) -> None:
        self._wire = wire
        self._life = life
        self._who = who

    async def start(self) -> None:
        """Nothing to open."""

    async def close(self) -> None:
        """Nothing to close."""

    async def post(
        self, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Reply:
        """Send one request, once."""
        if self._life.is_dead:
            await NEVER
        flight = self._wire.leaves(self._who, path, body, headers, timeout_s)
        if flight is None:
            await NEVER
        assert flight is not None
        return await flight.back


class Wire:
    """Carries requests there and back."""

    def __init__(self, scene: Scene, weather: Weather, side: NetworkSide, book: Book) -> None:
        self._scene = scene
        self._weather = weather
        self._side = side
        self._book = book

    # There
    # ------------------------------------------------------------------------------------------

    def leaves(
        self, who: str, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Flight | None:
        """A request leaves; None when it should never have."""
        scene, call = self._scene, _APIS[path].call
        request = messages.decode(_APIS[path].requests, body)
        case = self._book.cases.get(request.payment_request_id)
        if case is None:
            scene.fail("sent-uncounted", f"{call} of a payment that was never stored")
            return None
        try:
            self._book.leaves(case, call, body)
        except Violated as violated:
            scene.violated(violated)
            return None
        flight = Flight(case, path, body, headers, self._fate())
        if scene.tape is not None:
            fate = f": {flight.fate}" if flight.fate else ""
            scene.note(who, f"{call.value} of {case.number} leaves{fate}")
        if flight.fate is not None:
            # Whatever the fault does, nothing is sure before this call has ended.
            case.had_bad_answer = True
            case.last_bad = max(case.last_bad, scene.now + int(timeout_s * S))
        self._depart(flight, int(timeout_s * S))
        return flight

    def _depart(self, flight: Flight, timeout: int) -> None:
        scene, dice = self._scene, self._scene.dice
        there = (20 + dice.up_to("there", 180)) * MS
        match flight.fate:
            case Fault.NEVER_SENT | Fault.NETWORK_DOWN:
                scene.after(dice.pick(_NO_CONNECTION), self._break, flight, NoConnection("refused"))
                return
            case Fault.REQUEST_SLOW:
                there = dice.pick(_SLOW) + dice.up_to("there.more", 1999) * MS
            case Fault.DUPLICATE:
                more = dice.pick(_SLOW) if dice.chance("duplicate.late", 0.5) else 50 * MS
                flight.case.flights += 1
                scene.after(there + more, self._arrive_again, flight)
            case _:
                pass
        # Set before anything that may come at the same moment: then the time-out is first.
        flight.timer = scene.loop.call_at(
            (scene.now + timeout) / S,
            self._break,
            flight,
            TimeoutError(),
            context=scene.loop.outside.context,
        )
        if flight.fate not in (Fault.REQUEST_LOST, Fault.NETWORK_SILENT):
            flight.case.flights += 1
            scene.after(there, self._arrive, flight)

    def _fate(self) -> Fault | None:
        scene = self._scene
        fate = scene.outage() if scene.outages else None
        if fate is None and scene.is_stormy():
            fate = scene.dice.pick(self._weather.call)
        if fate is not None:
            scene.count(fate)
        return fate

    def _arrive_again(self, flight: Flight) -> None:
        """A copy that somebody on the way made; its answer finds nobody."""
        flight.case.flights -= 1
        if self._scene.tape is not None:
            self._scene.note("network", f"a copy of {flight.api.call.value} arrives")
        self._side.post(flight.case, flight.path, flight.body, flight.headers)

    def _arrive(self, flight: Flight) -> None:
        scene, fate, dice = self._scene, flight.fate, self._scene.dice
        flight.case.flights -= 1
        reply = self._stopped_on_the_way(flight)
        if reply is None:
            reply = self._side.post(flight.case, flight.path, flight.body, flight.headers)
            reply = self._on_the_way_back(flight, reply)
        if scene.tape is not None:
            scene.note("network", f"{flight.api.call.value}: {_words(reply)}")
        back = (20 + dice.up_to("back", 180)) * MS
        if fate is Fault.REPLY_LOST:
            if dice.chance("reply.breaks", 0.5):
                scene.after(back, self._break, flight, ConnectionBroke("ServerDisconnectedError"))
            return
        if fate is Fault.REPLY_SLOW:
            back = dice.pick(_SLOW_REPLY)
        scene.after(back, self._end, flight, reply)

    # What is changed on the way
    # ------------------------------------------------------------------------------------------

    def _stopped_on_the_way(self, flight: Flight) -> Reply | None:
        """What comes back when the request has no effect; None when it arrives."""
        dice, api = self._scene.dice, flight.api
        match flight.fate:
            case Fault.HTTP_BEFORE | Fault.NETWORK_BROKEN:
                return Reply(dice.pick(_STATUSES), {}, b"<html>Bad Gateway</html>")
            case Fault.WRONG_KEYS:
                # Said by the sandbox itself, signed or not as it chooses.
                headers = {**flight.headers, "Signature": "algorithm=RSA256,signature=YmFk"}
                return self._side.post(flight.case, flight.path, flight.body, headers)
            case Fault.REFUSED_UNSIGNED:
                answer = self._result(flight, Outcome.FAILURE, dice.pick(UNSIGNED))
                if self._side.signs_key_refusals:
                    return self._side.signed(flight.path, answer)
                return Reply(200, {}, messages.encode(answer))
            case Fault.REFUSED:
                return self._answer(flight, Outcome.FAILURE, dice.pick(REFUSALS))
            case Fault.U_BEFORE:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(UNKNOWNS))
            case Fault.INCONSISTENT if api.call is Call.PAY:
                if dice.chance("inconsistent.unknown", 0.5):
                    return self._answer(flight, Outcome.FAILURE, REPEAT_REQ_INCONSISTENT)
                return None
            case Fault.READ_LAG if api.call in (Call.INQUIRY, Call.CANCEL):
                age = self._side.age_of(flight.case)
                if age is not None and age < READ_LAG_MAX:
                    return self._answer(flight, Outcome.FAILURE, ORDER_NOT_EXIST)
                return None
            case _:
                return None

    def _on_the_way_back(self, flight: Flight, reply: Reply) -> Reply:
        """What the answer has become when it comes back."""
        dice = self._scene.dice
        match flight.fate:
            case Fault.GARBAGE_AFTER:
                return self._garbage(flight, reply)
            case Fault.U_AFTER:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(UNKNOWNS))
            case Fault.INCONSISTENT if flight.api.call is Call.PAY:
                return self._answer(flight, Outcome.FAILURE, REPEAT_REQ_INCONSISTENT)
            case Fault.WRONG_AMOUNT | Fault.NO_AMOUNT | Fault.FOREIGN_ID:
                answer = messages.decode(flight.api.responses, reply.body)
                if not _is_paid(answer):
                    return reply
                if flight.fate is Fault.WRONG_AMOUNT:
                    answer = with_other_amount(answer)
                elif flight.fate is Fault.NO_AMOUNT:
                    answer = msgspec.structs.replace(answer, payment_amount=None)
                else:
                    answer = msgspec.structs.replace(answer, payment_id=self._foreign_id(flight))
                return self._side.signed(flight.path, answer)
            case _:
                return reply

    def _foreign_id(self, flight: Flight) -> str:
        """Of another payment of this world, where there is one: it suffers from it, too."""
        for other in self._book.cases.values():
            mine = other.row.receipt.payment_id
            if other is not flight.case and mine is not None:
                return mine
        return FOREIGN_ID

    def _garbage(self, flight: Flight, reply: Reply) -> Reply:
        dice, side = self._scene.dice, self._side
        match dice.pick(_GARBAGE):
            case "half":
                return Reply(200, reply.headers, reply.body[: len(reply.body) // 2])
            case "words":
                return Reply(200, {}, b"temporarily not available")
            case "other bytes":
                return Reply(200, reply.headers, reply.body.replace(b'"F"', b'"S"') + b" ")
            case "unsigned":
                return Reply(200, {}, reply.body)
            case "5xx":
                return Reply(502, reply.headers, reply.body)
            case "empty":
                return Reply(200, {}, b"")
            case "list":
                body, headers = b"[]", side.signed(flight.path, self._lie(flight)).headers
                return Reply(200, headers, body)
            case "old" if flight.api.call is not Call.INQUIRY:
                self._scene.trouble(Trouble.FORGED)
                return side.signed(flight.path, self._lie(flight), age=30 * S)
            case _:
                self._scene.trouble(Trouble.FORGED)
                return side.signed(flight.path, self._lie(flight), is_forged=True)

    def _lie(self, flight: Flight) -> Any:
        """A success that nobody may believe."""
        answer = flight.api.answer(result=SUCCESS)
        amount = amount_of(flight.case.row.order.amount)
        match flight.api.call:
            case Call.PAY:
                return msgspec.structs.replace(answer, payment_id="9", payment_amount=amount)
            case Call.INQUIRY:
                return msgspec.structs.replace(
                    answer, payment_id="9", payment_amount=amount, payment_result=SUCCESS
                )
            case Call.CANCEL | Call.REFUND:
                return answer

    def _answer(self, flight: Flight, outcome: Outcome, code: str) -> Reply:
        return self._side.signed(flight.path, self._result(flight, outcome, code))

    def _result(self, flight: Flight, outcome: Outcome, code: str) -> Any:
        result = RESULTS.get(code)
        if result is None or result.result_status is not outcome:
            result = Result(result_code=code, result_status=outcome)
        return flight.api.answer(result=result)

    # And back
    # ------------------------------------------------------------------------------------------

    def _end(self, flight: Flight, reply: Reply) -> None:
        if not flight.back.done():
            flight.end()
            flight.back.set_result(reply)

    def _break(self, flight: Flight, error: Exception) -> None:
        if not flight.back.done():
            flight.end()
            flight.back.set_exception(error)
            flight.back.exception()  # nobody may be left to hear it


def _is_paid(answer: Any) -> bool:
    told = getattr(answer, "payment_result", None) or answer.result
    return (
        getattr(answer, "payment_amount", None) is not None
        and told.result_status is Outcome.SUCCESS
    )


_ANSWERS = msgspec.json.Decoder(InquiryResponse)


def _words(reply: Reply) -> str:
    words = f"HTTP {reply.status}"
    try:
        answer = messages.decode(_ANSWERS, reply.body)
    except messages.BadMessage:
        return f"{words}, {len(reply.body)} bytes"
    words += f" {answer.result.result_status.value}/{answer.result.result_code}"
    inner = answer.payment_result
    return f"{words} of {inner.result_status.value}/{inner.result_code}" if inner else words

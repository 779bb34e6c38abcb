"""The wire between the workers and the network: the bytes that would travel, and what becomes of
them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from tillgate.core.model import Call, PaymentRequestId
from tillgate.core.results import Outcome
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import (
    MS,
    NO_CONNECTION,
    READ_LAG_MAX,
    SLOW_REPLY,
    SLOW_REQUEST,
    Fault,
    S,
    Weather,
)
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.loop import NEVER, Life
from tillgate.simulation.gateway_depth.network_side import NetworkSide
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.gateway_depth.tongue import Tongue
from tillgate.simulation.speech import FOREIGN_ID, SPOILT, Leg
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import ConnectionBroke, NoConnection, Reply

_GARBAGE: Table[str] = Table(
    "garbage",
    *((how, 1) for how in ("half", "words", "other bytes", "unsigned", "5xx", "empty", "list")),
    ("forged", 2),
    ("old", 2),
)
_STATUSES: Table[int] = Table("status", *((status, 1) for status in (502, 404, 429, 500, 503, 302)))


class Flight:
    """One request on its way and its future answer."""

    __slots__ = ("back", "body", "case", "fate", "headers", "leg", "path", "timer")

    def __init__(
        self,
        case: Case,
        leg: Leg,
        path: str,
        body: bytes,
        headers: Mapping[str, str],
        fate: Fault | None,
    ) -> None:
        self.case = case
        self.leg = leg
        self.path = path
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

    def __init__(
        self, scene: Scene, weather: Weather, tongue: Tongue, side: NetworkSide, book: Book
    ) -> None:
        self._scene = scene
        self._tongue = tongue
        self._weather = weather
        self._side = side
        self._book = book

    # There
    # ------------------------------------------------------------------------------------------

    def leaves(
        self, who: str, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
    ) -> Flight | None:
        """A request leaves; None when it should never have."""
        scene = self._scene
        leg, content = self._tongue.read(path, body, timeout_s)
        call, case = leg.call, self._book.cases.get(PaymentRequestId(leg.request_id))
        if case is None:
            scene.fail("sent-uncounted", f"{call} of a payment that was never stored")
            return None
        try:
            if refund := refund_of(leg.request):
                self._book.refund_leaves(refund, call, content)
            else:
                self._book.leaves(case, call, content, asks_twice=self._tongue.asks_twice)
        except Violated as violated:
            scene.violated(violated)
            return None
        flight = Flight(case, leg, path, body, headers, self._fate())
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
                scene.after(dice.pick(NO_CONNECTION), self._break, flight, NoConnection("refused"))
                return
            case Fault.REQUEST_SLOW:
                there = dice.pick(SLOW_REQUEST) + dice.up_to("there.more", 1999) * MS
            case Fault.DUPLICATE:
                more = dice.pick(SLOW_REQUEST) if dice.chance("duplicate.late", 0.5) else 50 * MS
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
            self._scene.note("network", f"a copy of {flight.leg.call.value} arrives")
        self._post(flight)

    def _arrive(self, flight: Flight) -> None:
        scene, fate, dice = self._scene, flight.fate, self._scene.dice
        flight.case.flights -= 1
        reply = self._stopped_on_the_way(flight)
        if reply is None:
            reply = self._post(flight)
            reply = self._on_the_way_back(flight, reply)
        if scene.tape is not None:
            scene.note("network", f"{flight.leg.call.value}: {_words(reply)}")
        back = (20 + dice.up_to("back", 180)) * MS
        if fate is Fault.REPLY_LOST:
            if dice.chance("reply.breaks", 0.5):
                scene.after(back, self._break, flight, ConnectionBroke("ServerDisconnectedError"))
            return
        if fate is Fault.REPLY_SLOW:
            back = dice.pick(SLOW_REPLY)
        scene.after(back, self._end, flight, reply)

    def _post(self, flight: Flight) -> Reply:
        return self._side.post(flight.case, flight.leg, flight.path, flight.body, flight.headers)

    # What is changed on the way
    # ------------------------------------------------------------------------------------------

    def _stopped_on_the_way(self, flight: Flight) -> Reply | None:
        """What comes back when the request has no effect; None when it arrives."""
        dice, tongue, leg = self._scene.dice, self._tongue, flight.leg
        speech = tongue.dialect
        match flight.fate:
            case Fault.HTTP_BEFORE | Fault.NETWORK_BROKEN:
                return Reply(dice.pick(_STATUSES), {}, b"<html>Bad Gateway</html>")
            case Fault.WRONG_KEYS:
                # Said by the sandbox itself, signed or not as it chooses.
                body, headers = tongue.with_bad_signature(flight.body, flight.headers)
                return self._side.post(flight.case, leg, flight.path, body, headers)
            case Fault.REFUSED_UNSIGNED:
                code = dice.pick(speech.unsigned)
                if self._side.signs_key_refusals and speech.has_signed_key_refusals:
                    return self._answer(flight, Outcome.FAILURE, code)
                return tongue.unsigned(leg, code)
            case Fault.REFUSED:
                return self._answer(flight, Outcome.FAILURE, dice.pick(speech.refusals))
            case Fault.U_BEFORE:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(speech.unknowns))
            case Fault.INCONSISTENT if leg.call is Call.PAY:
                if dice.chance("inconsistent.unknown", 0.5):
                    return self._signed(flight, speech.inconsistent(leg))
                return None
            case Fault.READ_LAG if leg.call in (Call.INQUIRY, Call.CANCEL):
                age = self._side.age_of(flight.case)
                if age is not None and age < READ_LAG_MAX:
                    return self._signed(flight, speech.not_found(leg))
                return None
            case _:
                return None

    def _on_the_way_back(self, flight: Flight, reply: Reply) -> Reply:
        """What the answer has become when it comes back."""
        dice, tongue, leg = self._scene.dice, self._tongue, flight.leg
        speech = tongue.dialect
        match flight.fate:
            case Fault.GARBAGE_AFTER:
                return self._garbage(flight, reply)
            case Fault.U_AFTER:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(speech.unknowns))
            case Fault.INCONSISTENT if leg.call is Call.PAY:
                return self._signed(flight, speech.inconsistent(leg))
            case fate if fate in SPOILT:
                spoilt = speech.spoilt(tongue.message_of(leg, reply), fate)
                if spoilt is None:
                    return reply
                if fate is Fault.FOREIGN_ID:
                    spoilt = tongue.with_id(spoilt, self._foreign_id(flight))
                return self._signed(flight, spoilt)
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
        dice, side, leg = self._scene.dice, self._side, flight.leg
        how = dice.pick(_GARBAGE)
        match how:
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
        lie = self._tongue.lie(leg, flight.case.row.order.amount)
        if how == "list":
            return Reply(200, side.signed(leg, flight.path, lie).headers, b"[]")
        self._scene.trouble(Trouble.FORGED)
        if how == "old" and leg.call is not Call.INQUIRY and self._tongue.has_times:
            return side.signed(leg, flight.path, lie, age=30 * S)
        return side.signed(leg, flight.path, lie, is_forged=True)

    def _answer(self, flight: Flight, outcome: Outcome, code: str) -> Reply:
        return self._signed(flight, self._tongue.dialect.answer(flight.leg, outcome, code))

    def _signed(self, flight: Flight, message: Any) -> Reply:
        return self._side.signed(flight.leg, flight.path, message)

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


def _words(reply: Reply) -> str:
    """The first words of what came back; no answer holds a code."""
    return f"{reply.status} {reply.body[:160].decode('utf-8', 'replace')}"


def refund_of(request: Any) -> str | None:
    """The merchant's refund that a request names."""
    named = getattr(request, "refund_request_id", None) or getattr(request, "out_request_no", None)
    return named if named and named.startswith("ref_") else None

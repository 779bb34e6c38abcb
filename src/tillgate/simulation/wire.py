"""The wire between a node and the network: the real connector speaks, and every call meets its
fate.

The connector's coroutine is stepped by hand: it yields its question, the world carries it there and
back on virtual time, and what comes back (one of the client's five values) is sent in. So requests
are really built and answers really become facts by the code that does it in production; only
signatures and sockets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar, cast

import msgspec

from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import (
    Answered,
    Api,
    BadlySigned,
    CallResult,
    NeverSent,
    NoAnswer,
    Unreadable,
)
from tillgate.alipayplus.messages import (
    CancelResponse,
    InquiryResponse,
    PayResponse,
    RefundResponse,
    Result,
)
from tillgate.connectors.alipay_plus import AlipayPlus
from tillgate.core.model import Call, Event
from tillgate.core.results import ORDER_NOT_EXIST, REPEAT_REQ_INCONSISTENT, Outcome
from tillgate.sandbox.payment import RESULTS
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import (
    MINUTE,
    MS,
    REFUSALS,
    UNKNOWNS,
    UNSIGNED,
    Fault,
    S,
    Weather,
)
from tillgate.simulation.other_side import OtherSide, with_other_amount
from tillgate.simulation.stage import Case, Stage

T = TypeVar(
    "T", PayResponse, InquiryResponse, CancelResponse, RefundResponse, messages.CodeConsultResponse
)

NOTIFY_URL = "https://acquirer.example/alipayplus/v1/notifyPayment"


class _Crossing(Generic[T]):
    """A question that waits for its answer."""

    __slots__ = ("api", "body")

    def __init__(self, api: Api[T], body: bytes) -> None:
        self.api: Api[T] = api
        self.body = body

    def __await__(self) -> Generator[_Crossing[T], CallResult[T], CallResult[T]]:
        return (yield self)


class _Client(client.AlipayPlusClient):
    """In place of HTTP: hands the question to whoever steps the coroutine."""

    def __init__(self) -> None:
        pass

    async def call(self, api: Api[T], body: bytes) -> CallResult[T]:
        """Ask, whoever answers."""
        return await _Crossing(api, body)


CONNECTOR = AlipayPlus(_Client(), NOTIFY_URL)

_REQUESTS: dict[str, msgspec.json.Decoder[Any]] = {
    messages.PAY_PATH: messages.PAY_REQUESTS,
    messages.INQUIRY_PATH: messages.INQUIRY_REQUESTS,
    messages.CANCEL_PATH: messages.CANCEL_REQUESTS,
    messages.REFUND_PATH: messages.REFUND_REQUESTS,
}
_SLOW: Table[int] = Table(
    "call.slow", (3 * S, 2), (9 * S, 3), (20 * S, 2), (58 * S, 1), (62 * S, 1), (65 * S, 1)
)
_SLOW_REPLY: Table[int] = Table(
    "reply.slow", (2 * S, 2), (4900 * MS, 1), (7900 * MS, 1), (12 * S, 2)
)
_NO_CONNECTION: Table[int] = Table("no_connection", (MS, 3), (S, 1), (2 * S, 1))
READ_LAG_MAX = 4 * S
"""How long after it was placed an order may still be unknown to an inquiry or a cancel."""
_NO_EFFECT = (Fault.HTTP_BEFORE, Fault.NETWORK_BROKEN, Fault.WRONG_KEYS, Fault.U_BEFORE)

Answers = Callable[["Flight", Event], None]


class Flight:
    """One call on its way. `sent_at` is by the sender's own clock, in the world's count."""

    __slots__ = ("_coroutine", "api", "case", "fate", "is_over", "request", "sent_at", "token")

    def __init__(
        self,
        case: Case,
        coroutine: Coroutine[Any, Any, Event],
        fate: Fault | None,
        sent_at: int,
        token: Any,
    ) -> None:
        crossing = coroutine.send(None)
        self._coroutine = coroutine
        self.case = case
        self.fate = fate
        self.sent_at = sent_at
        self.token = token
        self.api: Api[Any] = crossing.api
        self.request = messages.decode(_REQUESTS[crossing.api.path], crossing.body)
        self.is_over = False

    def end(self, result: Any) -> Event:
        """The connector's word for what came back."""
        self.is_over = True
        try:
            self._coroutine.send(result)
        except StopIteration as stop:
            return cast(Event, stop.value)
        raise RuntimeError("the connector asks twice")


class Wire:
    """Carries calls there and back. `heard` is called once per call with its outcome."""

    def __init__(self, stage: Stage, weather: Weather, other: OtherSide, heard: Answers) -> None:
        self._stage = stage
        self._weather = weather
        self._other = other
        self._heard = heard

    def call(self, case: Case, call: Call, body: bytes, skew: int, token: Any) -> None:
        """Send a request of this case; `body` is the pay's."""
        stage = self._stage
        match call:
            case Call.PAY:
                coroutine: Coroutine[Any, Any, Event] = CONNECTOR.pay(body)
            case Call.INQUIRY:
                coroutine = CONNECTOR.inquire(case.row)
            case Call.CANCEL:
                coroutine = CONNECTOR.cancel(case.row)
            case Call.REFUND:
                coroutine = CONNECTOR.refund(case.row)
        fate = self._fate()
        flight = Flight(case, coroutine, fate, stage.now + skew, token)
        if stage.tape is not None:
            stage.note(
                "wire", f"{call.value} of {case.number} leaves" + (f": {fate}" if fate else "")
            )
        dice = stage.dice
        there = (20 + dice.up_to("there", 180)) * MS
        match fate:
            case Fault.NEVER_SENT | Fault.NETWORK_DOWN:
                stage.after(dice.pick(_NO_CONNECTION), self._end, flight, NeverSent("refused"))
                return
            case Fault.REQUEST_LOST | Fault.NETWORK_SILENT:
                self._time_out(flight)
                return
            case Fault.REQUEST_SLOW:
                there = dice.pick(_SLOW) + dice.up_to("there.more", 1999) * MS
            case Fault.DUPLICATE:
                more = dice.pick(_SLOW) if dice.chance("duplicate.late", 0.5) else 50 * MS
                case.flights += 1
                stage.after(there + more, self._arrive_again, flight)
            case _:
                pass
        case.flights += 1
        stage.after(there, self._arrive, flight)
        if there >= flight.api.timeout_s * S:
            self._time_out(flight)

    def _fate(self) -> Fault | None:
        stage = self._stage
        fate = stage.outage() if stage.outages else None
        if fate is None and stage.is_stormy():
            fate = stage.dice.pick(self._weather.call)
        if fate is not None:
            stage.count(fate)
        return fate

    def _time_out(self, flight: Flight) -> None:
        wait = int(flight.api.timeout_s * S)
        self._stage.after(wait, self._end, flight, NoAnswer("no answer in time"))

    def _arrive_again(self, flight: Flight) -> None:
        """A copy that somebody on the way made; its answer finds nobody."""
        flight.case.flights -= 1
        self._stage.tally.events += 1
        if self._stage.tape is not None:
            self._stage.note("network", f"a copy of {flight.api.path} arrives")
        self._other.take(flight.request)

    def _arrive(self, flight: Flight) -> None:
        stage, fate = self._stage, flight.fate
        stage.tally.events += 1
        flight.case.flights -= 1
        result = self._refused_on_the_way(flight)
        if result is None:
            answer = self._other.take(flight.request)
            result = self._on_the_way_back(flight, answer)
        if stage.tape is not None:
            stage.note("network", f"{flight.api.path.rpartition('/')[2]}: {_words(result)}")
        if fate is Fault.REPLY_LOST or flight.is_over:
            if not flight.is_over:
                self._time_out_from(flight)
            return
        back = (20 + stage.dice.up_to("back", 180)) * MS
        if fate is Fault.REPLY_SLOW:
            back = stage.dice.pick(_SLOW_REPLY)
            if back >= 7800 * MS or (flight.api is client.INQUIRY and back >= 4800 * MS):
                self._time_out_from(flight)
                return
        stage.after(back, self._end, flight, result)

    def _time_out_from(self, flight: Flight) -> None:
        left = int(flight.api.timeout_s * S) - 200 * MS
        self._stage.after(left, self._end, flight, NoAnswer("no answer in time"))

    def _refused_on_the_way(self, flight: Flight) -> Any:
        """What comes back when the request has no effect; None when it arrives."""
        dice = self._stage.dice
        match flight.fate:
            case Fault.HTTP_BEFORE | Fault.NETWORK_BROKEN:
                return NoAnswer("HTTP status 502")
            case Fault.REFUSED_UNSIGNED if dice.chance("unsigned.after", 0.5):
                return None  # it is taken, and somebody on the way answers instead
            case Fault.REFUSED_UNSIGNED | Fault.WRONG_KEYS:
                code = dice.pick(UNSIGNED)
                if not self._other.signs_key_refusals:
                    return BadlySigned("no signature", code)
                return self._answer(flight, Outcome.FAILURE, code)
            case Fault.REFUSED:
                return self._answer(flight, Outcome.FAILURE, dice.pick(REFUSALS))
            case Fault.U_BEFORE:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(UNKNOWNS))
            case Fault.INCONSISTENT if flight.api is client.PAY:
                if dice.chance("inconsistent.unknown", 0.5):
                    return self._answer(flight, Outcome.FAILURE, REPEAT_REQ_INCONSISTENT)
                return None
            case Fault.READ_LAG if flight.api in (client.INQUIRY, client.CANCEL):
                age = self._other.age_of(flight.case)
                if age is not None and age < READ_LAG_MAX:
                    return self._answer(flight, Outcome.FAILURE, ORDER_NOT_EXIST)
                return None
            case _:
                return None

    def _on_the_way_back(self, flight: Flight, answer: Any) -> Any:
        """What the answer has become when it comes back."""
        match flight.fate:
            case Fault.GARBAGE_AFTER:
                return Unreadable("half a body")
            case Fault.REFUSED_UNSIGNED:
                return BadlySigned("no signature", self._stage.dice.pick(UNSIGNED))
            case Fault.U_AFTER:
                return self._answer(flight, Outcome.UNKNOWN, self._stage.dice.pick(UNKNOWNS))
            case Fault.INCONSISTENT if flight.api is client.PAY:
                return self._answer(flight, Outcome.FAILURE, REPEAT_REQ_INCONSISTENT)
            case Fault.WRONG_AMOUNT | Fault.NO_AMOUNT | Fault.FOREIGN_ID if _is_paid(answer):
                flight.case.had_bad_answer = True
                if flight.fate is Fault.WRONG_AMOUNT:
                    answer = with_other_amount(answer)
                elif flight.fate is Fault.NO_AMOUNT:
                    answer = msgspec.structs.replace(answer, payment_amount=None)
                else:
                    answer = msgspec.structs.replace(answer, payment_id=FOREIGN_ID)
                return self._answered(flight, answer)
            case _:
                return self._answered(flight, answer)

    def _answer(self, flight: Flight, outcome: Outcome, code: str) -> Any:
        result = RESULTS.get(code)
        if result is None or result.result_status is not outcome:
            result = Result(result_code=code, result_status=outcome)
        return self._answered(flight, _ANSWERS[flight.api.path](result=result))

    def _answered(self, flight: Flight, answer: Any) -> Any:
        """As the client reads it: what must be fresh is not older than its request."""
        answered_at = self._stage.now // S * S
        is_fresh = answered_at >= flight.sent_at - _SKEW_MAX
        if flight.api.must_be_fresh and not is_fresh:
            return Unreadable("the answer is older than the request")
        return Answered(answer, is_fresh)

    def _end(self, flight: Flight, result: Any) -> None:
        if flight.is_over:
            return
        if flight.fate is not None:
            flight.case.last_bad = self._stage.now
            flight.case.had_bad_answer = True
        self._heard(flight, flight.end(result))


FOREIGN_ID = "2026010111401080010000000000000FOREIGN"
_SKEW_MAX = client.CLOCK_SKEW_MAX.seconds * S
_ANSWERS: dict[str, Callable[..., msgspec.Struct]] = {
    messages.PAY_PATH: PayResponse,
    messages.INQUIRY_PATH: InquiryResponse,
    messages.CANCEL_PATH: CancelResponse,
    messages.REFUND_PATH: RefundResponse,
}
LONGEST_FLIGHT = MINUTE + 10 * S


def _is_paid(answer: Any) -> bool:
    return (
        getattr(answer, "payment_amount", None) is not None
        and (getattr(answer, "payment_result", None) or answer.result).result_status
        is Outcome.SUCCESS
    )


def _words(result: Any) -> str:
    if not isinstance(result, Answered):
        return f"{type(result).__name__} {getattr(result, 'reason', '')}"
    told = result.message.result
    words = f"{told.result_status.value}/{told.result_code}"
    inner = getattr(result.message, "payment_result", None)
    return f"{words} of {inner.result_status.value}/{inner.result_code}" if inner else words

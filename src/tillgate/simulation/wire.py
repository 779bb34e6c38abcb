"""The wire between a node and the network: the real connector speaks, and every call meets its
fate.

The connector's coroutine is stepped by hand: each question that it yields is carried there and back
on virtual time, and what comes back (one of the client's five values) is sent in. A connector may
ask twice before it has its word; each question has a fate of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from tillgate.alipayplus.client import CLOCK_SKEW_MAX, NeverSent, NoAnswer
from tillgate.core.model import Call, Event
from tillgate.core.results import Outcome
from tillgate.simulation.faults import (
    MINUTE,
    MS,
    NO_CONNECTION,
    READ_LAG_MAX,
    REFUND_LAG_MAX,
    SLOW_REPLY,
    SLOW_REQUEST,
    Fault,
    S,
    Weather,
)
from tillgate.simulation.other_side import OtherSide
from tillgate.simulation.speech import (
    SPOILT,
    Crossing,
    Dialect,
    Leg,
    badly_signed,
    unreadable,
)
from tillgate.simulation.stage import Case, RefundCase, Stage

Heard = Callable[["Flight", Any], None]


class Flight:
    """One call on its way, question by question. `sent_at` is by the sender's own clock, in the
    world's count; `is_over` counts for the question that is out.

    Attributes:
        heard: is called once with its outcome.
        refund: the merchant's refund that it is about, if any.
    """

    __slots__ = (
        "_coroutine",
        "asked",
        "case",
        "fate",
        "heard",
        "leg",
        "refund",
        "sent_at",
        "skew",
        "token",
    )

    def __init__(
        self,
        case: Case,
        coroutine: Coroutine[Any, Any, Any],
        skew: int,
        token: Any,
        heard: Heard,
        refund: RefundCase | None,
    ) -> None:
        self._coroutine = coroutine
        self.case = case
        self.skew = skew
        self.token = token
        self.heard = heard
        self.refund = refund
        self.leg: Leg
        self.fate: Fault | None = None
        self.sent_at = 0
        self.asked = 0

    def goes_on(self, result: Any) -> Any:
        """Give the connector what came back; its next question (a `Crossing`), or its word."""
        try:
            return self._coroutine.send(result)
        except StopIteration as stop:
            return stop.value


class Wire:
    """Carries calls there and back. `heard` is called once per call about a payment, with its
    outcome.
    """

    def __init__(
        self,
        stage: Stage,
        weather: Weather,
        dialect: Dialect,
        other: OtherSide,
        heard: Heard,
    ) -> None:
        self._stage = stage
        self._dialect = dialect
        self._weather = weather
        self._other = other
        self._heard = heard

    def call(self, case: Case, call: Call, body: bytes, skew: int, token: Any) -> None:
        """Send a request of this case; `body` is the pay's."""
        connector = self._dialect.connector
        match call:
            case Call.PAY:
                coroutine: Coroutine[Any, Any, Event] = connector.pay(body)
            case Call.INQUIRY:
                coroutine = connector.inquire(case.row)
            case Call.CANCEL:
                coroutine = connector.cancel(case.row)
            case Call.REFUND:
                coroutine = connector.refund(case.row)
        self.send(case, coroutine, skew, token, self._heard)

    def send(
        self,
        case: Case,
        coroutine: Coroutine[Any, Any, Any],
        skew: int,
        token: Any,
        heard: Heard,
        refund: RefundCase | None = None,
    ) -> bytes:
        """Send whatever a connector wants to ask; gives its first question's body."""
        flight = Flight(case, coroutine, skew, token, heard, refund)
        question = flight.goes_on(None)
        assert isinstance(question, Crossing), "a connector asks before it says anything"
        self._leaves(flight, question)
        return question.body

    def _leaves(self, flight: Flight, question: Crossing) -> None:
        stage, case = self._stage, flight.case
        leg = flight.leg = self._dialect.leg(question)
        fate = flight.fate = self._fate(flight)
        flight.sent_at = stage.now + flight.skew
        flight.asked += 1
        asked = flight.asked
        if stage.tape is not None:
            words = f"{leg.call.value} of {case.number} leaves"
            stage.note("wire", words + (f": {fate}" if fate else ""))
        dice = stage.dice
        there = (20 + dice.up_to("there", 180)) * MS
        match fate:
            case Fault.NEVER_SENT | Fault.NETWORK_DOWN:
                never = NeverSent("refused")
                stage.after(dice.pick(NO_CONNECTION), self._end, flight, asked, never)
                return
            case Fault.REQUEST_LOST | Fault.NETWORK_SILENT:
                self._time_out(flight)
                return
            case Fault.REQUEST_SLOW:
                there = dice.pick(SLOW_REQUEST) + dice.up_to("there.more", 1999) * MS
            case Fault.DUPLICATE:
                more = dice.pick(SLOW_REQUEST) if dice.chance("duplicate.late", 0.5) else 50 * MS
                case.flights += 1
                stage.after(there + more, self._arrive_again, flight, leg)
            case _:
                pass
        case.flights += 1
        stage.after(there, self._arrive, flight, asked, leg)
        if there >= leg.timeout:
            self._time_out(flight)

    def _fate(self, flight: Flight) -> Fault | None:
        stage = self._stage
        fate = stage.outage() if stage.outages else None
        if fate is None and stage.is_stormy():
            refund_calls = flight.case.refund_calls if flight.refund is not None else None
            fate = stage.dice.pick(refund_calls or self._weather.call)
        if fate is not None:
            stage.count(fate)
        return fate

    def _time_out(self, flight: Flight, early: int = 0) -> None:
        wait, late = flight.leg.timeout - early, NoAnswer("no answer in time")
        self._stage.after(wait, self._end, flight, flight.asked, late)

    def _arrive_again(self, flight: Flight, leg: Leg) -> None:
        """A copy that somebody on the way made; its answer finds nobody."""
        flight.case.flights -= 1
        self._stage.tally.events += 1
        if self._stage.tape is not None:
            self._stage.note("network", f"a copy of {leg.call.value} arrives")
        self._other.take(leg)

    def _arrive(self, flight: Flight, asked: int, leg: Leg) -> None:
        stage = self._stage
        stage.tally.events += 1
        flight.case.flights -= 1
        is_over = flight.asked != asked
        fate = flight.fate
        if is_over:
            # It came too late: whoever asked has gone on, and hears nothing of it.
            self._other.take(leg)
            return
        result = self._refused_on_the_way(flight)
        if result is None:
            result = self._on_the_way_back(flight, self._other.take(leg))
        if stage.tape is not None:
            stage.note("network", f"{leg.call.value}: {_words(result)}")
        if fate is Fault.REPLY_LOST:
            self._time_out(flight, 200 * MS)
            return
        back = (20 + stage.dice.up_to("back", 180)) * MS
        if fate is Fault.REPLY_SLOW:
            back = stage.dice.pick(SLOW_REPLY)
            if back >= leg.timeout - 200 * MS:
                self._time_out(flight, 200 * MS)
                return
        stage.after(back, self._end, flight, asked, result)

    def _refused_on_the_way(self, flight: Flight) -> Any:
        """What comes back when the request has no effect; None when it arrives."""
        dice, speech, leg = self._stage.dice, self._dialect, flight.leg
        match flight.fate:
            case Fault.HTTP_BEFORE | Fault.NETWORK_BROKEN:
                return NoAnswer("HTTP status 502")
            case Fault.REFUSED_UNSIGNED if dice.chance("unsigned.after", 0.5):
                return None  # it is taken, and somebody on the way answers instead
            case Fault.REFUSED_UNSIGNED | Fault.WRONG_KEYS:
                code = dice.pick(speech.unsigned)
                if not (self._other.signs_key_refusals and speech.has_signed_key_refusals):
                    return badly_signed(code)
                return self._answer(flight, Outcome.FAILURE, code)
            case Fault.REFUSED:
                return self._answer(flight, Outcome.FAILURE, dice.pick(speech.refusals))
            case Fault.U_BEFORE:
                return self._answer(flight, Outcome.UNKNOWN, dice.pick(speech.unknowns))
            case Fault.INCONSISTENT if leg.call is Call.PAY:
                if dice.chance("inconsistent.unknown", 0.5):
                    return self._answered(flight, speech.inconsistent(leg))
                return None
            case Fault.READ_LAG if leg.call in (Call.INQUIRY, Call.CANCEL) and not flight.refund:
                age = self._other.age_of(flight.case)
                if age is not None and age < READ_LAG_MAX:
                    return self._answered(flight, speech.not_found(leg))
                return None
            case _:
                return None

    def _on_the_way_back(self, flight: Flight, answer: Any) -> Any:
        """What the answer has become when it comes back."""
        speech, leg = self._dialect, flight.leg
        match flight.fate:
            case Fault.GARBAGE_AFTER:
                return unreadable("half a body")
            case Fault.REFUSED_UNSIGNED:
                return badly_signed(self._stage.dice.pick(speech.unsigned))
            case Fault.U_AFTER:
                return self._answer(flight, Outcome.UNKNOWN, self._stage.dice.pick(speech.unknowns))
            case Fault.INCONSISTENT if leg.call is Call.PAY:
                return self._answered(flight, speech.inconsistent(leg))
            case Fault.READ_LAG if flight.refund is not None and leg.call is Call.INQUIRY:
                is_new = self._other.refund_age(flight.refund) < REFUND_LAG_MAX
                return self._answered(flight, speech.unlisted(answer) if is_new else answer)
            case fate if fate in SPOILT:
                spoilt = speech.spoilt(answer, fate)
                flight.case.had_bad_answer |= spoilt is not None
                return self._answered(flight, answer if spoilt is None else spoilt)
            case _:
                return self._answered(flight, answer)

    def _answer(self, flight: Flight, outcome: Outcome, code: str) -> Any:
        return self._answered(flight, self._dialect.answer(flight.leg, outcome, code))

    def _answered(self, flight: Flight, answer: Any) -> Any:
        """As the client reads it: what must be fresh is not older than its request."""
        answered_at = self._stage.now // S * S
        is_fresh = answered_at >= flight.sent_at - _SKEW_MAX
        if flight.leg.must_be_fresh and not is_fresh:
            return unreadable("the answer is older than the request")
        return self._dialect.answered(answer, is_fresh=is_fresh)

    def _end(self, flight: Flight, asked: int, result: Any) -> None:
        if flight.asked != asked:
            return
        if flight.fate is not None:
            flight.case.last_bad = self._stage.now
            flight.case.had_bad_answer = True
        said = flight.goes_on(result)
        if isinstance(said, Crossing):
            self._leaves(flight, said)
            return
        flight.asked += 1  # nothing that comes later counts
        flight.heard(flight, said)


_SKEW_MAX = CLOCK_SKEW_MAX.seconds * S
LONGEST_FLIGHT = MINUTE + 10 * S


def _words(result: Any) -> str:
    message = getattr(result, "message", None)
    if message is None:
        return f"{type(result).__name__} {getattr(result, 'reason', '')}"
    told = getattr(message, "result", None)
    if told is None:
        parts = (getattr(message, name, None) for name in ("code", "sub_code", "trade_status"))
        action = getattr(message, "action", None)
        return " ".join(filter(None, (*parts, action)))
    words = f"{told.result_status.value}/{told.result_code}"
    inner = getattr(message, "payment_result", None)
    return f"{words} of {inner.result_status.value}/{inner.result_code}" if inner else words

"""Rules, random faults, plays, the clock and explained signatures: the part of the testers' side
that makes the network misbehave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.alipayplus.signing import KeyRing
from tillgate.sandbox.clock_request import ClockRequest, ScriptRequest
from tillgate.sandbox.control_words import (
    BadField,
    NotThere,
    body_of,
    json_answer,
    read_as,
    time_words,
)
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.explain_signature import explained
from tillgate.sandbox.openapi import document
from tillgate.sandbox.plays import MAGIC, NOTHING, PLAYS
from tillgate.sandbox.scripts import RULES_MAX, Faults, Rule, RuleRequest, Scripts
from tillgate.sandbox.town_clock import TownClock

YEARS = range(1971, 2999)


_RULES = msgspec.json.Decoder(RuleRequest)
_RULE_LISTS = msgspec.json.Decoder(list[RuleRequest])
_FAULTS = msgspec.json.Decoder(Faults)
_SCRIPTS = msgspec.json.Decoder(ScriptRequest)
_CLOCKS = msgspec.json.Decoder(ClockRequest)


class RulesApi:
    """The routes, with what they need. `after_each` runs when time has moved."""

    def __init__(
        self,
        scripts: Scripts,
        clock: TownClock,
        record: Exchanges,
        rings: Mapping[str, KeyRing],
        after_each: Callable[[], None],
    ) -> None:
        self._scripts = scripts
        self._clock = clock
        self._record = record
        self._rings = rings
        self._after_each = after_each

    def routes(self) -> list[Route]:
        """What to mount."""
        one = "/sandbox/rules/{rule_id}"
        return [
            Route("/sandbox/plays", self.list_plays, methods=["GET"]),
            Route("/sandbox/rules", self.list_rules, methods=["GET"]),
            Route("/sandbox/rules", self.add_rules, methods=["POST"]),
            Route("/sandbox/rules", self.clear, methods=["DELETE"]),
            Route(one, self.show_rule, methods=["GET"]),
            Route(one, self.delete_rule, methods=["DELETE"]),
            Route("/sandbox/faults", self.show_faults, methods=["GET"]),
            Route("/sandbox/faults", self.set_faults, methods=["PUT"]),
            Route("/sandbox/faults", self.end_faults, methods=["DELETE"]),
            Route("/sandbox/script", self.set_script, methods=["PUT"]),
            Route("/sandbox/clock", self.show_clock, methods=["GET"]),
            Route("/sandbox/clock", self.set_clock, methods=["PUT"]),
            Route("/sandbox/exchanges/{seq}", self.explain, methods=["GET"]),
            Route("/sandbox/openapi.json", self.openapi, methods=["GET"]),
        ]

    async def list_plays(self, request: Request) -> Response:
        """All plays that have a name, with their amounts."""
        amounts = {play.name: value for value, play in MAGIC.items()}
        rows = [
            {"name": play.name, "what": play.what, "amount": amounts[play.name]}
            for play in PLAYS.values()
        ]
        return json_answer({"has_magic": self._scripts.has_magic, "plays": rows})

    async def list_rules(self, request: Request) -> Response:
        """Those in force and those that are over, in the order in which they speak."""
        return json_answer({"rules": [rule_words(rule) for rule in self._scripts.rules.values()]})

    async def add_rules(self, request: Request) -> Response:
        """One rule, or a list of them: all or none."""
        body = await body_of(request)
        is_list = body.lstrip()[:1] == b"["
        asked = read_as(_RULE_LISTS, body) if is_list else [read_as(_RULES, body)]
        for i, one in enumerate(asked):
            _check(one, f"$[{i}]" if is_list else "$")
        if len(self._scripts.rules) + len(asked) > RULES_MAX:
            raise BadField(f"There are at most {RULES_MAX} rules; delete some.", path="$")
        added = [rule_words(self._scripts.add(one)) for one in asked]
        return json_answer({"rules": added} if is_list else added[0], 201)

    async def show_rule(self, request: Request) -> Response:
        """One, with how often it met a message."""
        return json_answer(rule_words(self._rule(request)))

    async def delete_rule(self, request: Request) -> Response:
        """It speaks no more."""
        del self._scripts.rules[self._rule(request).id]
        return json_answer({"deleted": 1})

    async def clear(self, request: Request) -> Response:
        """Rules, random faults and plays that are still running: all gone."""
        count = len(self._scripts.rules)
        self._scripts.clear()
        return json_answer({"deleted": count})

    async def show_faults(self, request: Request) -> Response:
        """The random faults."""
        return json_answer({"faults": _full(self._scripts.faults)})

    async def set_faults(self, request: Request) -> Response:
        """Random faults for every message from now on; counting payments starts over."""
        faults = read_as(_FAULTS, await body_of(request))
        self._scripts.restart(faults)
        return json_answer({"faults": _full(faults)})

    async def end_faults(self, request: Request) -> Response:
        """No random faults any more; rules stay."""
        self._scripts.faults = None
        return json_answer({"faults": None})

    async def show_clock(self, request: Request) -> Response:
        """What time it is here."""
        return json_answer(self._clock_words())

    async def set_clock(self, request: Request) -> Response:
        """Freeze, set, advance; whatever was due until then has happened when this is answered."""
        self._move(read_as(_CLOCKS, await body_of(request)))()
        return json_answer(self._clock_words())

    async def set_script(self, request: Request) -> Response:
        """Rules, random faults and the clock at once, instead of what was: all or nothing."""
        asked = read_as(_SCRIPTS, await body_of(request))
        for i, one in enumerate(asked.rules):
            _check(one, f"$.rules[{i}]")
        if len(asked.rules) > RULES_MAX:
            raise BadField(f"There are at most {RULES_MAX} rules.", path="$.rules")
        move = self._move(asked.clock, "$.clock") if asked.clock is not None else None
        self._scripts.clear()
        if asked.faults is not None:
            self._scripts.restart(asked.faults)
        rules = [rule_words(self._scripts.add(one)) for one in asked.rules]
        if move is not None:
            move()
        faults = _full(self._scripts.faults)
        return json_answer({"rules": rules, "faults": faults, "clock": self._clock_words()})

    def _move(self, asked: ClockRequest, path: str = "$") -> Callable[[], None]:
        """What was asked of the clock, checked; it moves when the result is called."""
        at = _moment(asked.now, path) if asked.now is not None else None
        if asked.follow and asked != ClockRequest(follow=True):
            raise BadField(
                "The clock either follows the machine's or is set.", path=f"{path}.follow"
            )
        try:
            to = (at or self._clock.now()) + timedelta(seconds=asked.advance_s or 0)
        except OverflowError:
            raise BadField("That is beyond the calendar.", path=f"{path}.advance_s") from None
        if to.year not in YEARS:
            words = f"The year must be {YEARS[0]} to {YEARS[-1]}."
            raise BadField(words, path=f"{path}.now")

        def move() -> None:
            if asked.follow:
                self._clock.follow()
            if at is not None or asked.advance_s:
                self._clock.set(to)
            if asked.frozen is True:
                self._clock.freeze()
            elif asked.frozen is False and self._clock.is_frozen:
                self._clock.run()
            self._after_each()

        return move

    async def explain(self, request: Request) -> Response:
        """One message with its signature explained step by step."""
        seq = str(request.path_params["seq"])
        # More digits than 18 are no message's, and far more cannot even be read.
        is_number = seq.isascii() and seq.isdigit() and len(seq) <= 18
        exchange = self._record.find(int(seq)) if is_number else None
        if exchange is None:
            raise NotThere("There is no such message, or it is no longer kept.")
        if exchange.raw is None:
            steps: dict[str, Any] | str = "it crossed inside the sandbox, or was sent by it"
        else:
            steps = explained(exchange.raw, self._rings.get(exchange.raw.client_id))
        return json_answer(
            {
                "seq": exchange.seq,
                "at": time_words(exchange.at),
                "from": exchange.sender,
                "to": exchange.receiver,
                "api": exchange.api,
                "kind": exchange.kind,
                "signature": exchange.signature,
                "explanation": steps,
            }
        )

    async def openapi(self, request: Request) -> Response:
        """This API's description, OpenAPI 3.1."""
        return json_answer(document())

    def _rule(self, request: Request) -> Rule:
        rule = self._scripts.rules.get(request.path_params["rule_id"])
        if rule is None:
            raise NotThere("There is no such rule.")
        return rule

    def _clock_words(self) -> dict[str, Any]:
        return {
            "now": time_words(self._clock.now()),
            "is_frozen": self._clock.is_frozen,
            "ahead_s": round(self._clock.offset().total_seconds(), 3),
        }


def _check(asked: RuleRequest, path: str) -> None:
    if (asked.do is None) == (asked.play is None):
        raise BadField("A rule has either do or play.", path=path)
    if asked.play is not None and asked.play not in PLAYS:
        raise BadField("There is no such play: GET /sandbox/plays lists them.", path=f"{path}.play")
    if asked.do is not None and asked.do == NOTHING:
        raise BadField("There is nothing to do.", path=f"{path}.do")


def rule_words(rule: Rule) -> dict[str, Any]:
    """A rule as it was written, with what it has met."""
    words: dict[str, Any] = msgspec.to_builtins(rule.request)
    words |= {"times": rule.request.times, "skip": rule.request.skip}
    return {"id": rule.id, **words, "seen_count": rule.seen_count, "is_over": rule.is_over}


def _full(faults: Faults | None) -> dict[str, Any] | None:
    return msgspec.structs.asdict(faults) if faults is not None else None


def _moment(text: str, path: str) -> datetime:
    form = "A time is ISO 8601 with an offset: 2026-11-24T00:15:00+08:00."
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            raise BadField(form, path=f"{path}.now")
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadField(form, path=f"{path}.now") from None

"""Which `Do` a message gets: rules first, then the payment's own play (by code, amount, customer),
then random faults. Where several speak, the first word on each point counts.

Kept per sandbox, counted as messages come. Nothing here waits or sends.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Annotated

import msgspec
from msgspec import Meta

from tillgate.sandbox.plays import (
    MAGIC,
    NOTHING,
    PLAYS,
    Api,
    Do,
    Lost,
    Play,
    Spoilt,
    Step,
    Words,
)

ORDERS_MAX = 20_000
"""How many payments' plays are remembered; the oldest go."""
RULES_MAX = 1000
DEFAULTS = {name: getattr(NOTHING, name) for name in Do.__struct_fields__}


class On(Words, frozen=True):
    """Which messages a rule means: all that fit every word."""

    api: Api | None = None
    network: str | None = None
    client_id: str | None = None
    wallet: str | None = None
    customer: str | None = None
    amount: int | None = None
    currency: str | None = None
    payment_request_id: str | None = None


class RuleRequest(Words, frozen=True):
    """A rule as a tester writes it: `do`, or the name of a `play` for each payment that fits."""

    do: Do | None = None
    play: str | None = None
    on: On = On()
    times: Annotated[int, Meta(ge=1)] | None = 1
    skip: Annotated[int, Meta(ge=0)] = 0


Rate = Annotated[float, Meta(ge=0, le=1)]


class Faults(Words, frozen=True):
    """How often a message meets a random fault. The same seed and the same payments in the same
    order meet the same ones.
    """

    seed: int = 1
    lose_request: Rate = 0.0
    lose_reply: Rate = 0.0
    delay: Rate = 0.0
    delay_s_max: Annotated[float, Meta(ge=0, le=60)] = 2.0
    duplicate: Rate = 0.0
    reorder: Rate = 0.0
    bad_signature: Rate = 0.0
    no_signature: Rate = 0.0
    http_503: Rate = 0.0
    garbage: Rate = 0.0
    reset: Rate = 0.0
    unknown_exception: Rate = 0.0


@dataclass(slots=True)
class Rule:
    """One that is in force, with what it has met.

    Attributes:
        seen_count: messages that fitted, the skipped ones too.
    """

    id: str
    request: RuleRequest
    seen_count: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it never acts again."""
        times = self.request.times
        return times is not None and self.seen_count >= self.request.skip + times


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is known of a message when its fate is looked up: of all but a pay, the customer and the
    amount are their payment's.
    """

    api: Api
    network: str
    client_id: str
    payment_request_id: str
    wallet: str | None = None
    customer: str | None = None
    amount: int | None = None
    currency: str | None = None
    plays: tuple[str, ...] = ()


@dataclass(slots=True)
class _Order:
    """One payment's plays, and how many messages of each API it has had."""

    number: int
    steps: tuple[Step, ...]
    counts: dict[Api, int] = field(default_factory=dict)


class Scripts:
    """Everything that was asked for.

    Attributes:
        faults: random ones, for every message.
        has_magic: whether amounts choose plays.
    """

    def __init__(self, *, has_magic: bool = True) -> None:
        self.rules: dict[str, Rule] = {}
        self.faults: Faults | None = None
        self.has_magic = has_magic
        self._orders: OrderedDict[tuple[str, str, str], _Order] = OrderedDict()
        self._rule_number = 0
        self._order_number = 0

    @property
    def is_idle(self) -> bool:
        """Whether nothing but plays of payments can speak."""
        return not self.rules and self.faults is None

    @property
    def is_silent(self) -> bool:
        """Whether nobody can speak of a payment that is there already."""
        return self.is_idle and not self._orders

    def add(self, request: RuleRequest) -> Rule:
        """Put it in force. Earlier rules speak first."""
        self._rule_number += 1
        rule = Rule(id=f"rule_{self._rule_number}", request=request)
        self.rules[rule.id] = rule
        return rule

    def clear(self) -> None:
        """No rules, no faults, no plays; counting starts over."""
        self.rules.clear()
        self.faults = None
        self._orders.clear()
        self._order_number = 0

    def restart(self, faults: Faults) -> None:
        """These random faults from now on, for payments counted from the first again."""
        self.faults = faults
        self._orders.clear()
        self._order_number = 0

    def take(self, message: Message) -> Do:
        """What becomes of this message; counts it."""
        order = self._order_of(message)
        spoken = [] if self.is_idle else self._by_rules(message, order)
        if order is not None:
            spoken += self._by_plays(order, message.api)
        if self.faults is not None and order is not None:
            spoken.append(_drawn(self.faults, order, message.api))
        if order is not None:
            order.counts[message.api] = order.counts.get(message.api, 0) + 1
        return merged(spoken)

    def _by_rules(self, message: Message, order: _Order | None) -> list[Do]:
        spoken = []
        for rule in list(self.rules.values()):
            request = rule.request
            if rule.is_over or not _fits(request.on, message):
                continue
            if request.play is not None:
                # Each payment is counted once, and has the whole play from its pay on.
                if message.api is not Api.PAY or order is None or order.counts.get(Api.PAY):
                    continue
                rule.seen_count += 1
                if rule.seen_count > request.skip:
                    order.steps += PLAYS[request.play].steps
                continue
            rule.seen_count += 1
            if rule.seen_count > request.skip and request.do is not None:
                spoken.append(request.do)
        return spoken

    def _by_plays(self, order: _Order, api: Api) -> list[Do]:
        count = order.counts.get(api, 0)
        return [
            step.do
            for step in order.steps
            if step.api is api
            and step.skip <= count
            and (step.times is None or count < step.skip + step.times)
        ]

    def _order_of(self, message: Message) -> _Order | None:
        """Where nobody plays anything there is nothing to remember."""
        key = message.network, message.client_id, message.payment_request_id
        order = self._orders.get(key)
        if order is None and message.api is Api.PAY:
            plays = tuple(self._plays(message))
            if plays or not self.is_idle:
                self._order_number += 1
                steps = tuple(step for play in plays for step in play.steps)
                order = self._orders[key] = _Order(self._order_number, steps)
                if len(self._orders) > ORDERS_MAX:
                    self._orders.popitem(last=False)
        return order

    def _plays(self, message: Message) -> Iterable[Play]:
        by_code, *by_customer = message.plays or ("",)
        if by_code in PLAYS:
            yield PLAYS[by_code]
        if self.has_magic and message.amount in MAGIC:
            yield MAGIC[message.amount]
        yield from (PLAYS[name] for name in by_customer if name in PLAYS)


def merged(spoken: list[Do]) -> Do:
    """One `Do`: on each point the first that says something."""
    if not spoken:
        return NOTHING
    if len(spoken) == 1:
        return spoken[0]
    said = {}
    for do in reversed(spoken):
        for name, default in DEFAULTS.items():
            value = getattr(do, name)
            if value != default:
                said[name] = value
    return Do(**said)


def _fits(on: On, message: Message) -> bool:
    for name in On.__struct_fields__:
        wanted = getattr(on, name)
        if wanted is not None and wanted != getattr(message, name):
            return False
    return True


def _drawn(faults: Faults, order: _Order, api: Api) -> Do:
    """The random fault of this message: of its place in the order of things, never of its ids."""
    place = f"{faults.seed}:{order.number}:{api}:{order.counts.get(api, 0)}"
    draws = _draws(place)
    said: dict[str, object] = {}
    if next(draws) < faults.lose_request:
        said["lose"] = Lost.REQUEST
    if next(draws) < faults.lose_reply:
        said.setdefault("lose", Lost.REPLY)
    for name in ("duplicate", "reorder", "garbage", "reset"):
        if next(draws) < getattr(faults, name):
            said[name] = True
    if next(draws) < faults.delay:
        said["delay_s"] = next(draws) * faults.delay_s_max
    if next(draws) < faults.bad_signature:
        said["signature"] = Spoilt.BAD
    if next(draws) < faults.no_signature:
        said.setdefault("signature", Spoilt.NONE)
    if next(draws) < faults.http_503:
        said["http_status"] = 503
    if next(draws) < faults.unknown_exception:
        said["result"] = "UNKNOWN_EXCEPTION"
        said["effect"] = next(draws) < 0.5
    return msgspec.convert(said, Do)


def _draws(place: str) -> Iterator[float]:
    """Numbers from 0 to 1 that depend on nothing but the place."""
    for number in count():
        digest = hashlib.blake2b(f"{place}:{number}".encode(), digest_size=8).digest()
        yield int.from_bytes(digest) / 2**64

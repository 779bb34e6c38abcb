"""What every actor of one world shares: virtual time, the queue of what comes, the dice, the tape.

Also the payment as the world sees it (`Case`) and the code that is on trial (`Subject`).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tillgate.core.model import (
    Event,
    Order,
    Payment,
    PaymentRequestId,
    Status,
    Step,
)
from tillgate.core.pacing import Policy
from tillgate.core.payment import open_payment, step
from tillgate.core.refund import refund_step
from tillgate.core.refund_model import Refund, RefundEvent, RefundStep
from tillgate.core.refunding import RefundFact, fact_of
from tillgate.simulation.dice import Dice, Table
from tillgate.simulation.faults import Fault, Outage, S

MICROSECOND = timedelta(microseconds=1)

Edge = tuple[Status, Status]


class Violated(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, case: Case, detail: str) -> None:
        super().__init__(f"{invariant}: payment {case.number}: {detail}")
        self.invariant = invariant
        self.case = case
        self.detail = detail


def _same_body(body: bytes, sends: int) -> bytes:
    return body


@dataclass(frozen=True, slots=True)
class Subject:
    """The code on trial. Tests break a part of it and expect to be told."""

    step: Callable[[Payment, Event, datetime, Policy], Step] = step
    open_payment: Callable[[PaymentRequestId, Order, Policy], Step] = open_payment
    pay_body: Callable[[bytes, int], bytes] = _same_body
    refund_step: Callable[[Refund, RefundEvent, datetime, Policy], RefundStep] = refund_step
    refund_ends: Callable[[Refund], RefundFact] = fact_of


@dataclass(slots=True, eq=False)
class Case:
    """One payment and what the world knows of it.

    Attributes:
        row: the payment as last committed.
        waiting_since: when it last began to wait, in the world's time; None while it rests.
        last_bad: when it last met a fault: until then nothing bounds its length.
        refund_calls: how the calls of its refunds go wrong; None: as all calls do.
        held_until: when our own side last failed it: a commit, a process.
        flights: copies of requests that have not reached the network yet.
        untold: notifications that are on their way or will be sent again.
        is_flipped: the network broke its promise: a success after an end.
        refunded: what its merchant's refunds gave back, by refund id, in the network's books.
    """

    number: int
    request_id: PaymentRequestId
    idempotency_key: str
    code: str
    body: bytes
    row: Payment
    waiting_since: int | None
    placed_at: int
    last_bad: int
    closes_at: int
    money: int = 0
    is_flipped: bool = False
    pays_sent: int = 0
    cancels_sent: int = 0
    inquiries_sent: int = 0
    flights: int = 0
    untold: int = 0
    had_bad_answer: bool = False
    is_told: bool = False
    is_customer_asked: bool = False
    is_refunding: bool = False
    refund_calls: Table[Fault | None] | None = None
    held_until: int = 0
    refunded: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class RefundCase:
    """One refund of a merchant and what the world knows of it.

    Attributes:
        row: the refund as last committed.
        sends: how often it left.
        body: as it left the first time.
    """

    number: int
    case: Case
    row: Refund
    opened_at: int
    sends: int = 0
    body: bytes = b""

    @property
    def money(self) -> int:
        """What the network gave back under its id."""
        return self.case.refunded.get(self.row.refund_request_id, 0)


@dataclass(slots=True)
class Tally:
    """What is counted over all worlds of a run."""

    faults: dict[Fault, int] = field(default_factory=lambda: dict.fromkeys(Fault, 0))
    edges: dict[Edge, int] = field(default_factory=dict)
    connectors: Counter[str] = field(default_factory=Counter)
    events: int = 0
    virtual_us: int = 0


class Stage:
    """One world's time and queue. `base` is the world's second 0, a whole second, aware UTC."""

    __slots__ = (
        "base",
        "clears_at",
        "current",
        "dice",
        "now",
        "outages",
        "policy",
        "queue",
        "second_storm",
        "seq",
        "tally",
        "tape",
    )

    def __init__(
        self, dice: Dice, base: datetime, policy: Policy, tally: Tally, tape: list[str] | None
    ) -> None:
        self.dice = dice
        self.base = base
        self.policy = policy
        self.tally = tally
        self.tape = tape
        self.now = 0
        self.seq = 0
        self.current = 0
        self.clears_at = 0
        self.second_storm: tuple[int, int] | None = None
        self.outages: tuple[Outage, ...] = ()
        self.queue: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def after(self, delay: int, act: Callable[..., None], *arguments: Any) -> int:
        """Let something happen later; gives its number."""
        self.seq += 1
        heapq.heappush(self.queue, (self.now + delay, self.seq, act, arguments))
        return self.seq

    @property
    def longest_call(self) -> int:
        """When the outcome of any call counts as lost, after it left."""
        policy = self.policy
        longest = max(policy.pay_timeout, policy.cancel_timeout, policy.refund_timeout)
        return (longest + policy.outcome_grace) // MICROSECOND

    def is_stormy(self) -> bool:
        """Whether faults are drawn now."""
        if self.now < self.clears_at:
            return True
        storm = self.second_storm
        return storm is not None and storm[0] <= self.now < storm[1]

    def outage(self) -> Fault | None:
        """What every call meets now, if the network is away."""
        for outage in self.outages:
            if outage.starts <= self.now < outage.ends:
                return outage.kind
        return None

    def instant(self, skew: int = 0) -> datetime:
        """Now, by a clock that is `skew` ahead."""
        return self.base + timedelta(microseconds=self.now + skew)

    def micros(self, at: datetime) -> int:
        """A moment in the world's time."""
        return (at - self.base) // MICROSECOND

    def count(self, fault: Fault) -> None:
        """One more of those."""
        self.tally.faults[fault] += 1
        if self.tape is not None:
            self.note("fault", fault.value)

    def note(self, who: str, what: str) -> None:
        """A line of the tape. Ask whether there is one before making the words."""
        if self.tape is not None:
            self.tape.append(f"{self.now / S:12.3f}s  {who:<9} {what}")

"""How many calls run towards one network at once, and who goes next when all places are taken.

A place is a `Slot`. Whoever needs one asks with an urgency and is started in its turn; within one
urgency the order is first come, first served. Nobody holds a lock while waiting here, so no wait
can close a circle. Pure: no clock, no network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from enum import IntEnum

CALLS_MAX = 240
"""Calls in flight per connector. Below the client's pool of connections (256), so that a call that
was counted and saved never waits for a connection, which would eat into its time-out. Ours."""
INQUIRIES_MAX = 192
"""Of those, inquiries that came due: a fifth of the places is never held by them, so that a pay or
a cancel finds one however many payments are asked about. At a network that answers in 300 ms this
is 640 inquiries a second. Ours."""
TURN_FOR_THE_LAST = 4
"""Every fourth place goes to the least urgent who wait: nobody starves. Ours."""


class Urgency(IntEnum):
    """Who goes first."""

    SALE = 0
    """The first pay of a new sale: a customer stands at the till."""
    MONEY = 1
    """A pay, cancel or refund: it moves or frees money."""
    QUESTION = 2
    """An inquiry."""


_FIRST_FIRST = tuple(Urgency)
_LAST_FIRST = _FIRST_FIRST[::-1]


class Slot:
    """A place among the calls of one network. Give it back, or pass it on, exactly once."""

    __slots__ = ("_is_spent", "_lane", "_urgency")

    def __init__(self, lane: Lane, urgency: Urgency) -> None:
        self._lane = lane
        self._urgency = urgency
        self._is_spent = False

    def give_back(self) -> None:
        """Free the place; nothing happens where that was done, or where it was passed on."""
        if not self._is_spent:
            self._is_spent = True
            self._lane._free(self._urgency)

    def pass_on(self) -> Slot:
        """The same place for the next call; this one is spent."""
        assert not self._is_spent, "a place is passed on once"
        self._is_spent = True
        return Slot(self._lane, self._urgency)


Start = Callable[[Slot], bool]
"""Called in its turn; False when the place is not needed any more. Must not wait."""


class Lane:
    """The calls towards one network."""

    def __init__(self, calls_max: int = CALLS_MAX, inquiries_max: int = INQUIRIES_MAX) -> None:
        self._calls_max = calls_max
        self._inquiries_max = inquiries_max
        self._in_flight = 0
        self._questions = 0
        self._granted = 0
        self._lines: dict[Urgency, deque[Start]] = {urgency: deque() for urgency in Urgency}

    @property
    def in_flight(self) -> int:
        """How many places are taken."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """How many wait for a place."""
        return sum(map(len, self._lines.values()))

    def ask(self, urgency: Urgency, start: Start) -> None:
        """Call `start` with a place: now when one is free and nobody waits, else in its turn."""
        self._lines[urgency].append(start)
        self._grant()

    def _grant(self) -> None:
        while (urgency := self._next()) is not None:
            start = self._lines[urgency].popleft()
            # Counted first: what is started may ask again.
            self._count(urgency, 1)
            if start(Slot(self, urgency)):
                self._granted += 1
            else:
                self._count(urgency, -1)

    def _next(self) -> Urgency | None:
        if self._in_flight >= self._calls_max:
            return None
        is_turn_for_the_last = self._granted % TURN_FOR_THE_LAST == TURN_FOR_THE_LAST - 1
        for urgency in _LAST_FIRST if is_turn_for_the_last else _FIRST_FIRST:
            if self._may_start(urgency):
                return urgency
        return None

    def _may_start(self, urgency: Urgency) -> bool:
        if urgency is Urgency.QUESTION and self._questions >= self._inquiries_max:
            return False
        return bool(self._lines[urgency])

    def _count(self, urgency: Urgency, change: int) -> None:
        self._in_flight += change
        if urgency is Urgency.QUESTION:
            self._questions += change

    def _free(self, urgency: Urgency) -> None:
        self._count(urgency, -1)
        self._grant()

"""One world's stage on the virtual loop: what comes from outside, what is counted, what failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from tillgate.simulation.faults import MINUTE, S
from tillgate.simulation.gateway_depth.loop import VirtualLoop
from tillgate.simulation.stage import Stage, Tally, Violated

_AFTERMATH = 3 * MINUTE
"""Longer than a payment that is opened again may take to end."""


class Trouble(StrEnum):
    """What can go wrong beside the shared fault model, as it is counted."""

    STORE_SLOW = "store slow"
    READ_FAILED = "store cannot be read"
    WORKER_STOPS = "worker stopped and started again"
    FORGED = "answer forged or older than its request"
    NOTIFY_FORGED = "notify forged"
    NOTIFY_UNKNOWN = "notify of a payment that is not ours"
    TILL_LEAVES = "till asks again without having waited for an answer"
    TWO_ASK_AT_ONCE = "one request twice at the same time"


@dataclass(slots=True)
class GatewayTally(Tally):
    """Also counts orders and the troubles of this depth."""

    orders: int = 0
    troubles: dict[Trouble, int] = field(default_factory=lambda: dict.fromkeys(Trouble, 0))


@dataclass(frozen=True, slots=True)
class Failure:
    """An invariant that does not hold, and how."""

    invariant: str
    detail: str


class Scene(Stage):
    """A stage whose queue is the loop's. Give it its `loop` before anything happens."""

    __slots__ = ("coming", "failure", "last_trouble", "loop", "troubles", "until")

    loop: VirtualLoop

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.coming = 0
        self.until = 0
        self.last_trouble = 0
        self.failure: Failure | None = None
        assert isinstance(self.tally, GatewayTally)
        self.troubles = self.tally.troubles

    def after(self, delay: int, act: Callable[..., None], *arguments: Any) -> int:
        """Let something happen outside, unless the world is over by then."""
        if self.now + max(delay, 0) <= self.until:
            self._plan(delay, act, arguments)
        return 0

    def surely(self, delay: int, act: Callable[..., None], *arguments: Any) -> None:
        """Let something happen outside, however late: a process that is down starts again, and the
        network is there for what follows.
        """
        self.until = max(self.until, self.now + delay + _AFTERMATH)
        self._plan(delay, act, arguments)

    def _plan(self, delay: int, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.coming += 1
        at, context = self.now + max(delay, 0), self.loop.outside.context
        self.loop.call_at(at / S, self._comes, act, arguments, context=context)

    def _comes(self, act: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.coming -= 1
        self.happens(act, *arguments)

    def happens(self, act: Callable[..., None], *arguments: Any) -> None:
        """Something happens outside, now."""
        self.tally.events += 1
        try:
            act(*arguments)
        except Violated as violated:
            self.violated(violated)

    def violated(self, error: Violated) -> None:
        """A shared invariant does not hold."""
        self.fail(error.invariant, f"payment {error.case.number}: {error.detail}")

    def fail(self, invariant: str, detail: str) -> None:
        """The first one counts; the world ends."""
        if self.failure is None:
            self.failure = Failure(invariant, detail)
        self.loop.stop()

    def trouble(self, what: Trouble) -> None:
        """One more of those."""
        self.troubles[what] += 1
        if self.tape is not None:
            self.note("trouble", what.value)

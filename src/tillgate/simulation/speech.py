"""A dialect that a world may speak with its network: what both depths need of it.

The connector's coroutine yields each question it has (`Crossing`); a world carries it there and
back and sends in what came of it. So requests are really built and answers really become facts by
the code that does it in production; only signatures and sockets are left out.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from tillgate.alipayplus.client import BadlySigned, Unreadable
from tillgate.connectors import Connector
from tillgate.core.codes import CodeKind
from tillgate.core.model import Call, Report
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.results import Outcome
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import Payment
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import Fault

NOTIFY_URL = "https://acquirer.example/notify"
FOREIGN_ID = "2026010111401080010000000000000FOREIGN"
SPOILT = (Fault.WRONG_AMOUNT, Fault.NO_AMOUNT, Fault.FOREIGN_ID)
"""Faults that change what a success says."""


class Crossing:
    """A question that waits for its answer: which API or method, and its body."""

    __slots__ = ("api", "body")

    def __init__(self, api: Any, body: bytes) -> None:
        self.api = api
        self.body = body

    def __await__(self) -> Generator[Crossing, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Leg:
    """One request, decoded. `timeout` is in microseconds."""

    call: Call
    timeout: int
    request: Any
    request_id: str
    must_be_fresh: bool = False


class Dialect(Protocol):
    """What a world needs of a way to speak.

    Attributes:
        name: of its connector.
        amount: what every order asks for.
        code_kind: which codes its customers show, so that they go this way.
        unknown_code: one that nobody issued.
        has_signed_key_refusals: whether a network may sign that a key is wrong.
    """

    name: str
    connector: Connector
    policies: Table[Policy]
    amount: Money
    code_kind: CodeKind
    unknown_code: str
    has_signed_key_refusals: bool
    refusals: Table[str]
    unknowns: Table[str]
    unsigned: Table[str]

    def leg(self, crossing: Crossing) -> Leg:
        """The question, read as the network reads it."""
        ...

    def take(self, network: Network, leg: Leg, now: datetime) -> Any:
        """Serve it; gives the answer's message."""
        ...

    def answer(self, leg: Leg, outcome: Outcome, code: str) -> Any:
        """A message that says so, whatever became of the request."""
        ...

    def not_found(self, leg: Leg) -> Any:
        """The answer to an inquiry or a cancel of an order that the network does not know yet."""
        ...

    def inconsistent(self, leg: Leg) -> Any:
        """The answer to a pay under whose id something else stands."""
        ...

    def unlisted(self, message: Any) -> Any:
        """The answer to a question about a refund, but the refund is not in it (yet)."""
        ...

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """A success that says something else; None: it is no success."""
        ...

    def answered(self, message: Any, *, is_fresh: bool) -> Any:
        """As the client gives it to the connector."""
        ...

    def told(self, network: Network, payment: Payment, now: datetime) -> Any | None:
        """The notification of an end; None when there is none."""
        ...

    def told_amiss(self, told: Any, fate: Fault) -> Any | None:
        """The same with another amount or none; None: it cannot be."""
        ...

    def report(self, told: Any) -> Report | None:
        """What the connector makes of a notification; None: nothing final."""
        ...


def badly_signed(claimed: str | None = None) -> BadlySigned:
    """What came back was signed by nobody."""
    return BadlySigned("no signature", claimed)


def unreadable(reason: str) -> Unreadable:
    """Signed, and of no use."""
    return Unreadable(reason)

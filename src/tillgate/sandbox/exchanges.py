"""Every message that crossed, in order: what the guide draws as arrows. Holds ids and results,
never a payment code, a body or a key.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from tillgate.alipayplus.messages import Result

KEPT_MAX = 10_000
"""About a thousand payments: enough to read what just happened, and it never grows."""


class Party(StrEnum):
    """Who speaks."""

    ACQUIRER = "acquirer"
    NETWORK = "network"
    WALLET = "wallet"


class Direction(StrEnum):
    """Asking or answering."""

    REQUEST = "request"
    RESPONSE = "response"


VALID = "valid"
SIGNED = "signed by the network"
UNSIGNED = "none (a refused key or signature is answered unsigned)"
INSIDE = "none (inside the sandbox)"


@dataclass(frozen=True, slots=True)
class Raw:
    """A message as it travelled, for the explanation of its signature; never shown as it is.

    Attributes:
        path: with its query: of a notification that of the acquirer's address.
        time: Request-Time or Response-Time.
        signature: the header's value.
    """

    path: str
    client_id: str
    time: str | None
    signature: str | None
    body: bytes | None

    def __repr__(self) -> str:
        return f"Raw({self.path}, {self.client_id})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchange:
    """One message.

    Attributes:
        client_id: the acquirer that it is about; empty where none is known.
        api: the API's name, or the path that was asked for when there is no such API.
        result: of a response, and of a notification what it tells: `S/SUCCESS`.
        payment_result: of an inquiry's answer: the second level.
        refund_request_id: which of a payment's refunds, between acquirer and network.
        signature: what was found out about the message's signature.
        amount: of a pay, what the acquirer asks for: `JPY 100`.
        raw: the message itself, where it crossed between processes.
    """

    seq: int
    at: datetime
    sender: Party
    receiver: Party
    client_id: str
    api: str
    kind: Direction
    payment_request_id: str | None
    payment_id: str | None
    result: str | None
    payment_result: str | None
    refund_request_id: str | None
    signature: str
    amount: str | None
    raw: Raw | None


class Exchanges:
    """The last 10,000 messages."""

    def __init__(self) -> None:
        self._kept: deque[Exchange] = deque(maxlen=KEPT_MAX)
        self._seq = 0

    def add(
        self,
        at: datetime,
        sender: Party,
        receiver: Party,
        api: str,
        kind: Direction,
        *,
        client_id: str = "",
        payment_request_id: str | None = None,
        payment_id: str | None = None,
        result: Result | None = None,
        payment_result: Result | None = None,
        refund_request_id: str | None = None,
        signature: str = INSIDE,
        amount: str | None = None,
        raw: Raw | None = None,
    ) -> None:
        """Note one message, as it crosses."""
        self._seq += 1
        self._kept.append(
            Exchange(
                seq=self._seq,
                at=at,
                sender=sender,
                receiver=receiver,
                client_id=client_id,
                api=api,
                kind=kind,
                payment_request_id=payment_request_id,
                payment_id=payment_id,
                result=_words(result),
                payment_result=_words(payment_result),
                refund_request_id=refund_request_id,
                signature=signature,
                amount=amount,
                raw=raw,
            )
        )

    def find(self, seq: int) -> Exchange | None:
        """The message of that number, while it is kept."""
        first = self._kept[0].seq if self._kept else 0
        place = seq - first
        return self._kept[place] if 0 <= place < len(self._kept) else None

    def of(self, payment_request_id: str | None) -> Iterator[Exchange]:
        """Those of one payment, or all, oldest first."""
        for exchange in self._kept:
            if payment_request_id is None or exchange.payment_request_id == payment_request_id:
                yield exchange


def _words(result: Result | None) -> str | None:
    return f"{result.result_status.value}/{result.result_code}" if result else None

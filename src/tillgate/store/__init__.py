"""What is remembered: the `Store` protocol and the values that go in and out.

One commit carries a payment's row and its history row, atomically. Every caller waits for its own
durability; how commits are grouped is the engine's business. No rule about a payment lives here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from tillgate.core.model import Payment, PaymentRequestId

T = TypeVar("T")

Row = Mapping[str, Any]
"""A row of an answer: column to value. Times are microseconds since 1970 in UTC; a truth may be 0
or 1.
"""


@dataclass(frozen=True, slots=True)
class Sql:
    """One statement with its values, in the words that SQLite and PostgreSQL share.

    PostgreSQL wants to know each value's type: `CAST(? AS TEXT) IS NULL`, not `? IS NULL`. Its sum
    of big integers is no integer: `CAST(sum(amount) AS BIGINT)`.

    Attributes:
        text: with a `?` for each value, and no other `?`.
        values: str, int, bytes, bool or None; a truth for a column of truths.
    """

    text: str
    values: tuple[str | int | bytes | None, ...] = ()


REPORT_LIMIT_S = 10.0
"""How long a report may take: whoever asks has gone by then. Ours."""

Transaction = Generator[Sql, Sequence[Row], T]
"""What `Store.transact` runs: it yields statements and is sent their rows; what it returns is the
answer. Whatever it raises undoes all of it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """One row of a payment's timeline.

    Attributes:
        version: the payment's version that this fact led to.
        at: aware UTC.
        kind: the fact, such as `pay_answered`.
        status: the status after it.
        detail: JSON, for people; holds no code, key or signature.
    """

    version: int
    at: datetime
    kind: str
    status: str
    detail: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A new payment with what is kept of the request that opened it.

    Attributes:
        payment: its first send is counted.
        pay_body: the pay request, sealed.
        idempotency_key: unique per merchant, for ever.
        code_fingerprint: keyed hash of the scanned code, to compare a repeated request with.
        expires_in_s: as requested, or None.
    """

    payment: Payment
    pay_body: bytes
    idempotency_key: str
    code_fingerprint: bytes
    expires_in_s: int | None
    history: History


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a repeated request is compared with, beside the payment itself."""

    payment: Payment
    code_fingerprint: bytes
    expires_in_s: int | None


@dataclass(frozen=True, slots=True)
class Opened:
    """The payment is durable.

    Attributes:
        attempt: 1, and one more for each earlier payment of its order.
        previous: the newest of those.
    """

    attempt: int = 1
    previous: PaymentRequestId | None = None


@dataclass(frozen=True, slots=True)
class KeyHeld:
    """The merchant used this idempotency key before; nothing was saved."""

    request: Request


@dataclass(frozen=True, slots=True)
class OrderHeld:
    """The merchant's order has a live or paid payment already; nothing was saved."""

    payment: Payment


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """A notification, properly signed, of a payment that is not ours. Kept for a person to look
    at.
    """

    received_at: datetime
    payment_request_id: str
    payment_id: str | None
    outcome: str
    code: str
    amount: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantEvent:
    """Something that a merchant is told of, by webhooks and by streams.

    Attributes:
        event_id: the same for whoever writes it, so that it is told once.
        refund_request_id: None where it is about the payment itself.
        sequence: 1, 2, ... of this payment, its refunds' included.
        type: such as `payment.succeeded`.
        at: aware UTC.
        body: JSON, the resource as it became.
    """

    event_id: str
    merchant_id: str
    store_id: str
    terminal_id: str
    payment_request_id: PaymentRequestId
    refund_request_id: str | None
    sequence: int
    type: str
    at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Placed:
    """An event with its place among all: who has seen one has seen all below it."""

    position: int
    event: MerchantEvent


class Store(Protocol):
    """A durable store of payments. Every method may raise `StoreError` when it cannot do it now.

    Attributes:
        is_shared: whether other processes may write to it meanwhile.
    """

    is_shared: bool

    async def open(self, opening: Opening) -> Opened | KeyHeld | OrderHeld:
        """Save a new payment, unless its key or its order is taken. Durable when it returns.

        Its place among the attempts of its order is found in the same commit, not taken from the
        opening.
        """
        ...

    async def save(
        self,
        payment: Payment,
        history: History,
        *,
        keep_body: bool,
        told: MerchantEvent | None = None,
    ) -> None:
        """Replace version `payment.version - 1` and add its history row. Durable when it returns.

        Args:
            payment: the next version.
            history: how it came to be.
            keep_body: whether the pay request may still be needed; otherwise it is erased.
            told: what the merchant is to be told of it.

        Raises:
            StaleVersion: somebody saved that version first.
            PaymentIdTaken: another payment of this connector holds the receipt's `payment_id`.
        """
        ...

    async def load(
        self, payment_request_id: PaymentRequestId, known: Payment | None = None
    ) -> Payment | None:
        """The payment as last saved; `known` itself where that is still so, which is cheaper."""
        ...

    async def load_request(self, merchant_id: str, idempotency_key: str) -> Request | None:
        """What this merchant opened with this key."""
        ...

    async def load_pay_body(self, payment_request_id: PaymentRequestId) -> bytes | None:
        """The sealed pay request, or None once it was erased."""
        ...

    async def load_waiting(
        self, before: datetime | None = None, *, after: Payment | None = None, limit: int
    ) -> Sequence[Payment]:
        """Payments whose `next_action_at` is (by then, if given) due, soonest first.

        Args:
            before: leaves out what is due later.
            after: the last payment of the batch before; None begins.
            limit: at most so many; fewer come only when these are the last.
        """
        ...

    async def load_newer(self, known: Sequence[tuple[PaymentRequestId, int]]) -> Sequence[Payment]:
        """Those of these payments that have a higher version than is named with each."""
        ...

    async def load_history(self, payment_request_id: PaymentRequestId) -> Sequence[History]:
        """The timeline, oldest first; empty for an unknown payment."""
        ...

    async def load_events(
        self, merchant_id: str | None, *, store_id: str | None = None, after: int, limit: int
    ) -> Sequence[Placed]:
        """What a merchant (or one store of it; or everybody) was told, oldest first.

        An event appears only when none can appear below it any more: who asks again after the
        last position misses nothing.
        """
        ...

    async def last_position(self) -> int:
        """The highest position below which nothing can appear any more; 0 when there is none."""
        ...

    async def transact(self, work: Callable[[], Transaction[T]]) -> T:
        """Run `work()` in one transaction. Durable when it returns; begun anew where the engine
        wants it.

        Raises:
            StoreError: the database could not do it.
            Exception: what the work itself raised; nothing of it is saved.
        """
        ...

    async def read(self, statement: Sql) -> Sequence[Row]:
        """The rows of one reading statement.

        Raises:
            StoreError: the database could not be read.
        """
        ...

    async def report(self, statement: Sql) -> Sequence[Row]:
        """The rows of one reading statement that may take long: never in the way of a payment.

        Raises:
            StoreError: the database could not be read, or took longer than `REPORT_LIMIT_S`.
        """
        ...

    async def keep_unmatched(self, notification: Unmatched) -> None:
        """Keep a notification that fits no payment."""
        ...

    async def close(self) -> None:
        """Finish what is being saved and let go of the database."""
        ...

"""Where a route leads. One `Connector` per network or directly connected wallet.

A connector speaks one dialect and turns what it hears into facts; it decides nothing. The words on
which a payment's life turns (`PAYMENT_IN_PROCESS`, `ORDER_NOT_EXIST`, `ORDER_IS_CLOSED`,
`REPEAT_REQ_INCONSISTENT`, `CANCEL_WINDOW_EXCEED`, see `core/results.py`) it says as Alipay+ does;
every other result code is its network's own.

Another package brings one through an entry point of the group `tillgate.connectors`: its name is
the `kind` that a `[connector.NAME]` section asks for, and it leads to a `Build`
(docs/connectors.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    Payment,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
    Report,
)
from tillgate.core.pacing import Policy
from tillgate.core.refund_model import Refund, RefundLookEvent, RefundSendEvent
from tillgate.merchants import Merchant, Store

PayEvent = PayAnswered | PayUnanswered | PayNeverLeft | PayRefusedUnsigned
InquiryEvent = InquiryAnswered | InquiryRefused | InquiryUnanswered
CancelEvent = CancelAnswered | CancelUnanswered
RefundEvent = RefundAnswered | RefundUnanswered

ENTRY_POINTS = "tillgate.connectors"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectorSettings:
    """What a connector's section says, read and checked as far as all kinds have it in common.

    Attributes:
        name: the section's own name, which payments remember.
        kind: which dialect.
        takes: the wallets whose codes it gets: `alipay_cn`, `alipay_hk` or routing numbers. Empty
            for Alipay+.
        client_id: who we are there.
        network_keys: whom we believe there.
        notify_url: where notifications are asked for; None leaves it to what was agreed with them.
        options: what else stands in the section, as text.
    """

    name: str
    kind: str
    takes: tuple[str, ...]
    base_url: str
    client_id: str
    signing_key: SigningKey
    network_keys: KeyRing
    notify_url: str | None
    options: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyCall:
    """A notification as it came over HTTP. `path` keeps its query, as it was sent; header names
    are in lower case.
    """

    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class NotifyAnswer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What a genuine notification says, of which payment."""

    payment_request_id: PaymentRequestId
    report: Report


class BadNotification(Exception):
    """It is not from the network, or cannot be used. The message says why, without a secret.

    Attributes:
        answer: what goes back; never an acknowledgement.
    """

    def __init__(self, reason: str, answer: NotifyAnswer) -> None:
        super().__init__(reason)
        self.answer = answer


class Connector(Protocol):
    """Speaks to one network and turns what it says into facts. Never raises for what the network
    does.

    Attributes:
        name: the route's name, such as `alipay_plus`; payments remember it.
        policy: the numbers of this network.
    """

    name: str
    policy: Policy

    async def start(self) -> None:
        """Open what calls need, inside the loop that makes them."""
        ...

    async def close(self) -> None:
        """Close it; no call is running any more."""
        ...

    def build_pay(
        self,
        payment_request_id: PaymentRequestId,
        order: Order,
        merchant: Merchant,
        store: Store,
        code: str,
    ) -> bytes:
        """The pay request, built once; stored, and sent as stored.

        Raises:
            RequestError: this network cannot take such an order, as the sentence says.
        """
        ...

    async def pay(self, body: bytes) -> PayEvent:
        """Send a pay request as it was built."""
        ...

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """Ask what became of a payment."""
        ...

    async def cancel(self, payment: Payment) -> CancelEvent:
        """Close a payment, giving back what was paid."""
        ...

    async def refund(self, payment: Payment) -> RefundEvent:
        """Give all of it back, when it can no longer be cancelled: the end of a closing payment."""
        ...

    def read_notification(self, call: NotifyCall) -> Told | None:
        """Check a notification's signature and read it; None when it is genuine and says nothing
        final.

        Raises:
            BadNotification: it is not genuine, or cannot be read.
        """
        ...

    def acknowledge(self, call: NotifyCall) -> NotifyAnswer:
        """The answer to a notification whose fact is saved."""
        ...

    def ask_again(self, call: NotifyCall) -> NotifyAnswer:
        """The answer to a genuine notification that could not be saved."""
        ...


@runtime_checkable
class Consults(Protocol):
    """Can tell whose a code is before anything is paid: AlipayHK's `codeConsult`."""

    async def consult(self, code: str) -> str | None:
        """The wallet's brand, such as `ALIPAY_CN` or `ALIPAY_HK`; empty when the answer names none,
        None when there was no usable answer.
        """
        ...


@runtime_checkable
class GivesBack(Protocol):
    """Can refund a part of a payment, as often as a merchant asks, and tell what became of one.

    Payments of a connector that cannot are not refunded; closing one in full is `refund` of every
    connector.
    """

    async def give_back(self, refund: Refund) -> RefundSendEvent:
        """Send a refund under its own id: the same content whenever it is sent again."""
        ...

    async def look_up(self, refund: Refund) -> RefundLookEvent:
        """Ask what became of it. Not to find it is `LookFoundNothing`, never a failure."""
        ...


class Build(Protocol):
    """Makes a connector of one kind."""

    def __call__(self, settings: ConnectorSettings, clock: Clock) -> Connector:
        """Make it; nothing is opened before `start`.

        Raises:
            ConfigError: lists every problem of `settings.options`.
        """
        ...

"""What a refund is made of: its statuses, its fields, the facts it hears and the effects it asks
for.

Values only. The rules that turn one into the next stand in `core/refund.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType

from tillgate.core.model import Alert, Call, PaymentId, PaymentRequestId, TellTill, TimerDue
from tillgate.core.money import Money
from tillgate.core.results import Outcome

RefundRequestId = NewType("RefundRequestId", str)
"""Ours: made before the first send, unique for ever, the network's idempotency key of a refund."""


class RefundStatus(StrEnum):
    """What is true of the money that goes back."""

    PENDING = "PENDING"
    """It may have gone back; nobody said yet."""
    SUCCEEDED = "SUCCEEDED"
    """It went back, as asked."""
    FAILED = "FAILED"
    """It did not: the network said so, or nothing ever left."""
    UNRESOLVED = "UNRESOLVED"
    """Nobody could say; a person has to. The network is asked on, slowly."""


ENDED = frozenset({RefundStatus.SUCCEEDED, RefundStatus.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One refund of a part of a payment, or of all of it. Build it with `open_refund`; change it
    with `refund_step`.

    Attributes:
        payment_id: the network's id of the payment; comes with a success, so it may be missing.
        amount: what goes back, in the payment's currency.
        reason: the merchant's words; sent to the network.
        requested_by: whose key asked for it.
        opened_at: aware UTC, and so are all times here.
        version: 1 at opening, one more with each save.
        sends: refund calls counted, each before it left.
        sends_never_left: those of them of which surely no byte left.
        sent_at: when the last of them left.
        may_resend: whether the identical refund may be sent again.
        inquiries: inquiries counted.
        refused_code: result code of a refusal that was put aside and that nothing is sent after:
            what is listed, or is not, decides.
        calling: the call whose outcome is awaited: REFUND, INQUIRY or None.
        next_action: what to do at `next_action_at` if nothing comes before; both or neither.
        result_code: the network's last word about it, for people.
        refund_id: the network's.
        refunded_at: when, as the network says.
        changed_at: when `status` last changed.
    """

    refund_request_id: RefundRequestId
    payment_request_id: PaymentRequestId
    merchant_id: str
    connector: str
    payment_id: PaymentId | None
    amount: Money
    reason: str | None
    requested_by: str
    opened_at: datetime
    status: RefundStatus
    version: int
    sends: int = 0
    sends_never_left: int = 0
    sent_at: datetime
    may_resend: bool = True
    inquiries: int = 0
    refused_code: str | None = None
    calling: Call | None = None
    next_action: Call | None = None
    next_action_at: datetime | None = None
    result_code: str | None = None
    result_message: str | None = None
    refund_id: str | None = None
    refunded_at: datetime | None = None
    changed_at: datetime

    def __post_init__(self) -> None:
        assert (self.next_action is None) is (self.next_action_at is None)
        assert self.status is not RefundStatus.PENDING or self.next_action_at is not None
        assert not self.is_final or (self.next_action_at is None and self.calling is None)
        assert self.calling in (None, Call.REFUND, Call.INQUIRY)
        assert 0 <= self.sends_never_left <= self.sends

    @property
    def is_final(self) -> bool:
        """The merchant was told how it ended. Once true it stays true."""
        return self.status in ENDED

    @property
    def sends_open(self) -> int:
        """Refund calls that may have reached the network."""
        return self.sends - self.sends_never_left


# --- Facts, in the past tense


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundReport:
    """What the network says of this refund, in an answer whose signature holds.

    Attributes:
        amount: what went back; None when the message has none.
    """

    outcome: Outcome
    code: str
    message: str | None = None
    amount: Money | None = None
    refund_id: str | None = None
    refunded_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendAnswered:
    """The refund call was answered."""

    report: RefundReport


@dataclass(frozen=True, slots=True)
class SendUnanswered:
    """A byte may have left and no usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class SendNeverLeft:
    """No connection was usable, so surely no byte left."""

    reason: str


@dataclass(frozen=True, slots=True)
class SendRefusedUnsigned:
    """An unsigned answer says that our signature, key or access is wrong. It proves nothing."""

    code: str


@dataclass(frozen=True, slots=True)
class LookAnswered:
    """The inquiry's answer lists this refund."""

    report: RefundReport


@dataclass(frozen=True, slots=True)
class LookFoundNothing:
    """The inquiry was answered about the payment, and does not list this refund (yet)."""


@dataclass(frozen=True, slots=True)
class LookRefused:
    """The inquiry itself was refused. Signed."""

    code: str


@dataclass(frozen=True, slots=True)
class LookUnanswered:
    """No usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefundResolved:
    """An operator says, with evidence, what became of the money: SUCCEEDED or FAILED."""

    status: RefundStatus
    by: str
    why: str


RefundSendEvent = SendAnswered | SendUnanswered | SendNeverLeft | SendRefusedUnsigned
RefundLookEvent = LookAnswered | LookFoundNothing | LookRefused | LookUnanswered
RefundEvent = RefundSendEvent | RefundLookEvent | RefundResolved | TimerDue


# --- Effects, in the imperative


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Send the refund, under its own id: the same content each time."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the network what became of it."""


RefundEffect = GiveBack | LookUp | TellTill | Alert


@dataclass(frozen=True, slots=True)
class RefundStep:
    """The next refund and what to do once it is saved. Nothing to save when `refund` is the one
    given.
    """

    refund: Refund
    effects: tuple[RefundEffect, ...] = field(default=())

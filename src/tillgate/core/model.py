"""What a payment is made of: its statuses, its fields, the facts it hears and the effects it asks
for.

Values only. The rules that turn one into the next stand in `core/payment.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

from tillgate.core.money import Money
from tillgate.core.results import Outcome

PaymentRequestId = NewType("PaymentRequestId", str)
"""Ours: made before the first send, unique for ever, the network's idempotency key."""
PaymentId = NewType("PaymentId", str)
"""The network's: comes with its answer."""


class Status(StrEnum):
    """What is true of the money. Who asked, why and how often stand elsewhere."""

    PENDING = "PENDING"
    """Money may have moved; nobody said yet."""
    SUCCEEDED = "SUCCEEDED"
    """Paid, as asked."""
    FAILED = "FAILED"
    """Not paid: the network said so, or nothing ever left."""
    CANCELLING = "CANCELLING"
    """Being closed; money may have moved and is on its way back."""
    CANCELLED = "CANCELLED"
    """Closed: the customer is not charged."""
    UNRESOLVED = "UNRESOLVED"
    """Nobody could say; a person has to."""


WAITING = frozenset({Status.PENDING, Status.CANCELLING})
RESTING = frozenset({Status.SUCCEEDED, Status.FAILED, Status.CANCELLED})
TOLD = RESTING | {Status.UNRESOLVED}
"""What a merchant is told of when a payment becomes it."""


class Call(StrEnum):
    """A conversation with the network."""

    PAY = "pay"
    INQUIRY = "inquiry"
    CANCEL = "cancel"
    REFUND = "refund"


class Closing(StrEnum):
    """How far the way back is: which answer a CANCELLING payment lives on."""

    BY_CANCEL = "by_cancel"
    """The cancel's answer ends it."""
    ASKING = "asking"
    """The cancel window is over, or a cancel was overtaken by a success: is it paid?"""
    BY_REFUND = "by_refund"
    """It is paid and cannot be cancelled any more: the refund's answer ends it."""


_MAY_AWAIT = {
    Call.PAY: (Status.PENDING, Status.CANCELLING),
    Call.INQUIRY: (Status.PENDING, Status.CANCELLING, Status.UNRESOLVED, Status.CANCELLED),
    Call.CANCEL: (Status.CANCELLING,),
    Call.REFUND: (Status.CANCELLING,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the till asked for and where it was routed. Never changes.

    Attributes:
        code_masked: the payment code as `codes.mask` shows it; the code itself is in the sealed
            body only.
        connector: who takes it, such as `alipay_plus`.
        rule: the routing rule that fired, of the table `table`.
        placed_at: when the gateway accepted it, aware UTC.
        expires_at: final expiry, the earlier of what was requested and `placed_at` + the network's
            limit.
        attempt: 1, and one more for each earlier payment of the same merchant order.
        previous: the attempt before this one, which was not paid or was given back whole.
    """

    merchant_id: str
    store_id: str
    terminal_id: str
    merchant_order_id: str
    description: str | None
    amount: Money
    code_masked: str
    connector: str
    rule: str
    table: str
    placed_at: datetime
    expires_at: datetime
    attempt: int = 1
    previous: PaymentRequestId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What the network tells of a payment beside its outcome. Any of it may be missing."""

    payment_id: PaymentId | None = None
    paid_at: datetime | None = None
    wallet: str | None = None
    customer_id: str | None = None
    psp_id: str | None = None
    acquirer_id: str | None = None


@dataclass(frozen=True, kw_only=True)  # without slots, so that `changed` copies it in one go
class Payment:
    """One payment, whole. Build it with `open_payment`; change it with `step`.

    Attributes:
        version: 1 at opening, one more with each save.
        is_final: the till was told how it ended. Once true it stays true, also while money goes
            back.
        holds_order: no second payment for the same merchant order while this is true. Never true
            again.
        sends: pay calls counted, each before it left.
        sends_never_left: those of them of which surely no byte left.
        may_resend: whether the identical pay may be sent again after an unknown result.
        inquiries: inquiries counted, the last one at expiry included.
        has_asked_last: the inquiry that comes before the cancel is out.
        cancels: cancel calls counted.
        refunds: calls counted of the one refund in full that a closed cancel window may need.
        closing: which answer it lives on while CANCELLING.
        closing_since: when asking or refunding began, aware UTC; bounds both. While CANCELLED: when
            its one look begins, which is asked for while the cancel was confirmed early.
        was_reopened: a success was reported after it had been FAILED or CANCELLED.
        was_cancelled_there: the network confirmed a cancel.
        was_refunded_there: the network confirmed our refund in full.
        mismatches: successes reported with another amount, currency or somebody else's
            `payment_id`.
        cancelled_by: who asked for the cancel; None when the payment expired or had to be given
            back.
        was_reported_paid: the network called it paid at least once, in whatever way.
        refused_code: result code of a refusal that was put aside because an earlier send was
            unanswered.
        calling: the call whose outcome is awaited, or None.
        next_action: what to do at `next_action_at` (aware UTC) if nothing comes before; both or
            neither.
        result_code: the network's last word about the payment, for people and for the till's next
            step.
        receipt: what came with it.
        changed_at: when `status` last changed, aware UTC.
        reserved: minor units of all refunds that are open or done; never above the amount.
        refunded: minor units of the refunds that are done.
        announced: how many events the merchant was told of it, its refunds' included; the number
            of the last one.
    """

    payment_request_id: PaymentRequestId
    order: Order
    status: Status
    version: int
    is_final: bool = False
    holds_order: bool = True
    sends: int = 0
    sends_never_left: int = 0
    may_resend: bool = True
    inquiries: int = 0
    has_asked_last: bool = False
    cancels: int = 0
    refunds: int = 0
    closing: Closing = Closing.BY_CANCEL
    closing_since: datetime | None = None
    was_reopened: bool = False
    was_cancelled_there: bool = False
    was_refunded_there: bool = False
    mismatches: int = 0
    was_reported_paid: bool = False
    refused_code: str | None = None
    cancelled_by: str | None = None
    calling: Call | None = None
    next_action: Call | None = None
    next_action_at: datetime | None = None
    result_code: str | None = None
    result_message: str | None = None
    receipt: Receipt = Receipt()
    changed_at: datetime
    reserved: int = 0
    refunded: int = 0
    announced: int = 0

    def __post_init__(self) -> None:
        assert (self.next_action is None) is (self.next_action_at is None)
        assert self.status not in WAITING or self.next_action_at is not None
        assert self.status not in RESTING or self.is_final
        # Only a CANCELLED one may look once more.
        has_ended = self.status in (Status.SUCCEEDED, Status.FAILED)
        assert not has_ended or (self.next_action_at is None and self.calling is None)
        assert self.calling is None or self.status in _MAY_AWAIT[self.calling]
        assert 0 <= self.sends_never_left <= self.sends
        assert 0 <= self.refunded <= self.reserved <= self.order.amount.value

    @property
    def sends_open(self) -> int:
        """Pay calls that may have reached the network."""
        return self.sends - self.sends_never_left


_FIELDS = frozenset(field.name for field in fields(Payment))


def changed(payment: Payment, **changes: Any) -> Payment:
    """`dataclasses.replace` for a payment in a fifth of its time: each step makes two or three.

    Raises:
        KeyError: there is no such field.
    """
    if not changes.keys() <= _FIELDS:
        raise KeyError(*(changes.keys() - _FIELDS))
    after = object.__new__(Payment)
    after.__dict__.update(payment.__dict__, **changes)
    after.__post_init__()
    return after


# --- Facts, in the past tense


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the network says of this payment, in an answer whose signature holds.

    Attributes:
        amount: what was paid; None when the message has none.
        is_cancelled: a successful CANCEL stands among the transactions of an inquiry's answer.
        is_payment_id_taken: another payment already holds the receipt's `payment_id`.
    """

    outcome: Outcome
    code: str
    message: str | None = None
    amount: Money | None = None
    receipt: Receipt = Receipt()
    is_cancelled: bool = False
    is_payment_id_taken: bool = False


@dataclass(frozen=True, slots=True)
class PayAnswered:
    """The pay call was answered."""

    report: Report


@dataclass(frozen=True, slots=True)
class PayUnanswered:
    """A byte may have left and no usable answer came: time-out, broken connection, garbage, bad
    signature.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class PayNeverLeft:
    """No connection was usable, so surely no byte left."""

    reason: str


@dataclass(frozen=True, slots=True)
class PayRefusedUnsigned:
    """An unsigned answer says that our signature, key or access is wrong. It proves nothing."""

    code: str


@dataclass(frozen=True, slots=True)
class InquiryAnswered:
    """The network answered about the payment."""

    report: Report


@dataclass(frozen=True, slots=True)
class InquiryRefused:
    """The inquiry itself was refused, or there is no such order (ORDER_NOT_EXIST). Signed."""

    code: str


@dataclass(frozen=True, slots=True)
class InquiryUnanswered:
    """No usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class Notified:
    """The network called us with a final result; its signature was checked."""

    report: Report


@dataclass(frozen=True, slots=True)
class CancelRequested:
    """Somebody wants it closed."""

    by: str


@dataclass(frozen=True, slots=True)
class CancelAnswered:
    """The cancel call was answered, signed."""

    outcome: Outcome
    code: str


@dataclass(frozen=True, slots=True)
class CancelUnanswered:
    """No usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefundAnswered:
    """The refund call was answered, signed."""

    outcome: Outcome
    code: str


@dataclass(frozen=True, slots=True)
class RefundUnanswered:
    """No usable answer came."""

    reason: str


@dataclass(frozen=True, slots=True)
class RefundReserved:
    """A merchant opens a refund of so many minor units. Counts only while paid and so much is left.

    It is saved in the commit that opens the refund.
    """

    value: int


@dataclass(frozen=True, slots=True)
class RefundSucceeded:
    """A reserved refund of so many minor units was done. Saved in the commit that ends the
    refund.
    """

    value: int


@dataclass(frozen=True, slots=True)
class RefundReleased:
    """A reserved refund of so many minor units failed: what it reserved is free again."""

    value: int


@dataclass(frozen=True, slots=True)
class RefundUnresolved:
    """Nobody could say what became of a reserved refund of so many minor units: it stays reserved,
    and the merchant is told.
    """

    value: int


@dataclass(frozen=True, slots=True)
class Resolved:
    """An operator says, with evidence, what became of the money: SUCCEEDED, FAILED or CANCELLED."""

    status: Status
    by: str
    why: str


@dataclass(frozen=True, slots=True)
class TimerDue:
    """`next_action_at` has come. Early ones are ignored."""


Event = (
    PayAnswered
    | PayUnanswered
    | PayNeverLeft
    | PayRefusedUnsigned
    | InquiryAnswered
    | InquiryRefused
    | InquiryUnanswered
    | Notified
    | CancelRequested
    | CancelAnswered
    | CancelUnanswered
    | RefundAnswered
    | RefundUnanswered
    | RefundReserved
    | RefundSucceeded
    | RefundReleased
    | RefundUnresolved
    | Resolved
    | TimerDue
)


# --- Effects, in the imperative


@dataclass(frozen=True, slots=True)
class SendPay:
    """Send the stored pay request, byte for byte."""


@dataclass(frozen=True, slots=True)
class SendInquiry:
    """Ask the network."""


@dataclass(frozen=True, slots=True)
class SendCancel:
    """Ask the network to close it."""


@dataclass(frozen=True, slots=True)
class SendRefund:
    """Ask the network to give all of it back, under the id of `refund_request_id`."""


@dataclass(frozen=True, slots=True)
class TellTill:
    """Wake whoever waits for this payment."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A person should know. One sentence, no secrets."""

    reason: str


Effect = SendPay | SendInquiry | SendCancel | SendRefund | TellTill | Alert


@dataclass(frozen=True, slots=True)
class Step:
    """The next payment and what to do once it is saved. Nothing to save when `payment` is the
    one given.
    """

    payment: Payment
    effects: tuple[Effect, ...] = ()

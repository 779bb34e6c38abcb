"""What the public Alipay+ pages leave open, as settings: how the network behaves there. Holds words
only; what they do is in `network` and `signed_api`.

"Not published" means: on no page of Alipay+ that could be read. The gateway must be right either
way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class UnknownCancel(StrEnum):
    """A cancel of a `paymentRequestId` that never came. Not published.

    A `paymentId` that the network never gave out is ORDER_NOT_EXIST in every case: there is nothing
    that could be closed.
    """

    ORDER_NOT_EXIST = "order_not_exist"
    """F ORDER_NOT_EXIST; a later pay is taken. Evidence: Antom's table of the same call."""
    S_CLOSES_IT = "s_closes_it"
    """S; the id is closed before it came, so a later pay is refused with ORDER_IS_CLOSED, whatever
    `PayOnCancelled` says. Evidence: none; the kindest reading of "close the order".
    """
    S_FORGETS_IT = "s_forgets_it"
    """S, and nothing is kept: a later pay is taken and debits. Evidence: an older Alipay product
    (`hk_auto_debit/paycancel`) answers success when the transaction was never created.
    """


class PayOnCancelled(StrEnum):
    """A pay on an id whose payment was cancelled. Not published."""

    REFUSED = "refused"
    """F ORDER_IS_CLOSED for ever. Evidence: ids are unique without a time limit (Alipay+
    "Idempotency"); once a cancel is asked for, the order may only become cancelled.
    """
    TAKEN = "taken"
    """The id starts over: a new payment with a new `paymentId`, nothing compared with the cancelled
    one, debited once more. The code that the cancelled one used is good for it while it lives, so
    that even a pay that comes twice debits. The cancelled payment stays known by its own
    `paymentId`. Evidence: none for it and none against it.
    """


class CancelledInquiry(StrEnum):
    """What an inquiry says of a payment that the acquirer cancelled. Not published."""

    F_ORDER_IS_CLOSED = "f_order_is_closed"
    """`paymentResult` F ORDER_IS_CLOSED. Evidence: a guess from the pay API's codes."""
    S_WITH_CANCEL_TRANSACTION = "s_with_cancel_transaction"
    """`paymentResult` stays S where it was paid, and `transactions` has a CANCEL with SUCCESS.
    Where it was never paid there is no S to stay: F ORDER_IS_CLOSED, with the CANCEL beside it.
    Evidence: the SDK's transaction types have CANCEL.
    """


class KeyRefusal(StrEnum):
    """Refusals of the caller's Client-Id or signature. Not published."""

    UNSIGNED = "unsigned"
    """Evidence: Antom's sample; the Java SDK does not check an answer without a Signature."""
    SIGNED = "signed"
    """Signed like every other answer. Evidence: the table of headers makes no exception."""


class SuccessAmount(StrEnum):
    """Whether the answers to pay and inquiry name `paymentAmount`. A notification always does."""

    WITH = "with"
    """Evidence: the guide's sample of a pay; for an inquiry the SDK's class only."""
    WITHOUT = "without"
    """Evidence: none; the API's own table of an answer's fields could not be read."""


class IdempotentFields(StrEnum):
    """Which fields of a pay must agree when its `paymentRequestId` comes again. Two editions of the
    pages disagree; neither names the code itself.
    """

    CURRENT = "current"
    """`paymentAmount`, `paymentMethod.paymentMethodType`, `order.orderAmount`. Evidence: Alipay+
    "Idempotency", the edition without a version.
    """
    OLDER = "older"
    """`paymentAmount`, `paymentMethod.paymentMethodType`, `paymentFactor`, `settlementStrategy`.
    Evidence: the editions 1.0.5 and 1.3.0.
    """


class InferredFields(StrEnum):
    """Fields that the guide's sample of a pay has and no readable table demands: `paymentFactor`,
    `settlementStrategy`, `order.merchant` with `merchantMCC` and `store`.
    """

    OPTIONAL = "optional"
    """Evidence: "required" stands beside none of them."""
    REQUIRED = "required"
    """F PARAM_ILLEGAL where one is missing. Evidence: the SDK's request for user-presented mode
    insists on the merchant's and the store's.
    """


class ExpiryFrom(StrEnum):
    """Where the minute of an order begins. Not published."""

    RECEIPT = "receipt"
    """When the network takes it. Evidence: none; the kinder reading."""
    REQUEST_TIME = "request_time"
    """At the pay's Request-Time. Evidence: none; "order time" may mean it."""


class Settlement(StrEnum):
    """Whether answers name `settlementAmount` and `settlementQuote` where the settlement currency
    differs.
    """

    TOLD = "told"
    """Evidence: the SDK's classes of the answers; a public acquirer's messages."""
    SILENT = "silent"
    """Evidence: no readable table of an answer lists them."""


class RefundListing(StrEnum):
    """Whether an inquiry's `transactions` names the refunds of the payment. Not published: no page
    says that the list is complete.
    """

    LISTED = "listed"
    """Evidence: the SDK's `Transaction` has the type REFUND and the id of its request."""
    UNLISTED = "unlisted"
    """Evidence: none; whoever takes "not listed" for "not done" gives the money back twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One way in which the network may behave where its pages are silent.

    Attributes:
        unknown_cancel: a cancel of an id that never came.
        pay_on_cancelled: a pay on an id that was cancelled.
        cancelled_inquiry: an inquiry of what was cancelled.
        key_refusal: refusals of the caller's key.
        success_amount: pay and inquiry with or without `paymentAmount`.
        idempotent_fields: what a repeated pay must agree with.
        inferred_fields: whether what only samples show is demanded.
        expiry_from: where an order's minute begins.
        settlement: whether answers say what is settled in another currency.
        refund_listing: whether an inquiry lists refunds.
    """

    unknown_cancel: UnknownCancel = UnknownCancel.ORDER_NOT_EXIST
    pay_on_cancelled: PayOnCancelled = PayOnCancelled.REFUSED
    cancelled_inquiry: CancelledInquiry = CancelledInquiry.F_ORDER_IS_CLOSED
    key_refusal: KeyRefusal = KeyRefusal.UNSIGNED
    success_amount: SuccessAmount = SuccessAmount.WITH
    idempotent_fields: IdempotentFields = IdempotentFields.CURRENT
    inferred_fields: InferredFields = InferredFields.OPTIONAL
    expiry_from: ExpiryFrom = ExpiryFrom.RECEIPT
    settlement: Settlement = Settlement.TOLD
    refund_listing: RefundListing = RefundListing.LISTED

    @classmethod
    def of(cls, words: Mapping[str, str]) -> Choices:
        """From a legal word for each attribute, as settings give them."""
        return cls(
            unknown_cancel=UnknownCancel(words["unknown_cancel"]),
            pay_on_cancelled=PayOnCancelled(words["pay_on_cancelled"]),
            cancelled_inquiry=CancelledInquiry(words["cancelled_inquiry"]),
            key_refusal=KeyRefusal(words["key_refusal"]),
            success_amount=SuccessAmount(words["success_amount"]),
            idempotent_fields=IdempotentFields(words["idempotent_fields"]),
            inferred_fields=InferredFields(words["inferred_fields"]),
            expiry_from=ExpiryFrom(words["expiry_from"]),
            settlement=Settlement(words["settlement"]),
            refund_listing=RefundListing(words["refund_listing"]),
        )


DEFAULTS = Choices()

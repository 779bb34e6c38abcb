"""A payment as the network knows it, and the results it may have. Knows nothing of how the acquirer
sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, timezone
from enum import StrEnum

from tillgate.alipayplus.messages import SUCCESS, Result
from tillgate.core.money import Money
from tillgate.core.results import MEANINGS, Outcome
from tillgate.sandbox.wallets import Customer, Wallet

UTC_8 = timezone(timedelta(hours=8))
"""The network's calendar and the zone it writes times in."""
ORDER_LIFE = timedelta(seconds=60)
"""Source: the guide, "paymentExpiryTime": one minute, whatever later time is asked for."""
CANCEL_WINDOW_CLOSES = time(0, 15)
"""On T+1, UTC+8. Source: Alipay+ cancelPayment."""
REFUND_WINDOW = timedelta(days=365)
"""From the payment on. Source: Alipay+ refund: one calendar year, in its shortest reading."""


class State(StrEnum):
    """What is true of the money at the wallet."""

    IN_PROCESS = "in_process"
    """The wallet waits for its customer; nothing was taken."""
    SUCCEEDED = "succeeded"
    """The customer was debited."""
    FAILED = "failed"
    """Nothing was taken and nothing will be."""
    CLOSED = "closed"
    """Cancelled by the acquirer or expired: nothing was taken, or it was given back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    """One that was made. A refused one leaves no trace, and its id free.

    Attributes:
        pay_to_value: what the customer got: minor units of the wallet's currency. 0 where the
            share is less than half of one; what is missing comes with the next refund.
        settled_value: what the acquirer owes the network for it, reckoned alike.
    """

    refund_request_id: str
    refund_id: str
    payment_id: str
    amount: Money
    pay_to_value: int
    settled_value: int
    refunded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """One order at the network.

    Attributes:
        client_id: the acquirer; its `payment_request_id` is unique among its own only.
        network: the name of the network that has it.
        compared: what a repeat of the pay must agree with.
        settlement_currency: what the acquirer is paid in; `settled_value` its minor units, 0 until
            they are known.
        merchant_name: who asks, as the acquirer names them; None: the message did not say.
        description: of the order.
        notify_url: where to tell the final result; None: nowhere.
        expires_at: when an unpaid order is closed.
        result: what a repeated pay and an inquiry say of it.
        customer: whose code it was; None when the code belongs to nobody (any more).
        pay_to_value: minor units of the wallet's currency; 0 without a customer.
        is_cancelled: the acquirer asked to cancel it, and it was.
        finished_at: when the state became final; None while in process.
        refunds: in order; they do not change the state.
    """

    client_id: str
    payment_request_id: str
    payment_id: str
    network: str
    reference_order_id: str
    amount: Money
    compared: tuple[object, ...]
    masked_code: str
    notify_url: str | None
    placed_at: datetime
    expires_at: datetime
    state: State
    result: Result
    merchant_name: str | None = None
    description: str = ""
    wallet: Wallet | None = None
    customer: Customer | None = None
    pay_to_value: int = 0
    settlement_currency: str
    settled_value: int = 0
    is_cancelled: bool = False
    paid_at: datetime | None = None
    finished_at: datetime | None = None
    refunds: tuple[Refund, ...] = ()

    @property
    def cancel_window_ends(self) -> datetime:
        """From then on a cancel is refused: 00:15 UTC+8 of the day after it was placed."""
        day = self.placed_at.astimezone(UTC_8).date() + timedelta(days=1)
        return datetime.combine(day, CANCEL_WINDOW_CLOSES, UTC_8)


_MESSAGES = {
    "CANCEL_WINDOW_EXCEED": "The cancel window is over; refund the payment.",
    "CURRENCY_NOT_SUPPORT": "The currency is not supported.",
    "EXPIRED_CODE": "The payment code is expired.",
    "INVALID_CLIENT": "The Client-Id is not known.",
    "INVALID_CODE": "The payment code is not valid, or was used before.",
    "INVALID_SIGNATURE": "The signature does not fit.",
    "MEDIA_TYPE_NOT_ACCEPTABLE": "The Content-Type must be application/json.",
    "METHOD_NOT_SUPPORTED": "The HTTP method must be POST.",
    "NO_INTERFACE_DEF": "There is no such API.",
    "ORDER_IS_CLOSED": "The order is closed.",
    "ORDER_NOT_EXIST": "There is no such order.",
    "ORDER_STATUS_INVALID": "The order is not paid (any more).",
    "PARAM_ILLEGAL": "A parameter is missing or not legal.",
    "PAYMENT_AMOUNT_EXCEED_LIMIT": "The payment is above the customer's limit.",
    "PAYMENT_COUNT_EXCEED_LIMIT": "The customer has paid too often today.",
    "PAYMENT_IN_PROCESS": "The payment is being processed.",
    "PROCESS_FAIL": "The payment was refunded and cannot be cancelled any more.",
    "REFUND_AMOUNT_EXCEED": "The refunds would be more than what was paid.",
    "REFUND_WINDOW_EXCEED": "The refund window is over.",
    "REPEAT_REQ_INCONSISTENT": "The same request id came before with other values.",
    "USER_AMOUNT_EXCEED_LIMIT": "The customer's payments of today are above the limit.",
    "USER_BALANCE_NOT_ENOUGH": "The customer's balance is too low.",
    "USER_KYC_NOT_QUALIFIED": "The customer has not proved who they are.",
    "USER_NOT_EXIST": "The customer has closed the account.",
    "USER_PAYMENT_VERIFICATION_FAILED": "The customer did not confirm the payment.",
    "USER_STATUS_ABNORMAL": "The customer's account is frozen.",
}


def _outcome(code: str) -> Outcome:
    """The codes of `refund` alone are all refusals."""
    return MEANINGS[code].outcome if code in MEANINGS else Outcome.FAILURE


RESULTS: dict[str, Result] = {
    code: Result(result_code=code, result_status=_outcome(code), result_message=message)
    for code, message in _MESSAGES.items()
} | {"SUCCESS": SUCCESS}
"""Every result that the sandbox gives by itself, ready made."""


def result_of(code: str) -> Result:
    """A result that a tester asked for, by its code; one that nobody knows is an F."""
    return RESULTS.get(code) or Result(
        result_code=code, result_status=_outcome(code), result_message="As the tester wants it."
    )


def param_illegal(problem: str) -> Result:
    """A refusal that names the field. `problem` never holds its value; cut at the 256 characters
    that a resultMessage may have.
    """
    refusal = RESULTS["PARAM_ILLEGAL"]
    return Result(
        result_code=refusal.result_code,
        result_status=refusal.result_status,
        result_message=problem[:256],
    )


def wire_time(at: datetime) -> str:
    """As the network writes times: `2021-04-08T14:48:50+08:00` (the guide's sample)."""
    return at.astimezone(UTC_8).replace(microsecond=0).isoformat()

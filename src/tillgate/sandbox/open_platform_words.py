"""The network's results in the open platform's words, and its messages wrong on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from msgspec import structs

from tillgate.alipaycn import messages, signing
from tillgate.alipaycn.messages import (
    Answer,
    CancelAnswer,
    PayAnswer,
    QueryAnswer,
    RefundAnswer,
    RefundQueryAnswer,
    amount_text,
)
from tillgate.alipayplus.signing import SigningKey, new_private_key
from tillgate.core.money import Money
from tillgate.core.results import PAYMENT_IN_PROCESS, Outcome
from tillgate.sandbox.payment import result_of
from tillgate.sandbox.plays import Api, Do, Spoilt

INVALID = "ACQ.INVALID_PARAMETER"
UNKNOWN = "20000"
"""The platform's own word for "nobody knows"; with the sub_code `ACQ.SYSTEM_ERROR`."""

_PAY = {
    "ACCESS_DENIED": "ACQ.ACCESS_FORBIDDEN",
    "BUSINESS_NOT_SUPPORT": "ACQ.UN_SUPPORT_TRADE_SCENE",
    "CURRENCY_NOT_SUPPORT": "ACQ.CURRENCY_NOT_SUPPORT",
    "CURRENCY_NOT_SUPPORTED": "ACQ.CURRENCY_NOT_SUPPORT",
    "EXPIRED_CODE": "ACQ.PAYMENT_AUTH_CODE_INVALID",
    "INVALID_CODE": "ACQ.PAYMENT_AUTH_CODE_INVALID",
    "INVALID_CONTRACT": "ACQ.MERCHANT_AGREEMENT_INVALID",
    "MERCHANT_NOT_REGISTERED": "ACQ.SELLER_NOT_EXIST",
    "ORDER_IS_CLOSED": "ACQ.TRADE_HAS_CLOSE",
    "PAYMENT_AMOUNT_EXCEED_LIMIT": "ACQ.TOTAL_FEE_EXCEED",
    "PAYMENT_COUNT_EXCEED_LIMIT": "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
    "PROCESS_FAIL": "ACQ.PAYMENT_FAIL",
    "REGULATION_RESTRICTION": "ACQ.RESTRICTED_MERCHANT_INDUSTRY",
    "REPEAT_REQ_INCONSISTENT": "ACQ.CONTEXT_INCONSISTENT",
    "RISK_REJECT": "ACQ.PAYMENT_REQUEST_HAS_RISK",
    "UNAVAILABLE_PAYMENT_METHOD": "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE",
    "USER_AMOUNT_EXCEED_LIMIT": "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
    "USER_BALANCE_NOT_ENOUGH": "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    "USER_KYC_NOT_QUALIFIED": "ACQ.NOT_CERTIFIED_USER",
    "USER_NOT_EXIST": "ACQ.BUYER_NOT_EXIST",
    "USER_PAYMENT_VERIFICATION_FAILED": "ACQ.PAYMENT_FAIL",
    "USER_STATUS_ABNORMAL": "ACQ.BUYER_ENABLE_STATUS_FORBID",
}
_QUERY = {"ORDER_NOT_EXIST": "ACQ.TRADE_NOT_EXIST"}
_CANCEL = {
    "CANCEL_WINDOW_EXCEED": "ACQ.TRADE_CANCEL_TIME_OUT",
    "ORDER_NOT_EXIST": "ACQ.TRADE_NOT_EXIST",
    "PROCESS_FAIL": "ACQ.REASON_TRADE_REFUND_FEE_ERR",
}
_REFUND = {
    "ORDER_NOT_EXIST": "ACQ.TRADE_NOT_EXIST",
    "ORDER_STATUS_INVALID": "ACQ.TRADE_STATUS_ERROR",
    "REFUND_AMOUNT_EXCEED": "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL",
    "REFUND_WINDOW_EXCEED": "ACQ.TRADE_HAS_FINISHED",
    "REPEAT_REQ_INCONSISTENT": "ACQ.DISCORDANT_REPEAT_REQUEST",
}
WORDS = {
    messages.SUCCESS: "Success",
    messages.WAITING: "order success pay inprocess",
    messages.BUSINESS_FAILED: "Business Failed",
    UNKNOWN: "Service Currently Unavailable",
}
STATUSES = {
    Outcome.SUCCESS: "TRADE_SUCCESS",
    Outcome.UNKNOWN: "WAIT_BUYER_PAY",
    Outcome.FAILURE: "TRADE_CLOSED",
}


@dataclass(frozen=True, slots=True)
class Method:
    """One of the five, as the network sees it. A question about a refund is an inquiry there."""

    api: Api
    answer: type[Answer]
    reasons: Mapping[str, str]


METHODS = {
    messages.PAY: Method(Api.PAY, PayAnswer, _PAY),
    messages.QUERY: Method(Api.INQUIRY, QueryAnswer, _QUERY),
    messages.CANCEL: Method(Api.CANCEL, CancelAnswer, _CANCEL),
    messages.REFUND: Method(Api.REFUND, RefundAnswer, _REFUND),
    messages.REFUND_QUERY: Method(Api.INQUIRY, RefundQueryAnswer, _QUERY),
}


def reason(method: str, code: str) -> str:
    """The `sub_code` of a refusal by the network; what has no word of its own is a fault of the
    message.
    """
    return METHODS[method].reasons.get(code, INVALID)


def said(method: str, code: str, out_trade_no: str | None) -> Answer:
    """The bare answer that says so much as this result of the network."""
    result = result_of(code)
    kind = METHODS[method].answer
    sub_code = None
    match result.result_status:
        case Outcome.SUCCESS:
            word = messages.SUCCESS
        case Outcome.UNKNOWN if code == PAYMENT_IN_PROCESS and method == messages.PAY:
            word = messages.WAITING
        case Outcome.UNKNOWN:
            word, sub_code = UNKNOWN, "ACQ.SYSTEM_ERROR"
        case Outcome.FAILURE:
            word, sub_code = messages.BUSINESS_FAILED, reason(method, code)
    return kind(
        code=word,
        msg=WORDS[word],
        sub_code=sub_code,
        sub_msg=result.result_message if sub_code else None,
        out_trade_no=out_trade_no,
    )


def with_amount(answer: Any, value: int | None) -> Any:
    """The same answer that tells another amount of fen, where it tells one."""
    if value is None or getattr(answer, "total_amount", None) is None:
        return answer
    return structs.replace(answer, total_amount=amount_text(Money("CNY", value)))


class PlatformSpoiler:
    """Signs what the platform says as a `Do` wants it."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @cached_property
    def _other_key(self) -> SigningKey:
        return SigningKey.load(new_private_key())

    def sign(self, do: Do, content: bytes) -> str | None:
        """The value of `sign`; None: there is to be none."""
        match do.signature:
            case Spoilt.NONE:
                return None
            case Spoilt.WRONG_KEY:
                return signing.sign(self._other_key, content)
            case Spoilt.BAD:
                return signing.sign(self._key, content + b" ")
            case _:
                return signing.sign(self._key, content)

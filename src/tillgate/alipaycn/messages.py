"""The messages of `alipay.trade.pay`, `query`, `cancel`, `refund` and `fastpay.refund.query`, and
the notice of a trade.

Rules of the wire: a request's business half is JSON in the parameter `biz_content`; what is not
needed is left out. An answer's business half is the member `..._response`: `code` says what became
of the call (10000, 10003, 20000, 4000x) and `sub_code` why. Amounts are yuan in decimal text with
at most two places; times are `yyyy-MM-dd HH:mm:ss` in Beijing. Unknown fields are ignored. Wire
names live in this file only. Sources: open platform pages alipay.trade.pay (open/02ekfp), query,
cancel (open/02ekfr), refund, fastpay.refund.query, "Common error codes" (common/02km9f).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import msgspec

from tillgate.alipayplus.messages import BadMessage, decode
from tillgate.core.errors import InvalidAmount
from tillgate.core.money import Money

CURRENCY = "CNY"
VALUE_MAX = 10_000_000_000
"""100 000 000.00 yuan. Source: alipay.trade.pay, `total_amount`."""
BEIJING = timezone(timedelta(hours=8))

PAY = "alipay.trade.pay"
QUERY = "alipay.trade.query"
CANCEL = "alipay.trade.cancel"
REFUND = "alipay.trade.refund"
REFUND_QUERY = "alipay.trade.fastpay.refund.query"

SUCCESS = "10000"
"""The call was taken. Of a payment, a cancel or a refund it says more only by its other fields."""
WAITING = "10003"
"""Of a pay only: the customer has to confirm in the wallet."""
UNKNOWN = "20000"
BUSINESS_FAILED = "40004"
LIMITED = "40005"
"""Too many calls; refused before anything was done."""
REFUSED = frozenset({"20001", "40001", "40002", "40003", "40006"})
"""The gateway refused the message: parameters, signature, access. Nothing was done."""

_AMOUNT = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,2})?\Z")
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\Z")


class Wire(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of every message: snake_case on the wire, None left out."""


# --- Requests: what travels as `biz_content`


class TradePay(Wire, frozen=True, kw_only=True):
    """`alipay.trade.pay`: take `total_amount` from whoever shows `auth_code`.

    `timeout_express` counts from when the trade is made; an unpaid trade closes itself then.
    """

    out_trade_no: str
    scene: str
    auth_code: str
    subject: str
    total_amount: str
    product_code: str | None = None
    seller_id: str | None = None
    store_id: str | None = None
    terminal_id: str | None = None
    timeout_express: str | None = None


class TradeNamed(Wire, frozen=True, kw_only=True):
    """`alipay.trade.query` and `alipay.trade.cancel`: one of the two ids; `trade_no` wins."""

    out_trade_no: str | None = None
    trade_no: str | None = None


class TradeRefund(Wire, frozen=True, kw_only=True):
    """`alipay.trade.refund`: `out_request_no` is its idempotency key."""

    refund_amount: str
    out_request_no: str | None = None
    out_trade_no: str | None = None
    trade_no: str | None = None
    refund_reason: str | None = None


class RefundNamed(Wire, frozen=True, kw_only=True):
    """`alipay.trade.fastpay.refund.query`: one refund of one trade. `query_options` ask for more
    fields in the answer.
    """

    out_request_no: str
    out_trade_no: str | None = None
    trade_no: str | None = None
    query_options: list[str] | None = None


# --- Answers: the `..._response` member


class Answer(Wire, frozen=True, kw_only=True):
    """What all answers have. `sub_code` is the reason where `code` is not 10000."""

    code: str
    msg: str | None = None
    sub_code: str | None = None
    sub_msg: str | None = None
    out_trade_no: str | None = None
    trade_no: str | None = None


class PayAnswer(Answer, frozen=True, kw_only=True):
    """The answer to a pay."""

    total_amount: str | None = None
    receipt_amount: str | None = None
    gmt_payment: str | None = None
    buyer_user_id: str | None = None


class QueryAnswer(Answer, frozen=True, kw_only=True):
    """The answer to a query."""

    trade_status: str | None = None
    total_amount: str | None = None
    send_pay_date: str | None = None
    buyer_user_id: str | None = None


class CancelAnswer(Answer, frozen=True, kw_only=True):
    """The answer to a cancel.

    `action` is `close` (nothing was paid) or `refund` (it was, and is given back); without one no
    trade was found or nothing was done. `retry_flag` is Y where the same cancel is to go out again.
    """

    retry_flag: str | None = None
    action: str | None = None


class RefundAnswer(Answer, frozen=True, kw_only=True):
    """The answer to a refund. `fund_change` is Y where this very call moved money; anything else
    leaves it open. `refund_fee` is all that was refunded of the trade so far.
    """

    fund_change: str | None = None
    refund_fee: str | None = None
    gmt_refund_pay: str | None = None


class RefundQueryAnswer(Answer, frozen=True, kw_only=True):
    """The answer to a refund's query. `refund_status` is REFUND_SUCCESS for a refund that is done,
    and missing for one that is not, or was never received; `refund_amount` is that refund's.
    """

    out_request_no: str | None = None
    total_amount: str | None = None
    refund_amount: str | None = None
    refund_status: str | None = None
    gmt_refund_pay: str | None = None


PAY_ANSWERS = msgspec.json.Decoder(PayAnswer)
QUERY_ANSWERS = msgspec.json.Decoder(QueryAnswer)
CANCEL_ANSWERS = msgspec.json.Decoder(CancelAnswer)
REFUND_ANSWERS = msgspec.json.Decoder(RefundAnswer)
REFUND_QUERY_ANSWERS = msgspec.json.Decoder(RefundQueryAnswer)
ANSWERS = msgspec.json.Decoder(Answer)
TRADE_PAYS = msgspec.json.Decoder(TradePay)
TRADES_NAMED = msgspec.json.Decoder(TradeNamed)
TRADE_REFUNDS = msgspec.json.Decoder(TradeRefund)
REFUNDS_NAMED = msgspec.json.Decoder(RefundNamed)

_encoder = msgspec.json.Encoder()
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_texts = msgspec.json.Decoder(str)

T = TypeVar("T")


def encode(message: Wire) -> bytes:
    """The JSON bytes of a message. Build a request once and resend these very bytes."""
    return _encoder.encode(message)


def read(decoder: msgspec.json.Decoder[T], content: bytes) -> T:
    """Read a message.

    Raises:
        BadMessage: broken JSON, a missing field or a wrong type.
    """
    return decode(decoder, content)


def member_of(method: str) -> str:
    """`alipay_trade_pay_response` of `alipay.trade.pay`."""
    return f"{method.replace('.', '_')}_response"


def split(raw: bytes, method: str) -> tuple[bytes, str | None]:
    """The member that is signed, byte for byte as it travelled, and the signature, if any.

    The gateway's own refusals may stand in `error_response`, and have no signature.

    Raises:
        BadMessage: there is no such member.
    """
    members = decode(_members, raw)
    content = members.get(member_of(method), members.get("error_response"))
    if content is None:
        raise BadMessage(f"there is no {member_of(method)}")
    signature = members.get("sign")
    return bytes(content), decode(_texts, bytes(signature)) if signature is not None else None


def enveloped(method: str, content: bytes, signature: str | None) -> bytes:
    """The whole answer around a member and its signature; without one, a refusal of the gateway."""
    tail = b"" if signature is None else b',"sign":' + _encoder.encode(signature)
    return b'{"' + member_of(method).encode() + b'":' + content + tail + b"}"


# --- Values


def amount_text(money: Money) -> str:
    """`88.88` for 8888 fen, exactly.

    Raises:
        InvalidAmount: it is no yuan, or more than a trade may have.
    """
    if money.currency != CURRENCY:
        raise InvalidAmount(
            f"This code is paid through Alipay in China, which takes {CURRENCY} only, not"
            f" {money.currency}. Ask for the amount in {CURRENCY} or for another way to pay.",
            path="$.order.amount.currency",
        )
    if money.value > VALUE_MAX:
        raise InvalidAmount(
            f"Alipay in China takes at most {VALUE_MAX} fen (100000000.00 yuan) at once.",
            path="$.order.amount.value",
        )
    return "{}.{:02d}".format(*divmod(money.value, 100))


def read_amount(text: str) -> Money:
    """Yuan in decimal text as ours, exactly: `20`, `20.5` and `20.50` are 2000, 2050 and 2050 fen.

    Raises:
        BadMessage: another form, or nothing at all.
    """
    if not _AMOUNT.match(text):
        raise BadMessage("an amount is not yuan with at most two decimals")
    yuan, _, fen = text.partition(".")
    try:
        return Money(CURRENCY, int(yuan) * 100 + int(fen.ljust(2, "0")))
    except InvalidAmount:
        raise BadMessage("an amount is out of range") from None


def format_time(at: datetime) -> str:
    """`2026-01-31 23:59:59` in Beijing, for an aware time."""
    return at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M:%S")


def parse_time(text: str) -> datetime:
    """Read such a time as aware UTC.

    Raises:
        BadMessage: another form.
    """
    try:
        if not _TIME.match(text):
            raise ValueError
        return datetime.fromisoformat(text).replace(tzinfo=BEIJING).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadMessage("a time is not yyyy-MM-dd HH:mm:ss") from None

"""Every field of every request that a network takes: its form, its longest length, and where that
is written. Reading a body by these is the check; docs/sandbox-fields.md is made from them.

Sources, as in `FROM`: a length that Alipay+ does not publish is Antom's for the same field. Where
two pages differ the longer one counts: what Alipay+ would take is not refused here. Fields that
nobody knows are skipped, as by any API that grows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, inspect

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import BadMessage, Wire

T = TypeVar("T")

FROM = {
    "alipay+": "Alipay+, the page of the API",
    "guide": "Alipay+, the guide's sample",
    "antom": "Antom's page of the same field; Alipay+'s is not published",
    "sdk": "the official SDK's class, which names no length: ours is generous",
}


_ALIPAY = {"source": "alipay+"}
_ANTOM = {"source": "antom"}
_GUIDE = {"source": "guide"}
_SDK = {"source": "sdk"}

_TIME = (
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    "(Z|[+-][0-9]{2}(:?[0-9]{2})?)$"
)
_NUMBER = "^0{0,17}[1-9][0-9]{0,17}$"
_TERMINALS = "^(WEB|WAP|APP|MINI_APP)$"
_SYSTEMS = "^(IOS|ANDROID)$"
_PRESENTMENTS = "^(BUNDLE|TILE|TILED|UNIFIED)$"
_TRUTH = "^(true|false)$"
_URL = "(?i)^https?://"
_FORMS = {
    _TIME: "a time of ISO 8601 with an offset",
    "^[A-Z]{3}$": "a currency of three capital letters (ISO 4217)",
    "^[A-Z]{2}$": "a region of two capital letters (ISO 3166)",
    _NUMBER: "a whole number from 1, as text",
    _TERMINALS: "WEB, WAP, APP or MINI_APP",
    _SYSTEMS: "IOS or ANDROID",
    _PRESENTMENTS: "BUNDLE, TILE, TILED or UNIFIED",
    _TRUTH: '"true" or "false"',
    _URL: "an http or https address",
}
"""What each pattern means to a reader."""

# Text by who gives the longest length.
_Alipay4 = Annotated[str, Meta(min_length=1, max_length=4, extra=_ALIPAY)]
_Alipay32 = Annotated[str, Meta(min_length=1, max_length=32, extra=_ALIPAY)]
_Alipay64 = Annotated[str, Meta(min_length=1, max_length=64, extra=_ALIPAY)]
_Alipay256 = Annotated[str, Meta(min_length=1, max_length=256, extra=_ALIPAY)]
_Antom8 = Annotated[str, Meta(min_length=1, max_length=8, extra=_ANTOM)]
_Antom16 = Annotated[str, Meta(min_length=1, max_length=16, extra=_ANTOM)]
_Antom24 = Annotated[str, Meta(min_length=1, max_length=24, extra=_ANTOM)]
_Antom32 = Annotated[str, Meta(min_length=1, max_length=32, extra=_ANTOM)]
_Antom64 = Annotated[str, Meta(min_length=1, max_length=64, extra=_ANTOM)]
_Antom128 = Annotated[str, Meta(min_length=1, max_length=128, extra=_ANTOM)]
_Antom256 = Annotated[str, Meta(min_length=1, max_length=256, extra=_ANTOM)]
_Guide16 = Annotated[str, Meta(min_length=1, max_length=16, extra=_GUIDE)]
_Guide64 = Annotated[str, Meta(min_length=1, max_length=64, extra=_GUIDE)]
_Sdk64 = Annotated[str, Meta(min_length=1, max_length=64, extra=_SDK)]
_Sdk128 = Annotated[str, Meta(min_length=1, max_length=128, extra=_SDK)]
_Sdk256 = Annotated[str, Meta(min_length=1, max_length=256, extra=_SDK)]
_Sdk1024 = Annotated[str, Meta(min_length=1, max_length=1024, extra=_SDK)]
_Sdk2048 = Annotated[str, Meta(min_length=1, max_length=2048, extra=_SDK)]

_Time = Annotated[str, Meta(pattern=_TIME, extra=_ALIPAY)]
_Currency = Annotated[str, Meta(pattern="^[A-Z]{3}$", extra=_ALIPAY)]
_Region = Annotated[str, Meta(pattern="^[A-Z]{2}$", extra=_ANTOM)]
_Url = Annotated[str, Meta(pattern=_URL, max_length=2048, extra=_ANTOM)]
_Number = (
    Annotated[str, Meta(pattern=_NUMBER, max_length=18, extra=_ALIPAY)]
    | Annotated[int, Meta(ge=1, lt=10**18)]
)
_Terminal = Annotated[str, Meta(pattern=_TERMINALS, extra=_SDK)]
_System = Annotated[str, Meta(pattern=_SYSTEMS, extra=_SDK)]
_Presentment = Annotated[str, Meta(pattern=_PRESENTMENTS, extra=_SDK)]
_Truth = Annotated[str, Meta(pattern=_TRUTH, extra=_ALIPAY)] | bool
"""Integers and booleans are text; bare ones are taken, since official clients send some."""


class _Amount(messages.Amount, frozen=True, kw_only=True):
    currency: _Currency
    value: _Number


class _Address(messages.Address, frozen=True, kw_only=True):
    region: _Region
    state: _Antom8 | None = None
    city: _Antom32 | None = None
    address1: _Antom256 | None = None
    address2: _Antom256 | None = None
    zip_code: _Antom32 | None = None


class _Name(Wire, frozen=True, kw_only=True):
    first_name: _Antom32 | None = None
    middle_name: _Antom32 | None = None
    last_name: _Antom32 | None = None
    full_name: _Antom128 | None = None


class _Store(messages.Store, frozen=True, kw_only=True):
    reference_store_id: _Alipay32
    store_name: _Sdk256
    store_mcc: _Alipay4 | None = None
    store_mcc_in_tables: _Alipay4 | None = msgspec.field(name="storeMCC", default=None)
    store_display_name: _Sdk256 | None = None
    store_terminal_id: _Sdk64 | None = None
    store_operator_id: _Sdk64 | None = None
    store_phone_no: _Sdk64 | None = None
    store_address: _Address | None = None


class _Merchant(messages.Merchant, frozen=True, kw_only=True):
    reference_merchant_id: _Alipay64
    merchant_mcc: _Alipay4 | None = msgspec.field(name="merchantMCC", default=None)
    merchant_name: _Antom256
    merchant_display_name: _Antom64 | None = None
    merchant_address: _Address | None = None
    merchant_register_date: _Time | None = None
    store: _Store | None = None


class _Goods(Wire, frozen=True, kw_only=True):
    reference_goods_id: _Antom64
    goods_name: _Antom256
    goods_category: _Antom64 | None = None
    goods_brand: _Sdk256 | None = None
    goods_unit_amount: _Amount | None = None
    goods_quantity: _Number | None = None


class _Shipping(Wire, frozen=True, kw_only=True):
    shipping_name: _Name | None = None
    shipping_address: _Address | None = None
    shipping_carrier: _Antom128 | None = None
    shipping_phone_no: _Antom16 | None = None


class _Buyer(Wire, frozen=True, kw_only=True):
    reference_buyer_id: _Antom64 | None = None
    buyer_name: _Name | None = None
    buyer_phone_no: _Antom24 | None = None
    buyer_email: _Antom64 | None = None


class _Env(messages.Env, frozen=True, kw_only=True):
    terminal_type: _Terminal | None = None
    os_type: _System | None = None
    user_agent: _Sdk1024 | None = None
    device_token_id: _Antom64 | None = None
    client_ip: _Sdk64 | None = None
    cookie_id: _Sdk64 | None = None
    store_terminal_id: _Guide64 | None = None
    store_terminal_request_time: _Time | None = None


class _IndirectAcquirer(Wire, frozen=True, kw_only=True):
    reference_acquirer_id: _Sdk64 | None = None
    acquirer_name: _Sdk256 | None = None
    acquirer_address: _Address | None = None


class _Order(messages.PayOrder, frozen=True, kw_only=True):
    reference_order_id: _Alipay64
    order_description: _Alipay256
    order_amount: _Amount
    merchant: _Merchant | None = None
    goods: Annotated[list[_Goods], Meta(max_length=100, extra=_ANTOM)] | None = None
    shipping: _Shipping | None = None
    buyer: _Buyer | None = None
    env: _Env | None = None
    indirect_acquirer: _IndirectAcquirer | None = None


class _MethodData(Wire, frozen=True, kw_only=True):
    auth_client_id: _Sdk128 | None = None


class _PaymentMethod(messages.PaymentMethod, frozen=True, kw_only=True):
    payment_method_type: _Antom64
    payment_method_id: _Antom128
    customer_id: _Alipay64 | None = None
    payment_method_meta_data: _MethodData | None = None


class _PaymentFactor(messages.PaymentFactor, frozen=True, kw_only=True):
    is_in_store_payment: _Truth | None = None
    is_cashier_payment: _Truth | None = None
    is_agreement_payment: _Truth | None = None
    is_payment_evaluation: _Truth | None = None
    presentment_mode: _Presentment | None = None
    in_store_payment_scenario: _Guide16 | None = None


class _SettlementStrategy(messages.SettlementStrategy, frozen=True, kw_only=True):
    settlement_currency: _Currency


class Pay(messages.PayRequest, frozen=True, kw_only=True):
    """`pay`, user-presented mode."""

    payment_request_id: _Alipay64
    order: _Order
    payment_amount: _Amount
    payment_method: _PaymentMethod
    payment_factor: _PaymentFactor | None = None
    payment_expiry_time: _Time | None = None
    payment_notify_url: _Url | None = None
    settlement_strategy: _SettlementStrategy | None = None
    split_settlement_id: _Sdk64 | None = None
    payment_redirect_url: _Sdk2048 | None = None
    user_region: _Region | None = None


class Inquiry(messages.InquiryRequest, frozen=True, kw_only=True):
    """`inquiryPayment`: one of the two."""

    payment_request_id: _Alipay64 | None = None
    payment_id: _Alipay64 | None = None


class Cancel(messages.CancelRequest, frozen=True, kw_only=True):
    """`cancelPayment`: one of the two."""

    payment_request_id: _Alipay64 | None = None
    payment_id: _Alipay64 | None = None


class Refund(messages.RefundRequest, frozen=True, kw_only=True):
    """`refund`: one of the payment's two ids."""

    refund_request_id: _Alipay64
    payment_request_id: _Alipay64 | None = None
    payment_id: _Alipay64 | None = None
    refund_amount: _Amount
    refund_reason: _Antom256 | None = None


class Consult(messages.CodeConsultRequest, frozen=True, kw_only=True):
    """AlipayHK's `codeConsult`."""

    code_value: _Antom128


# Reading
# ----------------------------------------------------------------------------------------------


class Form:
    """One API's requests."""

    def __init__(self, api: str, kind: type[Wire]) -> None:
        self.api = api
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)
        self._rows: dict[str, Row] | None = None

    def read(self, body: bytes) -> Any:
        """The request.

        Raises:
            BadMessage: `order.orderAmount: is missing`: names the field, never its value.
        """
        try:
            return self._decoder.decode(body)
        except msgspec.ValidationError as error:
            raise BadMessage(self._sentence(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadMessage("the body is not JSON in UTF-8") from None

    def rows(self) -> dict[str, Row]:
        """Its fields by path, in order."""
        if self._rows is None:
            self._rows = {row.path: row for row in _rows(self.kind, "")}
        return self._rows

    def _sentence(self, words: str) -> str:
        what, _, at = words.partition(" - at `")
        path = at.rstrip("`").removeprefix("$").removeprefix(".")
        if missing := re.match(r"Object missing required field `(\w+)`", what):
            return f"{path}{'.' if path else ''}{missing[1]}: is missing"
        row = self.rows().get(re.sub(r"\[[0-9]+\]", "[]", path))
        return f"{path}: must be {row.form}" if row else "the body: must be a JSON object"


@dataclass(frozen=True, slots=True)
class Row:
    """One field.

    Attributes:
        path: as in a resultMessage: `order.goods[].goodsName`.
        form: what it must be, in words.
        source: a key of `FROM`; empty for objects.
    """

    path: str
    form: str
    is_required: bool
    source: str


def _rows(kind: type[msgspec.Struct], above: str) -> Iterator[Row]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        path = f"{above}{field.encode_name}"
        yield from _field_rows(path, field.type, is_required=field.required)


def _field_rows(path: str, kind: inspect.Type, *, is_required: bool) -> Iterator[Row]:
    source = ""
    if isinstance(kind, inspect.UnionType):
        # Of `text | int | None` the text says what both must look like.
        kind = next(each for each in kind.types if not isinstance(each, inspect.NoneType))
    if isinstance(kind, inspect.Metadata):
        source, kind = (kind.extra or {}).get("source", ""), kind.type
    if isinstance(kind, inspect.StructType):
        yield Row(path, "an object", is_required, source)
        yield from _rows(kind.cls, f"{path}.")
    elif isinstance(kind, inspect.ListType):
        yield Row(path, f"a list of at most {kind.max_length}", is_required, source)
        yield from _field_rows(f"{path}[]", kind.item_type, is_required=True)
    else:
        assert isinstance(kind, inspect.StrType), (path, kind)
        yield Row(path, _form(kind), is_required, source)


def _form(kind: inspect.StrType) -> str:
    words = _FORMS[kind.pattern] if kind.pattern else "text"
    if kind.max_length is None:
        return words
    at_least = "1 to " if kind.min_length else "at most "
    return f"{words} of {at_least}{kind.max_length} characters"


PAY = Form("pay", Pay)
INQUIRY = Form("inquiryPayment", Inquiry)
CANCEL = Form("cancelPayment", Cancel)
REFUND = Form("refund", Refund)
CONSULT = Form("codeConsult", Consult)
FORMS = (PAY, INQUIRY, CANCEL, REFUND, CONSULT)

"""The dialects that a world may speak with its network: each with its real connector, and with what
a fault makes of its answers.

The connector's coroutine yields each question it has (`Crossing`); a world carries it there and
back and sends in what came of it. So requests are really built and answers really become facts by
the code that does it in production; only signatures and sockets are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, cast

import msgspec

from tillgate.alipaycn import client as cn_client
from tillgate.alipaycn import messages as trades
from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import Answered, BadlySigned, Unreadable
from tillgate.alipayplus.messages import (
    Amount,
    CancelResponse,
    InquiryResponse,
    Notification,
    PayResponse,
    RefundResponse,
    Result,
)
from tillgate.connectors import Connector
from tillgate.connectors.alipay_cn import AlipayCn
from tillgate.connectors.alipay_cn_notice import told_of
from tillgate.connectors.alipay_plus import AlipayPlus, notification_report
from tillgate.connectors.aps_direct import ApsDirect
from tillgate.core.codes import CodeKind
from tillgate.core.model import Call, Report
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_CN, ALIPAY_PLUS, ALIPAY_PLUS_GROWING, Policy
from tillgate.core.results import ORDER_NOT_EXIST, REPEAT_REQ_INCONSISTENT, Outcome
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform import LooseTradePay, LooseTradeRefund
from tillgate.sandbox.open_platform import OpenPlatform as Platform
from tillgate.sandbox.payment import RESULTS, Payment, State
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import REFUSALS, UNKNOWNS, UNSIGNED, Fault, S
from tillgate.simulation.network import CLIENT_ID

NOTIFY_URL = "https://acquirer.example/notify"
FOREIGN_ID = "2026010111401080010000000000000FOREIGN"
SPOILT = (Fault.WRONG_AMOUNT, Fault.NO_AMOUNT, Fault.FOREIGN_ID)
"""Faults that change what a success says."""


class Crossing:
    """A question that waits for its answer: which API or method, and its body."""

    __slots__ = ("api", "body")

    def __init__(self, api: Any, body: bytes) -> None:
        self.api = api
        self.body = body

    def __await__(self) -> Generator[Crossing, Any, Any]:
        return (yield self)


@dataclass(frozen=True, slots=True)
class Leg:
    """One request, decoded. `timeout` is in microseconds."""

    call: Call
    timeout: int
    request: Any
    request_id: str
    must_be_fresh: bool = False


class Dialect(Protocol):
    """What a world needs of a way to speak.

    Attributes:
        name: of its connector.
        amount: what every order asks for.
        code_kind: which codes its customers show, so that they go this way.
        unknown_code: one that nobody issued.
        has_signed_key_refusals: whether a network may sign that a key is wrong.
    """

    name: str
    connector: Connector
    policies: Table[Policy]
    amount: Money
    code_kind: CodeKind
    unknown_code: str
    has_signed_key_refusals: bool
    refusals: Table[str]
    unknowns: Table[str]
    unsigned: Table[str]

    def leg(self, crossing: Crossing) -> Leg:
        """The question, read as the network reads it."""
        ...

    def take(self, network: Network, leg: Leg, now: datetime) -> Any:
        """Serve it; gives the answer's message."""
        ...

    def answer(self, leg: Leg, outcome: Outcome, code: str) -> Any:
        """A message that says so, whatever became of the request."""
        ...

    def not_found(self, leg: Leg) -> Any:
        """The answer to an inquiry or a cancel of an order that the network does not know yet."""
        ...

    def inconsistent(self, leg: Leg) -> Any:
        """The answer to a pay under whose id something else stands."""
        ...

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """A success that says something else; None: it is no success."""
        ...

    def answered(self, message: Any, *, is_fresh: bool) -> Any:
        """As the client gives it to the connector."""
        ...

    def told(self, network: Network, payment: Payment, now: datetime) -> Any | None:
        """The notification of an end; None when there is none."""
        ...

    def told_amiss(self, told: Any, fate: Fault) -> Any | None:
        """The same with another amount or none; None: it cannot be."""
        ...

    def report(self, told: Any) -> Report | None:
        """What the connector makes of a notification; None: nothing final."""
        ...


# --- Alipay+'s


class _ApsClient(client.AlipayPlusClient):
    """In place of HTTP: hands the question to whoever steps the coroutine."""

    def __init__(self) -> None:
        pass

    async def call(self, api: client.Api[client.T], body: bytes) -> client.CallResult[client.T]:
        """Ask, whoever answers."""
        return cast("client.CallResult[client.T]", await Crossing(api, body))


@dataclass(frozen=True, slots=True)
class _ApsCall:
    call: Call
    requests: msgspec.json.Decoder[Any]
    answer: Callable[..., Any]


_APS = {
    "pay": _ApsCall(Call.PAY, messages.PAY_REQUESTS, PayResponse),
    "inquiryPayment": _ApsCall(Call.INQUIRY, messages.INQUIRY_REQUESTS, InquiryResponse),
    "cancelPayment": _ApsCall(Call.CANCEL, messages.CANCEL_REQUESTS, CancelResponse),
    "refund": _ApsCall(Call.REFUND, messages.REFUND_REQUESTS, RefundResponse),
}
_NAMES = {each.call: name for name, each in _APS.items()}


class Aps:
    """Alipay+, or a wallet that speaks as it does."""

    code_kind = CodeKind.CGCP
    unknown_code = "281006029999999999999999"
    has_signed_key_refusals = True
    refusals, unknowns, unsigned = REFUSALS, UNKNOWNS, UNSIGNED

    def __init__(self, connector: AlipayPlus, policies: Table[Policy]) -> None:
        self.name = connector.name
        self.connector: Connector = connector
        self.policies = policies
        self.amount = Money("JPY", 100)

    def leg(self, crossing: Crossing) -> Leg:
        """See `Dialect`."""
        api = crossing.api
        kind = _APS[api.path.rpartition("/")[2]]
        request = messages.decode(kind.requests, crossing.body)
        timeout = int(api.timeout_s * S)
        return Leg(kind.call, timeout, request, request.payment_request_id, api.must_be_fresh)

    def take(self, network: Network, leg: Leg, now: datetime) -> Any:
        """See `Dialect`."""
        match leg.call:
            case Call.PAY:
                return network.pay(CLIENT_ID, leg.request, now)
            case Call.INQUIRY:
                return network.inquire(CLIENT_ID, leg.request, now)
            case Call.CANCEL:
                return network.cancel(CLIENT_ID, leg.request, now)
            case Call.REFUND:
                return network.refund(CLIENT_ID, leg.request, now)

    def answer(self, leg: Leg, outcome: Outcome, code: str) -> Any:
        """See `Dialect`."""
        result = RESULTS.get(code)
        if result is None or result.result_status is not outcome:
            result = Result(result_code=code, result_status=outcome)
        return _APS[_NAMES[leg.call]].answer(result=result)

    def not_found(self, leg: Leg) -> Any:
        """See `Dialect`."""
        return self.answer(leg, Outcome.FAILURE, ORDER_NOT_EXIST)

    def inconsistent(self, leg: Leg) -> Any:
        """See `Dialect`."""
        return self.answer(leg, Outcome.FAILURE, REPEAT_REQ_INCONSISTENT)

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """See `Dialect`."""
        told = getattr(message, "payment_result", None) or message.result
        is_paid = told.result_status is Outcome.SUCCESS
        if not is_paid or getattr(message, "payment_amount", None) is None:
            return None
        match fate:
            case Fault.WRONG_AMOUNT:
                return with_other_amount(message)
            case Fault.NO_AMOUNT:
                return msgspec.structs.replace(message, payment_amount=None)
            case _:
                return msgspec.structs.replace(message, payment_id=FOREIGN_ID)

    def answered(self, message: Any, *, is_fresh: bool) -> Any:
        """See `Dialect`."""
        return Answered(message, is_fresh)

    def told(self, network: Network, payment: Payment, now: datetime) -> Any | None:
        """See `Dialect`."""
        return network.notification(payment)

    def told_amiss(self, told: Notification, fate: Fault) -> Any | None:
        """See `Dialect`."""
        if fate is Fault.NOTIFY_NO_AMOUNT:
            return msgspec.structs.replace(told, payment_amount=None)
        return with_other_amount(told) if told.payment_amount is not None else None

    def report(self, told: Notification) -> Report | None:
        """See `Dialect`."""
        return notification_report(told)


def with_other_amount(message: Any) -> Any:
    """The same message, but another amount."""
    amount = message.payment_amount
    other = Amount(currency=amount.currency, value=str(int(amount.value) + 1))
    return msgspec.structs.replace(message, payment_amount=other)


# --- AlipayCN's


class _CnClient(cn_client.AlipayCnClient):
    """In place of HTTP."""

    def __init__(self) -> None:
        pass

    async def call(
        self, method: cn_client.Method[cn_client.T], biz_content: bytes
    ) -> cn_client.CallResult[cn_client.T]:
        """Ask, whoever answers."""
        return cast("cn_client.CallResult[cn_client.T]", await Crossing(method, biz_content))


_CN: dict[str, tuple[Call, msgspec.json.Decoder[Any]]] = {
    trades.PAY: (Call.PAY, msgspec.json.Decoder(LooseTradePay)),
    trades.QUERY: (Call.INQUIRY, trades.TRADES_NAMED),
    trades.CANCEL: (Call.CANCEL, trades.TRADES_NAMED),
    trades.REFUND: (Call.REFUND, msgspec.json.Decoder(LooseTradeRefund)),
}
_CN_ANSWERS: dict[Call, Callable[..., Any]] = {
    Call.PAY: trades.PayAnswer,
    Call.INQUIRY: trades.QueryAnswer,
    Call.CANCEL: trades.CancelAnswer,
    Call.REFUND: trades.RefundAnswer,
}
_CN_REFUSALS: Table[str] = Table(
    "cn.refusal",
    ("ACQ.INVALID_PARAMETER", 3),
    ("ACQ.ACCESS_FORBIDDEN", 1),
    ("40006 isv.insufficient-isv-permissions", 1),
    ("ACQ.A_NEW_CODE", 1),
)
_CN_UNKNOWNS: Table[str] = Table(
    "cn.unknown", ("20000 aop.unknow-error", 2), ("40004 ACQ.SYSTEM_ERROR", 2), ("10003", 1)
)
_CN_UNSIGNED: Table[str] = Table(
    "cn.unsigned",
    ("40002 isv.invalid-signature", 2),
    ("40002 isv.invalid-app-id", 1),
    ("40006 isv.insufficient-isv-permissions", 1),
)


class OpenPlatform:
    """AlipayCN's open platform."""

    code_kind = CodeKind.ALIPAY_CN_HK
    unknown_code = "289999999999999999"
    has_signed_key_refusals = False
    refusals, unknowns, unsigned = _CN_REFUSALS, _CN_UNKNOWNS, _CN_UNSIGNED

    def __init__(self, connector: AlipayCn) -> None:
        self.name = connector.name
        self.connector: Connector = connector
        self.policies: Table[Policy] = Table("policy.cn", (ALIPAY_CN, 1))
        self.amount = Money("CNY", 100)

    def leg(self, crossing: Crossing) -> Leg:
        """See `Dialect`."""
        call, decoder = _CN[crossing.api.name]
        request = trades.read(decoder, crossing.body)
        return Leg(call, int(crossing.api.timeout_s * S), request, request.out_trade_no)

    def take(self, network: Network, leg: Leg, now: datetime) -> Any:
        """See `Dialect`."""
        platform = Platform(network)
        match leg.call:
            case Call.PAY:
                return platform.pay(CLIENT_ID, leg.request, NOTIFY_URL, now)
            case Call.INQUIRY:
                return platform.query(CLIENT_ID, leg.request, now)
            case Call.CANCEL:
                return platform.cancel(CLIENT_ID, leg.request, now)
            case Call.REFUND:
                return platform.refund(CLIENT_ID, leg.request, now)

    def answer(self, leg: Leg, outcome: Outcome, code: str) -> Any:
        """See `Dialect`."""
        first, _, sub_code = code.rpartition(" ")
        if code == trades.WAITING:
            if leg.call is Call.PAY:
                return trades.PayAnswer(code=trades.WAITING, out_trade_no=leg.request_id)
            first, sub_code = trades.UNKNOWN, "aop.unknow-error"
        return _CN_ANSWERS[leg.call](
            code=first or trades.BUSINESS_FAILED, sub_code=sub_code, out_trade_no=leg.request_id
        )

    def not_found(self, leg: Leg) -> Any:
        """See `Dialect`. A cancel of it says 10000 and no more."""
        if leg.call is Call.CANCEL:
            return trades.CancelAnswer(
                code=trades.SUCCESS, retry_flag="N", out_trade_no=leg.request_id
            )
        return self.answer(leg, Outcome.FAILURE, "ACQ.TRADE_NOT_EXIST")

    def inconsistent(self, leg: Leg) -> Any:
        """See `Dialect`."""
        return self.answer(leg, Outcome.FAILURE, "ACQ.CONTEXT_INCONSISTENT")

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """See `Dialect`."""
        is_paid = getattr(message, "trade_status", "TRADE_SUCCESS") == "TRADE_SUCCESS"
        if not is_paid or message.code != trades.SUCCESS:
            return None
        if getattr(message, "total_amount", None) is None:
            return None
        match fate:
            case Fault.WRONG_AMOUNT:
                return msgspec.structs.replace(message, total_amount=_more(message.total_amount))
            case Fault.NO_AMOUNT:
                return msgspec.structs.replace(message, total_amount=None)
            case _:
                return msgspec.structs.replace(message, trade_no=FOREIGN_ID)

    def answered(self, message: Any, *, is_fresh: bool) -> Any:
        """See `Dialect`. An answer has no time; it names its trade."""
        return cn_client.Answered(message)

    def told(self, network: Network, payment: Payment, now: datetime) -> Any | None:
        """See `Dialect`. Only a paid trade is told, as with payment codes by default."""
        if payment.state is not State.SUCCEEDED:
            return None
        return {
            "notify_type": "trade_status_sync",
            "app_id": payment.client_id,
            "out_trade_no": payment.payment_request_id,
            "trade_no": payment.payment_id,
            "trade_status": "TRADE_SUCCESS",
            "total_amount": trades.amount_text(payment.amount),
        }

    def told_amiss(self, told: dict[str, str], fate: Fault) -> Any | None:
        """See `Dialect`. A notice without an amount is none."""
        if fate is Fault.NOTIFY_NO_AMOUNT or told["trade_status"] != "TRADE_SUCCESS":
            return None
        return told | {"total_amount": _more(told["total_amount"])}

    def report(self, told: dict[str, str]) -> Report | None:
        """See `Dialect`."""
        heard = told_of(told, CLIENT_ID, None)
        return heard.report if heard is not None else None


def _more(amount: str) -> str:
    money = trades.read_amount(amount)
    return trades.amount_text(Money(money.currency, money.value + 1))


# --- All of them

DIRECT_FOLDER = "/aps/kakaopay/payments"
DIRECT_APIS = client.Apis(
    pay=client.Api(f"{DIRECT_FOLDER}/pay", messages.PAY_RESPONSES, 5.0, must_be_fresh=True),
    inquiry=client.Api(f"{DIRECT_FOLDER}/inquiryPayment", messages.INQUIRY_RESPONSES, 3.0),
    cancel=client.Api(f"{DIRECT_FOLDER}/cancelPayment", messages.CANCEL_RESPONSES, 6.0, True),
    refund=client.Api(f"{DIRECT_FOLDER}/refund", messages.REFUND_RESPONSES, 6.0, True),
)
APS_DIRECT_POLICY = Policy(
    pay_timeout=timedelta(seconds=5),
    inquiry_timeout=timedelta(seconds=3),
    cancel_timeout=timedelta(seconds=6),
    refund_timeout=timedelta(seconds=6),
    unknown_cancel_limit=timedelta(seconds=70),
)
"""A wallet with time-outs of its own."""

ALIPAY_PLUS_DIALECT = Aps(
    AlipayPlus(_ApsClient(), NOTIFY_URL),
    Table("policy", (ALIPAY_PLUS_GROWING, 0.75), (ALIPAY_PLUS, 0.25)),
)
APS_DIRECT_DIALECT = Aps(
    ApsDirect(_ApsClient(), NOTIFY_URL, APS_DIRECT_POLICY, name="kakaopay", apis=DIRECT_APIS),
    Table("policy.direct", (APS_DIRECT_POLICY, 1)),
)
ALIPAY_CN_DIALECT = OpenPlatform(AlipayCn(_CnClient()))
ALIPAY_CN_QUICK_DIALECT = OpenPlatform(AlipayCn(_CnClient(), asks_after_pay=False))

DIALECTS: Table[Dialect] = Table(
    "dialect",
    (ALIPAY_PLUS_DIALECT, 0.5),
    (APS_DIRECT_DIALECT, 0.2),
    (ALIPAY_CN_DIALECT, 0.2),
    (ALIPAY_CN_QUICK_DIALECT, 0.1),
)


def badly_signed(claimed: str | None = None) -> BadlySigned:
    """What came back was signed by nobody."""
    return BadlySigned("no signature", claimed)


def unreadable(reason: str) -> Unreadable:
    """Signed, and of no use."""
    return Unreadable(reason)

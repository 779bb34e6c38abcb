"""The dialect of AlipayCN's open platform."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import msgspec

from tillgate.alipaycn import client as cn_client
from tillgate.alipaycn import messages as trades
from tillgate.connectors import Connector
from tillgate.connectors.alipay_cn import AlipayCn
from tillgate.connectors.alipay_cn_notice import told_of
from tillgate.core.codes import CodeKind
from tillgate.core.model import Call, Report
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_CN, Policy
from tillgate.core.results import Outcome
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform import LooseTradePay, LooseTradeRefund
from tillgate.sandbox.open_platform import OpenPlatform as Platform
from tillgate.sandbox.payment import Payment, State
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import Fault, S
from tillgate.simulation.network import CLIENT_ID
from tillgate.simulation.speech import FOREIGN_ID, NOTIFY_URL, Crossing, Leg


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
    trades.REFUND_QUERY: (Call.INQUIRY, trades.REFUNDS_NAMED),
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
            case Call.INQUIRY if isinstance(leg.request, trades.RefundNamed):
                return platform.refund_query(CLIENT_ID, leg.request, now)
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
        kind = _CN_ANSWERS[leg.call]
        if isinstance(leg.request, trades.RefundNamed):
            kind = trades.RefundQueryAnswer
        return kind(
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

    def unlisted(self, message: Any) -> Any:
        """See `Dialect`. No status is "not done, or not received"."""
        return msgspec.structs.replace(message, refund_status=None, refund_amount=None)

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """See `Dialect`."""
        if isinstance(message, trades.RefundQueryAnswer):
            return None
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


ALIPAY_CN_DIALECT = OpenPlatform(AlipayCn(_CnClient()))
ALIPAY_CN_QUICK_DIALECT = OpenPlatform(AlipayCn(_CnClient(), asks_after_pay=False))

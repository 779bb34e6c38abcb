"""Alipay+'s dialect: Alipay+ itself, and a wallet that speaks as it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import msgspec

from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import Answered
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
from tillgate.connectors.alipay_plus import AlipayPlus, notification_report
from tillgate.connectors.aps_direct import ApsDirect
from tillgate.core.codes import CodeKind
from tillgate.core.model import Call, Report
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS, ALIPAY_PLUS_GROWING, Policy
from tillgate.core.results import ORDER_NOT_EXIST, REPEAT_REQ_INCONSISTENT, Outcome
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import RESULTS, Payment
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import REFUSALS, UNKNOWNS, UNSIGNED, Fault, S
from tillgate.simulation.network import CLIENT_ID
from tillgate.simulation.speech import FOREIGN_ID, NOTIFY_URL, Crossing, Leg


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

    def unlisted(self, message: Any) -> Any:
        """See `Dialect`."""
        return msgspec.structs.replace(message, transactions=None)

    def spoilt(self, message: Any, fate: Fault) -> Any | None:
        """See `Dialect`."""
        if isinstance(message, RefundResponse):
            return _spoilt_refund(message, fate)
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


def _spoilt_refund(message: RefundResponse, fate: Fault) -> RefundResponse | None:
    amount = message.refund_amount
    if amount is None or fate is Fault.FOREIGN_ID:
        return None
    other = None
    if fate is Fault.WRONG_AMOUNT:
        other = Amount(currency=amount.currency, value=str(int(amount.value) + 1))
    return msgspec.structs.replace(message, refund_amount=other)


def with_other_amount(message: Any) -> Any:
    """The same message, but another amount."""
    amount = message.payment_amount
    other = Amount(currency=amount.currency, value=str(int(amount.value) + 1))
    return msgspec.structs.replace(message, payment_amount=other)


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

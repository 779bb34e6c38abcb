"""The open platform's dialect in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

import msgspec

from tillgate.alipaycn import client as cn_client
from tillgate.alipaycn import messages as trades
from tillgate.alipaycn import signing
from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.connectors import Connector, NotifyAnswer, NotifyCall
from tillgate.connectors.alipay_cn import AlipayCn
from tillgate.core.model import Call
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.results import Outcome
from tillgate.core.routing_table import Integrations
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform import OpenPlatform
from tillgate.sandbox.open_platform_api import OpenPlatformApi
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.gateway_depth.tongue import App
from tillgate.simulation.network import CLIENT_ID
from tillgate.simulation.open_platform_dialect import OpenPlatform as OpenPlatformDialect
from tillgate.simulation.speech import Crossing, Leg
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import Reply, Transport


class OpenPlatformTongue:
    """AlipayCN's."""

    has_times = False
    asks_twice = True

    def __init__(self, dialect: OpenPlatformDialect, *, asks_after_pay: bool) -> None:
        self.dialect = dialect
        self._asks_after_pay = asks_after_pay
        self.integrations = Integrations(alipay_plus=False, direct={"alipay_cn": dialect.name})

    def connector(
        self, transport: Transport, keys: Keys, clock: Clock, policy: Policy, client: Any
    ) -> Connector:
        """See `Tongue`. The client on trial is Alipay+'s; this one is as built."""
        credentials = cn_client.Credentials(
            app_id=CLIENT_ID,
            signing_key=cast(SigningKey, keys.acquirer),
            network_keys=cast(KeyRing, keys.network_ring),
        )
        url = f"https://acquirer.example/notify/{self.dialect.name}"
        call = cn_client.AlipayCnClient(transport, credentials, clock, url)
        return AlipayCn(call, asks_after_pay=self._asks_after_pay)

    def app(
        self, network: Network, keys: Keys, clock: Clock, after_each: Callable[[], None]
    ) -> App:
        """See `Tongue`."""
        return OpenPlatformApi(
            OpenPlatform(network),
            Exchanges(),
            signing_key=cast(SigningKey, keys.network),
            apps={CLIENT_ID: cast(KeyRing, keys.acquirer_ring)},
            clock=clock,
            after_each=after_each,
        )

    def read(self, path: str, body: bytes, timeout_s: float) -> tuple[Leg, bytes]:
        """See `Tongue`."""
        fields = signing.read_form(body)
        method = fields[b"method"].decode()
        content = fields[b"biz_content"]
        return self.dialect.leg(Crossing(_Method(method, timeout_s), content)), content

    def with_bad_signature(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """See `Tongue`."""
        fields = {n.decode(): v.decode() for n, v in signing.read_form(body).items()}
        return urlencode(fields | {"sign": "YmFk"}).encode(), headers

    def confirms_cancel(self, leg: Leg, body: bytes) -> bool:
        """See `Tongue`."""
        return leg.call is Call.CANCEL and b'"action"' in body

    def unsigned(self, leg: Leg, code: str) -> Reply:
        """See `Tongue`."""
        message = self.dialect.answer(leg, Outcome.FAILURE, code)
        return Reply(200, {}, trades.enveloped(_method_of(leg), trades.encode(message), None))

    def signed(self, leg: Leg, path: str, message: Any, key: Any, at: datetime) -> Reply:
        """See `Tongue`."""
        content = trades.encode(message)
        body = trades.enveloped(_method_of(leg), content, signing.sign(key, content))
        return Reply(200, {}, body)

    def message_of(self, leg: Leg, reply: Reply) -> Any:
        """See `Tongue`."""
        content, _ = trades.split(reply.body, _method_of(leg))
        return trades.read(_CN_RESPONSES[_method_of(leg)], content)

    def with_id(self, message: Any, payment_id: str) -> Any:
        """See `Tongue`."""
        return msgspec.structs.replace(message, trade_no=payment_id)

    def lie(self, leg: Leg, amount: Money) -> Any:
        """See `Tongue`."""
        words = {"code": trades.SUCCESS, "out_trade_no": leg.request_id, "trade_no": "9"}
        told = trades.amount_text(amount)
        match leg.call:
            case Call.PAY:
                return trades.PayAnswer(total_amount=told, **words)
            case Call.INQUIRY if isinstance(leg.request, trades.RefundNamed):
                id_ = leg.request.out_request_no
                return trades.RefundQueryAnswer(
                    out_request_no=id_, refund_status="REFUND_SUCCESS", **words
                )
            case Call.INQUIRY:
                return trades.QueryAnswer(trade_status="TRADE_SUCCESS", total_amount=told, **words)
            case Call.CANCEL:
                return trades.CancelAnswer(action="refund", retry_flag="N", **words)
            case Call.REFUND:
                return trades.RefundAnswer(fund_change="Y", refund_fee=told, **words)

    def notify_call(self, told: dict[str, str], keys: Keys, at: datetime) -> NotifyCall:
        """See `Tongue`."""
        return self._call(told, keys.network)

    def _call(self, told: dict[str, str], key: Any) -> NotifyCall:
        fields = {name.encode(): value.encode() for name, value in told.items()}
        signature = signing.sign(key, signing.notice_contents(fields)[0])
        form = told | {"sign_type": signing.ALGORITHM, "sign": signature}
        return NotifyCall(
            path=f"/notify/{self.dialect.name}", headers={}, body=urlencode(form).encode()
        )

    def forged(
        self, told: dict[str, str], amount: Money, how: str, keys: Keys, at: datetime
    ) -> NotifyCall:
        """See `Tongue`. Its address is no part of what is signed; its app id is."""
        lie = told | {"trade_status": "TRADE_SUCCESS", "total_amount": trades.amount_text(amount)}
        call = self._call(lie, keys.network)
        match how:
            case "stranger":
                return self._call(lie, keys.stranger)
            case "changed":
                return replace(call, body=call.body + b"&one_more=1")
            case "unsigned":
                return replace(call, body=urlencode(lie).encode())
            case _:
                body = call.body.replace(b"app_id=" + CLIENT_ID.encode(), b"app_id=SOMEBODY")
                return replace(call, body=body)

    def check_acknowledged(self, answer: NotifyAnswer, keys: Keys, case: Case) -> None:
        """See `Tongue`."""
        if answer.body != b"success":
            raise Violated("acknowledged-unsigned", case, "not the text success")

    def amount_told(self, told: dict[str, str]) -> Money | None:
        """See `Tongue`."""
        return trades.read_amount(told["total_amount"])

    def is_paid(self, told: dict[str, str]) -> bool:
        """See `Tongue`."""
        return told["trade_status"] == "TRADE_SUCCESS"

    def of_nobody(self) -> Any:
        """See `Tongue`."""
        return {
            "app_id": CLIENT_ID,
            "notify_type": "trade_status_sync",
            "out_trade_no": "pay_elsewhere",
            "trade_no": "elsewhere",
            "trade_status": "TRADE_SUCCESS",
            "total_amount": "1.00",
        }


class _Method:
    """A method by its name."""

    def __init__(self, name: str, timeout_s: float) -> None:
        self.name = name
        self.timeout_s = timeout_s


_METHODS = {
    Call.PAY: trades.PAY,
    Call.INQUIRY: trades.QUERY,
    Call.CANCEL: trades.CANCEL,
    Call.REFUND: trades.REFUND,
}
_CN_RESPONSES: dict[str, Any] = {
    trades.PAY: trades.PAY_ANSWERS,
    trades.QUERY: trades.QUERY_ANSWERS,
    trades.CANCEL: trades.CANCEL_ANSWERS,
    trades.REFUND: trades.REFUND_ANSWERS,
    trades.REFUND_QUERY: trades.REFUND_QUERY_ANSWERS,
}


def _method_of(leg: Leg) -> str:
    is_of_refund = isinstance(leg.request, trades.RefundNamed)
    return trades.REFUND_QUERY if is_of_refund else _METHODS[leg.call]

"""What a dialect is in bytes: how a world's wire reads, writes, signs and spoils it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, cast
from urllib.parse import urlencode

import msgspec

from tillgate.alipaycn import client as cn_client
from tillgate.alipaycn import messages as trades
from tillgate.alipaycn import signing
from tillgate.alipayplus import messages
from tillgate.alipayplus.client import AlipayPlusClient, Credentials
from tillgate.alipayplus.messages import SUCCESS, Notification, amount_of
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.connectors import Connector, NotifyAnswer, NotifyCall
from tillgate.connectors.alipay_cn import AlipayCn
from tillgate.connectors.alipay_plus import AlipayPlus
from tillgate.core.model import Call
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.results import Outcome
from tillgate.core.routing_table import Integrations
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform import OpenPlatform
from tillgate.sandbox.open_platform_api import OpenPlatformApi
from tillgate.sandbox.payment import wire_time
from tillgate.sandbox.signed_api import ALIPAY_PLUS_FOLDER, CONTENT_TYPE, SignedApi
from tillgate.simulation.dialects import (
    ALIPAY_CN_DIALECT,
    ALIPAY_PLUS_DIALECT,
    APS_DIRECT_DIALECT,
    DIRECT_APIS,
    DIRECT_FOLDER,
    Aps,
    Crossing,
    Leg,
)
from tillgate.simulation.dialects import OpenPlatform as OpenPlatformDialect
from tillgate.simulation.dice import Table
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.network import CLIENT_ID, WALLET
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import Reply, Transport

App = Callable[[Any, Any, Any], Awaitable[None]]
FORGERIES = ("stranger", "changed", "unsigned", "client", "path")


class Headers(dict[str, str]):
    """Names in any case, as an HTTP client gives them."""

    def get(self, name: str, default: Any = None) -> Any:
        """See `dict.get`."""
        return super().get(name.lower(), default)


class Tongue(Protocol):
    """A dialect, in bytes.

    Attributes:
        dialect: its values.
        integrations: what the acquirer is connected to, so that its codes go this way.
        has_times: whether an answer says when it was given.
        asks_twice: whether a cancel or a refund may be followed by a query of its own.
    """

    dialect: Any
    integrations: Integrations
    has_times: bool
    asks_twice: bool

    def connector(
        self, transport: Transport, keys: Keys, clock: Clock, policy: Policy, client: Any
    ) -> Connector:
        """The gateway's own, over this transport."""
        ...

    def app(
        self, network: Network, keys: Keys, clock: Clock, after_each: Callable[[], None]
    ) -> App:
        """The sandbox's ASGI application over this network."""
        ...

    def read(self, path: str, body: bytes, timeout_s: float) -> tuple[Leg, bytes]:
        """A request, and of it what must be the same each time it is sent."""
        ...

    def with_bad_signature(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """The same request, signed by nobody."""
        ...

    def confirms_cancel(self, leg: Leg, body: bytes) -> bool:
        """Whether these bytes say that it is cancelled."""
        ...

    def unsigned(self, leg: Leg, code: str) -> Reply:
        """A refusal that nobody signed."""
        ...

    def signed(self, leg: Leg, path: str, message: Any, key: Any, at: datetime) -> Reply:
        """An answer, signed with this key at that time."""
        ...

    def message_of(self, leg: Leg, reply: Reply) -> Any:
        """The message in a genuine answer."""
        ...

    def with_id(self, message: Any, payment_id: str) -> Any:
        """A success under somebody else's id."""
        ...

    def lie(self, leg: Leg, amount: Money) -> Any:
        """A success that nobody may believe."""
        ...

    def notify_call(self, told: Any, keys: Keys, at: datetime) -> NotifyCall:
        """A notification as it travels."""
        ...

    def forged(self, told: Any, amount: Money, how: str, keys: Keys, at: datetime) -> NotifyCall:
        """A lie in the network's name, in one of the ways of `FORGERIES`."""
        ...

    def check_acknowledged(self, answer: NotifyAnswer, keys: Keys, case: Case) -> None:
        """Whoever acknowledges says so as the network wants it.

        Raises:
            Violated: it does not.
        """
        ...

    def amount_told(self, told: Any) -> Money | None:
        """What a notification says was paid."""
        ...

    def is_paid(self, told: Any) -> bool:
        """Whether it tells of a success."""
        ...

    def of_nobody(self) -> Any:
        """A success of a payment that is not ours."""
        ...


class ApsTongue:
    """Alipay+'s."""

    has_times = True
    asks_twice = False

    def __init__(self, dialect: Aps, folder: str, notify_path: str) -> None:
        self.dialect = dialect
        self._folder = folder
        self._path = notify_path
        is_direct = dialect is not ALIPAY_PLUS_DIALECT
        direct = {WALLET.routing_number: dialect.name} if is_direct else {}
        self.integrations = Integrations(alipay_plus=not is_direct, direct=direct)

    def connector(
        self, transport: Transport, keys: Keys, clock: Clock, policy: Policy, client: Any
    ) -> Connector:
        """See `Tongue`."""
        credentials = Credentials(
            client_id=CLIENT_ID, signing_key=keys.acquirer, network_keys=keys.network_ring
        )
        call: AlipayPlusClient = client(transport, credentials, clock)
        url = f"https://acquirer.example{self._path}"
        if self.dialect is ALIPAY_PLUS_DIALECT:
            return AlipayPlus(call, url, policy)
        return AlipayPlus(call, url, policy, name=self.dialect.name, apis=DIRECT_APIS)

    def app(
        self, network: Network, keys: Keys, clock: Clock, after_each: Callable[[], None]
    ) -> App:
        """See `Tongue`."""
        return SignedApi(
            network,
            Exchanges(),
            signing_key=keys.network,
            acquirers={CLIENT_ID: keys.acquirer_ring},
            clock=clock,
            after_each=after_each,
            folder=self._folder,
        )

    def read(self, path: str, body: bytes, timeout_s: float) -> tuple[Leg, bytes]:
        """See `Tongue`."""
        leg = self.dialect.leg(Crossing(_Asked(path, timeout_s), body))
        return leg, body

    def with_bad_signature(
        self, body: bytes, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """See `Tongue`."""
        return body, {**headers, "Signature": "algorithm=RSA256,signature=YmFk"}

    def confirms_cancel(self, leg: Leg, body: bytes) -> bool:
        """See `Tongue`."""
        return leg.call is Call.CANCEL and b'"resultStatus":"S"' in body

    def unsigned(self, leg: Leg, code: str) -> Reply:
        """See `Tongue`."""
        return Reply(200, {}, messages.encode(self.dialect.answer(leg, Outcome.FAILURE, code)))

    def signed(self, leg: Leg, path: str, message: Any, key: Any, at: datetime) -> Reply:
        """See `Tongue`."""
        body = messages.encode(message)
        time = wire_time(at)
        headers = {
            "content-type": CONTENT_TYPE,
            "client-id": CLIENT_ID,
            "response-time": time,
            "signature": key.sign(path, CLIENT_ID, time, body),
        }
        return Reply(200, Headers(headers), body)

    def message_of(self, leg: Leg, reply: Reply) -> Any:
        """See `Tongue`."""
        return messages.decode(_RESPONSES[leg.call], reply.body)

    def with_id(self, message: Any, payment_id: str) -> Any:
        """See `Tongue`."""
        return msgspec.structs.replace(message, payment_id=payment_id)

    def lie(self, leg: Leg, amount: Money) -> Any:
        """See `Tongue`."""
        answer = self.dialect.answer(leg, Outcome.SUCCESS, "SUCCESS")
        told = amount_of(amount)
        match leg.call:
            case Call.PAY:
                return msgspec.structs.replace(answer, payment_id="9", payment_amount=told)
            case Call.INQUIRY:
                return msgspec.structs.replace(
                    answer, payment_id="9", payment_amount=told, payment_result=SUCCESS
                )
            case Call.CANCEL | Call.REFUND:
                return answer

    def notify_call(self, told: Notification, keys: Keys, at: datetime) -> NotifyCall:
        """See `Tongue`."""
        return self._call(messages.encode(told), keys.network, at)

    def _call(self, body: bytes, key: Any, at: datetime, path: str | None = None) -> NotifyCall:
        time = wire_time(at)
        signature = key.sign(path or self._path, CLIENT_ID, time, body)
        headers = {"client-id": CLIENT_ID, "request-time": time, "signature": signature}
        return NotifyCall(path=self._path, headers=headers, body=body)

    def forged(
        self, told: Notification, amount: Money, how: str, keys: Keys, at: datetime
    ) -> NotifyCall:
        """See `Tongue`."""
        lie = msgspec.structs.replace(
            told, payment_result=SUCCESS, payment_amount=amount_of(amount)
        )
        body = messages.encode(lie)
        call = self._call(body, keys.network, at)
        match how:
            case "stranger":
                return self._call(body, keys.stranger, at)
            case "changed":
                return replace(call, body=call.body + b" ")
            case "unsigned":
                return replace(call, headers={**call.headers, "signature": ""})
            case "client":
                return replace(call, headers={**call.headers, "client-id": "SOMEBODY"})
            case _:
                return self._call(body, keys.network, at, f"{self._path}?")

    def check_acknowledged(self, answer: NotifyAnswer, keys: Keys, case: Case) -> None:
        """See `Tongue`."""
        headers = answer.headers
        try:
            keys.acquirer_ring.verify(
                headers.get("Signature"),
                self._path,
                CLIENT_ID,
                headers.get("Response-Time"),
                answer.body,
            )
        except BadSignature as error:
            raise Violated("acknowledged-unsigned", case, str(error)) from None

    def amount_told(self, told: Notification) -> Money | None:
        """See `Tongue`."""
        return told.payment_amount.to_money() if told.payment_amount else None

    def is_paid(self, told: Notification) -> bool:
        """See `Tongue`."""
        return told.payment_result.result_status is Outcome.SUCCESS

    def of_nobody(self) -> Any:
        """See `Tongue`."""
        return Notification(
            payment_result=SUCCESS, payment_request_id="pay_elsewhere", payment_id="elsewhere"
        )


class _Asked:
    """An API by its path."""

    must_be_fresh = False

    def __init__(self, path: str, timeout_s: float) -> None:
        self.path = path
        self.timeout_s = timeout_s


_RESPONSES: dict[Call, Any] = {
    Call.PAY: messages.PAY_RESPONSES,
    Call.INQUIRY: messages.INQUIRY_RESPONSES,
    Call.CANCEL: messages.CANCEL_RESPONSES,
    Call.REFUND: messages.REFUND_RESPONSES,
}


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
        return Reply(200, {}, trades.enveloped(_METHODS[leg.call], trades.encode(message), None))

    def signed(self, leg: Leg, path: str, message: Any, key: Any, at: datetime) -> Reply:
        """See `Tongue`."""
        content = trades.encode(message)
        body = trades.enveloped(_METHODS[leg.call], content, signing.sign(key, content))
        return Reply(200, {}, body)

    def message_of(self, leg: Leg, reply: Reply) -> Any:
        """See `Tongue`."""
        content, _ = trades.split(reply.body, _METHODS[leg.call])
        return trades.read(_CN_RESPONSES[leg.call], content)

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
_CN_RESPONSES: dict[Call, Any] = {
    Call.PAY: trades.PAY_ANSWERS,
    Call.INQUIRY: trades.QUERY_ANSWERS,
    Call.CANCEL: trades.CANCEL_ANSWERS,
    Call.REFUND: trades.REFUND_ANSWERS,
}

ALIPAY_PLUS_TONGUE = ApsTongue(
    ALIPAY_PLUS_DIALECT, ALIPAY_PLUS_FOLDER, "/alipayplus/v1/notifyPayment"
)
TONGUES: Table[Tongue] = Table(
    "dialect",
    (ALIPAY_PLUS_TONGUE, 0.5),
    (ApsTongue(APS_DIRECT_DIALECT, DIRECT_FOLDER, "/notify/kakaopay"), 0.2),
    (OpenPlatformTongue(ALIPAY_CN_DIALECT, asks_after_pay=True), 0.2),
    (OpenPlatformTongue(ALIPAY_CN_DIALECT, asks_after_pay=False), 0.1),
)

"""Alipay+'s dialect in bytes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from tillgate.alipayplus import messages
from tillgate.alipayplus.client import AlipayPlusClient, Credentials
from tillgate.alipayplus.messages import SUCCESS, Notification, amount_of
from tillgate.alipayplus.signing import BadSignature
from tillgate.clock import Clock
from tillgate.connectors import Connector, NotifyAnswer, NotifyCall
from tillgate.connectors.alipay_plus import AlipayPlus
from tillgate.core.model import Call
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.results import Outcome
from tillgate.core.routing_table import Integrations
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import wire_time
from tillgate.sandbox.signed_api import CONTENT_TYPE, SignedApi
from tillgate.simulation.aps_dialect import (
    ALIPAY_PLUS_DIALECT,
    DIRECT_APIS,
    Aps,
)
from tillgate.simulation.gateway_depth.keys import Keys
from tillgate.simulation.gateway_depth.tongue import App, Headers
from tillgate.simulation.network import CLIENT_ID, WALLET
from tillgate.simulation.speech import Crossing, Leg
from tillgate.simulation.stage import Case, Violated
from tillgate.transport import Reply, Transport


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

"""Takes notifications of Alipay+: check the signature, apply the fact, commit, and only then
acknowledge.

The acknowledgement says "received", whatever the payment's result, and is signed. A notification
that fits no payment is kept for a person and acknowledged, so that the network stops repeating it.
A bad signature gets 401 and no S; a store that is down gets 503, so that the network comes again.
Source: Alipay+ "Receive payment notification"; ADR 0011.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from tillgate.alipayplus import messages
from tillgate.alipayplus.client import Credentials
from tillgate.alipayplus.messages import Acknowledgement, BadMessage, Notification
from tillgate.alipayplus.signing import BadSignature
from tillgate.clock import Clock
from tillgate.connectors.alipay_plus import notification_report
from tillgate.core.errors import StoreError
from tillgate.core.model import Notified, PaymentRequestId
from tillgate.core.results import Outcome
from tillgate.gateway.follow import Follower
from tillgate.store import Store, Unmatched

log = logging.getLogger(__name__)

_ACKNOWLEDGED = messages.encode(Acknowledgement(result=messages.SUCCESS))


@dataclass(frozen=True, slots=True)
class NotifyAnswer:
    """What goes back over HTTP."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyCall:
    """What came over HTTP. `path` keeps its query, as it was sent."""

    path: str
    body: bytes
    client_id: str | None
    time: str | None
    signature: str | None


class Notifications:
    """The use case, with what it needs."""

    def __init__(
        self, store: Store, follower: Follower, credentials: Credentials, clock: Clock
    ) -> None:
        self._store = store
        self._follower = follower
        self._credentials = credentials
        self._clock = clock
        self._signed: dict[tuple[str, str], str] = {}

    async def receive(self, call: NotifyCall) -> NotifyAnswer:
        """Answer one notification. Never raises; see the module for what each answer means."""
        me = self._credentials
        try:
            if call.client_id != me.client_id:
                raise BadSignature("the Client-Id is not ours")
            me.network_keys.verify(call.signature, call.path, me.client_id, call.time, call.body)
        except BadSignature as error:
            log.warning("alert: a notification was refused: %s", error)
            return _refused(401, "INVALID_SIGNATURE", str(error))
        try:
            notification = messages.decode(messages.NOTIFICATIONS, call.body)
            report = notification_report(notification)
        except BadMessage as error:
            log.warning("alert: a signed notification cannot be read: %s", error)
            return _refused(400, "PARAM_ILLEGAL", str(error))
        key = PaymentRequestId(notification.payment_request_id)
        try:
            payment = await self._follower.apply(key, Notified(report))
            if payment is None:
                await self._keep(notification)
        except StoreError as error:
            log.error("a notification could not be saved: %s", error)
            return _refused(503, "UNKNOWN_EXCEPTION", "come again", Outcome.UNKNOWN)
        return self._acknowledged(call.path)

    async def _keep(self, notification: Notification) -> None:
        log.warning(
            "alert: a notification fits no payment: %s", notification.payment_request_id[:64]
        )
        amount, result = notification.payment_amount, notification.payment_result
        await self._store.keep_unmatched(
            Unmatched(
                received_at=self._clock.now(),
                payment_request_id=notification.payment_request_id,
                payment_id=notification.payment_id,
                outcome=result.result_status.value,
                code=result.result_code,
                amount=f"{amount.currency} {amount.value}" if amount else None,
            )
        )

    def _acknowledged(self, path: str) -> NotifyAnswer:
        me = self._credentials
        time = messages.format_time(self._clock.now())
        signature = self._signed.get((path, time))
        if signature is None:
            # The content is the same for a whole second: its signature is made once.
            signature = me.signing_key.sign(path, me.client_id, time, _ACKNOWLEDGED)
            self._signed = {(path, time): signature}
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": me.client_id,
            "Response-Time": time,
            "Signature": signature,
        }
        return NotifyAnswer(200, _ACKNOWLEDGED, headers)


def _refused(
    status: int, code: str, message: str, outcome: Outcome = Outcome.FAILURE
) -> NotifyAnswer:
    result = messages.Result(result_code=code, result_status=outcome, result_message=message)
    body = messages.encode(Acknowledgement(result=result))
    return NotifyAnswer(status, body, {"Content-Type": "application/json; charset=UTF-8"})

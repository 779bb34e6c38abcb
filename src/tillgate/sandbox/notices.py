"""AlipayCN's asynchronous notice: a signed form, acknowledged with the text `success`.

Only a paid trade is told, as with payment codes by default ("Asynchronous notices" of face-to-face
payments: TRADE_SUCCESS); the acquirer's own cancel and refund have their answers already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from tillgate.alipaycn import signing
from tillgate.alipaycn.messages import amount_text, format_time
from tillgate.alipayplus.messages import SUCCESS, Result
from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.money import Money
from tillgate.sandbox.exchanges import VALID, Exchanges
from tillgate.sandbox.fates import Fates
from tillgate.sandbox.network import Network
from tillgate.sandbox.notifier import Notifier
from tillgate.sandbox.open_platform_words import PlatformSpoiler
from tillgate.sandbox.payment import Payment, State
from tillgate.sandbox.plays import NOTHING, Do
from tillgate.sandbox.wire_faults import GARBAGE

if TYPE_CHECKING:
    from tillgate.sandbox.postman import Ack

SELLER_ID = "2088102146225135"
"""Whose account is paid: one for every acquirer of the sandbox."""


class Notices(Notifier):
    """Sends the notices of one platform."""

    api = "notify_url"

    def __init__(
        self,
        network: Network,
        *,
        signing_key: SigningKey,
        acquirers: dict[str, KeyRing],
        clock: Clock,
        record: Exchanges,
        delay_s: float,
        retries_s: Sequence[float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        fates: Fates | None = None,
    ) -> None:
        super().__init__(
            signing_key=signing_key,
            acquirers=acquirers,
            clock=clock,
            record=record,
            tell=network.notification,
            delay_s=delay_s,
            retries_s=retries_s,
            sleep=sleep,
            fates=fates,
        )
        self._platform_spoiler, self._now = PlatformSpoiler(signing_key), clock.now

    def schedule(self, payment: Payment) -> None:
        """Tell of a paid trade; of nothing else."""
        if payment.state is State.SUCCEEDED:
            super().schedule(payment)

    def written(self, payment: Payment) -> bytes:
        """The form, with its signature. Repeats are the same bytes."""
        return self._form(payment, NOTHING)

    def spoilt(self, payment: Payment, body: bytes, do: Do) -> bytes:
        """Another form where its amount or its signature is to be wrong."""
        if do.garbage:
            return GARBAGE
        return self._form(payment, do) if do.amount is not None or do.signature else body

    def _form(self, payment: Payment, do: Do) -> bytes:
        assert payment.paid_at is not None
        assert payment.customer is not None
        told = payment.amount if do.amount is None else Money(payment.amount.currency, do.amount)
        amount = amount_text(told)
        fields = {
            "notify_type": "trade_status_sync",
            "notify_id": f"{payment.payment_id[:8]}00222{payment.payment_id[8:]}",
            "notify_time": format_time(self._now()),
            "app_id": payment.client_id,
            "auth_app_id": payment.client_id,
            "charset": "utf-8",
            "version": "1.0",
            "trade_no": payment.payment_id,
            "out_trade_no": payment.payment_request_id,
            "trade_status": "TRADE_SUCCESS",
            "total_amount": amount,
            "receipt_amount": amount,
            "buyer_pay_amount": amount,
            "refund_fee": "0.00",
            "seller_id": SELLER_ID,
            "buyer_id": payment.customer.network_id,
            "subject": f"Order {payment.reference_order_id}",
            "gmt_create": format_time(payment.placed_at),
            "gmt_payment": format_time(payment.paid_at),
        }
        content = signing.notice_contents({n.encode(): v.encode() for n, v in fields.items()})[0]
        signature = self._platform_spoiler.sign(do, content)
        signed = {"sign_type": signing.ALGORITHM} | ({"sign": signature} if signature else {})
        return urlencode(fields | signed).encode()

    def headers(self, payment: Payment, path: str, body: bytes, do: Do = NOTHING) -> dict[str, str]:
        """A form's; the signature is among its fields."""
        return {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}

    def heard(self, payment: Payment, path: str, ack: Ack) -> tuple[str, Result | None]:
        """Seven letters and nothing else. They are not signed."""
        if ack.status != 200 or ack.body != b"success":
            return f"not the text success (HTTP status {ack.status})", None
        return VALID, SUCCESS

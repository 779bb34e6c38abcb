"""What a merchant is told of a payment: which change becomes an event, and what stands in it.

An event's id is made of the payment's id and the event's number, so two workers that save the same
change tell it under the same id.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from tillgate.core.model import Payment
from tillgate.gateway.resources import iso, payment_resource
from tillgate.store import MerchantEvent

_encoder = msgspec.json.Encoder()


def told_of(before: Payment, after: Payment, now: datetime) -> MerchantEvent | None:
    """The event of a payment's new status, or None when this change is not told."""
    if after.announced == before.announced:
        return None
    body = _encoder.encode(payment_resource(after))
    return event_of(after, f"payment.{after.status.lower()}", now, body)


def event_of(
    payment: Payment, type_: str, now: datetime, body: bytes, refund_request_id: str | None = None
) -> MerchantEvent:
    """The event with the number that the payment announces now."""
    order = payment.order
    return MerchantEvent(
        event_id=event_id(payment, payment.announced),
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        terminal_id=order.terminal_id,
        payment_request_id=payment.payment_request_id,
        refund_request_id=refund_request_id,
        sequence=payment.announced,
        type=type_,
        at=now,
        body=body,
    )


def event_id(payment: Payment, number: int) -> str:
    """Of one of its events, 1 to `announced`: `evt_`, the payment's own part, the number."""
    return f"evt_{payment.payment_request_id.removeprefix('pay_')}_{number}"


def payload_of(event: MerchantEvent) -> bytes:
    """What is sent: type, timestamp and data as Standard Webhooks names them, and our number.

    Made of what the store holds, so it is the same bytes each time.
    """
    return _encoder.encode(
        {
            "id": event.event_id,
            "type": event.type,
            "timestamp": iso(event.at),
            "sequence": event.sequence,
            "data": msgspec.Raw(event.body),
        }
    )

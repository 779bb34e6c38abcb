"""Webhook endpoints and their deliveries as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from tillgate.core.webhook_address import URL_LENGTH_MAX
from tillgate.core.webhooks import (
    EVENT_TYPES,
    ROTATION_OVERLAP,
    ROTATION_OVERLAP_MAX,
    DeliveryState,
    EndpointStatus,
    Failure,
    PausedReason,
)
from tillgate.gateway.resources import iso
from tillgate.gateway.webhook_office import ENDPOINTS_MAX
from tillgate.store.webhook_endpoints import Endpoint
from tillgate.store.webhooks import Attempt, Delivery
from tillgate.web.bodies import PLAIN
from tillgate.web.requests import PAGE, PAGE_MAX

EventType = Literal[
    "payment.succeeded",
    "payment.failed",
    "payment.cancelled",
    "payment.unresolved",
    "refund.succeeded",
    "refund.failed",
    "refund.unresolved",
]
assert EventType.__args__ == EVENT_TYPES  # type: ignore[attr-defined]  # typing's own

EXAMPLE_URL = "https://shop.example/tillgate"
Url = Annotated[
    str,
    msgspec.Meta(
        max_length=URL_LENGTH_MAX,
        extra_json_schema={"format": "uri", "pattern": "^https?://", "examples": [EXAMPLE_URL]},
    ),
]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=PLAIN)]
MerchantId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{1,32}$")]
EventTypes = Annotated[list[EventType], msgspec.Meta(min_length=1, max_length=len(EVENT_TYPES))]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
Seconds = Annotated[int, msgspec.Meta(ge=0, le=int(ROTATION_OVERLAP_MAX.total_seconds()))]


class EndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint to make. Without `event_types` it gets all, also those that come to be.
    `merchant_id` is for operators.
    """

    url: Url
    event_types: EventTypes | None = None
    description: Text | None = None
    merchant_id: MerchantId | None = None


class EndpointChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different; the rest stays. `event_types` null is all."""

    url: Url | msgspec.UnsetType = msgspec.UNSET
    event_types: EventTypes | msgspec.UnsetType | None = msgspec.UNSET
    description: Text | msgspec.UnsetType | None = msgspec.UNSET


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long the secrets of before go on to sign; 24 hours where nothing is said."""

    overlap_s: Seconds = int(ROTATION_OVERLAP.total_seconds())


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which events: `since` is inside, `before` is not. Without them: the last three days."""

    since: Moment | None = None
    before: Moment | None = None


class EndpointResource(msgspec.Struct, frozen=True, kw_only=True):
    """Where a merchant is told. `failing_since` is its first failure since it last took anything;
    `paused_reason` says why nothing is sent.
    """

    id: str
    merchant_id: str
    url: str
    description: str | None
    event_types: list[str] | None
    status: EndpointStatus
    paused_reason: PausedReason | None
    failing_since: str | None
    created_at: str
    changed_at: str


class SecretResource(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint with its newest secret. The secret is told here and never again."""

    secret: str
    endpoint: EndpointResource


class EndpointPage(msgspec.Struct, frozen=True):
    """Endpoints, oldest first."""

    webhook_endpoints: list[EndpointResource]
    next_cursor: str | None


class DeliveryResource(msgspec.Struct, frozen=True, kw_only=True):
    """One event for one endpoint. `created_at` is when it happened."""

    event_id: str
    type: str
    payment_id: str | None
    sequence: int
    status: DeliveryState
    attempts: int
    next_attempt_at: str | None
    last_http_status: int | None
    last_error: Failure | None
    created_at: str
    delivered_at: str | None


class AttemptResource(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt that is over."""

    attempt: int
    at: str
    duration_ms: int
    http_status: int | None
    error: Failure | None


class DeliveryLog(msgspec.Struct, frozen=True):
    """A delivery with all its attempts, oldest first."""

    delivery: DeliveryResource
    attempts: list[AttemptResource]


class DeliveryPage(msgspec.Struct, frozen=True):
    """Deliveries, newest event first. `next_cursor` leads to older ones; null at the end."""

    deliveries: list[DeliveryResource]
    next_cursor: str | None


class ReplayedResource(msgspec.Struct, frozen=True):
    """How many events are sent (again)."""

    replayed: int


class EndpointQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints."""

    merchant_id: MerchantId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, msgspec.Meta(pattern="^we_[0-9A-Z]{26}$")] | None = None


class DeliveryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which deliveries."""

    status: DeliveryState | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[str, msgspec.Meta(pattern="^[0-9]{1,16}-evt_[0-9A-Za-z_]{1,60}$")] | None = (
        None
    )


ENDPOINT_PARAMS = {
    "merchant_id": "For operators; a merchant's key has one.",
    "limit": f"At most so many; a merchant has at most {ENDPOINTS_MAX}.",
    "cursor": "`next_cursor` of the page before, as it came.",
}
DELIVERY_PARAMS = {
    "status": "`pending`, `delivered` or `given_up`.",
    "limit": "At most so many.",
    "cursor": "`next_cursor` of the page before, as it came.",
}


def endpoint_resource(endpoint: Endpoint) -> EndpointResource:
    """As its merchant sees it: without secrets."""
    types: Sequence[str] | None = endpoint.event_types
    return EndpointResource(
        id=endpoint.endpoint_id,
        merchant_id=endpoint.merchant_id,
        url=endpoint.url,
        description=endpoint.description,
        event_types=list(types) if types is not None else None,
        status=endpoint.status,
        paused_reason=endpoint.paused_reason,
        failing_since=iso(endpoint.failing_since) if endpoint.failing_since else None,
        created_at=iso(endpoint.created_at),
        changed_at=iso(endpoint.changed_at),
    )


def delivery_resource(delivery: Delivery) -> DeliveryResource:
    """As its merchant sees it."""
    is_payment = delivery.payment_request_id != delivery.event_id
    return DeliveryResource(
        event_id=delivery.event_id,
        type=delivery.type,
        payment_id=delivery.payment_request_id if is_payment else None,
        sequence=delivery.sequence,
        status=delivery.state,
        attempts=delivery.attempts,
        next_attempt_at=iso(delivery.next_attempt_at) if delivery.next_attempt_at else None,
        last_http_status=delivery.last_status,
        last_error=Failure(delivery.last_error) if delivery.last_error else None,
        created_at=iso(delivery.created_at),
        delivered_at=iso(delivery.delivered_at) if delivery.delivered_at else None,
    )


def attempt_resource(attempt: Attempt) -> AttemptResource:
    """As its merchant sees it."""
    return AttemptResource(
        attempt=attempt.attempt,
        at=iso(attempt.at),
        duration_ms=attempt.duration_ms,
        http_status=attempt.status,
        error=Failure(attempt.error) if attempt.error else None,
    )

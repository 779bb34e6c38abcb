"""The error tree. A stable machine code on each; never an HTTP status (`web/problems.py` owns
those).

```
GatewayError(code)
├── RequestError                the till asked something we cannot do; nothing was saved
│   ├── InvalidAmount           not a positive integer of minor units in a known currency
│   ├── InvalidCode             what was scanned is not a payment code
│   ├── NoRoute                 a payment code, but nobody here can take it
│   ├── KeyReused               the idempotency key belongs to another request
│   ├── OrderTaken              the order already has a live or paid payment
│   ├── NotAllowed              the caller may not do this
│   ├── NetworkDown             new sales are refused before they exist
│   ├── CannotCancel            it is over, or its cancel window is
│   │   └── RefundInstead       it is paid and can only be refunded (any more)
│   ├── CannotRefund            it is not paid, or not so much is left, or its window is over
│   ├── CannotResolve           an operator has nothing to say, or not that
│   ├── AlreadyThere            what shall be added
│   ├── NotThere                what shall be changed
│   ├── PaymentNotFound
│   ├── RefundNotFound
│   ├── WebhookUrlRefused       nothing is sent to such an address
│   ├── WebhookUrlTaken         the merchant has an endpoint with this address
│   ├── TooManyWebhooks         the merchant has as many endpoints as one may have
│   ├── WebhookNotActive        the endpoint is paused or disabled: resume it first
│   ├── WebhookNotFound         no such endpoint
│   ├── WebhookEventNotFound    no such event at this endpoint
│   └── TooManyEvents           more than may be replayed at once
├── StoreError                  the store could not do it; the caller may try again
│   ├── StaleVersion            somebody stepped first: reload
│   ├── StaleRefund             the same for a refund
│   ├── PaymentIdTaken          another payment holds this network id
│   └── StoreInUse              another process serves from this file
└── ConfigError                 at start only; lists every problem
```

What happens on the wire is not here: a call's fate is a value (`alipayplus/client.py`), because
"unknown" is an outcome and never an exception (ADR 0011).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tillgate.core.model import Payment


class GatewayError(Exception):
    """Root of everything this package raises on purpose.

    Attributes:
        code: stable and machine readable. Codes never change; messages may.
    """

    code = "internal_error"

    def __init__(self, message: str, *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class RequestError(GatewayError):
    """The till asked for something that cannot be done. Nothing was saved and nothing was sent."""

    code = "invalid_request"


class InvalidAmount(RequestError):
    """The amount is not a positive integer of minor units in a currency of ISO 4217."""

    code = "invalid_amount"


class InvalidCode(RequestError):
    """What was scanned is not a payment code that this gateway knows."""

    code = "code_not_recognised"


class NoRoute(RequestError):
    """It is a payment code, but this acquirer has no connection that takes it."""

    code = "no_route"


class KeyReused(RequestError):
    """The idempotency key was used before with another request. `path` names the first
    difference.
    """

    code = "idempotency_key_reused"


class OrderTaken(RequestError):
    """The merchant's order already has a payment that is open or paid.

    Attributes:
        payment: the one that holds the order; None where the caller may not know of it.
    """

    code = "order_already_has_a_payment"

    def __init__(self, message: str, *, payment: Payment | None) -> None:
        super().__init__(message, path="$.order.merchant_order_id")
        self.payment = payment


class NotAllowed(RequestError):
    """The caller may know of it and not do this. The message says who may."""

    code = "forbidden"


class NetworkDown(RequestError):
    """The network does not answer or refuses our signature: nothing was saved and nothing was
    sent.
    """

    code = "network_down"


class CannotCancel(RequestError):
    """The payment cannot be cancelled (any more). The message says why and what to do instead."""

    code = "cannot_cancel"


class RefundInstead(CannotCancel):
    """It is paid, and a refund is open or done or the cancel window is over: only a refund gives
    money back.
    """

    code = "refund_instead"


class CannotRefund(RequestError):
    """So much of the payment cannot be refunded. The message says what is left, and what to do
    instead.
    """

    code = "cannot_refund"


class CannotResolve(RequestError):
    """The payment cannot be resolved so. The message says why."""

    code = "cannot_resolve"


class AlreadyThere(RequestError):
    """What shall be added is there already."""

    code = "already_there"


class NotThere(RequestError):
    """What shall be changed or used is not there (any more)."""

    code = "not_there"


class PaymentNotFound(RequestError):
    """No such payment, or not this caller's. The two are never told apart."""

    code = "payment_not_found"


class WebhookUrlRefused(RequestError):
    """Nothing is sent to such an address. The message says why."""

    code = "webhook_url_refused"


class WebhookUrlTaken(RequestError):
    """The merchant has an endpoint with this address. The message names it."""

    code = "webhook_endpoint_exists"


class TooManyWebhooks(RequestError):
    """The merchant has as many endpoints as one may have."""

    code = "too_many_webhook_endpoints"


class WebhookNotActive(RequestError):
    """The endpoint is paused or disabled: resume it first."""

    code = "webhook_endpoint_not_active"


class WebhookNotFound(RequestError):
    """No such endpoint, or not this caller's. The two are never told apart."""

    code = "webhook_endpoint_not_found"


class WebhookEventNotFound(RequestError):
    """No such event at this endpoint, or not its merchant's."""

    code = "webhook_event_not_found"


class TooManyEvents(RequestError):
    """More events than may be replayed at once."""

    code = "too_many_events"


class RefundNotFound(RequestError):
    """No such refund of that payment."""

    code = "refund_not_found"


class StoreError(GatewayError):
    """The store could not do it now. What was not acknowledged may or may not be saved."""

    code = "store_unavailable"


class StaleVersion(StoreError):
    """Somebody saved this payment first: load it again and step again."""

    code = "stale_version"


class StaleRefund(StoreError):
    """Somebody saved this refund first: load it again and step again."""

    code = "stale_refund"


class PaymentIdTaken(StoreError):
    """Another payment of this connector already holds the network's `paymentId`."""

    code = "payment_id_taken"


class StoreInUse(StoreError):
    """Another process serves from this database file."""

    code = "store_in_use"


class ConfigError(GatewayError):
    """The settings are wrong. Raised at start only, and lists every problem it found.

    Attributes:
        problems: one sentence each, never with a secret in it.
    """

    code = "invalid_configuration"

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems

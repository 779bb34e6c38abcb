"""The merchant's API: payments. JSON in, JSON out, errors as problems (see `problems.py`)."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission, sees
from tillgate.core.errors import InvalidAmount, PaymentNotFound
from tillgate.core.model import RESTING, WAITING, Payment, PaymentRequestId
from tillgate.core.money import Money
from tillgate.gateway.accept import Acceptance, Asked
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.registry import Registry
from tillgate.gateway.resources import Amount, PaymentResource, iso, payment_resource
from tillgate.store import Store
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Operation, json_answer
from tillgate.web.requests import (
    APPLIED,
    IDEMPOTENCY_KEY,
    IF_NONE_MATCH,
    PREFER,
    idempotency_key,
    is_known,
    wait_s,
)

GROUP = "Payments"
PAYMENT_ID = {"id": "The payment's `id`."}
EXAMPLE_CODE = "281006020000000000000001"
EXAMPLE = {
    "code": EXAMPLE_CODE,
    "order": {"merchant_order_id": "0042", "amount": {"currency": "JPY", "value": 100}},
}
LINKS = {
    name: {"id": "$response.body#/id"}
    for name in ("getPayment", "cancelPayment", "listPaymentEvents")
}
_HEADERS = {"Location": "Where to read the payment again.", "ETag": "Its version."}


OrderId = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema=PLAIN)]
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=PLAIN)]
Code = Annotated[
    str, msgspec.Meta(extra_json_schema={"pattern": "^[0-9]{16,32}$", "examples": [EXAMPLE_CODE]})
]
"""Others are answered `code_not_recognised`, not `invalid_field`: a cashier scanned them."""


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The merchant's order. Lengths: Alipay+ data dictionary (referenceOrderId 64, description
    256).
    """

    merchant_order_id: OrderId
    amount: Amount
    description: Description | None = None


class PaymentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A scanned code and what it shall pay. Store and terminal may be left out where there is only
    one.
    """

    code: Code
    order: OrderBody
    store_id: str | None = None
    terminal_id: str | None = None
    expires_in_s: Annotated[int, msgspec.Meta(ge=1, le=60)] | None = None


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole of it is cancelled, so there is nothing to say."""


class EventRow(msgspec.Struct, frozen=True):
    """One fact of a payment's timeline, and the status it led to."""

    version: int
    at: str
    kind: str
    status: str
    detail: dict[str, Any]


class EventRows(msgspec.Struct, frozen=True):
    """A timeline, oldest first."""

    events: list[EventRow]


class PaymentsApi:
    """The operations, with what they need."""

    def __init__(
        self,
        registry: Registry,
        acceptance: Acceptance,
        interventions: Interventions,
        follower: Follower,
        store: Store,
    ) -> None:
        self._registry = registry
        self._acceptance = acceptance
        self._interventions = interventions
        self._follower = follower
        self._store = store

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="createPayment",
                method="POST",
                path="/v1/payments",
                group=GROUP,
                summary="Ask a customer's wallet for money",
                description="The same key with the same body gives the same payment as it is now,"
                " whatever became of it, for ever. A client that goes away stops nothing: send the"
                " same request again to hear the end.",
                permission=Permission.PAY,
                headers=(IDEMPOTENCY_KEY, PREFER),
                body=PaymentBody,
                body_example=EXAMPLE,
                links=LINKS,
                answers=(
                    _answer(201, "A new payment, and final."),
                    _answer(200, "The payment that the same request opened before, and final."),
                    _answer(202, "Not final yet: read it again, or wait for it."),
                ),
                problems=(
                    "invalid_request",
                    "invalid_amount",
                    "code_not_recognised",
                    "no_route",
                    "order_already_has_a_payment",
                    "network_down",
                ),
                handler=self.create,
            ),
            Operation(
                name="getPayment",
                method="GET",
                path="/v1/payments/{id}",
                group=GROUP,
                summary="Read a payment, or wait until it is final",
                permission=Permission.READ,
                path_params=PAYMENT_ID,
                headers=(PREFER, IF_NONE_MATCH),
                answers=(
                    _answer(200, "The payment as it is now."),
                    Answer(
                        status=304,
                        description="Nothing changed since the `If-None-Match`.",
                        headers=_HEADERS | APPLIED,
                    ),
                ),
                problems=("payment_not_found",),
                handler=self.read,
            ),
            Operation(
                name="cancelPayment",
                method="POST",
                path="/v1/payments/{id}/cancel",
                group=GROUP,
                summary="Void a payment in full",
                description="At any moment until its cancel window closes; the same again is"
                " harmless. After a refund, or when the window is over, refund what is left"
                " instead.",
                permission=Permission.CANCEL,
                path_params=PAYMENT_ID,
                headers=(PREFER,),
                body=CancelBody,
                is_body_optional=True,
                body_example={},
                links=LINKS,
                answers=(
                    _answer(200, "CANCELLED, or FAILED with nothing to give back."),
                    _answer(202, "The network is still asked: read it again, or wait for it."),
                ),
                problems=("payment_not_found", "cannot_cancel", "refund_instead"),
                handler=self.cancel,
            ),
            Operation(
                name="listPaymentEvents",
                method="GET",
                path="/v1/payments/{id}/events",
                group=GROUP,
                summary="Read a payment's timeline",
                description="More than a year after a payment its older steps may be in a file of"
                " the operator's: then the first one here is of the kind `archived`, with the"
                " number of `steps` that it stands for and the name of the `file`.",
                permission=Permission.READ,
                path_params=PAYMENT_ID,
                answers=(Answer(status=200, description="Oldest first.", body=EventRows),),
                problems=("payment_not_found",),
                handler=self.events,
            ),
        ]

    async def create(self, call: Call) -> Response:
        """Open a payment, or find the one that the same request opened before."""
        key = idempotency_key(call.request)
        merchant = self._registry.merchants[call.caller.merchant_id or ""]
        accepted = await self._acceptance.accept(call.caller, merchant, key, _asked(call.body))
        payment, seconds = accepted.payment, wait_s(call.request)
        if seconds and not payment.is_final:
            payment = await self._follower.wait(payment, seconds)
        status = 202 if not payment.is_final else 201 if accepted.is_new else 200
        return payment_answer(payment, status, seconds)

    async def read(self, call: Call) -> Response:
        """The payment as it is now, or once it is final with `Prefer: wait`."""
        payment, seconds = await self._payment(call), wait_s(call.request)
        if seconds and not payment.is_final:
            payment = await self._follower.wait(payment, seconds)
        if is_known(call.request, etag_of(payment)):
            return Response(status_code=304, headers=_headers(payment, seconds))
        return payment_answer(payment, 200, seconds)

    async def cancel(self, call: Call) -> Response:
        """Void a payment in full, at any moment; the same again is harmless."""
        payment, seconds = await self._payment(call), wait_s(call.request)
        payment = await self._interventions.cancel(payment, call.caller)
        if seconds and not _is_over(payment):
            payment = await self._follower.wait(payment, seconds, _is_over)
        return payment_answer(payment, 200 if payment.status in RESTING else 202, seconds)

    async def events(self, call: Call) -> Response:
        """The payment's timeline, oldest first."""
        payment = await self._payment(call)
        rows = await self._store.load_history(payment.payment_request_id)
        events = [
            {
                "version": row.version,
                "at": iso(row.at),
                "kind": row.kind,
                "status": row.status,
                "detail": msgspec.Raw(row.detail),
            }
            for row in rows
        ]
        return json_answer({"events": events})

    async def _payment(self, call: Call) -> Payment:
        return await payment_of(call, self._follower)


async def payment_of(call: Call, follower: Follower) -> Payment:
    """The payment that the path names.

    Raises:
        PaymentNotFound: there is none, or the caller may not know of it.
    """
    payment = await follower.current(PaymentRequestId(call.path("id")))
    if payment is None or not sees(call.caller, payment.order):
        raise PaymentNotFound("There is no such payment.")
    return payment


def _is_over(payment: Payment) -> bool:
    return payment.status not in WAITING


def _asked(body: PaymentBody) -> Asked:
    amount = body.order.amount
    try:
        money = Money(amount.currency, amount.value)
    except InvalidAmount as error:
        raise InvalidAmount(str(error), path=f"$.order.amount.{error.path}") from None
    return Asked(
        code=body.code,
        merchant_order_id=body.order.merchant_order_id,
        description=body.order.description,
        amount=money,
        store_id=body.store_id,
        terminal_id=body.terminal_id,
        expires_in_s=body.expires_in_s,
    )


def _answer(status: int, description: str) -> Answer:
    return Answer(
        status=status,
        description=description,
        body=PaymentResource,
        headers=_HEADERS | APPLIED,
    )


def etag_of(payment: Payment) -> str:
    """Its version: the resource holds nothing that changes without it."""
    return f'"{payment.version}"'


def payment_answer(payment: Payment, status: int, waited_s: int = 0) -> Response:
    """The payment as an answer; `waited_s` is the preference that was applied."""
    return json_answer(payment_resource(payment), status, _headers(payment, waited_s))


def _headers(payment: Payment, waited_s: int) -> dict[str, str]:
    headers = {
        "Location": f"/v1/payments/{payment.payment_request_id}",
        "ETag": etag_of(payment),
        "Cache-Control": "no-store",
    }
    if waited_s:
        headers["Preference-Applied"] = f"wait={waited_s}"
    return headers

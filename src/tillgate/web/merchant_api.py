"""The merchant's API: payments, for tills. JSON in, JSON out, errors as problems (see
`problems.py`).
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.errors import InvalidAmount, PaymentNotFound
from tillgate.core.model import RESTING, WAITING, Payment, PaymentRequestId
from tillgate.core.money import Money
from tillgate.gateway.accept import Acceptance, Asked
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.resources import Amount, iso, payment_resource
from tillgate.merchants import Directory, Merchant
from tillgate.store import Store
from tillgate.web.bodies import parse, read_body
from tillgate.web.problems import Problem

WAIT_MAX_S = 120
"""Longest `Prefer: wait`: a payment is final 90 s after it was placed when the network answers."""
KEY_LENGTH_MAX = 255
"""Stripe's limit, which till makers know."""

_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,5})"?\s*(?:$|[,;])', re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")


class OrderBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The merchant's order. Lengths: Alipay+ data dictionary (referenceOrderId 64, description
    256).
    """

    merchant_order_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    amount: Amount
    description: Annotated[str, msgspec.Meta(min_length=1, max_length=256)] | None = None


class PaymentBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/payments`."""

    code: str
    order: OrderBody
    store_id: str | None = None
    terminal_id: str | None = None
    expires_in_s: Annotated[int, msgspec.Meta(ge=1, le=60)] | None = None


class CancelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/payments/{id}/cancel`: the whole of it, so there is nothing to say."""


_encoder = msgspec.json.Encoder()


class MerchantApi:
    """The routes, with what they need."""

    def __init__(
        self,
        directory: Directory,
        acceptance: Acceptance,
        interventions: Interventions,
        follower: Follower,
        store: Store,
    ) -> None:
        self._directory = directory
        self._acceptance = acceptance
        self._interventions = interventions
        self._follower = follower
        self._store = store

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/v1/payments", self.create, methods=["POST"]),
            Route("/v1/payments/{id}", self.read, methods=["GET"]),
            Route("/v1/payments/{id}/cancel", self.cancel, methods=["POST"]),
            Route("/v1/payments/{id}/events", self.events, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Open a payment, or find the one that the same request opened before."""
        merchant = merchant_of(request, self._directory)
        key = _idempotency_key(request)
        asked = _asked(parse(await read_body(request), PaymentBody))
        accepted = await self._acceptance.accept(merchant, key, asked)
        payment, wait_s = accepted.payment, _wait_s(request)
        if wait_s and not payment.is_final:
            payment = await self._follower.wait(payment, wait_s)
        status = 202 if not payment.is_final else 201 if accepted.is_new else 200
        return payment_answer(payment, status, wait_s)

    async def read(self, request: Request) -> Response:
        """The payment as it is now, or once it is final with `Prefer: wait`."""
        payment, wait_s = await self._payment(request), _wait_s(request)
        if wait_s and not payment.is_final:
            payment = await self._follower.wait(payment, wait_s)
        return payment_answer(payment, 200, wait_s)

    async def cancel(self, request: Request) -> Response:
        """Void a payment in full, at any moment; the same again is harmless.

        200 once it is CANCELLED (or FAILED, with nothing to give back), 202 while the network is
        still asked, 409 when it cannot be cancelled. A body is not needed; `{}` is taken.
        """
        payment, wait_s = await self._payment(request), _wait_s(request)
        body = await read_body(request)
        if body:
            parse(body, CancelBody)
        payment = await self._interventions.cancel(payment, "till")
        if wait_s and not _is_over(payment):
            payment = await self._follower.wait(payment, wait_s, _is_over)
        is_known = payment.status in RESTING
        return payment_answer(payment, 200 if is_known else 202, wait_s)

    async def events(self, request: Request) -> Response:
        """The payment's timeline, oldest first."""
        payment = await self._payment(request)
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
        return Response(_encoder.encode({"events": events}), media_type="application/json")

    async def _payment(self, request: Request) -> Payment:
        merchant = merchant_of(request, self._directory)
        payment = await self._follower.current(PaymentRequestId(request.path_params["id"]))
        if payment is None or payment.order.merchant_id != merchant.id:
            raise PaymentNotFound("There is no such payment.")
        return payment


def merchant_of(request: Request, directory: Directory) -> Merchant:
    """Whose API key the request carries.

    Raises:
        Problem: nobody's.
    """
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    merchant = directory.by_key(key.strip()) if scheme.lower() == "bearer" else None
    if merchant is None:
        raise Problem(
            "unauthorized",
            "Send `Authorization: Bearer` with one of the merchant's API keys.",
            path="Authorization",
        )
    return merchant


def _is_over(payment: Payment) -> bool:
    return payment.status not in WAITING


def _idempotency_key(request: Request) -> str:
    keys = request.headers.getlist("idempotency-key")
    if not keys or not keys[0]:
        raise Problem(
            "idempotency_key_missing",
            "Send an Idempotency-Key, new for each payment and the same for each retry of it.",
            path="Idempotency-Key",
        )
    if len(keys) > 1 or not _KEY.match(keys[0]):
        raise Problem(
            "idempotency_key_invalid",
            f"An Idempotency-Key is one header of 1 to {KEY_LENGTH_MAX} visible ASCII characters.",
            path="Idempotency-Key",
        )
    return keys[0]


def _wait_s(request: Request) -> int:
    """`Prefer: wait=N` (RFC 7240) in seconds, 0 without; a preference that cannot be read is
    ignored.
    """
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(int(found.group(1)), WAIT_MAX_S) if found else 0


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


def payment_answer(payment: Payment, status: int, wait_s: int = 0) -> Response:
    """The payment as an answer; `wait_s` is the preference that was applied."""
    headers = {
        "Location": f"/v1/payments/{payment.payment_request_id}",
        "Cache-Control": "no-store",
    }
    if wait_s:
        headers["Preference-Applied"] = f"wait={wait_s}"
    return Response(_encoder.encode(payment_resource(payment)), status, headers, "application/json")

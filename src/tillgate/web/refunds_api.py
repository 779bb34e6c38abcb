"""The merchant's API: refunds of a payment, in full or in parts."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.codes import mask_in
from tillgate.core.errors import InvalidAmount
from tillgate.core.money import Money
from tillgate.core.refund_model import Refund, RefundStatus
from tillgate.gateway.follow import Follower
from tillgate.gateway.refund import AskedRefund, Refunds
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.gateway.resources import Amount, RefundResource, refund_resource
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Operation, json_answer
from tillgate.web.payments_api import PAYMENT_ID, payment_of
from tillgate.web.requests import (
    APPLIED,
    IDEMPOTENCY_KEY,
    IF_NONE_MATCH,
    PAGE,
    PAGE_MAX,
    PREFER,
    idempotency_key,
    is_known,
    page_of,
    wait_s,
)

GROUP = "Refunds"
REFUND_PATH = PAYMENT_ID | {"refund_id": "The refund's `id`."}
LINKS = {
    "getRefund": {"id": "$response.body#/payment_id", "refund_id": "$response.body#/id"},
    "listRefunds": {"id": "$response.body#/payment_id"},
}
_HEADERS = {"Location": "Where to read the refund again.", "ETag": "Its version."}

Reason = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=PLAIN)]
"""Goes to the network as it stands. Length: Antom's data dictionary, refundReason."""
Cursor = Annotated[str, msgspec.Meta(pattern="^ref_[0-9A-Za-z]{1,40}$")]


class RefundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much goes back; without an amount all that is left. The reason reaches the network."""

    amount: Amount | None = None
    reason: Reason | None = None


class RefundQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


QUERY_PARAMS = {
    "limit": "At most so many.",
    "cursor": "`next_cursor` of the page before, as it came.",
}


class RefundPage(msgspec.Struct, frozen=True):
    """Refunds, newest first. `next_cursor` leads to older ones; null at the end."""

    refunds: list[RefundResource]
    next_cursor: str | None


class RefundsApi:
    """The operations, with what they need."""

    def __init__(self, refunds: Refunds, follower: RefundFollower, payments: Follower) -> None:
        self._refunds = refunds
        self._follower = follower
        self._payments = payments

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="createRefund",
                method="POST",
                path="/v1/payments/{id}/refunds",
                group=GROUP,
                summary="Give money back, in full or in part",
                description="For 365 days after the payment, as often as something is left. The"
                " amount is reserved at once; a refund that fails gives it back. The same key with"
                " the same body gives the same refund as it is now, for ever. A payment that has a"
                " refund cannot be cancelled any more.",
                permission=Permission.REFUND,
                path_params=PAYMENT_ID,
                headers=(IDEMPOTENCY_KEY, PREFER),
                body=RefundBody,
                is_body_optional=True,
                body_example={"amount": {"currency": "JPY", "value": 30}, "reason": "one cup less"},
                links=LINKS,
                answers=(
                    _answer(201, "A new refund, and final."),
                    _answer(200, "The refund that the same request opened before, and final."),
                    _answer(202, "Not final yet: read it again, or wait for it."),
                ),
                problems=("payment_not_found", "invalid_amount", "cannot_refund"),
                handler=self.create,
            ),
            Operation(
                name="listRefunds",
                method="GET",
                path="/v1/payments/{id}/refunds",
                group=GROUP,
                summary="List the refunds of a payment",
                permission=Permission.READ,
                path_params=PAYMENT_ID,
                query=RefundQuery,
                query_params=QUERY_PARAMS,
                answers=(Answer(status=200, description="Newest first.", body=RefundPage),),
                problems=("payment_not_found",),
                handler=self.find,
            ),
            Operation(
                name="getRefund",
                method="GET",
                path="/v1/payments/{id}/refunds/{refund_id}",
                group=GROUP,
                summary="Read a refund, or wait until it is final",
                permission=Permission.READ,
                path_params=REFUND_PATH,
                headers=(PREFER, IF_NONE_MATCH),
                answers=(
                    _answer(200, "The refund as it is now."),
                    Answer(
                        status=304,
                        description="Nothing changed since the `If-None-Match`.",
                        headers=_HEADERS | APPLIED,
                    ),
                ),
                problems=("payment_not_found", "refund_not_found"),
                handler=self.read,
            ),
        ]

    async def create(self, call: Call) -> Response:
        """Open a refund, or find the one that the same request opened before."""
        key = idempotency_key(call.request)
        payment = await payment_of(call, self._payments)
        opened = await self._refunds.open(call.caller, payment, key, _asked(call.body))
        refund, seconds = await self._waited(call, opened.refund)
        status = 202 if not refund.is_final else 201 if opened.is_new else 200
        return refund_answer(refund, status, seconds)

    async def find(self, call: Call) -> Response:
        """One page."""
        query: RefundQuery = call.query
        payment = await payment_of(call, self._payments)
        found = await self._refunds.of_payment(
            payment.payment_request_id, before=query.cursor, limit=query.limit + 1
        )
        page, last = page_of(found, query.limit)
        return json_answer(
            RefundPage(
                refunds=[refund_resource(refund) for refund in page],
                next_cursor=last.refund_request_id if last else None,
            )
        )

    async def read(self, call: Call) -> Response:
        """The refund as it is now, or once it is final with `Prefer: wait`."""
        payment = await payment_of(call, self._payments)
        refund = await self._refunds.one(payment, call.path("refund_id"))
        refund, seconds = await self._waited(call, refund)
        if is_known(call.request, etag_of(refund)):
            return Response(status_code=304, headers=_headers(refund, seconds))
        return refund_answer(refund, 200, seconds)

    async def _waited(self, call: Call, refund: Refund) -> tuple[Refund, int]:
        seconds = wait_s(call.request)
        if seconds and refund.status is RefundStatus.PENDING:
            refund = await self._follower.wait(refund, seconds)
        return refund, seconds


def _asked(body: RefundBody | None) -> AskedRefund:
    asked = body or RefundBody()
    reason = mask_in(asked.reason) if asked.reason else None
    if asked.amount is None:
        return AskedRefund(amount=None, reason=reason)
    try:
        amount = Money(asked.amount.currency, asked.amount.value)
    except InvalidAmount as error:
        raise InvalidAmount(str(error), path=f"$.amount.{error.path}") from None
    return AskedRefund(amount=amount, reason=reason)


def _answer(status: int, description: str) -> Answer:
    return Answer(
        status=status, description=description, body=RefundResource, headers=_HEADERS | APPLIED
    )


def etag_of(refund: Refund) -> str:
    """Its version: the resource holds nothing that changes without it."""
    return f'"{refund.version}"'


def refund_answer(refund: Refund, status: int, waited_s: int = 0) -> Response:
    """The refund as an answer; `waited_s` is the preference that was applied."""
    return json_answer(refund_resource(refund), status, _headers(refund, waited_s))


def _headers(refund: Refund, waited_s: int) -> dict[str, str]:
    headers = {
        "Location": f"/v1/payments/{refund.payment_request_id}/refunds/{refund.refund_request_id}",
        "ETag": etag_of(refund),
        "Cache-Control": "no-store",
    }
    if waited_s:
        headers["Preference-Applied"] = f"wait={waited_s}"
    return headers

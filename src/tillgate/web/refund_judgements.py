"""Operators and refunds: finding those that nobody could decide, and saying what became of them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.refund_model import ENDED, Refund, RefundRequestId, RefundStatus
from tillgate.gateway.follow import Follower
from tillgate.gateway.refund import Refunds
from tillgate.gateway.resources import RefundResource, iso, refund_resource
from tillgate.store import Store
from tillgate.store.refunds import list_refunds
from tillgate.web.operations import Answer, Call, Operation, json_answer
from tillgate.web.operator_api import GROUP, Why
from tillgate.web.payment_list import Id
from tillgate.web.payments_api import payment_of
from tillgate.web.problems import Problem
from tillgate.web.refunds_api import REFUND_PATH, Cursor, refund_answer
from tillgate.web.requests import PAGE, PAGE_MAX, page_of


class AnyRefundQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which refunds. Several conditions all have to hold."""

    status: RefundStatus | None = None
    merchant_id: Id | None = None
    payment_id: Id | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


_QUERY_PARAMS = {
    "status": "`UNRESOLVED` are those that wait for a person.",
    "merchant_id": "Of that merchant.",
    "payment_id": "Of the payment with that `id`.",
    "limit": "At most so many.",
    "cursor": "`next_cursor` of the page before, as it came.",
}


class OperatorRefund(msgspec.Struct, frozen=True, kw_only=True):
    """A refund with what an operator has to know before they end it.

    `version` changes with every step; `sends` is how often it may have reached the network,
    `sent_at` when it did last, and `next_action_at` when the network is asked again (null: never).
    """

    refund: RefundResource
    merchant_id: str
    route: str
    version: int
    sends: int
    sent_at: str
    next_action_at: str | None


class OperatorRefundPage(msgspec.Struct, frozen=True):
    """Refunds, newest first. `next_cursor` leads to older ones; null at the end."""

    refunds: list[OperatorRefund]
    next_cursor: str | None


class ResolveRefundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the money, the evidence, and the `version` of the refund as it was when the
    evidence was looked at: what was sent since may have arrived.
    """

    status: str
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
    why: Why


class RefundJudgements:
    """The operations, with what they need."""

    def __init__(self, store: Store, refunds: Refunds, payments: Follower) -> None:
        self._store = store
        self._refunds = refunds
        self._payments = payments

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listAllRefunds",
                method="GET",
                path="/admin/v1/refunds",
                group=GROUP,
                summary="Find refunds of all merchants",
                description="`status=UNRESOLVED` are those that wait for a person.",
                permission=Permission.ADMIN,
                query=AnyRefundQuery,
                query_params=_QUERY_PARAMS,
                answers=(Answer(status=200, description="Newest first.", body=OperatorRefundPage),),
                handler=self.find,
            ),
            Operation(
                name="resolveRefund",
                act="refund.resolve",
                method="POST",
                path="/admin/v1/payments/{id}/refunds/{refund_id}/resolve",
                group=GROUP,
                summary="Say what became of a refund that nobody could decide",
                description="For one that is UNRESOLVED: SUCCEEDED or FAILED. Who said it and why"
                " stand in its timeline. It is still sent again once an hour, so read it first,"
                " then look at the network, and name the `version` that you read. FAILED is"
                " refused within a minute after it was sent.",
                permission=Permission.ADMIN,
                path_params=REFUND_PATH,
                body=ResolveRefundBody,
                body_example={"status": "FAILED", "version": 7, "why": "not in the clearing file"},
                answers=(
                    Answer(status=200, description="The refund as it is now.", body=RefundResource),
                ),
                problems=(
                    "payment_not_found",
                    "refund_not_found",
                    "cannot_resolve",
                    "stale_refund",
                ),
                handler=self.resolve,
            ),
        ]

    async def find(self, call: Call) -> Response:
        """One page."""
        query: AnyRefundQuery = call.query
        found = await list_refunds(
            self._store,
            status=query.status,
            merchant_id=query.merchant_id,
            payment_request_id=query.payment_id,
            before=query.cursor,
            limit=query.limit + 1,
        )
        page, last = page_of(found, query.limit)
        return json_answer(
            OperatorRefundPage(
                refunds=[_for_operators(refund) for refund in page],
                next_cursor=last.refund_request_id if last else None,
            )
        )

    async def resolve(self, call: Call) -> Response:
        """End an UNRESOLVED refund."""
        body: ResolveRefundBody = call.body
        if not body.why.strip():
            raise Problem("invalid_field", "Say what the evidence is.", path="$.why")
        words = {status.value: status for status in ENDED}
        if body.status not in words:
            raise Problem(
                "invalid_field", f"Say one of {', '.join(sorted(words))}.", path="$.status"
            )
        payment = await payment_of(call, self._payments)
        refund = await self._refunds.one(payment, call.path("refund_id"))
        refund = await self._refunds.resolve(
            RefundRequestId(refund.refund_request_id),
            RefundStatus(body.status),
            seen_version=body.version,
            by=call.caller.operator_id or "",
            why=body.why,
        )
        return refund_answer(refund, 200)


def _for_operators(refund: Refund) -> OperatorRefund:
    due = refund.next_action_at
    return OperatorRefund(
        refund=refund_resource(refund),
        merchant_id=refund.merchant_id,
        route=refund.connector,
        version=refund.version,
        sends=refund.sends_open,
        sent_at=iso(refund.sent_at),
        next_action_at=iso(due) if due else None,
    )

"""Operators and refunds: what only a person at the acquirer may say about one."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.refund_model import ENDED, RefundRequestId, RefundStatus
from tillgate.gateway.follow import Follower
from tillgate.gateway.refund import Refunds
from tillgate.gateway.resources import RefundResource
from tillgate.web.operations import Answer, Call, Operation
from tillgate.web.operator_api import GROUP, Why
from tillgate.web.payments_api import payment_of
from tillgate.web.problems import Problem
from tillgate.web.refunds_api import REFUND_PATH, refund_answer


class ResolveRefundBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the money, and the evidence."""

    status: str
    why: Why


class RefundJudgements:
    """The operation, with what it needs."""

    def __init__(self, refunds: Refunds, payments: Follower) -> None:
        self._refunds = refunds
        self._payments = payments

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="resolveRefund",
                act="refund.resolve",
                method="POST",
                path="/admin/v1/payments/{id}/refunds/{refund_id}/resolve",
                group=GROUP,
                summary="Say what became of a refund that nobody could decide",
                description="For one that is UNRESOLVED: SUCCEEDED or FAILED. Who said it and why"
                " stand in its timeline.",
                permission=Permission.ADMIN,
                path_params=REFUND_PATH,
                body=ResolveRefundBody,
                body_example={"status": "FAILED", "why": "not in the clearing file"},
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
            )
        ]

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
            call.caller.operator_id or "",
            body.why,
        )
        return refund_answer(refund, 200)

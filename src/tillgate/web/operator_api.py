"""The operator's API: what only a person at the acquirer may say about a payment, of any merchant.

`Authorization: Bearer` with an operator's key; the operator's id goes into the payment's history.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.model import RESTING, PaymentRequestId, Status
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.resources import PaymentResource
from tillgate.store import Store
from tillgate.web.operations import Answer, Call, Operation
from tillgate.web.payment_list import QUERY_PARAMS, PaymentList, PaymentPage, PaymentQuery
from tillgate.web.payments_api import PAYMENT_ID, payment_answer, payment_of
from tillgate.web.problems import Problem

GROUP = "Operators"
WHY_LENGTH_MAX = 500
_PAYMENT = Answer(status=200, description="The payment as it is now.", body=PaymentResource)


Why = Annotated[str, msgspec.Meta(min_length=1, max_length=WHY_LENGTH_MAX)]
"""The evidence, for the timeline."""


class ResolveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /admin/v1/payments/{id}/resolve`: what became of the money, and the evidence."""

    status: str
    why: Why


_ALSO = {
    "cancelPayment": ("cancelAnyPayment", "payment.cancel"),
    "createRefund": ("refundAnyPayment", "payment.refund"),
    "pauseWebhookEndpoint": ("pauseAnyWebhookEndpoint", None),
    "resumeWebhookEndpoint": ("resumeAnyWebhookEndpoint", None),
    "testWebhookEndpoint": ("testAnyWebhookEndpoint", None),
    "replayWebhookEvent": ("replayAnyWebhookEvent", None),
}
"""What operators do as merchants do: its name here, and how the audit calls it where the operation
does not note it itself.
"""


def also_for_operators(operations: Sequence[Operation]) -> list[Operation]:
    """Those of merchants' operations that operators have, too, for any merchant."""
    return [
        replace(
            each,
            name=_ALSO[each.name][0],
            act=_ALSO[each.name][1],
            path=f"/admin{each.path}",
            group=GROUP,
            permission=Permission.ADMIN,
            links={},
        )
        for each in operations
        if each.name in _ALSO
    ]


class OperatorApi:
    """The operations, with what they need."""

    def __init__(
        self,
        store: Store,
        interventions: Interventions,
        follower: Follower,
        connectors: Sequence[str],
    ) -> None:
        self._list = PaymentList(store, connectors)
        self._interventions = interventions
        self._follower = follower

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listAllPayments",
                method="GET",
                path="/admin/v1/payments",
                group=GROUP,
                summary="Find payments of all merchants",
                description="`status=UNRESOLVED` are those that wait for a person.",
                permission=Permission.ADMIN,
                query=PaymentQuery,
                query_params=QUERY_PARAMS,
                answers=(Answer(status=200, description="Newest first.", body=PaymentPage),),
                handler=self._list.find,
            ),
            Operation(
                name="getAnyPayment",
                method="GET",
                path="/admin/v1/payments/{id}",
                group=GROUP,
                summary="Read a payment of any merchant",
                permission=Permission.ADMIN,
                path_params=PAYMENT_ID,
                answers=(_PAYMENT,),
                problems=("payment_not_found",),
                handler=self.read,
            ),
            Operation(
                name="resolvePayment",
                act="payment.resolve",
                method="POST",
                path="/admin/v1/payments/{id}/resolve",
                group=GROUP,
                summary="Say what became of a payment that nobody could decide",
                description="For one that is UNRESOLVED, or CANCELLING for longer than 90 s. Who"
                " said it and why stand in its timeline.",
                permission=Permission.ADMIN,
                path_params=PAYMENT_ID,
                body=ResolveBody,
                body_example={"status": "SUCCEEDED", "why": "in the clearing file of 31 January"},
                answers=(_PAYMENT,),
                problems=("payment_not_found", "cannot_resolve"),
                handler=self.resolve,
            ),
        ]

    async def read(self, call: Call) -> Response:
        """A payment of any merchant, as it is now."""
        return payment_answer(await payment_of(call, self._follower), 200)

    async def resolve(self, call: Call) -> Response:
        """End an UNRESOLVED payment, or one that is CANCELLING for longer than 90 s."""
        body: ResolveBody = call.body
        if not body.why.strip():
            raise Problem("invalid_field", "Say what the evidence is.", path="$.why")
        words = {status.value: status for status in RESTING}
        if body.status not in words:
            raise Problem(
                "invalid_field", f"Say one of {', '.join(sorted(words))}.", path="$.status"
            )
        payment = await self._interventions.resolve(
            PaymentRequestId(call.path("id")),
            Status(body.status),
            call.caller.operator_id or "",
            body.why,
        )
        return payment_answer(payment, 200)

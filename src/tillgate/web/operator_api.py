"""The operator's API: what only a person at the acquirer may say about a payment, of any merchant.

`Authorization: Bearer` with an operator's key; the operator's id goes into the payment's history.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.errors import PaymentNotFound
from tillgate.core.model import RESTING, PaymentRequestId, Status
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.merchants import Directory
from tillgate.web.bodies import parse, read_body
from tillgate.web.merchant_api import payment_answer
from tillgate.web.problems import Problem

WHY_LENGTH_MAX = 500


class ResolveBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /admin/v1/payments/{id}/resolve`: what became of the money, and the evidence."""

    status: str
    why: Annotated[str, msgspec.Meta(min_length=1, max_length=WHY_LENGTH_MAX)]


class OperatorApi:
    """The routes, with what they need."""

    def __init__(
        self, directory: Directory, interventions: Interventions, follower: Follower
    ) -> None:
        self._directory = directory
        self._interventions = interventions
        self._follower = follower

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/admin/v1/payments/{id}", self.read, methods=["GET"]),
            Route("/admin/v1/payments/{id}/resolve", self.resolve, methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        """A payment of any merchant, as it is now."""
        self._operator(request)
        payment = await self._follower.current(_id(request))
        if payment is None:
            raise PaymentNotFound("There is no such payment.")
        return payment_answer(payment, 200)

    async def resolve(self, request: Request) -> Response:
        """End an UNRESOLVED payment, or one that is CANCELLING for longer than 90 s."""
        operator = self._operator(request)
        body = parse(await read_body(request), ResolveBody)
        if not body.why.strip():
            raise Problem("invalid_field", "Say what the evidence is.", path="$.why")
        words = {status.value: status for status in RESTING}
        if body.status not in words:
            raise Problem(
                "invalid_field", f"Say one of {', '.join(sorted(words))}.", path="$.status"
            )
        status = Status(body.status)
        payment = await self._interventions.resolve(_id(request), status, operator, body.why)
        return payment_answer(payment, 200)

    def _operator(self, request: Request) -> str:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        operator = (
            self._directory.operator_by_key(key.strip()) if scheme.lower() == "bearer" else None
        )
        if operator is None:
            raise Problem(
                "unauthorized",
                "Send `Authorization: Bearer` with an operator's key.",
                path="Authorization",
            )
        return operator


def _id(request: Request) -> PaymentRequestId:
    return PaymentRequestId(request.path_params["id"])

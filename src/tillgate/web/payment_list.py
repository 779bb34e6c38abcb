"""`GET /v1/payments`: find payments, newest first, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.model import Status
from tillgate.gateway.resources import PaymentResource, payment_resource
from tillgate.store import Store
from tillgate.store.reports import Wanted, find_page
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Operation, json_answer
from tillgate.web.payments_api import GROUP
from tillgate.web.requests import IDEMPOTENCY_KEY, PAGE, PAGE_MAX

_STATUS = "|".join(Status)
Statuses = Annotated[str, msgspec.Meta(pattern=f"^({_STATUS})(,({_STATUS}))*$", max_length=200)]
Cursor = Annotated[str, msgspec.Meta(pattern="^pay_[0-9A-Za-z]{1,40}$")]
Id = Annotated[str, msgspec.Meta(min_length=1, max_length=64, extra_json_schema=PLAIN)]
Key = Annotated[str, msgspec.Meta(pattern=IDEMPOTENCY_KEY.pattern)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class PaymentQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which payments. Several conditions all have to hold."""

    status: Statuses | None = None
    merchant_id: Id | None = None
    store_id: Id | None = None
    terminal_id: Id | None = None
    merchant_order_id: Id | None = None
    idempotency_key: Key | None = None
    id: Id | None = None
    payment_id: Id | None = None
    wallet: Id | None = None
    route: Id | None = None
    created_from: Moment | None = None
    created_before: Moment | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Cursor | None = None


QUERY_PARAMS = {
    "status": "One or several, with commas.",
    "merchant_id": "For operators; a merchant's key has one.",
    "store_id": "Of that store.",
    "terminal_id": "Of that terminal.",
    "merchant_order_id": "All attempts of that order.",
    "idempotency_key": "The one that was opened with that key.",
    "id": "That one.",
    "payment_id": "The one that the network calls so.",
    "wallet": "Paid with that wallet, such as `KAKAOPAY`.",
    "route": "Taken by that connector, such as `alipay_plus`.",
    "created_from": "Placed then or later. With a time zone, between 1970 and 2200.",
    "created_before": "Placed earlier than that. With a time zone.",
    "limit": "At most so many.",
    "cursor": "`next_cursor` of the page before, as it came.",
}


class PaymentPage(msgspec.Struct, frozen=True):
    """Payments, newest first. `next_cursor` leads to older ones; null at the end. A page may be
    short or empty and not the last one: a search for something rare looks through so many at once.
    """

    payments: list[PaymentResource]
    next_cursor: str | None


class PaymentList:
    """The operation, with what it needs."""

    def __init__(self, store: Store, connectors: Sequence[str]) -> None:
        self._store = store
        self._connectors = tuple(connectors)

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listPayments",
                method="GET",
                path="/v1/payments",
                group=GROUP,
                summary="Find payments",
                description="A till that lost an answer finds its payment by `merchant_order_id` or"
                " by `idempotency_key`. A till sees its own store's only.",
                permission=Permission.READ,
                query=PaymentQuery,
                query_params=QUERY_PARAMS,
                answers=(Answer(status=200, description="Newest first.", body=PaymentPage),),
                handler=self.find,
            )
        ]

    async def find(self, call: Call) -> Response:
        """One page."""
        query: PaymentQuery = call.query
        caller = call.caller
        own_merchant = caller.merchant_id or query.merchant_id
        own_store = caller.store_id or query.store_id
        is_mine = query.merchant_id in (None, own_merchant) and query.store_id in (None, own_store)
        wanted = Wanted(
            merchant_id=own_merchant,
            store_id=own_store,
            terminal_id=query.terminal_id,
            merchant_order_id=query.merchant_order_id,
            idempotency_key=query.idempotency_key,
            payment_request_id=query.id,
            payment_id=query.payment_id,
            connectors=self._connectors,
            statuses=[Status(word) for word in query.status.split(",")] if query.status else (),
            wallet=query.wallet,
            route=query.route,
            placed_from=query.created_from,
            placed_before=query.created_before,
            before=query.cursor,
        )
        # What belongs to others is as if it were not there.
        if not is_mine:
            return json_answer(PaymentPage(payments=[], next_cursor=None))
        page = await find_page(self._store, wanted, query.limit)
        resources = [payment_resource(payment) for payment in page.payments]
        return json_answer(PaymentPage(payments=resources, next_cursor=page.looks_on))

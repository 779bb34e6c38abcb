"""One payment: what became of it, who did what when, and what may be done now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tillgate.clock import Clock
from tillgate.connectors import Connector
from tillgate.core.codes import mask_in
from tillgate.core.model import Payment, Status
from tillgate.core.refunding import may_refund, why_not_cancel
from tillgate.gateway.announce import event_id
from tillgate.gateway.registry import Registry
from tillgate.gateway.webhook_office import ENDPOINTS_MAX
from tillgate.store import History, Store
from tillgate.store.lookup import find_payments
from tillgate.store.refunds import load_refund_history, load_refunds
from tillgate.store.reports import Wanted, list_payments
from tillgate.store.webhook_endpoints import list_endpoints
from tillgate.store.webhook_log import load_deliveries
from tillgate.store.webhooks import Delivery
from tillgate.web.console.frame import Frame, moment
from tillgate.web.console.words import who_and_what
from tillgate.web.door import check_origin
from tillgate.web.people import Person
from tillgate.web.sign_in import form_of

FOLDED = 4
"""So many same steps in a row are folded into one."""
TOLD = 100
"""The last so many events of a payment whose webhooks are shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a timeline, or several same ones folded."""

    at: datetime
    who: str
    what: str
    code: str
    status: str
    then: tuple[str, ...]
    alerts: tuple[str, ...]
    detail: dict[str, Any]
    folded: tuple[Row, ...] = ()


class OnePayment:
    """The pages, with what they need."""

    def __init__(
        self,
        frame: Frame,
        store: Store,
        registry: Registry,
        connectors: dict[str, Connector],
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._store = store
        self._registry = registry
        self._connectors = connectors
        self._clock = clock

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            self._frame.route("/console/search", self.search, ("POST",)),
            self._frame.route("/console/payments/{id}", self.show),
        ]

    async def search(self, request: Request, person: Person) -> Response:
        """Any identifier. Sent as a form, so that a code that was pasted stands in no address."""
        check_origin(request)
        text = (await form_of(request)).get("q", "").strip()
        merchants = list(self._registry.merchants)
        found = (
            await find_payments(self._store, text, merchants, list(self._connectors))
            if text.isprintable() and 0 < len(text) <= 255
            else []
        )
        if len(found) == 1:
            return RedirectResponse(f"/console/payments/{found[0].payment_request_id}", 303)
        return await self._frame.page(
            "found.html", person, "payments", payments=found, asked=mask_in(text)[:64]
        )

    async def show(self, request: Request, person: Person) -> Response:
        """The payment's page."""
        wanted = Wanted(payment_request_id=request.path_params["id"])
        payments = await list_payments(self._store, wanted, 1)
        if not payments:
            return await self._frame.page(
                "found.html", person, "payments", status=404, payments=[], asked=""
            )
        [payment] = payments
        key = payment.payment_request_id
        history, refunds, deliveries, others = await asyncio.gather(
            self._store.load_history(key),
            load_refunds(self._store, key, limit=100),
            self._deliveries(payment),
            self._attempts(payment),
        )
        stories = [
            await load_refund_history(self._store, each.refund_request_id) for each in refunds
        ]
        told = [list(folded(rows_of(each, payment.order.connector))) for each in stories]
        return await self._frame.page(
            "payment.html",
            person,
            "payments",
            payment=payment,
            rows=list(folded(rows_of(history, payment.order.connector))),
            refunds=list(zip(refunds, told, strict=True)),
            deliveries=deliveries,
            others=others,
            merchant=self._registry.merchants.get(payment.order.merchant_id),
            **self._allowed(payment),
        )

    def _allowed(self, payment: Payment) -> dict[str, Any]:
        """What an operator may do now, and until when."""
        connector = self._connectors.get(payment.order.connector)
        if connector is None:
            return {"may_cancel": False, "may_refund": False, "may_resolve": False, "until": ""}
        policy, now = connector.policy, self._clock.now()
        closes = policy.cancel_until(payment.order.placed_at)
        is_old = now - payment.changed_at >= policy.operator_limit
        return {
            "may_cancel": payment.status in (Status.PENDING, Status.SUCCEEDED)
            and why_not_cancel(payment, now, policy) is None,
            "may_refund": may_refund(payment, None, now, policy) is None,
            "may_resolve": payment.status is Status.UNRESOLVED
            or (payment.status is Status.CANCELLING and is_old),
            "until": f"{moment(closes)} UTC, {left(closes - now)} left" if closes > now else "",
        }

    async def _attempts(self, payment: Payment) -> list[Payment]:
        wanted = Wanted(
            merchant_id=payment.order.merchant_id, merchant_order_id=payment.order.merchant_order_id
        )
        return [each for each in await list_payments(self._store, wanted, 20) if each != payment]

    async def _deliveries(self, payment: Payment) -> list[Delivery]:
        """Of its last events, to every endpoint of its merchant. Both names are known, so that the
        primary key leads to each.
        """
        endpoints = await list_endpoints(
            self._store, payment.order.merchant_id, after="", limit=ENDPOINTS_MAX
        )
        last = payment.announced
        numbers = range(max(1, last - TOLD + 1), last + 1)
        return await load_deliveries(
            self._store,
            [each.endpoint_id for each in endpoints],
            [event_id(payment, number) for number in numbers],
        )


def rows_of(history: list[History] | Any, connector: str) -> Iterator[Row]:
    """A timeline in words."""
    for each in history:
        detail = msgspec.json.decode(bytes(each.detail))
        who, what = who_and_what(each.kind, detail, connector)
        yield Row(
            at=each.at,
            who=who,
            what=what,
            code=str(detail.get("code", "")),
            status=each.status,
            then=tuple(detail.get("then", ())),
            alerts=tuple(detail.get("alerts", ())),
            detail=detail,
        )


def folded(rows: Iterator[Row]) -> Iterator[Row]:
    """The same, where more than a few rows in a row say the same folded into the last of them."""
    same: list[Row] = []
    for row in rows:
        if same and (row.what, row.code) != (same[0].what, same[0].code):
            yield from _fold(same)
            same = []
        same.append(row)
    yield from _fold(same)


def _fold(same: list[Row]) -> Iterator[Row]:
    if len(same) <= FOLDED:
        yield from same
        return
    last = same[-1]
    yield Row(
        at=last.at,
        who=last.who,
        what=f"{last.what} ({len(same)} times)",
        code=last.code,
        status=last.status,
        then=last.then,
        alerts=tuple(word for row in same for word in row.alerts),
        detail={},
        folded=tuple(same),
    )


def left(span: timedelta) -> str:
    """`11 h`, `5 min`."""
    minutes = int(span.total_seconds() // 60)
    return f"{minutes // 60} h" if minutes >= 60 else f"{minutes} min"

"""`/till/receipts/{id}.pdf`: a payment's receipt, with the identifiers that a dispute needs."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.access import sees
from tillgate.core.model import Payment
from tillgate.gateway.registry import Registry
from tillgate.gateway.resources import iso
from tillgate.store import Store
from tillgate.store.reports import Wanted, list_payments
from tillgate.web.people import Door
from tillgate.web.print import is_legible, receipt_pdf
from tillgate.web.problems import Problem
from tillgate.web.sign_in import to_sign_in

STATES = {"SUCCEEDED": "Paid", "FAILED": "Not paid", "CANCELLED": "Cancelled"}
"""In words; every other status is one that is not over."""


class Receipts:
    """The route, with what it needs."""

    def __init__(self, door: Door, store: Store, registry: Registry) -> None:
        self._door = door
        self._store = store
        self._registry = registry

    def routes(self) -> list[Route]:
        """What to mount."""
        return [Route("/till/receipts/{id}.pdf", self.show, methods=["GET"])]

    async def show(self, request: Request) -> Response:
        """The receipt, for who may see the payment."""
        person = await self._door.person(request)
        if person is None:
            return to_sign_in(request)
        wanted = Wanted(payment_request_id=request.path_params["id"])
        found = await list_payments(self._store, wanted, 1)
        if not found or not sees(person.caller, found[0].order):
            raise Problem("payment_not_found", "There is no such payment, or it is not yours.")
        [payment] = found
        merchant = self._registry.merchants.get(payment.order.merchant_id)
        store = merchant.stores.get(payment.order.store_id) if merchant else None
        order = payment.order
        return Response(
            receipt_pdf(
                merchant.name if merchant and is_legible(merchant.name) else order.merchant_id,
                store.name if store and is_legible(store.name) else order.store_id,
                str(order.amount),
                rows_of(payment),
            ),
            headers={
                "Content-Disposition": f'inline; filename="{payment.payment_request_id}.pdf"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
            media_type="application/pdf",
        )


def rows_of(payment: Payment) -> list[tuple[str, str]]:
    """What stands on it: name and value. A note that no font of a PDF has is left out."""
    order, receipt = payment.order, payment.receipt
    rows = (
        ("State", STATES.get(payment.status.value, "Not decided yet")),
        ("Time (UTC)", iso(receipt.paid_at or order.placed_at)),
        ("Wallet", receipt.wallet),
        ("Payment", payment.payment_request_id),
        ("Order", order.merchant_order_id),
        ("The network's number", receipt.payment_id),
        ("Code", order.code_masked),
        ("Store / terminal", f"{order.store_id} / {order.terminal_id}"),
        ("Note", order.description),
        (
            "Given back",
            str(replace(order.amount, value=payment.refunded)) if payment.refunded else None,
        ),
    )
    return [(name, value) for name, value in rows if value and is_legible(value)]

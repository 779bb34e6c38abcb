"""The list of payments: filtered, live, and as a file for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tillgate.core.model import Payment, Status
from tillgate.gateway.registry import Registry
from tillgate.ids import drawn_at
from tillgate.store import Store
from tillgate.store.reports import PaymentPage, Wanted, find_page
from tillgate.web.console.frame import Frame, number_text
from tillgate.web.people import Person

PAGE = 50
BATCH = 1000
"""Payments read at once for a file: some tens of milliseconds."""
FILTERS = ("status", "merchant", "store", "terminal", "route", "wallet", "order", "from", "before")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet runs where a cell begins with it (OWASP, CSV Injection)."""
COLUMNS = (
    "id",
    "placed_at",
    "status",
    "amount",
    "currency",
    "refunded",
    "merchant_id",
    "store_id",
    "terminal_id",
    "merchant_order_id",
    "description",
    "route",
    "wallet",
    "code",
    "payment_id",
    "result_code",
    "paid_at",
)


class PaymentPages:
    """The pages, with what they need."""

    def __init__(self, frame: Frame, store: Store, registry: Registry, routes: list[str]) -> None:
        self._frame = frame
        self._store = store
        self._registry = registry
        self._routes = routes

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            self._frame.route("/console", self.home),
            self._frame.route("/console/payments", self.find),
            self._frame.route("/console/payments.csv", self.download),
        ]

    async def home(self, request: Request, person: Person) -> Response:
        """The console begins with its payments."""
        return RedirectResponse("/console/payments", 303)

    async def find(self, request: Request, person: Person) -> Response:
        """One page of the list; with `part=rows` only its rows, for the live list. The header
        `Tillgate-Older` is then the cursor of what is behind them.
        """
        given = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        wanted, wrong = self._wanted(given, request.query_params.get("cursor", ""))
        page = PaymentPage([], None) if wrong else await find_page(self._store, wanted, PAGE)
        kept = {name: value for name, value in given.items() if value}
        looks_on = page.looks_on or ""
        values = {
            "payments": page.payments,
            "given": given,
            "wrong": wrong,
            "query": urlencode(kept),
            "older": urlencode(kept | {"cursor": looks_on}) if looks_on else "",
            "looks_on": looks_on,
            "looked_to": drawn_at(looks_on) if looks_on and wanted.is_narrow else None,
            "page": PAGE,
            "is_first": not request.query_params.get("cursor"),
            "merchants": self._registry.merchants,
            "routes": self._routes,
        }
        template = "rows.html" if request.query_params.get("part") == "rows" else "payments.html"
        answer = await self._frame.page(
            template, person, "payments", status=422 if wrong else 200, **values
        )
        answer.headers["Tillgate-Older"] = looks_on
        return answer

    async def download(self, request: Request, person: Person) -> Response:
        """All that fit, as UTF-8 text for a spreadsheet, while they are read."""
        given = {name: request.query_params.get(name, "").strip() for name in FILTERS}
        wanted, wrong = self._wanted(given, "")
        if wrong:
            return RedirectResponse(f"/console/payments?{urlencode(given)}", 303)
        return StreamingResponse(
            self._lines(wanted),
            media_type="text/csv; charset=utf-8",
            headers={
                "Content-Disposition": 'attachment; filename="payments.csv"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _wanted(self, given: dict[str, str], cursor: str) -> tuple[Wanted, dict[str, str]]:
        """What is asked for, and for each filter that cannot be read what is wrong with it."""
        wrong: dict[str, str] = {}

        def time(name: str) -> datetime | None:
            if not given[name]:
                return None
            try:
                at = datetime.fromisoformat(given[name])
            except ValueError:
                wrong[name] = "A time such as 2026-01-31T12:00, in UTC."
                return None
            return at if at.tzinfo else at.replace(tzinfo=UTC)

        statuses: tuple[Status, ...] = ()
        if given["status"]:
            try:
                statuses = (Status(given["status"]),)
            except ValueError:
                wrong["status"] = "There is no such status."
        return Wanted(
            statuses=statuses,
            merchant_id=given["merchant"] or None,
            # An order is looked up by an index that begins with the merchant: all of them, then.
            merchants=()
            if given["merchant"] or not given["order"]
            else tuple(self._registry.merchants),
            store_id=given["store"] or None,
            terminal_id=given["terminal"] or None,
            route=given["route"] or None,
            wallet=given["wallet"].upper() or None,
            merchant_order_id=given["order"] or None,
            placed_from=time("from"),
            placed_before=time("before"),
            before=cursor or None,
        ), wrong

    async def _lines(self, wanted: Wanted) -> AsyncIterator[bytes]:
        yield b"\xef\xbb\xbf" + _line(COLUMNS)  # or spreadsheets read it in another encoding
        while True:
            page = await find_page(self._store, wanted, BATCH)
            yield b"".join(_line(_cells(payment)) for payment in page.payments)
            if page.looks_on is None:
                return
            wanted = replace(wanted, before=page.looks_on)


def _cells(payment: Payment) -> list[str]:
    order, receipt = payment.order, payment.receipt
    currency = order.amount.currency
    return [
        payment.payment_request_id,
        order.placed_at.isoformat(),
        payment.status.value,
        number_text(order.amount.value, currency, ""),
        currency,
        number_text(payment.refunded, currency, ""),
        order.merchant_id,
        order.store_id,
        order.terminal_id,
        order.merchant_order_id,
        order.description or "",
        order.connector,
        receipt.wallet or "",
        order.code_masked,
        receipt.payment_id or "",
        payment.result_code or "",
        receipt.paid_at.isoformat() if receipt.paid_at else "",
    ]


def _line(cells: list[str] | tuple[str, ...]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow([f"'{cell}" if cell.startswith(FORMULA) else cell for cell in cells])
    return text.getvalue().encode()

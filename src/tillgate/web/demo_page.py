"""`/` of the demonstration: a phone, a till and the console side by side, and the guide's eighteen
steps as the newest payment takes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.model import Payment, Status
from tillgate.pages import Site
from tillgate.store import History, Store
from tillgate.store.reports import Wanted, list_payments
from tillgate.web.demo import is_here
from tillgate.web.problems import Problem


@dataclass(frozen=True, slots=True)
class Taken:
    """Some of the guide's steps (its figure 1), and whether the payment has taken them.

    Attributes:
        state: `done`, `now`, or empty for what is still to come.
    """

    numbers: str
    what: str
    told: str
    state: str


class DemoPage:
    """The page, with what it needs: where the console and the phones are."""

    def __init__(self, site: Site, store: Store, admin_url: str, sandbox_url: str) -> None:
        self._site = site
        self._store = store
        self._admin_url = admin_url
        self._sandbox_url = sandbox_url

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/", self.show, methods=["GET"]),
            Route("/demo/steps", self.steps, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page."""
        _demand_here(request)
        return self._site.page(
            "demo.html",
            frames=("'self'", self._sandbox_url, self._admin_url),
            phone=f"{self._sandbox_url}/wallet/gcash_jose",
            sandbox_url=self._sandbox_url,
            console=f"{self._admin_url}/console",
            steps=await self._steps(),
        )

    async def steps(self, request: Request) -> Response:
        """The steps alone, for the page to renew."""
        _demand_here(request)
        return self._site.page("demo_steps.html", steps=await self._steps())

    async def _steps(self) -> list[Taken]:
        newest = await list_payments(self._store, Wanted(), 1)
        if not newest:
            return taken(None, [])
        history = await self._store.load_history(newest[0].payment_request_id)
        return taken(newest[0], list(history))


def _demand_here(request: Request) -> None:
    if not is_here(request):
        raise Problem("not_found", "There is nothing at this address.")


def taken(payment: Payment | None, history: list[History]) -> list[Taken]:
    """The guide's eighteen steps, as far as this payment has come."""
    if payment is None:
        return [Taken(numbers, what, "", "") for numbers, what in _STEPS]
    order, kinds = payment.order, [each.kind for each in history]
    is_over = payment.status is not Status.PENDING
    times: dict[str, datetime] = {each.kind: each.at for each in reversed(history)}
    asked = sum(kind.startswith("inquiry") for kind in kinds)
    said = "Notified. " if "notified" in kinds else ""
    told = (
        f"{_clock(order.placed_at)}, {order.amount}",
        f"{order.code_masked}: rule {order.rule} leads to {order.connector}",
        f"{_clock(order.placed_at)}, as {payment.payment_request_id}",
        "The wallet has answered." if is_over else "The customer is asked.",
        f"{payment.status.value}, {_clock(payment.changed_at)}" if is_over else "",
        f"{said}Asked {asked} times."
        if asked
        else f"{said}No inquiry was needed."
        if is_over
        else "",
    )
    states = (
        *("done",) * 3,
        "done" if is_over else "now",
        "done" if is_over else "",
        "done" if "notified" in times or (is_over and asked) else "now" if is_over else "",
    )
    return [
        Taken(numbers, what, words, state)
        for (numbers, what), words, state in zip(_STEPS, told, states, strict=True)
    ]


_STEPS = (
    ("1-3", "The till scans the code and asks the acquirer"),
    ("4", "The gateway recognises the code and routes the payment"),
    ("5", "The gateway asks Alipay+ for the money (pay)"),
    ("6-9", "Alipay+ asks the wallet, the wallet its customer"),
    ("10-11", "The result goes back, and to the till"),
    ("12-18", "inquiryPayment and notifyPayment, so that no result is lost"),
)


def _clock(at: datetime) -> str:
    return at.strftime("%H:%M:%S.%f")[:-3]

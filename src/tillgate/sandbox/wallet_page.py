"""`/wallet`: a customer's phone as a page, with a tester's drawer beside it.

The page shows and asks; whatever it does goes through the testers' side as a tester's own call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tillgate.core.money import EXPONENTS
from tillgate.pages import Site
from tillgate.sandbox.plays import PLAYS, Do, Play
from tillgate.sandbox.town import Town
from tillgate.sandbox.wallets import Conditions, Customer, Status, Wallet, Wallets

PATH = "/wallet"
PIN_LENGTHS = (4, 8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A customer as the list of phones shows them; `traits` say what is special."""

    customer: Customer
    traits: tuple[str, ...]


class WalletPage:
    """The routes, with what they need."""

    def __init__(self, wallets: Wallets, town: Town, framed_by: Sequence[str] = ()) -> None:
        """`framed_by` are the origins that may show a phone in a frame."""
        self._wallets = wallets
        self._town = town
        self._site = Site("tillgate.sandbox", frame_ancestors=framed_by)

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/", self.choose, methods=["GET"]),
            Route(PATH, self.choose, methods=["GET"]),
            Route(PATH + "/{customer_id}", self.show, methods=["GET"]),
            *self._site.routes(),
        ]

    async def choose(self, request: Request) -> Response:
        """To somebody's phone: the first one's."""
        first = self._wallets.all[0].customers[0]
        return RedirectResponse(f"{PATH}/{first.id}", 307, {"Cache-Control": "no-store"})

    async def show(self, request: Request) -> Response:
        """One customer's phone."""
        customer = self._wallets.customer(request.path_params["customer_id"])
        if customer is None:
            return self._site.page("unknown_wallet.html", status=404, home=PATH)
        wallet = self._wallets.wallet(customer.wallet_id)
        assert wallet is not None
        return self._site.page(
            "wallet.html",
            path=PATH,
            customer=customer,
            wallet=wallet,
            exponent=EXPONENTS[wallet.currency],
            wallets=self._wallets.all,
            holders=self._holders(wallet),
            outcomes=[play for play in PLAYS.values() if is_outcome(play)],
            faults=[play for play in PLAYS.values() if not is_outcome(play)],
            statuses=list(Status),
            pin_lengths=PIN_LENGTHS,
        )

    def _holders(self, wallet: Wallet) -> list[Holder]:
        return [
            Holder(customer=each, traits=tuple(_traits(self._town.conditions[each.id])))
            for each in wallet.customers
        ]


def is_outcome(play: Play) -> bool:
    """Whether it only chooses how the payment ends, and every message about it arrives whole."""
    outcomes = (Do(result=step.do.result, then=step.do.then) for step in play.steps)
    return all(step.do == outcome for step, outcome in zip(play.steps, outcomes, strict=True))


def _traits(now: Conditions) -> list[str]:
    found = []
    if now.status is not Status.ACTIVE:
        found.append(now.status.value)
    if now.confirm_above is not None:
        found.append("asks every time" if now.confirm_above == 0 else "asks above a limit")
    if now.pin is not None:
        found.append("PIN")
    if not now.is_kyc_done:
        found.append("not identified")
    if (now.limit_each, now.limit_day, now.count_day) != (None, None, None):
        found.append("limits")
    if now.play is not None:
        found.append(now.play)
    return found

"""What all pages of the console share: who may see them, and the frame around each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.money import EXPONENTS
from tillgate.pages import Site
from tillgate.web.people import Door, Person
from tillgate.web.sign_in import to_sign_in

Shown = Callable[[Request, Person], Awaitable[Response]]

SECTIONS = (
    ("payments", "Payments"),
    ("attention", "Needs attention"),
    ("health", "Health"),
    ("routes", "Routes"),
    ("merchants", "Merchants"),
    ("people", "People"),
    ("webhooks", "Webhooks"),
    ("audit", "Audit"),
)
"""The navigation: the last part of the address, and the word."""
STATES = {
    "PENDING": ("waiting", "Waiting"),
    "SUCCEEDED": ("paid", "Paid"),
    "FAILED": ("unpaid", "Not paid"),
    "CANCELLING": ("waiting", "Cancelling"),
    "CANCELLED": ("unpaid", "Cancelled"),
    "UNRESOLVED": ("person", "Needs a person"),
}
"""Status to tone and word."""


class Frame:
    """Opens pages to operators, and puts the navigation around them.

    `attention` counts what waits for a person.
    """

    def __init__(
        self,
        site: Site,
        door: Door,
        attention: Callable[[], Awaitable[int]],
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        """`more` are sections that not every console has."""
        self._sections = (*SECTIONS, *more)
        self.site = site
        self._door = door
        self._attention = attention

    def route(self, path: str, shown: Shown, methods: tuple[str, ...] = ("GET",)) -> Route:
        """A page of the console, for who has signed in."""

        async def endpoint(request: Request) -> Response:
            # A part of a page is what the page asks for by itself, to be live.
            person = await self._door.person(request, is_use="part" not in request.query_params)
            return to_sign_in(request) if person is None else await shown(request, person)

        return Route(path, endpoint, methods=list(methods))

    async def page(
        self, template: str, person: Person, section: str, *, status: int = 200, **values: Any
    ) -> Response:
        """A page inside the frame."""
        return self.site.page(
            f"console/{template}",
            status=status,
            csrf=person.csrf,
            person=person.name,
            sections=self._sections,
            section=section,
            attention=await self._attention(),
            **WORDS,
            **values,
        )


def places_of(currency: str) -> int:
    """How many digits stand behind the point (ISO 4217)."""
    return EXPONENTS.get(currency, 2)


def number_text(value: int, currency: str, group: str = "\u2009") -> str:
    """`12 300`, `8.50`: minor units with the currency's own decimals."""
    places = places_of(currency)
    digits = str(value).zfill(places + 1)
    whole, part = (digits[:-places], "." + digits[-places:]) if places else (digits, "")
    return f"{int(whole):,}".replace(",", group) + part


def amount_text(value: int, currency: str) -> str:
    """`12 300 JPY`."""
    return f"{number_text(value, currency)}\u00a0{currency}"


def moment(at: datetime | None, *, exact: bool = False) -> str:
    """UTC, to the second or the millisecond."""
    if at is None:
        return ""
    return at.isoformat(sep=" ", timespec="milliseconds" if exact else "seconds")[:-6]


WORDS: dict[str, Any] = {
    "states": STATES,
    "amount_text": amount_text,
    "places_of": places_of,
    "moment": moment,
}
"""What every template of the console may call."""

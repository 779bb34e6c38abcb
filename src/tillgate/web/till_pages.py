"""The till's page, `/till`. What it does with money it does through `/v1`; here stands only what a
cashier's page needs to know before: the place, the currencies, the words of a language.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.access import Caller, Permission, may
from tillgate.core.money import EXPONENTS
from tillgate.gateway.registry import Registry
from tillgate.merchants import Merchant
from tillgate.pages import Site
from tillgate.web.door import cookies_of
from tillgate.web.people import Door, Person
from tillgate.web.sign_in import to_sign_in

LANGUAGES = ("en", "ja", "zh", "ko", "th")
"""The first one is spoken to whoever asks for none of them."""
LANGUAGE_COOKIE = "tillgate_language"

CURRENCY_OF_REGION = {
    "AE": "AED",
    "AU": "AUD",
    "CH": "CHF",
    "CN": "CNY",
    "GB": "GBP",
    "HK": "HKD",
    "ID": "IDR",
    "JP": "JPY",
    "KH": "KHR",
    "KR": "KRW",
    "LK": "LKR",
    "MN": "MNT",
    "MO": "MOP",
    "MY": "MYR",
    "NZ": "NZD",
    "PH": "PHP",
    "QA": "QAR",
    "SG": "SGD",
    "TH": "THB",
    "TR": "TRY",
    "TW": "TWD",
    "US": "USD",
    "VN": "VND",
    **dict.fromkeys(
        ("AT", "BE", "DE", "ES", "FI", "FR", "GR", "IE", "IT", "LU", "NL", "PT"), "EUR"
    ),
}
"""What tills of a region begin with (ISO 3166 to ISO 4217); a cashier may choose another one."""


class TillPages:
    """The page, with what it needs."""

    def __init__(
        self, site: Site, door: Door, registry: Registry, *, is_demo: bool = False
    ) -> None:
        """In the demonstration the page beside it may hand over a code."""
        self._site = site
        self._door = door
        self._registry = registry
        self._is_demo = is_demo
        self._words = {language: read_words(language) for language in LANGUAGES}

    def routes(self) -> list[Route]:
        """What to mount."""
        return [Route("/till", self.till, methods=["GET"])]

    async def till(self, request: Request) -> Response:
        """The page, for who has signed in."""
        person = await self._door.person(request)
        if person is None:
            return to_sign_in(request)
        merchant = self._registry.merchants.get(person.caller.merchant_id or "")
        places = places_of(merchant, person.caller) if merchant else []
        if merchant is None or not places or not may(person.caller, Permission.PAY):
            return self._site.page("till/no_place.html", status=403, csrf=person.csrf)
        return self._page(request, person, merchant, places)

    def _page(
        self, request: Request, person: Person, merchant: Merchant, places: list[dict[str, Any]]
    ) -> Response:
        lang = language_of(request)
        words = self._words[lang]
        currencies = {merchant.settlement_currency, *CURRENCY_OF_REGION.values()}
        currency = CURRENCY_OF_REGION.get(merchant.region, merchant.settlement_currency)
        first = places[0]["ids"]
        facts = {
            "lang": lang,
            "words": words,
            "exponents": EXPONENTS,
            "places": places,
            "may_refund": may(person.caller, Permission.REFUND),
            "is_demo": self._is_demo,
            "camera": self._site.static("till/camera.js"),
        }
        return self._site.page(
            "till/till.html",
            lang=lang,
            languages={each: self._words[each]["language"] for each in LANGUAGES},
            words=words,
            csrf=person.csrf,
            facts=facts,
            merchant_name=merchant.name,
            store_name=merchant.stores[first["store_id"]].name,
            terminal_id=first["terminal_id"],
            places=places,
            currency=currency,
            currencies=sorted(currencies),
        )


def places_of(merchant: Merchant, caller: Caller) -> list[dict[str, Any]]:
    """Where the caller may sell: open terminals of open stores, each with its name."""
    if merchant.is_closed:
        return []
    return [
        {
            "name": f"{store.name} {terminal.id}",
            "of": merchant.id,
            "ids": {"store_id": store.id, "terminal_id": terminal.id},
        }
        for store in merchant.stores.values()
        for terminal in store.terminals.values()
        if caller.store_id in (None, store.id)
        and caller.terminal_id in (None, terminal.id)
        and not (store.is_closed or terminal.is_closed)
    ]


def language_of(request: Request) -> str:
    """What was chosen, else the first of the browser's languages that we speak."""
    chosen = cookies_of(request).get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for named in request.headers.get("accept-language", "").split(","):
        code = named.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return LANGUAGES[0]


def read_words(language: str) -> Mapping[str, str]:
    """All words of a language."""
    text = (files("tillgate.web") / "words" / f"{language}.toml").read_text("utf-8")
    return tomllib.loads(text)

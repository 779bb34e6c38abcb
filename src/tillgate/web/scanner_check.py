"""`/till/scanner-check`: whether a store's scanner reads every kind of payment code.

The guide's first demand on an acquirer ("Step 1: Identify the code value"): its tills must read
codes of 16 to 24 digits, as bars and as QR, and carry up to 32. The codes here are made for this
sheet; their issuer's digits are zeros, nobody has them, and they are sent nowhere.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cache

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.code_images import code128_png, qr_png
from tillgate.pages import Site
from tillgate.web.people import Door
from tillgate.web.print import sheet_pdf
from tillgate.web.sign_in import to_sign_in
from tillgate.web.till_pages import language_of, read_words

LENGTHS = (*range(16, 25), 32)
PREFIXES = range(25, 31)


@dataclass(frozen=True, slots=True)
class SheetCode:
    """One code of the sheet.

    Attributes:
        symbology: `QR` or `Code 128`.
        png: how it looks.
    """

    digits: str
    symbology: str
    png: bytes

    @property
    def address(self) -> str:
        """The picture as a `data:` address."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@cache
def sheet_codes() -> tuple[SheetCode, ...]:
    """Every length as bars and as QR, and every prefix; the same each time."""
    made = []
    for number, length in enumerate(LENGTHS * 2):
        prefix = PREFIXES[number % len(PREFIXES)]
        # Every digit stands in some place of some code, and no two codes are the same.
        filler = "1234567890987654321012345678909876"
        digits = f"{prefix}0000{number + 1:02}{filler}"[:length]
        is_bars = number < len(LENGTHS)
        draw, name = (code128_png, "Code 128") if is_bars else (qr_png, "QR")
        made.append(SheetCode(digits, name, draw(digits)))
    return tuple(made)


class ScannerCheck:
    """The page and its PDF, with what they need."""

    def __init__(self, site: Site, door: Door) -> None:
        self._site = site
        self._door = door

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/till/scanner-check", self.show, methods=["GET"]),
            Route("/till/scanner-check.pdf", self.pdf, methods=["GET"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page, for who has signed in."""
        person = await self._door.person(request)
        if person is None:
            return to_sign_in(request)
        lang = language_of(request)
        words = read_words(lang)
        return self._site.page(
            "till/scanner_check.html",
            lang=lang,
            words=words,
            codes=sheet_codes(),
            facts={
                "lang": lang,
                "words": words,
                "codes": [each.digits for each in sheet_codes()],
                "place": "/".join(
                    each
                    for each in (
                        person.caller.merchant_id,
                        person.caller.store_id,
                        person.caller.terminal_id,
                    )
                    if each
                ),
            },
        )

    async def pdf(self, request: Request) -> Response:
        """The sheet, to print and keep beside the till."""
        if await self._door.person(request) is None:
            return to_sign_in(request)
        codes = [(each.digits, each.symbology, each.png) for each in sheet_codes()]
        return Response(
            sheet_pdf(codes),
            headers={
                "Content-Disposition": 'inline; filename="scanner-check.pdf"',
                "X-Content-Type-Options": "nosniff",
            },
            media_type="application/pdf",
        )

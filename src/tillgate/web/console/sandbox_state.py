"""The network's state, where a sandbox plays it: what testers made it do, and whether its books
agree.

Nothing is changed from here: whoever tests has the sandbox's own API and pages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.web.console.frame import Frame
from tillgate.web.people import Person

SECTION = ("sandbox", "Sandbox")
LIMIT_S = 3.0
"""How long a page waits for it: its books are reckoned anew each time."""
PARTS = ("clock", "faults", "rules", "ledger/check")

Fetch = Callable[[str, float], Awaitable[Any]]


class SandboxState:
    """The page, with what it needs: where the sandbox is, and how it is asked."""

    def __init__(self, frame: Frame, url: str, fetch: Fetch) -> None:
        self._frame = frame
        self._url = url
        self._fetch = fetch

    def routes(self) -> list[Route]:
        """What to mount."""
        return [self._frame.route("/console/sandbox", self.show)]

    async def show(self, request: Request, person: Person) -> Response:
        """What it says of itself, part by part; what it does not say is said to be so."""
        found = await asyncio.gather(
            *(self._fetch(f"{self._url}/sandbox/{part}", LIMIT_S) for part in PARTS),
            return_exceptions=True,
        )
        known = [None if isinstance(part, BaseException) else part for part in found]
        clock, faults, rules, books = known
        return await self._frame.page(
            "sandbox.html",
            person,
            "sandbox",
            url=self._url,
            is_there=any(part is not None for part in known),
            clock=clock,
            faults=faults and faults["faults"],
            rules=rules["rules"] if rules else [],
            books=books,
        )

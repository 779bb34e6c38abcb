"""Who looks at a page: what pages need to know of a signed-in person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starlette.requests import Request

from tillgate.core.access import Caller


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody signed in.

    Attributes:
        name: as they sign in.
        caller: what they may do, as a caller of the API.
        csrf: what a form of theirs carries in `csrf`, and a module in `X-CSRF-Token`.
    """

    name: str
    caller: Caller
    csrf: str


class Door(Protocol):
    """Lets people in."""

    async def person(self, request: Request, *, is_use: bool = True) -> Person | None:
        """Who has signed in, None where nobody has: the page then leads to the sign-in. Without
        `is_use` nobody did anything: a page renews itself.

        Raises:
            StoreError: nobody can say.
        """
        ...

"""Merchants with their stores and terminals, keys, and the people who sign in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.gateway.registry import Registry
from tillgate.store import Store
from tillgate.store.accounts import load_accounts
from tillgate.store.registry import load_audit, load_keys
from tillgate.web.console.frame import Frame
from tillgate.web.people import Person

LIMIT = 200
"""Of each list; the command line has them all."""


class RegistryPages:
    """The pages, with what they need."""

    def __init__(self, frame: Frame, store: Store, registry: Registry) -> None:
        self._frame = frame
        self._store = store
        self._registry = registry

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            self._frame.route("/console/merchants", self.merchants),
            self._frame.route("/console/people", self.people),
            self._frame.route("/console/audit", self.audit),
        ]

    async def merchants(self, request: Request, person: Person) -> Response:
        """Merchants and their keys."""
        merchants = list(self._registry.merchants.values())
        return await self._frame.page(
            "merchants.html",
            person,
            "merchants",
            merchants=merchants[:LIMIT],
            more=max(0, len(merchants) - LIMIT),
            keys=await load_keys(self._store, None, "", LIMIT),
        )

    async def people(self, request: Request, person: Person) -> Response:
        """Who signs in."""
        people = await load_accounts(self._store, "", LIMIT)
        merchants = list(self._registry.merchants)
        return await self._frame.page(
            "people.html", person, "people", people=people, merchants=merchants
        )

    async def audit(self, request: Request, person: Person) -> Response:
        """What operators did, newest first."""
        acts = await load_audit(self._store, None, LIMIT)
        return await self._frame.page("audit.html", person, "audit", acts=acts)

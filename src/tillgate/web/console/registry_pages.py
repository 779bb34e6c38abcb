"""Merchants with their stores and terminals, keys, and the people who sign in."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.gateway.registry import Registry
from tillgate.store import Sql, Store
from tillgate.store.accounts import load_accounts
from tillgate.store.registry import load_audit, load_keys
from tillgate.store.rows import from_microseconds
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
            self._frame.route("/console/webhooks", self.webhooks),
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

    async def webhooks(self, request: Request, person: Person) -> Response:
        """Where merchants are told, and how it goes: the oldest event that waits is the lag."""
        rows = await self._store.report(
            Sql(
                "SELECT endpoint_id, merchant_id, url, status, paused_reason, failing_since,"
                " (SELECT count(*) FROM webhook_delivery AS d WHERE d.endpoint_id ="
                " webhook_endpoint.endpoint_id AND d.state = 'pending') AS waiting,"
                " (SELECT min(created_at) FROM webhook_delivery AS d WHERE d.endpoint_id ="
                " webhook_endpoint.endpoint_id AND d.state = 'pending') AS oldest"
                " FROM webhook_endpoint ORDER BY status DESC, endpoint_id LIMIT ?",
                (LIMIT,),
            )
        )
        endpoints = [
            dict(row)
            | {"oldest": None if row["oldest"] is None else from_microseconds(row["oldest"])}
            for row in rows
        ]
        return await self._frame.page("webhooks.html", person, "webhooks", endpoints=endpoints)

    async def audit(self, request: Request, person: Person) -> Response:
        """What operators did, newest first."""
        acts = await load_audit(self._store, None, LIMIT)
        return await self._frame.page("audit.html", person, "audit", acts=acts)

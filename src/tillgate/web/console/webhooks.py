"""Where merchants are told, and what became of each telling: looked at here, and sent again."""

from __future__ import annotations

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.errors import WebhookNotFound
from tillgate.core.webhooks import DeliveryState
from tillgate.gateway.webhook_office import WebhookOffice
from tillgate.store import Sql
from tillgate.store.rows import from_microseconds
from tillgate.store.webhook_log import list_deliveries
from tillgate.web.console.frame import Frame
from tillgate.web.people import Person

LIMIT = 200
"""Endpoints in the list; the command line has them all."""
PAGE = 50
"""Deliveries at once."""


class WebhookPages:
    """The pages, with what they need."""

    def __init__(self, frame: Frame, office: WebhookOffice) -> None:
        self._frame = frame
        self._office = office

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            self._frame.route("/console/webhooks", self.find),
            self._frame.route("/console/webhooks/{id}", self.show),
        ]

    async def find(self, request: Request, person: Person) -> Response:
        """All endpoints, those that need somebody first: the oldest event that waits is the lag."""
        rows = await self._office.store.report(
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

    async def show(self, request: Request, person: Person) -> Response:
        """One endpoint and its deliveries, newest event first."""
        try:
            endpoint = await self._office.find(request.path_params["id"])
        except WebhookNotFound:
            return await self._frame.page(
                "webhook.html", person, "webhooks", status=404, endpoint=None
            )
        asked = request.query_params.get("state", "")
        state = DeliveryState(asked) if asked in set(DeliveryState) else None
        found = await list_deliveries(
            self._office.store,
            endpoint.endpoint_id,
            state=state,
            before=_behind(request.query_params.get("before", "")),
            limit=PAGE + 1,
        )
        return await self._frame.page(
            "webhook.html",
            person,
            "webhooks",
            endpoint=endpoint,
            deliveries=found[:PAGE],
            older=found[PAGE - 1] if len(found) > PAGE else None,
            state=state,
            delivery_states=list(DeliveryState),
        )


def _behind(text: str) -> tuple[datetime, str] | None:
    """The end of the page before, as this page wrote it; anything else is the first page."""
    at, _, event_id = text.partition(" ")
    try:
        return datetime.fromisoformat(at), event_id
    except ValueError:
        return None

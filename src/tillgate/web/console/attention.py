"""What waits for a person: found here, and counted in the navigation of every page."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.clock import Clock
from tillgate.core.model import Status
from tillgate.core.refund_model import RefundStatus
from tillgate.store import Sql, Store
from tillgate.store.refunds import list_refunds
from tillgate.store.reports import (
    HAS_ALERT,
    IS_NOT_WELL,
    Wanted,
    list_alerts,
    list_payments,
)
from tillgate.store.rows import from_microseconds, to_microseconds
from tillgate.web.console.frame import Frame
from tillgate.web.people import Person

LIMIT = 100
"""Of each kind; older ones come up as these are done."""
STUCK = timedelta(minutes=15)
"""A cancel that goes on for so long: ADR 0011 gives up asking then."""
NOTICES = timedelta(days=7)
"""How long an alert, and a notification of an unknown payment, is shown."""
COUNTED_FOR = timedelta(seconds=5)
"""How old the count in the navigation may be."""

_COUNT = (
    f"SELECT (SELECT count(*) FROM payment WHERE status = 'UNRESOLVED' AND {IS_NOT_WELL})"
    " + (SELECT count(*) FROM refund WHERE status = 'UNRESOLVED')"
    f" + (SELECT count(*) FROM payment WHERE status = 'CANCELLING' AND {IS_NOT_WELL}"
    " AND changed_at < ?)"
    " + (SELECT count(*) FROM webhook_endpoint WHERE status = 'paused')"
    " + (SELECT count(*) FROM unmatched_notification WHERE received_at > ?)"
    f" + (SELECT count(*) FROM payment_event WHERE {HAS_ALERT} AND at > ?"
    " AND status <> 'UNRESOLVED')"
    f" + (SELECT count(*) FROM refund_event WHERE {HAS_ALERT} AND at > ?"
    " AND status <> 'UNRESOLVED') AS count"
)


class Attention:
    """The count and the page."""

    def __init__(self, store: Store, clock: Clock, frame: Frame | None = None) -> None:
        self.frame = frame
        self._store = store
        self._clock = clock
        self._counted = (clock.now() - 2 * COUNTED_FOR, 0)

    def routes(self) -> list[Route]:
        """What to mount."""
        assert self.frame is not None
        return [self.frame.route("/console/attention", self.show)]

    async def count(self) -> int:
        """How many things wait, some seconds old at most."""
        now = self._clock.now()
        if now - self._counted[0] > COUNTED_FOR:
            stuck, noticed = to_microseconds(now - STUCK), to_microseconds(now - NOTICES)
            [row] = await self._store.report(Sql(_COUNT, (stuck, noticed, noticed, noticed)))
            self._counted = (now, row["count"])
        return self._counted[1]

    async def show(self, request: Request, person: Person) -> Response:
        """All of it, newest first."""
        assert self.frame is not None
        now = self._clock.now()
        cancelling = await list_payments(self._store, Wanted(statuses=(Status.CANCELLING,)), LIMIT)
        return await self.frame.page(
            "attention.html",
            person,
            "attention",
            unresolved=await list_payments(
                self._store, Wanted(statuses=(Status.UNRESOLVED,)), LIMIT
            ),
            stuck=[each for each in cancelling if now - each.changed_at >= STUCK],
            refunds=await list_refunds(
                self._store, status=RefundStatus.UNRESOLVED, before=None, limit=LIMIT
            ),
            paused=await self._rows(
                "SELECT endpoint_id, merchant_id, url, paused_reason, changed_at FROM"
                " webhook_endpoint WHERE status = 'paused' ORDER BY changed_at DESC LIMIT ?",
                LIMIT,
            ),
            alerts=await list_alerts(self._store, now - NOTICES, LIMIT),
            notices=await self._rows(
                "SELECT payment_request_id, payment_id, outcome, code, amount, received_at AS"
                " changed_at FROM unmatched_notification WHERE received_at > ? ORDER BY id DESC"
                " LIMIT ?",
                to_microseconds(now - NOTICES),
                LIMIT,
            ),
        )

    async def _rows(self, text: str, *values: int) -> list[dict[str, Any]]:
        rows = await self._store.report(Sql(text, values))
        return [dict(row) | {"at": from_microseconds(row["changed_at"])} for row in rows]

"""What merchants do with their webhook endpoints: make, change, pause, resume, rotate, replay,
test. Each refusal is a `RequestError`; nothing was saved then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from tillgate.clock import Clock
from tillgate.core.errors import (
    RequestError,
    StaleVersion,
    TooManyEvents,
    TooManyWebhooks,
    WebhookEventNotFound,
    WebhookNotActive,
    WebhookNotFound,
    WebhookUrlRefused,
    WebhookUrlTaken,
)
from tillgate.core.model import PaymentRequestId
from tillgate.core.webhook_address import AddressRefused
from tillgate.core.webhook_signing import KEY_BYTES, secret_of
from tillgate.core.webhooks import TEST_TYPE, EndpointStatus
from tillgate.gateway.announce import payload_of
from tillgate.gateway.sealing import Sealer
from tillgate.gateway.webhook_secrets import Secret, rotated, seal_secrets, unseal_secrets
from tillgate.store import MerchantEvent, Sql, Store
from tillgate.store.registry import Noting
from tillgate.store.webhook_endpoints import (
    Changes,
    Endpoint,
    TooMany,
    UrlTaken,
    activate_endpoint,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    load_endpoint,
    pause_endpoint,
    replace_secrets,
)
from tillgate.store.webhook_log import (
    events_between,
    insert_delivery,
    load_delivery,
    replay,
)
from tillgate.store.webhooks import Delivery, hurry
from tillgate.webhook_transport import WebhookTransport

ENDPOINTS_MAX = 16
"""Of one merchant. Stripe's limit."""
REPLAY_MAX = 10_000
"""Events of one replay: some seconds of work, a MiB of ids. Ours."""
REPLAY_SPAN_MAX = timedelta(days=30)
"""How far a replay reaches back. Stripe keeps events for as long."""
REPLAYED_AT_ONCE = 100
ROTATION_TRIES = 3


@dataclass(frozen=True, slots=True)
class WithSecret:
    """An endpoint with its newest secret, which is told only now."""

    endpoint: Endpoint
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOffice:
    """The use cases, with what they need.

    Attributes:
        draw_id: a new id with this prefix.
        draw_key: so many random bytes.
        nudge: tells the deliverer that something may be due.
    """

    store: Store
    transport: WebhookTransport
    sealer: Sealer
    clock: Clock
    draw_id: Callable[[str, datetime], str]
    draw_key: Callable[[int], bytes]
    nudge: Callable[[], None]

    async def create(
        self,
        merchant_id: str,
        url: str,
        description: str | None,
        event_types: tuple[str, ...] | None,
        noting: Noting | None = None,
    ) -> WithSecret:
        """Make an endpoint. It is told what happens from now on.

        Raises:
            WebhookUrlRefused, WebhookUrlTaken, TooManyWebhooks: see there.
        """
        await self._check(url)
        now, key = self.clock.now(), self.draw_key(KEY_BYTES)
        endpoint_id = self.draw_id("we", now)
        endpoint = Endpoint(
            endpoint_id=endpoint_id,
            merchant_id=merchant_id,
            url=url,
            description=description,
            event_types=event_types,
            secrets=seal_secrets(self.sealer, endpoint_id, [Secret(key)]),
            active_since=now,
            created_at=now,
            changed_at=now,
        )
        match await create_endpoint(self.store, endpoint, ENDPOINTS_MAX, noting):
            case TooMany():
                raise TooManyWebhooks(f"A merchant has at most {ENDPOINTS_MAX} endpoints.")
            case UrlTaken(other):
                raise _taken(other)
            case Endpoint() as created:
                return WithSecret(created, secret_of(key))

    async def find(self, endpoint_id: str) -> Endpoint:
        """The endpoint.

        Raises:
            WebhookNotFound: there is none.
        """
        return _found(await load_endpoint(self.store, endpoint_id))

    async def change(
        self,
        endpoint: Endpoint,
        changes: Changes,
        noting: Noting | None = None,
    ) -> Endpoint:
        """Replace address, description or types. What waits goes to the new address.

        Raises:
            WebhookUrlRefused, WebhookUrlTaken, WebhookNotFound: see there.
        """
        url = changes.get("url", endpoint.url)
        if isinstance(url, str) and url != endpoint.url:
            await self._check(url)
        changed = await change_endpoint(
            self.store, endpoint.endpoint_id, self.clock.now(), changes, noting
        )
        if isinstance(changed, UrlTaken):
            raise _taken(changed.endpoint_id)
        return _found(changed)

    async def rotate(
        self, endpoint: Endpoint, overlap: timedelta, noting: Noting | None = None
    ) -> WithSecret:
        """Sign with a new secret, and with those before until the overlap is over.

        Raises:
            WebhookNotFound: it was deleted meanwhile.
            StaleVersion: somebody else rotates at the same moment.
        """
        key = self.draw_key(KEY_BYTES)
        for _ in range(ROTATION_TRIES):
            now, endpoint_id = self.clock.now(), endpoint.endpoint_id
            before = unseal_secrets(self.sealer, endpoint_id, endpoint.secrets)
            sealed = seal_secrets(self.sealer, endpoint_id, rotated(before, key, now, overlap))
            changed = await replace_secrets(
                self.store, endpoint_id, endpoint.secrets, sealed, now, noting
            )
            if changed is not None:
                return WithSecret(changed, secret_of(key))
            endpoint = await self.find(endpoint_id)
        raise StaleVersion("somebody else rotates this endpoint's secret")

    async def pause(self, endpoint: Endpoint, noting: Noting | None = None) -> Endpoint:
        """Send nothing there, and keep what happens. The same again is harmless."""
        now = self.clock.now()
        return _found(await pause_endpoint(self.store, endpoint.endpoint_id, now, noting))

    async def resume(self, endpoint: Endpoint, noting: Noting | None = None) -> Endpoint:
        """Send what waits, in the order in which it happened, and what is to come. Of an active one
        all that waits is tried at once.
        """
        now = self.clock.now()
        active = _found(await activate_endpoint(self.store, endpoint.endpoint_id, now, noting))
        await hurry(self.store, endpoint.endpoint_id, now)
        self.nudge()
        return active

    async def delete(self, endpoint: Endpoint, noting: Noting | None = None) -> None:
        """Forget it, and all that was kept for it."""
        await delete_endpoint(self.store, endpoint.endpoint_id, noting)

    async def replay_one(
        self, endpoint: Endpoint, event_id: str, noting: Noting | None = None
    ) -> Delivery:
        """Send an event of the merchant (again), also one that the endpoint did not ask for.

        Raises:
            WebhookNotActive: it was disabled.
            WebhookEventNotFound: the merchant has no such event.
        """
        _refuse_disabled(endpoint)
        noted = noting.row(endpoint.endpoint_id, {"event_id": event_id}) if noting else None
        await replay(self.store, endpoint, [event_id], self.clock.now(), noted)
        self.nudge()
        delivery = await load_delivery(self.store, endpoint.endpoint_id, event_id)
        if delivery is None:
            raise WebhookEventNotFound("There is no such event.")
        return delivery

    async def replay_since(
        self,
        endpoint: Endpoint,
        since: datetime,
        before: datetime | None,
        noting: Noting | None = None,
    ) -> int:
        """Send all events of a span (again) that the endpoint asks for; how many.

        Raises:
            WebhookNotActive: it was disabled.
            RequestError: it reaches back too far.
            TooManyEvents: they are too many.
        """
        _refuse_disabled(endpoint)
        now = self.clock.now()
        if since < now - REPLAY_SPAN_MAX:
            raise RequestError(
                f"A replay reaches back {REPLAY_SPAN_MAX.days} days.", path="$.since"
            )
        events = await events_between(self.store, endpoint, since, before, REPLAY_MAX)
        if len(events) > REPLAY_MAX:
            raise TooManyEvents(
                f"More than {REPLAY_MAX} events: say `before`, or a later `since`.", path="$.since"
            )
        span = {"since": since, "before": before, "events": len(events)}
        noted = noting.row(endpoint.endpoint_id, span) if noting else None
        return await self._replay(endpoint, events, now, noted)

    async def _replay(
        self, endpoint: Endpoint, events: Sequence[str], now: datetime, noted: Sql | None
    ) -> int:
        count = 0
        for first in range(0, len(events), REPLAYED_AT_ONCE):
            some = events[first : first + REPLAYED_AT_ONCE]
            count += len(await replay(self.store, endpoint, some, now, noted))
            noted = None if count else noted  # once, with the first that is sent again
            self.nudge()
        return count

    async def test(self, endpoint: Endpoint, noting: Noting | None = None) -> Delivery:
        """Send a `webhook.test` event, whatever types the endpoint asks for.

        Raises:
            WebhookNotActive: nothing is sent there.
        """
        if endpoint.status is not EndpointStatus.ACTIVE:
            raise WebhookNotActive(f"It is {endpoint.status.value}: resume it first.")
        now = self.clock.now()
        event_id = self.draw_id("evt", now)
        event = MerchantEvent(
            event_id=event_id,
            merchant_id=endpoint.merchant_id,
            store_id="",
            terminal_id="",
            payment_request_id=PaymentRequestId(event_id),  # a line of its own
            refund_request_id=None,
            sequence=1,
            type=TEST_TYPE,
            at=now,
            body=msgspec.json.encode({"webhook_endpoint_id": endpoint.endpoint_id}),
        )
        noted = noting.row(endpoint.endpoint_id, {"event_id": event_id}) if noting else None
        await insert_delivery(self.store, endpoint, event, payload_of(event), now, noted)
        self.nudge()
        delivery = await load_delivery(self.store, endpoint.endpoint_id, event_id)
        assert delivery is not None
        return delivery

    async def _check(self, url: str) -> None:
        try:
            await self.transport.check(url)
        except AddressRefused as error:
            raise WebhookUrlRefused(str(error), path="$.url") from None


def _found(endpoint: Endpoint | None) -> Endpoint:
    if endpoint is None:
        raise WebhookNotFound("There is no such endpoint.")
    return endpoint


def _taken(endpoint_id: str) -> WebhookUrlTaken:
    return WebhookUrlTaken(f"{endpoint_id} has this address.", path="$.url")


def _refuse_disabled(endpoint: Endpoint) -> None:
    if endpoint.status is EndpointStatus.DISABLED:
        raise WebhookNotActive("It answered 410 and is disabled: resume it first.")

"""The merchant's API: webhook endpoints and what became of each delivery."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import timedelta
from typing import Any

import msgspec
from starlette.responses import Response

from tillgate.core.access import Permission
from tillgate.core.errors import NotAllowed, WebhookEventNotFound, WebhookNotFound
from tillgate.core.webhooks import GIVE_UP_AFTER
from tillgate.gateway.webhook_office import WebhookOffice, WithSecret
from tillgate.store.registry import Noting
from tillgate.store.rows import from_microseconds, to_microseconds
from tillgate.store.webhook_endpoints import Endpoint, list_endpoints
from tillgate.store.webhook_log import list_deliveries, load_attempts, load_delivery
from tillgate.web.operations import Answer, Call, Handler, Operation, json_answer
from tillgate.web.problems import Problem
from tillgate.web.registry_api import act_of
from tillgate.web.requests import page_of
from tillgate.web.webhook_resources import (
    DELIVERY_PARAMS,
    ENDPOINT_PARAMS,
    EXAMPLE_URL,
    DeliveryLog,
    DeliveryPage,
    DeliveryQuery,
    DeliveryResource,
    EndpointBody,
    EndpointChange,
    EndpointPage,
    EndpointQuery,
    EndpointResource,
    ReplayBody,
    ReplayedResource,
    RotateBody,
    SecretResource,
    attempt_resource,
    delivery_resource,
    endpoint_resource,
)

GROUP = "Webhooks"
ALL = "/v1/webhook_endpoints"
ONE = ALL + "/{id}"
EVENT = ONE + "/deliveries/{event_id}"
_ID = {"id": "The endpoint's `id`."}
_EVENT_ID = _ID | {"event_id": "The event's `id`, as `webhook-id` names it."}
_NOT_FOUND = "webhook_endpoint_not_found"
_NO_EVENT = "webhook_event_not_found"
_LINKS = {
    name: {"id": "$response.body#/endpoint/id"}
    for name in ("getWebhookEndpoint", "testWebhookEndpoint", "listWebhookDeliveries")
}


class WebhooksApi:
    """The operations, with what they need. `merchants` knows every merchant's id."""

    def __init__(self, office: WebhookOffice, merchants: Callable[[], Container[str]]) -> None:
        self._office = office
        self._merchants = merchants

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            _operation(
                "createWebhookEndpoint",
                "POST",
                ALL,
                "Have events sent to an address",
                self.create,
                _answer(201, "Made. Keep the secret: it is not shown again.", SecretResource),
                "Standard Webhooks: see docs/webhooks.md for what a receiver does. It is told what"
                " happens from now on.",
                body=EndpointBody,
                body_example={"url": EXAMPLE_URL, "event_types": ["payment.succeeded"]},
                problems=(
                    "webhook_url_refused",
                    "webhook_endpoint_exists",
                    "too_many_webhook_endpoints",
                ),
                links=_LINKS,
            ),
            _operation(
                "listWebhookEndpoints",
                "GET",
                ALL,
                "List endpoints",
                self.find_all,
                _answer(200, "Oldest first.", EndpointPage),
                query=EndpointQuery,
                query_params=ENDPOINT_PARAMS,
            ),
            _operation(
                "getWebhookEndpoint",
                "GET",
                ONE,
                "Read an endpoint",
                self.read,
                _answer(200, "The endpoint as it is now.", EndpointResource),
            ),
            _operation(
                "updateWebhookEndpoint",
                "PATCH",
                ONE,
                "Change an endpoint's address, types or description",
                self.change,
                _answer(200, "The endpoint as it is now.", EndpointResource),
                "What waits goes to the new address.",
                body=EndpointChange,
                body_example={"description": "the warehouse"},
                problems=("webhook_url_refused", "webhook_endpoint_exists"),
            ),
            _operation(
                "rotateWebhookSecret",
                "POST",
                ONE + "/rotate",
                "Get a new secret",
                self.rotate,
                _answer(200, "The new secret: it is not shown again.", SecretResource),
                "Each message carries a signature for the new secret and for those of before until"
                " the overlap is over.",
                body=RotateBody,
                is_body_optional=True,
                body_example={"overlap_s": 86400},
            ),
            _operation(
                "pauseWebhookEndpoint",
                "POST",
                ONE + "/pause",
                "Send nothing for now",
                self.pause,
                _answer(200, "The endpoint as it is now.", EndpointResource),
                "What happens is kept until it is resumed.",
            ),
            _operation(
                "resumeWebhookEndpoint",
                "POST",
                ONE + "/resume",
                "Send what waits, and go on",
                self.resume,
                _answer(200, "The endpoint as it is now.", EndpointResource),
                "Also for one that was paused because it failed for 3 days, or that answered 410.",
            ),
            _operation(
                "testWebhookEndpoint",
                "POST",
                ONE + "/test",
                "Send a test event",
                self.test,
                _answer(
                    202, "A `webhook.test` event is sent; read its delivery.", DeliveryResource
                ),
                problems=("webhook_endpoint_not_active",),
            ),
            _operation(
                "listWebhookDeliveries",
                "GET",
                ONE + "/deliveries",
                "List what was sent or waits",
                self.deliveries,
                _answer(200, "Newest event first.", DeliveryPage),
                query=DeliveryQuery,
                query_params=DELIVERY_PARAMS,
            ),
            _operation(
                "getWebhookDelivery",
                "GET",
                EVENT,
                "Read a delivery with its attempts",
                self.delivery,
                _answer(200, "The delivery as it is now.", DeliveryLog),
                problems=(_NO_EVENT,),
            ),
            _operation(
                "replayWebhookEvent",
                "POST",
                EVENT + "/replay",
                "Send one event again",
                self.replay_one,
                _answer(202, "It is sent.", DeliveryResource),
                "Any event of the merchant, also one that the endpoint did not ask for.",
                problems=(_NO_EVENT, "webhook_endpoint_not_active"),
            ),
            _operation(
                "replayWebhookEvents",
                "POST",
                ONE + "/replay",
                "Send all events of a span again",
                self.replay_all,
                _answer(202, "They are sent.", ReplayedResource),
                "Those that the endpoint asks for, of the last 30 days at most, up to 10,000.",
                body=ReplayBody,
                is_body_optional=True,
                body_example={},
                problems=("invalid_request", "too_many_events", "webhook_endpoint_not_active"),
            ),
            _operation(
                "deleteWebhookEndpoint",
                "DELETE",
                ONE,
                "Delete an endpoint and its log",
                self.delete,
                Answer(status=204, description="It is gone."),
            ),
        ]

    async def create(self, call: Call) -> Response:
        """Make one."""
        body: EndpointBody = call.body
        merchant_id = self._merchant_of(call, body.merchant_id)
        types = _types(body.event_types)
        made = await self._office.create(
            merchant_id, body.url, body.description, types, self._noting(call, "create")
        )
        location = {"Location": f"{ALL}/{made.endpoint.endpoint_id}"}
        return json_answer(_with_secret(made), 201, location)

    async def find_all(self, call: Call) -> Response:
        """One page."""
        query: EndpointQuery = call.query
        _refuse_store_keys(call)
        own = call.caller.merchant_id or query.merchant_id
        # What belongs to others is as if it were not there.
        is_mine = query.merchant_id in (None, own)
        found = (
            await list_endpoints(
                self._office.store, own, after=query.cursor or "", limit=query.limit + 1
            )
            if is_mine
            else []
        )
        page, last = page_of(found, query.limit)
        resources = [endpoint_resource(each) for each in page]
        return json_answer(EndpointPage(resources, last.endpoint_id if last else None))

    async def read(self, call: Call) -> Response:
        """One endpoint."""
        return json_answer(endpoint_resource(await self._endpoint(call)))

    async def change(self, call: Call) -> Response:
        """Replace what the body names."""
        body: EndpointChange = call.body
        endpoint = await self._endpoint(call)
        changes: dict[str, str | tuple[str, ...] | None] = {}
        if body.url is not msgspec.UNSET:
            changes["url"] = body.url
        if body.description is not msgspec.UNSET:
            changes["description"] = body.description
        if body.event_types is not msgspec.UNSET:
            changes["event_types"] = _types(body.event_types)
        changed = await self._office.change(endpoint, changes, self._noting(call, "change"))
        return json_answer(endpoint_resource(changed))

    async def rotate(self, call: Call) -> Response:
        """Draw a new secret."""
        endpoint, body = await self._endpoint(call), call.body or RotateBody()
        overlap = timedelta(seconds=body.overlap_s)
        return json_answer(
            _with_secret(await self._office.rotate(endpoint, overlap, self._noting(call, "rotate")))
        )

    async def pause(self, call: Call) -> Response:
        """Send nothing for now."""
        endpoint = await self._endpoint(call)
        paused = await self._office.pause(endpoint, self._noting(call, "pause"))
        return json_answer(endpoint_resource(paused))

    async def resume(self, call: Call) -> Response:
        """Send what waits."""
        endpoint = await self._endpoint(call)
        active = await self._office.resume(endpoint, self._noting(call, "resume"))
        return json_answer(endpoint_resource(active))

    async def delete(self, call: Call) -> Response:
        """Forget it."""
        await self._office.delete(await self._endpoint(call), self._noting(call, "delete"))
        return Response(status_code=204)

    async def deliveries(self, call: Call) -> Response:
        """One page."""
        query: DeliveryQuery = call.query
        endpoint = await self._endpoint(call)
        found = await list_deliveries(
            self._office.store,
            endpoint.endpoint_id,
            state=query.status,
            before=_read_cursor(query.cursor),
            limit=query.limit + 1,
        )
        page, last = page_of(found, query.limit)
        cursor = f"{to_microseconds(last.created_at)}-{last.event_id}" if last else None
        return json_answer(DeliveryPage([delivery_resource(each) for each in page], cursor))

    async def delivery(self, call: Call) -> Response:
        """One delivery with its attempts."""
        key = (await self._endpoint(call)).endpoint_id, call.path("event_id")
        found = await load_delivery(self._office.store, *key)
        if found is None:
            raise WebhookEventNotFound("There is no such event.")
        attempts = await load_attempts(self._office.store, *key)
        resources = [attempt_resource(each) for each in attempts]
        return json_answer(DeliveryLog(delivery_resource(found), resources))

    async def replay_one(self, call: Call) -> Response:
        """Send one again."""
        endpoint = await self._endpoint(call)
        delivery = await self._office.replay_one(
            endpoint, call.path("event_id"), self._noting(call, "replay")
        )
        return json_answer(delivery_resource(delivery), 202)

    async def replay_all(self, call: Call) -> Response:
        """Send those of a span again."""
        endpoint, body = await self._endpoint(call), call.body or ReplayBody()
        since = body.since or self._office.clock.now() - GIVE_UP_AFTER
        noting = self._noting(call, "replay")
        count = await self._office.replay_since(endpoint, since, body.before, noting)
        return json_answer(ReplayedResource(count), 202)

    async def test(self, call: Call) -> Response:
        """Send a test event."""
        delivery = await self._office.test(await self._endpoint(call), self._noting(call, "test"))
        return json_answer(delivery_resource(delivery), 202)

    def _noting(self, call: Call, what: str) -> Noting:
        return Noting(act_of(call, self._office.clock), f"webhook.{what}")

    async def _endpoint(self, call: Call) -> Endpoint:
        """The one that the path names; another merchant's is not there."""
        _refuse_store_keys(call)
        endpoint = await self._office.find(call.path("id"))
        if call.caller.merchant_id not in (None, endpoint.merchant_id):
            raise WebhookNotFound("There is no such endpoint.")
        return endpoint

    def _merchant_of(self, call: Call, named: str | None) -> str:
        _refuse_store_keys(call)
        own = call.caller.merchant_id
        if own is not None:
            if named not in (None, own):
                raise Problem("invalid_field", "Your key is another's.", path="$.merchant_id")
            return own
        if named is None:
            raise Problem("missing_field", "Say whose it is.", path="$.merchant_id")
        if named not in self._merchants():
            raise Problem("invalid_field", "There is no such merchant.", path="$.merchant_id")
        return named


def _refuse_store_keys(call: Call) -> None:
    """An endpoint hears of all stores, so it is not for a key that knows one."""
    if call.caller.store_id is not None:
        raise NotAllowed("Webhooks are for keys that reach all stores of the merchant.")


def _types(given: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else tuple(dict.fromkeys(given))


def _with_secret(made: WithSecret) -> SecretResource:
    return SecretResource(secret=made.secret, endpoint=endpoint_resource(made.endpoint))


def _read_cursor(text: str | None) -> Any:
    if text is None:
        return None
    at, _, event_id = text.partition("-")
    return from_microseconds(int(at)), event_id


def _answer(status: int, description: str, body: type[msgspec.Struct]) -> Answer:
    headers = {"Location": "Where to read it again."} if status == 201 else {}
    return Answer(status=status, description=description, body=body, headers=headers)


def _operation(
    name: str,
    method: str,
    path: str,
    summary: str,
    handler: Handler,
    answer: Answer,
    description: str = "",
    *,
    problems: tuple[str, ...] = (),
    **more: Any,
) -> Operation:
    params = _EVENT_ID if "{event_id}" in path else _ID if "{id}" in path else {}
    return Operation(
        name=name,
        method=method,
        path=path,
        group=GROUP,
        summary=summary,
        description=description,
        permission=Permission.WEBHOOKS,
        path_params=params,
        answers=(answer,),
        problems=(*problems, _NOT_FOUND) if params else problems,
        handler=handler,
        **more,
    )

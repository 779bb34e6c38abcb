"""`GET /v1/events`: what happens to payments, live, as server-sent events that resume."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Annotated, Any

import msgspec
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tillgate.clock import Clock
from tillgate.core.access import Caller, Permission
from tillgate.core.errors import StoreError
from tillgate.gateway.announce import payload_of
from tillgate.gateway.registry import Registry
from tillgate.gateway.resources import iso
from tillgate.gateway.streams import Listener, Streams
from tillgate.store import Placed, Store
from tillgate.store.tickets import keep_ticket, take_ticket
from tillgate.web.operations import Answer, Call, Header, Operation, json_answer
from tillgate.web.problems import Problem

GROUP = "Events"
MEDIA_TYPE = "text/event-stream"
TICKET_LIFE = timedelta(seconds=30)
"""Long enough for a page to open its stream. Ours."""
HEARTBEAT_S = 15
"""A comment this often keeps proxies from closing a quiet stream (WHATWG HTML, 9.2.7)."""
RETRY_MS = 2000
POSITION_MAX = 2**62
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

LAST_EVENT_ID = Header(
    name="Last-Event-ID",
    description="The `id` of the last event that was seen: the stream goes on behind it.",
    example="1041",
    pattern=r"^[0-9]{1,18}$",
    problems=("invalid_parameter",),
)


class StreamQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What an address may say in place of headers."""

    ticket: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    last_event_id: Annotated[int, msgspec.Meta(ge=0, le=POSITION_MAX)] | None = None


class StreamedEvent(msgspec.Struct, frozen=True):
    """One event of the stream; `data` is the JSON that webhooks carry."""

    id: str
    event: str
    data: str


class TicketResource(msgspec.Struct, frozen=True):
    """Opens one stream, once, until then. It is no key: it opens nothing else."""

    ticket: str
    expires_at: str


class StreamApi:
    """The operations, with what they need."""

    def __init__(
        self,
        store: Store,
        streams: Streams,
        registry: Registry,
        admit: Callable[[Any], Caller],
        clock: Clock,
        draw_token: Callable[[], str],
    ) -> None:
        self._store = store
        self._streams = streams
        self._registry = registry
        self._admit = admit
        self._clock = clock
        self._draw_token = draw_token

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="streamEvents",
                method="GET",
                path="/v1/events",
                group=GROUP,
                summary="Follow what happens, live",
                description="Server-sent events: `id`, `event` (the type) and `data`, the same JSON"
                " that webhooks carry. Without `Last-Event-ID` it begins now, and"
                " says at once where that is. A comment comes every"
                f" {HEARTBEAT_S} s. A till hears of its own store only. Wants a key in the header,"
                " or a ticket.",
                permission=None,
                headers=(LAST_EVENT_ID,),
                query=StreamQuery,
                query_params={
                    "ticket": "In place of a key, where no header can be sent.",
                    "last_event_id": "In place of `Last-Event-ID`, likewise.",
                },
                answers=(
                    Answer(
                        status=200,
                        description="A stream that ends when either side goes.",
                        body=StreamedEvent,
                        media_type=MEDIA_TYPE,
                    ),
                ),
                problems=("unauthorized", "forbidden", "too_many_requests"),
                handler=self.stream,
            ),
            Operation(
                name="createEventTicket",
                method="POST",
                path="/v1/events/tickets",
                group=GROUP,
                summary="Get a ticket for one stream",
                description="For pages: a browser's EventSource sends no headers, and a key must"
                " never stand in an address.",
                permission=Permission.READ,
                answers=(Answer(status=201, description="The ticket.", body=TicketResource),),
                handler=self.ticket,
            ),
        ]

    async def ticket(self, call: Call) -> Response:
        """Draw one and keep its hash."""
        ticket, now = self._draw_token(), self._clock.now()
        expires_at = now + TICKET_LIFE
        await keep_ticket(self._store, _hashed(ticket), call.caller.key_id, now, expires_at)
        return json_answer(TicketResource(ticket, iso(expires_at)), 201)

    async def stream(self, call: Call) -> Response:
        """Begin to tell."""
        caller = await self._caller(call)
        if call.request.method == "HEAD":
            return Response(media_type=MEDIA_TYPE, headers=_HEADERS)
        after = _after(call)
        if after is None:
            after = await self._store.last_position()
        listener = self._streams.enter(caller)
        if listener is None:
            raise Problem(
                "too_many_requests", "Too many streams are open here.", retry_after_s=HEARTBEAT_S
            )
        return _Stream(self._told(listener, after), lambda: self._streams.leave(listener))

    async def _caller(self, call: Call) -> Caller:
        query: StreamQuery = call.query
        if query.ticket is None:
            return self._admit(call.request)
        key_id = await take_ticket(self._store, _hashed(query.ticket), self._clock.now())
        caller = self._registry.caller_by_id(key_id) if key_id else None
        if caller is None:
            raise Problem("unauthorized", "A ticket works once and for 30 s.", path="?ticket")
        return caller

    async def _told(self, listener: Listener, after: int) -> AsyncIterator[bytes]:
        # The id alone is no event (WHATWG HTML, 9.2.6), but where to go on for who loses the
        # connection before the first one.
        yield f"retry: {RETRY_MS}\nid: {after}\n\n".encode()
        quiet_s = 0
        try:
            async for batch in self._streams.listen(listener, after, pause_s=1):
                if self._registry.caller_by_id(listener.caller.key_id) is None:
                    return  # the key was revoked meanwhile
                quiet_s = 0 if batch else quiet_s + 1
                if batch:
                    yield b"".join(map(_written, batch))
                elif quiet_s % HEARTBEAT_S == 0:
                    yield b":\n\n"
        except StoreError:
            return  # the client comes again, from where it stands


class _Stream(StreamingResponse):
    """Gives its place back also where the client was gone before the first word."""

    def __init__(self, told: AsyncIterator[bytes], leave: Callable[[], None]) -> None:
        super().__init__(told, media_type=MEDIA_TYPE, headers=_HEADERS)
        self._leave = leave

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._leave()


def _after(call: Call) -> int | None:
    header = call.request.headers.get("last-event-id")
    if not header:
        after: int | None = call.query.last_event_id
        return after
    if not (header.isascii() and header.isdigit() and len(header) <= 18):
        raise Problem("invalid_parameter", "Not an id of this stream.", path="Last-Event-ID")
    return int(header)


def _written(placed: Placed) -> bytes:
    head = f"id: {placed.position}\nevent: {placed.event.type}\ndata: "
    return head.encode() + payload_of(placed.event) + b"\n\n"


def _hashed(ticket: str) -> str:
    return hashlib.sha256(ticket.encode()).hexdigest()

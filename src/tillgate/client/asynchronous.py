"""The client for asyncio, over aiohttp: the same conversations as the plain one."""

from __future__ import annotations

import asyncio
import contextlib
import http
import random
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import aiohttp

from tillgate.client.plain import QUIET_S, STREAM_PAUSE_S
from tillgate.client.talk import (
    CONNECT_S,
    PATIENCE_S,
    Answer,
    Lost,
    Page,
    Pause,
    PaymentEvent,
    Request,
    StreamEvent,
    StreamReader,
    Talk,
    Till,
    checked_address,
    checked_key,
    payment_body,
    refund_body,
    stream_refusal,
)
from tillgate.gateway.resources import PaymentResource, RefundResource

T = TypeVar("T")
_LOST = (aiohttp.ClientError, TimeoutError, OSError)


class AsyncTillgate:
    """One gateway and one key; see `Tillgate`. Use it as an async context manager."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience_s: float = PATIENCE_S,
        notice: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._base_url = checked_address(base_url)
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None
        self._till = Till(
            checked_key(api_key),
            now=time.monotonic,
            draw=random.random,
            patience_s=patience_s,
            notice=notice,
        )

    async def __aenter__(self) -> AsyncTillgate:
        """Open a pool of connections."""
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        assert self._session is not None
        await self._session.close()

    async def pay(
        self,
        code: str,
        *,
        order: str,
        currency: str,
        value: int,
        description: str | None = None,
        store_id: str | None = None,
        terminal_id: str | None = None,
        expires_in_s: int | None = None,
        idempotency_key: str | None = None,
    ) -> PaymentResource:
        """See `Tillgate.pay`."""
        body = payment_body(
            code,
            order,
            currency,
            value,
            description=description,
            store_id=store_id,
            terminal_id=terminal_id,
            expires_in_s=expires_in_s,
        )
        return await self._run(self._till.pay(body, idempotency_key or secrets.token_urlsafe(24)))

    async def get(self, payment_id: str, *, wait_s: int = 0) -> PaymentResource:
        """See `Tillgate.get`."""
        return await self._run(self._till.get(payment_id, wait_s))

    async def page(self, **query: Any) -> Page[PaymentResource]:
        """See `Tillgate.page`."""
        return await self._run(self._till.find(query))

    async def find(self, **query: Any) -> AsyncIterator[PaymentResource]:
        """See `Tillgate.find`."""
        while True:
            page = await self.page(**query)
            for payment in page.items:
                yield payment
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    async def events(self, payment_id: str) -> list[PaymentEvent]:
        """See `Tillgate.events`."""
        return await self._run(self._till.events(payment_id))

    async def cancel(self, payment_id: str) -> PaymentResource:
        """See `Tillgate.cancel`."""
        return await self._run(self._till.cancel(payment_id))

    async def refund(
        self,
        payment_id: str,
        *,
        currency: str | None = None,
        value: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> RefundResource:
        """See `Tillgate.refund`."""
        body = refund_body(currency, value, reason)
        key = idempotency_key or secrets.token_urlsafe(24)
        return await self._run(self._till.refund(payment_id, body, key))

    async def refunds(self, payment_id: str) -> AsyncIterator[RefundResource]:
        """See `Tillgate.refunds`."""
        query: dict[str, Any] = {}
        while True:
            page = await self._run(self._till.refunds(payment_id, query))
            for refund in page.items:
                yield refund
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    async def identify(self, code: str) -> dict[str, Any]:
        """See `Tillgate.identify`."""
        return await self._run(self._till.identify(code))

    async def stream(self, last_event_id: int | None = None) -> AsyncIterator[StreamEvent]:
        """See `Tillgate.stream`."""
        reader = StreamReader(last_event_id)
        while True:
            with contextlib.suppress(*_LOST):
                async for event in self._stream_once(reader):
                    yield event
            reader.clear()
            await self._sleep(STREAM_PAUSE_S)

    async def _stream_once(self, reader: StreamReader) -> AsyncIterator[StreamEvent]:
        request = self._till.stream_request(reader.position)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=QUIET_S)
        async with self._http().get(
            self._base_url + request.path,
            headers=request.headers,
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            if response.status != http.HTTPStatus.OK:
                refusal = stream_refusal(Answer(response.status, {}, await response.read()))
                if refusal is not None:
                    raise refusal
                return
            async for line in response.content:
                event = reader.read(line)
                if event is not None:
                    yield event

    async def _run(self, talk: Talk[T]) -> T:
        heard: Answer | Lost | None = None
        while True:
            try:
                asked = talk.send(heard)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(asked, Pause):
                await self._sleep(asked.seconds)
                heard = None
            else:
                heard = await self._send(asked)

    async def _send(self, request: Request) -> Answer | Lost:
        timeout = aiohttp.ClientTimeout(total=request.timeout_s, sock_connect=CONNECT_S)
        try:
            async with self._http().request(
                request.method,
                self._base_url + request.path,
                data=request.body,
                headers=request.headers,
                timeout=timeout,
                allow_redirects=False,
            ) as response:
                body = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, headers, body)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Lost(f"no connection: {error or type(error).__name__}", was_reached=False)
        except _LOST as error:
            return Lost(f"no answer: {error or type(error).__name__}", was_reached=True)

    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None, "use `async with AsyncTillgate(...) as till`"
        return self._session

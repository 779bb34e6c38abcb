"""The client for plain code: blocking calls over the standard library's HTTP, safe to share between
threads.
"""

from __future__ import annotations

import contextlib
import http.client
import random
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

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

QUIET_S = 40.0
"""A stream that says nothing for so long is gone: the gateway speaks every 15 s."""
STREAM_PAUSE_S = 1.0
_LOST = (OSError, http.client.HTTPException)


class Tillgate:
    """One gateway and one key.

    Args:
        base_url: such as `https://tills.acquirer.example`.
        api_key: `tg_live_...` or `tg_test_...`.
        patience_s: how long a call that moves money is asked for its end.
        notice: told in words why something is asked again.
        sleep: waits; tests bring their own.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        patience_s: float = PATIENCE_S,
        notice: Callable[[str], None] = lambda _: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._parts = urlsplit(checked_address(base_url))
        self._sleep = sleep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()
        self._till = Till(
            checked_key(api_key),
            now=time.monotonic,
            draw=random.random,
            patience_s=patience_s,
            notice=notice,
        )

    def __enter__(self) -> Tillgate:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close its connections."""
        self.close()

    def close(self) -> None:
        """Close its idle connections."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def pay(
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
        """Pay a scanned code and wait for the end. `value` is in minor units.

        Keep your own `idempotency_key` where a crash of the till must not lose it; without one it
        is drawn here.

        Raises:
            ApiError: it was refused; nothing was charged.
            OutcomeUnknown: nobody said in time; it carries the key to ask again with.
        """
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
        return self._run(self._till.pay(body, idempotency_key or secrets.token_urlsafe(24)))

    def get(self, payment_id: str, *, wait_s: int = 0) -> PaymentResource:
        """Read a payment, or wait for its end so long.

        Raises:
            NotFound: there is none, or it is not this key's.
        """
        return self._run(self._till.get(payment_id, wait_s))

    def page(self, **query: Any) -> Page[PaymentResource]:
        """One page of payments; the names are those of `GET /v1/payments`."""
        return self._run(self._till.find(query))

    def find(self, **query: Any) -> Iterator[PaymentResource]:
        """All payments that fit, newest first, read a page at a time."""
        while True:
            page = self.page(**query)
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def events(self, payment_id: str) -> list[PaymentEvent]:
        """A payment's timeline, oldest first."""
        return self._run(self._till.events(payment_id))

    def cancel(self, payment_id: str) -> PaymentResource:
        """Void a payment and wait until that is over.

        Raises:
            Conflict: it cannot be cancelled (any more).
            OutcomeUnknown: nobody said in time; the same again is harmless.
        """
        return self._run(self._till.cancel(payment_id))

    def refund(
        self,
        payment_id: str,
        *,
        currency: str | None = None,
        value: int | None = None,
        reason: str | None = None,
        idempotency_key: str | None = None,
    ) -> RefundResource:
        """Give money back and wait for the end: a part of it, or without a value all that is left.

        Raises:
            Conflict: there is not so much left, or it is too late.
            OutcomeUnknown: nobody said in time; it carries the key to ask again with.
        """
        body = refund_body(currency, value, reason)
        key = idempotency_key or secrets.token_urlsafe(24)
        return self._run(self._till.refund(payment_id, body, key))

    def refunds(self, payment_id: str) -> Iterator[RefundResource]:
        """All refunds of a payment, newest first."""
        query: dict[str, Any] = {}
        while True:
            page = self._run(self._till.refunds(payment_id, query))
            yield from page.items
            if page.next_cursor is None:
                return
            query["cursor"] = page.next_cursor

    def identify(self, code: str) -> dict[str, Any]:
        """What a scanned text is and where it would go."""
        return self._run(self._till.identify(code))

    def stream(self, last_event_id: int | None = None) -> Iterator[StreamEvent]:
        """Events as they come, for ever; goes on where it stood after a lost connection.

        Raises:
            ApiError: the key opens nothing (any more).
        """
        reader = StreamReader(last_event_id)
        while True:
            with contextlib.suppress(*_LOST):
                yield from self._stream_once(reader)
            reader.clear()
            self._sleep(STREAM_PAUSE_S)

    def _stream_once(self, reader: StreamReader) -> Iterator[StreamEvent]:
        request = self._till.stream_request(reader.position)
        connection = self._connected(QUIET_S)
        try:
            connection.request(request.method, self._path(request), headers=dict(request.headers))
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                refusal = stream_refusal(Answer(response.status, {}, response.read()))
                if refusal is not None:
                    raise refusal
                return
            while line := response.readline():
                event = reader.read(line)
                if event is not None:
                    yield event
        finally:
            connection.close()

    def _run(self, talk: Talk[T]) -> T:
        heard: Answer | Lost | None = None
        while True:
            try:
                asked = talk.send(heard)
            except StopIteration as done:
                result: T = done.value
                return result
            if isinstance(asked, Pause):
                self._sleep(asked.seconds)
                heard = None
            else:
                heard = self._send(asked)

    def _send(self, request: Request) -> Answer | Lost:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        try:
            connection = connection or self._connected(request.timeout_s)
        except _LOST as error:
            return Lost(f"no connection: {error or type(error).__name__}", was_reached=False)
        try:
            connection.sock.settimeout(request.timeout_s)
            connection.request(
                request.method, self._path(request), request.body, dict(request.headers)
            )
            response = connection.getresponse()
            body = response.read()
        except _LOST as error:
            connection.close()
            return Lost(f"no answer: {error or type(error).__name__}", was_reached=True)
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Answer(response.status, headers, body)

    def _path(self, request: Request) -> str:
        return self._parts.path + request.path

    def _connected(self, timeout_s: float) -> http.client.HTTPConnection:
        assert self._parts.hostname is not None
        is_https = self._parts.scheme == "https"
        kind = http.client.HTTPSConnection if is_https else http.client.HTTPConnection
        connection = kind(self._parts.hostname, self._parts.port, timeout=CONNECT_S)
        connection.connect()
        connection.sock.settimeout(timeout_s)
        return connection

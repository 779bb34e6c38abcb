"""What a till says and hears, without any input or output: generators that yield what to do next.

A conversation yields a `Request` and is sent its `Answer` or `Lost`, or yields a `Pause` and is
sent nothing. Both clients run the same ones, so they cannot differ.
"""

from __future__ import annotations

import contextlib
import http
import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from tillgate.client.errors import (
    ApiError,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Unauthorized,
    Unavailable,
)
from tillgate.gateway.resources import PaymentResource, RefundResource

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
T = TypeVar("T")
D = TypeVar("D")
F = TypeVar("F", PaymentResource, RefundResource)

PATIENCE_S = 120.0
"""How long to ask for the end of a payment: it is final 90 s after it was placed when the network
answers.
"""
UNREACHED_S = 5.0
"""How long a gateway that never took a connection is tried, and an address where something else
answers: nothing can have begun there.
"""
WAIT_S = 30
"""One `Prefer: wait`: below what proxies cut off (nginx: 60 s)."""
ANSWER_S = 15.0
"""How much longer than its wait an answer may take."""
FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
CONNECT_S = 5.0
AGAIN = frozenset({429, 500, 502, 503, 504})
"""Worth the same request again: it was not begun, or its key makes it harmless."""
NOT_BEGUN = frozenset({"too_many_requests", "network_down"})
"""The codes among them after which nothing was begun."""
DECIDED = frozenset({409, 422})
"""Refusals that the gateway gives only after it looked the key up. Any other one, after a try whose
answer was lost, says nothing of that try: the key may have been revoked since.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `repr` shows neither headers nor body."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    timeout_s: float = ANSWER_S


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer, or none that can be read.

    Attributes:
        was_reached: False when nothing was sent: there was no connection.
    """

    reason: str
    was_reached: bool


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait so long."""

    seconds: float


Talk = Generator[Request | Pause, Answer | Lost | None, T]


class PaymentEvent(msgspec.Struct, frozen=True):
    """One fact of a payment's timeline."""

    version: int
    at: str
    kind: str
    status: str
    detail: dict[str, Any]


class _PaymentEvents(msgspec.Struct, frozen=True):
    events: list[PaymentEvent]


class StreamEvent(msgspec.Struct, frozen=True):
    """One event of the stream; `position` is where to go on from."""

    position: int
    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list; `next_cursor` leads to the rest, None at the end."""

    items: list[T]
    next_cursor: str | None


class _PaymentPage(msgspec.Struct, frozen=True):
    payments: list[PaymentResource]
    next_cursor: str | None


class _RefundPage(msgspec.Struct, frozen=True):
    refunds: list[RefundResource]
    next_cursor: str | None


_payment = msgspec.json.Decoder(PaymentResource)
_payments = msgspec.json.Decoder(_PaymentPage)
_refund = msgspec.json.Decoder(RefundResource)
_refunds = msgspec.json.Decoder(_RefundPage)
_events = msgspec.json.Decoder(_PaymentEvents)


@dataclass(slots=True)
class Till:
    """What every conversation needs.

    Attributes:
        now: seconds of a clock that never goes back.
        draw: a number from 0 to 1, for pauses that do not march in step.
        patience_s: how long to ask for an end.
        notice: told in words why something is asked again.
    """

    api_key: str = field(repr=False)
    now: Callable[[], float]
    draw: Callable[[], float]
    patience_s: float = PATIENCE_S
    notice: Callable[[str], None] = lambda _: None

    def pay(self, body: dict[str, Any], key: str) -> Talk[PaymentResource]:
        """Ask for the money until the payment is final.

        Raises:
            ApiError: it was refused.
            OutcomeUnknown: nobody said in time; it carries the key.
        """
        return (yield from self._until_final("/v1/payments", body, key, _payment))

    def refund(self, payment_id: str, body: dict[str, Any], key: str) -> Talk[RefundResource]:
        """Give money back until that is final.

        Raises:
            ApiError: it was refused.
            OutcomeUnknown: nobody said in time; it carries the key.
        """
        path = f"/v1/payments/{quote(payment_id, safe='')}/refunds"
        return (yield from self._until_final(path, body, key, _refund))

    def refunds(self, payment_id: str, query: Mapping[str, Any]) -> Talk[Page[RefundResource]]:
        """One page of a payment's refunds."""
        path = f"/v1/payments/{quote(payment_id, safe='')}/refunds"
        page = yield from self._asked("GET", _with(path, query), _refunds.decode)
        return Page(page.refunds, page.next_cursor)

    def _until_final(
        self, path: str, body: dict[str, Any], key: str, decoder: msgspec.json.Decoder[F]
    ) -> Talk[F]:
        """Send the same until what it opened is final."""
        if not _KEY.fullmatch(key):
            raise ValueError("an idempotency key is 1 to 255 visible ASCII characters")
        until = self.now() + self.patience_s
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        content = json.dumps(body).encode()
        found: F | None = None
        while True:
            wait_s = self._wait_s(until)
            request = self._request("POST", path, headers, content, wait_s)
            _, found = yield from self._answered(request, until, decoder.decode, key, found)
            if found.final:
                return found
            if self.now() >= until:
                raise OutcomeUnknown("not final yet", idempotency_key=key, found=found)
            self.notice("not final yet")
            yield Pause(self._pause_s(0))

    def get(self, payment_id: str, wait_s: int) -> Talk[PaymentResource]:
        """Read a payment."""
        path = f"/v1/payments/{quote(payment_id, safe='')}"
        return (yield from self._asked("GET", path, _payment.decode, wait_s=wait_s))

    def find(self, query: Mapping[str, Any]) -> Talk[Page[PaymentResource]]:
        """One page of payments."""
        page = yield from self._asked("GET", _with("/v1/payments", query), _payments.decode)
        return Page(page.payments, page.next_cursor)

    def events(self, payment_id: str) -> Talk[list[PaymentEvent]]:
        """A payment's timeline."""
        path = f"/v1/payments/{quote(payment_id, safe='')}/events"
        return (yield from self._asked("GET", path, _events.decode)).events

    def cancel(self, payment_id: str) -> Talk[PaymentResource]:
        """Void a payment; the same again is harmless, so it is asked until it is over.

        Raises:
            ApiError: it cannot be cancelled.
            OutcomeUnknown: nobody said in time.
        """
        until = self.now() + self.patience_s
        path = f"/v1/payments/{quote(payment_id, safe='')}/cancel"
        found: PaymentResource | None = None
        while True:
            request = self._request("POST", path, {}, None, self._wait_s(until))
            status, found = yield from self._answered(request, until, _payment.decode, None, found)
            if status == 200:
                return found
            if self.now() >= until:
                raise OutcomeUnknown("still being cancelled", found=found)
            yield Pause(self._pause_s(0))

    def identify(self, code: str) -> Talk[dict[str, Any]]:
        """What a scanned text is."""
        body = json.dumps({"code": code}).encode()
        return (yield from self._asked("POST", "/v1/codes/identify", _object, body))

    def stream_request(self, last_event_id: int | None) -> Request:
        """The request that opens the stream of events."""
        headers = {} if last_event_id is None else {"Last-Event-ID": str(last_event_id)}
        return self._request("GET", "/v1/events", headers, None, 0)

    def _asked(
        self,
        method: str,
        path: str,
        decode: Callable[[bytes], D],
        body: bytes | None = None,
        wait_s: int = 0,
    ) -> Talk[D]:
        """What changes nothing: a refusal is a refusal, whatever was lost before it."""
        headers = {"Content-Type": "application/json"} if body is not None else {}
        until = self.now() + max(self.patience_s, float(wait_s))
        request = self._request(method, path, headers, body, wait_s)
        _, told = yield from self._answered(request, until, decode, None, None, changes=False)
        return told

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, wait_s: int
    ) -> Request:
        all_headers = {"Authorization": f"Bearer {self.api_key}", **headers}
        if wait_s:
            all_headers["Prefer"] = f"wait={wait_s}"
        return Request(method, path, all_headers, body, wait_s + ANSWER_S)

    def _answered(
        self,
        request: Request,
        until: float,
        decode: Callable[[bytes], D],
        key: str | None,
        found: PaymentResource | RefundResource | None,
        *,
        changes: bool = True,
    ) -> Talk[tuple[int, D]]:
        """The very same request until there is an answer that says something: its status and what
        it holds.

        Once a try may have begun what it asked for, no refusal of a later one may be told as
        "nothing was charged".
        """
        tries, began = 0, self.now()
        was_reached = may_have_begun = found is not None
        while True:
            heard = yield request
            assert heard is not None
            told = _read(heard, decode)
            if isinstance(told, tuple):
                return told
            if isinstance(told, ApiError):
                if told.status not in AGAIN:
                    if not may_have_begun or told.status in DECIDED:
                        raise told
                    raise OutcomeUnknown(_words(told), idempotency_key=key, found=found) from told
                was_reached = True
                may_have_begun = may_have_begun or (changes and told.code not in NOT_BEGUN)
            else:
                was_reached = was_reached or told.was_reached
                may_have_begun = may_have_begun or (changes and told.was_reached)
            limit = until if was_reached else min(until, began + UNREACHED_S)
            pause_s = max(self._pause_s(tries), _retry_after(heard))
            if self.now() + pause_s >= limit:
                if isinstance(told, ApiError) and not may_have_begun:
                    raise told
                raise OutcomeUnknown(
                    _words(told), idempotency_key=key, found=found, was_reached=was_reached
                )
            tries += 1
            self.notice(_words(told))
            yield Pause(pause_s)

    def _wait_s(self, until: float) -> int:
        return max(1, min(WAIT_S, round(until - self.now())))

    def _pause_s(self, tries: int) -> float:
        pause_s: float = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**tries)
        return pause_s * (0.5 + self.draw() / 2)


def payment_body(
    code: str,
    order: str,
    currency: str,
    value: int,
    *,
    description: str | None,
    store_id: str | None,
    terminal_id: str | None,
    expires_in_s: int | None,
) -> dict[str, Any]:
    """The body of a payment; what is None is left out."""
    inner: dict[str, Any] = {
        "merchant_order_id": order,
        "amount": {"currency": currency, "value": value},
    }
    if description is not None:
        inner["description"] = description
    places = (
        ("store_id", store_id),
        ("terminal_id", terminal_id),
        ("expires_in_s", expires_in_s),
    )
    return {
        "code": code,
        "order": inner,
        **{name: said for name, said in places if said is not None},
    }


def refund_body(currency: str | None, value: int | None, reason: str | None) -> dict[str, Any]:
    """The body of a refund; without a value all that is left goes back."""
    if (currency is None) is not (value is None):
        raise ValueError("a refund of a part needs both currency and value")
    body: dict[str, Any] = {}
    if value is not None:
        body["amount"] = {"currency": currency, "value": value}
    return body if reason is None else body | {"reason": reason}


def _with(path: str, query: Mapping[str, Any]) -> str:
    said = {name: str(value) for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(said)}" if said else path


def _read(heard: Answer | Lost, decode: Callable[[bytes], D]) -> tuple[int, D] | ApiError | Lost:
    """What was heard: what it holds, a refusal of the gateway, or nothing that tells anything."""
    if isinstance(heard, Lost):
        return heard
    if 200 <= heard.status < 300:
        try:
            return heard.status, decode(heard.body)
        except ValueError:  # msgspec's errors are ValueErrors, too
            return Lost(f"HTTP {heard.status} that cannot be read", was_reached=True)
    if isinstance(_problem(heard.body).get("code"), str):
        return error_of(heard)
    # Of something in between: its 5xx may come after it passed the request on.
    was_reached = heard.status >= 500 or heard.status == http.HTTPStatus.REQUEST_TIMEOUT
    return Lost(f"HTTP {heard.status}, not from the gateway", was_reached=was_reached)


def error_of(answer: Answer) -> ApiError:
    """The exception of a problem."""
    body = _problem(answer.body)
    kinds: dict[int, type[ApiError]] = {
        401: Unauthorized,
        403: Forbidden,
        404: NotFound,
        409: Conflict,
    }
    is_ours = answer.status in AGAIN or answer.status >= 500
    kind = kinds.get(answer.status, Unavailable if is_ours else InvalidRequest)
    error = kind(answer.status, body)
    if isinstance(error, Conflict) and "payment" in body:
        with contextlib.suppress(msgspec.ValidationError):  # of a later release
            error.payment = msgspec.convert(body["payment"], PaymentResource)
    return error


def checked_key(api_key: str) -> str:
    """The key as it can stand in a header.

    Raises:
        ValueError: it cannot, such as one that was read with the line's end.
    """
    if not _KEY.fullmatch(api_key):
        raise ValueError("the API key is empty or holds a space, a line's end or no ASCII")
    return api_key


def checked_address(base_url: str) -> str:
    """The gateway's address without a slash at its end.

    Raises:
        ValueError: it is none.
    """
    is_clean = base_url.isascii() and base_url.isprintable() and " " not in base_url
    try:
        parts = urlsplit(base_url)
        is_one = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets or port
        is_one = False
    if not (is_clean and is_one):
        raise ValueError(f"{base_url!r} is not an address such as https://host")
    if parts.username or parts.query or parts.fragment:
        raise ValueError("the address of a gateway has no user, query or fragment")
    return base_url.rstrip("/")


class StreamReader:
    """Events out of the lines of a stream (WHATWG HTML, 9.2.6: only what the gateway sends).

    Attributes:
        position: behind what to go on after a lost connection; None when nothing was told yet.
    """

    def __init__(self, position: int | None) -> None:
        self.position = position
        self._fields: dict[str, str] = {}

    def clear(self) -> None:
        """A connection is lost: an event that had not ended has not come."""
        self._fields = {}

    def read(self, line: bytes) -> StreamEvent | None:
        """The event that this line ends, if it ends one.

        Raises:
            ValueError: no gateway says so.
        """
        text = line.decode().rstrip("\r\n")
        if text:
            name, _, value = text.partition(": ")
            self._fields[name] = value
            return None
        fields, self._fields = self._fields, {}
        if "id" in fields:
            self.position = int(fields["id"])
        if "data" not in fields or self.position is None:
            return None
        return StreamEvent(self.position, fields.get("event", ""), json.loads(fields["data"]))


def stream_refusal(answer: Answer) -> ApiError | None:
    """Why the stream will not open; None where it is worth another try."""
    told = _read(answer, _object)
    return told if isinstance(told, ApiError) and told.status not in AGAIN else None


def _object(body: bytes) -> dict[str, Any]:
    told = json.loads(body)
    if not isinstance(told, dict):
        raise ValueError("no object")
    return told


def _problem(body: bytes) -> dict[str, Any]:
    try:
        problem = json.loads(body)
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


def _retry_after(answer: Answer | Lost) -> float:
    said = answer.headers.get("retry-after", "") if isinstance(answer, Answer) else ""
    return float(said) if said.isascii() and said.isdigit() and len(said) <= 4 else 0.0


def _words(told: ApiError | Lost) -> str:
    return told.reason if isinstance(told, Lost) else told.detail or str(told)

"""One request as it travelled, read from ASGI itself: the signature covers the path and the body as
they came.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.types import Receive, Scope

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import BadMessage, Result
from tillgate.sandbox.checks import empty_text
from tillgate.sandbox.exchanges import VALID
from tillgate.sandbox.payment import RESULTS, param_illegal

BODY_BYTES_MAX = 256 * 1024
"""A pay with a hundred goods has about 40 KiB."""
PASSED_OVER_BYTES_MAX = 4 * 1024 * 1024
"""Of a body that is too long so much is read all the same: who writes all of it before reading
would find the connection cut, and never see the answer.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `path` keeps its query."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes | None

    def header(self, name: bytes) -> str | None:
        """A header's text; names in lower case."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None

    @property
    def client_id(self) -> str:
        """Who says it is calling; empty where nobody does."""
        return self.header(b"client-id") or ""


class Refused(Exception):
    """The message is refused before it reaches the network's rules.

    Attributes:
        is_signed: False where the caller's key or signature is what is wrong.
    """

    def __init__(self, result: Result, *, signature: str = VALID, is_signed: bool = True) -> None:
        super().__init__(result.result_code)
        self.result = result
        self.signature = signature
        self.is_signed = is_signed


def checked_body(call: Call) -> bytes:
    """The body, once its headers and its texts are legal.

    Raises:
        Refused: they are not.
        BadMessage: it is not JSON.
    """
    content_type = call.header(b"content-type")
    if content_type and content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(RESULTS["MEDIA_TYPE_NOT_ACCEPTABLE"])
    try:
        messages.parse_time(call.header(b"request-time") or "")
    except BadMessage as error:
        raise Refused(param_illegal(f"Request-Time: {error}")) from None
    assert call.body is not None
    try:
        call.body.decode()  # the parser does not look into fields that it skips
    except UnicodeDecodeError:
        raise BadMessage("the body is not JSON in UTF-8") from None
    fault = empty_text(call.body)
    if fault:
        raise Refused(param_illegal(fault))
    return call.body


def without_query(path: str) -> str:
    """The path alone."""
    return path.partition("?")[0]


async def read_call(scope: Scope, receive: Receive) -> Call | None:
    """The whole request; its body is None when too long, the call None when the caller left."""
    body = bytearray()
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        piece = message.get("body", b"")
        size += len(piece)
        if size <= BODY_BYTES_MAX:
            body += piece
        if size > PASSED_OVER_BYTES_MAX or not message.get("more_body", False):
            break
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if query:
        path = path + b"?" + query
    return Call(
        method=scope["method"],
        path=path.decode("latin-1"),
        headers=dict(scope["headers"]),
        body=bytes(body) if size <= BODY_BYTES_MAX else None,
    )

"""The words of the testers' side: what is read, answered and refused. Errors are
`application/problem+json` with the field.
"""

from __future__ import annotations

import http
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tillgate.core.errors import GatewayError, RequestError
from tillgate.sandbox.calls import PASSED_OVER_BYTES_MAX

T = TypeVar("T")

BODY_BYTES_MAX = 256 * 1024

_encoder = msgspec.json.Encoder()

_STATUS = {
    "malformed_json": 400,
    "not_found": 404,
    "payment_not_found": 404,
    "foreign_page": 403,
    "method_not_allowed": 405,
    "payment_not_waiting": 409,
    "wrong_pin": 409,
    "foreign_host": 421,
    "invalid_field": 422,
    "internal_error": 500,
    "not_installed": 501,
}


class BadField(RequestError):
    """A field of a control request; `path` names it."""

    code = "invalid_field"


class BadJson(RequestError):
    """The body is not what was asked for at all."""

    code = "malformed_json"


class NotThere(RequestError):
    """What was asked for is not (or no longer) there."""

    code = "not_found"


class NotBuiltIn(RequestError):
    """It takes an optional library that is not installed here; the message names the extra."""

    code = "not_installed"


def problem(error: GatewayError) -> Response:
    """An error as `application/problem+json`; `path` names the field."""
    status = _STATUS[error.code]
    body = {
        "type": f"urn:tillgate:problem:{error.code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": str(error),
    }
    if error.path:
        body["path"] = error.path
    return Response(_encoder.encode(body), status, media_type="application/problem+json")


async def request_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for ours."""
    assert isinstance(error, RequestError)
    return problem(error)


async def http_error(request: Request, error: Exception) -> Response:
    """Starlette's handler for its own: no such route, another method."""
    assert isinstance(error, HTTPException)
    is_method = error.status_code == 405
    words = RequestError(
        "This address takes another method." if is_method else "There is nothing at this address."
    )
    words.code = "method_not_allowed" if is_method else "not_found"
    answer = problem(words)
    answer.headers.update(error.headers or {})
    return answer


async def body_of(request: Request, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The whole body, within its limit.

    Raises:
        BadJson: too long, or it ended early.
    """
    body = bytearray()
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size <= bytes_max:
                body += chunk
            elif size > PASSED_OVER_BYTES_MAX:
                break
    except ClientDisconnect:
        raise BadJson("The body ended early.", path="$") from None
    if size > bytes_max:
        raise BadJson(f"A body has at most {bytes_max} bytes.", path="$")
    return bytes(body)


def read_as(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body, read strictly.

    Raises:
        BadField: names the field.
        BadJson: it is not JSON.
    """
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        raise BadField(f"{message}.", path=path.rstrip("`") or _field_in(message)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadJson("The body is not JSON in UTF-8.", path="$") from None


def _field_in(message: str) -> str:
    """Where the message alone names an unknown field."""
    name = message.partition("field `")[2].partition("`")[0]
    return f"$.{name}" if name else "$"


def time_words(at: datetime | None) -> str | None:
    """ISO 8601 to the millisecond, UTC."""
    return at.isoformat(timespec="milliseconds") if at is not None else None


def json_answer(body: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(_encoder.encode(body), status, media_type="application/json")

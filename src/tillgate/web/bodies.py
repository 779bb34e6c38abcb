"""Reads request bodies: bounded, UTF-8, JSON without duplicate keys, then strictly into a typed
struct.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from tillgate.web.problems import Problem

BODY_BYTES_MAX = 64 * 1024

T = TypeVar("T", bound=msgspec.Struct)

_AT = re.compile(r" - at `(.*)`\Z")
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


async def read_body(request: Request) -> bytes:
    """The body's bytes.

    Raises:
        Problem: over 64 KiB, or cut off.
    """
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise Problem("body_too_large", f"A body has at most {BODY_BYTES_MAX} bytes.")
    except ClientDisconnect:
        raise Problem("body_incomplete", "The body ended early.") from None
    return bytes(body)


def parse(body: bytes, type_: type[T]) -> T:
    """Read a body into a struct.

    Raises:
        Problem: names the first fault with its path.
    """
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_object)
    except Problem:
        raise
    except (ValueError, RecursionError):
        # JSON's own errors repeat the text, which may hold a payment code.
        raise Problem("malformed_json", "The body is not JSON in UTF-8.", path="$") from None
    try:
        return msgspec.convert(document, type_, strict=True)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem("duplicate_key", "A key stands twice in one object.", path=f"$..{twice[:64]}")
    for name, value in pairs:
        if type(value) is str and _CONTROL.search(value):
            raise Problem(
                "invalid_field", "A text holds a control character.", path=f"$..{name[:64]}"
            )
    return members


def _field_problem(text: str) -> Problem:
    at = _AT.search(text)
    path = at.group(1) if at else "$"
    message = text[: at.start()] if at else text
    field = _FIELD.match(message)
    if field:
        path = f"{path}.{field.group(1)}"
    if message.startswith("Object contains unknown"):
        return Problem("unknown_field", "There is no such field; see the API.", path=path)
    if message.startswith("Object missing"):
        return Problem("missing_field", "This field is required.", path=path)
    return Problem("invalid_field", f"{message}.", path=path)

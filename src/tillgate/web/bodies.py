"""Reads request bodies: bounded, UTF-8, JSON without duplicate keys, then strictly into a typed
struct.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request

from tillgate.web.problems import Problem

BODY_BYTES_MAX = 64 * 1024

T = TypeVar("T", bound=msgspec.Struct)

PLAIN = {"pattern": r"^[^\u0000-\u001f\u007f]*$"}
"""For a text's schema: no control characters, as `parse` has it for every text."""

_AT = re.compile(r"(.*) - at `(\$[A-Za-z0-9_.\[\]]*)`\Z")
_FIELD = re.compile(r"Object (?:contains unknown|missing required) field `(.*)`")
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_WHOLE = re.compile(r"-?[0-9]{1,19}\Z")
_DIGITS_MAX = 30
"""More digits than any field takes; a longer number is read as one that is too large."""


EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Moments that are taken. What lies beyond, some datetime or some database cannot hold."""


def holds_control(text: str) -> bool:
    """Whether a text holds a character that no name has."""
    return _CONTROL.search(text) is not None


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
        text = body.decode("utf-8")
        try:
            document = _read_strictly(text)
        except _Fault:
            # Where exactly is worth a second reading only now.
            _locate(json.loads(text, object_pairs_hook=_Pairs, parse_int=_integer), "$")
            raise
    except Problem:
        raise
    except (ValueError, RecursionError):
        # JSON's own errors repeat the text, which may hold a payment code.
        raise Problem("malformed_json", "The body is not JSON in UTF-8.", path="$") from None
    try:
        read = msgspec.convert(document, type_, strict=True)
    except msgspec.ValidationError as error:
        raise _field_problem(str(error)) from None
    for name in _strange_moments(read):
        raise Problem("invalid_field", _MOMENT, path=f"$.{name}")
    return read


def read_query(request: Request, type_: type[T]) -> T:
    """Read the parameters behind the `?` into a struct. Texts become what the fields want.

    Raises:
        Problem: names the first parameter that is unknown, stands twice or cannot be read.
    """
    fields = {field.encode_name: field for field in msgspec.structs.fields(type_)}
    values: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in fields:
            known = ", ".join(fields)
            raise Problem(
                "unknown_parameter", f"There is no such parameter; there are {known}.", path="?"
            )
        if name in values:
            raise Problem("invalid_parameter", "This parameter stands twice.", path=f"?{name}")
        if _CONTROL.search(value):
            raise Problem("invalid_parameter", "It holds a control character.", path=f"?{name}")
        values[name] = value
    read: dict[str, Any] = {}
    for name, value in values.items():
        try:
            # Leniently only where it looks like a whole number: read so, `null` would be nothing
            # and 0.5 a moment of 1970.
            is_whole = _WHOLE.match(value) is not None and _is_of_integers(fields[name].type)
            read[name] = msgspec.convert(value, fields[name].type, strict=not is_whole)
        except msgspec.ValidationError as error:
            raise Problem("invalid_parameter", f"{error}.", path=f"?{name}") from None
    query = msgspec.convert(read, type_)
    for name in _strange_moments(query):
        raise Problem("invalid_parameter", _MOMENT, path=f"?{name}")
    return query


_MOMENT = f"A moment between {EARLIEST.year} and {LATEST.year}."


def _strange_moments(read: msgspec.Struct) -> list[str]:
    """The names of the fields that hold a moment nobody can mean."""
    found = []
    for attribute, name in _moments(type(read)):
        at = getattr(read, attribute)
        if isinstance(at, datetime) and not EARLIEST <= at < LATEST:
            found.append(name)
    return found


@cache
def _moments(type_: type[msgspec.Struct]) -> list[tuple[str, str]]:
    """The fields of a struct that may hold a moment."""
    fields = msgspec.structs.fields(type_)
    return [(each.name, each.encode_name) for each in fields if "datetime" in str(each.type)]


@cache
def _is_of_integers(type_: Any) -> bool:
    """Whether a whole number is meant where one is written."""
    kind = msgspec.inspect.type_info(type_)
    kinds = kind.types if isinstance(kind, msgspec.inspect.UnionType) else (kind,)
    return any(isinstance(each, msgspec.inspect.IntType) for each in kinds)


class _Fault(ValueError):
    """An object has a key twice, a strange key, or a control character in a text."""


class _Pairs(list[tuple[str, Any]]):
    """A JSON object as it was written."""


def _integer(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _Fault
    for name, value in pairs:
        if not _NAME.match(name) or (type(value) is str and _CONTROL.search(value)):
            raise _Fault
    return members


_read_strictly = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer).decode


def _locate(value: Any, path: str) -> None:
    """Raise the first fault with its path, reading from the top."""
    if isinstance(value, _Pairs):
        names = set()
        for name, member in value:
            if not _NAME.match(name):
                raise Problem("unknown_field", "There is no such field; see the API.", path=path)
            if name in names:
                raise Problem("duplicate_key", "A key stands twice.", path=f"{path}.{name}")
            names.add(name)
            _locate(member, f"{path}.{name}")
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _locate(member, f"{path}[{index}]")
    elif isinstance(value, str) and _CONTROL.search(value):
        raise Problem("invalid_field", "A text holds a control character.", path=path)


def _field_problem(text: str) -> Problem:
    at = _AT.match(text)
    message, path = at.groups() if at else (text, "$")
    field = _FIELD.match(message)
    if field:
        path = f"{path}.{field.group(1)}"
    if message.startswith("Object contains unknown"):
        return Problem("unknown_field", "There is no such field; see the API.", path=path)
    if message.startswith("Object missing"):
        return Problem("missing_field", "This field is required.", path=path)
    return Problem("invalid_field", f"{message}.", path=path)

"""HTTP operations as values: what each takes, answers and refuses. Routes and the OpenAPI document
are both made from them, so that neither can say what the other does not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.access import Caller, Permission, may, who_may
from tillgate.core.errors import GatewayError
from tillgate.web.bodies import holds_control, parse, read_body, read_query
from tillgate.web.problems import STATUS, Problem

ALWAYS = ("internal_error", "store_unavailable", "stale_version")
"""Problems of every operation."""
WITH_KEY = ("unauthorized", "forbidden", "too_many_requests")
"""Problems of every operation that wants a key."""
WITH_BODY = (
    "malformed_json",
    "duplicate_key",
    "body_incomplete",
    "body_too_large",
    "missing_field",
    "unknown_field",
    "invalid_field",
)
"""Problems of every operation that reads a body."""
WITH_QUERY = ("unknown_parameter", "invalid_parameter")
"""Problems of every operation that reads parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header that a request may carry.

    Attributes:
        problems: what a wrong or missing one leads to.
    """

    name: str
    description: str
    example: str
    is_required: bool = False
    pattern: str | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One of an operation's answers that is no problem.

    Attributes:
        body: a struct, or None for an answer without a body.
        headers: name to what it tells.
    """

    status: int
    description: str
    body: Any = None
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """One request of an operation, checked as far as the operation declares.

    Attributes:
        caller: whose key it carries; only of operations that want one.
        body: the struct that the operation takes, or None where there was no body.
        query: the struct of its parameters.
    """

    request: Request
    caller: Caller
    body: Any = None
    query: Any = None

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])


Handler = Callable[[Call], Awaitable[Response]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one path.

    Attributes:
        name: `operationId`, unique.
        group: under which heading it is documented.
        permission: what the caller needs; None needs no key.
        path_params: what each part of the path is.
        body: struct of the body; `is_body_optional` takes an empty one, too.
        query: struct of the parameters; `query_params` says what each one is.
        problems: codes beside those that every operation of its kind has.
        body_example: a body that works in the demo.
        links: what its answer leads to: the name of an operation, and an expression of OpenAPI for
            each of its parameters.
        act: what the audit calls it, where the operation does not note it itself.
    """

    name: str
    method: str
    path: str
    group: str
    summary: str
    handler: Handler
    answers: Sequence[Answer]
    description: str = ""
    permission: Permission | None
    path_params: dict[str, str] = field(default_factory=dict)
    headers: Sequence[Header] = ()
    body: type[msgspec.Struct] | None = None
    is_body_optional: bool = False
    query: type[msgspec.Struct] | None = None
    query_params: dict[str, str] = field(default_factory=dict)
    problems: Sequence[str] = ()
    body_example: Any = None
    links: dict[str, dict[str, str]] = field(default_factory=dict)
    act: str | None = None

    def all_problems(self) -> list[str]:
        """Every code that it may answer with, each once."""
        codes = [*ALWAYS, *self.problems]
        if self.permission is not None:
            codes += WITH_KEY
        if self.body is not None:
            codes += WITH_BODY
        if self.query is not None:
            codes += WITH_QUERY
        for header in self.headers:
            codes += header.problems
        return sorted(set(codes))


class Gate(Protocol):
    """Knows who calls."""

    def admit(self, request: Request) -> Caller:
        """Whose key the request carries.

        Raises:
            Problem: nobody's, or too many requests came with it.
        """
        ...

    async def admit_person(self, request: Request) -> Caller:
        """Whose session the request's cookie is.

        Raises:
            Problem: nobody's, or another origin asks, or too many requests came with it.
        """
        ...


NOBODY = Caller(key_id="", roles=frozenset(), merchant_id="")
"""Calls what needs no key."""


Count = Callable[[str, int], None]
"""Is told which operation answered with which status."""


Note = Callable[[str, Call], Awaitable[None]]
"""Writes an administrative act into the audit, before it is done: nothing happens unnoted."""


def make_routes(
    operations: Sequence[Operation], gate: Gate, count: Count, note: Note
) -> list[Route]:
    """The routes of all operations, one for each path, so that 405 names all its methods."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        methods = by_path.setdefault(operation.path, {})
        assert operation.method not in methods, f"{operation.method} {operation.path} twice"
        methods[operation.method] = operation
    return [
        Route(path, _endpoint(methods, gate, count, note), methods=list(methods))
        for path, methods in by_path.items()
    ]


def _endpoint(
    methods: dict[str, Operation], gate: Gate, count: Count, note: Note
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        # Starlette adds HEAD to GET: the same answer, whose body the server leaves out.
        operation = methods["GET" if request.method == "HEAD" else request.method]
        try:
            answer = await _answer(operation, request, gate, note)
        except GatewayError as error:
            count(operation.name, STATUS[error.code])
            raise
        count(operation.name, answer.status_code)
        return answer

    return endpoint


async def _answer(operation: Operation, request: Request, gate: Gate, note: Note) -> Response:
    caller = NOBODY
    if operation.permission is not None:
        caller = (
            await gate.admit_person(request) if is_from_a_page(request) else gate.admit(request)
        )
        if not may(caller, operation.permission):
            raise Problem(
                "forbidden",
                f"This needs the permission {operation.permission.value!r}, which a key with the"
                f" role {who_may(operation.permission)} has.",
            )
    call = Call(request, caller)
    if any(map(holds_control, request.path_params.values())):
        # No id has such a character, and neither has a row, an audit or a log.
        code = next((each for each in operation.problems if STATUS[each] == 404), "not_found")
        raise Problem(code, "There is nothing of this name.")
    if operation.query is not None:
        call.query = read_query(request, operation.query)
    if operation.body is not None:
        body = await read_body(request)
        if body or not operation.is_body_optional:
            call.body = parse(body, operation.body)
    if operation.act is not None:
        await note(operation.act, call)
    return await operation.handler(call)


_encoder = msgspec.json.Encoder()


def is_from_a_page(request: Request) -> bool:
    """Whether it can be a page's request: it carries cookies and no key."""
    return "authorization" not in request.headers and "cookie" in request.headers


def json_answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A struct as an answer that nobody keeps."""
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(_encoder.encode(body), status, all_headers, "application/json")

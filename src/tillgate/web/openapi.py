"""The API's description, OpenAPI 3.1, made from the operations and their types.

Source of the format: OpenAPI Specification 3.1.0, whose schemas are JSON Schema 2020-12, which is
what msgspec writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from tillgate import __version__
from tillgate.web.operations import Answer, Header, Operation
from tillgate.web.problems import MEANING, MEDIA_TYPE, STATUS

INTRODUCTION = """\
Amounts are integer minor units of an ISO 4217 currency. Times are ISO 8601 in UTC.

**Retry without fear.** Every request that moves money carries an `Idempotency-Key`. The same key
with the same body gives the same payment as it is now, for ever, also while it is still running.
No answer, 429 and 503 mean: send the same request again.

**Unknown is not failed.** 202 and `final: false` mean that nobody knows yet. `next_step` says what
the till does now. Only `final: true` ends it.

**Errors** are `application/problem+json` (RFC 9457). `code` is stable; `detail` is for people;
`path` names the first fault: a JSON path (`$.order.amount.value`), a parameter (`?limit`) or a
header."""


def describe(title: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """The document, as plain values."""
    paths: dict[str, dict[str, Any]] = {}
    references, schemas = _schemas(operations)
    for operation in operations:
        methods = paths.setdefault(operation.path, {})
        methods[operation.method.lower()] = _operation(operation, references)
    groups = dict.fromkeys(operation.group for operation in operations)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__, "description": INTRODUCTION},
        "tags": [{"name": group} for group in groups],
        "paths": paths,
        "components": {
            "schemas": schemas | {"Problem": _PROBLEM},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key, `tg_test_...` or `tg_live_...`.",
                }
            },
        },
    }


_PROBLEM = {
    "title": "Problem",
    "type": "object",
    "description": "RFC 9457. Further members depend on the code.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable."},
        "detail": {"type": "string", "description": "For people; it may change."},
        "path": {"type": "string", "description": "The first fault."},
        "payment_id": {"type": "string", "description": "The payment that holds the order."},
        "payment": {"$ref": "#/components/schemas/PaymentResource"},
    },
}


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """What to write for each type, and the components that these lead to."""
    types: dict[Any, None] = {}
    for operation in operations:
        if operation.body is not None:
            types[operation.body] = None
        for answer in operation.answers:
            if answer.body is not None:
                types[answer.body] = None
    schemas, components = msgspec.json.schema_components(
        list(types), ref_template="#/components/schemas/{name}"
    )
    return dict(zip(types, schemas, strict=True)), components


def _operation(operation: Operation, references: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.group],
        "summary": operation.summary,
    }
    if operation.description:
        described["description"] = operation.description
    described["security"] = [{"key": []}] if operation.permission is not None else []
    if operation.permission is not None:
        described["x-permission"] = operation.permission.value
    parameters = [*_path(operation), *_query(operation), *map(_header, operation.headers)]
    if parameters:
        described["parameters"] = parameters
    if operation.body is not None:
        content = {"schema": references[operation.body]}
        if operation.body_example is not None:
            content["example"] = operation.body_example
        described["requestBody"] = {
            "required": not operation.is_body_optional,
            "content": {"application/json": content},
        }
    answers = {str(answer.status): _answer(answer, references) for answer in operation.answers}
    for target, values in operation.links.items():
        for answer in operation.answers:
            if answer.body is not None:
                links = answers[str(answer.status)].setdefault("links", {})
                links[target] = {"operationId": target, "parameters": values}
    described["responses"] = answers | _problems(operation)
    return described


def _path(operation: Operation) -> list[dict[str, Any]]:
    names = re.findall(r"{(\w+)}", operation.path)
    assert set(names) == set(operation.path_params), f"{operation.name}: undescribed path"
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": operation.path_params[name],
            "schema": {"type": "string", "minLength": 1},
        }
        for name in names
    ]


def _query(operation: Operation) -> list[dict[str, Any]]:
    if operation.query is None:
        return []
    [_], components = msgspec.json.schema_components(
        [operation.query], ref_template="#/components/schemas/{name}"
    )
    schema = components[operation.query.__name__]
    required = schema.get("required", ())
    return [
        {
            "name": name,
            "in": "query",
            "required": name in required,
            "description": operation.query_params.get(name, ""),
            "schema": _without_null(property_),
        }
        for name, property_ in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is given or left out; there is no null in an address."""
    kept = {key: value for key, value in schema.items() if not (key == "default" and value is None)}
    if "anyOf" not in kept:
        return kept
    others = [one for one in kept.pop("anyOf") if one != {"type": "null"}]
    return kept | (others[0] if len(others) == 1 else {"anyOf": others})


def _header(header: Header) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if header.pattern:
        schema["pattern"] = header.pattern
    return {
        "name": header.name,
        "in": "header",
        "required": header.is_required,
        "description": header.description,
        "schema": schema,
        "example": header.example,
    }


def _answer(answer: Answer, references: dict[Any, Any]) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        described["headers"] = {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in answer.headers.items()
        }
    if answer.body is not None:
        described["content"] = {answer.media_type: {"schema": references[answer.body]}}
    return described


def _problems(operation: Operation) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for code in operation.all_problems():
        by_status.setdefault(STATUS[code], []).append(code)
    return {str(status): _problem(status, codes) for status, codes in sorted(by_status.items())}


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "description": "\n".join(f"- `{code}`: {MEANING[code]}" for code in codes),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"code": {"enum": codes}}},
                    ]
                }
            }
        },
    }
    if status in (429, 503):
        described["headers"] = {
            "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
        }
    return described

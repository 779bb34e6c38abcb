"""The API's description, as OpenAPI and as one page to read that loads nothing.

The page has no script and loads nothing, so it works offline and under the strictest policy.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --dim: #777; --mark: #0b6; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; padding: 1rem; max-width: 60rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 3rem; } h3 { margin: 0; font-size: 1rem; }
code, pre { font: .9em ui-monospace, monospace; } code { overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .7rem; border: 1px solid var(--line); border-radius: 6px; }
details { border: 1px solid var(--line); border-radius: 6px; padding: .6rem; margin: .6rem 0; }
summary { cursor: pointer; } summary > h3 { display: inline; font-weight: 400; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  padding: .3rem .6rem .3rem 0; }
.verb { display: inline-block; min-width: 3.6em; font-weight: 700; } .dim { color: var(--dim); }
"""
_STYLE_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def reference_routes(document: dict[str, Any], prefix: str = "") -> list[Route]:
    """`/openapi.json` and `/docs`, both made once."""
    as_json = json.dumps(document).encode()
    as_page = page_of(document, f"{prefix}/openapi.json").encode()

    async def openapi(request: Request) -> Response:
        """The document."""
        return Response(as_json, media_type="application/json")

    async def page(request: Request) -> Response:
        """The page."""
        return Response(as_page, headers=_HEADERS, media_type="text/html")

    return [
        Route(f"{prefix}/openapi.json", openapi, methods=["GET"]),
        Route(f"{prefix}/docs", page, methods=["GET"]),
    ]


def page_of(document: dict[str, Any], json_path: str) -> str:
    """The whole page."""
    title = escape(document["info"]["title"])
    operations = [
        (verb.upper(), path, operation)
        for path, methods in document["paths"].items()
        for verb, operation in methods.items()
    ]
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<main><h1>{title}</h1><p class=dim>Version {escape(document['info']['version'])},"
        f' <a href="{json_path}">OpenAPI 3.1</a></p>{_text(document["info"]["description"])}'
    ]
    for tag in document["tags"]:
        name = tag["name"]
        parts.append(f"<h2>{escape(name)}</h2>")
        parts += [_operation(*one) for one in operations if name in one[2]["tags"]]
    parts.append("<h2>Types</h2>")
    parts += [_type(*one) for one in document["components"]["schemas"].items()]
    return "".join([*parts, "</main></body></html>"])


def _operation(verb: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (
            parameter["name"],
            parameter["in"] + (", required" if parameter["required"] else ""),
            f"{_text(parameter['description'])}{_code(_brief(parameter['schema']))}",
        )
        for parameter in operation.get("parameters", ())
    ]
    body = operation.get("requestBody")
    example = ""
    if body:
        content = body["content"]["application/json"]
        rows.append(("body", "", _code(_brief(content["schema"]))))
        if "example" in content:
            example = f"<pre>{escape(json.dumps(content['example'], indent=2))}</pre>"
    answers = [
        (status, "", _text(answer["description"]) + _code(_brief_of(answer)))
        for status, answer in operation["responses"].items()
    ]
    permission = operation.get("x-permission")
    needs = f"<p>Needs the permission <code>{escape(permission)}</code>.</p>" if permission else ""
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><h3><span class=verb>{verb}'
        f"</span> <code>{escape(path)}</code> {escape(operation['summary'])}</h3></summary>"
        f"{_text(operation.get('description', ''))}{needs}{_table(rows)}{example}"
        f"{_table(answers)}</details>"
    )


def _type(name: str, schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (
            field,
            "" if field in required else "optional",
            f"{_code(_brief(inner))} {_text(inner.get('description', ''))}",
        )
        for field, inner in schema.get("properties", {}).items()
    ]
    words = ", ".join(map(str, schema.get("enum", ())))
    return (
        f'<details id="{escape(name)}"><summary><h3><code>{escape(name)}</code></h3></summary>'
        f"{_text(schema.get('description', ''))}{_code(words)}{_table(rows)}</details>"
    )


def _brief_of(answer: dict[str, Any]) -> str:
    for content in answer.get("content", {}).values():
        return _brief(content["schema"])
    return ""


def _brief(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("anyOf", "allOf"):
        if several in schema:
            words = (" or " if several == "anyOf" else " & ").join(
                word for word in map(_brief, schema[several]) if word
            )
            return words
    if schema.get("type") == "array":
        return f"list of {_brief(schema['items'])}"
    limits = [
        f"{name} {schema[name]}"
        for name in ("minLength", "maxLength", "minimum", "maximum", "pattern", "format")
        if name in schema
    ]
    return " ".join([str(schema.get("type", "")), *(f"({limit})" for limit in limits)]).strip()


def _table(rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td><code>{escape(name)}</code><br><span class=dim>{escape(kind)}</span></td>"
        f"<td>{text}</td></tr>"
        for name, kind, text in rows
    )
    return f"<table>{cells}</table>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>" if text else ""


def _text(text: str) -> str:
    """Our own few marks: paragraphs, lists, `code` and **strong**."""
    blocks = []
    for block in filter(None, text.split("\n\n")):
        if block.startswith("- "):
            items = "".join(f"<li>{_marked(line[2:])}</li>" for line in block.splitlines())
            blocks.append(f"<ul>{items}</ul>")
        else:
            blocks.append(f"<p>{_marked(block)}</p>")
    return "".join(blocks)


def _marked(text: str) -> str:
    for mark, tag in (("**", "b"), ("`", "code")):
        parts = text.split(mark) if tag == "code" else escape(text).split(mark)
        text = "".join(
            part if index % 2 == 0 else f"<{tag}>{part}</{tag}>" for index, part in enumerate(parts)
        )
    return text

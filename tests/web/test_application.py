"""A path without a parameter is looked up, others are searched: what is answered is the same."""

from __future__ import annotations

import asyncio

import pytest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.errors import GatewayError, PaymentNotFound
from tillgate.web.application import Application

ERRORS = {"refused": PaymentNotFound("none"), "http": HTTPException(405), "fault": ValueError("x")}


async def fine(request):
    return Response(f"{request.method} {request.url.path} {request.app is not None}")


async def raises(request):
    raise ERRORS[request.query_params["error"]]


async def first(request):
    return Response("first")


def told(word):
    async def answer(request, error):
        return Response(f"{word} {type(error).__name__}", status_code=418)

    return answer


def ask(path, method="GET", query=""):
    """Status and body, and the name of what reached the server."""
    app = Application(
        [
            Route("/fine", fine),
            Route("/fine/{more}", fine),
            Route("/raises", raises),
            Route("/raises/{more}", raises),
            Route("/{any}", first),
            Route("/shadowed", fine),
        ],
        None,
        {
            GatewayError: told("refused"),
            HTTPException: told("http"),
            Exception: told("fault"),
        },
    )
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query.encode(),
        "headers": [],
        "server": ("127.0.0.1", 1),
        "scheme": "http",
        "root_path": "",
    }
    raised = None
    try:
        asyncio.run(app(scope, receive, send))
    except Exception as error:
        raised = type(error).__name__
    body = b"".join(each.get("body", b"") for each in sent)
    return sent[0]["status"], body, raised


def test_it_answers_what_the_endpoint_says():
    assert ask("/fine") == (200, b"GET /fine True", None)
    assert ask("/fine/x") == (200, b"GET /fine/x True", None)
    assert ask("/fine", "HEAD")[0] == ask("/fine/x", "HEAD")[0] == 200


@pytest.mark.parametrize("error", ERRORS)
def test_errors_become_the_same_answers(error):
    looked_up, searched = (ask(path, query=f"error={error}") for path in ("/raises", "/raises/x"))
    assert looked_up == searched
    assert looked_up[1].startswith(error.encode())


def test_an_earlier_route_wins():
    assert ask("/shadowed")[1] == b"first"


def test_another_method_is_refused_as_before():
    assert ask("/fine", "POST")[:2] == (418, b"http HTTPException")

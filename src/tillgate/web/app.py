"""The ASGI application: all routes, and how every error becomes an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tillgate.core.errors import GatewayError, OrderTaken, StoreError
from tillgate.gateway.metrics import CONTENT_TYPE
from tillgate.gateway.resources import payment_resource
from tillgate.web.problems import Problem, problem

log = logging.getLogger(__name__)

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


async def healthz(request: Request) -> Response:
    """This process answers. Says nothing of the store or the network."""
    return Response(b'{"status":"ok"}', media_type="application/json")


def create_app(
    routes: list[Route],
    networks: Callable[[], dict[str, str]],
    lifespan: Lifespan | None = None,
) -> Starlette:
    """The application around the given routes; `networks` tells which of them are up."""

    async def readyz(request: Request) -> Response:
        """This process takes requests. A network that is down does not make it useless."""
        told = networks()
        network = "down" if "down" in told.values() else "up"
        body = {"status": "ready", "network": network, "networks": told}
        return Response(msgspec.json.encode(body), media_type="application/json")

    all_routes: list[BaseRoute] = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        *routes,
    ]
    app = Starlette(
        routes=all_routes,
        lifespan=lifespan,
        exception_handlers={
            GatewayError: _gateway_error,
            HTTPException: _http_error,
            Exception: _fault,
        },
    )
    # A redirect would name whatever host the request named, and lead a till's key there.
    app.router.redirect_slashes = False
    return app


def metrics_answer(
    text: Callable[[], Awaitable[bytes]],
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that Prometheus reads."""

    async def answer(request: Request) -> Response:
        return Response(await text(), headers={"Content-Type": CONTENT_TYPE})

    return answer


class ByPort:
    """Two applications in one process: operators' connections come in on a port of their own."""

    def __init__(self, everybodys: ASGIApp, operators: ASGIApp, operators_port: int) -> None:
        self._everybodys = everybodys
        self._operators = operators
        self._port = operators_port

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop are the first one's."""
        is_operators = scope["type"] == "http" and scope["server"][1] == self._port
        app = self._operators if is_operators else self._everybodys
        await app(scope, receive, send)


async def _gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    if isinstance(error, StoreError):
        log.error("%s %s: %s", request.method, request.url.path, error)
    if isinstance(error, OrderTaken) and error.payment is not None:
        payment = payment_resource(error.payment)
        return problem(error, payment_id=payment.id, payment=payment)
    return problem(error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        answer = problem(Problem("method_not_allowed", "This address takes another method."))
        answer.headers.update(error.headers or {})
        return answer
    return problem(Problem("not_found", "There is nothing at this address."))


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette logs nothing itself, and re-raises to the server after this answer.
    log.error("a fault in %s %s", request.method, request.url.path, exc_info=error)
    return problem(GatewayError("internal error"))

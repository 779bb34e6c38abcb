"""The ASGI application: all routes, and how every error becomes an answer."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

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
from tillgate.pages import Site
from tillgate.web.application import Application, Lifespan, Told
from tillgate.web.problems import Problem, problem

log = logging.getLogger(__name__)


async def healthz(request: Request) -> Response:
    """This process answers. Says nothing of the store or the network."""
    return Response(b'{"status":"ok"}', media_type="application/json")


def create_app(
    routes: list[Route],
    networks: Callable[[], dict[str, str]],
    site: Site,
    lifespan: Lifespan | None = None,
) -> Starlette:
    """The application around the given routes; `networks` tells which of them are up, `site` has
    the page for a person whom an error meets.
    """

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
    app = Application(
        all_routes,
        lifespan,
        {
            GatewayError: _for_people(_gateway_error, site),
            HTTPException: _for_people(_http_error, site),
            Exception: _for_people(_fault, site),
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


def _for_people(told: Told, site: Site) -> Told:
    """The same answer, as a page where a browser asked for one."""

    async def answer(request: Request, error: Exception) -> Response:
        found = await told(request, error)
        is_api = request.url.path.startswith(("/v1/", "/admin/"))
        if is_api or "text/html" not in request.headers.get("accept", ""):
            return found
        body = msgspec.json.decode(bytes(found.body))
        title, sentence = _FOR_PEOPLE.get(found.status_code, (body["title"], None))
        again = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        page = site.page(
            "error.html",
            status=found.status_code,
            title=title,
            detail=sentence or body["detail"],
            again=again if request.method == "GET" and found.status_code >= 429 else "",
        )
        for name in ("Retry-After", "Allow"):
            if name in found.headers:
                page.headers[name] = found.headers[name]
        return page

    return answer


_FOR_PEOPLE = {
    404: ("Nothing here", None),
    403: ("Not allowed", None),
    500: (
        "Something went wrong here",
        "That is a fault of ours, and it is noted. A payment, if there is one, is safe.",
    ),
    503: ("Not available just now", "The database does not answer. Nothing is lost: try again."),
}
"""How a status is called, and a sentence in place of what programs are told; other ones are called
as HTTP does.
"""


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

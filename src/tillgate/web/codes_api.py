"""What a scanned code is, for tills: nothing is paid, saved or sent."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.core.explain import fields_of
from tillgate.gateway.routes import Routes
from tillgate.merchants import Directory
from tillgate.web.bodies import parse, read_body
from tillgate.web.merchant_api import merchant_of


class CodeBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`POST /v1/codes/identify`."""

    code: str


class CodesApi:
    """The route, with what it needs."""

    def __init__(self, directory: Directory, routes: Routes) -> None:
        self._directory = directory
        self._routes = routes

    def routes(self) -> list[Route]:
        """What to mount."""
        return [Route("/v1/codes/identify", self.identify, methods=["POST"])]

    async def identify(self, request: Request) -> Response:
        """What the text is, where it would go, and every rule that was tried.

        200 whatever it is: a text that is no payment code is an answer too. Shows the ten digits
        that `core/explain.py` says, and no more.
        """
        merchant_of(request, self._directory)
        body = parse(await read_body(request), CodeBody)
        told = fields_of(self._routes.explain(body.code))
        return Response(
            msgspec.json.encode(told),
            headers={"Cache-Control": "no-store"},
            media_type="application/json",
        )

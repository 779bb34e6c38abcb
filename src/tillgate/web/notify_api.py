"""`POST /alipayplus/v1/notifyPayment` and `POST /notify/{connector}`: hand the exact bytes and
headers to the gateway.
"""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.connectors import NotifyCall
from tillgate.core.routing_table import ALIPAY_PLUS
from tillgate.gateway.notify import Notifications
from tillgate.web.bodies import BODY_BYTES_MAX

ALIPAY_PLUS_PATH = "/alipayplus/v1/notifyPayment"


def path_of(connector: str) -> str:
    """Where a connector's network notifies us."""
    return ALIPAY_PLUS_PATH if connector == ALIPAY_PLUS else f"/notify/{connector}"


class NotifyApi:
    """The route, with what it needs."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route(ALIPAY_PLUS_PATH, self.notify, methods=["POST"]),
            Route("/notify/{connector}", self.notify, methods=["POST"]),
        ]

    async def notify(self, request: Request) -> Response:
        """Answer one notification."""
        body = bytearray()
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > BODY_BYTES_MAX:
                    return Response(status_code=413)
        except ClientDisconnect:
            return Response(status_code=400)
        answer = await self._notifications.receive(
            request.path_params.get("connector", ALIPAY_PLUS),
            NotifyCall(path=_signed_path(request), headers=request.headers, body=bytes(body)),
        )
        if answer is None:
            return Response(status_code=404)
        return Response(answer.body, answer.status, answer.headers)


def _signed_path(request: Request) -> str:
    """The path with its query as it was sent: what the network signed."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    whole = raw.partition(b"?")[0] + (b"?" + query if query else b"")
    return whole.decode("latin-1")

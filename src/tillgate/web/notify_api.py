"""`POST /alipayplus/v1/notifyPayment`: hands the exact bytes and headers to the gateway."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.gateway.notify import Notifications, NotifyCall
from tillgate.web.bodies import BODY_BYTES_MAX

PATH = "/alipayplus/v1/notifyPayment"


class NotifyApi:
    """The route, with what it needs."""

    def __init__(self, notifications: Notifications) -> None:
        self._notifications = notifications

    def routes(self) -> list[Route]:
        """What to mount."""
        return [Route(PATH, self.notify, methods=["POST"])]

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
        headers = request.headers
        answer = await self._notifications.receive(
            NotifyCall(
                path=_signed_path(request),
                body=bytes(body),
                client_id=headers.get("client-id"),
                time=headers.get("request-time"),
                signature=headers.get("signature"),
            )
        )
        return Response(answer.body, answer.status, answer.headers)


def _signed_path(request: Request) -> str:
    """The path with its query as it was sent: what the network signed."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    query: bytes = request.scope["query_string"]
    whole = raw.partition(b"?")[0] + (b"?" + query if query else b"")
    return whole.decode("latin-1")

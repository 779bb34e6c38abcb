"""Errors as `application/problem+json` (RFC 9457): the one table from error codes to HTTP statuses.

`code` is stable and for programs; `detail` is for people and may change; `path` names the first
fault: a JSON path into the body (`$.order.amount.value`) or a header's name.
"""

from __future__ import annotations

import http
from typing import Any

import msgspec
from starlette.responses import Response

from tillgate.core.errors import GatewayError, RequestError

MEDIA_TYPE = "application/problem+json"

STATUS: dict[str, int] = {
    # About the message.
    "malformed_json": 400,
    "duplicate_key": 400,
    "body_incomplete": 400,
    "idempotency_key_missing": 400,
    "idempotency_key_invalid": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "body_too_large": 413,
    "too_many_requests": 429,
    # About what it asks for.
    "missing_field": 422,
    "unknown_field": 422,
    "invalid_field": 422,
    "invalid_request": 422,
    "unknown_parameter": 422,
    "invalid_parameter": 422,
    "invalid_cursor": 422,
    "invalid_amount": 422,
    "code_not_recognised": 422,
    "no_route": 422,
    "idempotency_key_reused": 422,
    "payment_not_found": 404,
    "order_already_has_a_payment": 409,
    "cannot_cancel": 409,
    "cannot_resolve": 409,
    # About us.
    "internal_error": 500,
    "network_down": 503,
    "store_unavailable": 503,
    "stale_version": 503,
    "payment_id_taken": 503,
    "store_in_use": 503,
    "invalid_configuration": 500,
}

RETRY_AFTER_S = {"network_down": 5}
"""Seconds named with a 503; 1 where nothing stands here. The idempotency key makes a retry
harmless.
"""

_encoder = msgspec.json.Encoder()


class Problem(RequestError):
    """A fault that only HTTP knows: in a header, in the JSON, in the form of a field."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        path: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message, path=path)
        self.code = code
        self.retry_after_s = retry_after_s


def problem(error: GatewayError, **more: Any) -> Response:
    """The answer for an error."""
    status = STATUS[error.code]
    body = {
        "type": f"urn:tillgate:problem:{error.code}",
        "title": http.HTTPStatus(status).phrase,
        "status": status,
        "code": error.code,
        "detail": str(error) if isinstance(error, RequestError) else _OUR_FAULT[status],
    }
    if error.path:
        body["path"] = error.path
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="tillgate"'
    retry_after_s = error.retry_after_s if isinstance(error, Problem) else None
    if status in (429, 503):
        headers["Retry-After"] = str(retry_after_s or RETRY_AFTER_S.get(error.code, 1))
    return Response(_encoder.encode(body | more), status, headers, MEDIA_TYPE)


_OUR_FAULT = {
    500: "Something went wrong here. The payment, if there is one, is safe: read it again.",
    503: "The store is not available. Send the same request with the same Idempotency-Key again.",
}

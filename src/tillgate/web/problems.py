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

_TABLE: tuple[tuple[str, int, str], ...] = (
    # About the message.
    ("malformed_json", 400, "The body is not JSON in UTF-8."),
    ("duplicate_key", 400, "A key stands twice in one object."),
    ("body_incomplete", 400, "The body ended early: send it again."),
    ("idempotency_key_missing", 400, "This operation needs an Idempotency-Key."),
    ("idempotency_key_invalid", 400, "One header, 1 to 255 visible ASCII characters."),
    ("unauthorized", 401, "No key, or none that opens anything."),
    ("forbidden", 403, "The key may not do this; the sentence says which role may."),
    ("not_found", 404, "There is nothing at this address."),
    ("method_not_allowed", 405, "The address takes another method, named in Allow."),
    ("body_too_large", 413, "A body has at most 64 KiB."),
    ("too_many_requests", 429, "Send the same again after Retry-After."),
    # About what it asks for.
    ("missing_field", 422, "A required field is missing."),
    ("unknown_field", 422, "There is no such field."),
    ("invalid_field", 422, "A field has another form."),
    ("invalid_request", 422, "What is asked for does not fit together."),
    ("unknown_parameter", 422, "There is no such parameter."),
    ("invalid_parameter", 422, "A parameter has another form."),
    ("invalid_amount", 422, "No positive integer of minor units in a currency of ISO 4217."),
    ("code_not_recognised", 422, "What was scanned is no payment code: scan again."),
    ("no_route", 422, "A payment code that nobody here takes: use another method."),
    ("idempotency_key_reused", 422, "The key belongs to another request."),
    ("payment_not_found", 404, "There is no such payment, or it is not yours."),
    ("order_already_has_a_payment", 409, "It is open or paid: read that payment, in `payment`."),
    ("not_there", 404, "There is no such merchant, store, terminal or key (any more)."),
    ("already_there", 409, "There is one with this id."),
    ("refund_not_found", 404, "The payment has no such refund."),
    ("cannot_cancel", 409, "It cannot be cancelled; the sentence says why."),
    ("refund_instead", 409, "It is paid and can only be refunded; the sentence says until when."),
    ("cannot_refund", 409, "Not so much of it, or not any more; the sentence says what is left."),
    ("cannot_resolve", 409, "There is nothing to resolve, or not so."),
    ("webhook_endpoint_not_found", 404, "There is no such endpoint, or it is not yours."),
    ("webhook_event_not_found", 404, "There is no such event for this endpoint."),
    ("webhook_endpoint_exists", 409, "You have one with this address; the sentence names it."),
    ("too_many_webhook_endpoints", 409, "A merchant has at most 16: delete one."),
    ("webhook_endpoint_not_active", 409, "It is paused or disabled: resume it first."),
    ("webhook_url_refused", 422, "Nothing is sent to such an address; the sentence says why."),
    ("too_many_events", 422, "More than may be replayed at once: say a shorter span."),
    # About us.
    ("internal_error", 500, "A fault of ours. The payment, if there is one, is safe: read it."),
    ("network_down", 503, "Nothing was charged. Try again soon, or take another method."),
    ("store_unavailable", 503, "Send the same request with the same key again."),
    ("stale_version", 503, "Send the same request with the same key again."),
    ("stale_refund", 503, "Send the same request with the same key again."),
    ("payment_id_taken", 503, "Send the same request with the same key again."),
    ("store_in_use", 503, "Another process serves from this database."),
    ("invalid_configuration", 500, "The settings are wrong; at start only."),
)
STATUS = {code: status for code, status, _ in _TABLE}
MEANING = {code: meaning for code, _, meaning in _TABLE}

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

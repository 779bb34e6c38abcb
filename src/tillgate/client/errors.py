"""What can go wrong between a till and the gateway, as exceptions.

```
ApiError                 the gateway answered with a problem (RFC 9457)
├── InvalidRequest       400, 413, 422: what was asked for cannot be
├── Unauthorized         401
├── Forbidden            403
├── NotFound             404: not there, or not this key's
├── Conflict             409: `payment` is the one that holds the order
└── Unavailable          429, 5xx to the last: nothing was begun, or it can be asked for again
OutcomeUnknown           nobody answered in time: what was asked for may have happened
```
"""

from __future__ import annotations

from typing import Any

from tillgate.gateway.resources import PaymentResource, RefundResource


class ApiError(Exception):
    """The gateway answered with a problem.

    Attributes:
        status: of HTTP.
        code: stable, for programs; all of them stand in the API's description.
        detail: for people.
        path: the first fault, or None.
        body: the whole problem.
    """

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status = status
        self.body = body
        self.code = str(body.get("code", "unreadable"))
        self.detail = str(body.get("detail", ""))
        self.path: str | None = body.get("path")
        where = f" ({self.path})" if self.path else ""
        super().__init__(f"{status} {self.code}: {self.detail}{where}")


class InvalidRequest(ApiError):
    """What was asked for cannot be; `path` names the field."""


class Unauthorized(ApiError):
    """No key, or one that opens nothing (any more)."""


class Forbidden(ApiError):
    """The key may not do this."""


class NotFound(ApiError):
    """It is not there, or not this key's."""


class Conflict(ApiError):
    """It does not fit what is there.

    Attributes:
        payment: the payment that holds the order, where the key may see it.
    """

    payment: PaymentResource | None = None


class Unavailable(ApiError):
    """The gateway could not do it now, to the end of the patience."""


class OutcomeUnknown(Exception):
    """No answer came in time. What was asked for may have happened: ask again with the same key,
    and do not charge another way before that.

    Attributes:
        idempotency_key: what to ask again with; None where the request needs none.
        found: the payment or refund as it was last heard of, or None.
        was_reached: False when there was never even a connection.
    """

    def __init__(
        self,
        reason: str,
        *,
        idempotency_key: str | None = None,
        found: PaymentResource | RefundResource | None = None,
        was_reached: bool = True,
    ) -> None:
        super().__init__(reason)
        self.idempotency_key = idempotency_key
        self.found = found
        self.was_reached = was_reached

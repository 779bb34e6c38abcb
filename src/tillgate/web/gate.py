"""Who calls: an API key from `Authorization: Bearer` becomes a caller."""

from __future__ import annotations

from starlette.requests import Request

from tillgate.core.access import Caller
from tillgate.gateway.registry import Registry
from tillgate.web.problems import Problem


class KeyGate:
    """See `operations.Gate`."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def admit(self, request: Request) -> Caller:
        """The caller of the request's key."""
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        caller = self._registry.caller(key.strip()) if scheme.lower() == "bearer" else None
        if caller is None:
            raise Problem(
                "unauthorized",
                "Send `Authorization: Bearer` with one of your API keys.",
                path="Authorization",
            )
        return caller

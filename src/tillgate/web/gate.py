"""Who calls: an API key from `Authorization: Bearer` becomes a caller, or the session of a page."""

from __future__ import annotations

from starlette.requests import Request

from tillgate.clock import Clock
from tillgate.core.access import Caller
from tillgate.core.limits import Buckets, Limit
from tillgate.gateway.registry import Registry
from tillgate.web.door import SessionDoor
from tillgate.web.problems import Problem


class KeyGate:
    """See `operations.Gate`."""

    def __init__(self, registry: Registry, limit: Limit, clock: Clock, door: SessionDoor) -> None:
        self._registry = registry
        self._buckets = Buckets(limit)
        self._clock = clock
        self._door = door

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
        wait_s = self._buckets.wait_s(caller.key_id, self._clock.now())
        if wait_s:
            raise Problem(
                "too_many_requests",
                f"This key sends too many requests: the same again in {wait_s} s.",
                retry_after_s=wait_s,
            )
        return caller

    async def admit_person(self, request: Request) -> Caller:
        """The caller of the request's session."""
        return await self._door.admit(request)

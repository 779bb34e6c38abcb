"""Sessions over HTTP: the cookie, and what a request that carries one must show beside it.

A page of another origin can make a browser send our cookie, and can neither read our pages nor
choose the `Origin` its requests name. So whatever changes something has to name our own origin and
the session's CSRF token, which stands in our pages only.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from tillgate.clock import Clock
from tillgate.core.access import Caller, Role
from tillgate.core.limits import Buckets, Limit
from tillgate.gateway.people import People, SignedIn, csrf_of
from tillgate.store.accounts import Session
from tillgate.web.people import Person
from tillgate.web.problems import Problem

READING = ("GET", "HEAD", "OPTIONS")


class SessionDoor:
    """See `people.Door`; one for the tills' address and one for operators'.

    A session counts only where its account has one of the `roles` of this address.
    """

    def __init__(
        self,
        people: People,
        clock: Clock,
        limit: Limit,
        *,
        cookie: str,
        roles: frozenset[Role],
        is_secure: bool,
    ) -> None:
        self.roles = roles
        self._people = people
        self._clock = clock
        self._buckets = Buckets(limit)
        self._is_secure = is_secure
        # Browsers take this prefix only over https, for this very host and for all its paths.
        self._cookie = f"__Host-{cookie}" if is_secure else cookie

    async def person(self, request: Request, *, is_use: bool = True) -> Person | None:
        """Who has signed in; see `people.Door`."""
        token = self.token(request)
        session = await self._session(token, is_use)
        if token is None or session is None:
            return None
        account = session.account
        return Person(name=account.name, caller=account.caller(), csrf=csrf_of(token))

    async def admit(self, request: Request) -> Caller:
        """The caller of a request that a page of ours makes; see `operations.Gate`.

        Raises:
            Problem: nobody has signed in, another origin asks, or too many requests came.
        """
        token = self.token(request)
        session = await self._session(token)
        if token is None or session is None:
            raise Problem("unauthorized", "Sign in again: the session is over.")
        if request.method not in READING:
            check_origin(request)
            check_csrf(token, request.headers.get("x-csrf-token", ""))
        caller = session.account.caller()
        wait_s = self._buckets.wait_s(caller.key_id, self._clock.now())
        if wait_s:
            raise Problem(
                "too_many_requests",
                f"Too many requests: the same again in {wait_s} s.",
                retry_after_s=wait_s,
            )
        return caller

    def token(self, request: Request) -> str | None:
        """What the cookie holds."""
        return cookies_of(request).get(self._cookie)

    def let_in(self, answer: Response, signed_in: SignedIn) -> None:
        """Give the browser its token. It forgets it when it is closed, or when the session ends."""
        answer.set_cookie(
            self._cookie,
            signed_in.token,
            path="/",
            secure=self._is_secure,
            httponly=True,
            samesite="strict",
        )

    def let_out(self, answer: Response) -> None:
        """Take it back."""
        answer.delete_cookie(
            self._cookie, path="/", secure=self._is_secure, httponly=True, samesite="strict"
        )

    async def _session(self, token: str | None, is_use: bool = True) -> Session | None:
        session = await self._people.session(token, is_use=is_use) if token else None
        if session is None or session.account.roles.isdisjoint(self.roles):
            return None
        return session


def check_origin(request: Request) -> None:
    """Go on only with what a page of this very origin asks for.

    Raises:
        Problem: another page's, or nobody says whose.
    """
    origin = urlsplit(request.headers.get("origin", ""))
    # Behind what ends TLS the scheme is not known here; the host is what a browser was sent to.
    if origin.scheme not in ("http", "https") or origin.netloc != request.headers.get("host"):
        raise Problem(
            "forbidden", "This was not asked for by a page of this address.", path="Origin"
        )


def check_csrf(token: str, sent: str) -> None:
    """Go on only with what a page of this session asks for.

    Raises:
        Problem: it does not carry the session's token.
    """
    if not hmac.compare_digest(csrf_of(token).encode(), sent.encode()):
        raise Problem(
            "forbidden", "This page is not of this session: load it again.", path="X-CSRF-Token"
        )


def cookies_of(request: Request) -> dict[str, str]:
    """The cookies by name; none where they cannot be read."""
    try:
        parsed = SimpleCookie("; ".join(request.headers.getlist("cookie")))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in parsed.items()}

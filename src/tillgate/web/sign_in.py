"""`/sign-in` and `/sign-out`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tillgate.clock import Clock
from tillgate.core.limits import Buckets, Limit
from tillgate.gateway.people import People, SignedIn
from tillgate.pages import Site
from tillgate.web.door import SessionDoor, check_csrf, check_origin
from tillgate.web.problems import Problem

FORM_MAX = 4096
"""Bytes of a form."""
TRIES = Limit(per_second=1, burst=20)
"""Of one address, whatever names it tries: an Argon2 hash is costly. Ours."""
WRONG = (
    "This name and password do not open anything here. After several wrong tries an account"
    " waits for a while: then ask whoever gave it to you."
)
BUSY = "Too many tries from this address. Wait a moment."

SignsInItself = Callable[[Request], Awaitable[SignedIn | None]]
"""Signs in whoever asks, where that is allowed; None where it is not."""


class SignInPages:
    """The pages, with what they need.

    `home` is where a person goes who asked for nothing else; `title` says what is behind the door.
    """

    def __init__(
        self,
        site: Site,
        door: SessionDoor,
        people: People,
        clock: Clock,
        *,
        home: str,
        title: str,
        by_itself: SignsInItself | None = None,
    ) -> None:
        self._site = site
        self._door = door
        self._people = people
        self._clock = clock
        self._home = home
        self._title = title
        self._by_itself = by_itself
        self._tries = Buckets(TRIES)

    def routes(self) -> list[Route]:
        """What to mount."""
        return [
            Route("/sign-in", self.sign_in, methods=["GET", "POST"]),
            Route("/sign-out", self.sign_out, methods=["POST"]),
        ]

    async def sign_in(self, request: Request) -> Response:
        """The form, and what becomes of it."""
        if request.method == "POST":
            return await self._try(request)
        goes_to = self._target(request.query_params.get("next", ""))
        if await self._door.person(request) is not None:
            return RedirectResponse(goes_to, 303)
        if self._by_itself is not None:
            signed_in = await self._by_itself(request)
            if signed_in is not None:
                return self._let_in(signed_in, goes_to)
        return self._form(goes_to)

    async def sign_out(self, request: Request) -> Response:
        """The end of the session."""
        check_origin(request)
        token = self._door.token(request)
        if token is not None:
            check_csrf(token, (await form_of(request)).get("csrf", ""))
            await self._people.sign_out(token)
        answer = RedirectResponse("/sign-in", 303)
        self._door.let_out(answer)
        return answer

    async def _try(self, request: Request) -> Response:
        check_origin(request)
        form = await form_of(request)
        goes_to, name = self._target(form.get("next", "")), form.get("name", "")
        address = request.client.host if request.client else ""
        if self._tries.wait_s(address, self._clock.now()):
            return self._form(goes_to, name, BUSY, 429)
        signed_in = await self._people.sign_in(
            name, form.get("password", ""), form.get("code", ""), address, self._door.roles
        )
        if signed_in is None:
            return self._form(goes_to, name, WRONG, 403)
        return self._let_in(signed_in, goes_to)

    def _let_in(self, signed_in: SignedIn, goes_to: str) -> Response:
        answer = RedirectResponse(goes_to, 303, {"Cache-Control": "no-store"})
        self._door.let_in(answer, signed_in)
        return answer

    def _form(self, goes_to: str, name: str = "", wrong: str = "", status: int = 200) -> Response:
        return self._site.page(
            "sign_in.html",
            status=status,
            title=self._title,
            name=name[:64],
            wrong=wrong,
            next=goes_to,
        )

    def _target(self, asked: str) -> str:
        """A page of ours and nobody else's, whatever the address says."""
        is_ours = asked.startswith("/") and not asked.startswith(("//", "/\\"))
        return asked if is_ours and asked.isprintable() else self._home


def to_sign_in(request: Request) -> Response:
    """Where a person goes who has not signed in, to come back afterwards."""
    path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(f"/sign-in?{urlencode({'next': path})}", 303)


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form.

    Raises:
        Problem: it is too large, or cannot be read.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_MAX:
            raise Problem("body_too_large", "The form is too large.")
    try:
        return dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True))
    except ValueError:
        raise Problem("invalid_request", "The form cannot be read.") from None

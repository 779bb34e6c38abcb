"""Keeps strangers' pages away from the testers' side: whoever runs a sandbox on this machine has a
browser, too, and what a page anywhere makes it send arrives here like a tester's own call.

Two rules. A browser that says it changes something for another page is refused. And on loopback
nobody is answered who calls this machine by a name of the public net: a name that a stranger points
here would make their page one of ours (DNS rebinding). Callers that are no browsers say neither.
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from tillgate.core.errors import RequestError
from tillgate.sandbox.control_words import body_of, problem

CHANGE_NOTHING = ("GET", "HEAD", "OPTIONS")
OUR_SITES = ("same-origin", "none")
"""What a browser says in `Sec-Fetch-Site` of our own pages' calls, and of a person's."""


class ForeignPage(RequestError):
    """Another page than ours wants to change something."""

    code = "foreign_page"


class ForeignHost(RequestError):
    """This machine was called by a name that anybody may have pointed at it."""

    code = "foreign_host"


def guarded(routes: Iterable[Route]) -> list[Route]:
    """The same routes, closed to strangers' pages."""
    found = list(routes)
    for route in found:
        route.app = _Guard(route.app)
    return found


class _Guard:
    """One route's application behind the two rules."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, or refuse."""
        error = refusal(scope)
        if error is None:
            await self._app(scope, receive, send)
            return
        with contextlib.suppress(RequestError):  # it is refused for who sent it
            await body_of(Request(scope, receive))  # or the caller is cut off while writing
        await problem(error)(scope, receive, send)


def refusal(scope: Scope) -> RequestError | None:
    """Why this request is a stranger's; None: it is not."""
    headers = Headers(scope=scope)
    hosts = headers.getlist("host")
    if _is_loopback(scope.get("server")) and not all(map(_is_ours, hosts)):
        return ForeignHost(
            "On loopback this sandbox answers to localhost and to IP addresses only."
        )
    if scope["method"] in CHANGE_NOTHING:
        return None
    sites, origins = headers.getlist("sec-fetch-site"), headers.getlist("origin")
    if any(site not in OUR_SITES for site in sites):
        return ForeignPage("A page of another origin may not change anything here.")
    if any(urlsplit(origin).netloc not in hosts for origin in origins):
        return ForeignPage("A page of another origin may not change anything here.")
    return None


def _is_loopback(server: tuple[str, int | None] | None) -> bool:
    """Whether the connection came in on an address that this machine alone can reach."""
    address = _address(server[0]) if server else None
    return address is not None and address.is_loopback


def _is_ours(host: str) -> bool:
    """Nobody can point an IP address or localhost elsewhere."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    name = name.removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or _address(name) is not None


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address

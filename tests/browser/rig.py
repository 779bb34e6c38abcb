"""What a test of a page holds in its hands: a page that is watched, axe, and a camera."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

ROOT = Path(__file__).parents[2]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
SHOTS = Path(os.environ.get("TILLGATE_SCREENSHOTS") or ROOT / "build" / "screenshots")
"""Where pictures go. Nobody compares them; people look at them."""

SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
TILL = (1024, 600)
"""The smallest screen that tills are sold with."""
PHONE = (390, 844)
VIEWS = {
    "till": TILL,
    "phone": PHONE,
    "zoomed": (TILL[0] // 2, TILL[1] // 2),  # what 200 % leaves of the till's screen
}
"""Width and height in CSS pixels."""
LIMIT_S = 10.0
"""How long a condition may take to come true on a busy machine."""

T = TypeVar("T")


@dataclass
class Watch:
    """Hears everything that may not happen in a page, and is asked at the end of the test.

    Attributes:
        origins: where pages may fetch from; the fixtures that serve add theirs.
        problems: what was heard.
    """

    origins: set[str]
    problems: list[str] = field(default_factory=list)
    _contexts: list[BrowserContext] = field(default_factory=list)
    _expected: list[str] = field(default_factory=list)

    def expect(self, pattern: str) -> None:
        """Problems that match are meant by this test. Chromium says every refused request aloud:
        `expect("status of 409")`.
        """
        self._expected.append(pattern)

    def over(self, context: BrowserContext) -> None:
        """Listen to all pages of a context."""
        self._contexts.append(context)
        context.add_init_script(
            "addEventListener('securitypolicyviolation', e => console.error("
            "'CSP: ' + e.effectiveDirective + ' refused ' + (e.blockedURI || 'inline')))"
        )
        context.on("console", self._console)
        context.on("weberror", lambda error: self._note(f"an error: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    def end(self) -> None:
        """Close all pages: their servers are about to go, which is no fault of theirs."""
        for context in self._contexts:
            context.close()

    def unexpected(self) -> list[str]:
        """Those that no test asked for."""
        return [
            problem
            for problem in self.problems
            if not any(re.search(pattern, problem) for pattern in self._expected)
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning", "assert"):
            where = message.location.get("url", "")
            self._note(f"console {message.type}: {message.text} ({where})")

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss"):
            origin = f"{parts.scheme}://{parts.netloc}"
            if origin not in self.origins:
                self._note(f"a request to a stranger: {request.method} {request.url}")

    def _response(self, response: Response) -> None:
        is_document = response.request.resource_type == "document"
        if is_document and response.ok and "content-security-policy" not in response.headers:
            self._note(f"a page without a Content-Security-Policy: {response.url}")

    def _note(self, problem: str) -> None:
        self.problems.append(problem)


def follow(page: Page, selector: str) -> None:
    """Click something that leads to another page, and be there."""
    with page.expect_navigation():
        page.click(selector)


def accessible(page: Page) -> None:
    """axe finds nothing serious or critical in the page as it stands, frames included.

    It is put in over the debugger's protocol, which no Content-Security-Policy holds back.
    """
    for frame in page.frames:
        frame.evaluate(AXE.read_text())
        found = frame.evaluate(
            "async () => (await axe.run(document, {iframes: false, resultTypes: ['violations'],"
            " runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa',"
            " 'best-practice']})).violations"
        )
        grave = [each for each in found if each["impact"] in ("serious", "critical")]
        assert not grave, "\n".join(_told(each) for each in grave)


def _told(violation: dict[str, Any]) -> str:
    where = "\n".join(
        f"  {' '.join(map(str, node['target']))}: {node['failureSummary']}"
        for node in violation["nodes"][:5]
    )
    return f"{violation['id']} ({violation['impact']}): {violation['help']}\n{where}"


def shot(page: Page, name: str, *, is_whole: bool = False) -> None:
    """Pictures of the page as it stands, in light and dark, on a till, on a phone and at 200 %.
    None of them may scroll sideways.

    Args:
        page: it is afterwards as it was, in light.
        name: of the state, such as `wallet/confirm`; slashes make folders.
        is_whole: the page down to its end, not only what a person sees first.
    """
    was = page.viewport_size
    assert was is not None, "a context without a viewport"
    for view, (width, height) in VIEWS.items():
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            path = SHOTS / f"{name}-{view}-{scheme}.png"
            page.screenshot(path=path, full_page=is_whole, animations="disabled")
        over = page.evaluate(
            "document.scrollingElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert over <= 0, f"{name} is {over} px too wide on a {view}"
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(was)


def until(page: Page, told: Callable[[], T]) -> T:
    """Wait for something outside the page to be true, while the page goes on; gives it."""
    ends = time.monotonic() + LIMIT_S
    while time.monotonic() < ends:
        if found := told():
            return found
        page.wait_for_timeout(20)
    raise AssertionError("it did not come about in time")

"""Pages are tried in the Chromium that the system ships, against the real gateway and the real
sandbox. Where there is no Chromium these tests are skipped, but never in CI.

Playwright's plain API keeps an event loop running in the test's own thread, so `asyncio.run` is not
to be had in here; servers live in a thread of their own (`portal`). It ends with the last test of
this folder in a row, or the other tests of the process could not run theirs: hence `package`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.browser.rig import LIMIT_S, TILL, Watch
from tests.support import API_KEY, OPERATOR_KEY, gateway, order, sandbox
from tillgate.cli.till import Answer, call

NAMES = ("chromium", "chromium-browser", "google-chrome")


def program() -> str | None:
    """Where the system's Chromium is."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """One browser; each test has a profile of its own in it."""
    found = program()
    if found is None:
        reason = "there is no Chromium: apt-get install chromium"
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI needs a browser: {reason}")
        pytest.skip(reason)
    # Nothing but this machine has a name: a page that asks anybody else is seen and gets nothing.
    nobody = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
    # Without a graphics card a page is drawn sooner by the processor than by what plays a card.
    options = [nobody, "--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=options)
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="package")
def portal() -> Iterator[BlockingPortal]:
    """A thread with an event loop, for servers."""
    with start_blocking_portal() as portal:
        yield portal


@pytest.fixture
def watch() -> Watch:
    """What the test's pages do that they must not; `watch.expect` says what they may."""
    return Watch(set())


@pytest.fixture
def new_context(chromium: Browser, watch: Watch) -> Iterator[Callable[..., BrowserContext]]:
    """Makes another person's browser: own cookies, own storage, watched like the first."""

    def make(**options: Any) -> BrowserContext:
        size = {"width": TILL[0], "height": TILL[1]}
        settings = {"viewport": size, "locale": "en-GB", "color_scheme": "light"}
        context = chromium.new_context(**(settings | options))
        context.set_default_timeout(LIMIT_S * 1000)
        watch.over(context)
        return context

    yield make
    watch.end()
    assert not watch.unexpected(), "\n".join(watch.unexpected())


@pytest.fixture
def context(new_context: Callable[..., BrowserContext]) -> BrowserContext:
    """The test's first browser profile."""
    return new_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """A fresh page, 1024 by 600. At the end nothing may have gone wrong in it: no error in its
    console, no exception, nothing refused by its policy, no request to anybody else.
    """
    return context.new_page()


@dataclass
class Sandbox:
    """A running sandbox, and its testers' side."""

    url: str

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """`path` begins behind `/sandbox`; gives the answer's body, which must be no problem."""
        answer = call(self.url, method, f"/sandbox{path}", body)
        assert answer.status < 300, answer.body
        return answer.body

    def code(self, **asked: Any) -> str:
        """A fresh payment code."""
        return str(self.ask("POST", "/codes", asked)["code"])


@dataclass
class Gateway:
    """A running gateway, and merchant 1 who calls it."""

    url: str
    admin_url: str
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def ask(
        self, method: str, path: str, body: Any = None, key: str = API_KEY, **headers: str
    ) -> Answer:
        """A call of the API; those under `/admin` go to the operators' address."""
        is_admin = path.startswith("/admin")
        bearer = OPERATOR_KEY if is_admin and key == API_KEY else key
        url = self.admin_url if is_admin else self.url
        sent = {"Authorization": f"Bearer {bearer}"} | headers
        return call(url, method, path, body, sent, 60)

    def pay(self, code: str, *, wait_s: int = 0, **changes: Any) -> dict[str, Any]:
        """Charge a code: 100 yen unless `value` and `currency` say otherwise."""
        number = next(self._numbers)
        body = order(code=code, **({"order": f"order-{number}"} | changes))
        headers = {"Idempotency-Key": f"key-{number}", "Prefer": f"wait={wait_s}"}
        answer = self.ask("POST", "/v1/payments", body, **headers)
        assert answer.status < 300, answer.body
        return answer.body

    def payment(self, id_: str, wait_s: int = 0) -> dict[str, Any]:
        """As it stands, or as it ends within that time."""
        return self.ask("GET", f"/v1/payments/{id_}", Prefer=f"wait={wait_s}").body


@pytest.fixture
def run_sandbox(portal: BlockingPortal, watch: Watch) -> Iterator[Callable[..., Sandbox]]:
    """Starts a sandbox, with other settings perhaps."""
    with ExitStack() as stack:

        def start(**changes: Any) -> Sandbox:
            url = stack.enter_context(portal.wrap_async_context_manager(sandbox(**changes)))
            watch.origins.add(url)
            return Sandbox(url)

        yield start
        watch.end()


@pytest.fixture
def town(run_sandbox: Callable[..., Sandbox]) -> Sandbox:
    """The sandbox."""
    return run_sandbox()


@pytest.fixture
def run_gateway(
    portal: BlockingPortal, watch: Watch, tmp_path: Path, town: Sandbox
) -> Iterator[Callable[..., Gateway]]:
    """Starts a gateway before the sandbox, with other settings perhaps."""
    with ExitStack() as stack:

        def start(**changes: Any) -> Gateway:
            running = gateway(tmp_path, town.url, **changes)
            api = stack.enter_context(portal.wrap_async_context_manager(running))
            watch.origins |= {api.url, api.admin_url}
            return Gateway(api.url, api.admin_url)

        yield start
        watch.end()


@pytest.fixture
def shop(run_gateway: Callable[..., Gateway]) -> Gateway:
    """The gateway, before the sandbox."""
    return run_gateway()

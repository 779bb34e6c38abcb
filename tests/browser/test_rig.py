"""The rig notices what it is there for: a page that misbehaves fails its test."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from tests.browser.rig import Watch, accessible, shot, until
from tests.support import serving
from tillgate.pages import Site
from tillgate.server import Address, listen

GOOD = (
    "<!doctype html><html lang=en><title>t</title><link rel=icon href=data:,>"
    "<main><h1>Good</h1></main>"
)


@pytest.fixture
def served(portal, watch):
    """Serves one page under the policy of all pages; gives its address."""
    policy = Site().page("base.html").headers["content-security-policy"]
    body = {"page": GOOD, "policy": policy}

    async def answer(request) -> Response:
        headers = {"Content-Security-Policy": body["policy"]} if body["policy"] else {}
        return HTMLResponse(body["page"], headers=headers)

    async def script(request) -> Response:
        return Response(body["script"], media_type="text/javascript")

    async def missing(request) -> Response:
        return JSONResponse({}, 409)

    routes = [Route("/", answer), Route("/script.js", script), Route("/missing", missing)]
    running = serving(Starlette(routes=routes), listen(Address("127.0.0.1", 0)))
    with portal.wrap_async_context_manager(running) as url:
        watch.origins.add(url)

        def serve(page: str = GOOD, script: str = "", policy: str | None = policy) -> str:
            loads = "<script type=module src=script.js></script>" if script else ""
            body.update(page=page + loads, script=script, policy=policy)
            return url

        yield serve


def hears(page, watch: Watch, url: str, pattern: str) -> None:
    """The watch hears that of the page, and whatever it hears is forgiven."""
    watch.expect("")
    page.goto(url)
    until(page, lambda: any(re.search(pattern, problem) for problem in watch.problems))


def test_a_good_page_passes(page, watch, served):
    page.goto(served(script="document.title = 'live'"))
    page.wait_for_load_state("networkidle")
    assert page.title() == "live"
    assert watch.problems == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("console.error('ouch')", "console error: ouch"),
        ("throw new Error('ouch')", "an error: .*ouch"),
        ("Promise.reject(new Error('later'))", "an error: .*later"),
        ("fetch('/missing')", "status of 409"),
        ("fetch('http://127.0.0.1:1/').catch(() => 0)", "refused http://127.0.0.1:1"),
        ("document.body.setAttribute('style', 'color: red')", "CSP: style-src"),
        ("eval('1')", "CSP: script-src"),
    ],
)
def test_what_goes_wrong_in_a_page_is_heard(page, watch, served, script, said):
    url = served(script=f"try {{ {script} }} catch (e) {{ if (e.message === 'ouch') throw e }}")
    hears(page, watch, url, said)


def test_what_comes_from_strangers_is_heard_even_where_a_policy_lets_it(page, watch, served):
    url = served(GOOD + "<img alt=x src=http://127.0.0.1:1/x.png>", policy="default-src *")
    hears(page, watch, url, "a stranger: GET http://127.0.0.1:1/x.png")


def test_a_page_without_a_policy_is_heard(page, watch, served):
    hears(page, watch, served(policy=None), "without a Content-Security-Policy")


def test_what_a_test_means_is_forgiven(page, watch, served):
    watch.expect("status of 409")
    page.goto(served(script="fetch('/missing')"))
    until(page, lambda: watch.problems)
    assert watch.unexpected() == []


def test_axe_sees_what_a_person_could_not(page, served):
    page.goto(served())
    accessible(page)
    page.goto(served(GOOD + "<main><button></button></main>"))
    with pytest.raises(AssertionError, match="button-name"):
        accessible(page)


def test_every_state_is_pictured_on_each_screen_in_both_lights(page, served, monkeypatch, tmp_path):
    monkeypatch.setattr("tests.browser.rig.SHOTS", tmp_path)
    page.goto(served())
    shot(page, "rig/good")
    names = {path.name for path in (tmp_path / "rig").iterdir()}
    assert names == {
        f"good-{view}-{scheme}.png"
        for view in ("till", "phone", "zoomed")
        for scheme in ("light", "dark")
    }
    assert page.evaluate("[innerWidth, innerHeight]") == [1024, 600]


def test_a_page_that_is_too_wide_is_seen(page, served, monkeypatch, tmp_path):
    monkeypatch.setattr("tests.browser.rig.SHOTS", tmp_path)
    page.goto(served(GOOD + "<table width=600><tr><td>x</table>"))
    with pytest.raises(AssertionError, match="too wide on a phone"):
        shot(page, "rig/wide")


def test_a_real_payment_goes_through(shop, town):
    paid = shop.pay(town.code(), wait_s=10)
    assert paid["status"] == "SUCCEEDED"
    assert town.ask("GET", f"/payments/{paid['id']}")["status"] == "succeeded"

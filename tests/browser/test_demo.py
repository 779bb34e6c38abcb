"""The demonstration's page: a newcomer pays with a click and sees the payment travel."""

from __future__ import annotations

import pytest

from tests.browser.rig import accessible, shot, until
from tillgate.pages import LOCAL_FRAMES


@pytest.fixture
def town(run_sandbox):
    return run_sandbox(framed_by=LOCAL_FRAMES)


@pytest.fixture
def demo(run_gateway, page):
    shop = run_gateway(is_demo=True)
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(shop.url + "/")
    return shop


def frames(page):
    found = {}
    for name in ("phone", "till", "console"):
        found[name] = page.locator(f"#{name}").element_handle().content_frame()
    found["till"].wait_for_selector("body[data-is=up]")
    found["console"].wait_for_selector("h1")
    found["phone"].wait_for_selector("[data-is=digits]:not([disabled])")
    return found


def test_a_newcomer_pays_with_a_click_and_watches(page, demo):
    found = frames(page)
    accessible(page)
    shot(page, "demo/before", is_whole=True)
    for key in ("1", "00"):
        found["till"].click(f"[data-key='{key}']")
    found["phone"].click("[data-is=hold]")
    found["phone"].wait_for_selector("[data-is=approve]:visible")
    until(page, lambda: page.locator("#steps .now").count() > 0)
    assert "The customer is asked." in page.inner_text("#steps")
    shot(page, "demo/asked", is_whole=True)
    found["phone"].click("[data-is=approve]")
    found["till"].wait_for_selector("body[data-screen=paid]")
    until(page, lambda: page.locator("#steps .done").count() == 6)
    [payment] = demo.ask("GET", "/v1/payments").body["payments"]
    found["console"].wait_for_selector(f"text={payment['id']}")
    accessible(page)
    page.set_viewport_size({"width": 1440, "height": 900})
    shot(page, "demo/paid", is_whole=True)


def test_a_code_of_another_origin_is_not_taken(page, demo):
    found = frames(page)
    found["till"].click("[data-key='1']")
    message = "{tillgate: 'code', code: '281006020000000000000012'}"
    found["console"].evaluate(f"top.postMessage({message}, '*')")
    found["console"].evaluate(f"top.frames[1].postMessage({message}, '*')")
    page.wait_for_timeout(500)
    assert found["till"].get_attribute("body", "data-screen") == "ready"
    assert demo.ask("GET", "/v1/payments").body["payments"] == []


def test_there_is_no_such_page_but_in_the_demonstration(page, shop, watch):
    watch.expect("status of 404|without a Content-Security")
    assert page.goto(shop.url + "/").status == 404

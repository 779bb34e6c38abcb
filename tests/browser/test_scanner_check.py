"""The scanner check: what was read whole is ticked off, and what was not is explained."""

from __future__ import annotations

import pytest

from tests.browser.rig import accessible, shot, until
from tests.browser.test_till import SPEED_MS
from tillgate.web.scanner_check import LENGTHS, PREFIXES, sheet_codes

CODES = [each.digits for each in sheet_codes()]


@pytest.fixture
def check(run_gateway, page):
    demo = run_gateway(is_demo=True)
    page.goto(demo.url + "/till/scanner-check")
    page.wait_for_selector("body[data-is=up]")
    return page


def scan(page, text):
    page.wait_for_timeout(600)
    page.keyboard.type(text, delay=SPEED_MS)
    page.keyboard.press("Enter")


def test_the_sheet_has_codes_of_every_kind():
    assert {len(code) for code in CODES} == set(LENGTHS) == {*range(16, 25), 32}
    assert {int(code[:2]) for code in CODES} == set(PREFIXES)
    assert len(set(CODES)) == len(CODES)
    for kind in ("QR", "Code 128"):
        assert {len(each.digits) for each in sheet_codes() if each.symbology == kind} == set(
            LENGTHS
        )


def test_what_a_scanner_did_to_a_code_is_said_and_a_whole_one_ticked_off(check):
    accessible(check)
    shot(check, "scanner-check/empty")
    long = CODES[LENGTHS.index(24)]
    other = "5" if long[9] != "5" else "6"
    for text, told in (
        (long[2:], "2 digits were cut at the front"),
        (long[:-3], "3 digits were cut at the end"),
        (f"]C1{long}", "Something was added: ]C1"),
        (f"{long[:9]}{other}{long[10:]}", f"Digit 10 was read as {other}, not {long[9]}"),
        ("00000000", "8 characters that is not on this sheet"),
    ):
        scan(check, text)
        until(check, lambda told=told: told in check.inner_text("#told"))
    assert "0 of 20 read" in check.inner_text("#progress")
    shot(check, "scanner-check/faults")
    accessible(check)
    scan(check, long)
    until(check, lambda: "1 of 20 read" in check.inner_text("#progress"))
    assert "read" in check.get_attribute(f"[data-digits='{long}']", "class")
    check.reload()
    check.wait_for_selector("body[data-is=up]")
    assert "1 of 20 read" in check.inner_text("#progress")
    for code in CODES[-3:]:
        scan(check, code)
    until(check, lambda: "4 of 20 read" in check.inner_text("#progress"))
    accessible(check)
    shot(check, "scanner-check/read")
    check.click("#again")
    assert "0 of 20 read" in check.inner_text("#progress")


def test_nothing_is_sent(check):
    sent = []
    check.on("request", lambda request: sent.append(request.url))
    scan(check, CODES[0])
    until(check, lambda: "1 of 20 read" in check.inner_text("#progress"))
    assert sent == []

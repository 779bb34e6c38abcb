"""The till in a real browser, before the real gateway and the real sandbox: what a cashier does,
and what happens to pages.
"""

from __future__ import annotations

import re

import pytest

from tests.browser.rig import accessible, shot, until
from tests.support import CODE

SPEED_MS = 8
"""Between two keys of a scanner."""


class Till:
    """A cashier at one page."""

    def __init__(self, page, url):
        self.page, self.url = page, url

    def opens(self, path="/till"):
        self.page.goto(self.url + path)
        self.page.wait_for_selector("body[data-is=up]")
        return self

    def reloads(self):
        self.page.reload()
        self.page.wait_for_selector("body[data-is=up]")

    def types(self, digits):
        """By hand."""
        for key in digits:
            self.page.keyboard.press(key)
            self.page.wait_for_timeout(70)

    def scans(self, code):
        """With the scanner, which a hand has to reach for."""
        self.page.wait_for_timeout(600)
        self.page.keyboard.type(code, delay=SPEED_MS)
        self.page.keyboard.press("Enter")

    def sells(self, code, amount="100"):
        self.types(amount)
        self.scans(code)

    def shows(self, screen):
        self.page.wait_for_selector(f"body[data-screen={screen}]")

    @property
    def screen(self):
        return self.page.get_attribute("body", "data-screen")

    def reads(self):
        return self.page.inner_text(".stage")

    @property
    def sum(self):
        return self.page.inner_text("#sum")


@pytest.fixture
def demo(run_gateway):
    """A gateway that signs a cashier in by itself."""
    return run_gateway(is_demo=True)


@pytest.fixture
def till(demo, page):
    return Till(page, demo.url).opens()


def payments(shop):
    return shop.ask("GET", "/v1/payments?limit=100").body["payments"]


def waiting_one(town, shop):
    """The payment that a customer is asked to confirm."""
    told = town.ask("GET", "/payments")["payments"]
    return next(
        (each["payment_request_id"] for each in told if each["status"] == "in_process"), None
    )


# --- A sale


def test_a_scanned_code_is_paid_and_enter_begins_the_next_sale(till, town, demo):
    shot(till.page, "till/ready")
    accessible(till.page)
    till.sells(town.code(wallet="kakaopay"), "12300")
    till.shows("paid")
    assert "¥12\u2009300" in till.reads()
    assert "KakaoPay" in till.reads()
    shot(till.page, "till/paid")
    accessible(till.page)
    [payment] = payments(demo)
    assert payment["amount"] == {"currency": "JPY", "value": 12300}
    till.page.keyboard.press("Enter")
    till.shows("ready")
    assert till.sum == "¥0"
    till.sells(town.code(wallet="kakaopay"), "5")
    till.shows("paid")
    assert len(payments(demo)) == 2


def test_a_scan_changes_neither_the_amount_nor_a_field_that_has_the_focus(till, town, demo):
    till.types("100")
    till.page.fill("#note", "two teas")
    till.page.focus("#note")
    till.scans(town.code(wallet="kakaopay"))
    till.shows("paid")
    [payment] = payments(demo)
    assert (payment["amount"]["value"], payment["description"]) == (100, "two teas")


def test_a_scan_without_an_amount_asks_for_the_amount(till, town, demo):
    till.scans(town.code(wallet="kakaopay"))
    assert "amount first" in till.page.inner_text("#hint")
    assert till.sum == "¥0"
    assert payments(demo) == []


def test_a_scanner_without_an_enter_is_understood(till, town):
    till.types("100")
    till.page.wait_for_timeout(600)
    till.page.keyboard.type(town.code(wallet="kakaopay"), delay=SPEED_MS)
    till.shows("paid")


def test_every_currency_has_its_own_decimals(till, town, demo):
    for currency, told in (("USD", "US$\u00a08.50"), ("JPY", "¥850"), ("KRW", "₩850")):
        till.page.select_option("#currency", currency)
        till.page.evaluate("document.activeElement.blur()")
        while till.sum[-1] != "0" or till.sum.count("0") < len(re.findall(r"\d", till.sum)):
            till.page.click("[data-key='<']")
        for key in "850":
            till.page.click(f"[data-key='{key}']")
        assert till.sum == told
    till.page.select_option("#currency", "USD")
    till.page.evaluate("document.activeElement.blur()")
    till.scans(town.code(wallet="kakaopay"))
    till.shows("paid")
    assert payments(demo)[0]["amount"] == {"currency": "USD", "value": 850}


def test_digits_are_recognised_while_they_are_typed(till, town, demo):
    till.types("100")
    till.page.keyboard.press("Enter")
    dialog = till.page.locator("#code")
    digits = dialog.locator("#digits")
    code = town.code(wallet="kakaopay")
    for key in code:
        till.page.keyboard.press(key)
        till.page.wait_for_timeout(60)
    until(till.page, lambda: "Alipay+" in dialog.inner_text())
    shot(till.page, "till/code")
    accessible(till.page)
    digits.fill("130000000000000000")
    until(till.page, lambda: "WeChat" in dialog.inner_text())
    digits.fill("1234567")
    assert dialog.locator("#charge").is_disabled()
    digits.fill(code)
    till.page.keyboard.press("Enter")
    till.shows("paid")


# --- The states, and a reload in each of them


def test_a_customer_who_has_to_confirm_is_waited_for_whatever_the_page_does(till, town, demo):
    till.sells(town.code(customer="gcash_jose"))
    till.shows("waiting")
    until(till.page, lambda: "on their phone" in till.reads())
    left = re.search(r"(\d+) s left", till.reads())
    assert left is not None
    assert 50 <= int(left[1]) <= 60
    shot(till.page, "till/waiting")
    accessible(till.page)
    till.reloads()
    till.shows("waiting")
    until(till.page, lambda: "¥100" in till.reads() and "s left" in till.reads())
    town.ask("POST", f"/payments/{waiting_one(town, demo)}/confirm")
    till.shows("paid")
    till.reloads()
    till.shows("paid")
    assert "GCash" in till.reads()
    assert len(payments(demo)) == 1


@pytest.mark.parametrize(
    ("play", "words", "action"),
    [
        ("expired_code", "refresh it", "Scan again"),
        ("user_balance_not_enough", "not enough money", "Take another method"),
        ("risk_reject", "declined", "Take another method"),
        ("invalid_contract", "Call your support", "Take another method"),
    ],
)
def test_what_is_not_paid_says_why_and_the_one_next_thing(till, town, play, words, action):
    till.sells(town.code(play=play))
    till.shows("unpaid")
    assert words in till.reads()
    assert play.upper() not in till.reads()
    assert till.page.inner_text("#action") == action
    shot(till.page, f"till/unpaid-{play}")
    accessible(till.page)
    till.page.click("#details summary")
    assert play.upper() in till.page.inner_text("#details")
    till.reloads()
    till.shows("unpaid")
    assert words in till.reads()


def test_after_an_expired_code_the_next_one_is_scanned_for_the_same_order(till, town, demo):
    till.sells(town.code(play="expired_code"))
    till.shows("unpaid")
    till.scans(town.code(wallet="kakaopay"))
    till.shows("paid")
    second, first = payments(demo)
    assert second["merchant_order_id"] == first["merchant_order_id"]
    assert (second["attempt"], second["previous_payment_id"]) == (2, first["id"])


def test_what_is_no_payment_code_is_refused_and_scanned_again(till, town, watch, demo):
    watch.expect("status of 422")
    till.types("100")
    till.scans("4901234567894000")
    till.shows("unpaid")
    assert "no payment code" in till.reads()
    till.scans(town.code(wallet="kakaopay"))
    till.shows("paid")
    assert len(payments(demo)) == 1


def test_when_nobody_knows_it_says_so_also_after_a_reload_and_while_it_cancels(till, town, demo):
    for api, lost in (("inquiryPayment", "reply"), ("notifyPayment", "request")):
        town.ask("POST", "/rules", {"on": {"api": api}, "do": {"lose": lost}, "times": 99})
    unknown = {"on": {"api": "pay"}, "do": {"result": "UNKNOWN_EXCEPTION"}, "times": 99}
    town.ask("POST", "/rules", unknown)
    till.sells(town.code(wallet="kakaopay"))
    till.shows("unknown")
    assert "must not pay again" in till.reads()
    shot(till.page, "till/unknown")
    accessible(till.page)
    till.reloads()
    till.shows("unknown")
    till.page.click("#cancel")
    till.shows("cancelling")
    assert "Wait until this is done" in till.reads()
    accessible(till.page)
    shot(till.page, "till/cancelling")


def test_a_cancel_before_the_payment_has_a_number_is_done_as_soon_as_it_has_one(till, town, demo):
    till.sells(town.code(customer="gcash_jose"))
    till.page.click("#cancel", timeout=1500)
    till.page.wait_for_selector("body[data-screen=cancelled]", timeout=20_000)
    assert "got the money back" in till.reads()
    shot(till.page, "till/cancelled")
    accessible(till.page)
    till.reloads()
    till.shows("cancelled")
    [payment] = payments(demo)
    assert payment["status"] == "CANCELLED"


def test_a_scan_while_a_payment_waits_is_refused_and_never_queued(till, town, demo):
    till.sells(town.code(customer="gcash_jose"))
    till.shows("waiting")
    till.scans(town.code(wallet="kakaopay"))
    assert "A payment is running" in till.page.inner_text("#hint")
    town.ask("POST", f"/payments/{until(till.page, lambda: waiting_one(town, demo))}/confirm")
    till.shows("paid")
    assert len(payments(demo)) == 1


# --- What happens to pages


def test_a_reply_that_is_lost_is_asked_for_again_with_the_same_key(till, town, demo, watch):
    watch.expect("ERR_FAILED|ERR_CONNECTION")
    keys = []

    def lose_twice(route):
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) == 1:
            return route.abort()
        if len(keys) == 2:
            route.fetch()  # it arrives, and its answer is lost
            return route.abort()
        return route.continue_()

    till.page.route("**/v1/payments", lose_twice)
    till.sells(town.code(wallet="kakaopay"))
    till.shows("unknown")
    assert "must not pay again" in till.reads()
    till.shows("paid")
    assert (len(keys), len(set(keys))) == (3, 1)
    assert len(payments(demo)) == 1


def test_a_page_that_is_reloaded_before_the_answer_finds_its_payment(till, town, demo, watch):
    watch.expect("ERR_FAILED|ERR_CONNECTION")

    def arrives_only(route):
        if route.request.method == "POST":
            route.fetch()
            return None
        return route.continue_()

    till.page.route("**/v1/payments*", arrives_only)
    till.sells(town.code(wallet="kakaopay"))
    until(till.page, lambda: payments(demo))
    till.page.unroute("**/v1/payments*")
    till.reloads()
    till.shows("paid")
    assert len(payments(demo)) == 1


def test_a_request_that_never_arrived_is_said_after_a_reload_and_nothing_was_charged(
    till, town, demo, watch
):
    watch.expect("ERR_FAILED|ERR_CONNECTION")
    is_cut = True

    def cut(route):
        if route.request.method != "POST" or not is_cut:
            route.continue_()

    till.page.route("**/v1/payments*", cut)
    till.sells(town.code(wallet="kakaopay"))
    till.shows("waiting")
    till.reloads()
    till.page.wait_for_selector("body[data-screen=unpaid]", timeout=20_000)
    assert "did not arrive" in till.reads()
    assert payments(demo) == []
    is_cut = False
    till.scans(town.code(wallet="kakaopay"))
    till.shows("paid")
    assert len(payments(demo)) == 1


def test_offline_says_so_and_never_guesses(till, town, demo, watch, context):
    watch.expect("ERR_INTERNET_DISCONNECTED|ERR_FAILED")
    till.sells(town.code(customer="gcash_jose"))
    till.shows("waiting")
    number = until(till.page, lambda: waiting_one(town, demo))
    context.set_offline(True)
    till.shows("unknown")
    assert "offline" in till.reads()
    shot(till.page, "till/offline")
    town.ask("POST", f"/payments/{number}/confirm")
    context.set_offline(False)
    till.shows("paid")


def test_two_tabs_have_a_sale_each_and_never_a_mixture(till, town, demo, context):
    till.sells(town.code(customer="gcash_jose"), "300")
    till.shows("waiting")
    other = Till(context.new_page(), demo.url).opens()
    assert other.screen == "ready"
    assert other.page.is_hidden("#unfinished")
    other.sells(town.code(wallet="kakaopay"), "200")
    other.shows("paid")
    assert "¥200" in other.reads()
    assert "¥300" in till.reads()
    # The same address in a third one shows the same sale.
    third = Till(context.new_page(), till.page.url).opens("")
    third.shows("waiting")
    town.ask("POST", f"/payments/{until(till.page, lambda: waiting_one(town, demo))}/confirm")
    third.shows("paid")
    till.shows("paid")
    assert len(payments(demo)) == 2


def test_a_tab_that_was_closed_in_the_middle_is_offered_again(till, town, demo, context):
    till.sells(town.code(customer="gcash_jose"), "300")
    till.shows("waiting")
    till.page.close()
    again = Till(context.new_page(), demo.url).opens()
    again.page.wait_for_selector("#unfinished:not([hidden])")
    assert "¥300" in again.page.inner_text("#unfinished")
    accessible(again.page)
    shot(again.page, "till/unfinished")
    again.page.click("#unfinished button")
    again.shows("waiting")


def test_a_cashier_of_another_shop_is_told_nothing_of_this_sale(town, shop, page):
    for name, merchant in (("ann", "M00000000001"), ("bob", "M00000000002")):
        body = {"name": name, "password": "a long enough password", "roles": ["till"]}
        told = shop.ask("POST", "/admin/v1/users", body | {"merchant_id": merchant})
        assert told.status == 201
    till = Till(page, shop.url)
    sign_in(page, shop, "ann")
    till.sells(town.code(customer="gcash_jose"))
    till.shows("waiting")
    until(page, lambda: payments(shop))
    sale = page.url
    page.click("text=Sign out")
    sign_in(page, shop, "bob")
    assert page.is_hidden("#unfinished")
    page.goto(sale)
    page.reload()
    till.shows("ready")
    assert "charged" not in page.inner_text("body")
    page.click("text=Sign out")
    sign_in(page, shop, "ann")
    page.goto(sale)
    page.reload()
    till.shows("waiting")


def sign_in(page, shop, name):
    page.goto(shop.url + "/till")
    page.fill("#name", name)
    page.fill("#password", "a long enough password")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-is=up]")


def test_the_back_button_is_harmless(till, town, demo):
    till.sells(town.code(customer="gcash_jose"))
    till.shows("waiting")
    till.page.go_back()
    till.shows("waiting")
    town.ask("POST", f"/payments/{until(till.page, lambda: waiting_one(town, demo))}/confirm")
    till.shows("paid")
    till.page.keyboard.press("Enter")
    till.shows("ready")
    till.page.go_back()
    till.shows("paid")
    assert len(payments(demo)) == 1


# --- Afterwards


def test_a_part_and_the_rest_are_given_back_from_the_receipt(till, town, demo):
    till.sells(town.code(wallet="kakaopay"), "1000")
    till.shows("paid")
    till.page.click("#receipt")
    slip = till.page.locator("#slip")
    accessible(till.page)
    shot(till.page, "till/receipt")
    till.page.click("#start-refund")
    amount = slip.locator("#refund-amount")
    for wrong in ("1001", "0", "-1", "x", "", "1.5"):
        amount.fill(wrong)
        assert slip.locator("#refund-ask").is_disabled()
    amount.fill("300")
    accessible(till.page)
    shot(till.page, "till/refund")
    slip.locator("#refund-ask").dblclick()
    until(till.page, lambda: "Refunded" in slip.inner_text())
    assert slip.locator("#cancel-paid").is_hidden()
    until(till.page, lambda: slip.locator("#start-refund").is_visible())
    till.page.click("#start-refund")
    assert amount.input_value() == "700"
    slip.locator("#refund-ask").click()
    until(till.page, lambda: slip.inner_text().count("Refunded") == 2)
    assert slip.locator("#start-refund").is_hidden()
    [payment] = payments(demo)
    assert (payment["amount_refunded"], payment["amount_reserved"]) == (1000, 1000)


def test_today_lists_what_was_sold_and_a_paid_one_is_cancelled(till, town, demo):
    till.page.click("#open-today")
    assert "No payments yet" in till.page.inner_text("#today")
    shot(till.page, "till/today-empty")
    till.page.keyboard.press("Escape")
    till.sells(town.code(wallet="kakaopay"), "250")
    till.shows("paid")
    till.page.keyboard.press("Enter")
    till.page.click("#open-today")
    until(till.page, lambda: "¥250" in till.page.inner_text("#today"))
    accessible(till.page)
    shot(till.page, "till/today")
    till.page.click("#today tbody button")
    till.page.click("#cancel-paid")
    until(till.page, lambda: "Cancelled" in till.page.inner_text("#slip-state"))
    until(till.page, lambda: payments(demo)[0]["status"] == "CANCELLED")


# --- Who, in which words


def test_a_cashier_signs_in_by_hand_and_is_told_when_the_session_is_over(shop, page, town, watch):
    body = {"name": "ann", "password": "a long enough password", "roles": ["till"]}
    place = {"merchant_id": "M00000000001"}
    assert shop.ask("POST", "/admin/v1/users", body | place).status == 201
    page.goto(shop.url + "/till")
    accessible(page)
    shot(page, "sign-in/empty")
    page.fill("#name", "ann")
    page.fill("#password", "wrong")
    watch.expect("status of 403")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    shot(page, "sign-in/wrong")
    page.fill("#password", "a long enough password")
    page.keyboard.press("Enter")
    till = Till(page, shop.url)
    page.wait_for_selector("body[data-is=up]")
    assert shop.ask("POST", "/admin/v1/users/ann/unlock").status == 200
    watch.expect("status of 401")
    till.sells(town.code(wallet="kakaopay"))
    till.shows("signed-out")
    assert "Sign in again" in till.reads()
    accessible(page)


@pytest.mark.parametrize(("lang", "words"), [("ja", "支払い完了"), ("th", "ชำระแล้ว")])
def test_the_till_speaks_the_cashiers_language(till, town, lang, words):
    till.page.select_option("#language", lang)
    till.page.wait_for_selector(f"html[lang={lang}]")
    till.page.wait_for_selector("body[data-is=up]")
    shot(till.page, f"till/ready-{lang}")
    till.sells(town.code(wallet="kakaopay"))
    till.shows("paid")
    assert words in till.reads()
    shot(till.page, f"till/paid-{lang}")
    till.reloads()
    till.shows("paid")
    assert words in till.reads()


def test_what_merchants_write_comes_out_as_text(demo, page, town):
    shop = demo
    evil = '"><img src=x onerror=alert(1)></script><script>alert(2)</script>'
    for path in ("/merchants/M00000000001", "/merchants/M00000000001/stores/S0000000001"):
        assert shop.ask("PATCH", f"/admin/v1{path}", {"name": evil}).status == 200
    till = Till(page, shop.url).opens()
    assert evil in page.inner_text("header")
    page.fill("#note", evil)
    page.evaluate("document.activeElement.blur()")
    till.sells(town.code(wallet="kakaopay"))
    till.shows("paid")
    page.click("#receipt")
    until(page, lambda: page.inner_text("#slip").count(evil[:30]) == 3)
    assert page.locator("img").count() == 0


def test_no_code_stays_in_the_browser_or_on_the_page(till, town, demo):
    code = town.code(customer="gcash_jose")
    till.sells(code)
    till.shows("waiting")
    until(till.page, lambda: payments(demo))
    kept = till.page.evaluate("JSON.stringify({...localStorage}) + location + document.cookie")
    assert code not in kept
    assert code not in till.page.content()
    assert CODE not in kept


def test_the_page_is_light_and_works_by_keyboard_alone(demo, page, town):
    sizes = []
    page.on("response", lambda answer: sizes.append(len(answer.body())) if answer.ok else None)
    till = Till(page, demo.url).opens()
    assert sum(sizes) < 150_000, sum(sizes)
    till.types("100")
    page.keyboard.press("Enter")
    page.wait_for_selector("#code[open]")
    for key in town.code(wallet="kakaopay"):
        page.keyboard.press(key)
        page.wait_for_timeout(55)
    page.keyboard.press("Enter")
    till.shows("paid")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#slip[open]")
    page.keyboard.press("Escape")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    till.shows("ready")


def test_sounds_are_switched_off_and_stay_off(till):
    assert till.page.get_attribute("#sound", "aria-pressed") == "true"
    till.page.click("#sound")
    till.reloads()
    assert till.page.get_attribute("#sound", "aria-pressed") == "false"
    accessible(till.page)
    till.page.focus("#sound")
    till.page.keyboard.press("Space")
    assert till.page.get_attribute("#sound", "aria-pressed") == "true"

"""The sandbox's wallet as a person has it: in a real browser, before the real sandbox, with
payments that the real gateway asks for.
"""

from __future__ import annotations

import io
import json
import re
from importlib.resources import files

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import expect

from tests.browser.conftest import Sandbox
from tests.browser.rig import SHOTS, accessible, shot, until
from tests.e2e.test_processes import running
from tests.support import API_KEY, alipay_plus_settings, merchant_document
from tillgate.cli.keys import Addresses, write_folder
from tillgate.merchants import read_directory
from tillgate.sandbox.plays import PLAYS
from tillgate.sandbox.wallets import load_wallets

MINJI, JUNHO, HANA = "kakaopay_minji", "kakaopay_junho", "kakaopay_hana"
"""Pays at once; is asked every time; is asked for a PIN, 1234."""
DARK = re.compile("^·")
BYTES_MAX = 150_000


class Phone:
    """A customer's phone in a page, by what a person finds on it."""

    def __init__(self, page, town, customer=JUNHO):
        self.page, self.town, self.customer = page, town, customer
        page.goto(f"{town.url}/wallet/{customer}")
        self.bars = page.get_by_role("img", name="Barcode of the payment code")
        self.qr = page.get_by_role("img", name="QR of the payment code")
        self.digits = page.locator("[data-is=digits]")
        self.sheet = page.get_by_role("dialog")
        self.approve = self.sheet.get_by_role("button", name="Approve")
        self.decline = self.sheet.get_by_role("button", name="Decline")
        self.pin = self.sheet.get_by_label("PIN", exact=True)
        self.told = page.locator("[data-is=told]")
        self.past = page.locator("[data-is=past] > li")
        self.balance = page.locator("[data-is=balance]")
        self.drawer = page.get_by_role("complementary", name="Tester's drawer")
        expect(self.qr).to_be_visible()
        expect(self.balance).not_to_have_text("…")

    def scanned(self, picture=None) -> str:
        """What a scanner reads on the screen."""
        image = Image.open(io.BytesIO((picture or self.qr).screenshot(animations="disabled")))
        [found] = zxingcpp.read_barcodes(image.resize((image.width * 3, image.height * 3)))
        return found.text

    def asked(self, shop, **changes):
        """The till charges the code on the screen, and the phone asks."""
        payment = shop.pay(self.scanned(), **changes)
        expect(self.sheet).to_be_visible()
        return payment

    def new_code_after(self, act) -> None:
        before = self.qr.get_attribute("src")
        act()
        expect(self.qr).not_to_have_attribute("src", before)
        expect(self.qr).to_be_visible()


@pytest.fixture
def phone_of(page, town):
    return lambda customer=JUNHO: Phone(page, town, customer)


# --- The code


@pytest.mark.parametrize("symbology", ["bars", "qr"])
def test_a_till_that_scans_the_screen_is_paid(phone_of, shop, symbology):
    phone = phone_of(MINJI)
    code = phone.scanned(getattr(phone, symbology))
    phone.new_code_after(lambda: shop.pay(code, wait_s=10))
    expect(phone.told).to_contain_text("Paid ₩920 to cup Hu")
    expect(phone.balance).to_have_text("₩99\u202f999\u202f999\u202f080")
    expect(phone.past).to_have_count(1)
    expect(phone.past).to_contain_text("Paid")
    expect(phone.past).to_contain_text("¥100")
    assert phone.scanned() != code
    if symbology == "qr":
        shot(phone.page, "wallet/paid")
        accessible(phone.page)


def test_the_digits_are_masked_until_they_are_tapped_and_again_after_some_seconds(
    page, town, watch
):
    page.clock.install()
    phone = Phone(page, town)
    code = phone.scanned()
    shown = page.locator("[data-is=digits-shown]")
    expect(shown).to_have_text(DARK)
    assert code not in re.sub(r"\s", "", page.content())
    phone.digits.click()
    expect(shown).to_have_text(re.sub(r"(.{4})(?=.)", r"\1 ", code))
    shot(page, "wallet/digits")
    phone.digits.click()
    expect(shown).to_have_text(DARK)
    phone.digits.click()
    page.clock.fast_forward(8_000)
    expect(shown).to_have_text(DARK)


def test_the_code_is_in_no_address_and_in_no_storage(page, town, shop):
    asked = []
    page.on("request", lambda request: asked.append(request.url + str(request.headers)))
    phone = Phone(page, town, MINJI)
    code = phone.scanned()
    phone.digits.click()
    phone.new_code_after(lambda: shop.pay(code))
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, history.state])")
    assert any("/codes/image" in url for url in asked)
    assert code not in "".join([*asked, kept, page.url])
    assert not page.context.cookies()


def test_the_ring_empties_over_the_minute_and_the_code_renews_itself(phone_of, town):
    phone = phone_of()
    first = phone.scanned()
    seconds = phone.page.get_by_role("timer")
    assert 50 <= int(seconds.inner_text()) <= 60
    town.ask("PUT", "/clock", {"frozen": True, "advance_s": 30})
    expect(seconds).to_have_text(re.compile("^(2[0-9]|30)$"))
    offset = phone.page.locator("[data-is=ring]").evaluate(
        "it => Number(it.style.strokeDashoffset)"
    )
    assert 48 <= offset <= 70
    phone.new_code_after(lambda: town.ask("PUT", "/clock", {"advance_s": 31}))
    assert phone.scanned() != first
    expect(phone.page.get_by_text("Auto-renewed")).to_be_visible()


def test_nothing_is_asked_for_while_nobody_looks(page, town):
    page.clock.install()
    phone = Phone(page, town)
    first = phone.scanned()

    def look_away(is_away):
        page.evaluate(
            "is => { Object.defineProperty(document, 'hidden', {value: is, configurable: true});"
            " document.dispatchEvent(new Event('visibilitychange')) }",
            is_away,
        )

    look_away(True)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    town.ask("PUT", "/clock", {"advance_s": 61})
    page.clock.run_for(70_000)
    assert asked == []
    phone.new_code_after(lambda: look_away(False))
    assert phone.scanned() != first


# --- The sheet


def test_the_customer_is_asked_with_both_amounts_and_approves(phone_of, shop):
    phone = phone_of()
    payment = phone.asked(shop, value=1234)
    for words in ("Pay cup Hu?", "₩11\u202f353", "¥1\u202f234", "s left to decide"):
        expect(phone.sheet).to_contain_text(words)
    shot(phone.page, "wallet/asked")
    accessible(phone.page)
    phone.page.reload()
    expect(phone.sheet).to_contain_text("Pay cup Hu?")
    phone.approve.click()
    expect(phone.sheet).to_be_hidden()
    expect(phone.told).to_contain_text("Paid")
    assert shop.payment(payment["id"], wait_s=10)["status"] == "SUCCEEDED"


def test_the_customer_declines(phone_of, shop):
    phone = phone_of()
    payment = phone.asked(shop)
    phone.decline.click()
    expect(phone.told).to_contain_text("Not paid")
    expect(phone.past).to_contain_text("The customer did not confirm the payment.")
    assert shop.payment(payment["id"], wait_s=10)["status"] == "FAILED"


def test_a_sheet_put_off_stays_away_until_it_is_opened(phone_of, shop):
    phone = phone_of()
    phone.asked(shop)
    phone.page.keyboard.press("Escape")
    expect(phone.sheet).to_be_hidden()
    reopen = phone.page.get_by_role("button", name="Open")
    expect(reopen).to_be_focused()
    shot(phone.page, "wallet/put-off")
    accessible(phone.page)
    phone.page.reload()
    expect(reopen).to_be_visible()
    expect(phone.sheet).to_be_hidden()
    reopen.click()
    expect(phone.sheet).to_be_focused()
    phone.page.get_by_role("button", name="Decide later").click()
    expect(reopen).to_be_visible()


def test_a_wrong_pin_is_said_and_the_right_one_pays(phone_of, shop, watch):
    watch.expect("status of 409")
    phone = phone_of(HANA)
    payment = phone.asked(shop)
    expect(phone.approve).to_be_disabled()
    for digit in "9999":
        phone.sheet.get_by_role("button", name=digit, exact=True).click()
    expect(phone.pin).to_have_value("9999")
    phone.approve.click()
    expect(phone.sheet.get_by_role("alert")).to_have_text("The PIN is wrong; tries left: 2.")
    expect(phone.pin).to_have_value("")
    shot(phone.page, "wallet/wrong-pin")
    accessible(phone.page)
    for name in ("1", "2", "7", "Delete the last digit", "3", "4"):
        phone.sheet.get_by_role("button", name=name, exact=True).click()
    phone.approve.click()
    expect(phone.told).to_contain_text("Paid")
    assert shop.payment(payment["id"], wait_s=10)["status"] == "SUCCEEDED"


def test_the_third_wrong_pin_ends_it(phone_of, shop, watch):
    watch.expect("status of 409")
    phone = phone_of(HANA)
    phone.asked(shop)
    for left in ("2", "1", None):
        expect(phone.pin).to_be_focused()
        phone.page.keyboard.type("0000")
        expect(phone.approve).to_be_enabled()  # the last answer is dealt with
        phone.page.keyboard.press("Enter")
        if left:
            expect(phone.sheet.get_by_role("alert")).to_contain_text(f"tries left: {left}")
    expect(phone.told).to_contain_text("Not paid")


def test_the_till_cancels_while_the_customer_thinks(phone_of, shop):
    phone = phone_of()
    payment = phone.asked(shop)
    shop.ask("POST", f"/v1/payments/{payment['id']}/cancel")
    expect(phone.sheet).to_be_hidden()
    expect(phone.told).to_contain_text("Cancelled")
    expect(phone.past).to_contain_text("Cancelled")


def test_the_payment_expires_while_the_customer_thinks(phone_of, shop, town):
    phone = phone_of()
    phone.asked(shop)
    town.ask("PUT", "/clock", {"advance_s": 61})
    expect(phone.sheet).to_be_hidden()
    expect(phone.told).to_contain_text("Expired")


def test_refunds_come_back_one_by_one(phone_of, shop):
    phone = phone_of(MINJI)
    payment = shop.pay(phone.scanned(), wait_s=10)
    for number, (value, word) in enumerate(((40, "Partly refunded"), (60, "Refunded"))):
        body = {"amount": {"currency": "JPY", "value": value}}
        headers = {"Idempotency-Key": f"refund-{number}"}
        done = shop.ask("POST", f"/v1/payments/{payment['id']}/refunds", body, **headers)
        assert done.status < 300, done.body
        expect(phone.past.locator(".state")).to_have_text(word)
    expect(phone.told).to_contain_text("Refunded ₩552 from cup Hu")
    expect(phone.past.locator(".refund")).to_have_text(
        [re.compile(r"\+₩368"), re.compile(r"\+₩552")]
    )
    expect(phone.balance).to_have_text("₩100\u202f000\u202f000\u202f000")
    shot(phone.page, "wallet/refunded")
    accessible(phone.page)


def test_the_last_five_payments_are_shown_and_all_on_wish(phone_of, shop, town):
    for _ in range(7):
        shop.pay(town.code(customer=MINJI), wait_s=10)
    phone = phone_of(MINJI)
    expect(phone.past).to_have_count(5)
    phone.page.get_by_role("button", name="Show all 7").click()
    expect(phone.past).to_have_count(7)
    expect(phone.past.nth(5)).to_be_focused()


def test_two_tabs_agree(phone_of, shop, town, context, watch):
    watch.expect("status of 409")
    phone = phone_of()
    phone.asked(shop)
    other = Phone(context.new_page(), town)
    expect(other.sheet).to_be_visible()
    other.page.route("**/sandbox/customers/*", lambda route: route.abort())  # it stays behind
    watch.expect("ERR_FAILED")
    phone.approve.click()
    expect(phone.told).to_contain_text("Paid")
    other.decline.click()
    expect(other.sheet.get_by_role("alert")).to_contain_text("nobody can confirm or decline it")
    other.page.unroute_all()
    expect(other.sheet).to_be_hidden()
    expect(other.told).to_contain_text("Paid")


# --- The net is gone


def test_without_a_net_the_phone_says_so_and_goes_on_where_it_was(phone_of, shop, watch):
    watch.expect("ERR_INTERNET_DISCONNECTED")
    phone = phone_of()
    payment = phone.asked(shop)
    away = phone.page.get_by_text("Offline: the sandbox does not answer.")
    phone.page.context.set_offline(True)
    phone.approve.click()
    expect(phone.sheet.get_by_role("alert")).to_contain_text("No answer.")
    expect(away).to_be_visible()
    shot(phone.page, "wallet/offline")
    accessible(phone.page)
    phone.page.context.set_offline(False)
    expect(away).to_be_hidden()
    expect(phone.sheet).to_be_visible()
    phone.approve.click()
    expect(phone.told).to_contain_text("Paid")
    assert shop.payment(payment["id"], wait_s=10)["status"] == "SUCCEEDED"


def test_a_code_that_cannot_be_renewed_is_not_shown_as_if_it_were_good(phone_of, town, watch):
    watch.expect("ERR_INTERNET_DISCONNECTED")
    page = phone_of().page
    page.clock.install()
    page.context.set_offline(True)
    page.clock.run_for(70_000)
    expect(page.get_by_text("No code: the sandbox is away.")).to_be_visible()
    expect(page.locator("[data-is=code]")).to_have_class(re.compile("spent"))
    expect(page.locator("[data-is=digits]")).to_be_disabled()


def test_a_sandbox_that_was_started_anew_gives_another_code(page, watch, tmp_path):
    watch.expect("ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET")
    write_folder(tmp_path, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
    with running(tmp_path, "sandbox") as first:
        watch.origins.add(first.url)
        phone = Phone(page, Sandbox(first.url), MINJI)
        old, picture = phone.scanned(), phone.qr.get_attribute("src")
    expect(page.get_by_text("Offline")).to_be_visible()
    with running(tmp_path, "sandbox", "--listen", first.url.removeprefix("http://")):
        expect(phone.qr).not_to_have_attribute("src", picture)
        expect(page.get_by_text("Offline")).to_be_hidden()
        assert phone.scanned() != old
        page.close()


# --- Whose phone


def test_the_choice_stands_in_the_address(page, town):
    page.goto(town.url)
    expect(page).to_have_url(f"{town.url}/wallet/{MINJI}")
    phone = page.get_by_role("main")
    page.get_by_role("link", name="TrueMoney").click()
    page.get_by_role("link", name="Malee Srisuk").click()
    expect(page).to_have_url(f"{town.url}/wallet/truemoney_malee")
    page.reload()
    expect(phone).to_contain_text("Malee Srisuk")
    page.go_back()
    expect(phone).to_contain_text("Somchai Jaidee")
    page.go_back()
    expect(phone).to_contain_text("Kim Minji")


def test_nobody_s_phone_leads_to_somebody_s(page, town, watch):
    watch.expect("status of 404")
    page.goto(f"{town.url}/wallet/nobody")
    shot(page, "wallet/nobody")
    accessible(page)
    page.get_by_role("link", name="To the phones").click()
    expect(page.get_by_role("main")).to_contain_text("Kim Minji")


def test_each_wallet_can_be_read_in_both_lights(page, town):
    for wallet in load_wallets().all:
        Phone(page, town, wallet.customers[1].id)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            accessible(page)
            page.screenshot(path=SHOTS / f"wallet/brand-{wallet.id}-{scheme}.png")


# --- The tester's drawer


def test_the_drawer_knows_every_play(phone_of):
    names = phone_of().drawer.locator("#outcome option, #fault option").all_inner_texts()
    assert sorted(names) == sorted([*PLAYS, "as usual", "nothing"])


def test_what_is_armed_is_shown_and_happens_once(phone_of, shop, town):
    phone = phone_of(MINJI)
    drawer, page = phone.drawer, phone.page
    drawer.get_by_label("How it ends").select_option("risk_reject")
    expect(drawer).to_contain_text(PLAYS["risk_reject"].what)
    drawer.get_by_label("What goes wrong on the way").select_option("notify_twice")
    drawer.get_by_role("button", name="Arm").click()
    expect(drawer.get_by_role("status")).to_have_text("Armed for the next payment.")
    armed = drawer.locator(".armed li")
    expect(armed).to_have_count(2)
    shot(page, "wallet/armed", is_whole=True)
    accessible(page)
    page.reload()
    expect(armed).to_have_count(2)
    drawer.get_by_role("button", name="Clear notify_twice").click()
    expect(armed).to_have_count(1)
    expect(armed).to_contain_text("risk_reject")
    phone.new_code_after(lambda: shop.pay(phone.scanned(), wait_s=10))
    expect(phone.told).to_contain_text("Not paid")
    expect(armed).to_have_count(0)
    assert town.ask("GET", "/payments")["payments"][0]["result_code"] == "RISK_REJECT"
    shop.pay(phone.scanned(), wait_s=10)
    expect(phone.told).to_contain_text("Paid")


def test_balance_status_and_asking_are_set_in_the_wallet_s_own_money(page, town):
    phone = Phone(page, town, "gcash_maria")
    drawer = phone.drawer
    balance = drawer.get_by_label("Balance, PHP")
    expect(balance).to_have_value("5000000.00")
    balance.fill("12,5.5.0")
    drawer.get_by_role("button", name="Set").click()
    expect(drawer.get_by_role("status")).to_have_text("This is no amount of PHP.")
    balance.fill("1 234.5")
    drawer.get_by_label("Status").select_option("frozen")
    drawer.get_by_label("Asks the customer").select_option("before every payment")
    drawer.get_by_role("button", name="Set").click()
    expect(phone.balance).to_have_text("₱1\u202f234.50")
    wallets = {each["id"]: each for each in town.ask("GET", "/wallets")["wallets"]}
    [maria] = [each for each in wallets["gcash"]["customers"] if each["id"] == "gcash_maria"]
    assert (maria["balance"], maria["status"], maria["confirm_above"]) == (123450, "frozen", 0)


def test_what_a_tester_is_typing_is_not_overwritten(phone_of, town):
    phone = phone_of()
    field = phone.drawer.get_by_label("Balance, KRW")
    field.fill("777")
    town.ask("PATCH", f"/customers/{JUNHO}", {"balance": 5})
    expect(phone.balance).to_have_text("₩5")
    expect(field).to_have_value("777")


# --- Everybody


def test_everything_can_be_done_without_a_mouse(phone_of, shop):
    phone = phone_of(HANA)
    keyboard, page = phone.page.keyboard, phone.page

    def tab_to(name):
        for _ in range(60):
            keyboard.press("Tab")
            focused = page.evaluate(
                "(document.activeElement.labels?.[0] ?? document.activeElement).innerText"
            )
            if (focused or "").split("\n")[-1].strip() == name:
                return
        raise AssertionError(f"{name} is not reached")

    tab_to("Show")
    keyboard.press("Enter")
    expect(page.locator("[data-is=digits-shown]")).not_to_have_text(DARK)
    keyboard.press("Enter")
    tab_to("How it ends")
    keyboard.type("in_process_for_ever")
    tab_to("Arm")
    keyboard.press("Enter")
    expect(phone.drawer.locator(".armed li")).to_have_count(1)
    phone.asked(shop)
    tab_to("PIN")
    keyboard.type("1234")
    keyboard.press("Enter")
    expect(phone.told).to_contain_text("Paid")


def test_names_are_text_whatever_they_say(page, run_sandbox, run_gateway):
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    text = files("tillgate.sandbox").joinpath("wallets.toml").read_text()
    for name in ("Lee Junho", "KakaoPay"):
        text = text.replace(f'"{name}"', json.dumps(evil))
    town = run_sandbox(wallets=load_wallets(text.encode()))
    seller = merchant_document(1, API_KEY) | {"name": evil}
    shop = run_gateway(
        seed=read_directory({"merchant": [seller]}, "merchants.toml"),
        connectors=(alipay_plus_settings(town.url),),
    )
    phone = Phone(page, town)
    phone.asked(shop, description=evil)
    expect(phone.sheet).to_contain_text(f"Pay {evil}?")
    phone.approve.click()
    expect(phone.told).to_contain_text(evil)
    expect(phone.past).to_contain_text(evil)
    expect(page.get_by_role("main")).to_contain_text(evil)
    assert page.title().startswith("<img")
    assert page.locator("img[src=x]").count() == 0
    shot(page, "wallet/long-names")


def test_amounts_are_written_with_their_currency_s_decimals_and_sign(page, town):
    page.goto(f"{town.url}/wallet/{MINJI}")
    module = page.locator("script[type=module]").get_attribute("src").replace("app.js", "money.js")

    def ran(words, *values):
        script = f"async ([path, values]) => (await import(path)).{words}(...values)"
        return page.evaluate(script, [module, values])

    for currency, value, exponent, said in (
        ("JPY", 12300, 0, "¥12 300 JPY"),
        ("CNY", 5, 2, "¥0.05 CNY"),
        ("USD", 850, 2, "US$ 8.50"),
        ("KRW", 1, 0, "₩1"),
        ("MYR", 100000, 2, "RM 1 000.00"),
        ("KWD", 1234567, 3, "1 234.567 KWD"),
    ):
        amount = {"currency": currency, "value": value, "exponent": exponent}
        assert re.sub(r"\s", " ", ran("money", amount)) == said
    for typed, exponent, value in (
        ("12", 2, 1200), ("1 234.5", 2, 123450), ("1,234.56", 2, 123456), ("0.05", 2, 5),
        ("12", 0, 12), ("1.5", 0, None), ("1.234", 2, None), ("-1", 2, None), ("", 2, None),
    ):  # fmt: skip
        assert ran("minorUnits", typed, exponent) == value, typed


def test_nothing_moves_for_whom_motion_is_a_trouble(page, town, shop):
    page.emulate_media(reduced_motion="reduce")
    phone = Phone(page, town)
    phone.asked(shop)
    moving = page.evaluate("document.getAnimations().length")
    assert moving == 0


def test_the_page_is_light(page, town):
    sizes = {}
    page.on("response", lambda answer: sizes.update({answer.url: len(answer.body())}))
    Phone(page, town)
    until(page, lambda: len(sizes) > 12)
    assert sum(sizes.values()) < BYTES_MAX


def test_the_phone_folds_to_one_column_on_a_narrow_screen(page, town):
    page.set_viewport_size({"width": 390, "height": 844})
    phone = Phone(page, town)
    expect(page.get_by_role("link", name="GCash")).to_be_hidden()
    page.get_by_text("Whose phone?").click()
    expect(page.get_by_role("link", name="GCash")).to_be_visible()
    page.get_by_text("Tester's drawer").click()
    expect(phone.drawer.get_by_role("button", name="Arm")).to_be_visible()
    page.screenshot(path=SHOTS / "wallet/unfolded-phone-light.png", full_page=True)
    accessible(page)

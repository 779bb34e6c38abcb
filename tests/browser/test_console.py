"""The console in a real browser: what an operator looks at, searches and does."""

from __future__ import annotations

import csv
import io

import pytest

from tests.browser.rig import accessible, follow, shot, until

EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'


@pytest.fixture
def demo(run_gateway):
    return run_gateway(is_demo=True)


@pytest.fixture
def console(demo, page):
    page.goto(demo.admin_url + "/console")
    page.wait_for_selector("h1")
    return page


def search(page, text):
    page.keyboard.press("/")
    page.keyboard.insert_text(text)
    page.keyboard.press("Enter")


def test_an_empty_console_teaches_and_then_lives(console, town, demo):
    assert "tillgate code | tillgate pay" in console.inner_text("main")
    accessible(console)
    shot(console, "console/empty")
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    console.wait_for_selector(f"text={payment['id']}")
    for number in range(55):
        demo.pay(town.code(wallet="kakaopay"), value=100 + number)
    until(console, lambda: "154" in console.inner_text("#rows"))
    until(console, lambda: console.locator("#rows tr").count() == 50)
    console.wait_for_timeout(2500)
    assert console.locator("#rows tr").count() == 50
    accessible(console)
    shot(console, "console/payments")
    follow(console, "text=Older")
    assert console.locator("#rows tr").count() == 6


def test_the_list_is_filtered_and_a_wrong_filter_is_named(console, town, demo, watch):
    paid = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    refused = demo.pay(town.code(play="risk_reject"), wait_s=5)
    for query, told in (
        ("status=FAILED", [refused["id"]]),
        ("status=SUCCEEDED&wallet=kakaopay", [paid["id"]]),
        ("merchant=M00000000002", []),
        (f"order={paid['merchant_order_id']}", [paid["id"]]),
        ("from=2020-01-01T00:00&before=2021-01-01T00:00", []),
        ("status=PENDING", []),
    ):
        console.goto(f"{demo.admin_url}/console/payments?{query}")
        ids = [each.inner_text() for each in console.locator("#rows a.mono").all()]
        assert ids == told, query
    watch.expect("status of 422")
    console.goto(f"{demo.admin_url}/console/payments?from=yesterday")
    assert "A time such as" in console.inner_text("#wrong-from")
    accessible(console)


def test_every_identifier_leads_to_the_payment(console, town, demo):
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    key = {"Idempotency-Key": "refund-1", "Prefer": "wait=5"}
    path = f"/v1/payments/{payment['id']}/refunds"
    body = {"amount": {"currency": "JPY", "value": 30}}
    refund = demo.ask("POST", path, body, **key).body
    for text in (
        *(payment["id"], payment["payment_id"], payment["merchant_order_id"], "key-1"),
        *(refund["id"], refund["refund_id"]),
    ):
        console.goto(demo.admin_url + "/console")
        search(console, text)
        console.wait_for_url(f"**/console/payments/{payment['id']}")
    search(console, "281006020000000000000012")
    console.wait_for_selector("text=0 found")
    assert "281006020000000000000012" not in console.content() + console.url
    shot(console, "console/nothing-found")
    accessible(console)


def test_one_payment_tells_its_story_and_is_refunded_and_audited(console, town, demo):
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5, value=500)
    console.goto(f"{demo.admin_url}/console/payments/{payment['id']}")
    text = console.inner_text("main").replace("\xa0", " ")
    for words in ("500 JPY", "Asked for the money", "Alipay+", "rule", "Cancel until", "left"):
        assert words in text
    assert payment["code"] in text
    accessible(console)
    shot(console, "console/payment", is_whole=True)
    console.click("button[data-act=refund]")
    accessible(console)
    shot(console, "console/refund")
    console.fill("#sure-amount", "200")
    console.keyboard.press("Enter")
    until(console, lambda: "200\xa0JPY given back" in console.inner_text("main"))
    assert console.locator("button[data-act=cancel]").count() == 0
    audit = demo.ask("GET", "/admin/v1/audit").body
    assert audit["acts"][0]["act"] == "payment.refund"
    assert audit["acts"][0]["operator_id"] == "demo-operator"


def test_a_payment_is_cancelled_from_its_page_and_what_the_api_says_is_said(console, town, demo):
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    console.goto(f"{demo.admin_url}/console/payments/{payment['id']}")
    console.click("button[data-act=cancel]")
    console.click("#sure-yes")
    until(console, lambda: "Cancelled" in console.inner_text("h1"))
    assert demo.payment(payment["id"])["status"] == "CANCELLED"


def test_a_refusal_stands_in_the_dialog(console, town, demo, watch):
    watch.expect("status of 409")
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    console.goto(f"{demo.admin_url}/console/payments/{payment['id']}")
    path = f"/v1/payments/{payment['id']}/refunds"
    demo.ask("POST", path, **{"Idempotency-Key": "r", "Prefer": "wait=5"})
    console.click("button[data-act=cancel]")
    console.click("#sure-yes")
    console.wait_for_selector("#sure-told:not([hidden])")
    assert "refund" in console.inner_text("#sure-told").lower()


def test_needs_attention_is_empty_and_then_counts(console, town, demo, portal):
    follow(console, "text=Needs attention")
    assert "Nothing waits for a person" in console.inner_text("main")
    accessible(console)
    shot(console, "console/attention-empty")


def test_the_file_is_for_spreadsheets_and_runs_no_formula(console, town, demo):
    demo.pay(town.code(wallet="kakaopay"), wait_s=5, description="=HYPERLINK(1)")
    demo.pay(town.code(wallet="kakaopay"), wait_s=5, value=850, currency="USD")
    with console.expect_download() as downloading:
        console.click("text=CSV")
    content = downloading.value.path().read_bytes()
    assert content.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    assert [row["amount"] for row in rows] == ["8.50", "100"]
    assert rows[1]["description"] == "'=HYPERLINK(1)"
    assert "*" in rows[0]["code"]


def test_what_merchants_write_comes_out_as_text(console, town, demo):
    name = {"name": EVIL}
    assert demo.ask("PATCH", "/admin/v1/merchants/M00000000001", name).status == 200
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5, description=EVIL, order=EVIL[:60])
    for path in ("/console/payments", f"/console/payments/{payment['id']}"):
        console.goto(demo.admin_url + path)
        assert "onerror=alert" in console.inner_text("body")
        assert console.locator("img").count() == 0


def test_nobody_sees_it_who_has_not_signed_in(page, shop, watch):
    for path in ("/console", "/console/payments.csv", "/console/attention", "/console/payments/x"):
        page.goto(shop.admin_url + path)
        assert page.url.startswith(shop.admin_url + "/sign-in?next=%2Fconsole")
    accessible(page)


def test_the_page_is_light(page, demo):
    sizes = []
    page.on("response", lambda answer: sizes.append(len(answer.body())) if answer.ok else None)
    page.goto(demo.admin_url + "/console/payments")
    page.wait_for_selector("h1")
    assert sum(sizes) < 150_000


def test_a_code_is_explained_and_never_shown_whole(console, town, demo):
    follow(console, "nav >> text=Routes")
    accessible(console)
    code = town.code(wallet="kakaopay")
    console.fill("#code", code)
    console.keyboard.press("Enter")
    console.wait_for_selector(".notice.paid")
    text = console.inner_text("main")
    assert "goes to alipay_plus" in text
    assert "decides" in text
    assert code not in console.content() + console.url
    accessible(console)
    shot(console, "console/routes")
    console.fill("#code", "130000000000000000")
    console.keyboard.press("Enter")
    console.wait_for_selector("text=WeChat")


def test_a_key_is_made_shown_once_rotated_and_revoked(console, demo, watch):
    follow(console, "nav >> text=Merchants")
    console.wait_for_selector("text=Keys")
    accessible(console)
    shot(console, "console/merchants")
    console.click("text=Make a key")
    accessible(console)
    console.fill("#sure-label", EVIL[:60])
    console.click("#sure-yes")
    console.wait_for_selector("#sure-fields input[readonly]")
    key = console.input_value("#sure-fields input")
    assert demo.ask("GET", "/v1/payments", key=key).status == 200
    console.keyboard.press("Escape")
    until(console, lambda: EVIL[:60] in console.inner_text("main"))
    assert key not in console.content()
    row = console.locator("tr", has_text=EVIL[:60])
    row.locator("text=Revoke").click()
    console.click("#sure-yes")
    until(console, lambda: "revoked" in console.locator("tr", has_text=EVIL[:60]).inner_text())
    assert demo.ask("GET", "/v1/payments", key=key).status == 401


def test_a_store_is_closed_and_takes_nothing_any_more(console, town, demo):
    follow(console, "nav >> text=Merchants")
    console.locator("li", has_text="UGG-2").first.locator("button").first.click()
    assert "takes no new payments" in console.inner_text("#sure")
    console.click("#sure-yes")
    until(console, lambda: "closed" in console.inner_text("main"))


def test_people_are_added_and_closed(console, demo, watch):
    watch.expect("status of 4")
    follow(console, "nav >> text=People")
    accessible(console)
    console.click("text=Add a cashier")
    console.fill("#sure-name", "Ann")
    console.fill("#sure-password", "a long enough password")
    console.click("#sure-yes")
    console.wait_for_selector("#sure-told:not([hidden])")
    console.fill("#sure-name", "ann")
    console.click("#sure-yes")
    console.wait_for_selector("td:text-is('ann')")
    shot(console, "console/people")
    console.locator("tr", has_text="ann").locator("text=Close").first.click()
    console.click("#sure-yes")
    until(console, lambda: "closed" in console.locator("tr", has_text="ann").first.inner_text())
    follow(console, "nav >> text=Audit")
    console.wait_for_selector("text=user.close")
    accessible(console)
    shot(console, "console/audit")
    follow(console, "nav >> text=Webhooks")
    assert "tillgate webhook create" in console.inner_text("main")
    accessible(console)


def test_health_shows_the_last_hour(console, town, demo):
    for _ in range(3):
        demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    follow(console, "nav >> text=Health")
    console.wait_for_selector("text=alipay_plus: up")
    assert console.locator(".chart").count() == 6
    assert "Normal:" in console.inner_text("#charts")
    accessible(console)
    shot(console, "console/health", is_whole=True)

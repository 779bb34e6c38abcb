"""What waits for an operator, and is done from the console: undecided payments, webhooks; and
looking for something rare in a long history.
"""

from __future__ import annotations

import sqlite3

import pytest
from bench.history import fill_sqlite

from tests.browser.rig import accessible, follow, shot, until
from tests.left_behind import UNDECIDED, leave
from tests.support import OPERATOR_KEY
from tests.webhook_receiver import OK, Receiver, status
from tillgate.store.reports import LOOKED_AT

LONG = LOOKED_AT + 10_000


def test_an_undecided_payment_is_found_and_decided_with_its_evidence(
    run_gateway, page, portal, tmp_path
):
    portal.call(leave, tmp_path, UNDECIDED, 1000)
    demo = run_gateway(is_demo=True)
    page.goto(demo.admin_url + "/console")
    page.wait_for_selector("nav .count:text('1')")
    follow(page, "nav >> text=Needs attention")
    assert "Payments that nobody can decide" in page.inner_text("main")
    accessible(page)
    shot(page, "console/attention")
    follow(page, "text=pay_01")
    page.wait_for_selector("text=Needs a person")
    shot(page, "console/unresolved", is_whole=True)
    page.click("button[data-act=resolve]")
    accessible(page)
    page.click("#sure-yes")
    assert page.locator("#sure").is_visible()  # it wants the evidence
    page.select_option("#sure-status", "CANCELLED")
    page.fill("#sure-why", "not in the clearing file of 31 January")
    shot(page, "console/resolve")
    page.keyboard.press("Enter")
    until(page, lambda: "Cancelled" in page.inner_text("h1"))
    assert "31 January" in page.inner_text("main")
    assert demo.payment("pay_01")["status"] == "CANCELLED"
    audit = demo.ask("GET", "/admin/v1/audit").body
    assert audit["acts"][0]["act"] == "payment.resolve"


@pytest.fixture
def hooks(run_gateway, portal):
    """A webhook of merchant 1: the gateway, the receiver, the endpoint's id."""
    receiver = Receiver()
    with portal.wrap_async_context_manager(receiver.running()):
        demo = run_gateway(is_demo=True, webhooks_to_local=True)
        body = {"url": receiver.url, "merchant_id": "M00000000001"}
        made = demo.ask("POST", "/v1/webhook_endpoints", body, key=OPERATOR_KEY)
        yield demo, receiver, made.body["endpoint"]["id"]


def test_webhooks_are_looked_at_sent_again_paused_and_resumed(hooks, page, town):
    demo, receiver, endpoint = hooks
    payment = demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    until(page, lambda: len(receiver.got) == 1)
    page.goto(demo.admin_url + "/console/webhooks")
    follow(page, f"text={endpoint}")
    until(page, lambda: page.reload() and "delivered" in page.inner_text("tbody"))
    accessible(page)
    shot(page, "console/webhook")
    page.click("text=Send again")
    page.click("#sure-yes")
    until(page, lambda: len(receiver.got) == 2)
    assert receiver.got[0].body == receiver.got[1].body
    page.click("text=Send a test")
    page.click("#sure-yes")
    until(page, lambda: len(receiver.got) == 3)
    page.click("button >> text=Pause")
    page.click("#sure-yes")
    page.wait_for_selector("button >> text=Resume")
    page.goto(demo.admin_url + "/console/attention")
    assert receiver.url in page.inner_text("main")
    page.click("button >> text=Resume")
    page.click("#sure-yes")
    page.wait_for_selector("text=Nothing waits for a person")
    page.goto(f"{demo.admin_url}/console/payments/{payment['id']}")
    page.locator("section", has_text="Webhooks").last.locator("text=Send again").click()
    page.click("#sure-yes")
    until(page, lambda: len(receiver.got) == 4)
    acts = [each["act"] for each in demo.ask("GET", "/admin/v1/audit").body["acts"]]
    assert acts[:5] == [
        "webhook.replay",
        "webhook.resume",
        "webhook.pause",
        "webhook.test",
        "webhook.replay",
    ]


def test_what_failed_is_told_and_a_webhook_that_is_gone_says_so(hooks, page, town, watch):
    demo, receiver, endpoint = hooks
    receiver.script = lambda _: status(500)
    demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    until(page, lambda: receiver.got)
    page.goto(f"{demo.admin_url}/console/webhooks/{endpoint}?state=pending")
    until(page, lambda: page.reload() and "500" in page.inner_text("main"))
    assert "failing since" in page.inner_text("main")
    follow(page, "text=delivered")
    assert "Nothing here" in page.inner_text("main")
    watch.expect("status of 404")
    page.goto(demo.admin_url + "/console/webhooks/we_gone")
    assert "No such webhook" in page.inner_text("h1")
    receiver.script = lambda _: OK


def test_something_rare_is_looked_for_piece_by_piece(run_gateway, page, town, tmp_path):
    demo = run_gateway(is_demo=True)
    demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    file = tmp_path / "tillgate.sqlite3"
    fill_sqlite(str(file), LONG)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "UPDATE payment SET wallet = 'RARE', terminal_id = '7' WHERE payment_request_id ="
            " (SELECT min(payment_request_id) FROM payment)"
        )
    connection.close()
    page.goto(demo.admin_url + "/console/payments?wallet=rare")
    until(page, lambda: page.locator("#rows tr").count() == 1)
    until(page, lambda: "These are all." in page.inner_text("#looked"))
    assert "RARE" in page.inner_text("#rows")
    page.wait_for_timeout(2500)  # the live list keeps what was found further back
    assert page.locator("#rows tr").count() == 1
    accessible(page)
    shot(page, "console/rare")
    page.goto(demo.admin_url + "/console/payments?terminal=nowhere")
    until(page, lambda: "These are all." in page.inner_text("#looked"))
    assert page.locator("#rows tr").count() == 0
    rows = demo.ask("GET", "/v1/payments?wallet=RARE").body
    assert rows["payments"] == []
    rest = demo.ask("GET", f"/v1/payments?wallet=RARE&cursor={rows['next_cursor']}").body
    assert [len(rest["payments"]), rest["next_cursor"]] == [1, None]


def test_an_error_is_a_page_for_people_and_json_for_programs(run_gateway, page, watch):
    demo = run_gateway(is_demo=True)
    watch.expect("status of 404")
    for url in (demo.url, demo.admin_url):
        page.goto(url + "/nowhere/<script>alert(1)</script>")
        assert page.inner_text("h1") == "Nothing here"
        accessible(page)
        told = demo.ask("GET", "/nowhere" if url == demo.url else "/admin/nowhere")
        assert (told.status, told.body["code"]) == (404, "not_found")
    shot(page, "error")


def test_the_sandbox_tells_what_it_was_made_to_do_and_whether_its_books_agree(
    run_gateway, page, town
):
    demo = run_gateway(is_demo=True)
    demo.pay(town.code(wallet="kakaopay"), wait_s=5)
    page.goto(demo.admin_url + "/console/sandbox")
    assert "it answers as the network does" in page.inner_text("main")
    assert "agree to the minor unit" in page.inner_text("main")
    accessible(page)
    town.ask("POST", "/rules", {"on": {"api": "pay"}, "do": {"lose": "reply"}, "times": 3})
    town.ask("PUT", "/clock", {"frozen": True})
    follow(page, "nav >> text=Sandbox")
    page.wait_for_selector("text=rule_1")
    assert "stands still" in page.inner_text("main")
    accessible(page)
    shot(page, "console/sandbox")

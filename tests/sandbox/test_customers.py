"""What wallets ask of their customers, and how a tester changes it, over real HTTP."""

from __future__ import annotations

import pytest

from tillgate.core.errors import ConfigError
from tillgate.sandbox.embedded import Sandbox, SandboxRefused
from tillgate.sandbox.wallets import load_wallets

from .test_embedded import FOLDER, post

MINJI = "kakaopay_minji"
WON_PER_100_YEN = 920


@pytest.fixture
def town():
    with Sandbox() as sandbox:
        yield sandbox


def pay(town, order, code=None, value="100"):
    amount = {"currency": "JPY", "value": value}
    body = {
        "paymentRequestId": order,
        "order": {"referenceOrderId": order, "orderDescription": "Tea", "orderAmount": amount},
        "paymentAmount": amount,
        "paymentMethod": {
            "paymentMethodType": "CONNECT_WALLET",
            "paymentMethodId": code or town.code(customer=MINJI),
        },
    }
    return post(town, FOLDER + "pay", body)["result"]["resultCode"]


def change(town, customer=MINJI, **words):
    return town.change_customer(customer, **words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"status": "frozen"}, "USER_STATUS_ABNORMAL"),
        ({"status": "closed"}, "USER_NOT_EXIST"),
        ({"is_kyc_done": False}, "USER_KYC_NOT_QUALIFIED"),
        ({"limit_each": WON_PER_100_YEN - 1}, "PAYMENT_AMOUNT_EXCEED_LIMIT"),
        ({"limit_each": WON_PER_100_YEN}, "SUCCESS"),
        ({"count_day": 0}, "PAYMENT_COUNT_EXCEED_LIMIT"),
        ({"limit_day": WON_PER_100_YEN - 1}, "USER_AMOUNT_EXCEED_LIMIT"),
        ({"limit_day": WON_PER_100_YEN}, "SUCCESS"),
        ({"balance": WON_PER_100_YEN - 1}, "USER_BALANCE_NOT_ENOUGH"),
        ({"balance": WON_PER_100_YEN}, "SUCCESS"),
        ({"confirm_above": 0}, "PAYMENT_IN_PROCESS"),
        ({"play": "risk_reject"}, "RISK_REJECT"),
    ],
)
def test_a_condition_decides(town, words, expected):
    before = change(town)
    assert change(town, **words) == before | words
    assert pay(town, "A") == expected
    taken = town.payment("A")["debits"]
    assert taken == (expected == "SUCCESS")
    assert town.disagreements() == []


def test_a_days_limits_count_and_start_over_at_midnight_in_china(town):
    change(town, count_day=2, limit_day=2 * WON_PER_100_YEN)
    assert [pay(town, order) for order in "ABC"] == [
        "SUCCESS",
        "SUCCESS",
        "PAYMENT_COUNT_EXCEED_LIMIT",
    ]
    change(town, count_day=None)
    assert pay(town, "D") == "USER_AMOUNT_EXCEED_LIMIT"
    post(town, FOLDER + "cancelPayment", {"paymentRequestId": "A"})
    assert pay(town, "E") == "SUCCESS", "what was given back does not count"
    town.advance(86_400)
    assert pay(town, "F") == "SUCCESS"


def test_null_ends_a_condition(town):
    change(town, limit_each=1, pin="1234", play="risk_reject")
    changed = change(town, limit_each=None, pin=None, play=None)
    assert (changed["limit_each"], changed["has_pin"], changed["play"]) == (None, False, None)
    assert pay(town, "A") == "SUCCESS"


@pytest.mark.parametrize(
    ("words", "path"),
    [
        ({"status": "asleep"}, "$.status"),
        ({"limit_each": -1}, "$.limit_each"),
        ({"limit_day": 1.5}, "$.limit_day"),
        ({"pin": "12"}, "$.pin"),
        ({"play": "football", "balance": 1}, "$.play"),
        ({"colour": "red"}, "$.colour"),
        ({"balance": None}, "$.balance"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(town, words, path):
    before = change(town)
    with pytest.raises(SandboxRefused) as caught:
        change(town, **words)
    assert (caught.value.status, caught.value.path) == (422, path)
    assert change(town) == before
    with pytest.raises(SandboxRefused, match="no such customer"):
        change(town, "nobody", balance=1)


def test_the_third_wrong_pin_ends_it(town):
    change(town, confirm_above=0, pin="1234")
    assert pay(town, "A") == "PAYMENT_IN_PROCESS"

    for wrong, left in ((None, 2), ("4321", 1)):
        with pytest.raises(SandboxRefused, match=f"tries left: {left}") as caught:
            town.confirm("A", wrong)
        assert caught.value.status == 409
        assert town.payment("A")["status"] == "in_process"
    town.confirm("A", "1111")
    assert town.payment("A")["result_code"] == "USER_PAYMENT_VERIFICATION_FAILED"
    assert town.payment("A")["debits"] == 0

    assert pay(town, "B") == "PAYMENT_IN_PROCESS"
    with pytest.raises(SandboxRefused):
        town.confirm("B", "0000")
    town.confirm("B", "1234")
    assert town.payment("B")["debits"] == 1


def test_ten_codes_at_once_each_good_for_one_payment(town):
    answer = town.ask("POST", "/sandbox/codes", {"customer": MINJI, "count": 10})
    codes = [one["code"] for one in answer["codes"]]
    assert len(set(codes)) == 10
    assert {pay(town, f"A{i}", code) for i, code in enumerate(codes)} == {"SUCCESS"}
    assert pay(town, "B", codes[0]) == "INVALID_CODE"
    for count in (0, 11):
        with pytest.raises(SandboxRefused, match=r"\$\.count"):
            town.ask("POST", "/sandbox/codes", {"count": count})


def test_a_new_code_may_revoke_the_earlier_ones(town):
    old, others = town.code(customer=MINJI), town.code(customer="kakaopay_sora")
    new = town.ask("POST", "/sandbox/codes", {"customer": MINJI, "revoke": True})["code"]
    assert pay(town, "A", old) == "INVALID_CODE"
    assert pay(town, "B", new) == "SUCCESS"
    assert pay(town, "C", others, value="1") == "SUCCESS"


def test_the_shipped_customers_have_every_condition():
    held = {name for each in load_wallets().customers() for name in _said(each.conditions)}
    assert held == {
        "status",
        "is_kyc_done",
        "limit_each",
        "limit_day",
        "count_day",
        "confirm_above",
        "pin",
    }


def _said(conditions):
    defaults = type(conditions)()
    return {
        name
        for name in conditions.__dataclass_fields__
        if getattr(conditions, name) != getattr(defaults, name)
    }


def test_a_wallets_file_with_wrong_conditions_names_them():
    document = b"""
[rates]
KRW = "1380"
[[wallets]]
id = "w"
name = "W"
wallet_brand_name = "W"
psp_id = "1"
currency = "KRW"
routing_number = "006"
[[wallets.customers]]
id = "c"
name = "C"
balance = 1
status = "asleep"
is_kyc_done = "yes"
limit_day = -1
pin = "x"
"""
    with pytest.raises(ConfigError) as caught:
        load_wallets(document)
    found = " ".join(caught.value.problems)
    for name in ("status", "is_kyc_done", "limit_day", "pin"):
        assert f"customers[0].{name}:" in found
    assert repr(load_wallets(document[: document.index(b"status")])).find("pin='") == -1

"""Every field of every request: what it must be, and that a fault is named by its path."""

from __future__ import annotations

import asyncio
import copy
import json

import pytest

from tests.sandbox.side import running
from tillgate.alipayplus.messages import PAY_PATH, BadMessage
from tillgate.sandbox import fields
from tillgate.sandbox.fields import FORMS, FROM

GOOD = {
    "an object": {},
    "a time of": "2026-01-31T20:00:00+08:00",
    "a currency": "JPY",
    "a region": "JP",
    "a whole": "100",
    "WEB": "APP",
    "IOS": "IOS",
    "BUNDLE": "TILE",
    '"true"': "true",
    "an http": "https://acquirer.example/notify",
}


def good(row):
    for words, value in GOOD.items():
        if row.form.startswith(words):
            return copy.deepcopy(value)
    return "x"


def longest(row):
    """So many characters as it may have; None: it has no length."""
    return int(row.form.split()[-2]) if row.form.endswith("characters") else None


def full(form):
    """A request with every field there is."""
    body = {}
    for row in form.rows().values():
        *above, name = row.path.split(".")
        where = inside(body, above)
        if row.form.startswith("a list"):
            where[name] = []
        elif name.endswith("[]"):
            where[name[:-2]].append({})
        else:
            where[name] = good(row)
    return body


def inside(body, path):
    for part in path:
        body = body[part[:-2]][0] if part.endswith("[]") else body[part]
    return body


def changed(form, path, value):
    body = full(form)
    *above, name = path.split(".")
    inside(body, above)[name] = value
    return body


def fault(form, body):
    try:
        form.read(json.dumps(body).encode())
    except BadMessage as error:
        return str(error)
    return None


ROWS = [(form, row) for form in FORMS for row in form.rows().values()]
PLAIN = [(form, row) for form, row in ROWS if not row.path.endswith("[]")]


def name_of(value):
    return getattr(value, "api", None) or getattr(value, "path", None)


@pytest.mark.parametrize("form", FORMS, ids=name_of)
def test_a_request_with_every_field_is_read(form):
    assert fault(form, full(form)) is None


@pytest.mark.parametrize(("form", "row"), PLAIN, ids=name_of)
def test_a_wrong_type_is_named(form, row):
    other = "x" if row.form.startswith(("an object", "a list")) else ["x"]
    at = row.path.replace("[]", "[0]")
    assert fault(form, changed(form, row.path, other)) == f"{at}: must be {row.form}"


@pytest.mark.parametrize(("form", "row"), [r for r in PLAIN if longest(r[1])], ids=name_of)
def test_one_character_too_many_is_named(form, row):
    start = good(row) if row.form.startswith(("an http", "a whole")) else ""
    more = "1" if row.form.startswith("a whole") else "x"
    at = row.path.replace("[]", "[0]")
    fits = start + more * (longest(row) - len(start))
    assert fault(form, changed(form, row.path, fits)) is None
    assert fault(form, changed(form, row.path, fits + more)).startswith(f"{at}: must be")


@pytest.mark.parametrize(("form", "row"), PLAIN, ids=name_of)
def test_what_is_left_out_or_null(form, row):
    left_out = full(form)
    *above, name = row.path.split(".")
    del inside(left_out, above)[name]
    null = changed(form, row.path, None)
    at = row.path.replace("[]", "[0]")
    if row.is_required:
        assert fault(form, left_out) == f"{at}: is missing"
        assert fault(form, null).startswith(f"{at}: must be")
    else:
        assert fault(form, left_out) is None
        assert fault(form, null) is None


@pytest.mark.parametrize(
    ("path", "value", "is_taken"),
    [
        ("paymentExpiryTime", "2019-07-12T12:08:56.253+05:30", True),
        ("paymentExpiryTime", "2025-02-20T08:51:49.09Z", True),
        ("paymentExpiryTime", "2025-02-20T08:51:49", False),
        ("paymentExpiryTime", "2025-02-20 08:51:49Z", False),
        ("paymentAmount.currency", "jpy", False),
        ("paymentAmount.value", 100, True),
        ("paymentAmount.value", 1.5, False),
        ("paymentAmount.value", "0", False),
        ("paymentAmount.value", "007", True),
        ("paymentAmount.value", -1, False),
        ("paymentAmount.value", "\u0663", False),
        ("order.env.terminalType", "TILL", False),
        ("order.env.osType", "LINUX", False),
        ("paymentFactor.presentmentMode", "tile", False),
        ("paymentAmount.value", "1e2", False),
        ("paymentFactor.isInStorePayment", True, True),
        ("paymentFactor.isInStorePayment", "True", False),
        ("order.merchant.merchantAddress.region", "JPN", False),
        ("order.merchant.store.storeMcc", "14055", False),
        ("order.merchant.store.storeMCC", "14055", False),
        ("order.goods", [{"referenceGoodsId": "1", "goodsName": "tea"}] * 100, True),
        ("order.goods", [{"referenceGoodsId": "1", "goodsName": "tea"}] * 101, False),
        ("order.somethingNew", {"a": 1}, True),
        ("paymentNotifyUrl", "HTTP://x/", True),
        ("paymentNotifyUrl", "ftp://x/", False),
    ],
)
def test_forms(path, value, is_taken):
    found = fault(fields.PAY, changed(fields.PAY, path, value))
    assert (found is None) is is_taken
    assert is_taken or found.startswith(f"{path}: must be")


def test_the_place_in_a_list_is_named():
    body = full(fields.PAY)
    body["order"]["goods"] = [{"referenceGoodsId": "1", "goodsName": "tea"}, {"goodsName": "tea"}]
    assert fault(fields.PAY, body) == "order.goods[1].referenceGoodsId: is missing"


def test_every_length_has_a_source():
    assert {row.source for _, row in ROWS if row.form != "an object"} <= set(FROM)


def test_over_the_wire_a_fault_is_param_illegal_and_uses_nothing_up(keys):
    async def play():
        async with running(keys) as rig:
            code = await rig.code()
            body = full(fields.PAY)
            body["paymentMethod"] |= {
                "paymentMethodType": "CONNECT_WALLET",
                "paymentMethodId": code,
            }
            body["paymentFactor"]["inStorePaymentScenario"] = "PaymentCode"
            del body["paymentExpiryTime"]
            wrong = copy.deepcopy(body)
            wrong["order"]["merchant"]["merchantMCC"] = "14055"
            answer, headers = await rig.send(PAY_PATH, json.dumps(wrong).encode())
            assert answer["result"]["resultCode"] == "PARAM_ILLEGAL"
            assert answer["result"]["resultMessage"].startswith("order.merchant.merchantMCC: ")
            assert "Signature" in headers
            answer, _ = await rig.send(PAY_PATH, json.dumps(body).encode())
            assert answer["result"]["resultCode"] == "SUCCESS"

    asyncio.run(play())

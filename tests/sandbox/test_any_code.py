"""Every result code of the facts can be had of every API, by one rule."""

from __future__ import annotations

import pytest

from tillgate.core.results import MEANINGS
from tillgate.sandbox.embedded import Sandbox

from .test_embedded import FOLDER, post

OF_REFUND = ("REFUND_AMOUNT_EXCEED", "REFUND_WINDOW_EXCEED", "ORDER_STATUS_INVALID")
CODES = sorted({code for code in MEANINGS if "." not in code and code.isupper()} | set(OF_REFUND))


@pytest.fixture(scope="module")
def network():
    with Sandbox(has_magic=False) as sandbox:
        yield sandbox


def body(network, api, id_):
    amount = {"currency": "JPY", "value": "100"}
    if api == "pay":
        return {
            "paymentRequestId": id_,
            "order": {"referenceOrderId": id_, "orderDescription": "Tea", "orderAmount": amount},
            "paymentAmount": amount,
            "paymentMethod": {
                "paymentMethodType": "CONNECT_WALLET",
                "paymentMethodId": network.code(),
            },
        }
    asked = {"paymentRequestId": id_}
    return asked | ({"refundRequestId": id_, "refundAmount": amount} if api == "refund" else {})


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize("api", ["pay", "inquiryPayment", "cancelPayment", "refund"])
def test_a_rule_brings_it_and_nothing_is_done(network, api, code):
    network.rule({"result": code, "effect": False}, on={"api": api})
    answer = post(network, FOLDER + api, body(network, api, f"{api}-{code}"))["result"]
    assert answer["resultCode"] == code
    meaning = MEANINGS.get(code)
    assert answer["resultStatus"] == (meaning.outcome.value if meaning else "F")
    assert network.ask("GET", "/sandbox/ledger")["entries"] == []

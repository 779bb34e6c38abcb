"""`POST /v1/codes/identify`, and what a sale with another wallet's code is told."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest

from tests.support import API_KEY, CODE, gateway

SILENT = "http://127.0.0.1:1"


def with_gateway(tmp_path, work):
    async def run():
        async with gateway(tmp_path, SILENT) as api:
            return await work(api)

    return asyncio.run(run())


def identified(tmp_path, body, **headers):
    async def work(api):
        sent = {"Authorization": f"Bearer {API_KEY}"} | headers
        async with api.session.post(
            f"{api.url}/v1/codes/identify", data=json.dumps(body), headers=sent
        ) as response:
            return response.status, await response.json(content_type=None), response.headers

    return with_gateway(tmp_path, work)


def test_it_tells_what_the_code_is_and_why_it_goes_there(tmp_path):
    status, told, headers = identified(tmp_path, {"code": CODE})
    assert status == 200
    assert headers["Cache-Control"] == "no-store"
    rules = told.pop("rules")
    assert told == {
        "kind": "cgcp",
        "length": 24,
        "routing_number": "006",
        "issuer": "KakaoPay",
        "route": "alipay_plus",
        "rule": "4",
        "reason": "Rule 4 of the table 'guide' claims it.",
        "masked": "281006****************12",
        "table": "guide",
        "consult": None,
        "other": None,
        "layout": {
            "prefix": "28",
            "agreement_id": "1",
            "routing_number": "006",
            "business_type": "02",
        },
    }
    assert rules[3] == {
        "rule": "4",
        "pattern": r"^(2[5-9]|30)\d{22}$",
        "to": "alipay_plus",
        "matches": True,
        "leads_to": "alipay_plus",
        "decides": True,
        "why": "matches",
    }
    assert [rule["decides"] for rule in rules] == [False, False, False, True]


@pytest.mark.parametrize("text", ["", "hello", "4111111111111111", "x" * 60_000])
def test_what_is_no_payment_code_is_an_answer_too(tmp_path, text):
    status, told, _ = identified(tmp_path, {"code": text})
    assert (status, told["kind"], told["route"], told["layout"]) == (200, None, None, None)


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ({"code": 28}, {}, 422, "invalid_field"),
        ({}, {}, 422, "missing_field"),
        ({"code": CODE, "order": 1}, {}, 422, "unknown_field"),
        ({"code": CODE}, {"Authorization": "Bearer tg_test_wrong"}, 401, "unauthorized"),
    ],
)
def test_a_wrong_request_is_refused(tmp_path, body, headers, status, code):
    got, problem, _ = identified(tmp_path, body, **headers)
    assert (got, problem["code"]) == (status, code)


def test_a_sale_with_another_wallets_code_is_told_whose_it_is(tmp_path):
    async def work(api):
        body = {
            "code": "134567890123456789",
            "order": {"merchant_order_id": "o", "amount": {"currency": "JPY", "value": 100}},
        }
        return await api.post(json.dumps(body).encode(), "k")

    status, problem = with_gateway(tmp_path, work)
    assert (status, problem["code"], problem["path"]) == (422, "code_not_recognised", "$.code")
    assert problem["detail"].startswith("This is a WeChat Pay code, not an Alipay+ payment code.")


def test_no_digit_of_a_code_is_logged(tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    identified(tmp_path, {"code": CODE})
    assert CODE[:6] not in caplog.text

"""AlipayHK is asked whose a code is, before anything is paid: what it says decides, and a till
never waits for one that says nothing.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests import support
from tests.support import Call, ScriptedNetwork, gateway, order, paid, result, signed_answer
from tillgate.connectors import aps_direct
from tillgate.core.routing_table import CnHkFirst
from tillgate.gateway.circuit import FAILURES_TO_OPEN
from tillgate.routing_settings import RoutingSettings

CODE = "280244567856723026"
"""18 digits: AlipayCN's or AlipayHK's."""


def network_that(consulted):
    """A network that pays, and answers codeConsult as told; None: never."""

    async def script(call: Call):
        if not call.path.endswith("/codeConsult"):
            return signed_answer(call, paid(call, call.message["paymentRequestId"]))
        if consulted is None:
            await asyncio.sleep(60)
        return await consulted(call)

    return script


def says(brand, status="S", code="SUCCESS"):
    async def answer(call: Call):
        message = {"result": result(status, code)}
        return signed_answer(call, message | ({"pspSiteName": brand} if brand else {}))

    return answer


async def garbage(call: Call):
    answer = signed_answer(call, {"result": result("S", "SUCCESS"), "pspSiteName": "ALIPAY_HK"})
    return answer.replace(b"ALIPAY_HK", b"ALIPAY_CN")


def sell(tmp_path, consulted, *, sales=1, with_alipay_plus=True):
    """The routes of so many sales, how often AlipayHK was asked, and how long they took."""

    async def whole():
        async with ScriptedNetwork(network_that(consulted)).running() as network:
            alipay_plus = support.alipay_plus_settings(network.url)
            cn = replace(alipay_plus, name="cn", kind="aps_direct", takes=("alipay_cn",))
            options = {"code_consult": "true", "path": "/aps/hk/payments"}
            hk = replace(cn, name="hk", takes=("alipay_hk",), options=options)
            connectors = (*([alipay_plus] if with_alipay_plus else []), cn, hk)
            routing = replace(RoutingSettings(), cn_hk_first=CnHkFirst.CONSULT)
            told = []
            async with gateway(
                tmp_path, network.url, connectors=connectors, routing=routing
            ) as api:
                began = asyncio.get_running_loop().time()
                for number in range(sales):
                    asked = order(code=CODE, order=f"o-{number}")
                    told.append(await api.post(asked, f"k-{number}", wait=5))
                took = asyncio.get_running_loop().time() - began
            return told, network.count("codeConsult"), took

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("brand", "route"),
    [("ALIPAY_HK", "hk"), ("ALIPAY_CN", "cn"), ("KAKAOPAY", "alipay_plus")],
)
def test_the_code_goes_where_alipay_hk_says(tmp_path, brand, route):
    told, asked, _ = sell(tmp_path, says(brand))
    ((status, payment),) = told
    assert (status, payment["route"], payment["status"], asked) == (201, route, "SUCCEEDED", 1)


def test_a_third_wallets_code_has_no_route_without_alipay_plus(tmp_path):
    told, *_ = sell(tmp_path, says("KAKAOPAY"), with_alipay_plus=False)
    ((status, problem),) = told
    assert (status, problem["code"], problem["path"]) == (422, "no_route", "$.code")


@pytest.mark.parametrize(
    "consulted",
    [
        says("ALIPAY_HK", "F", "INVALID_CODE"),
        says("ALIPAY_HK", "U", "REQUEST_TRAFFIC_EXCEED_LIMIT"),
        says(None),
        garbage,
    ],
    ids=["failure", "unknown", "nothing", "badly signed"],
)
def test_what_is_no_word_leaves_the_route_as_it_is(tmp_path, consulted):
    told, *_ = sell(tmp_path, consulted)
    ((status, payment),) = told
    assert (status, payment["route"]) == (201, "cn")


def test_a_till_does_not_wait_for_one_that_says_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(aps_direct, "CONSULT_TIMEOUT_S", 0.2)
    told, asked, took = sell(tmp_path, None)
    ((status, payment),) = told
    assert (status, payment["route"], asked) == (201, "cn", 1)
    assert took < 2


def test_one_that_never_says_anything_is_not_asked_for_every_sale(tmp_path):
    async def hangs_up(call: Call):
        return None

    told, asked, _ = sell(tmp_path, hangs_up, sales=8)
    assert [payment["route"] for _, payment in told] == ["cn"] * 8
    assert asked == FAILURES_TO_OPEN

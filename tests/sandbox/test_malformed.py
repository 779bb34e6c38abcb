"""What the fuzzing found, one by one."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlencode

import pytest
from yarl import URL

from tillgate.alipaycn import signing
from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import INQUIRY_PATH, PAY_PATH
from tillgate.alipayplus.signing import KeyRing
from tillgate.sandbox.app import NetworkKeys

from .side import CLIENT, pay_request, running

MEGABYTE = 1 << 20


def play(keys, work, **changes):
    async def whole():
        async with running(keys, **changes) as rig:
            return await work(rig)

    return asyncio.run(whole())


@pytest.mark.parametrize("value", ["²", "٣", "9" * 5000])
def test_an_amount_in_other_or_too_many_digits_is_named(keys, value):
    async def work(rig):
        request = pay_request(await rig.code(), value=value)
        return await rig.send(PAY_PATH, messages.encode(request))

    answer, _ = play(keys, work)
    assert answer["result"]["resultCode"] == "PARAM_ILLEGAL"
    assert "Amount.value: " in answer["result"]["resultMessage"]


def test_bytes_that_are_no_utf_8_are_refused_in_unknown_fields_too(keys):
    async def work(rig):
        return await rig.send(INQUIRY_PATH, b'{"paymentRequestId":"pay_1","new":"\xc0\x80"}')

    answer, _ = play(keys, work)
    assert answer["result"]["resultCode"] == "PARAM_ILLEGAL"
    assert answer["result"]["resultMessage"] == "the body is not JSON in UTF-8"


@pytest.mark.parametrize(
    ("start", "answered"),
    [
        (f"POST {PAY_PATH}", b'"the body: at most 262144 bytes"'),
        ("PUT /sandbox/script", b'"A body has at most 262144 bytes."'),
    ],
)
def test_a_body_that_is_far_too_long_is_answered(keys, start, answered):
    """Not with a connection that is cut while the caller still writes."""

    async def work(rig):
        reader, writer = await asyncio.open_connection(URL(rig.url).host, URL(rig.url).port)
        head = (
            f"{start} HTTP/1.1\r\nHost: localhost\r\nClient-Id: {CLIENT}\r\nConnection: close\r\n"
        )
        writer.write(f"{head}Content-Length: {MEGABYTE}\r\n\r\n".encode() + b" " * MEGABYTE)
        await writer.drain()
        got = await reader.read()
        writer.close()
        return got

    assert answered in play(keys, work)


@pytest.mark.parametrize("seq", ["9" * 5000, "9" * 19, "²", "-1", "0", "x"])
def test_a_message_of_no_such_number_is_not_there(keys, seq):
    async def work(rig):
        return await rig.control("GET", f"/sandbox/exchanges/{seq}")

    status, told = play(keys, work)
    assert (status, told["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/sandbox/rules/", "/sandbox/clock/", "/aps"])
def test_a_slash_too_many_or_too_few_leads_nowhere_else(keys, path):
    async def work(rig):
        url = URL(rig.url + path)
        async with rig.session.get(url, allow_redirects=False) as answer:
            return answer.status, await answer.json(content_type=None)

    status, told = play(keys, work)
    assert (status, told["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    "body", [b'{"a":"\\ud800"}', b"[" * 900 + b"]" * 900], ids=["half", "deep"]
)
def test_a_signature_over_a_strange_body_is_explained(keys, body):
    async def work(rig):
        await rig.send(INQUIRY_PATH, b"{}", sent_body=body)
        return await rig.control("GET", "/sandbox/exchanges/1")

    status, told = play(keys, work)
    assert status == 200
    assert told["explanation"]["verdict"].startswith("invalid")
    assert told["explanation"]["hint"].startswith("none of the usual mistakes")


@pytest.mark.parametrize("method", ['"', "", "a\\b", "x" * 300])
def test_the_open_platform_s_answer_to_a_method_of_any_name_is_json(keys, method):
    fields = {"app_id": CLIENT, "method": method, "charset": "utf-8", "sign_type": "RSA2"}
    form = signing.signed_form(keys.acquirer, fields | {"timestamp": "2026-01-31 12:00:00"})
    keyring = KeyRing.load({1: keys.acquirer.public_pem()})
    direct = {"alipay_cn": NetworkKeys(signing_key=keys.network, acquirers={CLIENT: keyring})}

    async def work(rig):
        address = f"{rig.url}/gateway.do?{urlencode({'charset': 'utf-8'})}"
        async with rig.session.post(address, data=form) as answer:
            return answer.status, await answer.read()

    status, body = play(keys, work, direct=direct)
    told = json.loads(body)
    assert (status, list(told)) == (200, ["error_response", "sign"])
    assert told["error_response"]["sub_code"] == "isv.invalid-method"

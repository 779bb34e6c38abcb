"""What became of a call: each of the five values, over real sockets."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest

from tests.alipaycn.side import APP_ID, ScriptedPlatform, ok, paid, refused, signed, unsigned
from tests.support import acquirer_key, http_answer, network_key, ring
from tillgate.alipaycn import client, messages
from tillgate.alipaycn.client import AlipayCnClient, Answered, Credentials, Method
from tillgate.alipayplus.client import BadlySigned, NeverSent, NoAnswer, Unreadable
from tillgate.transport import ANSWER_BYTES_MAX, HttpTransport

BODY = b'{"out_trade_no":"x","subject":"\xe4\xb8\xad & \\"="}'
AT = datetime(2026, 1, 31, 16, 0, tzinfo=UTC)


class FixedClock:
    def now(self):
        return AT


def talk(script, method=client.PAY, url=None):
    """One call to a platform that follows the script; its fate and what was asked."""

    async def run():
        platform = ScriptedPlatform(script)
        async with platform.running():
            credentials = Credentials(
                app_id=APP_ID, signing_key=acquirer_key(), network_keys=ring(network_key())
            )
            transport = HttpTransport(url or f"{platform.url}/gateway.do")
            caller = AlipayCnClient(transport, credentials, FixedClock(), "http://us/notify/cn")
            await caller.start()
            try:
                return await caller.call(method, BODY), platform.calls
            finally:
                await caller.close()

    return asyncio.run(run())


def fate_of(script, method=client.PAY, url=None):
    return talk(script, method, url)[0]


async def answer_paid(asked):
    return signed(asked, paid())


def test_a_signed_answer_is_answered_with_its_fields():
    fate = fate_of(answer_paid)
    assert isinstance(fate, Answered)
    assert (fate.message.code, fate.message.total_amount) == ("10000", "88.88")


def test_a_request_has_the_common_parameters_and_the_biz_content_unchanged():
    _, [asked] = talk(answer_paid)
    assert asked.biz_content == BODY
    assert {**asked.fields, "sign": "", "biz_content": ""} == {
        "app_id": APP_ID,
        "method": "alipay.trade.pay",
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": "2026-02-01 00:00:00",
        "version": "1.0",
        "notify_url": "http://us/notify/cn",
        "biz_content": "",
        "sign": "",
    }
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded;charset=utf-8"
    assert parse_qs(asked.body.decode())["biz_content"] == [BODY.decode()]


def test_only_a_pay_says_where_notices_go():
    _, [asked] = talk(answer_paid, client.QUERY)
    assert "notify_url" not in asked.fields


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("closed without a word", None),
        ("HTTP 502", http_answer(b"{}", {}, 502)),
        ("a redirect, which is not followed", http_answer(b"", {"Location": "/x"}, 302)),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"),
        ("not HTTP", b"SSH-2.0-OpenSSH\r\n\r\n"),
        ("an endless body", http_answer(b" " * (ANSWER_BYTES_MAX + 2), {})),
    ],
)
def test_what_may_have_arrived_is_no_answer(name, answer):
    async def script(asked):
        return answer

    method = Method(messages.PAY, messages.PAY_ANSWERS, 0.5)
    assert isinstance(fate_of(script, method), NoAnswer), name


def test_silence_until_the_time_out_is_no_answer():
    async def script(asked):
        await asyncio.sleep(3600)

    assert isinstance(fate_of(script, Method(messages.PAY, messages.PAY_ANSWERS, 0.05)), NoAnswer)


def test_a_refused_connection_is_never_sent():
    assert isinstance(fate_of(None, url="http://127.0.0.1:1/gateway.do"), NeverSent)


@pytest.mark.parametrize("content", [b'{"code":1}', b"{}", b'["10000"]', b'"10000"'])
def test_what_is_signed_and_no_such_message_is_unreadable(content):
    async def script(asked):
        return signed(asked, content)

    assert isinstance(fate_of(script), Unreadable)


@pytest.mark.parametrize(
    "raw", [b"", b"<html>", b"[]", b'{"alipay_trade_query_response":{},"sign":"AA=="}', b"\xff\xfe"]
)
def test_garbage_is_nobodys_word(raw):
    async def script(asked):
        return http_answer(raw, {})

    fate = fate_of(script)
    assert isinstance(fate, BadlySigned)
    assert fate.claimed_code is None


def test_an_unsigned_refusal_says_what_it_claims():
    async def script(asked):
        return unsigned(asked, refused("isv.invalid-signature", "40002"))

    fate = fate_of(script)
    assert isinstance(fate, BadlySigned)
    assert fate.claimed_code == "40002 isv.invalid-signature"


def test_an_unsigned_member_that_is_no_answer_claims_nothing():
    async def script(asked):
        return http_answer(messages.enveloped(asked.method, b"[]", None), {})

    fate = fate_of(script)
    assert isinstance(fate, BadlySigned)
    assert fate.claimed_code is None


def test_a_success_signed_by_somebody_else_is_nobodys_word():
    async def script(asked):
        return signed(asked, paid(), key=acquirer_key())

    assert isinstance(fate_of(script), BadlySigned)


def test_a_byte_changed_on_the_way_breaks_the_signature():
    async def script(asked):
        return signed(asked, paid()).replace(b'"88.88"', b'"88.89"')

    assert isinstance(fate_of(script), BadlySigned)


def test_another_methods_answer_is_nobodys_word():
    async def script(asked):
        asked.method = messages.QUERY
        return signed(asked, ok())

    assert isinstance(fate_of(script), BadlySigned)


def test_a_reason_is_the_sub_code_or_the_code():
    def reason(message):
        return client.code_of(messages.read(messages.ANSWERS, json.dumps(message).encode()))

    assert reason(ok()) == "SUCCESS"
    assert reason(refused("ACQ.X")) == "ACQ.X"
    assert reason({"code": "20000"}) == "20000"

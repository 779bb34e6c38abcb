"""What became of a call: each of the five values, over real sockets."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest

from tests.support import (
    CLIENT_ID,
    Call,
    ScriptedNetwork,
    acquirer_key,
    http_answer,
    network_key,
    paid,
    result,
    ring,
    signed_answer,
)
from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import (
    AlipayPlusClient,
    Answered,
    Api,
    BadlySigned,
    Credentials,
    NeverSent,
    NoAnswer,
    Unreadable,
)
from tillgate.alipayplus.messages import PAY_RESPONSES
from tillgate.alipayplus.signing import SigningKey, new_private_key
from tillgate.clock import SystemClock
from tillgate.transport import ANSWER_BYTES_MAX, HttpTransport

BODY = json.dumps({"paymentAmount": {"currency": "JPY", "value": "100"}}).encode()
STRANGER = SigningKey.load(new_private_key())


def fate_of(script, api=client.PAY, url=None):
    """Make one call to a network that follows the script."""

    async def run():
        network = ScriptedNetwork(script)
        async with network.running():
            credentials = Credentials(
                client_id=CLIENT_ID,
                signing_key=acquirer_key(),
                network_keys=ring(network_key()),
            )
            transport = HttpTransport(url or network.url)
            caller = AlipayPlusClient(transport, credentials, SystemClock())
            await transport.start()
            try:
                return await caller.call(api, BODY)
            finally:
                await transport.close()

    return asyncio.run(run())


def test_a_signed_success_is_answered_with_its_fields():
    async def script(call: Call):
        return signed_answer(call, paid(call))

    fate = fate_of(script)
    assert isinstance(fate, Answered)
    assert fate.message.payment_id == "2026010100000001"
    assert fate.message.wallet_brand_name == "KAKAOPAY"


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("closed without a word", None),
        ("HTTP 500", http_answer(b"{}", {}, 500)),
        ("HTTP 404 with a page", http_answer(b"<html>", {}, 404)),
        ("a redirect, which is not followed", http_answer(b"", {"Location": "/x"}, 302)),
        ("half a body", b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"),
        ("not HTTP", b"SSH-2.0-OpenSSH\r\n\r\n"),
        ("an endless body", http_answer(b" " * (ANSWER_BYTES_MAX + 2), {})),
    ],
)
def test_what_may_have_arrived_is_no_answer(name, answer):
    async def script(call: Call):
        return answer

    api = Api(client.PAY.path, PAY_RESPONSES, 0.5)
    assert isinstance(fate_of(script, api), NoAnswer), name


def test_silence_until_the_time_out_is_no_answer():
    async def script(call: Call):
        await asyncio.sleep(3600)

    fate = fate_of(script, Api(client.PAY.path, PAY_RESPONSES, 0.05))
    assert isinstance(fate, NoAnswer)


def test_a_refused_connection_is_never_sent():
    assert isinstance(fate_of(None, url="http://127.0.0.1:1"), NeverSent)


def test_a_name_that_does_not_resolve_is_never_sent():
    assert isinstance(fate_of(None, url="http://nothing.invalid:80"), NeverSent)


def test_garbage_that_is_properly_signed_is_unreadable():
    async def script(call: Call):
        return signed_answer(call, b"<html>welcome</html>")

    assert isinstance(fate_of(script), Unreadable)


def test_a_pay_answer_older_than_its_request_is_unreadable():
    """The answer names no paymentRequestId, so a replayed old one must not be believed."""

    async def script(call: Call):
        return signed_answer(call, paid(call), time="2021-04-08T14:48:50+08:00")

    assert isinstance(fate_of(script), Unreadable)


@pytest.mark.parametrize("api", [client.CANCEL, client.REFUND], ids=["cancel", "refund"])
def test_so_is_any_old_answer_that_names_no_payment(api):
    async def script(call: Call):
        answer = {"result": result("S", "SUCCESS")}
        return signed_answer(call, answer, time="2021-04-08T14:48:50+08:00")

    assert isinstance(fate_of(script, api), Unreadable)


@pytest.mark.parametrize(("seconds_ago", "is_fresh"), [(0, True), (3, True), (60, False)])
def test_an_inquirys_answer_says_whether_it_is_fresh(seconds_ago, is_fresh):
    async def script(call: Call):
        time = messages.format_time(SystemClock().now() - timedelta(seconds=seconds_ago))
        return signed_answer(call, {"result": result("S", "SUCCESS")}, time=time)

    fate = fate_of(script, client.INQUIRY)
    assert isinstance(fate, Answered)
    assert fate.is_fresh is is_fresh


def test_an_answer_to_another_api_is_badly_signed():
    async def script(call: Call):
        other = Call(client.CANCEL.path, call.body, call.message, call.headers)
        return signed_answer(other, paid(call))

    assert isinstance(fate_of(script), BadlySigned)


def test_an_answer_for_another_client_is_badly_signed():
    async def script(call: Call):
        return signed_answer(call, paid(call)).replace(CLIENT_ID.encode(), b"SANDBOX_5Y0000000001")

    assert isinstance(fate_of(script), BadlySigned)


def test_an_answer_signed_by_a_stranger_is_badly_signed():
    async def script(call: Call):
        return signed_answer(call, paid(call), key=STRANGER)

    assert isinstance(fate_of(script), BadlySigned)


def test_an_unsigned_answer_is_badly_signed_and_says_what_it_claims():
    async def script(call: Call):
        return http_answer(json.dumps({"result": result("F", "INVALID_SIGNATURE")}).encode(), {})

    fate = fate_of(script)
    assert fate == BadlySigned("there is no Signature header", "INVALID_SIGNATURE")


@pytest.mark.parametrize("position", range(0, 330, 11))
def test_one_flipped_byte_of_the_answer_makes_it_fail(position):
    async def script(call: Call):
        answer = bytearray(signed_answer(call, paid(call)))
        start = answer.index(b"\r\n\r\n") + 4
        answer[start + position % (len(answer) - start)] ^= 1
        return bytes(answer)

    assert isinstance(fate_of(script), BadlySigned)


@pytest.mark.parametrize(("ahead_s", "is_told"), [(0, False), (1, False), (10, True), (3600, True)])
def test_a_network_whose_clock_is_apart_is_told_about(caplog, ahead_s, is_told):
    async def script(call: Call):
        time = messages.format_time(SystemClock().now() + timedelta(seconds=ahead_s))
        return signed_answer(call, paid(call), time=time)

    assert isinstance(fate_of(script), Answered)
    assert ("clock" in caplog.text) is is_told

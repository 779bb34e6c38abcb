"""What the fuzzing found, one by one."""

from __future__ import annotations

import asyncio

import pytest

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import INQUIRY_PATH, PAY_PATH

from .side import pay_request, running

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

"""What the fuzzing found, one by one."""

from __future__ import annotations

import asyncio

import pytest

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import PAY_PATH

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

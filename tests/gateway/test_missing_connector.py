"""A payment whose connector has no section in the settings any more."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from tests import support
from tests.support import API_KEY, Call, ScriptedNetwork, gateway, order, result, signed_answer


async def waits_for_its_customer(call: Call):
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})


def test_it_waits_for_its_section_and_then_goes_on_where_it_stood(tmp_path, caplog):
    async def work():
        async with ScriptedNetwork(waits_for_its_customer).running() as network:
            async with gateway(tmp_path, network.url) as api:
                _, payment = await api.post(order())
                path = f"/v1/payments/{payment['id']}"
            calls_before = len(network.calls)
            kept = support.alipay_plus_settings(network.url)
            other = replace(kept, name="kakaopay", kind="aps_direct", takes=("006",))
            with caplog.at_level(logging.ERROR):
                async with gateway(tmp_path, network.url, connectors=(other,)) as api:
                    headers = {"Authorization": f"Bearer {API_KEY}"}
                    async with api.session.post(f"{api.url}{path}/cancel", headers=headers) as told:
                        meanwhile = await told.json()
                        assert (told.status, meanwhile["status"]) == (202, "CANCELLING")
                    assert len(network.calls) == calls_before
            assert "connector alipay_plus, whose section is gone" in caplog.text
            async with gateway(tmp_path, network.url) as api:
                _, after = await api.get(path, wait=10)
                return after["status"]

    assert asyncio.run(work()) == "CANCELLED"

"""When new sales are refused, when one may look, and what closes the circuit."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import Call, ScriptedNetwork, gateway, order, paid, signed_answer
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryRefused,
    InquiryUnanswered,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundUnanswered,
)
from tillgate.core.results import Outcome
from tillgate.gateway.circuit import FAILURES_TO_OPEN, PROBE_INTERVAL, Circuit

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SILENT = [PayUnanswered, InquiryUnanswered, CancelUnanswered, RefundUnanswered, PayNeverLeft]


def opened() -> Circuit:
    circuit = Circuit()
    for _ in range(FAILURES_TO_OPEN):
        circuit.heard(PayNeverLeft("no connection"), NOW)
    return circuit


@pytest.mark.parametrize("kind", SILENT)
def test_silence_opens_it_only_after_several_calls_in_a_row(kind):
    circuit = Circuit()
    told = [circuit.heard(kind("silence"), NOW) for _ in range(FAILURES_TO_OPEN)]
    assert told == [None] * (FAILURES_TO_OPEN - 1) + ["the network does not answer: silence"]
    assert not circuit.admits(NOW)


def test_an_answer_in_between_starts_the_count_again():
    circuit = Circuit()
    for _ in range(3 * FAILURES_TO_OPEN):
        circuit.heard(PayUnanswered("x"), NOW)
        circuit.heard(InquiryRefused("ORDER_NOT_EXIST"), NOW)
    assert circuit.admits(NOW)


def test_one_refusal_of_our_signature_opens_it():
    circuit = Circuit()
    assert "INVALID_SIGNATURE" in (
        circuit.heard(PayRefusedUnsigned("INVALID_SIGNATURE"), NOW) or ""
    )
    assert not circuit.admits(NOW)


def test_any_signed_answer_closes_it():
    circuit = opened()
    assert circuit.heard(CancelAnswered(Outcome.UNKNOWN, "X"), NOW) == "the network answers again"
    assert circuit.admits(NOW)


def test_while_open_one_sale_at_a_time_may_look():
    circuit = opened()
    later = NOW + PROBE_INTERVAL
    assert not circuit.admits(later - timedelta(microseconds=1))
    assert circuit.admits(later)
    assert not circuit.admits(later)
    assert circuit.admits(later + PROBE_INTERVAL)


def test_it_is_told_once():
    circuit = opened()
    assert circuit.heard(PayNeverLeft("no connection"), NOW) is None


def test_a_network_that_is_away_refuses_sales_before_they_exist_and_comes_back(tmp_path):
    is_away = True

    async def script(call: Call):
        return (
            None if is_away else signed_answer(call, paid(call, call.message["paymentRequestId"]))
        )

    async def ready(api):
        async with api.session.get(f"{api.url}/readyz") as response:
            return response.status, (await response.json())["network"]

    async def run():
        nonlocal is_away
        network = ScriptedNetwork(script)
        async with network.running(), gateway(tmp_path, network.url) as api:
            first = [await api.post(order(order=f"o-{n}"), f"k-{n}") for n in range(6)]
            # Each of these payments loses its call, and the fifth loss opens the circuit.
            while (await ready(api))[1] == "up":
                await asyncio.sleep(0.01)
            refused = await api.post(order(order="late"), "late")
            async with api.session.post(
                f"{api.url}/v1/payments",
                json=order(order="late"),
                headers={"Authorization": "Bearer tg_test_merchant_one", "Idempotency-Key": "late"},
            ) as response:
                retry_after = response.headers.get("Retry-After")
            known = await api.post(order(order="o-0"), "k-0")
            is_away = False
            while (await ready(api))[1] == "down":
                await asyncio.sleep(0.01)
            again = await api.post(order(order="late"), "late", wait=10)
            return first, refused, retry_after, known, again

    first, refused, retry_after, known, again = asyncio.run(run())
    assert [status for status, _ in first] == [202] * 6
    assert (refused[0], refused[1]["code"], retry_after) == (503, "network_down", "5")
    # What exists already is answered as ever.
    assert known[0] == 202
    assert (again[0], again[1]["status"]) == (201, "SUCCEEDED")

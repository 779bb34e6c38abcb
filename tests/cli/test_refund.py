"""`tillgate refund` against a gateway: what is printed, and what a script can rely on."""

from __future__ import annotations

import asyncio
import json

import pytest

from tests.support import API_KEY, OPERATOR_KEY, ScriptedNetwork, gateway
from tests.web.test_refunds_api import Network, pay
from tillgate.cli import main


@pytest.fixture
def till(monkeypatch, capsys):
    """Runs commands beside the loop of the gateway; gives status, output and errors."""

    async def command(api, *arguments):
        monkeypatch.setenv("TILLGATE_GATEWAY_URL", api.url)
        monkeypatch.setenv("TILLGATE_API_KEY", API_KEY)
        status = await asyncio.to_thread(main, list(arguments))
        return status, *capsys.readouterr()

    return command


def run(tmp_path, work, refunds="done"):
    async def whole():
        script = Network(refunds)
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api, await pay(api), script)

    return asyncio.run(whole())


def test_a_part_and_then_the_rest(tmp_path, till):
    async def work(api, payment, network):
        part = await till(api, "refund", payment, "--amount", "JPY:30", "--reason", "one cup")
        rest = await till(api, "refund", payment, "--json")
        none = await till(api, "refund", payment)
        return part, rest, none, json.loads(network.bodies[0])["refundReason"]

    part, rest, none, reason = run(tmp_path, work)
    assert part[0] == 0
    assert part[1].startswith("REFUNDED  JPY 30\n")
    assert (rest[0], json.loads(rest[1])["amount"]["value"]) == (0, 70)
    assert (none[0], none[1]) == (1, "")
    assert "nothing is left" in none[2]
    assert reason == "one cup"


def test_an_operator_sees_what_waits_for_a_person_and_ends_it(tmp_path, till):
    async def work(api, payment, network):
        await till(api, "refund", payment, "--amount", "JPY:30", "--wait", "5")
        file = tmp_path / "operator.toml"
        file.write_text(f'admin = "{api.admin_url}"\noperator_key = "{OPERATOR_KEY}"\n')
        as_operator = ("--operator", str(file))
        waiting = await till(api, "unresolved", *as_operator)
        [item] = (await till(api, "unresolved", "--json", *as_operator))[1].splitlines()
        told = json.loads(item)
        words = ("resolve", payment, "--refund", told["refund"]["id"])
        words += ("--as", "SUCCEEDED", "--why", "the network's books", *as_operator)
        bare = await till(api, *words)
        done = await till(api, *words, "--version", str(told["version"]))
        return told, waiting, bare, done, await till(api, "unresolved", *as_operator)

    told, waiting, bare, done, left = run(tmp_path, work, "another amount")
    refund = told["refund"]
    assert (waiting[0], len(waiting[1].splitlines())) == (0, 1)
    for words in (refund["payment_id"], refund["id"], "JPY:30", f"version {told['version']}"):
        assert words in waiting[1]
    assert bare[0] == 2
    assert "--version" in bare[2]
    assert done == (0, f"{refund['id']}  SUCCEEDED\n", "")
    assert left == (0, "", "")


def test_a_refused_refund_is_exit_1(tmp_path, till):
    async def work(api, payment, network):
        return await till(api, "refund", payment, "--amount", "JPY:30")

    status, out, _ = run(tmp_path, work, "refused")
    assert status == 1
    assert out.startswith("NOT REFUNDED  JPY 30\n")
    assert "REFUND_AMOUNT_EXCEED" in out


def test_when_nobody_knows_it_is_exit_3_and_the_key_to_resume_with(tmp_path, till):
    async def work(api, payment, network):
        unknown = await till(api, "refund", payment, "--amount", "JPY:30", "--wait", "1")
        key = unknown[2].rpartition("--key ")[2].strip().rstrip(".")
        network.refunds = "done"
        again = await till(api, "refund", payment, "--amount", "JPY:30", "--key", key)
        return unknown, again, len(set(network.bodies))

    unknown, again, contents = run(tmp_path, work, "silent")
    assert (unknown[0], unknown[1]) == (3, "")
    assert again[0] == 0
    assert contents == 1


def test_an_amount_that_is_none_is_wrong_use(tmp_path, till):
    async def work(api, payment, network):
        return await till(api, "refund", payment, "--amount", "30"), network.bodies

    (status, _, errors), bodies = run(tmp_path, work)
    assert (status, bodies) == (2, [])
    assert "--amount" in errors

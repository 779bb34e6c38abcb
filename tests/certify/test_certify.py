"""The acceptance kit: Tillgate passes it, and an acquirer with its peers' bugs does not."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from xml.etree import ElementTree

import aiohttp
import pytest
from aiohttp import web

from tests.certify.wrong_acquirer import WrongAcquirer
from tests.support import serving
from tillgate.alipayplus.signing import SigningKey
from tillgate.certify import report
from tillgate.certify.adapter import HttpAcquirer, Status, TillgateAcquirer, Told, load
from tillgate.certify.cases import CASES
from tillgate.certify.checks import Evidence, has_one_id, is_true
from tillgate.certify.run import Outcome, Runner, Verdict, named
from tillgate.certify.sandbox import Sandbox
from tillgate.cli import main
from tillgate.cli.keys import CLIENT_ID, Addresses, write_folder
from tillgate.cli.serve import sandbox_settings
from tillgate.clock import SystemClock
from tillgate.config import load_gateway, load_sandbox
from tillgate.core.errors import ConfigError
from tillgate.sandbox.app import create_app
from tillgate.server import Address, listen, url_of
from tillgate.wiring import build_gateway

EXPIRY_S = 12


def certified(tmp_path, start, cases=CASES, **how):
    """Run the cases against what `start` starts; the outcomes, by name."""

    async def whole():
        async with contextlib.AsyncExitStack() as stack:
            listener = listen(Address("127.0.0.1", 0))
            there = url_of(listener)
            address = there.removeprefix("http://")
            write_folder(tmp_path, Addresses(gateway="127.0.0.1:0", sandbox=address))
            file = tmp_path / "tillgate.toml"
            sandbox = create_app(sandbox_settings(load_sandbox({}, file)), SystemClock())
            await stack.enter_async_context(serving(sandbox, listener))
            acquirer = await start(stack, there, file)
            stack.push_async_callback(acquirer.close)
            control = Sandbox(there)
            stack.push_async_callback(control.close)
            runner = Runner(acquirer, control, seed=b"seed", expiry_s=EXPIRY_S, **how)
            outcomes = await runner.run(cases)
            assert await control.rules() == [], "the next run needs a clean sandbox"
            async with aiohttp.ClientSession() as session:
                async with session.get(f"{there}/sandbox/ledger/check") as books:
                    assert (await books.json())["problems"] == []
            return outcomes

    return {outcome.case.name: outcome for outcome in asyncio.run(whole())}


async def tillgate(stack, network, file):
    door = listen(Address("127.0.0.1", 0))
    built = build_gateway(load_gateway({}, file), url_of(door))
    url = await stack.enter_async_context(serving(built.app, door))
    key = (file.parent / "till.toml").read_text().partition('api_key = "')[2].split('"')[0]
    return TillgateAcquirer(url, key)


async def wrong(stack, network, file):
    key = SigningKey.load((file.parent / "acquirer-private.pem").read_bytes())
    peer = WrongAcquirer(network, CLIENT_ID, key)
    runner = web.AppRunner(peer.app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    return HttpAcquirer(peer.url, "")


def test_tillgate_passes_every_case_that_it_offers(tmp_path):
    outcomes = certified(tmp_path, tillgate)
    reasons = {name: one.reasons for name, one in outcomes.items() if one.reasons}
    assert reasons == {}
    xml = ElementTree.fromstring(report.junit(list(outcomes.values())))
    assert (xml.get("failures"), xml.get("tests")) == ("0", str(len(CASES)))


CAUGHT = {
    "pay_in_process_s_by_inquiry": "still pending",
    "pay_in_process_for_ever": "still pending",
    "pay_u_then_s": "another paymentRequestId",
    "pay_u_but_paid": "net debit",
    "pay_connection_reset": "net debit",
    "pay_http_502_but_paid": "net debit",
    "pay_garbage": "net debit",
    "pay_forged_failure": "net debit",
    "pay_forged_success": "told paid",
    "pay_wrong_amount": "was believed",
    "pay_code_malformed": "no payment code was sent",
    "notify_before_answer": "no notification was acknowledged",
    "notify_bad_signature": "no notification was acknowledged",
    "notify_wrong_amount": "told paid",
    "cancel_u": "no cancel was confirmed",
    "cancel_notify_race": "where cancelled is right",
}


def test_a_wrong_acquirer_fails_by_name(tmp_path):
    cases = named(CASES, [*CAUGHT, "pay_s"])
    outcomes = certified(tmp_path, wrong, cases, end_after_expiry_s=3)
    assert outcomes["pay_s"].verdict is Verdict.PASSED
    for name, words in CAUGHT.items():
        assert outcomes[name].verdict is Verdict.FAILED, name
        assert words in " ".join(outcomes[name].reasons), (name, outcomes[name].reasons)


# --- The parts


def payment(net_debit):
    return {"net_debit": net_debit, "is_cancelled": False}


@pytest.mark.parametrize(
    ("told", "net_debits", "is_fine"),
    [
        (Status.PAID, [100], True),
        (Status.PAID, [0], False),
        (Status.PAID, [100, 100], False),
        (Status.FAILED, [0], True),
        (Status.FAILED, [], True),
        (Status.FAILED, [100], False),
        (Status.CANCELLED, [100], False),
        (Status.PENDING, [0], False),
    ],
)
def test_what_was_told_is_compared_with_the_ledger(told, net_debits, is_fine):
    evidence = Evidence(100, 60, [Told("x", told)], [payment(one) for one in net_debits])
    assert (is_true(evidence) is None) is is_fine


def test_another_body_is_no_repeat():
    asked = {"api": "pay", "kind": "request", "from": "acquirer", "payment_request_id": "1"}
    evidence = Evidence(100, 60, exchanges=[asked, asked], body_hashes=["a", "a"])
    assert has_one_id(evidence) is None
    assert "another body" in has_one_id(replace(evidence, body_hashes=["a", "b"]))
    other = asked | {"payment_request_id": "2"}
    assert "2 ids" in has_one_id(replace(evidence, exchanges=[asked, other]))


def test_names_are_unique_and_chosen_by_their_beginning():
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    chosen = [case.name for case in named(CASES, ["cancel_", "notify_twice"])]
    assert "notify_twice" in chosen
    assert all(name.startswith(("cancel_", "notify_twice")) for name in chosen)


def outcome(reasons):
    evidence = Evidence(100, 60, [Told("x", Status.PAID, "<words>")])
    verdict = Verdict.FAILED if reasons else Verdict.PASSED
    return Outcome(case=CASES[0], verdict=verdict, reasons=reasons, seconds=1, evidence=evidence)


def test_reports_say_what_is_wrong_and_are_well_formed():
    outcomes = [outcome(("a < b",)), outcome(())]
    assert "a &lt; b" in report.page(outcomes, "http://a?<script>")
    assert "<script>" not in report.page(outcomes, "http://a?<script>")
    failure = ElementTree.fromstring(report.junit(outcomes)).find("testcase/failure")
    assert failure.get("message") == "a < b"
    assert report.summary(outcomes) == "1 passed, 1 failed, 0 skipped"


# --- The command


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--gateway"),
        (["--only", "nothing"], "no case starts so"),
        (["--gateway", "http://127.0.0.1:1", "--sandbox", "http://127.0.0.1:1"], "no answer"),
        (["--gateway", "http://127.0.0.1:1", "--adapter", "os:nothing"], "module:Class"),
        (["--gateway", "http://127.0.0.1:1", "--html", "/nowhere/x.html"], "no such folder"),
    ],
)
def test_what_cannot_run_says_why(arguments, words, capsys, monkeypatch):
    monkeypatch.delenv("TILLGATE_API_KEY", raising=False)
    assert main(["certify", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_the_list_names_every_case_with_its_source(capsys):
    assert main(["certify", "--list"]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == len(CASES)
    assert "the guide, result table" in listed[0]


def test_an_adapter_is_found_by_its_name():
    with pytest.raises(ConfigError, match="module:Class"):
        load("nothing", "http://x", "")

"""What testers make the network do: by amount, by code, by customer and by rule, over real HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import aiohttp
import msgspec
import pytest

from tests.sandbox.side import CLIENT, WALLETS, pay_request, running
from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import CancelRequest, InquiryRequest
from tillgate.alipayplus.signing import BadSignature, KeyRing
from tillgate.core.results import MEANINGS, Outcome
from tillgate.sandbox.plays import MAGIC, PAY_CODES, PLAYS, Api, Do, Lost
from tillgate.sandbox.scripts import Faults, Message, On, RuleRequest, Scripts
from tillgate.sandbox.wallets import Conditions

QUICK = aiohttp.ClientTimeout(total=0.4)


def play(keys, work, **changes):
    async def run():
        async with running(keys, **changes) as rig:
            return await work(rig)

    return asyncio.run(run())


async def told(rig, path, request, **how):
    answer, headers = await rig.send(path, messages.encode(request), **how)
    return answer, headers


async def paid(rig, code, value="100", id_="pay_1"):
    return await rig.pay(code, id_, value=value)


async def asked(rig, id_="pay_1"):
    request = InquiryRequest(payment_request_id=id_)
    return (await told(rig, messages.INQUIRY_PATH, request))[0]


async def cancelled(rig, id_="pay_1"):
    request = CancelRequest(payment_request_id=id_)
    return (await told(rig, messages.CANCEL_PATH, request))[0]


async def there(rig, id_="pay_1"):
    return (await rig.control("GET", f"/sandbox/payments/{id_}"))[1]


async def rule(rig, **words):
    status, body = await rig.control("POST", "/sandbox/rules", **words)
    assert status == 201, body
    return body


async def put(rig, path, **words):
    async with rig.session.put(rig.url + path, json=words) as answer:
        return answer.status, await answer.json(content_type=None)


# --- Results


def amounts_of(name):
    return next(str(value) for value, one in MAGIC.items() if one is PLAYS[name])


OF_REFUNDS = {
    "REFUND_AMOUNT_EXCEED",
    "REFUND_WINDOW_EXCEED",
    "MERCHANT_BALANCE_NOT_ENOUGH",
    "MULTIPLE_REFUNDS_NOT_SUPPORTED",
    "ORDER_IS_CANCELED",
    "ORDER_STATUS_INVALID",
}
"""No pay is answered with these."""


def test_every_code_of_the_pay_table_has_an_amount():
    named = {code for code in MEANINGS if "." not in code and not code.isdigit()}
    assert set(PAY_CODES) == named - OF_REFUNDS - {"SUCCESS"}
    assert {one.name for one in MAGIC.values()} == set(PLAYS)
    assert amounts_of("access_denied") == "77701"
    assert amounts_of("in_process_then_success") == "77751"


UNSIGNED = {"INVALID_SIGNATURE", "INVALID_CLIENT", "KEY_NOT_FOUND"}


def test_an_amount_chooses_each_result_code(keys):
    async def work(rig):
        seen = {}
        for code in PAY_CODES:
            scanned = await rig.code()
            request = pay_request(scanned, code, value=amounts_of(code.lower()))
            answer, headers = await told(rig, messages.PAY_PATH, request)
            result = answer["result"]
            seen[code] = result["resultCode"], result["resultStatus"], "Signature" in headers
        _, ledger = await rig.control("GET", "/sandbox/ledger")
        return seen, ledger["entries"]

    seen, entries = play(keys, work)
    assert seen == {
        code: (code, MEANINGS[code].outcome.value, code not in UNSIGNED) for code in PAY_CODES
    }
    assert entries == []


def test_refusals_of_a_message_leave_no_payment_and_judgements_one(keys):
    async def work(rig):
        found = {}
        for code in ("PARAM_ILLEGAL", "UNKNOWN_EXCEPTION", "RISK_REJECT"):
            scanned = await rig.code(play=code.lower())
            await paid(rig, scanned, id_=code)
            found[code] = (await asked(rig, code)).get("paymentResult", {}).get("resultCode")
        return found

    assert play(keys, work) == {
        "PARAM_ILLEGAL": None,
        "UNKNOWN_EXCEPTION": None,
        "RISK_REJECT": "RISK_REJECT",
    }


def test_a_code_has_its_play_and_a_customer_theirs(keys):
    wallet = WALLETS.wallet("gcash")
    customers = tuple(
        replace(one, conditions=Conditions(play="user_not_exist")) for one in wallet.customers
    )
    wallets = type(WALLETS)(
        tuple(replace(one, customers=customers) if one is wallet else one for one in WALLETS.all),
        WALLETS._rates,
    )

    async def work(rig):
        by_customer = await paid(rig, await rig.code(wallet="gcash"), id_="a")
        by_code = await paid(rig, await rig.code(wallet="gcash", play="risk_reject"), id_="b")
        return [answer["result"]["resultCode"] for answer in (by_customer, by_code)]

    assert play(keys, work, wallets=wallets) == ["USER_NOT_EXIST", "RISK_REJECT"]


def test_without_magic_an_amount_is_an_amount(keys):
    async def work(rig):
        return await paid(rig, await rig.code(), value=amounts_of("risk_reject"))

    assert play(keys, work, has_magic=False)["result"]["resultCode"] == "SUCCESS"


# --- In process, and the clock


@pytest.mark.parametrize(
    ("name", "after_s", "ends"),
    [
        ("in_process_then_success", 2, ("SUCCESS", 1, 0)),
        ("in_process_then_failure", 2, ("USER_PAYMENT_VERIFICATION_FAILED", 0, 0)),
        ("in_process_for_ever", 60, ("ORDER_IS_CLOSED", 0, 0)),
        ("late_success", 60, ("ORDER_IS_CLOSED", 0, 0)),
        ("late_success", 70, ("ORDER_IS_CLOSED", 1, 1)),
    ],
)
def test_what_a_wallet_says_later_comes_by_the_sandboxs_clock(keys, name, after_s, ends):
    async def work(rig):
        await put(rig, "/sandbox/clock", frozen=True)
        first = await paid(rig, await rig.code(play=name))
        assert first["result"]["resultCode"] == "PAYMENT_IN_PROCESS"
        await put(rig, "/sandbox/clock", advance_s=after_s - 0.5)
        before = await there(rig)
        await put(rig, "/sandbox/clock", advance_s=0.5)
        after = await there(rig)
        return before["debits"], (after["result_code"], after["debits"], after["credits"])

    assert play(keys, work) == (0, ends)


def test_a_frozen_clock_reaches_midnight_the_cancel_window_and_the_last_day_of_a_refund(keys):
    async def work(rig):
        await put(rig, "/sandbox/clock", frozen=True, now="2026-03-01T23:59:30+08:00")
        for id_ in ("a", "b"):
            await paid(rig, await rig.code(), id_=id_)
        await put(rig, "/sandbox/clock", now="2026-03-02T00:14:59.999+08:00")
        in_time = await cancelled(rig, "a")
        await put(rig, "/sandbox/clock", advance_s=0.001)
        too_late = await cancelled(rig, "b")
        return in_time["result"]["resultCode"], too_late["result"]["resultCode"]

    assert play(keys, work) == ("SUCCESS", "CANCEL_WINDOW_EXCEED")


def test_time_that_jumps_makes_everything_happen_that_was_due_each_in_its_moment(keys):
    async def work(rig):
        await put(rig, "/sandbox/clock", frozen=True, now="2026-03-01T12:00:00+00:00")
        await paid(rig, await rig.code(play="in_process_then_success"))
        await put(rig, "/sandbox/clock", advance_s=86400)
        payment = await there(rig)
        _, clock = await rig.control("GET", "/sandbox/clock")
        return payment["status"], payment["paid_at"], clock["now"], clock["is_frozen"]

    assert play(keys, work) == (
        "succeeded",
        "2026-03-01T12:00:02.000+00:00",
        "2026-03-02T12:00:00.000+00:00",
        True,
    )


def test_the_clock_runs_on_from_where_it_was_set_and_follows_again(keys):
    async def work(rig):
        await put(rig, "/sandbox/clock", now="2030-01-01T00:00:00Z")
        _, set_ = await rig.control("GET", "/sandbox/clock")
        await put(rig, "/sandbox/clock", frozen=True)
        await put(rig, "/sandbox/clock", frozen=False)
        _, runs = await rig.control("GET", "/sandbox/clock")
        _, follows = await put(rig, "/sandbox/clock", follow=True)
        return set_["now"][:16], runs["now"][:16], runs["is_frozen"], abs(follows["ahead_s"]) < 1

    assert play(keys, work) == ("2030-01-01T00:00", "2030-01-01T00:00", False, True)


# --- The wire


async def pay_quickly(rig, code, id_="pay_1"):
    """A pay by a caller that waits 0.4 s: the answer, or the class of what went wrong."""
    try:
        async with aiohttp.ClientSession(timeout=QUICK, auto_decompress=False) as session:
            hasty = replace(rig, session=session)
            return (await hasty.pay(code, id_))["result"]["resultCode"]
    except (TimeoutError, aiohttp.ClientError, BadSignature, AssertionError, ValueError) as error:
        return type(error).__name__


@pytest.mark.parametrize(
    ("do", "heard", "debits"),
    [
        ({"lose": "request"}, "TimeoutError", None),
        ({"lose": "reply"}, "TimeoutError", 1),
        ({"delay_s": 5}, "TimeoutError", 1),
        ({"request_delay_s": 5}, "TimeoutError", None),
        ({"drip_s": 5}, "TimeoutError", 1),
        ({"reset": True}, "ServerDisconnectedError", 1),
        ({"http_status": 503}, "AssertionError", None),
        ({"http_status": 502, "effect": True}, "AssertionError", 1),
        ({"garbage": True}, "UnicodeDecodeError", 1),
        ({"signature": "bad"}, "BadSignature", 1),
        ({"signature": "wrong_key"}, "BadSignature", 1),
        ({"signature": "none"}, "AssertionError", 1),
        ({"result": "UNKNOWN_EXCEPTION"}, "UNKNOWN_EXCEPTION", None),
        ({"result": "UNKNOWN_EXCEPTION", "effect": True}, "UNKNOWN_EXCEPTION", 1),
        ({"duplicate": True}, "SUCCESS", 1),
        ({"clock_offset_s": -600}, "SUCCESS", 1),
    ],
    ids=str,
)
def test_a_pay_meets_what_a_rule_says_once(keys, do, heard, debits):
    async def work(rig):
        await rule(rig, on={"api": "pay"}, do=do)
        code = await rig.code()
        first = await pay_quickly(rig, code)
        found = (await there(rig)).get("debits")
        again = await pay_quickly(rig, code) if found is None else "SUCCESS"
        _, rules = await rig.control("GET", "/sandbox/rules")
        return first, found, again, rules["rules"][0]["is_over"]

    assert play(keys, work) == (heard, debits, "SUCCESS", True)


def test_a_lagging_network_does_not_know_what_it_took(keys):
    async def work(rig):
        await put(rig, "/sandbox/clock", frozen=True)
        await rule(rig, do={"unknown_for_s": 5}, on={"api": "pay"})
        await paid(rig, await rig.code())
        early = await asked(rig)
        await put(rig, "/sandbox/clock", advance_s=5)
        late = await asked(rig)
        return early["result"]["resultCode"], late["paymentResult"]["resultCode"]

    assert play(keys, work) == ("ORDER_NOT_EXIST", "SUCCESS")


def test_a_wrong_amount_is_told_and_signed(keys):
    async def work(rig):
        return await paid(rig, await rig.code(play="wrong_amount"))

    assert play(keys, work)["paymentAmount"] == {"currency": "JPY", "value": "1"}


def test_a_reordered_pay_comes_after_the_cancel_that_left_later(keys):
    async def work(rig):
        await rule(rig, on={"api": "pay"}, do={"reorder": True})
        paying = asyncio.create_task(paid(rig, await rig.code()))
        await asyncio.sleep(0.05)
        cancel = await cancelled(rig)
        return cancel["result"]["resultCode"], (await paying)["result"]["resultCode"]

    assert play(keys, work) == ("ORDER_NOT_EXIST", "SUCCESS")


def test_cancels_and_inquiries_have_their_own_fates(keys):
    async def work(rig):
        await rule(rig, on={"api": "inquiryPayment"}, do={"payment_result": "PAYMENT_IN_PROCESS"})
        await rule(rig, on={"api": "cancelPayment"}, do={"result": "UNKNOWN_EXCEPTION"}, times=2)
        await paid(rig, await rig.code())
        inquiries = [(await asked(rig))["paymentResult"]["resultCode"] for _ in range(2)]
        cancels = [(await cancelled(rig))["result"]["resultCode"] for _ in range(3)]
        return inquiries, cancels

    assert play(keys, work) == (
        ["PAYMENT_IN_PROCESS", "SUCCESS"],
        ["UNKNOWN_EXCEPTION", "UNKNOWN_EXCEPTION", "SUCCESS"],
    )


def test_a_rule_means_only_what_fits_every_word(keys):
    async def work(rig):
        await rule(rig, on={"customer": "gcash_maria"}, do={"result": "RISK_REJECT"}, times=None)
        await rule(rig, on={"wallet": "kakaopay", "amount": 7}, play="user_not_exist", skip=1)
        codes = []
        for wallet, value in (("kakaopay", "7"), ("kakaopay", "7"), ("kakaopay", "8")):
            answer = await paid(rig, await rig.code(wallet=wallet), value, id_=f"x{len(codes)}")
            codes.append(answer["result"]["resultCode"])
        return codes

    assert play(keys, work) == ["SUCCESS", "USER_NOT_EXIST", "SUCCESS"]


# --- Notifications


async def notified(rig, count):
    got = []
    for _ in range(count):
        got.append(await asyncio.wait_for(rig.shop.got.get(), 5))
    return [body["paymentResult"]["resultCode"] for _, body in got]


def test_a_notification_comes_before_the_answer(keys):
    async def work(rig):
        answer = await paid(rig, await rig.code(play="notify_first"))
        return rig.shop.got.qsize(), answer["result"]["resultCode"]

    assert play(keys, work, notify_delay_s=30) == (1, "SUCCESS")


def test_a_notification_comes_twice_or_never(keys):
    async def work(rig):
        await paid(rig, await rig.code(play="notify_twice"), id_="a")
        twice = await notified(rig, 2)
        await rule(rig, on={"api": "pay"}, do={"notify": {"when": "never"}})
        await paid(rig, await rig.code(), id_="b")
        await asyncio.sleep(0.1)
        return twice, rig.shop.got.qsize(), (await there(rig, "b"))["notification"]

    assert play(keys, work) == (["SUCCESS", "SUCCESS"], 0, None)


def test_a_success_is_notified_after_its_cancel(keys):
    async def work(rig):
        await rule(rig, on={"api": "pay"}, do={"notify": {"when": "after_cancel"}})
        await paid(rig, await rig.code())
        await asyncio.sleep(0.05)
        before = rig.shop.got.qsize()
        await cancelled(rig)
        return before, await notified(rig, 1)

    assert play(keys, work) == (0, ["SUCCESS"])


def test_a_notification_is_sent_again_after_one_that_was_spoilt(keys):
    async def work(rig):
        await rule(rig, on={"api": "notifyPayment"}, do={"lose": "reply"})
        await rule(rig, on={"api": "notifyPayment"}, do={"amount": 1}, skip=1)
        await paid(rig, await rig.code())
        got = [await asyncio.wait_for(rig.shop.got.get(), 5) for _ in range(2)]
        return [body["paymentAmount"]["value"] for _, body in got]

    assert play(keys, work) == ["100", "1"]


# --- Random faults


def fates(seed, count=40, **rates):
    scripts = Scripts()
    scripts.restart(Faults(seed=seed, **rates))
    found = []
    for i in range(count):
        for api in (Api.PAY, Api.INQUIRY, Api.INQUIRY):
            message = Message(
                api=api, network="n", client_id=CLIENT, payment_request_id=f"{seed}-{i}"
            )
            found.append(scripts.take(message))
    return found


def test_a_seed_repeats_the_faults_whatever_the_ids():
    rates = {"lose_reply": 0.2, "duplicate": 0.2, "delay": 0.3, "bad_signature": 0.1}
    assert fates(7, **rates) == fates(7, **rates)
    assert fates(7, **rates) != fates(8, **rates)
    assert {Do(), Do(lose=Lost.REPLY)} <= set(fates(7, 400, lose_reply=0.5))


def test_random_faults_reach_the_wire_and_end(keys):
    async def work(rig):
        await put(rig, "/sandbox/faults", seed=3, http_503=1.0)
        first = await pay_quickly(rig, await rig.code(), "a")
        await rig.control("DELETE", "/sandbox/faults")
        return first, await pay_quickly(rig, await rig.code(), "b")

    assert play(keys, work) == ("AssertionError", "SUCCESS")


def test_rules_speak_before_plays_and_plays_before_faults():
    scripts = Scripts()
    scripts.restart(Faults(seed=1, unknown_exception=1.0, delay=1.0))
    scripts.add(RuleRequest(on=On(api=Api.PAY), do=Do(delay_s=9)))
    message = Message(
        api=Api.PAY, network="n", client_id=CLIENT, payment_request_id="1", amount=77_701
    )
    do = scripts.take(message)
    assert (do.delay_s, do.result) == (9, "ACCESS_DENIED")


# --- Bad words


@pytest.mark.parametrize(
    ("path", "words", "field"),
    [
        ("/sandbox/rules", {}, "$"),
        ("/sandbox/rules", {"do": {}}, "$.do"),
        ("/sandbox/rules", {"do": {"lose": "both"}}, "$.do.lose"),
        ("/sandbox/rules", {"do": {"delay_s": -1}}, "$.do.delay_s"),
        ("/sandbox/rules", {"do": {"surprise": 1}}, "$.do"),
        ("/sandbox/rules", {"play": "nothing_known"}, "$.play"),
        ("/sandbox/rules", {"play": "slow", "do": {"delay_s": 1}}, "$"),
        ("/sandbox/rules", {"play": "slow", "times": 0}, "$.times"),
        ("/sandbox/codes", {"play": "nothing_known"}, "$.play"),
        ("/sandbox/clock", {"now": "yesterday"}, "$.now"),
        ("/sandbox/clock", {"now": "2026-01-01T00:00:00"}, "$.now"),
        ("/sandbox/clock", {"advance_s": -1}, "$.advance_s"),
        ("/sandbox/clock", {"follow": True, "frozen": True}, "$.follow"),
        ("/sandbox/clock", {"now": "9999-12-31T23:59:59Z"}, "$.now"),
        ("/sandbox/faults", {"lose_reply": 2}, "$.lose_reply"),
    ],
)
def test_bad_words_are_named_and_change_nothing(keys, path, words, field):
    async def work(rig):
        method = "PUT" if path.endswith(("clock", "faults")) else "POST"
        async with rig.session.request(method, rig.url + path, json=words) as answer:
            problem = await answer.json(content_type=None)
            assert answer.content_type == "application/problem+json"
        _, rules = await rig.control("GET", "/sandbox/rules")
        _, faults = await rig.control("GET", "/sandbox/faults")
        return answer.status, problem["path"], rules["rules"], faults["faults"]

    assert play(keys, work) == (422, field, [], None)


def test_a_list_of_rules_is_taken_whole_or_not(keys):
    async def work(rig):
        bad = [{"play": "slow"}, {"play": "nothing_known"}]
        async with rig.session.post(rig.url + "/sandbox/rules", json=bad) as answer:
            refused = answer.status, (await answer.json(content_type=None))["path"]
        async with rig.session.post(rig.url + "/sandbox/rules", json=bad[:1] * 2) as answer:
            taken = answer.status
        _, rules = await rig.control("GET", "/sandbox/rules")
        one = rules["rules"][0]["id"]
        statuses = [
            (await rig.control(method, f"/sandbox/rules/{one}"))[0]
            for method in ("GET", "DELETE", "GET", "DELETE")
        ]
        return refused, taken, len(rules["rules"]), statuses

    assert play(keys, work) == ((422, "$[1].play"), 201, 2, [200, 200, 404, 404])


# --- Signatures explained


async def explanations(rig, api="pay"):
    _, body = await rig.control("GET", "/sandbox/exchanges")
    seq = next(row["seq"] for row in body["exchanges"] if row["api"] == api)
    return (await rig.control("GET", f"/sandbox/exchanges/{seq}"))[1]["explanation"]


SPOILT = {
    "valid": ({}, None),
    "sorted": ({"body": b'{"a":2,"b":1}', "sent_body": b'{"b":1,"a":2}'}, "sorted names"),
    "white space": ({"body": b'{"a":1}', "sent_body": b'{"a": 1}'}, "without spaces"),
    "line break": ({"body": b'{"a":1}\n', "sent_body": b'{"a":1}'}, "line break behind"),
    "query": ({"sent_path": messages.PAY_PATH + "?x=1"}, "without its query"),
    "other": ({"body": b'{"a":1}', "sent_body": b'{"a":9}'}, "none of the usual"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_signature_is_explained_and_never_shown(keys, name):
    how, words = SPOILT[name]
    how = dict(how)
    body = how.pop("body", b'{"a":1}')

    async def work(rig):
        await rig.send(messages.PAY_PATH, body, **how)
        _, shown = await rig.control("GET", "/sandbox/exchanges")
        api = shown["exchanges"][0]["api"]
        return await explanations(rig, api)

    steps = play(keys, work)
    assert steps["content_signed"]["line_1"].startswith(f"POST {messages.PAY_PATH}")
    assert steps["header"] == {"algorithm": "RSA256", "keyVersion": 1, "signature_bytes": 256}
    if words is None:
        assert steps["verdict"] == "valid: it fits the key of version 1"
    else:
        assert steps["verdict"].startswith("invalid:")
        assert words in steps["hint"]
    assert "%2B" not in msgspec.json.encode(steps).decode()


def test_a_stranger_and_a_missing_header_are_explained(keys):
    async def work(rig):
        await rig.send(messages.PAY_PATH, b"{}", client_id="NOBODY")
        stranger = await explanations(rig)
        return stranger["verdict"]

    assert play(keys, work) == "invalid: nobody is known by this Client-Id"


# --- The description


def test_the_description_names_exactly_what_is_mounted(keys):
    from tillgate.sandbox.app import SandboxSettings, create_app
    from tillgate.sandbox.openapi import ROUTES

    settings = SandboxSettings(
        signing_key=keys.network,
        acquirers={CLIENT: KeyRing.load({1: keys.acquirer.public_pem()})},
        wallets=WALLETS,
    )

    class Now:
        def now(self):
            return datetime(2026, 1, 1, tzinfo=UTC)

    app = create_app(settings, Now())
    mounted = {
        (method.lower(), route.path.replace(":int", "").replace(":path", ""))
        for route in app.routes
        for method in getattr(route, "methods", None) or ()
        if route.path.startswith("/sandbox/") and method != "HEAD"
    } - {("get", "/sandbox/openapi.json")}
    assert {(method, path) for method, path, *_ in ROUTES} == mounted


def test_outcomes_are_spelt_as_the_core_spells_them():
    assert {play_.name for play_ in PLAYS.values() if play_.name.upper() in MEANINGS} == {
        code.lower() for code in PAY_CODES
    }
    assert MEANINGS["UNKNOWN_EXCEPTION"].outcome is Outcome.UNKNOWN

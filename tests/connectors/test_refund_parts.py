"""A merchant's refund in each dialect: the request, and how each answer becomes a fact."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.alipaycn.side import OUT_TRADE_NO, ok, refused, script, signed, unsigned
from tests.connectors import test_alipay_cn as cn
from tests.connectors import test_alipay_plus as plus
from tests.connectors.test_alipay_plus import answering, told
from tests.core.refund_cases import PAID
from tests.support import acquirer_key, http_answer, network_key, result, signed_answer
from tillgate.alipayplus.messages import format_time
from tillgate.connectors.missing import Missing
from tillgate.core.model import PaymentRequestId
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.refund import open_refund
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    LookRefused,
    LookUnanswered,
    RefundReport,
    RefundRequestId,
    SendAnswered,
    SendNeverLeft,
    SendRefusedUnsigned,
    SendUnanswered,
)
from tillgate.core.results import Outcome

OPENED = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
REFUND = replace(
    open_refund(
        RefundRequestId("ref_1"), PAID, Money("JPY", 30), "broken", "key", OPENED, ALIPAY_PLUS
    ).refund,
    payment_request_id=PaymentRequestId("pay_1"),
)
CN_REFUND = replace(
    REFUND, payment_request_id=PaymentRequestId(OUT_TRADE_NO), amount=Money("CNY", 1205)
)
AT = "2026-11-23T16:00:01+08:00"
DONE_AT = datetime(2026, 11, 23, 8, 0, 1, tzinfo=UTC)


def yen(value="30", currency="JPY"):
    return {"currency": currency, "value": value}


def entry(status=None, code=None, outcome=None, **changes):
    """One of `transactions`."""
    made = {"transactionType": "REFUND", "transactionRequestId": "ref_1", "transactionId": "R1",
            "transactionAmount": yen(), "transactionTime": AT} | changes  # fmt: skip
    if status:
        made["transactionStatus"] = status
    if outcome:
        made["transactionResult"] = result(outcome, code)
    return {name: value for name, value in made.items() if value is not None}


DONE = entry("SUCCESS", "SUCCESS", "S")
FAILED = entry("FAIL", "PROCESS_FAIL", "F")
RUNNING = entry("PROCESSING")


def listing(*transactions, **changes):
    return {
        "result": result("S", "SUCCESS"), "paymentResult": result("S", "SUCCESS"),
        "paymentRequestId": "pay_1", "transactions": list(transactions) or None,
    } | changes  # fmt: skip


def looked(*transactions, **changes):
    return told(answering(listing(*transactions, **changes)), "look_up", REFUND)


def said_of(event):
    """The outcome that was reported, or what else came."""
    return event.report.outcome.value if hasattr(event, "report") else type(event)


# --- Alipay+: sending


def test_a_refund_goes_out_under_its_own_id_with_the_same_bytes_each_time():
    bodies = []

    async def script(call):
        assert call.path.endswith("/refund")
        bodies.append(call.body)
        return signed_answer(call, {"result": result("U", "UNKNOWN_EXCEPTION")})

    for _ in range(2):
        assert said_of(told(script, "give_back", REFUND)) == "U"
    assert json.loads(bodies[0]) == {
        "refundRequestId": "ref_1", "paymentRequestId": "pay_1", "refundAmount": yen(),
        "refundReason": "broken",
    }  # fmt: skip
    assert bodies[0] == bodies[1]


def test_a_refund_without_a_reason_says_none_and_a_long_one_is_cut():
    sent = []

    async def script(call):
        sent.append(call.message.get("refundReason"))
        return signed_answer(call, {"result": result("S", "SUCCESS")})

    for reason in (None, "", "x" * 300):
        told(script, "give_back", replace(REFUND, reason=reason))
    assert sent == [None, None, "x" * 256]


def test_a_refund_that_was_done_brings_amount_id_and_time():
    answer = {"result": result("S", "SUCCESS"), "refundId": "R1", "refundTime": AT,
              "refundAmount": yen()}  # fmt: skip
    assert told(answering(answer), "give_back", REFUND) == SendAnswered(
        RefundReport(
            outcome=Outcome.SUCCESS,
            code="SUCCESS",
            message="success",
            amount=REFUND.amount,
            refund_id="R1",
            refunded_at=DONE_AT,
        )
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [("S", "SUCCESS"), ("F", "REFUND_AMOUNT_EXCEED"), ("F", "REFUND_WINDOW_EXCEED"),
     ("F", "ORDER_NOT_EXIST"), ("F", "USER_NOT_EXIST"), ("F", "REPEAT_REQ_INCONSISTENT"),
     ("F", "OF_NEXT_YEAR"), ("U", "UNKNOWN_EXCEPTION"), ("U", "REQUEST_TRAFFIC_EXCEED_LIMIT")],
)  # fmt: skip
def test_a_refunds_answer_is_handed_on_by_its_status(status, code):
    event = told(answering({"result": result(status, code)}), "give_back", REFUND)
    assert (event.report.outcome, event.report.code) == (Outcome(status), code)


@pytest.mark.parametrize(
    "amount", [yen("12.5"), yen("-3"), yen("0"), {"currency": "??", "value": "3"}]
)
def test_a_success_whose_amount_cannot_be_read_is_no_answer(amount):
    answer = {"result": result("S", "SUCCESS"), "refundAmount": amount}
    assert isinstance(told(answering(answer), "give_back", REFUND), SendUnanswered)


def test_a_refusal_with_an_odd_amount_is_still_a_refusal():
    answer = {"result": result("F", "PROCESS_FAIL"), "refundAmount": yen("much")}
    assert said_of(told(answering(answer), "give_back", REFUND)) == "F"


def test_a_success_with_an_odd_time_is_still_a_success():
    answer = {"result": result("S", "SUCCESS"), "refundTime": "yesterday"}
    event = told(answering(answer), "give_back", REFUND)
    assert (said_of(event), event.report.refunded_at) == ("S", None)


@pytest.mark.parametrize("answer", [None, http_answer(b"502", {}, "502 Bad Gateway")])
def test_a_lost_reply_is_no_answer(answer):
    async def silent(call):
        return answer

    assert isinstance(told(silent, "give_back", REFUND), SendUnanswered)
    assert isinstance(told(silent, "look_up", REFUND), LookUnanswered)


def test_an_answer_signed_by_somebody_else_is_none():
    async def forged(call):
        return signed_answer(call, listing(DONE), key=acquirer_key())

    assert isinstance(told(forged, "give_back", REFUND), SendUnanswered)
    assert isinstance(told(forged, "look_up", REFUND), LookUnanswered)


@pytest.mark.parametrize("code", ["INVALID_SIGNATURE", "KEY_NOT_FOUND", "ACCESS_DENIED"])
def test_an_unsigned_refusal_of_our_keys_is_told_apart(code):
    async def unsigned_refusal(call):
        return http_answer(json.dumps({"result": result("F", code)}).encode(), {})

    assert told(unsigned_refusal, "give_back", REFUND) == SendRefusedUnsigned(code)


def test_without_a_connection_nothing_left():
    async def run(talks, refund):
        await talks.start()
        try:
            return await talks.give_back(refund), await talks.look_up(refund)
        finally:
            await talks.close()

    for talks, refund in (
        (plus.connector()[0], REFUND),
        (cn.connector(), CN_REFUND),
        (Missing("gone"), REFUND),
    ):
        sent, asked = asyncio.run(run(talks, refund))
        assert isinstance(sent, SendNeverLeft)
        assert isinstance(asked, LookUnanswered)


# --- Alipay+: asking


@pytest.mark.parametrize(
    ("transactions", "outcome"),
    [
        ([DONE], "S"),
        ([FAILED], "F"),
        ([RUNNING], "U"),
        ([entry("SUCCESS")], "S"),
        ([entry(None, "SUCCESS", "S")], "S"),
        ([entry("FAIL")], "F"),
        ([entry(None, "UNKNOWN_EXCEPTION", "U")], "U"),
        # What nobody explains, and what contradicts itself, decides nothing.
        ([entry("CANCELLED")], "U"),
        ([entry("OF_NEXT_YEAR")], "U"),
        ([entry()], "U"),
        ([entry("FAIL", "SUCCESS", "S")], "U"),
        ([entry("SUCCESS", "PROCESS_FAIL", "F")], "U"),
        # Several entries of one refund: done is done, failed is what all of them say.
        ([FAILED, DONE], "S"),
        ([DONE, RUNNING], "S"),
        ([FAILED, RUNNING], "U"),
        ([FAILED, FAILED], "F"),
        ([entry("SUCCESS", transactionRequestId="ref_2"), FAILED], "F"),
    ],
)
def test_what_is_listed_under_its_id_is_what_became_of_it(transactions, outcome):
    assert said_of(looked(*transactions)) == outcome


def test_what_is_listed_brings_amount_id_and_time():
    report = looked(FAILED, DONE).report
    assert (report.amount, report.refund_id, report.refunded_at, report.code) == (
        REFUND.amount, "R1", DONE_AT, "SUCCESS",
    )  # fmt: skip


@pytest.mark.parametrize(
    "transactions",
    [
        [],
        [entry("SUCCESS", transactionRequestId="ref_2")],
        [entry("SUCCESS", transactionType="CANCEL")],
        [entry("SUCCESS", transactionType="CANCEL", transactionRequestId=None)],
        [entry("SUCCESS", transactionType="PAYMENT")],
    ],
)
def test_what_is_not_listed_under_its_id_was_not_found(transactions):
    assert looked(*transactions) == LookFoundNothing()


def test_a_refund_that_is_listed_without_an_id_may_be_ours():
    nameless = entry("SUCCESS", transactionRequestId=None)
    assert isinstance(looked(nameless), LookUnanswered)
    assert said_of(looked(nameless, DONE)) == "S"


@pytest.mark.parametrize(
    ("message", "event"),
    [
        (listing(DONE, result=result("F", "ORDER_NOT_EXIST")), LookRefused("ORDER_NOT_EXIST")),
        (listing(DONE, result=result("F", "PARAM_ILLEGAL")), LookRefused("PARAM_ILLEGAL")),
    ],
)
def test_a_refused_question_says_nothing_of_the_refund(message, event):
    assert told(answering(message), "look_up", REFUND) == event


@pytest.mark.parametrize(
    "message",
    [
        listing(DONE, result=result("U", "UNKNOWN_EXCEPTION")),
        listing(DONE, paymentRequestId="pay_of_another"),
        listing(entry("SUCCESS", transactionAmount=yen("3e1"))),
    ],
)
def test_an_answer_that_decides_nothing_is_none(message):
    assert isinstance(told(answering(message), "look_up", REFUND), LookUnanswered)


@pytest.mark.parametrize(
    ("transactions", "heard"),
    [([DONE], "S"), ([FAILED], LookUnanswered), ([RUNNING], LookUnanswered), ([], LookUnanswered)],
)
def test_of_an_answer_older_than_the_question_only_a_success_is_believed(transactions, heard):
    async def old(call):
        at = format_time(datetime.now(UTC) - timedelta(minutes=5))
        return signed_answer(call, listing(*transactions), time=at)

    assert said_of(told(old, "look_up", REFUND)) == heard


# --- AlipayCN: sending


def test_alipay_cn_gets_the_refund_under_its_own_out_request_no_with_the_same_bytes():
    bodies = set()
    for _ in range(2):
        answer = ok(fund_change="Y", refund_fee="20.05", gmt_refund_pay="2026-11-23 16:00:01")
        event, [asked] = cn.asking(script(refund=answer), "give_back", CN_REFUND)
        assert event == SendAnswered(
            RefundReport(outcome=Outcome.SUCCESS, code="SUCCESS", refunded_at=DONE_AT)
        ), "refund_fee is the sum of all refunds of the trade, not this one's amount"
        bodies.add(asked.biz_content)
    assert len(bodies) == 1
    assert asked.method == "alipay.trade.refund"
    assert asked.message == {
        "out_trade_no": OUT_TRADE_NO, "out_request_no": "ref_1", "refund_amount": "12.05",
        "refund_reason": "broken",
    }  # fmt: skip


@pytest.mark.parametrize(
    "answer",
    [ok(fund_change="N"), ok(), {"code": "20000"}, refused("ACQ.SYSTEM_ERROR"),
     refused("isv.app-call-limited", "40005"), {"code": "50000"}],
)  # fmt: skip
def test_an_answer_that_does_not_say_that_money_moved_is_undecided(answer):
    assert said_of(cn.told(script(refund=answer), "give_back", CN_REFUND)) == "U"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refused("ACQ.SELLER_BALANCE_NOT_ENOUGH"), "ACQ.SELLER_BALANCE_NOT_ENOUGH"),
        (refused("ACQ.TRADE_HAS_FINISHED"), "ACQ.TRADE_HAS_FINISHED"),
        (refused("ACQ.OF_NEXT_YEAR"), "ACQ.OF_NEXT_YEAR"),
        (refused("ACQ.DISCORDANT_REPEAT_REQUEST"), "REPEAT_REQ_INCONSISTENT"),
        (refused("isv.invalid-parameter", "40002"), "40002"),
        (refused("isv.invalid-signature", "40002"), "isv.invalid-signature"),
    ],
)
def test_a_refused_refund_keeps_its_code(answer, code):
    event = cn.told(script(refund=answer), "give_back", CN_REFUND)
    assert (event.report.outcome, event.report.code) == (Outcome.FAILURE, code)


def test_alipay_cns_unusable_answers_are_none():
    async def forged(asked):
        return signed(
            asked, ok(fund_change="Y", refund_status="REFUND_SUCCESS"), key=acquirer_key()
        )

    async def silent(asked):
        return None

    async def of_another(asked):
        other = ok(fund_change="Y") | {"out_trade_no": "pay_of_somebody_else"}
        return signed(asked, other, key=network_key())

    for answers in (forged, silent, of_another):
        assert isinstance(cn.told(answers, "give_back", CN_REFUND), SendUnanswered)
        assert isinstance(cn.told(answers, "look_up", CN_REFUND), LookUnanswered)


def test_alipay_cns_unsigned_refusal_of_our_keys_is_told_apart():
    async def refusal(asked):
        return unsigned(asked, refused("isv.invalid-signature", "40002"))

    event = cn.told(refusal, "give_back", CN_REFUND)
    assert event == SendRefusedUnsigned("isv.invalid-signature")


# --- AlipayCN: asking


def queried(**fields):
    return ok(out_request_no="ref_1", **fields)


def asked_cn(answer):
    return cn.asking(script(query=answer), "look_up", CN_REFUND)


def test_alipay_cn_is_asked_about_the_one_refund():
    answer = queried(
        refund_status="REFUND_SUCCESS", refund_amount="12.05", gmt_refund_pay="2026-11-23 16:00:01"
    )
    event, [asked] = asked_cn(answer)
    assert event == LookAnswered(
        RefundReport(
            outcome=Outcome.SUCCESS, code="SUCCESS", amount=CN_REFUND.amount, refunded_at=DONE_AT
        )
    )
    assert asked.method == "alipay.trade.fastpay.refund.query"
    assert asked.message == {
        "out_trade_no": OUT_TRADE_NO, "out_request_no": "ref_1",
        "query_options": ["gmt_refund_pay"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "heard"),
    [
        (queried(refund_status="REFUND_SUCCESS"), "S"),
        (queried(), LookFoundNothing),
        (ok(), LookFoundNothing),
        (refused("ACQ.TRADE_NOT_EXIST"), LookFoundNothing),
        (queried(refund_status="REFUND_PROCESSING"), "U"),
        (queried(refund_amount="12.05"), "U"),
        (queried(refund_status="REFUND_SUCCESS", refund_amount="much"), LookUnanswered),
        (ok(refund_status="REFUND_SUCCESS"), LookUnanswered),
        (ok(out_request_no="ref_2", refund_status="REFUND_SUCCESS"), LookUnanswered),
        (refused("ACQ.SYSTEM_ERROR"), LookUnanswered),
        ({"code": "20000"}, LookUnanswered),
        (refused("isv.app-call-limited", "40005"), LookUnanswered),
        (refused("ACQ.INVALID_PARAMETER"), LookRefused),
    ],
)
def test_what_alipay_cn_says_of_a_refund(answer, heard):
    assert said_of(asked_cn(answer)[0]) == heard

"""The biz_content of a pay, and how each answer of the open platform becomes a fact."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.alipaycn.side import (
    APP_ID,
    OUT_TRADE_NO,
    TRADE_NO,
    ScriptedPlatform,
    ok,
    paid,
    refused,
    script,
    signed,
    trade,
    unsigned,
)
from tests.support import acquirer_key, directory, http_answer, network_key, ring
from tillgate.clock import SystemClock
from tillgate.connectors import ConnectorSettings
from tillgate.connectors.kinds import build_connector
from tillgate.core.errors import ConfigError, InvalidAmount
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    PaymentRequestId,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.payment import open_payment
from tillgate.core.results import MEANINGS, Judges, Outcome

PLACED = datetime(2026, 11, 23, 7, 45, 50, tzinfo=UTC)
ORDER = Order(
    merchant_id="M00000000001",
    store_id="S0000000001",
    terminal_id="122222",
    merchant_order_id="102775745075669",
    description="Tea & cake",
    amount=Money("CNY", 8888),
    code_masked="280244***********01",
    connector="alipay_cn",
    rule="2",
    table="guide",
    placed_at=PLACED,
    expires_at=PLACED + timedelta(seconds=60),
)
KEY = PaymentRequestId(OUT_TRADE_NO)
PAYMENT = open_payment(KEY, ORDER, ALIPAY_CN).payment
CODE = "28024456785672301"


def settings(url="http://127.0.0.1:1", **options):
    return ConnectorSettings(
        name="alipay_cn",
        kind="alipay_cn",
        takes=("alipay_cn",),
        base_url=f"{url}/gateway.do",
        client_id=APP_ID,
        signing_key=acquirer_key(),
        network_keys=ring(network_key()),
        notify_url="http://us/notify/alipay_cn",
        options=options,
    )


def connector(url="http://127.0.0.1:1", **options):
    return build_connector(settings(url, **options), SystemClock())


def body(order=ORDER, **options):
    merchant = directory().merchants["M00000000001"]
    store = merchant.stores["S0000000001"]
    return connector(**options).build_pay(KEY, order, merchant, store, CODE)


def asking(script, method, argument, **options):
    """What the connector makes of scripted answers, and what it asked."""

    async def run():
        async with ScriptedPlatform(script).running() as platform:
            talks = connector(platform.url, **options)
            await talks.start()
            try:
                event = await getattr(talks, method)(argument)
            finally:
                await talks.close()
            return event, platform.calls

    return asyncio.run(run())


def told(script, method, argument, **options):
    return asking(script, method, argument, **options)[0]


def pay(answer, **options):
    return told(script(pay=answer), "pay", body(), **options)


# --- Pay


def test_the_biz_content_of_a_pay():
    assert json.loads(body()) == {
        "out_trade_no": OUT_TRADE_NO,
        "scene": "bar_code",
        "auth_code": CODE,
        "subject": "Tea cake",
        "total_amount": "88.88",
        "product_code": "FACE_TO_FACE_PAYMENT",
        "store_id": "S0000000001",
        "terminal_id": "122222",
        "timeout_express": "1m",
    }


def test_a_pay_sends_what_was_built_byte_for_byte_each_time():
    built = body()
    _, first = asking(script(pay=paid()), "pay", built)
    _, second = asking(script(pay=paid()), "pay", built)
    assert first[0].biz_content == second[0].biz_content == built


def test_options_name_the_seller_and_the_product():
    built = json.loads(body(seller_id="2088102146225135", product_code="OFFLINE_PAYMENT"))
    assert built["seller_id"] == "2088102146225135"
    assert built["product_code"] == "OFFLINE_PAYMENT"


@pytest.mark.parametrize(
    ("description", "subject"),
    [(None, "Order 102775745075669"), ("a/b=c&d\n", "a b c d"), ("/", "Order"),
     ("x" * 300, "x" * 256), ("茶", "茶")],
)  # fmt: skip
def test_a_subject_has_none_of_the_characters_that_it_must_not_have(description, subject):
    assert json.loads(body(replace(ORDER, description=description)))["subject"] == subject


def test_a_place_with_a_name_that_alipay_does_not_take_is_left_out():
    assert "terminal_id" not in json.loads(body(replace(ORDER, terminal_id="收银台")))


@pytest.mark.parametrize("amount", [Money("JPY", 100), Money("CNY", 10_000_000_001)])
def test_an_amount_that_it_cannot_take_is_refused_before_anything_exists(amount):
    with pytest.raises(InvalidAmount):
        body(replace(ORDER, amount=amount))


def test_10000_is_a_success_that_has_to_be_asked_about():
    report = pay(paid()).report
    assert (report.outcome, report.code, report.amount) == (Outcome.SUCCESS, "SUCCESS", None)
    assert report.receipt.payment_id == TRADE_NO
    assert report.receipt.wallet == "ALIPAY_CN"
    assert report.receipt.customer_id == "2088102122524333"
    assert report.receipt.paid_at == datetime(2026, 11, 23, 7, 45, 57, tzinfo=UTC)


def test_10000_is_believed_where_it_was_agreed_so():
    report = pay(paid(), ask_after_pay="false").report
    assert report.amount == Money("CNY", 8888)


@pytest.mark.parametrize("total", ["88.888", "-1", "", "0"])
def test_a_believed_success_whose_amount_cannot_be_read_is_no_answer(total):
    answer = paid() | {"total_amount": total}
    assert isinstance(pay(answer, ask_after_pay="false"), PayUnanswered)


@pytest.mark.parametrize(
    "answer",
    [paid() | {"out_trade_no": "pay_of_somebody_else"}, paid() | {"out_trade_no": None},
     refused("ACQ.PAYMENT_FAIL", out_trade_no="pay_of_somebody_else")],
)  # fmt: skip
def test_an_answer_about_another_trade_is_none(answer):
    assert isinstance(pay(answer), PayUnanswered)


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "10003", "msg": "order success pay inprocess", "out_trade_no": OUT_TRADE_NO},
        {"code": "20000", "msg": "Service Currently Unavailable"},
        refused("isp.unknow-error", "20000"),
        refused("aop.unknow-error", "20000"),
        refused("ACQ.SYSTEM_ERROR"),
        refused("AQC.SYSTEM_ERROR"),
        refused("aop.ACQ.SYSTEM_ERROR", "20000"),
        {"code": "50000", "msg": "of next year"},
    ],
)
def test_what_is_not_decided_is_asked_about_and_not_sent_again(answer):
    report = pay(answer).report
    assert (report.outcome, report.code) == (Outcome.UNKNOWN, "PAYMENT_IN_PROCESS")


def test_too_many_calls_is_a_pay_that_may_go_out_again():
    report = pay(refused("isv.app-call-limited", "40005")).report
    assert (report.outcome, report.code) == (Outcome.UNKNOWN, "40005")


def test_a_trade_that_is_paid_already_is_a_success_that_has_to_be_asked_about():
    report = pay(refused("ACQ.TRADE_HAS_SUCCESS")).report
    assert (report.outcome, report.amount) == (Outcome.SUCCESS, None)


@pytest.mark.parametrize(
    ("sub_code", "code"),
    [
        ("ACQ.CONTEXT_INCONSISTENT", "REPEAT_REQ_INCONSISTENT"),
        ("ACQ.TRADE_BUYER_NOT_MATCH", "REPEAT_REQ_INCONSISTENT"),
        ("ACQ.TRADE_HAS_CLOSE", "ORDER_IS_CLOSED"),
        ("ACQ.OF_NEXT_YEAR", "ACQ.OF_NEXT_YEAR"),
    ],
)
def test_a_refusal_is_said_in_the_cores_word_where_there_is_one(sub_code, code):
    report = pay(refused(sub_code)).report
    assert (report.outcome, report.code) == (Outcome.FAILURE, code)
    assert report.message == f"{sub_code}: x"


TRANSLATED = {"ACQ.TRADE_HAS_CLOSE", "ACQ.TRADE_HAS_SUCCESS", "ACQ.SYSTEM_ERROR"}


@pytest.mark.parametrize(
    "sub_code", sorted(c for c in MEANINGS if c.startswith("ACQ.") and c not in TRANSLATED)
)
def test_every_other_refusal_keeps_its_own_code(sub_code):
    report = pay(refused(sub_code)).report
    assert (report.outcome, report.code) == (Outcome.FAILURE, sub_code)


@pytest.mark.parametrize(
    ("code", "sub_code", "told_as"),
    [
        ("40002", "isv.invalid-signature", "isv.invalid-signature"),
        ("40002", "isv.of-next-year", "40002"),
        ("40001", "isv.missing-method", "40001"),
        ("40003", "isv.missing-signature-config", "isv.missing-signature-config"),
        ("40006", "isv.insufficient-isv-permissions", "isv.insufficient-isv-permissions"),
        ("20001", "aop.invalid-auth-token", "20001"),
    ],
)
def test_a_refusal_of_the_gateway_speaks_of_the_message_only(code, sub_code, told_as):
    report = pay(refused(sub_code, code)).report
    assert (report.outcome, report.code) == (Outcome.FAILURE, told_as)
    assert MEANINGS[told_as].judges is Judges.MESSAGE

    async def without_signature(asked):
        return unsigned(asked, refused(sub_code, code))

    assert told(without_signature, "pay", body()) == PayRefusedUnsigned(told_as)


@pytest.mark.parametrize(
    "answer", [paid(), refused("ACQ.PAYMENT_FAIL"), refused("isp.unknow-error", "20000")]
)
def test_any_other_unsigned_answer_is_none(answer):
    async def without_signature(asked):
        return unsigned(asked, answer)

    assert isinstance(told(without_signature, "pay", body()), PayUnanswered)


@pytest.mark.parametrize("answer", [None, http_answer(b"<html>", {}), http_answer(b"", {}, 504)])
@pytest.mark.parametrize(
    ("method", "fact"),
    [("pay", PayUnanswered), ("inquire", InquiryUnanswered), ("cancel", CancelUnanswered),
     ("refund", RefundUnanswered)],
)  # fmt: skip
def test_a_lost_reply_and_garbage_are_no_answer(answer, method, fact):
    async def silent(asked):
        return answer

    argument = body() if method == "pay" else PAYMENT
    assert isinstance(told(silent, method, argument), fact)


@pytest.mark.parametrize("method", ["inquire", "cancel", "refund"])
def test_an_answer_signed_by_somebody_else_is_none(method):
    async def forged(asked):
        said = ok(action="close", retry_flag="N", fund_change="Y", trade_status="TRADE_SUCCESS")
        return signed(asked, said, key=acquirer_key())

    assert "Unanswered" in type(told(forged, method, PAYMENT)).__name__


def test_without_a_connection_nothing_left():
    async def run():
        talks = connector()
        await talks.start()
        try:
            return await talks.pay(body())
        finally:
            await talks.close()

    assert isinstance(asyncio.run(run()), PayNeverLeft)


# --- Query


@pytest.mark.parametrize(
    ("status", "outcome", "code", "amount"),
    [
        ("TRADE_SUCCESS", "S", "SUCCESS", Money("CNY", 8888)),
        ("TRADE_FINISHED", "S", "SUCCESS", Money("CNY", 8888)),
        ("WAIT_BUYER_PAY", "U", "PAYMENT_IN_PROCESS", None),
        ("TRADE_CLOSED", "F", "ORDER_IS_CLOSED", None),
    ],
)
def test_a_trades_status_is_the_payments(status, outcome, code, amount):
    event = told(script(query=trade(status)), "inquire", PAYMENT)
    assert isinstance(event, InquiryAnswered)
    report = event.report
    assert (report.outcome, report.code, report.amount) == (outcome, code, amount)
    assert report.receipt.payment_id == TRADE_NO


def test_a_query_asks_by_our_id():
    _, [asked] = asking(script(query=trade("WAIT_BUYER_PAY")), "inquire", PAYMENT)
    assert asked.message == {"out_trade_no": OUT_TRADE_NO}


def test_a_success_without_an_amount_has_none():
    event = told(script(query=trade("TRADE_SUCCESS", total_amount=None)), "inquire", PAYMENT)
    assert event.report.amount is None


@pytest.mark.parametrize("sub_code", ["ACQ.TRADE_NOT_EXIST", "TRADE_NOT_EXIST"])
def test_no_such_trade_is_said_in_the_cores_word(sub_code):
    event = told(script(query=refused(sub_code)), "inquire", PAYMENT)
    assert event == InquiryRefused("ORDER_NOT_EXIST")


def test_a_refused_query_says_nothing_of_the_payment():
    event = told(script(query=refused("ACQ.INVALID_PARAMETER")), "inquire", PAYMENT)
    assert event == InquiryRefused("ACQ.INVALID_PARAMETER")


@pytest.mark.parametrize(
    "answer",
    [
        {"code": "20000"},
        refused("ACQ.SYSTEM_ERROR"),
        refused("isv.app-call-limited", "40005"),
        trade("OF_NEXT_YEAR"),
        trade("TRADE_SUCCESS", total_amount="1.001"),
        trade("TRADE_SUCCESS", out_trade_no="pay_of_somebody_else"),
        trade("TRADE_SUCCESS", out_trade_no=None),
        ok(),
    ],
)
def test_a_query_that_decides_nothing_is_unanswered(answer):
    assert isinstance(told(script(query=answer), "inquire", PAYMENT), InquiryUnanswered)


# --- Cancel


@pytest.mark.parametrize("action", ["close", "refund"])
def test_a_cancel_that_did_something_is_done(action):
    answer = ok(action=action, retry_flag="N", trade_no=TRADE_NO)
    event, asked = asking(script(cancel=answer), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome.SUCCESS, "SUCCESS")
    assert [call.message for call in asked] == [{"out_trade_no": OUT_TRADE_NO}]


@pytest.mark.parametrize(
    "answer",
    [
        ok(action="close", retry_flag="Y"),
        refused("ACQ.SYSTEM_ERROR", retry_flag="Y"),
        refused("AQC.SYSTEM_ERROR"),
        refused("ACQ.OF_NEXT_YEAR", retry_flag="Y"),
        {"code": "20000"},
        refused("isv.app-call-limited", "40005"),
    ],
)
def test_a_cancel_to_be_sent_again_is_undecided(answer):
    event, asked = asking(script(cancel=answer), "cancel", PAYMENT)
    assert event.outcome is Outcome.UNKNOWN
    assert len(asked) == 1


LEFT_OPEN = [
    ok(retry_flag="N"),
    ok(action="", retry_flag="N"),
    ok(action="of_next_year", retry_flag="N"),
    *(
        refused(f"ACQ.{code}", retry_flag="N")
        for code in (
            "CANCEL_NOT_ALLOWED",
            "REASON_TRADE_REFUND_FEE_ERR",
            "TRADE_HAS_CLOSE",
            "TRADE_HAS_FINISHED",
            "TRADE_HAS_SUCCESS",
            "TRADE_STATUS_ERROR",
        )
    ),
]


@pytest.mark.parametrize("answer", LEFT_OPEN)
@pytest.mark.parametrize(
    ("query", "outcome", "code"),
    [
        (trade("TRADE_CLOSED"), "S", "SUCCESS"),
        (trade("TRADE_SUCCESS"), "F", "CANCEL_WINDOW_EXCEED"),
        (trade("TRADE_FINISHED"), "F", "CANCEL_WINDOW_EXCEED"),
        (refused("ACQ.TRADE_NOT_EXIST"), "F", "ORDER_NOT_EXIST"),
        (trade("WAIT_BUYER_PAY"), "U", None),
        (trade("OF_NEXT_YEAR"), "U", None),
        (refused("ACQ.SYSTEM_ERROR"), "U", None),
        (None, "U", None),
    ],
)
def test_what_a_cancel_leaves_open_the_query_settles(answer, query, outcome, code):
    event, asked = asking(script(cancel=answer, query=query), "cancel", PAYMENT)
    assert event.outcome == outcome
    assert code in (None, event.code)
    assert [call.method for call in asked] == ["alipay.trade.cancel", "alipay.trade.query"]


@pytest.mark.parametrize("retry_flag", ["N", "Y"])
def test_a_cancel_that_comes_too_late_leads_to_a_refund(retry_flag):
    answer = refused("ACQ.TRADE_CANCEL_TIME_OUT", retry_flag=retry_flag)
    event = told(script(cancel=answer), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome.FAILURE, "CANCEL_WINDOW_EXCEED")


def test_no_such_trade_to_cancel():
    event = told(script(cancel=refused("ACQ.TRADE_NOT_EXIST")), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST")


@pytest.mark.parametrize("retry_flag", ["N", "Y"])
@pytest.mark.parametrize("code", ["SELLER_BALANCE_NOT_ENOUGH", "REASON_TRADE_BEEN_FREEZEN"])
def test_what_needs_people_is_a_refusal_whatever_the_flag_says(code, retry_flag):
    answer = refused(f"ACQ.{code}", retry_flag=retry_flag)
    event = told(script(cancel=answer), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome.FAILURE, f"ACQ.{code}")


def test_any_other_refusal_of_a_cancel_keeps_its_code():
    event = told(script(cancel=refused("ACQ.INVALID_PARAMETER")), "cancel", PAYMENT)
    assert event == CancelAnswered(Outcome.FAILURE, "ACQ.INVALID_PARAMETER")


@pytest.mark.parametrize("name", ["pay_of_somebody_else", None])
def test_a_cancel_of_another_trade_is_no_answer(name):
    answer = ok(action="close", retry_flag="N") | {"out_trade_no": name}
    assert isinstance(told(script(cancel=answer), "cancel", PAYMENT), CancelUnanswered)


# --- Refund


def test_a_refund_in_full_under_the_derived_id():
    answer = ok(fund_change="Y", refund_fee="88.88", trade_no=TRADE_NO)
    event, [asked] = asking(script(refund=answer), "refund", PAYMENT)
    assert event == RefundAnswered(Outcome.SUCCESS, "SUCCESS")
    assert asked.message == {
        "out_trade_no": OUT_TRADE_NO,
        "out_request_no": "rev_01JDSANDBOX0000000000000001",
        "refund_amount": "88.88",
        "refund_reason": "The payment was closed",
    }


@pytest.mark.parametrize(
    "answer",
    [ok(fund_change="N"), ok(), ok(fund_change="Y", refund_fee="10.00"),
     ok(fund_change="Y", refund_fee="much")],
)  # fmt: skip
@pytest.mark.parametrize(
    ("query", "outcome"),
    [(trade("TRADE_CLOSED"), "S"), (trade("TRADE_SUCCESS"), "U"), (None, "U"),
     (refused("ACQ.SYSTEM_ERROR"), "U")],
)  # fmt: skip
def test_a_refund_that_does_not_say_that_money_moved_is_settled_by_the_query(
    answer, query, outcome
):
    event = told(script(refund=answer, query=query), "refund", PAYMENT)
    assert event == RefundAnswered(Outcome(outcome), "SUCCESS")


def test_a_refund_without_a_sum_is_done_when_money_moved():
    event = told(script(refund=ok(fund_change="Y")), "refund", PAYMENT)
    assert event == RefundAnswered(Outcome.SUCCESS, "SUCCESS")


def test_a_refund_that_a_garbled_query_does_not_settle_is_sent_again():
    answers = script(refund=ok(fund_change="N"), query=trade("OF_NEXT_YEAR"))
    assert told(answers, "refund", PAYMENT).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "answer",
    [{"code": "20000"}, refused("ACQ.SYSTEM_ERROR"), refused("isv.app-call-limited", "40005")],
)
def test_an_undecided_refund_is_sent_again(answer):
    assert told(script(refund=answer), "refund", PAYMENT).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "code",
    ["SELLER_BALANCE_NOT_ENOUGH", "REASON_TRADE_REFUND_FEE_ERR", "REASON_TRADE_BEEN_FREEZEN",
     "TRADE_HAS_CLOSE", "TRADE_HAS_FINISHED", "TRADE_NOT_EXIST", "TRADE_STATUS_ERROR",
     "DISCORDANT_REPEAT_REQUEST", "REFUND_AMT_NOT_EQUAL_TOTAL", "TRADE_NOT_ALLOW_REFUND"],
)  # fmt: skip
def test_a_refused_refund_keeps_its_code(code):
    event = told(script(refund=refused(f"ACQ.{code}")), "refund", PAYMENT)
    assert event == RefundAnswered(Outcome.FAILURE, f"ACQ.{code}")


def test_a_refund_of_another_trade_is_no_answer():
    answer = ok(fund_change="Y") | {"out_trade_no": "pay_of_somebody_else"}
    assert isinstance(told(script(refund=answer), "refund", PAYMENT), RefundUnanswered)


# --- Settings


def test_wrong_options_are_told_together():
    wrong = settings(seller_id="me", product_code="QR_CODE_OFFLINE", ask_after_pay="maybe")
    with pytest.raises(ConfigError) as told_of:
        build_connector(replace(wrong, base_url="http://127.0.0.1:1"), SystemClock())
    assert [problem.partition(":")[0] for problem in told_of.value.problems] == [
        "product_code",
        "seller_id",
        "ask_after_pay",
        "base_url",
    ]


def test_its_policy_is_its_own():
    assert connector().policy is ALIPAY_CN
    assert ALIPAY_CN.paid_is_refunded
    assert isinstance(pay(paid()), PayAnswered)

"""What AlipayCN's answers make of a customer's money: the connector over HTTP, the real core behind
it, and a clock that jumps. Nobody is charged twice, and nobody for nothing.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from tests.alipaycn.side import ScriptedPlatform, ok, paid, refused, script, trade
from tests.connectors.test_alipay_cn import KEY, ORDER, PLACED, body, connector
from tillgate.core.model import (
    CancelRequested,
    Notified,
    Receipt,
    Report,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    TimerDue,
)
from tillgate.core.money import Money
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.payment import open_payment, step
from tillgate.core.results import Outcome

STEPS_MAX = 200
SUCCESS = Report(
    outcome=Outcome.SUCCESS,
    code="SUCCESS",
    amount=Money("CNY", 8888),
    receipt=Receipt(payment_id="2026112322001448930501179305"),
)


async def _perform(talks, effect, payment):
    match effect:
        case SendPay():
            return await talks.pay(body())
        case SendInquiry():
            return await talks.inquire(payment)
        case SendCancel():
            return await talks.cancel(payment)
        case SendRefund():
            return await talks.refund(payment)


def lived(facts=(), seconds=90, **answers):
    """The payment after so many seconds, and the methods that were called, in order.

    Args:
        facts: what comes from elsewhere, as (seconds since placing, event).
        seconds: how long it is followed; each call takes no time.
        answers: by method, as `script` takes them.
    """

    async def run():
        async with ScriptedPlatform(script(**answers)).running() as platform:
            talks = connector(platform.url)
            await talks.start()
            taken = open_payment(KEY, ORDER, ALIPAY_CN)
            now, waiting = PLACED, [(PLACED + timedelta(seconds=s), fact) for s, fact in facts]
            for _ in range(STEPS_MAX):
                event, payment = None, taken.payment
                for effect in taken.effects:
                    event = event or await _perform(talks, effect, payment)
                if event is None:
                    timer = payment.next_action_at
                    if waiting and (timer is None or waiting[0][0] <= timer):
                        now, event = waiting.pop(0)
                    elif timer is not None and timer <= PLACED + timedelta(seconds=seconds):
                        now, event = timer, TimerDue()
                    else:
                        break
                taken = step(payment, event, now, ALIPAY_CN)
            else:
                raise AssertionError("it never rests")
            await talks.close()
            return taken.payment, platform.calls

    payment, calls = asyncio.run(run())
    return payment, [call.method.rpartition(".")[2] for call in calls], calls


MISSING = refused("ACQ.TRADE_NOT_EXIST")
REFUNDED = ok(fund_change="Y", refund_fee="88.88")
CLOSED = ok(action="close", retry_flag="N")
GIVEN_BACK = ok(action="refund", retry_flag="N")
NO_ACTION = ok(retry_flag="N")
TILL = CancelRequested("till")


def test_a_pay_answered_10000_is_paid_once_the_query_says_so():
    payment, methods, _ = lived(pay=paid(), query=trade("TRADE_SUCCESS"))
    assert (payment.status, methods) == (Status.SUCCEEDED, ["pay", "query"])


def test_a_debit_that_was_rolled_back_is_never_shown_as_paid():
    payment, methods, _ = lived(pay=paid(), query=trade("TRADE_CLOSED"), cancel=NO_ACTION)
    assert payment.status is Status.CANCELLED
    assert "refund" not in methods


def test_another_amount_than_was_asked_for_goes_back():
    wrong = trade("TRADE_SUCCESS", total_amount="0.01")
    payment, methods, _ = lived(
        pay=paid(), query=[wrong, wrong, trade("TRADE_CLOSED")], cancel=GIVEN_BACK
    )
    assert (payment.status, payment.was_reported_paid) == (Status.CANCELLED, True)
    assert "refund" not in methods, "nobody knows how much to refund"


def test_a_customer_who_confirms_late_pays_once():
    waits = [trade("WAIT_BUYER_PAY")] * 4 + [trade("TRADE_SUCCESS")]
    payment, methods, _ = lived(pay={"code": "10003"}, query=waits)
    assert (payment.status, methods) == (Status.SUCCEEDED, ["pay", *["query"] * 5])


def test_a_customer_who_never_confirms_is_closed_out_right_after_the_last_question():
    payment, methods, _ = lived(
        pay={"code": "10003"}, query=trade("WAIT_BUYER_PAY"), cancel=CLOSED, seconds=61
    )
    assert payment.status is Status.CANCELLED
    assert methods == ["pay", *["query"] * 20, "cancel"]


def test_an_undecided_pay_is_asked_about_before_anything_else():
    payment, methods, _ = lived(pay={"code": "20000"}, query=trade("TRADE_SUCCESS"))
    assert (payment.status, methods) == (Status.SUCCEEDED, ["pay", "query"])


def test_a_pay_whose_answer_was_lost_and_that_is_repeated_is_paid_once():
    payment, methods, calls = lived(
        pay=[None, refused("ACQ.TRADE_HAS_SUCCESS")], query=trade("TRADE_SUCCESS")
    )
    assert (payment.status, methods) == (Status.SUCCEEDED, ["pay", "pay", "query"])
    assert calls[0].biz_content == calls[1].biz_content


def test_a_repeat_that_is_refused_for_the_code_it_used_itself_does_not_fail_the_payment():
    payment, methods, _ = lived(
        pay=[None, refused("ACQ.PAYMENT_AUTH_CODE_INVALID")], query=trade("TRADE_SUCCESS")
    )
    assert (payment.status, methods) == (Status.SUCCEEDED, ["pay", "pay", "query"])


def test_something_of_ours_with_other_content_is_never_sent_again_and_closed_in_the_end():
    payment, methods, _ = lived(
        pay=refused("ACQ.CONTEXT_INCONSISTENT"),
        query=trade("WAIT_BUYER_PAY"),
        cancel=CLOSED,
        seconds=61,
    )
    assert (payment.status, methods.count("pay")) == (Status.CANCELLED, 1)


def test_a_refusal_fails_the_first_send():
    payment, methods, _ = lived(pay=refused("ACQ.BUYER_BALANCE_NOT_ENOUGH"))
    assert (payment.status, payment.result_code) == (
        Status.FAILED,
        "ACQ.BUYER_BALANCE_NOT_ENOUGH",
    )
    assert methods == ["pay"]


def test_a_success_after_a_refusal_is_refunded():
    payment, methods, _ = lived(
        [(5, Notified(SUCCESS))], pay=refused("ACQ.PAYMENT_FAIL"), refund=REFUNDED
    )
    assert (payment.status, payment.was_refunded_there) == (Status.CANCELLED, True)
    assert methods == ["pay", "refund"]


def test_a_paid_trade_that_the_till_cancels_is_refunded_and_not_cancelled():
    payment, methods, _ = lived(
        [(5, TILL)], pay=paid(), query=trade("TRADE_SUCCESS"), refund=REFUNDED
    )
    assert (payment.status, methods) == (Status.CANCELLED, ["pay", "query", "refund"])


def test_a_refund_whose_answer_was_lost_is_the_same_refund_again():
    payment, methods, calls = lived(
        [(5, TILL)],
        pay=paid(),
        query=[trade("TRADE_SUCCESS"), trade("TRADE_CLOSED")],
        refund=[None, ok(fund_change="N", refund_fee="88.88")],
    )
    assert (payment.status, payment.was_refunded_there) == (Status.CANCELLED, True)
    assert methods == ["pay", "query", "refund", "refund", "query"]
    assert calls[2].biz_content == calls[3].biz_content


def test_an_empty_account_is_tried_again_until_somebody_filled_it():
    short = refused("ACQ.SELLER_BALANCE_NOT_ENOUGH")
    payment, methods, calls = lived(
        [(5, TILL)], pay=paid(), query=trade("TRADE_SUCCESS"), refund=[short, short, REFUNDED]
    )
    assert payment.status is Status.CANCELLED
    refunds = {call.biz_content for call in calls if call.method.endswith("refund")}
    assert methods.count("refund") == 3
    assert len(refunds) == 1


def test_what_was_refunded_already_ends_by_the_query_and_is_not_refunded_twice():
    payment, methods, _ = lived(
        [(5, TILL)],
        pay=paid(),
        query=[trade("TRADE_SUCCESS"), trade("TRADE_CLOSED")],
        refund=refused("ACQ.REASON_TRADE_REFUND_FEE_ERR"),
    )
    assert (payment.status, methods.count("refund")) == (Status.CANCELLED, 1)


def test_a_cancel_without_action_proves_nothing_while_a_pay_may_be_on_its_way():
    payment, methods, _ = lived(
        [(2, TILL)], pay={"code": "20000"}, query=MISSING, cancel=NO_ACTION, seconds=72
    )
    assert payment.status is Status.CANCELLING
    assert methods.count("cancel") > 3


def test_a_cancel_without_action_ends_it_when_no_pay_can_be_on_its_way_any_more():
    payment, _, _ = lived([(2, TILL)], pay={"code": "20000"}, query=MISSING, cancel=NO_ACTION)
    assert payment.status is Status.CANCELLED


def test_a_pay_that_arrives_between_cancels_without_action_is_refunded():
    payment, methods, _ = lived(
        [(2, TILL)],
        pay={"code": "20000"},
        query=[MISSING, MISSING, trade("TRADE_SUCCESS")],
        cancel=NO_ACTION,
        refund=REFUNDED,
    )
    assert (payment.status, payment.was_refunded_there) == (Status.CANCELLED, True)
    assert methods[-2:] == ["query", "refund"]


def test_a_cancel_that_is_to_be_repeated_is_repeated_until_it_did_something():
    again = refused("ACQ.SYSTEM_ERROR", retry_flag="Y")
    payment, methods, _ = lived(
        [(2, TILL)],
        pay={"code": "10003"},
        query=trade("TRADE_CLOSED"),
        cancel=[again, ok(retry_flag="Y", action="close"), CLOSED],
    )
    assert (payment.status, methods.count("cancel")) == (Status.CANCELLED, 3)


def test_a_cancel_that_comes_too_late_is_followed_by_a_refund_of_what_is_paid():
    payment, methods, _ = lived(
        [(2, TILL)],
        pay={"code": "10003"},
        query=trade("TRADE_SUCCESS"),
        cancel=refused("ACQ.TRADE_CANCEL_TIME_OUT"),
        refund=REFUNDED,
    )
    assert payment.status is Status.CANCELLED
    assert methods == ["pay", "cancel", "query", "refund"]


def test_a_cancel_that_comes_too_late_for_what_is_closed_ends_without_a_refund():
    payment, methods, _ = lived(
        [(2, TILL)],
        pay={"code": "10003"},
        query=trade("TRADE_CLOSED"),
        cancel=refused("ACQ.TRADE_CANCEL_TIME_OUT"),
    )
    assert (payment.status, "refund" in methods) == (Status.CANCELLED, False)


def test_a_trade_too_old_to_be_given_back_is_left_to_a_person():
    payment, _, _ = lived(
        [(2, TILL)],
        seconds=1_000,
        pay={"code": "10003"},
        query=trade("TRADE_FINISHED"),
        cancel=refused("ACQ.TRADE_HAS_FINISHED"),
        refund=refused("ACQ.TRADE_HAS_FINISHED"),
    )
    assert payment.status is Status.UNRESOLVED

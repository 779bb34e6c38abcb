"""What the open platform does with a message, at given times, with the ledger as the truth."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.sandbox.side import NOW, WALLETS, at, seeded
from tillgate.alipaycn.messages import RefundNamed, TradeNamed
from tillgate.core.codes import CodeKind
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import Network
from tillgate.sandbox.open_platform import LooseTradePay, LooseTradeRefund, OpenPlatform

APP = "2021000000000001"
WAITS, POOR = "alipay_cn_fang", "alipay_cn_qiang"


class Desk:
    """A platform with somebody who pays on it."""

    def __init__(self):
        network = Network(WALLETS, seeded(), Exchanges(), name="alipay_cn", serves="alipay_cn")
        self.network, self.platform = network, OpenPlatform(network)

    def code(self, customer="alipay_cn_wei", now=NOW):
        who = WALLETS.customer(customer)
        wallet = WALLETS.wallet(who.wallet_id)
        return self.network.codes.issue(who, wallet, CodeKind.ALIPAY_CN_HK, now).code

    def pay(self, code=None, now=NOW, **changes):
        fields = {"out_trade_no": "pay_1", "scene": "bar_code", "subject": "Tea",
                  "total_amount": "88.88", "auth_code": code or self.code(now=now)}  # fmt: skip
        return self.platform.pay(APP, LooseTradePay(**(fields | changes)), None, now)

    def query(self, now=NOW, **named):
        return self.platform.query(APP, self.named(named), now)

    def cancel(self, now=NOW, **named):
        return self.platform.cancel(APP, self.named(named), now)

    def refund(self, amount="88.88", id_="rev_1", now=NOW, **named):
        asked = LooseTradeRefund(
            refund_amount=amount, out_request_no=id_, **(named or {"out_trade_no": "pay_1"})
        )
        return self.platform.refund(APP, asked, now)

    def refund_query(self, id_="rev_1", now=NOW, **named):
        asked = RefundNamed(out_request_no=id_, **(named or {"out_trade_no": "pay_1"}))
        return self.platform.refund_query(APP, asked, now)

    @staticmethod
    def named(named):
        return TradeNamed(**(named or {"out_trade_no": "pay_1"}))

    def net(self):
        """What the customer paid and did not get back, of everything."""
        latest = self.network.orders.latest(9)
        return sum(self.network.ledger.net_debit(p.payment_id) for p in latest)


@pytest.fixture
def desk():
    return Desk()


def reason(answer):
    return answer.code, answer.sub_code


def test_a_pay_takes_the_money_and_says_so(desk):
    answer = desk.pay()
    assert (answer.code, answer.total_amount, answer.out_trade_no) == ("10000", "88.88", "pay_1")
    assert answer.gmt_payment == "2026-01-31 20:00:00"
    queried = desk.query()
    assert (queried.trade_status, queried.total_amount) == ("TRADE_SUCCESS", "88.88")
    assert queried.trade_no == answer.trade_no
    assert desk.net() == 8888


def test_a_trade_is_found_by_either_name(desk):
    trade_no = desk.pay().trade_no
    assert desk.query(trade_no=trade_no).out_trade_no == "pay_1"


def test_a_repeated_pay_is_refused_since_it_is_paid(desk):
    code = desk.code()
    desk.pay(code)
    assert reason(desk.pay(code)) == ("40004", "ACQ.TRADE_HAS_SUCCESS")
    assert desk.net() == 8888


def test_the_same_number_with_another_amount_is_refused(desk):
    desk.pay()
    assert reason(desk.pay(total_amount="1.00")) == ("40004", "ACQ.CONTEXT_INCONSISTENT")


@pytest.mark.parametrize("amount", [88, 88.88, "88.8", "88.80", "88"])
def test_an_amount_may_be_text_or_number(desk, amount):
    assert desk.pay(total_amount=amount).code == "10000"


@pytest.mark.parametrize(
    "change",
    [{"total_amount": "0"}, {"total_amount": 0.1 + 0.2}, {"total_amount": "1,000.00"},
     {"scene": "wave_code"}, {"auth_code": "abc"}, {"subject": "a=b"}, {"subject": ""},
     {"subject": "x" * 257}, {"out_trade_no": "pay-1"}, {"timeout_express": "1.5h"}],
)  # fmt: skip
def test_what_the_page_does_not_allow_is_an_invalid_parameter(desk, change):
    assert reason(desk.pay(**change)) == ("40004", "ACQ.INVALID_PARAMETER")


def test_a_customer_who_has_to_confirm_is_waited_for(desk):
    assert desk.pay(desk.code(WAITS)).code == "10003"
    assert desk.query().trade_status == "WAIT_BUYER_PAY"
    desk.network.confirm("pay_1", at(5))
    assert desk.query(at(6)).trade_status == "TRADE_SUCCESS"


def test_a_pay_is_asked_for_again_while_the_customer_has_to_confirm(desk):
    code = desk.code(WAITS)
    assert [desk.pay(code).code, desk.pay(code).code] == ["10003", "10003"]


def test_a_customer_who_declines_leaves_it_closed(desk):
    desk.pay(desk.code(WAITS))
    desk.network.decline("pay_1", at(5))
    assert desk.query(at(6)).trade_status == "TRADE_CLOSED"
    assert desk.net() == 0


def test_what_nobody_paid_closes_itself_after_a_minute(desk):
    code = desk.code(WAITS)
    desk.pay(code, timeout_express="1m")
    assert desk.query(at(60)).trade_status == "TRADE_CLOSED"
    assert reason(desk.pay(code, now=at(61))) == ("40004", "ACQ.TRADE_HAS_CLOSE")


def test_a_code_that_is_no_good_makes_no_trade(desk):
    assert reason(desk.pay("28024456785672301")) == ("40004", "ACQ.PAYMENT_AUTH_CODE_INVALID")
    assert reason(desk.query()) == ("40004", "ACQ.TRADE_NOT_EXIST")
    assert desk.cancel().action is None


def test_an_expired_code_is_refused(desk):
    code = desk.code()
    assert reason(desk.pay(code, now=at(60))) == ("40004", "ACQ.PAYMENT_AUTH_CODE_INVALID")


def test_another_wallets_code_is_refused(desk):
    customer = WALLETS.customer("alipay_hk_kaming")
    wallet = WALLETS.wallet("alipay_hk")
    code = desk.network.codes.issue(customer, wallet, CodeKind.ALIPAY_CN_HK, NOW).code
    assert reason(desk.pay(code)) == ("40004", "ACQ.PAYMENT_AUTH_CODE_INVALID")


def test_a_balance_that_is_too_low_is_told(desk):
    answer = desk.pay(desk.code(POOR), total_amount="100000.00")
    assert reason(answer) == ("40004", "ACQ.BUYER_BALANCE_NOT_ENOUGH")
    assert desk.query().trade_status == "TRADE_CLOSED"


# --- Cancel


def test_a_cancel_of_what_never_came_has_no_action_and_forgets_it(desk):
    answer = desk.cancel()
    assert (answer.code, answer.action, answer.retry_flag) == ("10000", None, "N")
    assert answer.out_trade_no == "pay_1"
    assert desk.pay().code == "10000", "a pay that was still on its way is taken"


def test_a_cancel_by_a_name_that_alipay_never_gave_is_refused(desk):
    assert reason(desk.cancel(trade_no="1")) == ("40004", "ACQ.TRADE_NOT_EXIST")


def test_a_cancel_closes_what_waits(desk):
    desk.pay(desk.code(WAITS))
    assert desk.cancel().action == "close"
    assert desk.query().trade_status == "TRADE_CLOSED"


def test_a_cancel_gives_back_what_was_paid(desk):
    desk.pay()
    assert desk.cancel().action == "refund"
    assert desk.query().trade_status == "TRADE_CLOSED"
    assert desk.cancel().action == "refund", "and again says the same"
    assert desk.net() == 0


def test_a_cancel_after_its_day_comes_too_late(desk):
    desk.pay()
    tomorrow = at(0) + timedelta(days=1)
    assert reason(desk.cancel(tomorrow)) == ("40004", "ACQ.TRADE_CANCEL_TIME_OUT")
    assert desk.net() == 8888


def test_what_was_refunded_is_not_cancelled(desk):
    desk.pay()
    desk.refund("10.00")
    assert reason(desk.cancel()) == ("40004", "ACQ.REASON_TRADE_REFUND_FEE_ERR")


# --- Refund


def test_a_refund_in_full_closes_the_trade(desk):
    desk.pay()
    answer = desk.refund()
    assert (answer.code, answer.fund_change, answer.refund_fee) == ("10000", "Y", "88.88")
    assert desk.query().trade_status == "TRADE_CLOSED"
    assert desk.net() == 0


def test_a_repeated_refund_changes_nothing(desk):
    desk.pay()
    desk.refund()
    assert desk.refund().fund_change == "N"
    assert desk.net() == 0


def test_a_refund_in_part_leaves_the_trade_paid(desk):
    desk.pay()
    first, second = desk.refund("30.00", "a"), desk.refund("58.88", "b")
    assert (first.refund_fee, second.refund_fee) == ("30.00", "88.88")
    assert desk.query().trade_status == "TRADE_CLOSED"


def test_a_refund_is_found_by_its_own_number_and_says_its_own_amount(desk):
    desk.pay()
    desk.refund("30.00", "a")
    desk.refund("20.00", "b")
    for id_, amount in (("a", "30.00"), ("b", "20.00")):
        answer = desk.refund_query(id_)
        assert (answer.code, answer.refund_status) == ("10000", "REFUND_SUCCESS")
        assert (answer.out_request_no, answer.refund_amount) == (id_, amount)


def test_a_refund_that_was_not_done_has_no_status(desk):
    desk.pay()
    desk.refund("88.89", "too much")
    for id_ in ("too much", "nobody's"):
        answer = desk.refund_query(id_)
        assert (answer.code, answer.refund_status, answer.refund_amount) == ("10000", None, None)
    missing = desk.refund_query("a", out_trade_no="pay_2")
    assert reason(missing) == ("40004", "ACQ.TRADE_NOT_EXIST")


def test_the_same_refund_with_another_amount_is_refused(desk):
    desk.pay()
    desk.refund("30.00")
    assert reason(desk.refund("31.00")) == ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST")


@pytest.mark.parametrize(
    ("first", "second", "code"),
    [
        (None, "88.89", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
        ("30.00", "58.89", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
        ("88.88", "0.01", "ACQ.REASON_TRADE_REFUND_FEE_ERR"),
        (None, "0.001", "ACQ.INVALID_PARAMETER"),
    ],
)
def test_never_more_is_refunded_than_was_paid(desk, first, second, code):
    desk.pay()
    if first:
        desk.refund(first, "first")
    assert reason(desk.refund(second, "second")) == ("40004", code)
    assert desk.net() >= 0


def test_only_a_paid_trade_is_refunded(desk):
    assert reason(desk.refund()) == ("40004", "ACQ.TRADE_NOT_EXIST")
    desk.pay(desk.code(WAITS))
    assert reason(desk.refund()) == ("40004", "ACQ.TRADE_STATUS_ERROR")
    desk.cancel()
    assert reason(desk.refund()) == ("40004", "ACQ.TRADE_HAS_CLOSE")


def test_a_trade_after_a_year_is_finished(desk):
    desk.pay()
    late = at(0) + timedelta(days=365)
    assert desk.query(late).trade_status == "TRADE_FINISHED"
    assert reason(desk.refund(now=late)) == ("40004", "ACQ.TRADE_HAS_FINISHED")

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.results import (
    MEANINGS,
    UNSIGNED_REFUSALS,
    Judges,
    Meaning,
    NextStep,
    Outcome,
    meaning_of,
)

# Result codes of the Alipay+ pay API, user-presented mode (alipayplus-api section 2.4), with the
# status each comes with, and the codes that only an inquiry, a cancel or a refund answers.
STATUS_OF_CODE = {
    "S": "SUCCESS",
    "F": "ACCESS_DENIED BUSINESS_NOT_SUPPORT CURRENCY_NOT_SUPPORT CURRENCY_NOT_SUPPORTED"
    " EXPIRED_CODE INVALID_CLIENT INVALID_CODE INVALID_CONTRACT INVALID_SIGNATURE INVALID_TOKEN"
    " KEY_NOT_FOUND MEDIA_TYPE_NOT_ACCEPTABLE MERCHANT_NOT_REGISTERED METHOD_NOT_SUPPORTED"
    " NO_INTERFACE_DEF ORDER_IS_CLOSED PARAM_ILLEGAL PAYMENT_AMOUNT_EXCEED_LIMIT"
    " PAYMENT_COUNT_EXCEED_LIMIT PROCESS_FAIL REGULATION_RESTRICTION REPEAT_REQ_INCONSISTENT"
    " RISK_REJECT UNAVAILABLE_PAYMENT_METHOD USER_AMOUNT_EXCEED_LIMIT USER_BALANCE_NOT_ENOUGH"
    " USER_KYC_NOT_QUALIFIED USER_NOT_EXIST USER_PAYMENT_VERIFICATION_FAILED USER_STATUS_ABNORMAL"
    " ORDER_NOT_EXIST CANCEL_WINDOW_EXCEED"
    " REFUND_AMOUNT_EXCEED REFUND_WINDOW_EXCEED MERCHANT_BALANCE_NOT_ENOUGH ORDER_IS_CANCELED"
    " MULTIPLE_REFUNDS_NOT_SUPPORTED ORDER_STATUS_INVALID",
    "U": "PAYMENT_IN_PROCESS REQUEST_TRAFFIC_EXCEED_LIMIT UNKNOWN_EXCEPTION",
}
# AlipayCN's business error codes (alipay.trade.pay, cancel, refund) and its gateway's, by what the
# remedy on the page asks for.
CN_NEW_CODE = {"PAYMENT_AUTH_CODE_INVALID", "PAYMENT_FAIL", "PULL_MOBILE_CASHIER_FAIL"}
CN_OTHER_METHOD = set(
    [
        "BUYER_BALANCE_NOT_ENOUGH",
        "BUYER_BANKCARD_BALANCE_NOT_ENOUGH",
        "BUYER_ENABLE_STATUS_FORBID",
        "BUYER_NOT_EXIST",
        "BUYER_NOT_MAINLAND_CERT",
        "BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR",
        "BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR",
        "BUYER_SELLER_EQUAL",
        "ERROR_BALANCE_PAYMENT_DISABLE",
        "ERROR_BUYER_CERTIFY_LEVEL_LIMIT",
        "MOBILE_PAYMENT_SWITCH_OFF",
        "NO_PAYMENT_INSTRUMENTS_AVAILABLE",
        "NOT_CERTIFIED_USER",
        "NOT_SUPPORT_PAYMENT_INST",
        "PAYMENT_REQUEST_HAS_RISK",
        "RESTRICTED_MERCHANT_INDUSTRY",
        "TOTAL_FEE_EXCEED",
        "USER_FACE_PAYMENT_SWITCH_OFF",
        "USER_LOGONID_DUP",
    ]
)
CN_SUPPORT = set(
    [
        "AMOUNT_OR_CURRENCY_ERROR",
        "BEYOND_PAY_RESTRICTION",
        "BEYOND_PER_RECEIPT_DAY_RESTRICTION",
        "BEYOND_PER_RECEIPT_RESTRICTION",
        "BEYOND_PER_RECEIPT_SINGLE_RESTRICTION",
        "CURRENCY_NOT_SUPPORT",
        "INVALID_RECEIVE_ACCOUNT",
        "MERCHANT_AGREEMENT_INVALID",
        "MERCHANT_AGREEMENT_NOT_EXIST",
        "MERCHANT_PERM_RECEIPT_DAY_LIMIT",
        "MERCHANT_PERM_RECEIPT_SINGLE_LIMIT",
        "MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT",
        "MERCHANT_STATUS_NOT_NORMAL",
        "PRODUCT_AMOUNT_LIMIT_ERROR",
        "SELLER_BEEN_BLOCKED",
        "SELLER_NOT_EXIST",
        "UN_SUPPORT_TRADE_SCENE",
    ]
)
CN_MESSAGE = {
    *(
        f"ACQ.{code}"
        for code in [
            "ACCESS_FORBIDDEN",
            "AUTH_TOKEN_IS_NOT_EXIST",
            "EXIST_FORBIDDEN_WORD",
            "INVALID_PARAMETER",
            "INVALID_STORE_ID",
            "NOW_TIME_AFTER_EXPIRE_TIME_ERROR",
            "PARTNER_ERROR",
        ]
    ),
    *(
        f"isv.{code}"
        for code in [
            "insufficient-isv-permissions",
            "invalid-app-id",
            "invalid-signature",
            "missing-signature-config",
        ]
    ),
    *["20001", "40001", "40002", "40003", "40006"],
}
CN_LEFT_OPEN = {
    f"ACQ.{code}"
    for code in [
        "CANCEL_NOT_ALLOWED",
        "DISCORDANT_REPEAT_REQUEST",
        "REASON_TRADE_BEEN_FREEZEN",
        "REASON_TRADE_REFUND_FEE_ERR",
        "REFUND_AMT_NOT_EQUAL_TOTAL",
        "SELLER_BALANCE_NOT_ENOUGH",
        "TRADE_HAS_CLOSE",
        "TRADE_HAS_FINISHED",
        "TRADE_HAS_SUCCESS",
        "TRADE_NOT_ALLOW_REFUND",
        "TRADE_NOT_EXIST",
        "TRADE_STATUS_ERROR",
    ]
}
CN_JUDGED = {f"ACQ.{code}" for code in CN_NEW_CODE | CN_OTHER_METHOD | CN_SUPPORT}
CN_UNKNOWN = {"20000", "40005", "ACQ.SYSTEM_ERROR", "aop.unknow-error", "isp.unknow-error"}
CN_STATUS = {"S": set(), "F": CN_JUDGED | CN_MESSAGE | CN_LEFT_OPEN, "U": CN_UNKNOWN}
# Design section 3: a signed F that only refuses the message (parameter, access, key).
REFUSES_THE_MESSAGE = {
    "ACCESS_DENIED",
    "INVALID_CLIENT",
    "INVALID_SIGNATURE",
    "INVALID_TOKEN",
    "KEY_NOT_FOUND",
    "MEDIA_TYPE_NOT_ACCEPTABLE",
    "METHOD_NOT_SUPPORTED",
    "NO_INTERFACE_DEF",
    "PARAM_ILLEGAL",
    "REPEAT_REQ_INCONSISTENT",
}
SAYS_NOTHING_OF_A_PAY = {"ORDER_NOT_EXIST", "CANCEL_WINDOW_EXCEED"}


@pytest.mark.parametrize("status", "SFU")
def test_every_code_has_the_status_that_the_api_gives_it(status):
    with_status = {code for code, meaning in MEANINGS.items() if meaning.outcome.value == status}
    assert with_status == set(STATUS_OF_CODE[status].split()) | CN_STATUS[status]


@pytest.mark.parametrize(
    ("codes", "judges", "alerts"),
    [
        (CN_JUDGED, Judges.PAYMENT, None),
        (CN_MESSAGE, Judges.MESSAGE, True),
        (CN_LEFT_OPEN, Judges.NOTHING, True),
        (CN_UNKNOWN, Judges.NOTHING, False),
    ],
)
def test_alipay_cns_codes_speak_of_the_payment_the_message_or_nothing(codes, judges, alerts):
    for code in codes:
        assert MEANINGS[code].judges is judges, code
        assert MEANINGS[code].alert is alerts or alerts is None, code


@pytest.mark.parametrize(
    ("codes", "next_step", "alerts"),
    [
        (CN_NEW_CODE, NextStep.SHOW_NEW_CODE, False),
        (CN_OTHER_METHOD, NextStep.USE_OTHER_METHOD, False),
        (CN_SUPPORT, NextStep.CALL_SUPPORT, True),
    ],
)
def test_alipay_cns_refusals_tell_the_till_what_its_pages_advise(codes, next_step, alerts):
    for code in codes:
        meaning = MEANINGS[f"ACQ.{code}"]
        assert (meaning.next_step, meaning.alert) == (next_step, alerts), code


@pytest.mark.parametrize("code", STATUS_OF_CODE["F"].split())
def test_every_failure_judges_the_payment_or_the_message_or_nothing(code):
    expected = Judges.PAYMENT
    if code in REFUSES_THE_MESSAGE:
        expected = Judges.MESSAGE
    if code in SAYS_NOTHING_OF_A_PAY:
        expected = Judges.NOTHING
    assert MEANINGS[code].judges is expected


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        ("EXPIRED_CODE", NextStep.SHOW_NEW_CODE),
        ("INVALID_CODE", NextStep.SHOW_NEW_CODE),
        ("USER_BALANCE_NOT_ENOUGH", NextStep.USE_OTHER_METHOD),
        ("RISK_REJECT", NextStep.USE_OTHER_METHOD),
        ("PROCESS_FAIL", NextStep.USE_OTHER_METHOD),
        ("ACCESS_DENIED", NextStep.CALL_SUPPORT),
        ("INVALID_SIGNATURE", NextStep.CALL_SUPPORT),
        ("REPEAT_REQ_INCONSISTENT", NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    ],
)
def test_a_failure_tells_the_till_what_to_do(code, next_step):
    assert meaning_of(code, Outcome.FAILURE).next_step is next_step


@pytest.mark.parametrize(
    ("code", "next_step"),
    [
        ("PAYMENT_IN_PROCESS", NextStep.ASK_CUSTOMER_TO_CONFIRM),
        ("UNKNOWN_EXCEPTION", NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
        ("REQUEST_TRAFFIC_EXCEED_LIMIT", NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
        ("A_CODE_OF_NEXT_YEAR", NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    ],
)
def test_an_unknown_tells_the_till_to_wait(code, next_step):
    assert meaning_of(code, Outcome.UNKNOWN).next_step is next_step


def test_a_success_leaves_the_till_nothing_to_do_whatever_its_code():
    for code in ("SUCCESS", "PAYMENT_IN_PROCESS", "RISK_REJECT", "", "A_CODE_OF_NEXT_YEAR"):
        assert meaning_of(code, Outcome.SUCCESS) == MEANINGS["SUCCESS"]


def test_a_failure_that_nobody_knows_judges_the_payment_and_alerts():
    unknown = Meaning(Outcome.FAILURE, Judges.PAYMENT, NextStep.USE_OTHER_METHOD, alert=True)
    assert meaning_of("A_CODE_OF_NEXT_YEAR", Outcome.FAILURE) == unknown


@given(st.one_of(st.sampled_from(sorted(MEANINGS)), st.text()), st.sampled_from(Outcome))
def test_the_received_status_always_wins(code, outcome):
    assert meaning_of(code, outcome).outcome is outcome


@pytest.mark.parametrize("code", sorted(REFUSES_THE_MESSAGE | {"INVALID_CONTRACT"}))
def test_what_only_an_operator_can_mend_alerts(code):
    assert MEANINGS[code].alert


def test_the_unsigned_refusals_are_about_signature_key_and_access():
    assert {
        "INVALID_SIGNATURE",
        "KEY_NOT_FOUND",
        "INVALID_CLIENT",
        "ACCESS_DENIED",
    } == UNSIGNED_REFUSALS
    assert UNSIGNED_REFUSALS <= REFUSES_THE_MESSAGE

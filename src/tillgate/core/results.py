"""What each result code means: the one table, with what it judges, what the till does next, and who
is called.

Source of the codes: the Alipay+ pay API's result codes (user-presented mode) as transcribed in
public ACQP code and cross-checked with the guide and Antom's table of the same product; the guide's
spelling CURRENCY_NOT_SUPPORTED beside the API's CURRENCY_NOT_SUPPORT. `ACQ.`, `isv.` and numbers
are Alipay's open platform's: tables "business error codes" of alipay.trade.pay, cancel and refund
with the remedy each names, and "Common error codes" (common/02km9f). A code that is not here
follows its resultStatus.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """`resultStatus`: the only thing that decides about money. Never a nullable boolean."""

    SUCCESS = "S"
    FAILURE = "F"
    UNKNOWN = "U"


class Judges(StrEnum):
    """What a result speaks about. A refused message says nothing about an earlier send of the
    payment.
    """

    PAYMENT = "payment"
    MESSAGE = "message"
    NOTHING = "nothing"


class NextStep(StrEnum):
    """What the till does now. One per status and code; a cashier has three seconds."""

    NONE = "none"
    """Nothing: it is over."""
    WAIT = "wait"
    """Keep this payment on the screen; ask again."""
    WAIT_DO_NOT_CHARGE_AGAIN = "wait_do_not_charge_again"
    """Nobody knows yet. Do not take the money another way."""
    ASK_CUSTOMER_TO_CONFIRM = "ask_customer_to_confirm"
    """The wallet waits for its customer."""
    SHOW_NEW_CODE = "show_new_code"
    """Ask the customer for a fresh code, then start a new payment."""
    USE_OTHER_METHOD = "use_other_method"
    """This wallet will not pay this; take another method."""
    TRY_AGAIN = "try_again"
    """Start a new payment in a moment; nothing was charged."""
    CALL_SUPPORT = "call_support"
    """Somebody at the acquirer has to look at it."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """How one result code is read.

    Attributes:
        outcome: the resultStatus it comes with; the received one decides where the two differ.
        alert: whether an operator is told.
    """

    outcome: Outcome
    judges: Judges
    next_step: NextStep
    alert: bool = False


SUCCESS = "SUCCESS"
PAYMENT_IN_PROCESS = "PAYMENT_IN_PROCESS"
ORDER_NOT_EXIST = "ORDER_NOT_EXIST"
ORDER_IS_CLOSED = "ORDER_IS_CLOSED"
REPEAT_REQ_INCONSISTENT = "REPEAT_REQ_INCONSISTENT"
CANCEL_WINDOW_EXCEED = "CANCEL_WINDOW_EXCEED"

UNSIGNED_REFUSALS = frozenset(
    {"INVALID_SIGNATURE", "KEY_NOT_FOUND", "INVALID_CLIENT", "ACCESS_DENIED"}
)
"""A network that could not check our signature cannot sign its answer; without one the words
prove nothing.
"""


def _judged(next_step: NextStep, *, alert: bool = False) -> Meaning:
    return Meaning(Outcome.FAILURE, Judges.PAYMENT, next_step, alert)


def _refused(next_step: NextStep = NextStep.CALL_SUPPORT) -> Meaning:
    return Meaning(Outcome.FAILURE, Judges.MESSAGE, next_step, alert=True)


def _left_open() -> Meaning:
    return Meaning(Outcome.FAILURE, Judges.NOTHING, NextStep.CALL_SUPPORT, alert=True)


def _unknown(next_step: NextStep) -> Meaning:
    return Meaning(Outcome.UNKNOWN, Judges.NOTHING, next_step)


MEANINGS: dict[str, Meaning] = {
    SUCCESS: Meaning(Outcome.SUCCESS, Judges.PAYMENT, NextStep.NONE),
    # The network judged the payment: this code, this customer, this amount.
    "EXPIRED_CODE": _judged(NextStep.SHOW_NEW_CODE),
    "INVALID_CODE": _judged(NextStep.SHOW_NEW_CODE),
    ORDER_IS_CLOSED: _judged(NextStep.SHOW_NEW_CODE),
    "USER_PAYMENT_VERIFICATION_FAILED": _judged(NextStep.SHOW_NEW_CODE),
    "USER_BALANCE_NOT_ENOUGH": _judged(NextStep.USE_OTHER_METHOD),
    "PAYMENT_AMOUNT_EXCEED_LIMIT": _judged(NextStep.USE_OTHER_METHOD),
    "PAYMENT_COUNT_EXCEED_LIMIT": _judged(NextStep.USE_OTHER_METHOD),
    "USER_AMOUNT_EXCEED_LIMIT": _judged(NextStep.USE_OTHER_METHOD),
    "USER_KYC_NOT_QUALIFIED": _judged(NextStep.USE_OTHER_METHOD),
    "USER_NOT_EXIST": _judged(NextStep.USE_OTHER_METHOD),
    "USER_STATUS_ABNORMAL": _judged(NextStep.USE_OTHER_METHOD),
    "UNAVAILABLE_PAYMENT_METHOD": _judged(NextStep.USE_OTHER_METHOD),
    "RISK_REJECT": _judged(NextStep.USE_OTHER_METHOD),
    "REGULATION_RESTRICTION": _judged(NextStep.USE_OTHER_METHOD),
    "BUSINESS_NOT_SUPPORT": _judged(NextStep.USE_OTHER_METHOD),
    "PROCESS_FAIL": _judged(NextStep.USE_OTHER_METHOD),
    "CURRENCY_NOT_SUPPORT": _judged(NextStep.USE_OTHER_METHOD, alert=True),
    "CURRENCY_NOT_SUPPORTED": _judged(NextStep.USE_OTHER_METHOD, alert=True),
    "INVALID_CONTRACT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "MERCHANT_NOT_REGISTERED": _judged(NextStep.CALL_SUPPORT, alert=True),
    # The network refused this message: our parameters, our access, our keys.
    "ACCESS_DENIED": _refused(),
    "INVALID_CLIENT": _refused(),
    "INVALID_SIGNATURE": _refused(),
    "INVALID_TOKEN": _refused(),
    "KEY_NOT_FOUND": _refused(),
    "MEDIA_TYPE_NOT_ACCEPTABLE": _refused(),
    "METHOD_NOT_SUPPORTED": _refused(),
    "NO_INTERFACE_DEF": _refused(),
    "PARAM_ILLEGAL": _refused(),
    REPEAT_REQ_INCONSISTENT: _refused(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    # About an inquiry or a cancel, never about a pay.
    ORDER_NOT_EXIST: Meaning(Outcome.FAILURE, Judges.NOTHING, NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    CANCEL_WINDOW_EXCEED: Meaning(Outcome.FAILURE, Judges.NOTHING, NextStep.CALL_SUPPORT, True),
    # About a refund: which it refuses. Alipay+ "refund"; Antom "refund" names the last four.
    "REFUND_AMOUNT_EXCEED": _judged(NextStep.CALL_SUPPORT, alert=True),
    "REFUND_WINDOW_EXCEED": _judged(NextStep.CALL_SUPPORT),
    "MERCHANT_BALANCE_NOT_ENOUGH": _judged(NextStep.CALL_SUPPORT, alert=True),
    "MULTIPLE_REFUNDS_NOT_SUPPORTED": _judged(NextStep.CALL_SUPPORT),
    "ORDER_IS_CANCELED": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ORDER_STATUS_INVALID": _judged(NextStep.CALL_SUPPORT, alert=True),
    # Not known yet.
    PAYMENT_IN_PROCESS: _unknown(NextStep.ASK_CUSTOMER_TO_CONFIRM),
    "REQUEST_TRAFFIC_EXCEED_LIMIT": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    "UNKNOWN_EXCEPTION": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    # AlipayCN, alipay.trade.pay: "refresh the code and scan again".
    "ACQ.PAYMENT_AUTH_CODE_INVALID": _judged(NextStep.SHOW_NEW_CODE),
    "ACQ.PAYMENT_FAIL": _judged(NextStep.SHOW_NEW_CODE),
    "ACQ.PULL_MOBILE_CASHIER_FAIL": _judged(NextStep.SHOW_NEW_CODE),
    # "Another way to pay, another account", or the customer has to change something first.
    "ACQ.BUYER_BALANCE_NOT_ENOUGH": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_BANKCARD_BALANCE_NOT_ENOUGH": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_ENABLE_STATUS_FORBID": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_NOT_EXIST": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_NOT_MAINLAND_CERT": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_PAYMENT_AMOUNT_DAY_LIMIT_ERROR": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_PAYMENT_AMOUNT_MONTH_LIMIT_ERROR": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.BUYER_SELLER_EQUAL": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.ERROR_BALANCE_PAYMENT_DISABLE": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.ERROR_BUYER_CERTIFY_LEVEL_LIMIT": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.MOBILE_PAYMENT_SWITCH_OFF": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.NO_PAYMENT_INSTRUMENTS_AVAILABLE": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.NOT_CERTIFIED_USER": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.NOT_SUPPORT_PAYMENT_INST": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.PAYMENT_REQUEST_HAS_RISK": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.RESTRICTED_MERCHANT_INDUSTRY": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.TOTAL_FEE_EXCEED": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.USER_FACE_PAYMENT_SWITCH_OFF": _judged(NextStep.USE_OTHER_METHOD),
    "ACQ.USER_LOGONID_DUP": _judged(NextStep.USE_OTHER_METHOD),
    # "Contact Alipay": the merchant's contract, account or limits there.
    "ACQ.AMOUNT_OR_CURRENCY_ERROR": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.BEYOND_PAY_RESTRICTION": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.BEYOND_PER_RECEIPT_DAY_RESTRICTION": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.BEYOND_PER_RECEIPT_RESTRICTION": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.BEYOND_PER_RECEIPT_SINGLE_RESTRICTION": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.CURRENCY_NOT_SUPPORT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.INVALID_RECEIVE_ACCOUNT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_AGREEMENT_INVALID": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_AGREEMENT_NOT_EXIST": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_PERM_RECEIPT_DAY_LIMIT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_PERM_RECEIPT_SINGLE_LIMIT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_PERM_RECEIPT_SUSPEND_LIMIT": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.MERCHANT_STATUS_NOT_NORMAL": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.PRODUCT_AMOUNT_LIMIT_ERROR": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.SELLER_BEEN_BLOCKED": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.SELLER_NOT_EXIST": _judged(NextStep.CALL_SUPPORT, alert=True),
    "ACQ.UN_SUPPORT_TRADE_SCENE": _judged(NextStep.CALL_SUPPORT, alert=True),
    # It refused this message; a number where the reason beside it has no row of its own.
    "ACQ.ACCESS_FORBIDDEN": _refused(),
    "ACQ.AUTH_TOKEN_IS_NOT_EXIST": _refused(),
    "ACQ.EXIST_FORBIDDEN_WORD": _refused(),
    "ACQ.INVALID_PARAMETER": _refused(),
    "ACQ.INVALID_STORE_ID": _refused(),
    "ACQ.NOW_TIME_AFTER_EXPIRE_TIME_ERROR": _refused(),
    "ACQ.PARTNER_ERROR": _refused(),
    "isv.insufficient-isv-permissions": _refused(),
    "isv.invalid-app-id": _refused(),
    "isv.invalid-signature": _refused(),
    "isv.missing-signature-config": _refused(),
    "20001": _refused(),
    "40001": _refused(),
    "40002": _refused(),
    "40003": _refused(),
    "40006": _refused(),
    # About a cancel or a refund; what it leaves open, an inquiry settles.
    "ACQ.CANCEL_NOT_ALLOWED": _left_open(),
    "ACQ.DISCORDANT_REPEAT_REQUEST": _left_open(),
    "ACQ.REASON_TRADE_BEEN_FREEZEN": _left_open(),
    "ACQ.REASON_TRADE_REFUND_FEE_ERR": _left_open(),
    "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL": _left_open(),
    "ACQ.SELLER_BALANCE_NOT_ENOUGH": _left_open(),
    "ACQ.TRADE_HAS_CLOSE": _left_open(),
    "ACQ.TRADE_HAS_FINISHED": _left_open(),
    "ACQ.TRADE_HAS_SUCCESS": _left_open(),
    "ACQ.TRADE_NOT_ALLOW_REFUND": _left_open(),
    "ACQ.TRADE_NOT_EXIST": _left_open(),
    "ACQ.TRADE_STATUS_ERROR": _left_open(),
    # The platform does not know either.
    "20000": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    "ACQ.SYSTEM_ERROR": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    "aop.unknow-error": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    "isp.unknow-error": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
    # Refused before anything was done: too many calls. The same one may go out again.
    "40005": _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN),
}


def meaning_of(code: str, outcome: Outcome) -> Meaning:
    """How to read a result. The received status wins over the table; an unknown code follows its
    status.

    Never raises. An unknown F is taken as a judgement of the payment, as the guide's F row says,
    and an operator is told, so that the table can grow.
    """
    known = MEANINGS.get(code)
    if known is not None and known.outcome is outcome:
        return known
    match outcome:
        case Outcome.SUCCESS:
            return MEANINGS[SUCCESS]
        case Outcome.FAILURE:
            return _judged(NextStep.USE_OTHER_METHOD, alert=True)
        case Outcome.UNKNOWN:
            return _unknown(NextStep.WAIT_DO_NOT_CHARGE_AGAIN)

"""Every result code of the facts and every play, by its amount, as another's client sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from .client import Answer, NoAnswer, NotTrusted

REFUSALS = [
    "ACCESS_DENIED",
    "BUSINESS_NOT_SUPPORT",
    "CURRENCY_NOT_SUPPORT",
    "EXPIRED_CODE",
    "INVALID_CLIENT",
    "INVALID_CODE",
    "INVALID_CONTRACT",
    "INVALID_SIGNATURE",
    "INVALID_TOKEN",
    "KEY_NOT_FOUND",
    "MEDIA_TYPE_NOT_ACCEPTABLE",
    "MERCHANT_NOT_REGISTERED",
    "METHOD_NOT_SUPPORTED",
    "NO_INTERFACE_DEF",
    "ORDER_IS_CLOSED",
    "PARAM_ILLEGAL",
    "PAYMENT_AMOUNT_EXCEED_LIMIT",
    "PAYMENT_COUNT_EXCEED_LIMIT",
    "PROCESS_FAIL",
    "REGULATION_RESTRICTION",
    "REPEAT_REQ_INCONSISTENT",
    "RISK_REJECT",
    "UNAVAILABLE_PAYMENT_METHOD",
    "USER_AMOUNT_EXCEED_LIMIT",
    "USER_BALANCE_NOT_ENOUGH",
    "USER_KYC_NOT_QUALIFIED",
    "USER_NOT_EXIST",
    "USER_PAYMENT_VERIFICATION_FAILED",
    "USER_STATUS_ABNORMAL",
]
"""The F codes of the pay table."""
UNKNOWNS = ["PAYMENT_IN_PROCESS", "REQUEST_TRAFFIC_EXCEED_LIMIT", "UNKNOWN_EXCEPTION"]
"""Its U codes. S has one, SUCCESS."""
UNSIGNED = {"INVALID_CLIENT", "INVALID_SIGNATURE", "KEY_NOT_FOUND"}
"""A network that does not know the caller's key cannot sign for it; samples show it unsigned."""


def amount_of(desk, play):
    (row,) = [p for p in desk.control("GET", "/sandbox/plays")[1]["plays"] if p["name"] == play]
    return row["amount"]


@pytest.mark.parametrize("code", [*REFUSALS, *UNKNOWNS])
def test_every_code_of_the_pay_table_can_be_had(desk, code):
    request_id, acquirer = desk.new_id(), desk.acquirer
    order = acquirer.pay_order(request_id, desk.control.code(), amount_of(desk, code.lower()))
    answer = acquirer.send("pay", acquirer.style.dump(order).encode())
    assert answer.status == 200
    assert answer.result == f"{'U' if code in UNKNOWNS else 'F'} {code}"
    assert 0 < len(answer.message["result"]["resultMessage"]) <= 256
    assert answer.is_signed is (code not in UNSIGNED)
    if answer.is_signed:
        acquirer.trust("pay", answer)
    shown = desk.control.payment(request_id)
    assert shown.get("net_debit", 0) == 0


@dataclass(frozen=True)
class Seen:
    """What the client sees of a play: of its pay, then of inquiries, some seconds later again."""

    pay: str
    inquiry: str
    after_s: float = 0
    later: str | None = None
    debits: int = 1
    net_debit: bool = True


WAITS = "U PAYMENT_IN_PROCESS"
PAID = "S SUCCESS"
GONE = "F ORDER_IS_CLOSED"
NOTHING = "(F ORDER_NOT_EXIST)"
PLAYS = {
    "in_process_then_success": Seen(WAITS, WAITS, 2, PAID),
    "in_process_then_failure": Seen(
        WAITS, WAITS, 2, "F USER_PAYMENT_VERIFICATION_FAILED", 0, net_debit=False
    ),
    "in_process_for_ever": Seen(WAITS, WAITS, 60, GONE, 0, net_debit=False),
    "late_success": Seen(WAITS, WAITS, 70, GONE, net_debit=False),
    "unknown_but_paid": Seen("U UNKNOWN_EXCEPTION", PAID),
    "slow": Seen("no answer", PAID),  # six seconds; this client waits 0.3
    "late": Seen("no answer", PAID),
    "request_lost": Seen("no answer", NOTHING, debits=0, net_debit=False),
    "reply_lost": Seen("no answer", PAID),
    "silent": Seen("no answer", "no answer"),
    "reset": Seen("no answer", PAID),
    "drip": Seen("no answer", PAID),
    "duplicate": Seen(PAID, PAID),
    "read_lag": Seen("no answer", NOTHING, 5, PAID),
    "bad_signature": Seen("not trusted: does not fit", PAID),
    "no_signature": Seen("not trusted: unsigned", PAID),
    "wrong_key": Seen("not trusted: does not fit", PAID),
    "wrong_amount": Seen("S SUCCESS of 1", PAID),
    "http_503": Seen("HTTP 503", NOTHING, debits=0, net_debit=False),
    "http_502_but_paid": Seen("HTTP 502", PAID),
    "garbage": Seen("no JSON", PAID),
    "clock_behind": Seen("S SUCCESS, 10 min old", PAID),
    "notify_never": Seen(WAITS, WAITS, 2, PAID),
    "notify_first": Seen(PAID, PAID),
    "notify_twice": Seen(PAID, PAID),
    "notify_after_cancel": Seen("no answer", WAITS),
    "notify_bad_signature": Seen(WAITS, WAITS, 2, PAID),
    "notify_wrong_amount": Seen(WAITS, WAITS, 2, PAID),
    "cancel_lost": Seen(WAITS, WAITS, debits=0, net_debit=False),
    "cancel_unknown": Seen(WAITS, WAITS, debits=0, net_debit=False),
    "cancel_too_late": Seen("no answer", WAITS),
}


def of_pay(desk, request_id, value):
    acquirer = desk.acquirer
    order = acquirer.pay_order(request_id, desk.control.code(), value)
    try:
        answer = acquirer.send("pay", acquirer.style.dump(order).encode())
        if answer.status != 200:
            return f"HTTP {answer.status}"
        acquirer.trust("pay", answer)
        return in_words(answer, value)
    except NoAnswer:
        return "no answer"
    except NotTrusted as error:
        return f"not trusted: {error}"


def in_words(answer: Answer, value: int) -> str:
    try:
        told = answer.message
    except ValueError:
        return "no JSON"
    words = answer.result
    if told.get("paymentAmount", {}).get("value", str(value)) != str(value):
        words += f" of {told['paymentAmount']['value']}"
    age = datetime.now(UTC) - datetime.fromisoformat(answer.headers["response-time"])
    return (
        words if age.total_seconds() < 300 else f"{words}, {age.total_seconds() // 60:.0f} min old"
    )


def of_inquiry(desk, request_id):
    try:
        return desk.acquirer.inquire(paymentRequestId=request_id).payment
    except NoAnswer:
        return "no answer"


@pytest.mark.parametrize("play", PLAYS)
def test_what_a_play_looks_like(desk, play):
    seen, request_id, value = PLAYS[play], desk.new_id(), amount_of(desk, play)
    desk.acquirer.notify_url = desk.shop.url
    desk.acquirer.timeout_s = 0.3
    assert of_pay(desk, request_id, value) == seen.pay
    assert of_inquiry(desk, request_id) == seen.inquiry
    if seen.later is not None:
        desk.control.advance(seen.after_s)
        assert of_inquiry(desk, request_id) == seen.later
    shown = desk.control.payment(request_id)
    assert shown.get("debits", 0) == seen.debits
    assert shown.get("net_debit", 0) == (value if seen.net_debit else 0)


def test_every_play_is_looked_at(desk):
    named = {row["name"] for row in desk.control("GET", "/sandbox/plays")[1]["plays"]}
    others = {"cancel_window_exceed", "order_not_exist", "currency_not_supported"}
    assert named == {code.lower() for code in (*REFUSALS, *UNKNOWNS)} | set(PLAYS) | others


# --- What only a notification or a cancel shows


def paying(desk, play):
    """The play's pay, whatever is answered, with a shop that listens."""
    desk.acquirer.notify_url = desk.shop.url
    desk.acquirer.timeout_s = 0.3
    request_id, value = desk.new_id(), amount_of(desk, play)
    of_pay(desk, request_id, value)
    return request_id, str(value)


def cancelled(desk, request_id):
    try:
        return desk.acquirer.cancel(paymentRequestId=request_id).result
    except NoAnswer:
        return "no answer"


def test_a_silent_network_still_notifies(desk):
    request_id, _ = paying(desk, "silent")
    told = desk.shop.heard()
    assert (told.is_trusted, told.message["paymentRequestId"]) == (True, request_id)
    assert cancelled(desk, request_id) == "S SUCCESS"


def test_the_notification_may_come_first(desk):
    paying(desk, "notify_first")
    assert not desk.shop.is_quiet()


def test_the_notification_may_come_twice(desk):
    paying(desk, "notify_twice")
    assert desk.shop.heard().message == desk.shop.heard().message


def test_the_notification_may_come_after_the_cancel(desk):
    request_id, _ = paying(desk, "notify_after_cancel")
    assert desk.shop.is_quiet()
    assert cancelled(desk, request_id) == "S SUCCESS"
    assert desk.shop.heard().message["paymentResult"]["resultStatus"] == "S"
    assert desk.control.payment(request_id)["net_debit"] == 0


def test_a_notification_that_is_not_trusted_comes_again(desk):
    paying(desk, "notify_bad_signature")
    desk.control.advance(2)
    assert [desk.shop.heard().is_trusted for _ in range(2)] == [False, True]


def test_a_notification_of_another_amount_comes_again(desk):
    desk.shop.is_wanted = lambda message: message["paymentAmount"]["value"] == value
    _, value = paying(desk, "notify_wrong_amount")
    desk.control.advance(2)
    assert [desk.shop.heard().message["paymentAmount"]["value"] for _ in range(2)] == ["1", value]


def test_a_notification_may_never_come(desk):
    request_id, _ = paying(desk, "notify_never")
    desk.control.advance(3600)
    assert desk.control.payment(request_id)["notification"] is None
    assert desk.shop.is_quiet()


@pytest.mark.parametrize(
    ("play", "first", "second"),
    [
        ("cancel_lost", "no answer", "S SUCCESS"),
        ("cancel_unknown", "U UNKNOWN_EXCEPTION", "S SUCCESS"),
        ("cancel_too_late", "F CANCEL_WINDOW_EXCEED", "F CANCEL_WINDOW_EXCEED"),
    ],
)
def test_a_cancel_is_repeated_until_it_succeeds(desk, play, first, second):
    request_id, value = paying(desk, play)
    assert cancelled(desk, request_id) == first
    assert cancelled(desk, request_id) == second
    if second != "S SUCCESS":
        answer = desk.acquirer.refund(f"{request_id}-r", int(value), paymentRequestId=request_id)
        assert answer.result == "S SUCCESS"
    assert desk.control.payment(request_id)["net_debit"] == 0

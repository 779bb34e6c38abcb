"""The acceptance matrix as data: what is sold, what goes wrong on the way, what has to be true.

Rows are those of the guide's result table ("Accept a payment", result.resultStatus) and of the test
matrix composed from Alipay+'s and Antom's acceptance pages: pay, notify, cancel, refund. Each case
sells for an amount of its own, so that its rules meet nobody else and all run side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tillgate.certify.adapter import Status
from tillgate.certify.checks import (
    Evidence,
    acknowledged,
    asked_before_believing,
    asked_often,
    cancelled_there,
    never_told_paid,
    not_acknowledged_first,
    resent_identically,
    sent_nothing,
)
from tillgate.core.results import MEANINGS, Judges, Outcome

IN_PROCESS = "PAYMENT_IN_PROCESS"
NOT_PAID = frozenset({Status.FAILED, Status.CANCELLED})
OPEN_END = NOT_PAID | {Status.PAID}
"""Either is right, as long as it is true at the network."""

Check = Callable[[Evidence], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row.

    Attributes:
        row: where it comes from.
        rules: what the sandbox does, each for this case's amount.
        ends: what the till may be told in the end. Always checked besides: what it was told is what
            the ledger says, at most one debit stands, one paymentRequestId was used.
        then: what the till does meanwhile: `cancel` (when paid, or after 1 s), `refund` parts.
        code: what the customer shows, for `POST /sandbox/codes`; `made_up` is no code of anybody.
    """

    name: str
    row: str
    what: str
    ends: frozenset[Status]
    rules: tuple[dict[str, Any], ...] = ()
    checks: tuple[Check, ...] = ()
    then: str = ""
    refunds: tuple[int, ...] = ()
    code: dict[str, Any] = field(default_factory=dict)
    made_up: str = ""
    is_last: bool = False


def _rule(api: str, times: int | None = 1, /, **do: Any) -> dict[str, Any]:
    return {"on": {"api": api}, "do": do, "times": times}


PAID = frozenset({Status.PAID})
TABLE = "the guide, result table"
MATRIX = "acceptance matrix"
_WAITS: dict[str, Any] = {"result": IN_PROCESS}
_SAYS_NOTHING = _rule("inquiryPayment", None, payment_result=IN_PROCESS)


def _of_code(code: str) -> Case:
    return Case(
        name=f"pay_f_{code.lower()}",
        row=f"{TABLE}: F {code}",
        what=f"pay is answered F {code}",
        rules=(_rule("pay", None, result=code),),
        ends=NOT_PAID,
    )


UNSIGNED = ("INVALID_SIGNATURE", "INVALID_CLIENT", "KEY_NOT_FOUND", "ACCESS_DENIED")
"""Refusals of the acquirer's key: an acquirer may stop selling after one, so one comes last."""

_FAILURES = tuple(
    _of_code(code)
    for code, meaning in MEANINGS.items()
    if meaning.outcome is Outcome.FAILURE
    and meaning.judges is not Judges.NOTHING
    and "." not in code
    and not code.isdigit()
    and code not in UNSIGNED
)

_PAY = (
    Case(name="pay_s", row=f"{TABLE}: S SUCCESS", what="pay is answered S", ends=PAID),
    *_FAILURES,
    Case(
        name="pay_in_process_s_by_notify",
        row=f"{TABLE}: U {IN_PROCESS}",
        what="in process; inquiries say so for ever, the notification says S",
        rules=(_rule("pay", **_WAITS, then={"after_s": 2}), _SAYS_NOTHING),
        ends=PAID,
        checks=(acknowledged,),
    ),
    Case(
        name="pay_in_process_s_by_inquiry",
        row=f"{TABLE}: U {IN_PROCESS}",
        what="in process; never notified, an inquiry says S",
        rules=(_rule("pay", **_WAITS, then={"after_s": 2}, notify={"when": "never"}),),
        ends=PAID,
    ),
    Case(
        name="pay_in_process_f",
        row=f"{TABLE}: U {IN_PROCESS}",
        what="in process, then the customer refuses",
        rules=(
            _rule(
                "pay",
                **_WAITS,
                then={"result": "USER_PAYMENT_VERIFICATION_FAILED", "after_s": 2},
            ),
        ),
        ends=NOT_PAID,
    ),
    Case(
        name="pay_in_process_for_ever",
        row=f"{TABLE}: U {IN_PROCESS}, and closing what is not completed",
        what="in process until it expires: asked about all the time, then cancelled",
        rules=(_rule("pay", **_WAITS),),
        ends=NOT_PAID,
        checks=(asked_often, cancelled_there),
    ),
    Case(
        name="pay_u_then_s",
        row=f"{TABLE}: U other than {IN_PROCESS}",
        what="U UNKNOWN_EXCEPTION, nothing done; the identical pay again succeeds",
        rules=(_rule("pay", result="UNKNOWN_EXCEPTION"),),
        ends=PAID,
        checks=(resent_identically,),
    ),
    Case(
        name="pay_u_but_paid",
        row=f"{TABLE}: U other than {IN_PROCESS}",
        what="U UNKNOWN_EXCEPTION, and it is paid",
        rules=(_rule("pay", result="UNKNOWN_EXCEPTION", effect=True, notify={"when": "never"}),),
        ends=PAID,
    ),
    Case(
        name="pay_request_lost",
        row=f"{TABLE}: no result received",
        what="the first pay never arrives",
        rules=(_rule("pay", lose="request"),),
        ends=OPEN_END,
    ),
    Case(
        name="pay_reply_lost",
        row=f"{TABLE}: no result received",
        what="paid, the answer never arrives, nobody notifies",
        rules=(_rule("pay", lose="reply", notify={"when": "never"}),),
        ends=OPEN_END,
    ),
    Case(
        name="pay_connection_reset",
        row=f"{TABLE}: no result received",
        what="paid, the connection is cut",
        rules=(_rule("pay", reset=True, notify={"when": "never"}),),
        ends=PAID,
    ),
    Case(
        name="pay_http_503",
        row=f"{TABLE}: no result received",
        what="HTTP 503, nothing done",
        rules=(_rule("pay", http_status=503),),
        ends=OPEN_END,
    ),
    Case(
        name="pay_http_502_but_paid",
        row=f"{TABLE}: no result received",
        what="HTTP 502, and it is paid",
        rules=(_rule("pay", http_status=502, effect=True, notify={"when": "never"}),),
        ends=PAID,
    ),
    Case(
        name="pay_garbage",
        row=f"{TABLE}: no result received",
        what="paid, the answer is no JSON",
        rules=(_rule("pay", garbage=True, notify={"when": "never"}),),
        ends=PAID,
    ),
    Case(
        name="pay_forged_failure",
        row="signature rules: an answer is checked before it is believed",
        what="paid; the answer says F RISK_REJECT, badly signed",
        rules=(
            _rule(
                "pay",
                result="RISK_REJECT",
                effect=True,
                signature="bad",
                notify={"when": "never"},
            ),
        ),
        ends=PAID,
    ),
    Case(
        name="pay_forged_success",
        row="signature rules: an answer is checked before it is believed",
        what="nothing is done; every answer to pay says S, signed by nobody known",
        rules=(_rule("pay", None, result="SUCCESS", effect=False, signature="wrong_key"),),
        ends=NOT_PAID,
        checks=(never_told_paid,),
    ),
    Case(
        name="pay_wrong_amount",
        row=f"{MATRIX}: the amount is compared",
        what="paid; the answer to pay tells one minor unit",
        rules=(_rule("pay", amount=1, notify={"when": "never"}),),
        ends=OPEN_END,
        checks=(asked_before_believing,),
    ),
    Case(
        name="pay_read_lag",
        row=f"{MATRIX}: inquiry ORDER_NOT_EXIST",
        what="paid, the answer is lost, inquiries say ORDER_NOT_EXIST for 4 s",
        rules=(_rule("pay", reset=True, unknown_for_s=4, notify={"when": "never"}),),
        ends=OPEN_END,
    ),
    Case(
        name="pay_code_used",
        row=f"{MATRIX}: code used",
        what="a code that paid another order before",
        ends=NOT_PAID,
        then="used",
    ),
    Case(
        name="pay_code_malformed",
        row=f"{MATRIX}: code malformed",
        what="something that is no payment code",
        made_up="not-a-code",
        ends=NOT_PAID | {Status.REFUSED},
        checks=(sent_nothing,),
    ),
    *(
        Case(
            name=f"pay_code_{length}_digits",
            row=f"{MATRIX}: code lengths",
            what=f"a code of {length} digits that nobody issued",
            made_up=digits,
            ends=NOT_PAID | {Status.REFUSED},
        )
        for length, digits in (
            (16, "2801234567890123"),
            (18, "280123456789012345"),
            (24, "281006029999999999999999"),
            (32, "28100602999999999999999999999999"),
        )
    ),
    Case(
        name="pay_code_19_alipay_plus",
        row=f"{MATRIX}: code lengths",
        what="Alipay+'s own code of 19 digits",
        code={"kind": "alipay_plus_19", "wallet": "gcash"},
        ends=PAID,
    ),
)

_NOTIFY = (
    Case(
        name="notify_before_answer",
        row=f"{MATRIX}: notify before the pay answer",
        what="the notification comes first, then the answer",
        rules=(_rule("pay", notify={"when": "before_reply"}),),
        ends=PAID,
        checks=(acknowledged,),
    ),
    Case(
        name="notify_twice",
        row=f"{MATRIX}: notify twice",
        what="two notifications at once",
        rules=(_rule("pay", notify={"copies": 2}),),
        ends=PAID,
        checks=(acknowledged,),
    ),
    Case(
        name="notify_bad_signature",
        row=f"{MATRIX}: notify with a bad signature",
        what="the first notification's signature does not fit: it is not acknowledged",
        rules=(
            _rule("pay", notify={"delay_s": 0.2}),
            _rule("notifyPayment", signature="bad"),
        ),
        ends=PAID,
        checks=(not_acknowledged_first, acknowledged),
    ),
    Case(
        name="notify_wrong_amount",
        row=f"{MATRIX}: notify with a wrong amount",
        what="in process for all who ask; notifications tell one minor unit",
        rules=(
            _rule("pay", **_WAITS, then={"after_s": 1}),
            _rule("notifyPayment", None, amount=1),
            _SAYS_NOTHING,
        ),
        ends=NOT_PAID,
        checks=(never_told_paid,),
    ),
    Case(
        name="notify_ack_lost",
        row=f"{MATRIX}: ack lost",
        what="the first acknowledgement is lost; the notification comes again",
        rules=(_rule("notifyPayment", lose="reply"),),
        ends=PAID,
        checks=(acknowledged,),
    ),
    Case(
        name="notify_s_after_local_f",
        row=f"{MATRIX}: S after local F",
        what="paid, and the answer says F PROCESS_FAIL, well signed; then S is notified",
        rules=(_rule("pay", result="PROCESS_FAIL", effect=True),),
        ends=OPEN_END,
    ),
)

_CANCEL = (
    Case(
        name="cancel_paid",
        row=f"{MATRIX}: cancel ok",
        what="the till cancels what is paid",
        then="cancel",
        ends=frozenset({Status.CANCELLED}),
        checks=(cancelled_there,),
    ),
    Case(
        name="cancel_while_in_process",
        row=f"{MATRIX}: cancel ok",
        what="the till cancels while the customer thinks",
        rules=(_rule("pay", **_WAITS),),
        then="cancel",
        ends=NOT_PAID,
        checks=(cancelled_there,),
    ),
    Case(
        name="cancel_u",
        row=f"{MATRIX}: cancel U",
        what="the first cancel is answered U: it is repeated",
        rules=(_rule("cancelPayment", result="UNKNOWN_EXCEPTION", effect=False),),
        then="cancel",
        ends=frozenset({Status.CANCELLED}),
        checks=(cancelled_there,),
    ),
    Case(
        name="cancel_reply_lost",
        row=f"{MATRIX}: cancel timeout",
        what="the first cancel is done, its answer is lost: it is repeated",
        rules=(_rule("cancelPayment", reset=True),),
        then="cancel",
        ends=frozenset({Status.CANCELLED}),
        checks=(cancelled_there,),
    ),
    Case(
        name="cancel_outside_window",
        row=f"{MATRIX}: cancel outside the window",
        what="every cancel is refused with CANCEL_WINDOW_EXCEED: refunded, or still paid",
        rules=(_rule("cancelPayment", None, result="CANCEL_WINDOW_EXCEED", effect=False),),
        then="cancel",
        ends=OPEN_END,
    ),
    Case(
        name="cancel_notify_race",
        row=f"{MATRIX}: notify S racing a cancel",
        what="the till cancels; the notification S comes after the cancel was confirmed",
        rules=(_rule("pay", notify={"when": "after_cancel"}),),
        then="cancel",
        ends=frozenset({Status.CANCELLED}),
        checks=(cancelled_there, acknowledged),
    ),
)

_REFUND = (
    Case(name="refund_full", row=f"{MATRIX}: refund in full", what="all of it", ends=OPEN_END,
         then="refund", refunds=(100,)),
    Case(name="refund_parts", row=f"{MATRIX}: partial refunds", what="in three parts",
         ends=OPEN_END, then="refund", refunds=(30, 30, 40)),
    Case(name="refund_too_much", row=f"{MATRIX}: refund over the amount",
         what="more than was paid: refused", ends=OPEN_END, then="refund", refunds=(60, 60)),
)  # fmt: skip

_LAST = (
    Case(
        name="pay_refused_unsigned",
        row=f"{TABLE}: F INVALID_SIGNATURE",
        what="every pay is refused, unsigned: it proves nothing, and nothing is paid",
        rules=(_rule("pay", None, result="INVALID_SIGNATURE"),),
        ends=NOT_PAID | {Status.REFUSED},
        checks=(never_told_paid,),
        is_last=True,
    ),
)

CASES: tuple[Case, ...] = (*_PAY, *_NOTIFY, *_CANCEL, *_REFUND, *_LAST)
"""All cases; their names are unique."""

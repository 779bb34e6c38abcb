"""What a tester can make the network do: the words of a rule, and the plays that have a name.

A `Do` says what becomes of one message. A `Play` says it of the messages of one payment, each with
how often. Plays are chosen by amount (`MAGIC`), by code or by customer; rules (`scripts`) reach any
message. Values only.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from tillgate.core.results import MEANINGS, PAYMENT_IN_PROCESS, SUCCESS, Judges, Outcome

SECONDS_MAX = 3600
Seconds = Annotated[float, Meta(ge=0, le=SECONDS_MAX)]
Code = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]


class Api(StrEnum):
    """The message that is meant."""

    PAY = "pay"
    INQUIRY = "inquiryPayment"
    CANCEL = "cancelPayment"
    REFUND = "refund"
    NOTIFY = "notifyPayment"


class Lost(StrEnum):
    """Which half of a call never arrives."""

    REQUEST = "request"
    REPLY = "reply"


class Spoilt(StrEnum):
    """What is wrong with a signature."""

    BAD = "bad"
    NONE = "none"
    WRONG_KEY = "wrong_key"


class When(StrEnum):
    """When a notification leaves."""

    USUAL = "usual"
    NEVER = "never"
    BEFORE_REPLY = "before_reply"
    AFTER_CANCEL = "after_cancel"


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Read strictly: a word that is not known is refused."""


def ends_message(code: str) -> bool:
    """Whether a pay with this result leaves no payment behind: its message was refused, or nobody
    says.
    """
    known = MEANINGS.get(code)
    if known is None or code == PAYMENT_IN_PROCESS:
        return False
    return known.judges is Judges.MESSAGE or known.outcome is Outcome.UNKNOWN


class Then(Words, frozen=True):
    """What the wallet says later of a payment that it left in process: by the sandbox's clock. Once
    the order has expired, a success is the wallet's late one, and the network cancels it itself.
    """

    result: Code = SUCCESS
    after_s: Seconds = 2.0


class Notify(Words, frozen=True):
    """How the end of this payment is told.

    Attributes:
        copies: how many leave at once.
        delay_s: instead of the sandbox's usual delay, by its clock.
    """

    when: When = When.USUAL
    copies: Annotated[int, Meta(ge=1, le=10)] = 1
    delay_s: Seconds | None = None


class Do(Words, frozen=True):
    """What becomes of one message. All words compose; nothing said is the usual behaviour.

    Attributes:
        result: the answer's result. Of a pay it is the payment's own: an F that judges it ends it,
            a refused message or any other U leaves no payment (but with `effect`).
        payment_result: of an inquiry: the second level, while the first stays S.
        then: of a pay: the wallet leaves it in process and says this later; without it and with
            result PAYMENT_IN_PROCESS it never says anything.
        effect: whether it is done at all: by default unless `result` or `http_status` refuse it.
            Where it is said, a pay's `result` is a lie about what was (not) done.
        lose: held without an answer until the caller gives up.
        reset: the connection is cut instead of an answer, after the effect.
        delay_s: the answer waits so long; `request_delay_s`: the effect does.
        duplicate: the request arrives twice.
        reorder: it waits until another message about the same payment was answered (5 s at most).
        signature: what is wrong with the answer's (or the notification's).
        amount: told instead of the true one, in minor units.
        http_status: with a page of HTML instead of an answer.
        garbage: HTTP 200 with what is no JSON, signed all the same.
        drip_s: the body's bytes take so long.
        clock_offset_s: how wrong Response-Time (Request-Time) is.
        unknown_for_s: of a pay: inquiries say ORDER_NOT_EXIST so long.
        notify: of a pay: how its end is told.
    """

    result: Code | None = None
    payment_result: Code | None = None
    then: Then | None = None
    effect: bool | None = None
    lose: Lost | None = None
    reset: bool = False
    delay_s: Seconds = 0.0
    request_delay_s: Seconds = 0.0
    duplicate: bool = False
    reorder: bool = False
    signature: Spoilt | None = None
    amount: Annotated[int, Meta(ge=0, le=10**12)] | None = None
    http_status: Annotated[int, Meta(ge=300, le=599)] | None = None
    garbage: bool = False
    drip_s: Seconds = 0.0
    clock_offset_s: Annotated[float, Meta(ge=-86400, le=86400)] = 0.0
    unknown_for_s: Seconds = 0.0
    notify: Notify | None = None

    def is_done(self, api: Api) -> bool:
        """Whether the network does what it is asked."""
        if self.effect is not None:
            return self.effect
        if self.lose is Lost.REQUEST or self.http_status is not None:
            return False
        return self.result is None or self.is_judgement(api)

    def is_judgement(self, api: Api) -> bool:
        """Whether `result` is what becomes of the payment itself, not only of the message."""
        if api is not Api.PAY or self.result is None or self.effect is not None:
            return False
        return not ends_message(self.result)

    @property
    def is_cut(self) -> bool:
        """Whether no answer comes at all."""
        return self.reset or self.lose is not None


NOTHING = Do()


class Step(Words, frozen=True):
    """One line of a play: the messages of one API, after `skip` of them, so many times (null:
    all).
    """

    api: Api
    do: Do
    times: Annotated[int, Meta(ge=1)] | None = 1
    skip: Annotated[int, Meta(ge=0)] = 0


class Play(Words, frozen=True):
    """What becomes of one payment, and what a tester gets to see."""

    name: str
    what: str
    steps: tuple[Step, ...]


PAY_CODES = (
    "ACCESS_DENIED",
    "BUSINESS_NOT_SUPPORT",
    "CANCEL_WINDOW_EXCEED",
    "CURRENCY_NOT_SUPPORT",
    "CURRENCY_NOT_SUPPORTED",
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
    "ORDER_NOT_EXIST",
    "PARAM_ILLEGAL",
    "PAYMENT_AMOUNT_EXCEED_LIMIT",
    "PAYMENT_COUNT_EXCEED_LIMIT",
    "PAYMENT_IN_PROCESS",
    "PROCESS_FAIL",
    "REGULATION_RESTRICTION",
    "REPEAT_REQ_INCONSISTENT",
    "REQUEST_TRAFFIC_EXCEED_LIMIT",
    "RISK_REJECT",
    "UNAVAILABLE_PAYMENT_METHOD",
    "UNKNOWN_EXCEPTION",
    "USER_AMOUNT_EXCEED_LIMIT",
    "USER_BALANCE_NOT_ENOUGH",
    "USER_KYC_NOT_QUALIFIED",
    "USER_NOT_EXIST",
    "USER_PAYMENT_VERIFICATION_FAILED",
    "USER_STATUS_ABNORMAL",
)
"""Every result code of the pay table but SUCCESS, and the guide's own spelling of one. Their places
are numbers that testers use: add at the end.
"""


def _pay(do: Do, times: int | None = 1) -> Step:
    return Step(api=Api.PAY, do=do, times=times)


def _notify(do: Do, times: int | None = None) -> Step:
    return Step(api=Api.NOTIFY, do=do, times=times)


_WAITS = Do(result=PAYMENT_IN_PROCESS)


def _in_process(then: Then) -> Step:
    return _pay(Do(result=PAYMENT_IN_PROCESS, then=then))


_TIMING = (
    ("in_process_then_success", "in process; the customer agrees after 2 s",
     (_in_process(Then()),)),
    ("in_process_then_failure", "in process; the customer refuses after 2 s",
     (_in_process(Then(result="USER_PAYMENT_VERIFICATION_FAILED")),)),
    ("in_process_for_ever", "in process until it expires", (_pay(_WAITS),)),
    ("late_success", "in process; the wallet says S 70 s after the pay, when the order is closed:"
     " the network cancels it there itself", (_in_process(Then(after_s=70)),)),
    ("unknown_but_paid", "paid, and answered U UNKNOWN_EXCEPTION",
     (_pay(Do(result="UNKNOWN_EXCEPTION", effect=True)),)),
    ("slow", "paid; the answer comes after 6 s, within its time-out", (_pay(Do(delay_s=6)),)),
    ("late", "paid; the answer comes after 12 s, behind its time-out", (_pay(Do(delay_s=12)),)),
    ("request_lost", "nothing happens and nothing is answered", (_pay(Do(lose=Lost.REQUEST)),)),
    ("reply_lost", "paid, and nothing is answered", (_pay(Do(lose=Lost.REPLY)),)),
    ("silent", "every pay and inquiry is done and not answered; only the notification and a cancel"
     " are heard", (_pay(Do(lose=Lost.REPLY), None),
                    Step(api=Api.INQUIRY, do=Do(lose=Lost.REPLY), times=None))),
    ("reset", "paid; the connection is cut", (_pay(Do(reset=True)),)),
    ("drip", "paid; the answer's bytes take 20 s", (_pay(Do(drip_s=20)),)),
    ("duplicate", "the pay arrives twice", (_pay(Do(duplicate=True)),)),
    ("read_lag", "paid, the answer is lost, and inquiries say ORDER_NOT_EXIST for 5 s",
     (_pay(Do(lose=Lost.REPLY, unknown_for_s=5)),)),
    ("bad_signature", "paid; the answer's signature does not fit",
     (_pay(Do(signature=Spoilt.BAD)),)),
    ("no_signature", "paid; the answer has no signature", (_pay(Do(signature=Spoilt.NONE)),)),
    ("wrong_key", "paid; the answer is signed with another key",
     (_pay(Do(signature=Spoilt.WRONG_KEY)),)),
    ("wrong_amount", "paid; the answer says twice that one minor unit was paid",
     (_pay(Do(amount=1), 2),)),
    ("http_503", "nothing happens; HTTP 503", (_pay(Do(http_status=503)),)),
    ("http_502_but_paid", "paid; HTTP 502", (_pay(Do(http_status=502, effect=True)),)),
    ("garbage", "paid; the answer is no JSON", (_pay(Do(garbage=True)),)),
    ("clock_behind", "paid; the answer's time is 10 min old", (_pay(Do(clock_offset_s=-600)),)),
    ("notify_never", "in process, agreed after 2 s, and never notified",
     (_pay(Do(result=PAYMENT_IN_PROCESS, then=Then(), notify=Notify(when=When.NEVER))),)),
    ("notify_first", "paid; the notification comes before the answer",
     (_pay(Do(notify=Notify(when=When.BEFORE_REPLY))),)),
    ("notify_twice", "paid, and notified twice at once", (_pay(Do(notify=Notify(copies=2))),)),
    ("notify_after_cancel", "paid, the answer is lost, and the notification S waits for a cancel",
     (_pay(Do(lose=Lost.REPLY, notify=Notify(when=When.AFTER_CANCEL)), None),
      Step(api=Api.INQUIRY, do=Do(payment_result=PAYMENT_IN_PROCESS), times=None))),
    ("notify_bad_signature", "in process, agreed after 2 s; the first notification's signature does"
     " not fit", (_in_process(Then()), _notify(Do(signature=Spoilt.BAD), 1))),
    ("notify_wrong_amount", "in process, agreed after 2 s; the first notification says one minor"
     " unit", (_in_process(Then()), _notify(Do(amount=1), 1))),
    ("cancel_lost", "in process for ever; the first cancel is done and not answered",
     (_pay(_WAITS), Step(api=Api.CANCEL, do=Do(lose=Lost.REPLY)))),
    ("cancel_unknown", "in process for ever; the first cancel is answered U",
     (_pay(_WAITS), Step(api=Api.CANCEL, do=Do(result="UNKNOWN_EXCEPTION", effect=False)))),
    ("cancel_too_late", "paid, the answers are lost; a cancel says CANCEL_WINDOW_EXCEED",
     (_pay(Do(lose=Lost.REPLY), None),
      Step(api=Api.INQUIRY, do=Do(payment_result=PAYMENT_IN_PROCESS), times=20),
      Step(api=Api.CANCEL, do=Do(result="CANCEL_WINDOW_EXCEED", effect=False), times=None))),
)  # fmt: skip

_CODE_PLAYS = tuple(
    Play(
        name=code.lower(), what=f"the pay is answered {code}", steps=(_pay(Do(result=code), None),)
    )
    for code in PAY_CODES
)

_TIMING_PLAYS = tuple(Play(name=name, what=what, steps=steps) for name, what, steps in _TIMING)

PLAYS: dict[str, Play] = {play.name: play for play in (*_CODE_PLAYS, *_TIMING_PLAYS)}
"""All plays that have a name, by it."""

MAGIC: dict[int, Play] = dict(enumerate(_CODE_PLAYS, start=77_701)) | dict(
    enumerate(_TIMING_PLAYS, start=77_751)
)
"""Amounts in minor units, of any currency (JPY 77,701, USD 777.01), and what they play."""
assert len(MAGIC) == len(PLAYS), "the numbers of the two tables meet"

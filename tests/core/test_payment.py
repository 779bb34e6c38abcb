"""Design section 3, row by row. The walks over random events stand in test_payment_walks.py."""

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.core.payment_cases import (
    ASKED,
    EVENTS,
    MINE,
    OTHER,
    PLACED,
    POLICY,
    THEIRS,
    WALKS,
    WINDOW_CLOSES,
    at,
    failed,
    letters,
    opened,
    order,
    paid,
    unknown,
    walk,
)
from tillgate.core.model import (
    TOLD,
    Alert,
    Call,
    CancelRequested,
    CancelUnanswered,
    Closing,
    InquiryAnswered,
    Notified,
    PayAnswered,
    Receipt,
    Resolved,
    SendCancel,
    SendInquiry,
    SendPay,
    Status,
    TellTill,
    TimerDue,
)
from tillgate.core.money import Money
from tillgate.core.payment import (
    expiry,
    may_resolve,
    next_step,
    open_payment,
    refund_request_id,
    step,
)
from tillgate.core.results import MEANINGS, NextStep, Outcome

# Per state: what becomes of the payment, and the events that do it. An outcome is the next status
# and the effects (P pay, I inquiry, C cancel, R refund, T tell the till, A alert); "=" is the very
# same object and no effects; "stays" is the same status and nothing but alerts.
TABLE = {
    "first send out": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, pay F says nothing",
        "PENDING IA": "pay S other amount, pay S taken id, pay F repeat",
        "FAILED T": "pay F judged, inquiry F, notified F",
        "FAILED TA": "pay F message",
        "PENDING": "pay U in process, pay U other, pay unanswered, pay never left",
        "PENDING A": "pay refused unsigned, notified S other amount",
        "CANCELLING CTA": "inquiry S cancelled",
        "=": "inquiry U, inquiry not exist, inquiry refused, inquiry unanswered,"
        " notified U, cancel S, cancel U, cancel not exist, cancel too late,"
        " cancel refused, cancel unanswered, refund S, refund U, refund refused,"
        " refund unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " CANCELLED, timer",
        "stays": "notified S without amount",
        "CANCELLING T": "cancel asked",
    },
    "resend planned": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, notified S without amount",
        "PENDING IA": "pay S other amount, pay S taken id, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry U, inquiry refused, inquiry unanswered, notified U,"
        " cancel S, cancel U, cancel not exist, cancel too late, cancel refused,"
        " cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "stays": "inquiry not exist",
        "CANCELLING CT": "cancel asked",
    },
    "second send out": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, pay F judged, pay F says nothing",
        "PENDING IA": "pay S other amount, pay S taken id, pay F message, pay F repeat",
        "PENDING": "pay U in process, pay U other, pay unanswered, pay never left",
        "PENDING A": "pay refused unsigned, notified S other amount",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "=": "inquiry U, inquiry not exist, inquiry refused, inquiry unanswered,"
        " notified U, cancel S, cancel U, cancel not exist, cancel too late,"
        " cancel refused, cancel unanswered, refund S, refund U, refund refused,"
        " refund unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " CANCELLED, timer",
        "stays": "notified S without amount",
        "CANCELLING T": "cancel asked",
    },
    "resend refused": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "stays": "pay S without amount, notified S without amount",
        "PENDING A": "pay S other amount, pay S taken id, inquiry refused, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, notified U, cancel S, cancel U, cancel not exist, cancel too"
        " late, cancel refused, cancel unanswered, refund S, refund U, refund"
        " refused, refund unanswered, resolved SUCCEEDED, resolved FAILED,"
        " resolved CANCELLED, timer",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "PENDING": "inquiry U, inquiry unanswered",
        "CANCELLING CT": "inquiry not exist, cancel asked",
    },
    "in process": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, notified S without amount",
        "PENDING IA": "pay S other amount, pay S taken id, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " other, pay never left, pay refused unsigned, inquiry refused, inquiry"
        " unanswered, notified U, cancel S, cancel U, cancel not exist, cancel"
        " too late, cancel refused, cancel unanswered, refund S, refund U,"
        " refund refused, refund unanswered, resolved SUCCEEDED, resolved"
        " FAILED, resolved CANCELLED, timer",
        "stays": "pay U in process, pay unanswered, inquiry U, inquiry not exist",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "CANCELLING CT": "cancel asked",
    },
    "inquiry out": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "stays": "pay S without amount, pay F says nothing, pay U in process, notified S"
        " without amount",
        "PENDING A": "pay S other amount, pay S taken id, inquiry refused, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay U other, pay"
        " unanswered, pay never left, pay refused unsigned, notified U, cancel"
        " S, cancel U, cancel not exist, cancel too late, cancel refused, cancel"
        " unanswered, refund S, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "PENDING": "inquiry U, inquiry not exist, inquiry unanswered",
        "CANCELLING CT": "cancel asked",
    },
    "last inquiry out": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "stays": "pay S without amount, pay F says nothing, pay U in process, notified S"
        " without amount",
        "PENDING A": "pay S other amount, pay S taken id, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay U other, pay"
        " unanswered, pay never left, pay refused unsigned, notified U, cancel"
        " S, cancel U, cancel not exist, cancel too late, cancel refused, cancel"
        " unanswered, refund S, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "CANCELLING CTA": "inquiry S cancelled, inquiry refused",
        "FAILED T": "inquiry F, notified F",
        "CANCELLING CT": "inquiry U, inquiry not exist, inquiry unanswered, cancel asked",
    },
    "never left": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, notified S without amount",
        "PENDING IA": "pay S other amount, pay S taken id, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay never left, pay refused unsigned, inquiry"
        " U, inquiry refused, inquiry unanswered, notified U, cancel S, cancel"
        " U, cancel not exist, cancel too late, cancel refused, cancel"
        " unanswered, refund S, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "stays": "pay unanswered, inquiry not exist",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "CANCELLED T": "cancel asked",
    },
    "refused unsigned": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "PENDING I": "pay S without amount, notified S without amount",
        "PENDING IA": "pay S other amount, pay S taken id, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay never left, inquiry U, inquiry"
        " unanswered, notified U, cancel S, cancel U, cancel not exist, cancel"
        " too late, cancel refused, cancel unanswered, refund S, refund U,"
        " refund refused, refund unanswered, resolved SUCCEEDED, resolved"
        " FAILED, resolved CANCELLED, timer",
        "stays": "pay unanswered, pay refused unsigned, inquiry not exist, inquiry refused",
        "CANCELLING CTA": "inquiry S cancelled",
        "FAILED T": "inquiry F, notified F",
        "CANCELLING CT": "cancel asked",
    },
    "mismatch seen": {
        "SUCCEEDED T": "pay S, inquiry S, notified S",
        "stays": "pay S without amount, pay F says nothing, notified S without amount",
        "CANCELLING CTA": "pay S other amount, pay S taken id, inquiry S cancelled, inquiry F,"
        " notified S other amount, notified F",
        "=": "pay F judged, pay F message, pay F repeat, pay U in process, pay U"
        " other, pay unanswered, pay never left, pay refused unsigned, notified"
        " U, cancel S, cancel U, cancel not exist, cancel too late, cancel"
        " refused, cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "PENDING": "inquiry U, inquiry not exist, inquiry unanswered",
        "PENDING A": "inquiry refused",
        "CANCELLING CT": "cancel asked",
    },
    "SUCCEEDED": {
        "=": "pay S, pay S without amount, pay U in process, pay U other, pay"
        " unanswered, pay never left, pay refused unsigned, inquiry S, inquiry"
        " U, inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified U, cancel U, cancel not exist,"
        " cancel too late, cancel refused, cancel unanswered, refund U, refund"
        " refused, refund unanswered, resolved SUCCEEDED, resolved FAILED,"
        " resolved CANCELLED, timer",
        "SUCCEEDED A": "cancel S, refund S, pay S other amount, pay S taken id, "
        "pay F judged, pay F message, pay F"
        " repeat, pay F says nothing, inquiry S cancelled, inquiry F, notified S"
        " other amount, notified F",
        "CANCELLING CT": "cancel asked",
    },
    "FAILED": {
        "CANCELLING CTA": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, notified S, notified S without amount, notified S other"
        " amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S cancelled, inquiry F, inquiry U, inquiry not"
        " exist, inquiry unanswered, notified F, notified U, cancel asked,"
        " cancel S, cancel U, cancel not exist, cancel too late, cancel refused,"
        " cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "stays": "inquiry refused",
    },
    "FAILED never left": {
        "CANCELLING CTA": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, notified S, notified S without amount, notified S other"
        " amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S cancelled, inquiry F, inquiry U, inquiry not"
        " exist, inquiry unanswered, notified F, notified U, cancel asked,"
        " cancel S, cancel U, cancel not exist, cancel too late, cancel refused,"
        " cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "stays": "inquiry refused",
    },
    "closing, pay out": {
        "CANCELLING C": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered",
        "CANCELLED T": "pay never left, cancel S, refund S",
        "CANCELLING CA": "pay refused unsigned",
        "stays": "inquiry S, inquiry S cancelled, inquiry refused, notified S, notified"
        " S without amount, notified S other amount, cancel refused",
        "=": "inquiry F, inquiry U, inquiry not exist, inquiry unanswered, notified"
        " F, notified U, cancel asked, cancel U, cancel not exist, cancel too"
        " late, cancel unanswered, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
    },
    "cancel out": {
        "stays": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, inquiry S cancelled, inquiry refused, notified S, notified"
        " S without amount, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry F, inquiry U, inquiry not exist, inquiry unanswered,"
        " notified F, notified U, cancel asked, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "CANCELLED T": "cancel S, refund S",
        "CANCELLING": "cancel U, cancel not exist, cancel unanswered",
        "CANCELLING I": "cancel too late",
        "CANCELLING A": "cancel refused",
    },
    "cancel planned": {
        "stays": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, inquiry S cancelled, inquiry refused, notified S, notified"
        " S without amount, notified S other amount, cancel U, cancel not exist",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry F, inquiry U, inquiry not exist, inquiry unanswered,"
        " notified F, notified U, cancel asked, cancel too late, cancel refused,"
        " cancel unanswered, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "CANCELLED T": "cancel S, refund S",
    },
    "giving back": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry unanswered, notified S, notified S without"
        " amount, notified S other amount, notified F, notified U, cancel asked,"
        " refund U, refund refused, refund unanswered, resolved SUCCEEDED,"
        " resolved FAILED, resolved CANCELLED, timer",
        "stays": "inquiry refused",
        "CANCELLED T": "cancel S, refund S",
        "CANCELLING": "cancel U, cancel unanswered",
        "CANCELLING A": "cancel not exist, cancel refused",
        "CANCELLING I": "cancel too late",
    },
    "CANCELLED": {
        "CANCELLING CTA": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, notified S, notified S without amount, notified S other"
        " amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S cancelled, inquiry F, inquiry U, inquiry not"
        " exist, inquiry unanswered, notified F, notified U, cancel asked,"
        " cancel S, cancel U, cancel not exist, cancel too late, cancel refused,"
        " cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "stays": "inquiry refused",
    },
    "CANCELLED never left": {
        "CANCELLING CTA": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, notified S, notified S without amount, notified S other"
        " amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S cancelled, inquiry F, inquiry U, inquiry not"
        " exist, inquiry unanswered, notified F, notified U, cancel asked,"
        " cancel S, cancel U, cancel not exist, cancel too late, cancel refused,"
        " cancel unanswered, refund S, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "stays": "inquiry refused",
    },
    "CANCELLED, looking": {
        "CANCELLING CTA": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, inquiry U, notified S, notified S without amount, notified S"
        " other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, notified F, notified U, cancel asked, cancel S, cancel U,"
        " cancel not exist, cancel too late, cancel refused, cancel unanswered,"
        " refund S, refund U, refund refused, refund unanswered, resolved"
        " SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "stays": "inquiry S cancelled, inquiry F, inquiry not exist, inquiry unanswered,"
        " inquiry refused",
    },
    "CANCELLED, refunded": {
        "=": "pay S, pay S without amount, pay S other amount, pay F judged, pay F"
        " message, pay F repeat, pay F says nothing, pay U in process, pay U"
        " other, pay unanswered, pay never left, pay refused unsigned, inquiry S,"
        " inquiry S cancelled, inquiry F, inquiry U, inquiry not exist, inquiry"
        " unanswered, notified S, notified S without amount, notified S other"
        " amount, notified F, notified U, cancel asked, cancel S, cancel U,"
        " cancel not exist, cancel too late, cancel refused, cancel unanswered,"
        " refund S, refund U, refund refused, refund unanswered, resolved"
        " SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "CANCELLING CTA": "pay S taken id",
        "stays": "inquiry refused",
    },
    "reopened": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified S other amount, notified F,"
        " notified U, cancel asked, refund U, refund refused, refund unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved CANCELLED, timer",
        "CANCELLING I": "cancel S, cancel too late",
        "CANCELLING": "cancel U, cancel unanswered",
        "CANCELLING A": "cancel not exist, cancel refused",
        "CANCELLED T": "refund S",
    },
    "reopened, planned": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified S other amount, notified F,"
        " notified U, cancel asked, cancel S, cancel U, cancel not exist, cancel"
        " too late, cancel refused, cancel unanswered, refund U, refund refused,"
        " refund unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " CANCELLED, timer",
        "CANCELLED T": "refund S",
    },
    "reopened, asking": {
        "=": "pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, notified F, notified U, cancel asked, cancel S, cancel U,"
        " cancel not exist, cancel too late, cancel refused, cancel unanswered,"
        " refund U, refund refused, refund unanswered, resolved SUCCEEDED,"
        " resolved FAILED, resolved CANCELLED, timer",
        "CANCELLING R": "inquiry S",
        "CANCELLED T": "inquiry S cancelled, inquiry F, refund S",
        "CANCELLING": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry U, inquiry not exist, inquiry unanswered, notified S, notified S without amount,"
        " notified S other amount",
        "CANCELLING A": "inquiry refused",
    },
    "reopened, refunding": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified S other amount, notified F,"
        " notified U, cancel asked, cancel S, cancel U, cancel not exist, cancel"
        " too late, cancel refused, cancel unanswered, resolved SUCCEEDED,"
        " resolved FAILED, resolved CANCELLED, timer",
        "CANCELLED T": "refund S",
        "CANCELLING": "refund U, refund unanswered",
        "CANCELLING A": "refund refused",
    },
    "asking": {
        "CANCELLING": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry U, inquiry not exist, inquiry unanswered, notified S, notified"
        " S without amount, notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, notified F, notified U, cancel asked, cancel U, cancel not"
        " exist, cancel too late, cancel refused, cancel unanswered, refund U,"
        " refund refused, refund unanswered, resolved SUCCEEDED, resolved"
        " FAILED, resolved CANCELLED, timer",
        "CANCELLING R": "inquiry S",
        "CANCELLED T": "inquiry S cancelled, inquiry F, cancel S, refund S",
        "CANCELLING A": "inquiry refused",
    },
    "asking planned": {
        "CANCELLING": "pay S, pay S without amount, pay S other amount, pay S taken id,"
        " inquiry S, inquiry S cancelled, notified S, notified S without amount,"
        " notified S other amount",
        "=": "pay F judged, pay F message, pay F repeat, pay F says nothing, pay U"
        " in process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry F, inquiry U, inquiry not exist, inquiry refused,"
        " inquiry unanswered, notified F, notified U, cancel asked, cancel U,"
        " cancel not exist, cancel too late, cancel refused, cancel unanswered,"
        " refund U, refund refused, refund unanswered, resolved SUCCEEDED,"
        " resolved FAILED, resolved CANCELLED, timer",
        "CANCELLED T": "cancel S, refund S",
    },
    "refunding": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified S other amount, notified F,"
        " notified U, cancel asked, cancel U, cancel not exist, cancel too late,"
        " cancel refused, cancel unanswered, resolved SUCCEEDED, resolved"
        " FAILED, resolved CANCELLED, timer",
        "CANCELLED T": "cancel S, refund S",
        "CANCELLING": "refund U, refund unanswered",
        "CANCELLING A": "refund refused",
    },
    "refund planned": {
        "=": "pay S, pay S without amount, pay S other amount, pay S taken id, pay F"
        " judged, pay F message, pay F repeat, pay F says nothing, pay U in"
        " process, pay U other, pay unanswered, pay never left, pay refused"
        " unsigned, inquiry S, inquiry S cancelled, inquiry F, inquiry U,"
        " inquiry not exist, inquiry refused, inquiry unanswered, notified S,"
        " notified S without amount, notified S other amount, notified F,"
        " notified U, cancel asked, cancel U, cancel not exist, cancel too late,"
        " cancel refused, cancel unanswered, refund U, refund refused, refund"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved CANCELLED,"
        " timer",
        "CANCELLED T": "cancel S, refund S",
    },
    "UNRESOLVED": {
        "CANCELLING RTA": "pay S, pay S without amount, inquiry S, notified S, notified S without"
        " amount",
        "UNRESOLVED A": "pay S other amount, notified S other amount",
        "stays": "pay S taken id, pay F message, pay F repeat, pay F says nothing,"
        " inquiry U, inquiry not exist, inquiry refused, inquiry unanswered",
        "=": "pay F judged, pay U in process, pay U other, pay unanswered, pay never"
        " left, pay refused unsigned, notified U, cancel asked, cancel U, cancel"
        " not exist, cancel too late, cancel refused, cancel unanswered, refund"
        " U, refund refused, refund unanswered, timer",
        "CANCELLED T": "inquiry S cancelled, inquiry F, notified F, cancel S, refund S,"
        " resolved CANCELLED",
        "SUCCEEDED T": "resolved SUCCEEDED",
        "FAILED T": "resolved FAILED",
    },
    "UNRESOLVED asking": {
        "CANCELLING RTA": "pay S, pay S without amount, inquiry S, notified S, notified S without"
        " amount",
        "UNRESOLVED A": "pay S other amount, notified S other amount",
        "stays": "pay S taken id, pay F message, pay F repeat, pay F says nothing,"
        " inquiry U, inquiry not exist, inquiry refused, inquiry unanswered",
        "=": "pay F judged, pay U in process, pay U other, pay unanswered, pay never"
        " left, pay refused unsigned, notified U, cancel asked, cancel U, cancel"
        " not exist, cancel too late, cancel refused, cancel unanswered, refund"
        " U, refund refused, refund unanswered, timer",
        "CANCELLED T": "inquiry S cancelled, inquiry F, notified F, cancel S, refund S,"
        " resolved CANCELLED",
        "SUCCEEDED T": "resolved SUCCEEDED",
        "FAILED T": "resolved FAILED",
    },
}
TABLE["FAILED never left"] = TABLE["CANCELLED"] = TABLE["CANCELLED never left"] = TABLE["FAILED"]
TABLE["UNRESOLVED asking"] = TABLE["UNRESOLVED"]

CELLS = [
    (state, event, outcome.strip())
    for state, row in TABLE.items()
    for outcome, events in row.items()
    for event in events.split(", ")
]


def outcome_of(before, taken):
    if taken.payment is before and not taken.effects:
        return "="
    return f"{taken.payment.status} {letters(taken.effects)}".strip()


def test_the_table_has_every_state_and_every_event_once():
    assert sorted((state, event) for state, event, _ in CELLS) == sorted(
        (state, event) for state in WALKS for event in EVENTS
    )
    assert {walk(*facts).status for facts, _ in WALKS.values()} == set(Status)


@pytest.mark.parametrize(("state", "event", "outcome"), CELLS)
def test_every_event_in_every_state(state, event, outcome):
    facts, seconds = WALKS[state]
    before = walk(*facts)
    taken = step(before, EVENTS[event], at(seconds), POLICY)
    if outcome == "stays":
        assert taken.payment.status is before.status
        assert set(letters(taken.effects)) <= {"A"}
    else:
        assert outcome_of(before, taken) == outcome
    is_unchanged = taken.payment is before
    assert taken.payment.version == before.version + (0 if is_unchanged else 1)
    assert taken.payment.order is before.order
    is_told = taken.payment.status is not before.status and taken.payment.status in TOLD
    assert taken.payment.announced == before.announced + is_told
    assert taken.payment.changed_at == (
        before.changed_at if taken.payment.status is before.status else at(seconds)
    )
    assert ("T" in letters(taken.effects)) is (taken.payment.status is not before.status)


# The same again is no repetition but a second success that nobody asked for (section 3).
COUNTED_AGAIN = {"pay S other amount", "pay S taken id", "notified S other amount"}


@pytest.mark.parametrize("event", sorted(set(EVENTS) - COUNTED_AGAIN))
@pytest.mark.parametrize("later", [0, 0.4])
def test_the_same_event_again_changes_nothing(event, later):
    """Nothing but its alert may be repeated: no effect, no counter, no timer pushed further."""
    changed = []
    for state, (facts, seconds) in WALKS.items():
        once = step(walk(*facts), EVENTS[event], at(seconds), POLICY)
        again = step(once.payment, EVENTS[event], at(seconds + later), POLICY)
        is_same = replace(again.payment, version=once.payment.version) == once.payment
        is_saved = again.payment.version != once.payment.version
        if not is_same or set(letters(again.effects)) - {"A"} or (is_saved and not again.effects):
            changed.append(state)
    assert changed == []


# Timers
# -------------------------------------------------------------------------------------------------

DUE = [
    ("first send out", 9, "PENDING P"),
    ("resend planned", 9, "PENDING P"),
    ("second send out", 18, "PENDING P"),
    ("resend refused", 16, "PENDING I"),
    ("in process", 4, "PENDING I"),
    ("inquiry out", 10, "PENDING I"),
    ("last inquiry out", 66, "CANCELLING CT"),
    ("never left", 2, "PENDING P"),
    ("never left", 9.999, "PENDING P"),
    ("never left", 10, "FAILED T"),
    ("refused unsigned", 4, "PENDING I"),
    ("mismatch seen", 7, "PENDING I"),
    ("closing, pay out", 9, "CANCELLING C"),
    ("cancel out", 11, "CANCELLING C"),
    ("cancel planned", 4, "CANCELLING C"),
    ("giving back", 11, "CANCELLING C"),
    ("reopened", 13, "CANCELLING C"),
    ("reopened, planned", 7, "CANCELLING C"),
    ("reopened, asking", 11, "CANCELLING I"),
    ("reopened, refunding", 15, "CANCELLING R"),
    ("asking", 9, "CANCELLING I"),
    ("asking", 902.9, "CANCELLING I"),
    ("asking", 903, "UNRESOLVED TA"),
    ("asking planned", 5, "CANCELLING I"),
    ("refunding", 13, "CANCELLING R"),
    ("refunding", 903.9, "CANCELLING R"),
    ("refunding", 904, "UNRESOLVED TA"),
    ("refund planned", 6, "CANCELLING R"),
    ("UNRESOLVED", 4509, "UNRESOLVED I"),
    ("UNRESOLVED asking", 4515, "UNRESOLVED I"),
    ("SUCCEEDED", 60, "="),
    ("FAILED", 60, "="),
    ("CANCELLED", 60, "="),
]


@pytest.mark.parametrize(("state", "seconds", "outcome"), DUE)
def test_a_timer_that_is_due_acts(state, seconds, outcome):
    before = walk(*WALKS[state][0])
    assert outcome_of(before, step(before, TimerDue(), at(seconds), POLICY)) == outcome


@pytest.mark.parametrize("state", WALKS)
def test_a_timer_that_comes_early_is_ignored(state):
    before = walk(*WALKS[state][0])
    if before.next_action_at is not None:
        early = before.next_action_at - timedelta(microseconds=1)
        taken = step(before, TimerDue(), early, POLICY)
        assert taken.payment is before
        assert taken.effects == ()


@pytest.mark.parametrize(
    ("state", "seconds", "outcome"),
    [
        ("first send out", 59.999, "PENDING P"),
        ("resend planned", 59.999, "PENDING P"),
        ("in process", 59.999, "PENDING I"),
        ("first send out", 60, "PENDING I"),
        ("resend planned", 60, "PENDING I"),
        ("in process", 60, "PENDING I"),
        ("refused unsigned", 60, "PENDING I"),
        ("never left", 60, "FAILED T"),
    ],
)
def test_at_expiry_there_is_one_last_inquiry_and_no_pay(state, seconds, outcome):
    before = walk(*WALKS[state][0])
    taken = step(before, TimerDue(), at(seconds), POLICY)
    assert outcome_of(before, taken) == outcome
    assert taken.payment.has_asked_last is (outcome == "PENDING I" and seconds == 60)


def test_nothing_is_planned_beyond_expiry_but_the_last_inquiry():
    payment = walk((50, "pay unanswered"), (51, "timer"), (59.5, "pay unanswered"))
    assert (payment.next_action, payment.next_action_at) == (Call.INQUIRY, at(60))


def test_a_shorter_life_ends_earlier():
    payment = opened(life=timedelta(seconds=5))
    payment = walk((1, "pay U in process"), start=payment)
    assert payment.next_action_at == at(4)
    payment = walk((4, "timer"), (4.5, "inquiry U"), start=payment)
    assert (payment.next_action, payment.next_action_at) == (Call.INQUIRY, at(5))
    payment = walk((5, "timer"), (5.1, "inquiry U"), start=payment)
    assert payment.status is Status.CANCELLING


@pytest.mark.parametrize(
    ("requested", "life"), [(None, 60), (60, 60), (61, 60), (3600, 60), (59, 59), (1, 1)]
)
def test_final_expiry_is_the_guides_table(requested, life):
    asked = None if requested is None else timedelta(seconds=requested)
    assert expiry(PLACED, asked, POLICY) == at(life)


def test_resends_back_off_inside_the_minute():
    payment, sent_at = opened(), []
    for _ in range(8):
        seconds = (payment.next_action_at - PLACED).total_seconds() - 0.5
        payment = walk((seconds, "pay unanswered"), start=payment)
        if payment.next_action is not Call.PAY:
            break
        sent_at.append((payment.next_action_at - PLACED).total_seconds() - seconds)
        payment = step(payment, TimerDue(), payment.next_action_at, POLICY).payment
    assert sent_at == [1, 2, 4, 8]


# Opening
# -------------------------------------------------------------------------------------------------


def test_a_payment_opens_pending_with_its_send_counted():
    opened_step = open_payment("tg_1", order(), POLICY)
    payment = opened_step.payment
    assert opened_step.effects == (SendPay(),)
    assert (payment.status, payment.version, payment.sends) == (Status.PENDING, 1, 1)
    assert (payment.is_final, payment.holds_order) == (False, True)
    assert (payment.calling, payment.next_action_at) == (Call.PAY, at(9))


# Success
# -------------------------------------------------------------------------------------------------


def test_a_success_keeps_what_the_network_told():
    payment = walk((1, "pay S"))
    assert payment.receipt == MINE
    assert payment.result_code == "SUCCESS"
    assert (payment.is_final, payment.holds_order, payment.next_action_at) == (True, True, None)


@pytest.mark.parametrize("amount", [Money("JPY", 99), Money("JPY", 101), Money("USD", 100)])
def test_another_amount_or_currency_is_never_a_success(amount):
    taken = step(opened(), PayAnswered(paid(amount=amount)), at(1), POLICY)
    assert outcome_of(opened(), taken) == "PENDING IA"
    assert taken.payment.mismatches == 1
    assert not taken.payment.may_resend
    again = step(taken.payment, EVENTS["inquiry S"], at(2), POLICY)
    assert again.payment.status is Status.SUCCEEDED


def test_a_taken_payment_id_is_a_mismatch_even_without_an_amount():
    event = PayAnswered(paid(amount=None, is_payment_id_taken=True))
    taken = step(opened(), event, at(1), POLICY)
    assert outcome_of(opened(), taken) == "PENDING IA"
    assert taken.payment.receipt == Receipt()


def test_success_after_success_without_an_amount_ends_in_a_cancel_at_expiry():
    payment = walk(
        (1, "pay S without amount"),
        (2, "inquiry U"),
        (59, "notified S without amount"),
        (60, "timer"),
        (61, "notified S without amount"),
        (62, "inquiry unanswered"),
    )
    assert payment.status is Status.CANCELLING


def test_a_second_payment_id_after_a_success_alerts():
    payment = walk((1, "pay S"))
    other = Notified(paid(receipt=Receipt(payment_id="B7")))
    taken = step(payment, other, at(2), POLICY)
    assert letters(taken.effects) == "A"
    assert taken.payment.receipt == MINE


# Failure
# -------------------------------------------------------------------------------------------------


def test_a_refused_resend_is_decided_by_the_inquiry():
    refused = walk(*WALKS["resend refused"][0])
    assert refused.refused_code == "INVALID_CODE"
    assert refused.result_code is None
    closing = walk((11, "inquiry not exist"), start=refused)
    assert closing.status is Status.CANCELLING
    cancelled = walk((12, "cancel S"), start=closing)
    assert cancelled.status is Status.CANCELLED
    assert next_step(cancelled) is NextStep.SHOW_NEW_CODE


def test_a_message_refused_after_an_unanswered_send_is_never_resent():
    refused = walk((8, "pay unanswered"), (9, "timer"), (10, "pay F message"))
    assert refused.status is Status.PENDING
    assert not refused.may_resend
    later = walk((11, "inquiry not exist"), start=refused)
    assert (later.status, later.next_action) == (Status.PENDING, Call.INQUIRY)


def test_an_inconsistent_repeat_is_cancelled_at_expiry():
    payment = walk(
        (1, "pay F repeat"), (2, "inquiry U"), (60, "timer"), (61, "inquiry U"), (62, "cancel S")
    )
    assert payment.status is Status.CANCELLED


def test_an_unsigned_refusal_calls_support_and_is_never_resent():
    payment = walk((1, "pay refused unsigned"))
    assert next_step(payment) is NextStep.CALL_SUPPORT
    payment = walk((4, "timer"), (5, "inquiry not exist"), start=payment)
    assert (payment.status, payment.next_action) == (Status.PENDING, Call.INQUIRY)


def test_what_never_left_is_counted_once_per_send():
    payment = walk((1, "pay never left"), (2, "timer"), (3, "pay unanswered"), (5, "timer"))
    assert (payment.sends, payment.sends_never_left, payment.sends_open) == (3, 1, 2)
    assert walk((6, "cancel asked"), start=payment).status is Status.CANCELLING


def test_one_open_send_among_those_that_never_left_needs_the_networks_word():
    payment = walk((8, "pay unanswered"), (9, "timer"), (9.1, "pay never left"))
    assert payment.sends_open == 1
    assert walk((10, "cancel asked"), start=payment).status is Status.CANCELLING
    assert walk((11.1, "timer"), start=payment).status is Status.PENDING


def test_a_crash_before_the_outcome_never_turns_a_send_into_never_left():
    payment = walk((9, "timer"), (9.1, "pay never left"), (10, "timer"), (12, "timer"))
    assert payment.status is Status.PENDING
    assert payment.sends_open >= 1


# Closing
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "status"),
    [(2, "CANCELLING"), (72.999, "CANCELLING"), (73, "CANCELLED"), (80, "CANCELLED")],
)
def test_no_such_order_counts_only_when_no_pay_can_be_on_its_way(seconds, status):
    closing = walk((1, "pay U in process"), (1.5, "cancel asked"))
    assert walk((seconds, "cancel not exist"), start=closing).status.value == status


@pytest.mark.parametrize(
    "success",
    [
        PayAnswered(paid(receipt=Receipt())),
        PayAnswered(paid(amount=None)),
        Notified(paid(receipt=Receipt(wallet="GCASH"))),
    ],
)
def test_no_such_order_never_closes_what_was_reported_paid(success):
    """An order that was paid exists, whether its success named a paymentId or an amount or not."""
    payment = walk((1, success), (2, "cancel asked"), (80, "cancel not exist"))
    assert payment.status is Status.CANCELLING


@pytest.mark.parametrize(
    ("seconds_to_close", "status"), [(-0.001, "CANCELLING"), (0, "SUCCEEDED"), (60, "SUCCEEDED")]
)
def test_a_paid_payment_is_cancelled_inside_the_window_only(seconds_to_close, status):
    now = WINDOW_CLOSES + timedelta(seconds=seconds_to_close)
    taken = step(walk((1, "pay S")), CancelRequested("till"), now, POLICY)
    assert taken.payment.status.value == status
    assert taken.payment.is_final
    assert bool(taken.effects) is (status == "CANCELLING")


@pytest.mark.parametrize(
    ("placed_at", "now", "status"),
    [
        ("15:59:59", "16:14:59", "CANCELLING"),
        ("15:59:59", "16:15:00", "SUCCEEDED"),
        ("16:00:00", "16:15:00", "CANCELLING"),
        ("16:00:00", "16:30:00", "CANCELLING"),
    ],
)
def test_the_window_of_a_payment_around_midnight_in_utc_plus_8(placed_at, now, status):
    def clock(text):
        hours, minutes, seconds = map(int, text.split(":"))
        return PLACED.replace(hour=hours, minute=minutes, second=seconds)

    payment = step(opened(clock(placed_at)), EVENTS["pay S"], clock(placed_at), POLICY).payment
    taken = step(payment, CancelRequested("till"), clock(now), POLICY)
    assert taken.payment.status.value == status


def closing_at(seconds_to_close, *events):
    """A payment being closed, whose cancel went out at that time and heard these events."""
    now = WINDOW_CLOSES + timedelta(seconds=seconds_to_close)
    payment = step(walk((1, "pay S")), CancelRequested("till"), at(2), POLICY).payment
    payment = step(payment, CancelUnanswered("time-out"), at(3), POLICY).payment
    taken = step(payment, TimerDue(), now, POLICY)
    for event in events:
        taken = step(taken.payment, EVENTS[event], now + timedelta(seconds=1), POLICY)
    return taken


def test_after_the_window_one_more_cancel_lets_the_networks_clock_decide():
    assert closing_at(1).effects == (SendCancel(),)
    assert closing_at(1, "cancel S").payment.status is Status.CANCELLED


@pytest.mark.parametrize("event", ["cancel unanswered", "cancel U", "cancel too late"])
def test_when_the_window_is_over_it_is_asked_whether_it_is_paid(event):
    taken = closing_at(1, event)
    assert taken.effects == (SendInquiry(),)
    assert taken.payment.closing is Closing.ASKING


@pytest.mark.parametrize("state", ["asking", "refunding"])
def test_asking_and_refunding_go_on_for_15_minutes_and_then_a_person_has_to(state):
    payment, began = walk(*WALKS[state][0]), WALKS[state][1] - 1
    answer = "inquiry U" if state == "asking" else "refund unanswered"
    now = at(WALKS[state][1])
    while payment.status is Status.CANCELLING:
        payment = step(payment, EVENTS[answer], now, POLICY).payment
        if payment.status is Status.CANCELLING:
            now = payment.next_action_at
            payment = step(payment, TimerDue(), now, POLICY).payment
            now += timedelta(seconds=1)
    assert payment.status is Status.UNRESOLVED
    assert at(began + 14 * 60) < now <= at(began + 15 * 60)


@pytest.mark.parametrize(
    "report",
    [paid(amount=OTHER), paid(receipt=THEIRS, is_payment_id_taken=True)],
    ids=["another amount", "somebody else's id"],
)
def test_what_was_paid_otherwise_is_not_refunded_blindly(report):
    """What is to be given back is not clear, so a person has to look."""
    taken = step(walk(*WALKS["asking"][0]), InquiryAnswered(report), at(4), POLICY)
    assert taken.payment.status is Status.UNRESOLVED
    assert letters(taken.effects) == "TA"
    unresolved = walk(*WALKS["UNRESOLVED asking"][0])
    taken = step(unresolved, InquiryAnswered(report), at(4510), POLICY)
    assert outcome_of(unresolved, taken) == "UNRESOLVED A"
    assert taken.payment.next_action_at == at(4510 + 3600)


def test_the_refund_has_one_id_derived_from_the_payments():
    one, two = opened(), replace(opened(), payment_request_id="pay_" + "x" * 26)
    assert refund_request_id(one) == refund_request_id(walk(*WALKS["refunding"][0]))
    assert refund_request_id(one) != refund_request_id(two)
    assert len(refund_request_id(two)) <= 64


RESOLUTIONS = [
    # state, as what, seconds, allowed
    ("UNRESOLVED", "SUCCEEDED", 910, True),
    ("UNRESOLVED", "FAILED", 910, True),
    ("UNRESOLVED", "CANCELLED", 910, True),
    ("UNRESOLVED", "PENDING", 910, False),
    ("UNRESOLVED", "UNRESOLVED", 910, False),
    ("cancel out", "CANCELLED", 2 + 89.9, False),
    ("cancel out", "CANCELLED", 2 + 90, True),
    ("reopened", "SUCCEEDED", 4 + 90, False),
    ("reopened", "CANCELLED", 4 + 90, True),
    ("giving back", "SUCCEEDED", 2 + 90, False),
    ("first send out", "FAILED", 1000, False),
    ("SUCCEEDED", "FAILED", 1000, False),
    ("FAILED", "SUCCEEDED", 1000, False),
]


@pytest.mark.parametrize(("state", "status", "seconds", "is_allowed"), RESOLUTIONS)
def test_an_operator_may_resolve_what_is_stuck_and_never_contradict_a_till(
    state, status, seconds, is_allowed
):
    before, now = walk(*WALKS[state][0]), at(seconds)
    reason = may_resolve(before, Status(status), now, POLICY)
    after = step(before, Resolved(Status(status), "operator", "evidence"), now, POLICY).payment
    assert (reason is None) is is_allowed
    assert after.status is (Status(status) if is_allowed else before.status)


def test_a_cancel_that_left_before_the_window_closed_is_followed_by_one_more():
    assert closing_at(-0.5, "cancel unanswered").payment.status is Status.CANCELLING


def test_a_refused_cancel_is_repeated_slowly_while_the_window_is_open_only():
    before = closing_at(-100, "cancel refused").payment
    assert before.next_action_at == WINDOW_CLOSES - timedelta(seconds=100 - 1 - 60)
    assert closing_at(1, "cancel refused").payment.closing is Closing.ASKING


def test_unresolved_keeps_the_order_and_is_not_final():
    payment = walk(*WALKS["UNRESOLVED"][0])
    assert (payment.is_final, payment.holds_order) == (False, True)


def test_an_unresolved_payment_that_was_known_paid_is_refunded_when_reported_paid():
    closing = [(1, "pay S"), (2, "cancel asked"), (3, "cancel too late")]
    payment = walk(*closing, (909, "timer"), (4509, "timer"))
    taken = step(payment, EVENTS["inquiry S"], at(4510), POLICY)
    assert outcome_of(payment, taken) == "CANCELLING RTA"


@pytest.mark.parametrize(
    "answer",
    ["inquiry U", "inquiry not exist", "inquiry unanswered", "inquiry refused"],
)
def test_an_unresolved_payment_is_asked_about_hourly_for_7_days(answer):
    payment, asked_at = walk(*WALKS["UNRESOLVED"][0]), []
    while payment.next_action_at is not None and len(asked_at) < 200:
        now = payment.next_action_at
        payment = step(payment, TimerDue(), now, POLICY).payment
        asked_at.append(now)
        payment = step(payment, EVENTS[answer], now + timedelta(seconds=1), POLICY).payment
    assert 160 <= len(asked_at) <= 170
    assert payment.status is Status.UNRESOLVED
    assert payment.next_action_at is None


# What is told
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["FAILED", "FAILED never left", "CANCELLED"])
def test_a_late_success_gives_the_money_back_and_stays_final_without_the_order(state):
    payment = walk(*WALKS[state][0])
    assert (payment.is_final, payment.holds_order) == (True, False)
    taken = step(payment, EVENTS["notified S"], at(20), POLICY)
    assert taken.payment.status is Status.CANCELLING
    assert (taken.payment.is_final, taken.payment.holds_order) == (True, False)
    assert taken.payment.receipt == MINE
    assert {type(effect) for effect in taken.effects} == {SendCancel, TellTill, Alert}
    back = step(taken.payment, EVENTS["cancel S"], at(21), POLICY).payment
    # It had ended and was reported paid after that: one look before believing the cancel.
    assert back.closing is Closing.ASKING
    back = step(back, EVENTS["inquiry F"], at(22), POLICY).payment
    assert (back.status, back.is_final, back.holds_order) == (Status.CANCELLED, True, False)


NEXT_STEPS = [
    ("first send out", "wait"),
    ("resend planned", "wait"),
    ("second send out", "wait_do_not_charge_again"),
    ("in process", "ask_customer_to_confirm"),
    ("refused unsigned", "call_support"),
    ("mismatch seen", "wait_do_not_charge_again"),
    ("SUCCEEDED", "none"),
    ("FAILED", "show_new_code"),
    ("FAILED never left", "try_again"),
    ("cancel out", "wait_do_not_charge_again"),
    ("giving back", "wait_do_not_charge_again"),
    ("CANCELLED", "none"),
    ("UNRESOLVED", "call_support"),
]


@pytest.mark.parametrize(("state", "told"), NEXT_STEPS)
def test_the_till_is_told_what_to_do(state, told):
    assert next_step(walk(*WALKS[state][0])).value == told


def test_an_expired_payment_asks_for_a_new_code():
    payment = walk((60, "timer"), (61, "inquiry U"), (62, "cancel S"))
    assert next_step(payment) is NextStep.SHOW_NEW_CODE


def test_money_on_its_way_back_is_none_of_the_tills_business():
    payment = walk((1, "pay F judged"), (20, "notified S"))
    assert next_step(payment) is NextStep.NONE


def test_a_till_that_was_told_cancelled_is_never_told_to_wait_again():
    payment = walk(*WALKS["CANCELLED"][0], (20, "notified S"))
    assert payment.is_final
    assert next_step(payment) is NextStep.NONE


OVER = {
    NextStep.SHOW_NEW_CODE,
    NextStep.USE_OTHER_METHOD,
    NextStep.TRY_AGAIN,
    NextStep.CALL_SUPPORT,
}
FAILURES = sorted(code for code, one in MEANINGS.items() if one.outcome is Outcome.FAILURE)


@pytest.mark.parametrize("code", FAILURES)
def test_a_failed_payment_never_tells_the_till_to_wait(code):
    payment = walk((1, Notified(failed(code))))
    assert payment.status is Status.FAILED
    assert next_step(payment) in OVER


def test_a_cancelled_payment_never_tells_the_till_to_wait():
    payment = walk((1, "pay F says nothing"), (2, "inquiry not exist"), (3, "cancel S"))
    assert payment.status is Status.CANCELLED
    assert next_step(payment) in OVER


def test_the_newest_word_of_the_network_is_kept():
    payment = walk((1, PayAnswered(unknown("UNKNOWN_EXCEPTION"))))
    assert payment.result_code == "UNKNOWN_EXCEPTION"
    assert next_step(payment) is NextStep.WAIT_DO_NOT_CHARGE_AGAIN


def test_what_was_asked_for_never_changes():
    assert walk((1, "pay S other amount")).order.amount == ASKED

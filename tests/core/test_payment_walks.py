"""Random walks over a payment's life: what holds whatever comes, in whatever order."""

import heapq
from dataclasses import fields, replace
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.payment_cases import (
    EVENTS,
    PLACED,
    POLICY,
    WINDOW_CLOSES,
    at,
    failed,
    opened,
    paid,
    unknown,
    walk,
)
from tillgate.core.model import (
    RESTING,
    WAITING,
    Call,
    CancelAnswered,
    CancelRequested,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Notified,
    PayAnswered,
    PayNeverLeft,
    PayRefusedUnsigned,
    PayUnanswered,
    RefundAnswered,
    RefundUnanswered,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    TimerDue,
    changed,
)
from tillgate.core.payment import next_step, step
from tillgate.core.results import NextStep, Outcome

CLOSED = ("cancel", "refund", "resolved")
SUCCESSES = {name for name in EVENTS if " S" in name and not name.startswith(CLOSED)}
RESOLVED = {name for name in EVENTS if name.startswith("resolved")}
FAILURES = {name for name in EVENTS if " F" in name}
# What the network says of a payment, in words that end one of which a byte may have left.
EXPLICIT = FAILURES | RESOLVED | {
    "cancel S", "cancel not exist", "refund S", "inquiry S cancelled", "inquiry not exist",
}  # fmt: skip

EDGES = {
    Status.PENDING: set(Status) - {Status.UNRESOLVED},
    Status.SUCCEEDED: {Status.CANCELLING},
    Status.FAILED: {Status.CANCELLING},
    Status.CANCELLED: {Status.CANCELLING},
    Status.CANCELLING: {Status.CANCELLED, Status.UNRESOLVED},
    Status.UNRESOLVED: {Status.CANCELLED, Status.CANCELLING},
}

CALLS = SendPay | SendInquiry | SendCancel | SendRefund

# How long after the last event this one comes; None: exactly when the payment's timer is due.
WAITS = st.one_of(st.none(), st.sampled_from([0, 0.001, 0.5, 1, 3, 5, 9, 20, 60, 3600, 50_000]))
POLICIES = st.sampled_from([POLICY, replace(POLICY, paid_is_refunded=True)])
WALKS = st.lists(st.tuples(WAITS, st.sampled_from(sorted(EVENTS))), max_size=60)


def check_step(before, name, now, taken):
    after, effects = taken.payment, taken.effects
    if after is before:
        assert effects == ()
        return
    assert after.version == before.version + 1
    assert after.order is before.order
    assert after.is_final >= before.is_final
    assert after.holds_order <= before.holds_order
    assert (after.status in {Status.FAILED, Status.CANCELLED}) <= (not after.holds_order)
    if name in RESOLVED and after.status is not before.status:
        assert before.status in {Status.CANCELLING, Status.UNRESOLVED}
        assert after.status is not Status.SUCCEEDED or not before.is_final
    else:
        assert after.status is before.status or after.status in EDGES[before.status]
    if after.status in WAITING:
        assert after.next_action_at is not None
    if after.status in RESTING:
        assert after.is_final
        is_looking = after.status is Status.CANCELLED and after.next_action is Call.INQUIRY
        assert after.next_action_at is None or is_looking
    if after.status in {Status.FAILED, Status.CANCELLED} and after.status is not before.status:
        assert after.sends_open == 0 or name in EXPLICIT
    if after.status is Status.SUCCEEDED and before.status is Status.PENDING:
        assert name in SUCCESSES
    assert len([one for one in effects if isinstance(one, CALLS)]) <= 1
    if any(isinstance(one, SendPay) for one in effects):
        assert before.may_resend
        assert now < before.order.expires_at
        assert after.sends == before.sends + 1
    assert next_step(after) in NextStep


@given(POLICIES, WALKS)
@example(POLICY, [(1, "pay F judged"), (20, "notified S"), (1, "cancel S")])
@example(POLICY, [(1, "pay U in process"), (1, "cancel asked"), (1, "cancel S"), (1, "notified S")])
@example(
    POLICY,
    [(0, "cancel asked"), (9, "pay F judged"), (9, "cancel too late"), (9, "inquiry F")],
)
def test_whatever_comes_the_rules_hold(policy, facts):
    payment, now = opened(policy=policy), PLACED
    for wait, name in facts:
        if wait is None:
            now = max(now, payment.next_action_at or now)
        else:
            now += timedelta(seconds=wait)
        taken = step(payment, EVENTS[name], now, policy)
        check_step(payment, name, now, taken)
        payment = taken.payment


# What confirms to a till that a payment is cancelled though the network called it paid last. "No
# such order" does so only where a cancel was answered S before.
GIVES_BACK = {"cancel S", "refund S", "resolved CANCELLED"}
TELLS_NOT_PAID = {"inquiry S cancelled", "inquiry F", "notified F"}


@given(POLICIES, WALKS)
@example(
    POLICY,
    [
        (1, "pay U in process"),
        (1, "cancel asked"),
        (1, "cancel too late"),
        (1, "notified S"),
        (1, "inquiry not exist"),
    ],
)
@example(
    POLICY,
    [(2, "pay U in process"), (1, "cancel asked"), (1, "notified S"), (73, "cancel not exist")],
)
def test_what_the_network_called_paid_is_cancelled_only_when_the_money_went_back(policy, facts):
    payment, now, was_called_paid, was_cancelled = opened(policy=policy), PLACED, False, False
    for wait, name in facts:
        if wait is None:
            now = max(now, payment.next_action_at or now)
        else:
            now += timedelta(seconds=wait)
        before, payment = payment, step(payment, EVENTS[name], now, policy).payment
        if name in SUCCESSES:
            was_called_paid = name != "inquiry S cancelled"
        was_cancelled |= name == "cancel S"
        is_confirmed = payment.status is Status.CANCELLED and before.status is not Status.CANCELLED
        if is_confirmed and was_called_paid and payment.sends_open > 0:
            rule = {"inquiry not exist"} if was_cancelled else set()
            assert name in GIVES_BACK | TELLS_NOT_PAID | rule


NEVER_PAID = [name for name in EVENTS if name not in SUCCESSES | {"resolved SUCCEEDED"}]


@given(POLICIES, st.lists(st.tuples(WAITS, st.sampled_from(sorted(NEVER_PAID))), max_size=60))
def test_without_a_success_nothing_is_ever_paid(policy, facts):
    payment, now = opened(policy=policy), PLACED
    for wait, name in facts:
        if wait is None:
            now = max(now, payment.next_action_at or now)
        else:
            now += timedelta(seconds=wait)
        payment = step(payment, EVENTS[name], now, policy).payment
        assert payment.status is not Status.SUCCEEDED


# Inquiries
# -------------------------------------------------------------------------------------------------

INQUIRIES_MAX = 20 + 1
PENDING_EVENTS = [
    "pay S without amount",
    "pay U in process",
    "pay U other",
    "pay unanswered",
    "pay never left",
    "pay refused unsigned",
    "inquiry U",
    "inquiry not exist",
    "inquiry refused",
    "inquiry unanswered",
    "notified S without amount",
    "notified U",
    "pay F repeat",
    "pay F says nothing",
]


def inquiries_in_the_first_minute(facts):
    payment, now, asked = opened(), PLACED, 0
    for wait, name in facts:
        now += timedelta(milliseconds=wait)
        if now >= at(60):
            break
        for event in (TimerDue(), EVENTS[name]):
            taken = step(payment, event, now, POLICY)
            asked += any(isinstance(one, SendInquiry) for one in taken.effects)
            payment = taken.payment
    return asked


@given(
    st.lists(
        st.tuples(st.sampled_from([10, 100, 1000]), st.sampled_from(PENDING_EVENTS)), max_size=120
    )
)
def test_any_order_of_events_asks_20_times_in_the_first_minute_at_most(facts):
    assert inquiries_in_the_first_minute(facts) <= INQUIRIES_MAX


@pytest.mark.parametrize("refusal", ["pay F repeat", "pay F says nothing", "pay S other amount"])
def test_a_refusal_that_is_repeated_never_becomes_a_storm(refusal):
    facts = [(500, name) for _ in range(60) for name in (refusal, "inquiry U")]
    assert inquiries_in_the_first_minute(facts) <= INQUIRIES_MAX


def test_a_payment_in_process_is_asked_about_10_to_20_times_in_its_minute():
    payment, now, asked = opened(), PLACED, 0
    payment = step(payment, EVENTS["pay U in process"], at(0.3), POLICY).payment
    while payment.status is Status.PENDING:
        now = payment.next_action_at
        taken = step(payment, TimerDue(), now, POLICY)
        asked += any(isinstance(one, SendInquiry) for one in taken.effects)
        payment = step(
            taken.payment, EVENTS["inquiry U"], now + timedelta(seconds=0.1), POLICY
        ).payment
    assert 10 <= asked <= 20
    assert at(60) <= now < at(61)


# The bound: a tiny driver, and a network that answers every call
# -------------------------------------------------------------------------------------------------

PAY_ANSWERS = st.sampled_from(
    [
        PayAnswered(paid()),
        PayAnswered(paid(amount=None)),
        PayAnswered(failed("INVALID_CODE")),
        PayAnswered(failed("PARAM_ILLEGAL")),
        PayAnswered(failed("REPEAT_REQ_INCONSISTENT")),
        PayAnswered(unknown("PAYMENT_IN_PROCESS")),
        PayAnswered(unknown("UNKNOWN_EXCEPTION")),
        PayNeverLeft("refused"),
        PayRefusedUnsigned("KEY_NOT_FOUND"),
        PayUnanswered("time-out"),
    ]
)
INQUIRY_ANSWERS = st.sampled_from(
    [
        InquiryAnswered(paid()),
        InquiryAnswered(failed("ORDER_IS_CLOSED")),
        InquiryAnswered(unknown("PAYMENT_IN_PROCESS")),
        InquiryAnswered(paid(is_cancelled=True)),
        InquiryRefused("ORDER_NOT_EXIST"),
        InquiryRefused("PARAM_ILLEGAL"),
        InquiryUnanswered("time-out"),
    ]
)
CANCEL_ANSWERS = st.sampled_from(
    [
        CancelAnswered(Outcome.SUCCESS, "SUCCESS"),
        CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST"),
    ]
)


@st.composite
def networks(draw):
    """What the network answers, call by call, and how long each takes, within its time-out."""
    return {
        SendPay: draw(st.lists(st.tuples(st.sampled_from([0.05, 2, 7.9]), PAY_ANSWERS))),
        SendInquiry: draw(st.lists(st.tuples(st.sampled_from([0.05, 2, 4.9]), INQUIRY_ANSWERS))),
        SendCancel: draw(st.lists(st.tuples(st.sampled_from([0.05, 2, 7.9]), CANCEL_ANSWERS))),
    }


TOO_LATE = CancelAnswered(Outcome.FAILURE, "CANCEL_WINDOW_EXCEED")
NO_SUCCESS = failed("")
LAST_WORD = {
    SendPay: (7.9, PayUnanswered("time-out")),
    SendInquiry: (4.9, InquiryUnanswered("time-out")),
    SendCancel: (7.9, CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST")),
    SendRefund: (7.9, RefundUnanswered("time-out")),
}


def drive(network, visits, until):
    """Save, perform, hear the answer, step: until the payment rests or the time is over."""
    queue, order = [], count()
    network = {call: iter(network.get(call, ())) for call in LAST_WORD}

    def later(seconds, event, now):
        heapq.heappush(queue, (now + timedelta(seconds=seconds), next(order), event))

    for seconds, event in visits:
        later(seconds, event, PLACED)
    payment, now, effects, was_paid = opened(), PLACED, (SendPay(),), False
    while payment.status in WAITING and now <= until:
        for effect in effects:
            if type(effect) in network:
                wait, event = next(network[type(effect)], LAST_WORD[type(effect)])
                later(wait, event, now)
        due = payment.next_action_at
        if queue and queue[0][0] <= due:
            now, _, event = heapq.heappop(queue)
        else:
            now, event = max(now, due), TimerDue()
        if was_paid and event == EVENTS["cancel not exist"]:
            event = EVENTS["cancel S"]  # It reported a success, so it knows the order.
        was_paid |= getattr(event, "report", NO_SUCCESS).outcome is Outcome.SUCCESS
        taken = step(payment, event, now, POLICY)
        payment, effects = taken.payment, taken.effects
    return payment, now


VISITS = st.lists(
    st.tuples(
        st.sampled_from([0.5, 3, 12, 30, 58, 61, 70]),
        st.sampled_from([CancelRequested("till"), Notified(paid()), Notified(paid(amount=None))]),
    ),
    max_size=2,
)


@given(networks(), VISITS)
@example({SendPay: [], SendInquiry: [], SendCancel: []}, [])
@example({SendPay: [], SendInquiry: [], SendCancel: []}, [(0.5, CancelRequested("till"))])
@example(
    {
        SendPay: [(0.05, PayAnswered(failed("REPEAT_REQ_INCONSISTENT")))],
        SendInquiry: [],
        SendCancel: [(2, CancelAnswered(Outcome.FAILURE, "ORDER_NOT_EXIST"))],
    },
    [(3, CancelRequested("till"))],
)
def test_a_network_that_answers_brings_every_payment_to_its_end_by_90_seconds(network, visits):
    payment, now = drive(network, visits, at(200))
    assert payment.is_final or payment.status is Status.UNRESOLVED
    assert now <= at(90)


@pytest.mark.parametrize(
    "cancel",
    [
        CancelUnanswered("time-out"),
        CancelAnswered(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION"),
        CancelAnswered(Outcome.FAILURE, "PROCESS_FAIL"),
        CancelAnswered(Outcome.FAILURE, "ACCESS_DENIED"),
    ],
)
def test_a_network_that_never_closes_leaves_it_unresolved_by_half_an_hour_after_the_window(cancel):
    network = {SendPay: [], SendInquiry: [], SendCancel: [(0.1, cancel)] * 10_000}
    payment, now = drive(network, [], WINDOW_CLOSES + timedelta(hours=2))
    assert payment.status is Status.UNRESOLVED
    assert now <= WINDOW_CLOSES + timedelta(minutes=30)


@st.composite
def networks_past_their_window(draw):
    """Networks that take no cancel, and answer a refund in any way."""
    answers = st.sampled_from(
        [
            RefundAnswered(Outcome.SUCCESS, "SUCCESS"),
            RefundAnswered(Outcome.UNKNOWN, "UNKNOWN_EXCEPTION"),
            RefundAnswered(Outcome.FAILURE, "PROCESS_FAIL"),
            RefundUnanswered("time-out"),
        ]
    )
    return draw(networks()) | {
        SendCancel: [(0.1, TOO_LATE)] * 100,
        SendRefund: draw(st.lists(st.tuples(st.sampled_from([0.05, 2, 7.9]), answers))),
    }


@given(networks_past_their_window(), VISITS)
def test_past_the_window_every_payment_ends_or_has_a_person_within_half_an_hour(network, visits):
    payment, now = drive(network, visits, at(3600))
    assert payment.is_final or payment.status is Status.UNRESOLVED
    assert now <= at(90 + 30 * 60)


REFUNDS = [
    [(0.1, RefundAnswered(Outcome.SUCCESS, "SUCCESS"))],
    [(7.9, RefundUnanswered("time-out"))] * 3 + [(0.1, RefundAnswered(Outcome.SUCCESS, "SUCCESS"))],
    [(0.1, RefundAnswered(Outcome.FAILURE, "PROCESS_FAIL"))] * 1000,
]


@pytest.mark.parametrize("refunds", REFUNDS, ids=["at once", "after silence", "never"])
def test_a_closed_window_ends_in_a_refund_or_with_a_person_within_half_an_hour(refunds):
    network = {
        SendPay: [(1, PayAnswered(unknown("PAYMENT_IN_PROCESS")))],
        SendInquiry: [(0.1, InquiryAnswered(paid()))] * 100,
        SendCancel: [(0.1, TOO_LATE)] * 100,
        SendRefund: refunds,
    }
    payment, now = drive(network, [(2, CancelRequested("till"))], at(3600))
    expected = Status.UNRESOLVED if len(refunds) > 100 else Status.CANCELLED
    assert payment.status is expected
    assert now <= at(30 * 60)


# The quick copy
# -------------------------------------------------------------------------------------------------


def test_a_changed_payment_is_what_dataclasses_would_make():
    payment = walk((1, "pay U in process"), (4, "timer"))
    for name in (field.name for field in fields(payment)):
        other = getattr(opened(placed_at=at(5)), name)
        try:
            expected = replace(payment, **{name: other})
        except AssertionError:
            with pytest.raises(AssertionError):
                changed(payment, **{name: other})
            continue
        assert changed(payment, **{name: other}) == expected
    with pytest.raises(KeyError):
        changed(payment, statsu=1)

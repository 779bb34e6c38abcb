"""The way back, looked at for what the table of test_payment.py does not show: a second life after
an operator or a reopening, outcomes that come late, and how long it may all take (section 3).
"""

from datetime import timedelta

import pytest

from tests.core.payment_cases import (
    CANCELLED,
    EVENTS,
    POLICY,
    WALKS,
    WINDOW_CLOSES,
    at,
    letters,
    paid,
    walk,
)
from tillgate.core.model import (
    Call,
    Closing,
    InquiryAnswered,
    InquiryUnanswered,
    Notified,
    PayUnanswered,
    Receipt,
    RefundUnanswered,
    SendCancel,
    SendInquiry,
    SendPay,
    SendRefund,
    Status,
    TimerDue,
)
from tillgate.core.payment import is_call_of, next_step, step
from tillgate.core.results import NextStep

# Which call each event is the outcome of, by the first word of its name.
CALLS = {"pay": Call.PAY, "inquiry": Call.INQUIRY, "cancel": Call.CANCEL, "refund": Call.REFUND}
CLOSING = [
    state
    for state, (facts, _) in WALKS.items()
    if walk(*facts).status in {Status.CANCELLING, Status.UNRESOLVED}
]


@pytest.mark.parametrize("state", CLOSING)
def test_the_outcome_of_a_call_that_nobody_awaits_never_moves_the_plan(state):
    facts, seconds = WALKS[state]
    before, moved = walk(*facts), []
    for name, event in EVENTS.items():
        if name == "cancel asked" or CALLS.get(name.split()[0]) in (None, before.calling):
            continue
        if before.calling is Call.INQUIRY and name.startswith("pay S"):
            continue  # a success makes the running question an old one: see below
        after = step(before, event, at(seconds), POLICY).payment
        plan = (after.calling, after.next_action, after.next_action_at)
        if after.status is before.status and plan != (
            before.calling,
            before.next_action,
            before.next_action_at,
        ):
            moved.append(name)
    assert moved == []


# Back-off
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "answer"),
    [
        ("asking", "inquiry U"),
        ("asking", "inquiry not exist"),
        ("asking", "inquiry unanswered"),
        ("asking", "inquiry refused"),
        ("reopened, asking", "inquiry U"),
        ("refunding", "refund U"),
        ("refunding", "refund unanswered"),
    ],
)
def test_asking_and_refunding_back_off(state, answer):
    payment, now, waits = walk(*WALKS[state][0]), at(WALKS[state][1]), []
    for _ in range(7):
        payment = step(payment, EVENTS[answer], now, POLICY).payment
        waits.append((payment.next_action_at - now).total_seconds())
        now = payment.next_action_at
        payment = step(payment, TimerDue(), now, POLICY).payment
    assert waits == [1, 2, 5, 10, 30, 30, 30]


def test_a_refused_refund_is_followed_by_a_question():
    """The answer that called it paid may have been an old one."""
    refused = walk((6, "refund refused"), start=walk(*WALKS["refunding"][0]))
    assert (refused.closing, refused.next_action) == (Closing.ASKING, Call.INQUIRY)
    asked = walk((7, "timer"), start=refused)
    assert walk((8, "inquiry F"), start=asked).status is Status.CANCELLED
    again = walk((8, "inquiry S"), start=asked)
    assert (again.calling, again.refunds) == (Call.REFUND, 2)
    assert again.closing_since == refused.closing_since


def test_a_refund_that_is_refused_for_ever_is_a_persons_after_15_minutes():
    network = {SendInquiry: (0.1, EVENTS["inquiry S"]), SendRefund: (0.1, EVENTS["refund refused"])}
    payment = follow(
        walk((5, "refund refused"), start=walk(*WALKS["refunding"][0])), at(6), network, at(1000)
    )
    assert payment.status is Status.UNRESOLVED


# What an answer means while closing
# -------------------------------------------------------------------------------------------------


def test_a_success_without_an_amount_is_enough_to_give_the_money_back():
    taken = step(walk(*WALKS["asking"][0]), InquiryAnswered(paid(amount=None)), at(4), POLICY)
    assert letters(taken.effects) == "R"


# Three ways to have ended CANCELLED without any cancel having been answered S.
NEVER_CANCELLED = {
    "nothing ever left": [(1, "pay never left"), (2, "cancel asked")],
    "no such order": [
        (1, "pay U in process"),
        (2, "cancel asked"),
        (3, "cancel unanswered"),
        (70, "timer"),
        (75, "cancel not exist"),
    ],
    "an operator said so": [
        (1, "pay U in process"),
        (2, "cancel asked"),
        (95, "resolved CANCELLED"),
    ],
}


@pytest.mark.parametrize("way", NEVER_CANCELLED)
def test_no_such_order_never_closes_what_was_paid_and_no_cancel_confirmed(way):
    cancelled = walk(*NEVER_CANCELLED[way])
    assert cancelled.status is Status.CANCELLED
    asking = walk((100, "notified S"), (101, "cancel too late"), start=cancelled)
    assert walk((102, "inquiry not exist"), start=asking).status is Status.CANCELLING


def test_no_such_order_closes_what_a_cancel_had_closed_before():
    asking = walk(*WALKS["reopened"][0], (5, "cancel too late"))
    early = walk((6, "inquiry not exist"), start=asking)
    assert early.status is Status.CANCELLING  # an order just placed may not be known everywhere
    assert walk((72, "timer"), (73, "inquiry not exist"), start=early).status is Status.CANCELLED


@pytest.mark.parametrize("answer", ["inquiry S", "inquiry U", "inquiry unanswered"])
def test_the_cancel_of_a_reopened_payment_alone_never_ends_it(answer):
    asked = walk(*WALKS["reopened, asking"][0], (6, answer))
    assert walk((7, "cancel S"), start=asked).status is Status.CANCELLING


def test_a_reopened_payment_that_is_still_paid_is_refunded():
    payment = walk(*WALKS["reopened, asking"][0], (6, "inquiry S"), (7, "refund S"))
    assert (payment.status, payment.refunds) == (Status.CANCELLED, 1)


def test_the_success_that_was_refunded_is_no_news_when_it_is_reported_late():
    refunded = walk(*WALKS["CANCELLED, refunded"][0])
    taken = step(refunded, EVENTS["notified S"], at(5000), POLICY)
    assert (taken.payment, taken.effects) == (refunded, ())


ANOTHER = Notified(paid(receipt=Receipt(payment_id="A2")))


def test_another_success_after_a_refund_begins_its_way_back_anew():
    reopened = walk((5000, ANOTHER), start=walk(*WALKS["CANCELLED, refunded"][0]))
    assert (reopened.status, reopened.calling) == (Status.CANCELLING, Call.CANCEL)
    repeated = walk((5001, "cancel unanswered"), (5011, "timer"), start=reopened)
    assert (repeated.status, repeated.calling) == (Status.CANCELLING, Call.CANCEL)


def test_what_is_paid_once_more_after_its_refund_is_a_persons():
    """The refund's id is used up: asking for it again gives nothing back."""
    reopened = walk((5000, ANOTHER), start=walk(*WALKS["CANCELLED, refunded"][0]))
    asked = walk((5001, "cancel S"), start=reopened)
    taken = step(asked, InquiryAnswered(ANOTHER.report), at(5002), POLICY)
    assert (taken.payment.status, letters(taken.effects)) == (Status.UNRESOLVED, "TA")
    again = step(taken.payment, ANOTHER, at(5003), POLICY)
    assert (again.payment.status, letters(again.effects)) == (Status.UNRESOLVED, "A")


def test_an_answer_that_may_be_older_than_a_reported_success_does_not_end_it():
    """The question was judged at the network, the money moved, and its word came first."""
    asking = walk(*WALKS["reopened, asking"][0])
    told = walk((6, "notified S"), start=asking)
    assert (told.calling, told.next_action, told.next_action_at) == (None, Call.INQUIRY, at(7))
    assert walk((6.5, "inquiry F"), start=told).status is Status.CANCELLING
    anew = walk((7, "timer"), (8, "inquiry F"), start=told)
    assert anew.status is Status.CANCELLED


def test_the_answer_to_an_older_question_is_not_taken_for_the_newer_ones():
    """Both are inquiries; what tells them apart is the moment at which each counts as lost."""
    looking = walk(*WALKS["CANCELLED, looking"][0])
    asking = walk((74, "notified S"), (75, "cancel S"), start=looking)
    assert asking.calling is Call.INQUIRY
    assert is_call_of(asking, asking)
    assert not is_call_of(looking, asking)
    old = step(asking, EVENTS["inquiry F"], at(76), POLICY, is_awaited=False)
    assert old.payment is asking
    new = step(asking, EVENTS["inquiry F"], at(76), POLICY)
    assert new.payment.status is Status.CANCELLED


def _outcomes_of_running_calls() -> list[tuple[str, str]]:
    running = [state for state, (facts, _) in WALKS.items() if walk(*facts).calling is not None]
    outcomes = [event for event in EVENTS if event.split()[0] in CALLS and event != "cancel asked"]
    return [(state, event) for state in running for event in outcomes]


@pytest.mark.parametrize(("state", "event"), _outcomes_of_running_calls())
def test_an_outcome_that_is_not_awaited_is_heard_as_if_no_call_ran(state, event):
    facts, seconds = WALKS[state]
    before = walk(*facts)
    late = step(before, EVENTS[event], at(seconds), POLICY, is_awaited=False).payment
    assert late.sends_never_left == before.sends_never_left
    if late.status is before.status and late.calling is before.calling:
        plan = (late.next_action, late.next_action_at)
        assert plan == (before.next_action, before.next_action_at)


# The look after a cancel that was confirmed while a pay may be on its way
# -------------------------------------------------------------------------------------------------


def test_a_cancel_confirmed_early_is_looked_at_once_when_no_pay_can_be_on_its_way():
    cancelled = walk(*CANCELLED)
    assert (cancelled.status, cancelled.is_final) == (Status.CANCELLED, True)
    assert (cancelled.next_action, cancelled.next_action_at) == (Call.INQUIRY, at(73))
    taken = step(cancelled, TimerDue(), at(73), POLICY)
    assert taken.effects == (SendInquiry(),)
    for answer in ("inquiry F", "inquiry not exist", "inquiry S cancelled"):
        rested = walk((74, answer), start=taken.payment)
        assert (rested.status, rested.next_action_at) == (Status.CANCELLED, None)


def test_what_was_reopened_and_found_closed_early_is_looked_at_too():
    closed = walk(*WALKS["reopened, asking"][0], (7, "inquiry F"))
    assert (closed.status, closed.next_action_at) == (Status.CANCELLED, at(73))


def test_a_cancel_confirmed_after_that_needs_no_look():
    late = walk((1, "pay U in process"), (2, "cancel asked"), (3, "cancel U"), (64, "timer"))
    assert walk((73, "cancel S"), start=late).next_action_at is None
    assert walk((72.9, "cancel S"), start=late).next_action_at == at(73)


def test_what_was_taken_after_its_cancel_goes_back():
    """The network confirmed the cancel of an order it did not know, then took the delayed pay."""
    looking = walk(*WALKS["CANCELLED, looking"][0])
    found = step(looking, EVENTS["inquiry S"], at(74), POLICY)
    assert (found.payment.status, letters(found.effects)) == (Status.CANCELLING, "CTA")
    ended = walk((75, "cancel S"), (76, "inquiry F"), start=found.payment)
    assert (ended.status, ended.next_action_at) == (Status.CANCELLED, None)


def test_what_waits_for_its_customer_after_its_cancel_is_cancelled_once_more():
    looking = walk(*WALKS["CANCELLED, looking"][0])
    taken = step(looking, EVENTS["inquiry U"], at(74), POLICY)
    assert letters(taken.effects) == "CTA"
    assert walk((75, "cancel S"), start=taken.payment).calling is Call.INQUIRY


def test_an_unanswered_look_is_repeated_ever_slower_for_a_week():
    start = walk(*CANCELLED)
    network = {SendInquiry: (5, EVENTS["inquiry unanswered"])}
    a_while = follow(start, at(73), network, at(200))
    assert 5 <= a_while.inquiries <= 12
    an_hour = follow(start, at(73), network, at(3600))
    assert an_hour.inquiries <= 40
    a_week = follow(start, at(73), network, at(WEEK + 9000))
    assert (a_week.status, a_week.next_action_at) == (Status.CANCELLED, None)
    assert a_week.inquiries <= 40 + 7 * 24


# After an operator
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["asking", "refund planned", "cancel planned", "UNRESOLVED"])
def test_a_payment_an_operator_called_paid_is_cancelled_like_any_other(state):
    """Whatever its first closing had come to, the second one lives on its own cancel."""
    succeeded = walk(*WALKS[state][0], (920, "resolved SUCCEEDED"))
    assert succeeded.status is Status.SUCCEEDED
    closing = walk((2000, "cancel asked"), (2001, "cancel unanswered"), start=succeeded)
    taken = step(closing, TimerDue(), at(2030), POLICY)
    assert (taken.payment.status, taken.effects) == (Status.CANCELLING, (SendCancel(),))


@pytest.mark.parametrize(
    ("state", "answer"), [("cancel planned", "cancel S"), ("refund planned", "refund S")]
)
def test_money_that_went_back_after_an_operator_called_it_paid_alerts(state, answer):
    """The call was out when the operator spoke: what contradicts the final result is an alert."""
    succeeded = walk(*WALKS[state][0], (920, "resolved SUCCEEDED"))
    taken = step(succeeded, EVENTS[answer], at(921), POLICY)
    assert taken.payment.status is Status.SUCCEEDED
    assert letters(taken.effects) == "A"


@pytest.mark.parametrize("word", ["SUCCEEDED", "FAILED", "CANCELLED"])
@pytest.mark.parametrize("state", CLOSING)
def test_what_an_operator_resolved_rests_and_never_tells_the_till_to_wait(state, word):
    before = walk(*WALKS[state][0])
    taken = step(before, EVENTS[f"resolved {word}"], at(9000), POLICY)
    is_on_its_way = before.calling in {Call.CANCEL, Call.REFUND}
    if word == "SUCCEEDED" and (not before.holds_order or is_on_its_way):
        assert taken.payment is before
        return
    assert (taken.payment.status.value, taken.payment.next_action_at) == (word, None)
    assert letters(taken.effects) == "T"
    assert next_step(taken.payment) not in {
        NextStep.WAIT,
        NextStep.WAIT_DO_NOT_CHARGE_AGAIN,
        NextStep.ASK_CUSTOMER_TO_CONFIRM,
    }


@pytest.mark.parametrize("state", ["cancel out", "asking", "refunding", "refund planned"])
def test_an_operator_waits_90_seconds_from_when_the_closing_began(state):
    assert walk((2 + 89.999, "resolved FAILED"), start=walk(*WALKS[state][0])).status is (
        Status.CANCELLING
    )
    assert walk((2 + 90.001, "resolved FAILED"), start=walk(*WALKS[state][0])).status is (
        Status.FAILED
    )


def test_a_success_after_an_operator_called_it_failed_gives_the_money_back():
    failed = walk(*WALKS["UNRESOLVED"][0], (920, "resolved FAILED"))
    taken = step(failed, EVENTS["notified S"], at(921), POLICY)
    assert letters(taken.effects) == "CTA"


# How long it may take
# -------------------------------------------------------------------------------------------------

WEEK = 7 * 24 * 3600


def test_an_unresolved_payment_rests_after_exactly_7_days():
    asked = walk(*WALKS["UNRESOLVED asking"][0])
    assert walk((WEEK - 0.001, "inquiry U"), start=asked).next_action is Call.INQUIRY
    assert walk((WEEK, "inquiry U"), start=asked).next_action is None


def follow(payment, now, answers, until):
    """Perform the payment's plan with these answers: {effect: (seconds it takes, event)}.

    Ends when nothing is planned, or only after `until`.
    """
    while payment.next_action_at is not None and payment.next_action_at <= until:
        now = max(now, payment.next_action_at)
        taken = step(payment, TimerDue(), now, POLICY)
        payment, effects = taken.payment, list(taken.effects)
        while effects:
            call = next((one for one in effects if type(one) in answers), None)
            if call is None:
                break
            wait, event = answers[type(call)]
            now += timedelta(seconds=wait)
            taken = step(payment, event(now) if callable(event) else event, now, POLICY)
            payment, effects = taken.payment, list(taken.effects)
    return payment


def test_a_paid_payment_whose_refund_is_always_refused_rests_after_7_days_too():
    network = {SendInquiry: (0.1, EVENTS["inquiry S"]), SendRefund: (0.1, EVENTS["refund refused"])}
    start = walk(*WALKS["UNRESOLVED"][0])
    payment = follow(start, at(910), network, at(WEEK + 24 * 3600))
    assert (payment.status, payment.next_action_at) == (Status.UNRESOLVED, None)


@pytest.mark.parametrize("cancel", ["cancel unanswered", "cancel U", "cancel refused"])
@pytest.mark.parametrize("paid_after", [0, 60, 600, 890])
def test_by_half_an_hour_after_the_window_a_person_knows(cancel, paid_after):
    """The worst of networks: no cancel is taken, paid is said late, and no refund is confirmed."""
    began = WINDOW_CLOSES + timedelta(seconds=10)

    def inquired(now):
        if now >= began + timedelta(seconds=paid_after):
            return EVENTS["inquiry S"]
        return InquiryUnanswered("time-out")

    network = {
        SendPay: (7.9, PayUnanswered("time-out")),
        SendCancel: (7.9, EVENTS[cancel]),
        SendInquiry: (4.9, inquired),
        SendRefund: (7.9, RefundUnanswered("time-out")),
    }
    payment = walk((1, "pay S"), (2, "cancel asked"), (9.9, cancel))
    payment = follow(payment, at(9.9), network, WINDOW_CLOSES + timedelta(hours=1))
    assert payment.status is Status.UNRESOLVED
    assert payment.changed_at <= WINDOW_CLOSES + timedelta(minutes=30)


# Contradictions while nobody knows yet
# -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("success", ["notified S without amount", "notified S other amount"])
@pytest.mark.parametrize("refusal", ["pay F judged", "pay F message"])
def test_a_refusal_after_a_success_that_was_unclear_never_means_failed(success, refusal):
    """A copy of the request may be refused for the code that the first one used."""
    asked = walk((1, success), (2, refusal))
    assert asked.status is Status.PENDING
    assert asked.next_action is Call.INQUIRY
    told = walk((3, "timer"), (4, "inquiry F"), start=asked)
    assert told.status is Status.CANCELLING


def test_an_inconsistent_repeat_is_never_sent_again():
    """Something of ours stands there under this id, with other content."""
    refused = walk((8, "pay unanswered"), (9, "timer"), (10, "pay F repeat"))
    network = {SendInquiry: (0.1, EVENTS["inquiry not exist"])}
    asked = follow(refused, at(11), network, at(59))
    assert (asked.sends, asked.status) == (2, Status.PENDING)


def test_an_operator_does_not_call_it_paid_while_its_cancel_is_on_its_way():
    closing = walk((1, "pay U in process"), (2, "cancel asked"), (11, "cancel unanswered"))
    out = walk((93, "timer"), start=closing)
    assert out.calling is Call.CANCEL
    assert walk((94, "resolved SUCCEEDED"), start=out).status is Status.CANCELLING
    assert walk((94, "resolved CANCELLED"), start=out).status is Status.CANCELLED

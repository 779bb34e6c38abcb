"""The life of a refund, row by row. The walks over random events stand in test_refund_walks.py."""

from datetime import timedelta

import pytest

from tests.core.refund_cases import (
    EVENTS,
    OPENED,
    PAID,
    PART,
    POLICY,
    TOO_LONG,
    WALKS,
    at,
    letters,
    opened,
    refused,
    walk,
)
from tillgate.core.model import Alert, Call, TimerDue
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.refund import is_refund_call_of, may_resolve_refund, open_refund, refund_step
from tillgate.core.refund_model import GiveBack, RefundStatus, SendAnswered

# Per state: what becomes of the refund, and the events that do it. An outcome is the next status,
# the effects (R refund, I inquiry, T tell, A alert) and, where it stays, the next action; "=" is
# the very same object and no effects.
TABLE = {
    "first send out": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "FAILED T": "send F",
        "FAILED TA": "send F message",
        "PENDING A, then inquiry": "send F repeat, send refused unsigned",
        "PENDING, then inquiry": "send F says nothing",
        "PENDING, then refund": "send U, send unanswered, send never left",
        "=": "look F, look U, not listed, look refused, look unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved PENDING, timer",
    },
    "resend planned": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "second send out": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "PENDING, then inquiry": "send U, send unanswered, send never left",
        "PENDING A, then inquiry": "send F, send F says nothing, send F message, send F repeat,"
        " send refused unsigned",
        "=": "look F, look U, not listed, look refused, look unanswered,"
        " resolved SUCCEEDED, resolved FAILED, resolved PENDING, timer",
    },
    "question planned": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "asking": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "PENDING, then inquiry": "look F, look U",
        "PENDING, then refund": "not listed, look unanswered",
        "PENDING A, then refund": "look refused",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "refused after silence": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "asking, refused": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "PENDING, then inquiry": "look F, look U",
        "PENDING, then refund": "not listed, look unanswered",
        "PENDING A, then refund": "look refused",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "third send refused too": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "listed as failed, asking, quiet": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "FAILED T": "look F, not listed",
        "PENDING, then inquiry": "look U, look unanswered",
        "PENDING A, then inquiry": "look refused",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "only send says nothing, asking, quiet": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "FAILED T": "look F, not listed",
        "PENDING, then inquiry": "look U, look unanswered",
        "PENDING A, then inquiry": "look refused",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "in conflict": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "FAILED T": "look F",
        "PENDING, then inquiry": "look U, not listed, look unanswered",
        "PENDING A, then inquiry": "look refused",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "refused unsigned": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "PENDING I": "timer",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING",
    },
    "never left": {
        "SUCCEEDED T": "send S, send S without amount, look S",
        "UNRESOLVED TAA": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "SUCCEEDED": {
        "SUCCEEDED A, then nothing": "send S other amount, send F, send F message, send F repeat,"
        " send F says nothing, look S other amount, look F",
        "=": "send S, send S without amount, send U, send unanswered, send"
        " never left, send refused unsigned, look S, look U, not"
        " listed, look refused, look unanswered, resolved SUCCEEDED,"
        " resolved FAILED, resolved PENDING, timer",
    },
    "FAILED": {
        "FAILED A, then nothing": "send S, send S without amount, send S other amount, look S,"
        " look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved SUCCEEDED, resolved FAILED, resolved"
        " PENDING, timer",
    },
    "UNRESOLVED": {
        "SUCCEEDED T": "send S, send S without amount, look S, resolved SUCCEEDED",
        "UNRESOLVED A, then inquiry": "send S other amount, look S other amount",
        "FAILED T": "resolved FAILED",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved PENDING, timer",
    },
    "UNRESOLVED asking": {
        "SUCCEEDED T": "send S, send S without amount, look S, resolved SUCCEEDED",
        "UNRESOLVED A, then inquiry": "send S other amount, look S other amount, look refused",
        "FAILED T": "look F, resolved FAILED",
        "UNRESOLVED, then inquiry": "look U, look unanswered",
        "UNRESOLVED R": "not listed",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, resolved PENDING, timer",
    },
    "UNRESOLVED sending": {
        "SUCCEEDED T": "send S, send S without amount, look S, resolved SUCCEEDED",
        "UNRESOLVED A, then inquiry": "send S other amount, send F, send F says nothing, send F"
        " message, send F repeat, send refused unsigned, look S other amount",
        "UNRESOLVED, then inquiry": "send U, send unanswered, send never left",
        "=": "look F, look U, not listed, look refused, look unanswered,"
        " resolved FAILED, resolved PENDING, timer",
    },
    "UNRESOLVED, just sent again": {
        "SUCCEEDED T": "send S, send S without amount, look S, resolved SUCCEEDED",
        "UNRESOLVED A, then inquiry": "send S other amount, look S other amount",
        "=": "send F, send F message, send F repeat, send F says nothing,"
        " send U, send unanswered, send never left, send refused"
        " unsigned, look F, look U, not listed, look refused, look"
        " unanswered, resolved FAILED, resolved PENDING, timer",
    },
}


def outcome_of(before, taken):
    """As the table writes it."""
    if taken.refund is before:
        return "="
    text = f"{taken.refund.status.value} {letters(taken.effects)}".strip()
    if taken.refund.status is before.status and not set(letters(taken.effects)) - {"A"}:
        text += f", then {taken.refund.next_action or 'nothing'}"
    return text


ROWS = [
    (state, outcome, event)
    for state, outcomes in TABLE.items()
    for outcome, events in outcomes.items()
    for event in events.split(", ")
]


@pytest.mark.parametrize(("state", "outcome", "event"), ROWS)
def test_each_row_of_the_table(state, outcome, event):
    facts, seconds = WALKS[state]
    before = walk(*facts)
    taken = refund_step(before, EVENTS[event], at(seconds), POLICY)
    assert outcome_of(before, taken) == outcome
    assert (taken.refund is before) or taken.refund.version == before.version + 1


def test_the_table_has_every_state_with_every_event_once():
    assert sorted((state, event) for state, _, event in ROWS) == sorted(
        (state, event) for state in WALKS for event in EVENTS
    )
    assert {walk(*facts).status for facts, _ in WALKS.values()} == set(RefundStatus)


def test_a_refund_begins_with_its_first_send_counted_and_a_time_by_which_it_counts_as_lost():
    taken = open_refund("ref_1", PAID, PART, None, "key", OPENED, POLICY)
    assert taken.effects == (GiveBack(),)
    assert (taken.refund.sends, taken.refund.calling) == (1, Call.REFUND)
    assert taken.refund.next_action_at == at(9)
    assert taken.refund.payment_id == "A1"


@pytest.mark.parametrize(
    "code", ["PROCESS_FAIL", "USER_STATUS_ABNORMAL", "NOBODY_KNOWS_THIS", "PARAM_ILLEGAL"]
)
def test_a_signed_refusal_of_the_only_send_is_the_end(code):
    taken = refund_step(opened(), SendAnswered(refused(code)), at(1), POLICY)
    assert taken.refund.status is RefundStatus.FAILED
    assert taken.refund.result_code == code


LOST = ["send unanswered", "timer", "send U"]
REFUSALS = [
    "PROCESS_FAIL",
    "MERCHANT_BALANCE_NOT_ENOUGH",
    "REFUND_AMOUNT_EXCEED",
    "REFUND_WINDOW_EXCEED",
    "ORDER_NOT_EXIST",
    "NOBODY_KNOWS_THIS",
    "PARAM_ILLEGAL",
    "INVALID_SIGNATURE",
    "ACCESS_DENIED",
]


@pytest.mark.parametrize("lost", LOST)
@pytest.mark.parametrize("code", REFUSALS)
def test_a_refusal_after_a_send_that_may_have_arrived_says_nothing_of_that_send(lost, code):
    """The crash loses an outcome as the network does: the timer is all that comes. Refused again
    and again, and listed never: nobody can say what became of the first one.
    """
    refund, sends, end = walk((9, lost), (10.5, "timer")), [], SendAnswered(refused(code))
    while refund.status is RefundStatus.PENDING:
        now = (refund.next_action_at - OPENED).total_seconds()
        outcome = "not listed"
        if refund.calling is Call.REFUND:
            sends, outcome, now = [*sends, now], end, now - 5
        elif refund.calling is None:
            outcome = "timer"
        refund = walk((now, outcome), start=refund)
    assert refund.status is RefundStatus.UNRESOLVED
    assert len(sends) > 3
    hours = 24 * [(3601, "timer"), (3602, "not listed"), (3603, end)]
    for after, (seconds, fact) in enumerate(hours):
        refund = walk((after // 3 * 3601 + 900 + seconds, fact), start=refund)
    assert refund.status is RefundStatus.UNRESOLVED


def test_a_network_that_lists_every_refund_and_refused_this_one_has_said_it_all():
    """AlipayCN answers for one refund by its number; even so, nothing may be on its way."""
    facts = [(13, "send unanswered"), (17, "timer"), (18, "send F")]
    after = walk(*facts, policy=ALIPAY_CN)
    assert (after.status, after.next_action) == (RefundStatus.PENDING, Call.INQUIRY)
    early = walk((25, "timer"), (26, "not listed"), start=after, policy=ALIPAY_CN)
    assert early.status is RefundStatus.PENDING
    assert early.next_action_at == after.sent_at + timedelta(seconds=60)
    late = walk((85, "timer"), (86, "not listed"), start=early, policy=ALIPAY_CN)
    assert late.status is RefundStatus.FAILED


def test_after_a_refusal_that_was_put_aside_nothing_is_sent_again():
    refund = walk((1, "send F says nothing"))
    for seconds in range(11, 1000):
        taken = refund_step(refund, TimerDue(), at(seconds), POLICY)
        assert GiveBack() not in taken.effects
        refund = walk((seconds + 0.5, "look unanswered"), start=taken.refund)
    assert refund.status is RefundStatus.UNRESOLVED


def test_the_same_refusal_again_calls_nobody_again():
    sent = walk((8, "send unanswered"), (9, "timer"))
    first = refund_step(sent, EVENTS["send F"], at(10), POLICY)
    assert letters(first.effects) == "A"
    again = walk((20, "timer"), (21, "not listed"), (40, "timer"), start=first.refund)
    assert again.calling is Call.REFUND
    second = refund_step(again, EVENTS["send F"], at(41), POLICY)
    assert letters(second.effects) == ""


def test_an_operators_no_counts_only_when_nothing_sent_can_arrive():
    refund = walk(*TOO_LONG, (4501, "timer"), (4502, "not listed"), (4510, "send unanswered"))
    for seconds, is_refused in ((4511, True), (4561, True), (4562, False), (4563, False)):
        why = may_resolve_refund(refund, RefundStatus.FAILED, at(seconds), POLICY)
        assert bool(why) is is_refused
        resolved = walk((seconds, "resolved FAILED"), start=refund)
        assert (resolved.status is RefundStatus.FAILED) is not is_refused
    assert may_resolve_refund(refund, RefundStatus.SUCCEEDED, at(4511), POLICY) is None


def test_what_never_left_fails_at_the_bound_and_not_before():
    refund, now = opened(), 0
    while refund.status is RefundStatus.PENDING:
        refund = walk((now + 0.1, "send never left"), start=refund)
        if refund.status is RefundStatus.PENDING:
            now = (refund.next_action_at - OPENED).total_seconds()
            refund = walk((now, "timer"), start=refund)
    assert refund.status is RefundStatus.FAILED
    assert 800 < now < 902


def test_a_success_of_another_amount_wants_a_person_and_is_never_sent_again():
    refund = walk((1, "send S other amount"))
    assert refund.status is RefundStatus.UNRESOLVED
    assert not refund.may_resend
    later = walk((3601, "timer"), (3602, "not listed"), start=refund)
    assert (later.status, later.next_action) == (RefundStatus.UNRESOLVED, Call.INQUIRY)


def test_an_unresolved_refund_is_asked_about_for_a_week_and_then_rests():
    refund, asked = walk(*WALKS["UNRESOLVED"][0]), 0
    while refund.next_action_at is not None:
        now = (refund.next_action_at - OPENED).total_seconds()
        refund = walk((now, "timer"), (now + 5, "look unanswered"), start=refund)
        asked += 1
    assert 24 * 7 - 2 <= asked <= 24 * 7 + 2
    assert refund.status is RefundStatus.UNRESOLVED
    assert may_resolve_refund(refund, RefundStatus.FAILED, at(8 * 86400), POLICY) is None


def test_the_end_of_asking_calls_a_person():
    refund = walk((8, "send unanswered"), (900, "timer"), (901, "look unanswered"))
    asking = walk((7 * 86400, "timer"), start=refund)
    taken = refund_step(asking, EVENTS["look unanswered"], at(7 * 86400 + 1), POLICY)
    assert taken.refund.next_action is None
    assert letters(taken.effects) == "A"


def test_alipaycns_refunds_of_one_trade_are_three_seconds_apart():
    refund = walk((1, "send unanswered"), policy=ALIPAY_CN)
    assert refund.next_action_at >= at(4)


def test_the_outcome_of_an_earlier_call_is_not_taken_for_this_ones():
    first = opened()
    second = walk((9, "timer"))
    assert is_refund_call_of(first, first)
    assert not is_refund_call_of(first, second)
    taken = refund_step(second, EVENTS["send F"], at(10), POLICY, is_awaited=False)
    assert taken.refund is second
    done = refund_step(second, EVENTS["send S"], at(10), POLICY, is_awaited=False)
    assert done.refund.status is RefundStatus.SUCCEEDED


def test_what_contradicts_the_end_is_an_alert():
    ended = walk((1, "send F"))
    taken = refund_step(ended, EVENTS["look S"], at(2), POLICY)
    assert taken.refund.status is RefundStatus.FAILED
    assert [type(effect) for effect in taken.effects] == [Alert]


def test_the_receipt_of_a_refund_is_kept():
    refund = walk((1, "send S"))
    assert (refund.refund_id, refund.refunded_at, refund.result_code) == ("R1", OPENED, "SUCCESS")

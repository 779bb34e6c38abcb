"""Random walks over a refund's life: what holds whatever comes, in whatever order."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from tests.core.payment_cases import POLICY
from tests.core.refund_cases import EVENTS, OPENED, opened
from tillgate.core.model import Call, TimerDue
from tillgate.core.pacing import ALIPAY_CN
from tillgate.core.refund import refund_step
from tillgate.core.refund_model import GiveBack, LookUp, RefundStatus

WAITS = st.one_of(st.none(), st.sampled_from([0, 0.001, 0.5, 1, 3, 9, 20, 70, 900, 3600, 50_000]))
POLICIES = st.sampled_from([POLICY, ALIPAY_CN])
FACTS = st.lists(st.tuples(WAITS, st.sampled_from(sorted(EVENTS))), max_size=60)

SUCCESSES = {"send S", "send S without amount", "look S", "resolved SUCCEEDED"}
REFUSALS = {"send F", "send F message", "look F"}


def moved(now, wait, refund):
    if wait is None:
        return max(now, refund.next_action_at or now)
    return now + timedelta(seconds=wait)


@given(POLICIES, FACTS)
@example(POLICY, [(8, "send unanswered"), (1, "timer"), (1, "send F"), (70, "not listed")])
@example(
    ALIPAY_CN, [(8, "send U"), (None, "timer"), (1, "send F"), (None, "timer"), (70, "not listed")]
)
@example(POLICY, [(1, "send F repeat"), (70, "timer"), (1, "not listed")])
def test_whatever_comes_the_rules_hold(policy, facts):
    refund, now, was_listed_failed = opened(policy), OPENED, False
    for wait, name in facts:
        now = moved(now, wait, refund)
        before, taken = refund, refund_step(refund, EVENTS[name], now, policy)
        refund = taken.refund
        if refund is before:
            assert taken.effects == ()
            continue
        assert refund.version == before.version + 1
        assert refund.amount == before.amount
        assert refund.refund_request_id == before.refund_request_id
        if before.is_final:
            assert refund == replace(before, version=refund.version)
        if refund.status is RefundStatus.SUCCEEDED and not before.is_final:
            assert name in SUCCESSES
        if refund.status is RefundStatus.FAILED and not before.is_final:
            assert refund.sends_open == 0 or name in REFUSALS | {"not listed", "resolved FAILED"}
            if name == "not listed":
                assert before.refused_code is not None
                assert before.sends_open <= 1 or policy.lists_every_refund or was_listed_failed
            if before.sends_open > 1 and before.status is RefundStatus.PENDING:
                assert now >= before.sent_at + policy.refund_settles
            assert not (name.startswith("send F") and before.sends_open > 1)
        was_listed_failed |= name == "look F"
        calls = [one for one in taken.effects if isinstance(one, GiveBack | LookUp)]
        assert len(calls) <= 1
        if GiveBack() in calls:
            assert refund.sends == before.sends + 1
            assert before.may_resend
            assert before.refused_code is None
        assert bool(calls) <= (refund.calling is not None)


ANSWERS = st.lists(st.sampled_from(sorted(set(EVENTS) - {"timer"})), max_size=40)
DELAYS = st.sampled_from([0.1, 4.9])


@given(POLICIES, ANSWERS, DELAYS)
@example(POLICY, [], 4.9)
def test_every_refund_ends_or_has_a_person_within_16_minutes(policy, answers, delay):
    """Each call gets the next answer of its kind; after the last one nobody answers any more."""
    refund, now, left = opened(policy), OPENED, list(answers)
    while refund.status is RefundStatus.PENDING:
        kind = "send" if refund.calling is Call.REFUND else ("look", "not")
        name = left.pop(0) if left and left[0].startswith(kind) else None
        if left and name is None:
            left.pop(0)
        silence = "send unanswered" if refund.calling is Call.REFUND else "look unanswered"
        now += timedelta(seconds=delay)
        refund = refund_step(refund, EVENTS[name or silence], now, policy).refund
        if refund.status is RefundStatus.PENDING:
            now = max(now, refund.next_action_at)
            refund = refund_step(refund, TimerDue(), now, policy).refund
    assert now <= OPENED + timedelta(minutes=16)


@given(st.lists(st.sampled_from(["send unanswered", "send U", "look unanswered", "not listed"])))
def test_no_storm_a_minute_of_silence_costs_a_dozen_calls_at_most(answers):
    refund, now, calls, left = opened(), OPENED, 1, list(answers)
    while now < OPENED + timedelta(seconds=60):
        is_send = refund.calling is Call.REFUND
        wanted = [name for name in left if name.startswith("send") is is_send]
        fallback = "send unanswered" if is_send else "look unanswered"
        name = wanted[0] if wanted else fallback
        refund = refund_step(refund, EVENTS[name], now, POLICY).refund
        now = refund.next_action_at
        refund = refund_step(refund, TimerDue(), now, POLICY).refund
        calls += 1
    assert calls <= 12

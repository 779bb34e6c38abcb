"""A follower of refunds that is broken is caught at depth gateway."""

from __future__ import annotations

import pytest

from tillgate.core.refund import refund_step
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.simulation.gateway_depth.run import run
from tillgate.simulation.gateway_depth.workers import Parts
from tillgate.store.refunds import save_refund

AT_MOST = 2_500
"""Orders until a broken follower must be caught."""


class ActsBeforeItSaves(RefundFollower):
    async def _apply_locked(self, driven, event, slot, asked):
        now, policy = self._clock.now(), self._calls.policy(driven.refund)
        taken = refund_step(driven.refund, event, now, policy)
        if taken.refund is not driven.refund:
            self._perform(driven, taken.refund, taken.effects)
        await super()._apply_locked(driven, event, slot, asked)


class EndsARefundWithoutItsPayment(RefundFollower):
    async def _save_told(self, refund, row):
        await save_refund(self._store, refund, row)


class SendsBeforeItBegins(RefundFollower):
    """Each call goes out twice."""

    def begin(self, taken):
        super().begin(taken)
        super().begin(taken)


class ForgetsWhatItLeft(RefundFollower):
    """Nobody takes up what another process left, at start or later."""

    async def recover(self):
        return 0


class LosesATimer(RefundFollower):
    """What could not be saved is not tried again."""

    async def _timer_due(self, driven, slot):
        before = driven.refund.sends
        await super()._timer_due(driven, slot)
        if driven.refund.sends > before and driven.timer:
            driven.timer.cancel()

    async def _look_for_forgotten(self):
        return


@pytest.mark.parametrize(
    ("broken", "invariants"),
    [
        (ActsBeforeItSaves, {"sent-uncounted"}),
        (EndsARefundWithoutItsPayment, {"refund-books"}),
        (SendsBeforeItBegins, {"sent-uncounted"}),
        (ForgetsWhatItLeft, {"too-late", "never-ends"}),
        (LosesATimer, {"too-late", "never-ends"}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_broken_follower_of_refunds_is_caught(broken, invariants):
    reports = (
        run(seed, AT_MOST, parts=Parts(refund_follower=broken), violations_max=1) for seed in (4, 2)
    )
    found = next((report.violations for report in reports if report.violations), [])
    assert [one.invariant in invariants for one in found] == [True], found

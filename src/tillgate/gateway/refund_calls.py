"""Calls of refunds towards the networks: the same places and the same circuit as payments' calls,
and as those (`gateway/calls.py`) one at a time per refund and none late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

from tillgate.clock import Clock
from tillgate.connectors import Connector, GivesBack
from tillgate.core.model import Call
from tillgate.core.pacing import Policy
from tillgate.core.refund_model import (
    LookUnanswered,
    Refund,
    RefundEvent,
    SendNeverLeft,
    SendUnanswered,
)
from tillgate.gateway.calls import TOO_MANY, Calls, place_within
from tillgate.gateway.lanes import Slot, Start, Urgency


class RefundCalls:
    """The way out of refunds of one process."""

    def __init__(self, calls: Calls, connectors: Mapping[str, Connector], clock: Clock) -> None:
        """Share `calls`' places and circuits."""
        self._calls = calls
        self._connectors = connectors
        self._clock = clock

    def can(self, connector: str) -> bool:
        """Whether this connector refunds at all."""
        return isinstance(self._connectors[connector], GivesBack)

    def policy(self, refund: Refund) -> Policy:
        """The numbers of the refund's network."""
        return self._connectors[refund.connector].policy

    def ask(self, refund: Refund, start: Start) -> None:
        """Call `start` with a place for the refund's next call, in its turn."""
        self._calls.lane(refund.connector).ask(_urgency(refund.next_action), start)

    async def place(self, refund: Refund) -> Slot | None:
        """A place for a call that is saved already; None when there was none in time."""
        spare = self._time_left(refund) - self._timeout(refund) / 2
        lane = self._calls.lane(refund.connector)
        return await place_within(lane, _urgency(refund.calling), spare)

    async def perform(self, asked: Refund, now: Refund) -> RefundEvent:
        """Make the call that `asked` was saved with, and tell its outcome. The refund as it is now
        may not want it any more.
        """
        left, timeout = self._time_left(asked), self._timeout(asked)
        is_late = left + self.policy(asked).outcome_grace < timeout
        if is_late and left < timeout / 2:
            return not_sent(asked, TOO_MANY)
        if now.calling is not asked.calling or now.is_final:
            return not_sent(asked, "not sent: not wanted any more")
        began = self._clock.now()
        try:
            async with asyncio.timeout(left.total_seconds() if is_late else None):
                outcome = await self._send(asked)
        except TimeoutError:
            reason = f"it left late; no answer in the {left} that were left"
            outcome = _unanswered(asked, reason)
        name = "refund" if asked.calling is Call.REFUND else "inquiryPayment"
        self._calls.heard(asked.connector, name, outcome, began)
        return outcome

    async def _send(self, refund: Refund) -> RefundEvent:
        connector: object = self._connectors[refund.connector]
        if not isinstance(connector, GivesBack):
            return not_sent(refund, f"the connector {refund.connector} refunds nothing")
        if refund.calling is Call.REFUND:
            return await connector.give_back(refund)
        return await connector.look_up(refund)

    def _timeout(self, refund: Refund) -> timedelta:
        policy = self.policy(refund)
        is_send = refund.calling is Call.REFUND
        return policy.refund_timeout if is_send else policy.inquiry_timeout

    def _time_left(self, refund: Refund) -> timedelta:
        """Until the time-out that the call was saved with; its grace for saving comes after it."""
        assert refund.next_action_at is not None, "a counted call has its moment saved"
        return refund.next_action_at - self.policy(refund).outcome_grace - self._clock.now()


def not_sent(refund: Refund, reason: str) -> RefundEvent:
    """The outcome of a call that never left this process."""
    return SendNeverLeft(reason) if refund.calling is Call.REFUND else LookUnanswered(reason)


def _unanswered(refund: Refund, reason: str) -> RefundEvent:
    """The outcome of a call that may have arrived."""
    return SendUnanswered(reason) if refund.calling is Call.REFUND else LookUnanswered(reason)


def _urgency(call: Call | None) -> Urgency:
    return Urgency.MONEY if call is Call.REFUND else Urgency.QUESTION

"""Takes notifications of the networks: check, apply the fact, commit, and only then acknowledge.

How a network signs and what it takes for an acknowledgement is its connector's. A notification that
fits no payment of that network is kept for a person and acknowledged, so that the network stops
repeating it. What was not signed by it gets no acknowledgement; a store that is down gets the
answer that makes the network come again. Source: Alipay+ "Receive payment notification"; ADR 0011.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from tillgate.clock import Clock
from tillgate.connectors import BadNotification, Connector, NotifyAnswer, NotifyCall, Told
from tillgate.core.errors import StoreError
from tillgate.core.model import Notified
from tillgate.gateway.follow import Follower
from tillgate.store import Store, Unmatched

log = logging.getLogger(__name__)


class Notifications:
    """The use case, with what it needs."""

    def __init__(
        self, store: Store, follower: Follower, connectors: Mapping[str, Connector], clock: Clock
    ) -> None:
        self._store = store
        self._follower = follower
        self._connectors = connectors
        self._clock = clock

    async def receive(self, name: str, call: NotifyCall) -> NotifyAnswer | None:
        """Answer one notification of the connector of that name; None when there is no such one.

        Never raises; see the module for what each answer means.
        """
        connector = self._connectors.get(name)
        if connector is None:
            return None
        try:
            told = connector.read_notification(call)
        except BadNotification as error:
            log.warning("alert: %s: a notification was refused: %s", name, error)
            return error.answer
        try:
            if told is not None:
                await self._take(name, told)
        except StoreError as error:
            log.error("%s: a notification could not be saved: %s", name, error)
            return connector.ask_again(call)
        return connector.acknowledge(call)

    async def _take(self, name: str, told: Told) -> None:
        fact = Notified(told.report)
        # Another network's word about a payment of this one counts for nothing.
        if await self._follower.apply(told.payment_request_id, fact, of=name) is None:
            await self._keep(name, told)

    async def _keep(self, name: str, told: Told) -> None:
        log.warning(
            "alert: %s: a notification fits no payment: %s", name, told.payment_request_id[:64]
        )
        report = told.report
        await self._store.keep_unmatched(
            Unmatched(
                received_at=self._clock.now(),
                payment_request_id=told.payment_request_id,
                payment_id=report.receipt.payment_id,
                outcome=report.outcome.value,
                code=report.code,
                amount=f"{report.amount.currency} {report.amount.value}" if report.amount else None,
            )
        )

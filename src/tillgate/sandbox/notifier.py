"""`notifyPayment`: tells the acquirer of each final result, and again until it acknowledges. What a
network writes and what it takes for an acknowledgement another may say otherwise (`notices.py`).

An acknowledgement is HTTP 200, signed by the acquirer over the same path, with result S; anything
else is none. The delays of resends are not published; these are short, so that a test sees them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import BadMessage, Notification, Result
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.results import Outcome
from tillgate.sandbox.exchanges import SIGNED, VALID, Direction, Exchanges, Party, Raw
from tillgate.sandbox.fates import Fates
from tillgate.sandbox.payment import Payment, State, wire_time
from tillgate.sandbox.plays import NOTHING, Do, Lost, Notify, When
from tillgate.sandbox.spoil import Spoiler

if TYPE_CHECKING:
    from tillgate.sandbox.postman import Ack, Postman

log = logging.getLogger(__name__)


class NotAcknowledged(Exception):
    """The acquirer did not say S. The message says why."""


@dataclass(slots=True)
class Delivery:
    """How far the telling of one payment has come."""

    sent_count: int = 0
    is_acknowledged: bool = False
    problem: str | None = None


class Notifier:
    """Sends notifications, one task for each payment that has one to send.

    Attributes:
        api: what the message is called.
    """

    api = "notifyPayment"

    def __init__(
        self,
        *,
        signing_key: SigningKey,
        acquirers: dict[str, KeyRing],
        clock: Clock,
        record: Exchanges,
        tell: Callable[[Payment], Notification],
        delay_s: float,
        retries_s: Sequence[float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        fates: Fates | None = None,
    ) -> None:
        """`sleep` waits by the sandbox's clock; `fates` says what testers want."""
        self._signing_key = signing_key
        self._spoiler = Spoiler(signing_key)
        self._sleep = sleep
        self._fates = fates
        self._first_sends: dict[str, asyncio.Event] = {}
        self._held: dict[str, tuple[Payment, bytes]] = {}
        self._acquirers = acquirers
        self._clock = clock
        self._record = record
        self._tell = tell
        self._waits_s = (delay_s, *retries_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._deliveries: dict[str, Delivery] = {}
        self._postman: Postman | None = None

    async def close(self) -> None:
        """Drop what is still to be sent, and all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._postman is not None:
            await self._postman.close()

    def schedule(self, payment: Payment) -> None:
        """Tell of this end of the payment, as it stands now, whatever becomes of it later."""
        plan = self._fates.notify(payment) if self._fates else None
        body = self.written(payment)
        if plan is None:
            self._start(payment, body, None)
        elif plan.when is When.AFTER_CANCEL and payment.state is State.SUCCEEDED:
            self._held[payment.payment_id] = payment, body
        elif plan.when is not When.NEVER:
            for _ in range(plan.copies):
                self._start(payment, body, plan)

    def release(self, payment_ids: Iterable[str]) -> None:
        """These payments were cancelled: what waited for that leaves now."""
        for payment_id in payment_ids:
            payment, body = self._held.pop(payment_id)
            self._start(payment, body, None)

    def held(self) -> tuple[str, ...]:
        """Payments whose notification waits for a cancel."""
        return tuple(self._held)

    async def first_send(self, payment: Payment) -> None:
        """Wait until its notification was sent once, whatever came of that."""
        event = self._first_sends.get(payment.payment_id)
        if event is not None:
            await event.wait()

    def delivery(self, payment_id: str) -> Delivery | None:
        """How far it has come; None before the first send."""
        return self._deliveries.get(payment_id)

    def _start(self, payment: Payment, body: bytes, plan: Notify | None) -> None:
        delay_s = self._waits_s[0]
        if plan is not None and plan.when is When.BEFORE_REPLY:
            delay_s = 0.0
            self._first_sends[payment.payment_id] = asyncio.Event()
        if plan is not None and plan.delay_s is not None:
            delay_s = plan.delay_s
        sending = self._deliver(payment, body, (delay_s, *self._waits_s[1:]))
        task = asyncio.get_running_loop().create_task(sending)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, payment: Payment, body: bytes, waits_s: Sequence[float]) -> None:
        delivery = self._deliveries.setdefault(payment.payment_id, Delivery())
        for wait_s in waits_s:
            await self._sleep(wait_s)
            delivery.sent_count += 1
            try:
                await self._send_as_wanted(payment, body)
            except NotAcknowledged as problem:
                delivery.problem = str(problem)
                continue
            finally:
                if event := self._first_sends.pop(payment.payment_id, None):
                    event.set()
            delivery.is_acknowledged, delivery.problem = True, None
            return
        log.warning(
            "gave up notifying %s after %d sends: %s",
            payment.payment_request_id,
            delivery.sent_count,
            delivery.problem,
        )

    async def _send_as_wanted(self, payment: Payment, body: bytes) -> None:
        do = self._fates.of_notification(payment) if self._fates else NOTHING
        if do is NOTHING:
            await self._send(payment, body)
            return
        if do.delay_s or do.request_delay_s:
            await asyncio.sleep(do.delay_s + do.request_delay_s)
        if do.lose is Lost.REQUEST or do.http_status is not None:
            raise NotAcknowledged("lost on its way, as a tester wants")
        spoilt = self.spoilt(payment, body, do)
        if do.duplicate:
            with contextlib.suppress(NotAcknowledged):
                await self._send(payment, spoilt, do)
        await self._send(payment, spoilt, do)
        if do.lose is Lost.REPLY or do.reset:
            raise NotAcknowledged("the acknowledgement was lost, as a tester wants")

    def spoilt(self, payment: Payment, body: bytes, do: Do) -> bytes:
        """The message as a tester wants it."""
        if do.garbage or do.amount is not None:
            return self._spoiler.body(self._tell(payment), do)
        return body

    def written(self, payment: Payment) -> bytes:
        """The message that tells of this end."""
        return messages.encode(self._tell(payment))

    def headers(self, payment: Payment, path: str, body: bytes, do: Do = NOTHING) -> dict[str, str]:
        """The headers of one send, the signature among them."""
        time = wire_time(self._clock.now() + timedelta(seconds=do.clock_offset_s))
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Client-Id": payment.client_id,
            "Request-Time": time,
        }
        signature = self._spoiler.sign(do, path, payment.client_id, time, body)
        return headers | {"Signature": signature} if signature else headers

    def heard(self, payment: Payment, path: str, ack: Ack) -> tuple[str, Result | None]:
        """What was found out about an answer's signature, and what it says. Only a valid S is an
        acknowledgement.
        """
        result = _result_of(ack.body)
        if ack.status != 200:
            return f"not checked: HTTP status {ack.status}", result
        client_id = payment.client_id
        try:
            if ack.headers.get("Client-Id", client_id) != client_id:
                raise BadSignature("the answer's Client-Id is another one")
            self._acquirers[client_id].verify(
                ack.headers.get("Signature"),
                path,
                client_id,
                ack.headers.get("Response-Time"),
                ack.body,
            )
        except BadSignature as error:
            return f"invalid: {error}", result
        return VALID, result

    async def _send(self, payment: Payment, body: bytes, do: Do = NOTHING) -> None:
        assert payment.notify_url is not None
        path = signed_path(payment.notify_url)
        headers = self.headers(payment, path, body, do)
        words = f"{do.signature.value}, as a tester wants" if do.signature else SIGNED
        self._note(Direction.REQUEST, payment, words, payment.result)
        ack = await self._post(payment.notify_url, body, headers)
        verdict, result = self.heard(payment, path, ack)
        raw_ack = Raw(
            path,
            payment.client_id,
            ack.headers.get("Response-Time"),
            ack.headers.get("Signature"),
            ack.body,
        )
        self._note(Direction.RESPONSE, payment, verdict, result, raw_ack)
        if verdict != VALID:
            raise NotAcknowledged(verdict)
        if result is None or result.result_status is not Outcome.SUCCESS:
            raise NotAcknowledged("the answer's result is not S")

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Ack:
        from tillgate.sandbox.postman import NotDelivered, Postman

        if self._postman is None:
            self._postman = Postman()
        try:
            return await self._postman.post(url, body, headers)
        except NotDelivered as problem:
            raise NotAcknowledged(str(problem)) from None

    def _note(
        self,
        kind: Direction,
        payment: Payment,
        signature: str,
        result: Result | None,
        raw: Raw | None = None,
    ) -> None:
        asks = kind is Direction.REQUEST
        self._record.add(
            self._clock.now(),
            Party.NETWORK if asks else Party.ACQUIRER,
            Party.ACQUIRER if asks else Party.NETWORK,
            self.api,
            kind,
            client_id=payment.client_id,
            payment_request_id=payment.payment_request_id,
            payment_id=payment.payment_id,
            result=result,
            signature=signature,
            raw=raw,
        )


def signed_path(url: str) -> str:
    """The path with its query of a notification address: what both sides sign."""
    parts = urlsplit(url)
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _result_of(raw: bytes) -> Result | None:
    try:
        return messages.decode(messages.ACKNOWLEDGEMENTS, raw).result
    except BadMessage:
        return None

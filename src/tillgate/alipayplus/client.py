"""Calls to Alipay+: signed, with a time-out per API, and an exact word for what became of a call.

A call never raises for what the network does. What comes back is one of five values, and only
`Answered` is a word of the network: its signature was checked over the bytes that arrived. "Never
sent" is said only where no connection was usable; everything else that goes wrong may have arrived
(ADR 0004: default to unknown).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import msgspec

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import (
    BadMessage,
    CancelResponse,
    CodeConsultResponse,
    InquiryResponse,
    PayResponse,
    RefundResponse,
)
from tillgate.alipayplus.signing import BadSignature, Signer, Verifier
from tillgate.clock import Clock
from tillgate.transport import ConnectionBroke, NoConnection, Reply, Transport

CLOCK_SKEW_MAX = timedelta(seconds=5)
"""A pay answer says no `paymentRequestId`, so one that is older than its request is somebody
else's.
"""

CLOCK_SKEW_ALERT = timedelta(seconds=2)
"""How far the network's clock may be from ours before a person is told. ADR 0011."""
SKEW_ALERT_INTERVAL = timedelta(minutes=1)

log = logging.getLogger(__name__)

T = TypeVar("T", PayResponse, InquiryResponse, CancelResponse, RefundResponse, CodeConsultResponse)


@dataclass(frozen=True, slots=True)
class Api(Generic[T]):
    """One API: its path, how its answer is read and how long it may take.

    Time-outs: Alipay+ page "timeout": pay, cancelPayment and refund 8 s, inquiryPayment 5 s.
    """

    path: str
    answers: msgspec.json.Decoder[T]
    timeout_s: float
    must_be_fresh: bool = False


PAY = Api(messages.PAY_PATH, messages.PAY_RESPONSES, 8.0, must_be_fresh=True)
INQUIRY = Api(messages.INQUIRY_PATH, messages.INQUIRY_RESPONSES, 5.0)
CANCEL = Api(messages.CANCEL_PATH, messages.CANCEL_RESPONSES, 8.0, must_be_fresh=True)
REFUND = Api(messages.REFUND_PATH, messages.REFUND_RESPONSES, 8.0, must_be_fresh=True)
CONSULT = Api(messages.CONSULT_PATH, messages.CONSULT_RESPONSES, 2.0, must_be_fresh=True)
"""AlipayHK's; Alipay+ itself has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Apis:
    """The four that a payment's life needs. Alipay+'s own, unless a wallet has others."""

    pay: Api[PayResponse] = PAY
    inquiry: Api[InquiryResponse] = INQUIRY
    cancel: Api[CancelResponse] = CANCEL
    refund: Api[RefundResponse] = REFUND


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A readable answer whose signature holds; fresh when it is not older than its request."""

    message: T
    is_fresh: bool = True


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """It may have arrived: time-out, broken connection, or a status other than 200."""

    reason: str


@dataclass(frozen=True, slots=True)
class NeverSent:
    """No connection was usable, so no byte of the request left."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Signed, but no such message; or older than its request."""

    reason: str


@dataclass(frozen=True, slots=True)
class BadlySigned:
    """Nobody vouches for these bytes.

    Attributes:
        claimed_code: the resultCode in them, if one can be read. A hint for an operator, never a
            fact: a network that rejects our signature cannot sign that answer.
    """

    reason: str
    claimed_code: str | None = None


CallResult = Answered[T] | NoAnswer | NeverSent | Unreadable | BadlySigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are to the network and whom we believe."""

    client_id: str
    signing_key: Signer
    network_keys: Verifier


class AlipayPlusClient:
    """Signs, sends, checks and reads. Keeps no state of any payment."""

    def __init__(self, transport: Transport, credentials: Credentials, clock: Clock) -> None:
        self.credentials = credentials
        self.clock = clock
        self._transport = transport
        self._skew_told_at: datetime | None = None

    async def start(self) -> None:
        """Open the connections."""
        await self._transport.start()

    async def close(self) -> None:
        """Close them."""
        await self._transport.close()

    async def call(self, api: Api[T], body: bytes) -> CallResult[T]:
        """Send one request and say what became of it. Never raises, but for its own
        cancellation.
        """
        sent_at = self.clock.now()
        me = self.credentials
        time = messages.format_time(sent_at)
        headers = {
            "Content-Type": "application/json; charset=UTF-8",
            "Accept-Encoding": "identity",
            "Client-Id": me.client_id,
            "Request-Time": time,
            "Signature": me.signing_key.sign(api.path, me.client_id, time, body),
        }
        reply = await posted(self._transport, api.path, body, headers, api.timeout_s)
        if not isinstance(reply, Reply):
            return reply
        _, answer_headers, raw = reply
        answer_time = answer_headers.get("Response-Time")
        try:
            if answer_headers.get("Client-Id", me.client_id) != me.client_id:
                raise BadSignature("the answer's Client-Id is not ours")
            me.network_keys.verify(
                answer_headers.get("Signature"), api.path, me.client_id, answer_time, raw
            )
        except BadSignature as error:
            claimed = _claimed_code(raw)
            log.warning("alert: the answer to %s (%s) is not signed: %s", api.path, claimed, error)
            return BadlySigned(str(error), claimed)
        try:
            message = messages.decode(api.answers, raw)
            answered_at = messages.parse_time(answer_time or "")
            self._compare_clocks(answered_at)
            is_fresh = answered_at >= sent_at - CLOCK_SKEW_MAX
            if api.must_be_fresh and not is_fresh:
                raise BadMessage("the answer is older than the request")
        except BadMessage as error:
            log.warning("alert: the answer to %s cannot be used: %s", api.path, error)
            return Unreadable(str(error))
        return Answered(message, is_fresh)

    def _compare_clocks(self, answered_at: datetime) -> None:
        now = self.clock.now()
        told_at = self._skew_told_at
        is_due = told_at is None or now - told_at >= SKEW_ALERT_INTERVAL
        if is_due and _is_apart(answered_at - now):
            self._skew_told_at = now
            seconds = (answered_at - now).total_seconds()
            log.warning("alert: the network's clock is %+.0f s from ours", seconds)


async def posted(
    transport: Transport, path: str, body: bytes, headers: Mapping[str, str], timeout_s: float
) -> Reply | NoAnswer | NeverSent:
    """The answer with HTTP status 200, or what became of the call instead. Never raises, but for
    its own cancellation.
    """
    try:
        reply = await transport.post(path, body, headers, timeout_s)
    except NoConnection as error:
        return NeverSent(f"no connection ({error})")
    except TimeoutError:
        return NoAnswer(f"no answer within {timeout_s:g} s")
    except ConnectionBroke as error:
        return NoAnswer(f"the connection broke ({error})")
    return reply if reply.status == 200 else NoAnswer(f"HTTP status {reply.status}")


def _is_apart(offset: timedelta) -> bool:
    return abs(offset) > CLOCK_SKEW_ALERT + timedelta(seconds=1)  # their time has whole seconds


def _claimed_code(raw: bytes) -> str | None:
    try:
        return messages.decode(messages.ACKNOWLEDGEMENTS, raw).result.result_code[:64]
    except BadMessage:
        return None

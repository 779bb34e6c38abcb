"""When a webhook is sent again, and what an endpoint's answer means. Nothing here is random or
reads a clock.

Sources: Standard Webhooks 1.0.0, "Deliverability and reliability" and "Delivery success and
failure". How long an endpoint may fail is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

EVENT_TYPES = (
    "payment.succeeded",
    "payment.failed",
    "payment.cancelled",
    "payment.unresolved",
    "refund.succeeded",
    "refund.failed",
    "refund.unresolved",
)
"""What an endpoint may ask for."""
TEST_TYPE = "webhook.test"
"""Sent on demand, to whatever an endpoint asked for."""


class EndpointStatus(StrEnum):
    """Whether an endpoint is sent to."""

    ACTIVE = "active"
    """It is."""
    PAUSED = "paused"
    """Not now: its merchant said so, or it failed for 3 days. Its events are kept until it is
    resumed.
    """
    DISABLED = "disabled"
    """It answered 410: it wants no more. Nothing is kept for it."""


class PausedReason(StrEnum):
    """Why an endpoint is not sent to."""

    MERCHANT = "merchant"
    """Its merchant said so."""
    FAILING = "failing"
    """It took nothing for 3 days."""
    GONE = "gone"
    """It answered 410."""


class DeliveryState(StrEnum):
    """What became of one event at one endpoint."""

    PENDING = "pending"
    """It waits for its first attempt or for the next one."""
    DELIVERED = "delivered"
    """The endpoint answered 2xx."""
    GIVEN_UP = "given_up"
    """Nothing is sent any more, unless it is replayed."""


class Failure(StrEnum):
    """Why an attempt failed."""

    ADDRESS_REFUSED = "address_refused"
    """The address, or one that its name stands for, is none that may be sent to."""
    NAME_NOT_FOUND = "name_not_found"
    """Its name leads to no address."""
    NOT_CONNECTED = "not_connected"
    """Nobody took the connection."""
    TLS_FAILED = "tls_failed"
    """No trustworthy certificate for this name."""
    TIMED_OUT = "timed_out"
    """No answer within 10 s; it may have arrived."""
    BROKE_OFF = "broke_off"
    """The connection ended without an answer in HTTP; it may have arrived."""
    NOT_SIGNED = "not_signed"
    """Its secret cannot be read here, so nothing was sent: a fault of ours."""
    FAULT = "fault"
    """A fault of ours kept it from being sent; the log says which."""
    STATUS = "status"
    """An answer other than 2xx. A redirect is one."""


_MINUTES = (1, 5, 30, 120, 300, 600, 840, 1200, 1440)
RETRY_DELAYS = (timedelta(seconds=5), *(timedelta(minutes=each) for each in _MINUTES))
"""After each failed attempt, the last one for ever: 5 s, 1 min, 5 min, 30 min, 2, 5, 10, 14, 20 and
24 h. The specification's example with one minute more, because most restarts of a receiver take
less than five.
"""
JITTER_PARTS = 10
"""A delay grows by up to a tenth of itself, so that what failed together does not return
together.
"""
GIVE_UP_AFTER = timedelta(days=3)
"""An attempt that fails this long after an event's first one was the last. Stripe's span; the
example of the specification ends at 75 h 35 min, and with these delays so do we.
"""
PAUSE_AFTER = timedelta(days=3)
"""An endpoint that took nothing for so long is paused before any of its events is given up: what is
down altogether loses nothing. Not sooner, because a weekend's outage should heal by itself.
"""
RETRY_AFTER_MAX = timedelta(hours=1)
"""The longest `Retry-After` that is followed: a receiver may slow us down, not switch us off."""
HURRY_AFTER = timedelta(minutes=1)
"""When an endpoint takes something after it failed for longer than this, all that waits for it is
tried at once.
"""
LEASE = timedelta(seconds=30)
"""How long a process has for one attempt before another takes it over: three times the limit of
10 s.
"""
ROTATION_OVERLAP = timedelta(hours=24)
"""How long a replaced secret still signs, unless it is said otherwise."""
ROTATION_OVERLAP_MAX = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt.

    Attributes:
        failure: None when the endpoint took it.
        http_status: of its answer, if there was one.
        asked_delay: how long its `Retry-After` asks us to stay away.
    """

    failure: Failure | None
    http_status: int | None = None
    asked_delay: timedelta | None = None


GONE = 410


def outcome_of(http_status: int, retry_after: str | None, now: datetime) -> Outcome:
    """What an endpoint's answer means. Only 2xx is a yes."""
    if 200 <= http_status <= 299:
        return Outcome(failure=None, http_status=http_status)
    asked = read_retry_after(retry_after, now) if http_status in (429, 503) else None
    return Outcome(failure=Failure.STATUS, http_status=http_status, asked_delay=asked)


def read_retry_after(text: str | None, now: datetime) -> timedelta | None:
    """`Retry-After` (RFC 9110, 10.2.3) in seconds or as a date; at most `RETRY_AFTER_MAX`, None
    where it asks for nothing that can be read.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        seconds = int(text) if len(text) < 9 else 10**8
        return min(timedelta(seconds=seconds), RETRY_AFTER_MAX) or None
    try:
        at = parsedate_to_datetime(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        return min(at - now, RETRY_AFTER_MAX) if at > now else None
    except (ValueError, OverflowError, TypeError):  # whatever stands there, it is no date
        return None


def next_attempt(
    failures: int, tried_since: datetime, now: datetime, outcome: Outcome, permille: int
) -> datetime | None:
    """When an event that was not taken is sent again; None when it is given up.

    Args:
        failures: how often it failed, this time included.
        tried_since: its first attempt (since it was last resumed or replayed).
        now: when the last attempt ended.
        outcome: of that attempt.
        permille: drawn from 0 to 999.
    """
    assert 0 <= permille < 1000
    if now - tried_since >= GIVE_UP_AFTER:
        return None
    delay = RETRY_DELAYS[min(failures, len(RETRY_DELAYS)) - 1]
    delay += delay * permille // (1000 * JITTER_PARTS)
    return now + max(delay, outcome.asked_delay or timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What follows from one attempt.

    Attributes:
        state: of the delivery.
        next_attempt_at: of one that is pending.
        endpoint_status: None leaves it.
        paused_reason: beside a new status.
        failing_since: of the endpoint; None once it took something.
        not_before: nothing is sent to the endpoint earlier.
    """

    state: DeliveryState
    next_attempt_at: datetime | None = None
    endpoint_status: EndpointStatus | None = None
    paused_reason: PausedReason | None = None
    failing_since: datetime | None = None
    not_before: datetime | None = None


def judge(
    outcome: Outcome,
    *,
    failures: int,
    tried_since: datetime,
    failing_since: datetime | None,
    now: datetime,
    permille: int,
) -> Verdict:
    """What follows from one attempt, for the event and for its endpoint.

    Args:
        outcome: of the attempt.
        failures: how often this event failed before.
        tried_since: see `next_attempt`.
        failing_since: of the endpoint, before this attempt.
        now: when the attempt ended.
        permille: drawn from 0 to 999.
    """
    if outcome.failure is None:
        return Verdict(state=DeliveryState.DELIVERED)
    since = failing_since or now
    if outcome.http_status == GONE:
        return Verdict(
            state=DeliveryState.GIVEN_UP,
            endpoint_status=EndpointStatus.DISABLED,
            paused_reason=PausedReason.GONE,
            failing_since=since,
        )
    if now - since >= PAUSE_AFTER:
        return Verdict(
            state=DeliveryState.PENDING,
            next_attempt_at=now,
            endpoint_status=EndpointStatus.PAUSED,
            paused_reason=PausedReason.FAILING,
            failing_since=since,
        )
    at = next_attempt(failures + 1, tried_since, now, outcome, permille)
    return Verdict(
        state=DeliveryState.PENDING if at else DeliveryState.GIVEN_UP,
        next_attempt_at=at,
        failing_since=since,
        not_before=now + outcome.asked_delay if outcome.asked_delay else None,
    )

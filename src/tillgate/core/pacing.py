"""When to send, ask and cancel: every number of a payment's minute, with its source.

A policy belongs to a connector; the defaults are Alipay+'s. All lengths are `timedelta`, so no unit
is implied.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone


def _seconds(*values: int) -> tuple[timedelta, ...]:
    return tuple(timedelta(seconds=value) for value in values)


FIXED_INQUIRIES = _seconds(*[3] * 19)
"""Every 3 s for 60 s, which with the last one at expiry makes 20. Source: Alipay+ auto-debit
edition of "Inquire" (every 3 s for 60 s) inside the guide's 10 to 20 inquiries within 60
seconds."""

GROWING_INQUIRIES = _seconds(*range(1, 11))
"""After 1, 2, ... 10 s, which is 55 s and with the last one at expiry makes 11: the least load that
the guide's 10 to 20 allow, and the quickest first answer."""

ALIPAY_CN_INQUIRIES = _seconds(5, *[3] * 18)
"""The first after 5 s, then every 3 s for a minute. Source: AlipayCN "Quick start of payment codes"
(open/00f7ns: begin after 5 s) and "Notes on integration" (open/00f7nv: every 3 to 6 s for about
60 s)."""

CHINA_STANDARD_TIME = timezone(timedelta(hours=8))
"""UTC+8: the network's calendar, whatever the local zone (cancelPayment, "window")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The numbers `core.payment.step` obeys.

    Attributes:
        order_life: final expiry is at most this long after the order is placed. The guide: 1
            minute.
        pay_timeout: how long a pay call may run. Alipay+ "timeout" page: 8 s.
        inquiry_timeout: 5 s, same page.
        cancel_timeout: 8 s, same page.
        outcome_grace: how much longer than its time-out a call's outcome may need to be saved;
            after that it counts as lost. Ours.
        pay_resends: waits before the identical pay is sent again after an unknown result; the last
            one repeats. The guide says to retry and gives no pace; ours doubles inside the code's
            minute.
        inquiries: waits between inquiries, fixed or growing; when they are used up, only the last
            one at expiry is left.
        cancel_repeats: waits between cancels; the last one repeats. Public ACQPs use 10 s; Antom 5
            to 10 s.
        cancel_refused_repeat: wait after a cancel that the network refused to judge. Ours.
        refund_timeout: 8 s, same page.
        closing_repeats: waits between the inquiries and the refunds of a payment whose cancel
            window is over; the last one repeats. Ours.
        closing_limit: how long such asking and refunding goes on before a person has to look.
            ADR 0011: 15 min.
        operator_limit: how old a CANCELLING payment must be before an operator may resolve it.
            ADR 0011: 90 s.
        never_sent_limit: how long a payment of which nothing ever left may keep trying. Design
            section 3.
        unknown_cancel_limit: how long after placing a cancel of an unknown order is repeated: 60 s
            of life, 8 s of call, 5 s of clocks. ADR 0011.
        cancel_window_closes: the time of day on T+1, UTC+8, when the cancel window shuts. Alipay+:
            00:15.
        paid_is_refunded: whether a cancel is for unknown results only, so that what is known to be
            paid is given back by a refund. Not with Alipay+.
        refund_window: how long after placing a merchant may refund. Alipay+ "Refund": one calendar
            year, 365 days by default; a payment is paid within two minutes of its placing.
        refund_settles: how long after a refund was sent it may still arrive. Ours: 8 s of call, 5 s
            of clocks, and room, because only a refusal hangs on it.
        lists_every_refund: whether a refund that the network was asked about and does not list was
            not done, once nothing sent can arrive. Alipay+ does not promise it.
        unresolved_limit: how long after placing such asking goes on. ADR 0011: 7 days.
        unresolved_inquiry: pace of asking about an UNRESOLVED payment. ADR 0011: hourly.
    """

    order_life: timedelta = timedelta(seconds=60)
    pay_timeout: timedelta = timedelta(seconds=8)
    inquiry_timeout: timedelta = timedelta(seconds=5)
    cancel_timeout: timedelta = timedelta(seconds=8)
    outcome_grace: timedelta = timedelta(seconds=1)
    pay_resends: tuple[timedelta, ...] = _seconds(1, 2, 4, 8)
    inquiries: tuple[timedelta, ...] = FIXED_INQUIRIES
    cancel_repeats: tuple[timedelta, ...] = _seconds(1, 2, 5, 10)
    cancel_refused_repeat: timedelta = timedelta(seconds=60)
    refund_timeout: timedelta = timedelta(seconds=8)
    closing_repeats: tuple[timedelta, ...] = _seconds(1, 2, 5, 10, 30)
    closing_limit: timedelta = timedelta(minutes=15)
    operator_limit: timedelta = timedelta(seconds=90)
    never_sent_limit: timedelta = timedelta(seconds=10)
    unknown_cancel_limit: timedelta = timedelta(seconds=73)
    cancel_window_closes: time = time(0, 15)
    refund_window: timedelta = timedelta(days=365)
    refund_settles: timedelta = timedelta(seconds=60)
    lists_every_refund: bool = False
    unresolved_inquiry: timedelta = timedelta(hours=1)
    unresolved_limit: timedelta = timedelta(days=7)
    paid_is_refunded: bool = False

    def pay_wait(self, sent_count: int) -> timedelta:
        """How long to wait before the next pay, after `sent_count` (1 or more) sends. Never
        raises.
        """
        return self.pay_resends[min(sent_count, len(self.pay_resends)) - 1]

    def inquiry_wait(self, asked_count: int) -> timedelta | None:
        """How long to wait before the next inquiry, or None when only the last one is left.
        Never raises.
        """
        return self.inquiries[asked_count] if asked_count < len(self.inquiries) else None

    def cancel_wait(self, cancel_count: int) -> timedelta:
        """How long to wait before the next cancel, after `cancel_count` (1 or more). Never
        raises.
        """
        return self.cancel_repeats[min(cancel_count, len(self.cancel_repeats)) - 1]

    def closing_wait(self, count: int) -> timedelta:
        """How long to wait after `count` (1 or more) inquiries or refunds while closing. Never
        raises.
        """
        return self.closing_repeats[min(count, len(self.closing_repeats)) - 1]

    def cancel_until(self, placed_at: datetime) -> datetime:
        """When the cancel window of a payment placed then closes: 00:15 UTC+8 of the next day
        there.
        """
        day = placed_at.astimezone(CHINA_STANDARD_TIME).date() + timedelta(days=1)
        closes = datetime.combine(day, self.cancel_window_closes, CHINA_STANDARD_TIME)
        return closes.astimezone(UTC)


ALIPAY_PLUS = Policy()
"""Alipay+ with the fixed schedule."""
ALIPAY_PLUS_GROWING = Policy(inquiries=GROWING_INQUIRIES)
"""Alipay+ with the growing one: for an acquirer with many payments pending at once."""
ALIPAY_CN = Policy(
    inquiries=ALIPAY_CN_INQUIRIES,
    # A cancel or a refund that leaves something open is followed by a query of 5 s in the same
    # call.
    cancel_timeout=timedelta(seconds=8 + 5),
    refund_timeout=timedelta(seconds=8 + 5),
    closing_repeats=_seconds(3, 5, 10, 30),
    paid_is_refunded=True,
    lists_every_refund=True,
)
"""AlipayCN's open platform. Its own: the inquiries; at least 3 s between two refunds of one trade
("Notes on integration", open/00f7nv); a cancel is for time-outs and unknown results only, and a
trade known to be paid is refunded (alipay.trade.cancel, open/02ekfr; the same notes, "cancel or
refund"). It names no time-outs: 8 s and 5 s are Alipay+'s for the same conversations. Its pages
say that a cancel comes too late (ACQ.TRADE_CANCEL_TIME_OUT) but not when; 00:15 is that of
Alipay's other products, and the platform's answer decides. A trade of ours closes itself after
1 minute (`timeout_express`), which bounds the rest as with Alipay+."""

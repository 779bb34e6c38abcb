"""What may go wrong, by name, and how often: the fault model that all depths share.

Every table starts with the good case (see `dice.py`). Lengths are microseconds of virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tillgate.simulation.dice import Dice, Table

MS = 1_000
S = 1_000 * MS
MINUTE = 60 * S
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Fault(StrEnum):
    """One thing that went wrong, as it is counted."""

    # A call to the network.
    NEVER_SENT = "never sent (no connection)"
    REQUEST_LOST = "request lost before the effect"
    REPLY_LOST = "reply lost after the effect"
    REQUEST_SLOW = "request delayed, past expiry too"
    REPLY_SLOW = "reply delayed"
    DUPLICATE = "request duplicated"
    HTTP_BEFORE = "HTTP 4xx or 5xx, no effect"
    GARBAGE_AFTER = "garbage, half a body or a bad signature, after the effect"
    U_BEFORE = "U with any code, no effect"
    U_AFTER = "U with any code, after the effect"
    REFUSED = "signed refusal of the message"
    REFUSED_UNSIGNED = "unsigned refusal (wrong keys)"
    INCONSISTENT = "REPEAT_REQ_INCONSISTENT"
    READ_LAG = "ORDER_NOT_EXIST read-lag"
    WRONG_AMOUNT = "S with another amount"
    NO_AMOUNT = "S without an amount"
    FOREIGN_ID = "S with another payment's paymentId"
    # A notification.
    NOTIFY_NEVER = "notify never"
    NOTIFY_LATE = "notify late"
    NOTIFY_TWICE = "notify twice"
    NOTIFY_FIRST = "notify before the reply"
    NOTIFY_WRONG_AMOUNT = "notify with another amount"
    NOTIFY_NO_AMOUNT = "notify without an amount"
    NOTIFY_BAD_SIGNATURE = "notify badly signed"
    NOTIFY_REFUSED = "notify found nobody: repeated later"
    # The network as a whole.
    NETWORK_DOWN = "network down"
    NETWORK_SILENT = "network silent"
    NETWORK_BROKEN = "network answers 5xx"
    WRONG_KEYS = "wrong keys for a while"
    LATE_SUCCESS = "wallet success after the end"
    LATE_SUCCESS_STUBBORN = "wallet success after a cancel, cancel says S and gives nothing back"
    SELF_CANCEL = "late success given back by the network itself"
    # Our side.
    STORE_BUSY = "store busy: nothing saved"
    COMMIT_UNKNOWN = "commit outcome unknown: saved, reported as failed"
    CRASH_BEFORE_COMMIT = "crash before commit"
    CRASH_DURING_COMMIT = "crash during commit: saved, nobody told"
    CRASH_AFTER_COMMIT = "crash after commit, before the send"
    CRASH_AFTER_SEND = "crash after the send"
    WORKER_PAUSED = "worker paused"
    STALE_VERSION = "two workers at one payment"
    CLOCK_SKEW = "clock skew"
    CLOCK_JUMP = "clock jump"
    # People.
    TILL_CANCELS = "till cancels"
    TILL_CANCELS_LATER = "till cancels a paid payment later"
    MERCHANT_REFUNDS = "merchant refunds"
    REFUND_REFUSED = "merchant refunds what may not be refunded"
    TILL_SCANS_TWICE = "till scans the same order twice"
    TILL_SECOND_CODE = "till scans a second code after a failure"
    CUSTOMER_SLOW = "customer confirms late"
    CUSTOMER_DECLINES = "customer declines"
    CUSTOMER_SILENT = "customer never confirms"
    CODE_UNUSABLE = "code used, expired or invalid"
    OPERATOR_RESOLVES = "operator resolves"


CALL_FAULTS = (
    Fault.NEVER_SENT,
    Fault.REQUEST_LOST,
    Fault.REPLY_LOST,
    Fault.REQUEST_SLOW,
    Fault.REPLY_SLOW,
    Fault.DUPLICATE,
    Fault.HTTP_BEFORE,
    Fault.GARBAGE_AFTER,
    Fault.U_BEFORE,
    Fault.U_AFTER,
    Fault.REFUSED,
    Fault.REFUSED_UNSIGNED,
    Fault.INCONSISTENT,
    Fault.READ_LAG,
    Fault.WRONG_AMOUNT,
    Fault.NO_AMOUNT,
    Fault.FOREIGN_ID,
)
COMMIT_FAULTS = (
    Fault.STORE_BUSY,
    Fault.COMMIT_UNKNOWN,
    Fault.CRASH_BEFORE_COMMIT,
    Fault.CRASH_DURING_COMMIT,
    Fault.CRASH_AFTER_COMMIT,
    Fault.CRASH_AFTER_SEND,
)
NOTIFY_FAULTS = (
    Fault.NOTIFY_NEVER,
    Fault.NOTIFY_LATE,
    Fault.NOTIFY_TWICE,
    Fault.NOTIFY_FIRST,
    Fault.NOTIFY_WRONG_AMOUNT,
    Fault.NOTIFY_NO_AMOUNT,
    Fault.NOTIFY_BAD_SIGNATURE,
)


def _fates(name: str, faults: tuple[Fault, ...], rate: float) -> Table[Fault | None]:
    each = rate / len(faults)
    return Table(name, (None, 1 - rate), *((fault, each) for fault in faults))


@dataclass(frozen=True, slots=True)
class Weather:
    """How often calls, commits and notifications go wrong, until the weather clears."""

    call: Table[Fault | None]
    commit: Table[Fault | None]
    notify: Table[Fault | None]


def _weather(call: float, commit: float, notify: float) -> Weather:
    return Weather(
        _fates("call", CALL_FAULTS, call),
        _fates("commit", COMMIT_FAULTS, commit),
        _fates("notify", NOTIFY_FAULTS, notify),
    )


FAIR = _weather(0, 0, 0)
_SILENT_NOTIFIER = Weather(FAIR.call, FAIR.commit, _fates("notify", (Fault.NOTIFY_NEVER,), 0.95))
"""Only the inquiries tell."""
_LATE_AND_SILENT = Weather(
    _fates("call", (Fault.REQUEST_SLOW,), 0.6),
    FAIR.commit,
    _fates("notify", (Fault.NOTIFY_NEVER,), 0.95),
)
"""A pay may come after its own cancel, and nobody tells."""
_FOCUSED: tuple[Weather, ...] = tuple(
    Weather(_fates("call", (fault,), 0.7), FAIR.commit, _fates("notify", NOTIFY_FAULTS, 0.5))
    for fault in CALL_FAULTS
)
_CRASHING: tuple[Weather, ...] = tuple(
    Weather(FAIR.call, _fates("commit", (fault,), 0.3), _fates("notify", NOTIFY_FAULTS, 0.5))
    for fault in COMMIT_FAULTS
)

WEATHERS: Table[Weather] = Table(
    "weather",
    (FAIR, 0.30),
    (_weather(0.15, 0.02, 0.4), 0.35),
    (_weather(0.5, 0.10, 0.8), 0.12),
    (_SILENT_NOTIFIER, 0.03),
    (_LATE_AND_SILENT, 0.03),
    *((weather, 0.12 / len(_FOCUSED)) for weather in _FOCUSED),
    *((weather, 0.08 / len(_CRASHING)) for weather in _CRASHING),
)
CLEARS_AFTER: Table[int] = Table(
    "clears",
    (10 * S, 4),
    (30 * S, 3),
    (62 * S, 2),
    (80 * S, 2),
    (3 * MINUTE, 0.5),
    (20 * MINUTE, 0.1),
)
"""How long after the start faults go on."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which every call meets the same end."""

    kind: Fault
    starts: int
    ends: int


_OUTAGE_KINDS: Table[Fault | None] = Table(
    "outage",
    (None, 0.90),
    (Fault.NETWORK_DOWN, 0.03),
    (Fault.NETWORK_SILENT, 0.025),
    (Fault.NETWORK_BROKEN, 0.025),
    (Fault.WRONG_KEYS, 0.02),
)
_OUTAGE_STARTS: Table[int] = Table(
    "outage.starts", (-S, 3), (300 * MS, 2), (2 * S, 2), (20 * S, 1), (58 * S, 1), (66 * S, 1)
)
_OUTAGE_LENGTHS: Table[int] = Table(
    "outage.length",
    (3 * S, 2),
    (8 * S, 3),
    (15 * S, 2),
    (45 * S, 2),
    (80 * S, 1),
    (4 * MINUTE, 0.5),
)


def draw_outages(dice: Dice) -> tuple[Outage, ...]:
    """Whether and when the network is away, in the time of the world."""
    kind = dice.pick(_OUTAGE_KINDS)
    if kind is None:
        return ()
    starts = dice.pick(_OUTAGE_STARTS)
    return (Outage(kind, starts, starts + dice.pick(_OUTAGE_LENGTHS)),)


AT_THE_CLOSE: Table[int] = Table(
    "storm.at_the_close", (0, 0.975), (MINUTE, 0.005), (10 * MINUTE, 0.005), (25 * MINUTE, 0.015)
)
"""Length of a second storm that begins just before the cancel window closes; 0: none."""
AWAY_AT_THE_CLOSE: Table[Fault | None] = Table(
    "outage.at_the_close",
    (None, 4),
    (Fault.NETWORK_DOWN, 2),
    (Fault.NETWORK_SILENT, 1),
    (Fault.NETWORK_BROKEN, 1),
    (Fault.WRONG_KEYS, 1),
)
"""What the second storm is: faults of all kinds, or the network is away."""
AWAY_PAST_THE_CLOSE: Table[Fault] = Table(
    "away.past_the_close.kind",
    (Fault.NETWORK_DOWN, 2),
    (Fault.NETWORK_SILENT, 2),
    (Fault.NETWORK_BROKEN, 1),
    (Fault.WRONG_KEYS, 1),
)
AWAY_FOR: Table[int] = Table("away.for", (MINUTE, 2), (16 * MINUTE, 4), (3 * HOUR, 1))
"""How long after the window closed such a network comes back."""


REFUND_CALLS: Table[Table[Fault | None] | None] = Table(
    "refund.weather",
    (None, 0.3),
    (_fates("refund.call", (Fault.REQUEST_SLOW,), 0.6), 0.2),
    (_fates("refund.call", (Fault.REPLY_LOST, Fault.READ_LAG, Fault.REFUSED), 0.75), 0.2),
    (_fates("refund.call", CALL_FAULTS, 0.5), 0.2),
    (_fates("refund.call", (Fault.REPLY_LOST,), 0.98), 0.1),
)
"""How the calls of a merchant's refunds go wrong; None: as all calls do."""
SKEWS: Table[int] = Table(
    "skew",
    (0, 0.7),
    (500 * MS, 0.06),
    (-500 * MS, 0.06),
    (2 * S, 0.05),
    (-2 * S, 0.05),
    (4 * S, 0.04),
    (-4 * S, 0.04),
)
"""How far a gateway's clock is ahead of the network's."""
JUMPS: Table[int] = Table("jump", (0, 0.92), (S, 0.02), (-S, 0.02), (3 * S, 0.02), (-3 * S, 0.02))
SLOW_REQUEST: Table[int] = Table(
    "call.slow", (3 * S, 2), (9 * S, 3), (20 * S, 2), (58 * S, 1), (62 * S, 1), (65 * S, 1)
)
SLOW_REPLY: Table[int] = Table(
    "reply.slow", (2 * S, 2), (4900 * MS, 1), (7900 * MS, 1), (12 * S, 2)
)
NO_CONNECTION: Table[int] = Table("no_connection", (MS, 3), (S, 1), (2 * S, 1))
"""How long it takes until it is sure that nothing was sent."""
READ_LAG_MAX = 4 * S
"""How long after it was placed an order may still be unknown to an inquiry or a cancel."""
REFUND_LAG_MAX = 30 * S
"""How long after it was done a refund may still be missing where it is asked for. AlipayCN's page
wants 10 s between the two; Alipay+ says nothing."""

REFUSALS: Table[str] = Table(
    "refusal",
    ("PARAM_ILLEGAL", 3),
    ("ACCESS_DENIED", 1),
    ("NO_INTERFACE_DEF", 1),
    ("A_NEW_CODE", 1),
)
UNSIGNED: Table[str] = Table(
    "unsigned",
    ("INVALID_SIGNATURE", 1),
    ("KEY_NOT_FOUND", 1),
    ("INVALID_CLIENT", 1),
    ("ACCESS_DENIED", 1),
)
UNKNOWNS: Table[str] = Table(
    "unknown",
    ("UNKNOWN_EXCEPTION", 2),
    ("REQUEST_TRAFFIC_EXCEED_LIMIT", 1),
    ("PAYMENT_IN_PROCESS", 1),
    ("RISK_REJECT", 1),
    ("A_NEW_CODE", 1),
)

"""PostgreSQL's own statements: a batch of payments as one statement over arrays.

One statement is one commit, and carries the payments, their history and what merchants are told.
The rows come sorted, so that two nodes never wait for each other in a circle.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import Any

from tillgate.store.rows import PAYMENT_COLUMNS, PLACE_COLUMNS, SAME_COLUMNS, STATE_COLUMNS
from tillgate.store.statements import GIVEN_COLUMNS, LAST_ATTEMPT, PLACE
from tillgate.store.webhooks import insert_deliveries

_TYPES = {
    **dict.fromkeys(
        (
            "is_final",
            "may_resend",
            "has_asked_last",
            "was_reopened",
            "was_cancelled_there",
            "was_refunded_there",
            "was_reported_paid",
            "keep_body",
        ),
        "boolean",
    ),
    **dict.fromkeys(
        (
            "attempt",
            "version",
            "sends",
            "sends_never_left",
            "inquiries",
            "cancels",
            "refunds",
            "mismatches",
            "announced",
            "expires_in_s",
            "sequence",
        ),
        "integer",
    ),
    **dict.fromkeys(
        (
            "amount",
            "placed_at",
            "expires_at",
            "closing_since",
            "next_action_at",
            "paid_at",
            "changed_at",
            "reserved",
            "refunded",
            "at",
        ),
        "bigint",
    ),
    **dict.fromkeys(("code_fingerprint", "pay_body", "detail", "body"), "bytea"),
}
"""Of each column that is no text; a test compares them with the tables."""

_HISTORY = ("at", "kind", "status", "detail")
_TOLD = (
    "event_id",
    "merchant_id",
    "store_id",
    "terminal_id",
    "refund_request_id",
    "sequence",
    "type",
    "at",
    "body",
)

OPEN_COLUMNS = (*GIVEN_COLUMNS, *(f"h_{name}" for name in _HISTORY))
SAVE_COLUMNS = (
    *STATE_COLUMNS,
    "keep_body",
    "payment_request_id",
    *(f"h_{name}" for name in _HISTORY),
    *(f"t_{name}" for name in _TOLD),
)


def type_of(column: str) -> str:
    """The type of a column, also of a history row's (`h_`) and an event's (`t_`)."""
    return _TYPES.get(column.removeprefix("h_").removeprefix("t_"), "text")


def _given(columns: Sequence[str]) -> str:
    arrays = ", ".join(f"${n}::{type_of(name)}[]" for n, name in enumerate(columns, 1))
    return f"given AS (SELECT * FROM unnest({arrays}) AS given ({', '.join(columns)}))"


def _insert_history(done: str) -> str:
    return (
        "history AS (INSERT INTO payment_event (payment_request_id, version, at, kind, status,"
        " detail) SELECT payment_request_id, version, h_at, h_kind, h_status, h_detail"
        f" FROM given JOIN {done} USING (payment_request_id))"
    )


_LAST = LAST_ATTEMPT.format(merchant="given.merchant_id", order="given.merchant_order_id")
_PLACES = ", ".join(PLACE_COLUMNS)
OPEN_BATCH = (
    f"WITH {_given(OPEN_COLUMNS)},"
    f" done AS (INSERT INTO payment ({', '.join(GIVEN_COLUMNS)}, {_PLACES})"
    f" SELECT {', '.join(f'given.{name}' for name in GIVEN_COLUMNS)}, {PLACE}"
    f" FROM given LEFT JOIN LATERAL {_LAST}"
    f" ON CONFLICT DO NOTHING RETURNING payment_request_id, {_PLACES}),"
    f" {_insert_history('done')}"
    f" SELECT payment_request_id, {_PLACES} FROM done"
)
SAVE_BATCH = (
    f"WITH {_given(SAVE_COLUMNS)},"
    f" done AS (UPDATE payment SET {', '.join(f'{name} = given.{name}' for name in STATE_COLUMNS)},"
    " pay_body = CASE WHEN given.keep_body THEN payment.pay_body END"
    " FROM given WHERE payment.payment_request_id = given.payment_request_id"
    " AND payment.version = given.version - 1 RETURNING payment.payment_request_id),"
    f" {_insert_history('done')},"
    " told AS (INSERT INTO merchant_event (event_id, merchant_id, store_id, terminal_id,"
    " refund_request_id, sequence, type, at, body, payment_request_id)"
    f" SELECT {', '.join(f't_{name}' for name in _TOLD)}, payment_request_id"
    " FROM given JOIN done USING (payment_request_id) WHERE t_event_id IS NOT NULL),"
    " news AS (SELECT given.* FROM given JOIN done USING (payment_request_id)"
    " WHERE t_event_id IS NOT NULL),"
    f" deliveries AS ({insert_deliveries('news')})"
    " SELECT payment_request_id FROM done"
)
# Nothing but a new acknowledged update of the row proves that an earlier commit is durable.
SETTLE_OPEN = (
    "UPDATE payment SET version = version WHERE payment_request_id = $1"
    f" RETURNING payment_request_id, {_PLACES}"
)
SETTLE_SAVE = (
    "UPDATE payment SET version = version WHERE payment_request_id = $1 AND version >= $2"
    " AND EXISTS (SELECT FROM payment_event WHERE payment_request_id = $1 AND version = $2"
    " AND at = $3 AND kind = $4 AND status = $5 AND detail = $6)"
    " RETURNING payment_request_id"
)
_SETTLED = "(pg_snapshot_xmin(pg_current_snapshot())::text::bigint << 20)"
"""A position begins with the number of its transaction (migration 0003): below the oldest that
runs, nothing can appear any more.
"""
SELECT_MERCHANT_EVENTS = (
    f"SELECT * FROM merchant_event WHERE merchant_id = ? AND position > ? AND position < {_SETTLED}"
    " AND store_id = coalesce(?, store_id) ORDER BY position LIMIT ?"
)
SELECT_ALL_EVENTS = (
    f"SELECT * FROM merchant_event WHERE position > ? AND position < {_SETTLED}"
    " ORDER BY position LIMIT ?"
)
SELECT_LAST_POSITION = (
    f"SELECT coalesce(max(position), 0) AS last FROM merchant_event WHERE position < {_SETTLED}"
)

SELECT_NEWER = (
    f"SELECT {', '.join(f'payment.{name}' for name in PAYMENT_COLUMNS)}"
    " FROM unnest($1::text[], $2::integer[]) AS known (id, version)"
    " JOIN payment ON payment.payment_request_id = known.id AND payment.version > known.version"
)

SELECT_SAMES = (
    f"SELECT n, {', '.join(SAME_COLUMNS)}"
    " FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, n)"
    " JOIN payment ON payment.payment_request_id = asked.id"
)
SELECT_PAYMENTS = (
    f"SELECT n, {', '.join(f'payment.{name}' for name in PAYMENT_COLUMNS)}"
    " FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, n)"
    " JOIN payment ON payment.payment_request_id = asked.id"
)


@cache
def numbered(text: str) -> str:
    """A statement of both engines with `$1`, `$2` for its `?`."""
    number = count(1)
    return re.sub(r"\?", lambda _: f"${next(number)}", text)


def arrays(rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The rows of a batch as an array for each column."""
    return list(zip(*rows, strict=True))

"""The statements that both engines share, with `?` for each value."""

from __future__ import annotations

from tillgate.store.rows import ASKED_COLUMNS, PAYMENT_COLUMNS, SAME_COLUMNS, STATE_COLUMNS

REQUEST_COLUMNS = ("idempotency_key", "code_fingerprint", "expires_in_s", "pay_body")
GIVEN_COLUMNS = ASKED_COLUMNS + STATE_COLUMNS + REQUEST_COLUMNS
"""Of a new payment, in the order of `opening_values`."""
_SELECTED = ", ".join(PAYMENT_COLUMNS)
INSERT_EVENT = (
    "INSERT INTO payment_event (payment_request_id, version, at, kind, status, detail)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_UNMATCHED = (
    "INSERT INTO unmatched_notification"
    " (received_at, payment_request_id, payment_id, outcome, code, amount)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
INSERT_MERCHANT_EVENT = (
    "INSERT INTO merchant_event (event_id, merchant_id, store_id, terminal_id,"
    " payment_request_id, refund_request_id, sequence, type, at, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
LAST_ATTEMPT = (
    "(SELECT merchant_id, merchant_order_id, attempt, payment_request_id FROM payment"
    " WHERE (merchant_id, merchant_order_id) <= ({merchant}, {order})"
    " ORDER BY merchant_id DESC, merchant_order_id DESC, payment_request_id DESC LIMIT 1)"
    " AS last ON (last.merchant_id, last.merchant_order_id) = ({merchant}, {order})"
)
"""To be joined: the newest payment of an order, if there is one. It asks for the nearest in the
order of the one index that leads there: by equality, another index of the merchant costs as much on
an empty table, and a plan is kept.
"""
PLACE = "coalesce(last.attempt, 0) + 1, last.payment_request_id"
"""The values of `PLACE_COLUMNS` after the attempt before it, `last`."""
SELECT_PAYMENT = f"SELECT {_SELECTED} FROM payment WHERE payment_request_id = ?"
SELECT_SAME = f"SELECT {', '.join(SAME_COLUMNS)} FROM payment WHERE payment_request_id = ?"
SELECT_BY_KEY = (
    f"SELECT {_SELECTED}, code_fingerprint, expires_in_s FROM payment"
    " WHERE merchant_id = ? AND idempotency_key = ?"
)
SELECT_BY_ORDER = f"SELECT {_SELECTED} FROM payment WHERE merchant_id = ? AND order_claim = ?"
SELECT_WAITING = (
    f"SELECT {_SELECTED} FROM payment"
    " WHERE next_action_at <= ? AND (next_action_at, payment_request_id) > (?, ?)"
    " ORDER BY next_action_at, payment_request_id LIMIT ?"
)
SELECT_BODY = "SELECT pay_body FROM payment WHERE payment_request_id = ?"
SELECT_HISTORY = (
    "SELECT version, at, kind, status, detail FROM payment_event"
    " WHERE payment_request_id = ? ORDER BY version"
)

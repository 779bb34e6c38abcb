"""The statements that both engines share, with `?` for each value."""

from __future__ import annotations

from tillgate.store.rows import ORDER_COLUMNS, PAYMENT_COLUMNS, STATE_COLUMNS

REQUEST_COLUMNS = ("idempotency_key", "code_fingerprint", "expires_in_s", "pay_body")
INSERTED_COLUMNS = ORDER_COLUMNS + STATE_COLUMNS + REQUEST_COLUMNS
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
SELECT_PAYMENT = f"SELECT {_SELECTED} FROM payment WHERE payment_request_id = ?"
SELECT_BY_KEY = (
    f"SELECT {_SELECTED}, code_fingerprint, expires_in_s FROM payment"
    " WHERE merchant_id = ? AND idempotency_key = ?"
)
SELECT_BY_ORDER = f"SELECT {_SELECTED} FROM payment WHERE merchant_id = ? AND order_claim = ?"
_OF_REQUEST = f"{_SELECTED}, code_fingerprint, expires_in_s"
SELECT_EARLIER = (
    f"SELECT {_OF_REQUEST}, 1 AS is_request FROM payment"
    " WHERE merchant_id = ? AND idempotency_key = ?"
    f" UNION ALL SELECT * FROM (SELECT {_OF_REQUEST}, 0 FROM payment"
    " WHERE merchant_id = ? AND merchant_order_id = ?"
    " ORDER BY payment_request_id DESC LIMIT 1) AS attempt"
)
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

"""The tables, for Alembic and for reports. The payment path uses the raw statements of its engine
instead.

Times are integers, microseconds since 1970 in UTC: the same in every engine, and compared without
parsing.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    false,
    literal_column,
    text,
)

metadata = MetaData(
    naming_convention={"pk": "pk_%(table_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

payment = Table(
    "payment",
    metadata,
    Column("payment_request_id", Text, primary_key=True),
    # What the till asked for; never changes.
    Column("merchant_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("terminal_id", Text, nullable=False),
    Column("merchant_order_id", Text, nullable=False),
    Column("description", Text),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("code_masked", Text, nullable=False),
    Column("connector", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("routing_table", Text, nullable=False),
    Column("placed_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("previous_id", Text),
    Column("idempotency_key", Text, nullable=False),
    Column("code_fingerprint", LargeBinary, nullable=False),
    Column("expires_in_s", Integer),
    # Sealed; erased when no resend can be needed any more.
    Column("pay_body", LargeBinary),
    # What became of it.
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_final", Boolean, nullable=False),
    # The merchant's order while this payment holds it, else null: "one live or paid payment per
    # order" is its own column, because as an index on the status it would forbid to save a late
    # success.
    Column("order_claim", Text),
    Column("sends", Integer, nullable=False),
    Column("sends_never_left", Integer, nullable=False),
    Column("may_resend", Boolean, nullable=False),
    Column("inquiries", Integer, nullable=False),
    Column("has_asked_last", Boolean, nullable=False),
    Column("cancels", Integer, nullable=False),
    Column("refunds", Integer, nullable=False),
    Column("closing", Text, nullable=False),
    Column("closing_since", BigInteger),
    Column("was_reopened", Boolean, nullable=False),
    Column("was_cancelled_there", Boolean, nullable=False),
    Column("was_refunded_there", Boolean, nullable=False, server_default=false()),
    Column("mismatches", Integer, nullable=False),
    Column("was_reported_paid", Boolean, nullable=False),
    Column("cancelled_by", Text),
    Column("refused_code", Text),
    Column("calling", Text),
    Column("next_action", Text),
    Column("next_action_at", BigInteger),
    Column("result_code", Text),
    Column("result_message", Text),
    Column("payment_id", Text),
    Column("paid_at", BigInteger),
    Column("wallet", Text),
    Column("customer_id", Text),
    Column("psp_id", Text),
    Column("acquirer_id", Text),
    Column("changed_at", BigInteger, nullable=False),
    # Minor units given back: open or done, and done.
    Column("reserved", BigInteger, nullable=False, server_default="0"),
    Column("refunded", BigInteger, nullable=False, server_default="0"),
    # Events that the merchant was told; the number of the last one.
    Column("announced", Integer, nullable=False, server_default="0"),
    UniqueConstraint("merchant_id", "idempotency_key"),
    UniqueConstraint("merchant_id", "order_claim"),
    UniqueConstraint("connector", "payment_id"),
    sqlite_with_rowid=False,
)

# The queue: few rows have a next action, whatever the history holds.
Index(
    "ix_payment_next_action_at",
    payment.c.next_action_at,
    sqlite_where=payment.c.next_action_at.is_not(None),
    postgresql_where=payment.c.next_action_at.is_not(None),
)

# The attempts of an order, and the newest payments of a merchant or a store: ids are time-ordered.
Index(
    "ix_payment_order",
    payment.c.merchant_id,
    payment.c.merchant_order_id,
    payment.c.payment_request_id,
)
Index("ix_payment_merchant", payment.c.merchant_id, payment.c.payment_request_id)

# What the console looks for. A payment that goes well never enters it.
_is_not_well = payment.c.status.in_(
    [literal_column(f"'{word}'") for word in ("FAILED", "CANCELLING", "CANCELLED", "UNRESOLVED")]
)
Index(
    "ix_payment_not_well",
    payment.c.status,
    payment.c.payment_request_id,
    sqlite_where=_is_not_well,
    postgresql_where=_is_not_well,
)

payment_event = Table(
    "payment_event",
    metadata,
    Column("payment_request_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What a person should know of: hardly any step. Text within the JSON has its quotes escaped, so
# that nobody's words are taken for it. `|| ''` makes text of bytes in SQLite, whose LIKE takes no
# bytes everywhere; PostgreSQL's does.
HAS_ALERT = text("(detail || '') LIKE '%\"alerts\":%'")
Index(
    "ix_payment_event_alert",
    payment_event.c.at,
    sqlite_where=HAS_ALERT,
    postgresql_where=HAS_ALERT,
)

# Refunds that merchants asked for. What the payment reserved for them stands in its own row.
refund = Table(
    "refund",
    metadata,
    Column("refund_request_id", Text, primary_key=True),
    # What was asked for; never changes.
    Column("payment_request_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    # Minor units as the request named them; null asked for all that was left.
    Column("asked_amount", BigInteger),
    Column("connector", Text, nullable=False),
    Column("payment_id", Text),
    Column("currency", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", Text),
    Column("requested_by", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    # What became of it.
    Column("status", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("sends", Integer, nullable=False),
    Column("sends_never_left", Integer, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("may_resend", Boolean, nullable=False),
    Column("inquiries", Integer, nullable=False),
    Column("refused_code", Text),
    Column("calling", Text),
    Column("next_action", Text),
    Column("next_action_at", BigInteger),
    Column("result_code", Text),
    Column("result_message", Text),
    Column("refund_id", Text),
    Column("refunded_at", BigInteger),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("merchant_id", "idempotency_key"),
    sqlite_with_rowid=False,
)
Index("ix_refund_payment", refund.c.payment_request_id, refund.c.refund_request_id)
Index("ix_refund_status", refund.c.status, refund.c.refund_request_id)
Index(
    "ix_refund_next_action_at",
    refund.c.next_action_at,
    sqlite_where=refund.c.next_action_at.is_not(None),
    postgresql_where=refund.c.next_action_at.is_not(None),
)

Index(
    "ix_refund_refund_id",
    refund.c.refund_id,
    sqlite_where=refund.c.refund_id.is_not(None),
    postgresql_where=refund.c.refund_id.is_not(None),
)

refund_event = Table(
    "refund_event",
    metadata,
    Column("refund_request_id", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

Index(
    "ix_refund_event_alert",
    refund_event.c.at,
    sqlite_where=HAS_ALERT,
    postgresql_where=HAS_ALERT,
)

# What merchants are told, by webhooks and by streams: written in the commit of the change itself.
merchant_event = Table(
    "merchant_event",
    metadata,
    # Numbered by the engine, in the order in which events may be told: see migration 0003.
    Column("position", BigInteger().with_variant(Integer, "sqlite"), primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("store_id", Text, nullable=False),
    Column("terminal_id", Text, nullable=False),
    Column("payment_request_id", Text, nullable=False),
    Column("refund_request_id", Text),
    # 1, 2, ... of one payment, its refunds' included.
    Column("sequence", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    # JSON, the resource as it was then.
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("event_id"),
    sqlite_autoincrement=True,
)
Index("ix_merchant_event_merchant", merchant_event.c.merchant_id, merchant_event.c.position)

# Opens one stream of events, once.
event_ticket = Table(
    "event_ticket",
    metadata,
    Column("ticket_hash", Text, primary_key=True),
    Column("key_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Index("ix_event_ticket_expires_at", "expires_at"),
    sqlite_with_rowid=False,
)

# Where merchants want to be told, and how each telling goes.
webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("merchant_id", Text, nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text),
    # Each between spaces; null is all.
    Column("event_types", Text),
    # Sealed.
    Column("secrets", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("paused_reason", Text),
    # Its first failure since it last took anything.
    Column("failing_since", BigInteger),
    # Nothing is sent earlier: it asked for that.
    Column("not_before", BigInteger, nullable=False, server_default="0"),
    # Made, or last resumed.
    Column("active_since", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    UniqueConstraint("merchant_id", "url"),
    sqlite_with_rowid=False,
)
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    # Events of one payment go one after the other.
    Column("payment_request_id", Text, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("type", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # Counted before each is made.
    Column("attempts", Integer, nullable=False),
    # Since it was last begun, resumed or replayed.
    Column("failures", Integer, nullable=False),
    Column("tried_since", BigInteger),
    # While an attempt is being made: when somebody else may make the next. Null once it is over.
    Column("next_attempt_at", BigInteger),
    Column("is_leased", Boolean, nullable=False),
    Column("last_status", Integer),
    Column("last_error", Text),
    Column("delivered_at", BigInteger),
    # What is sent; null where it is made of the merchant's event.
    Column("payload", LargeBinary),
    sqlite_with_rowid=False,
)
_is_pending = webhook_delivery.c.state == "pending"
Index(
    "ix_webhook_delivery_due",
    webhook_delivery.c.endpoint_id,
    webhook_delivery.c.next_attempt_at,
    webhook_delivery.c.created_at,
    webhook_delivery.c.sequence,
    sqlite_where=_is_pending,
    postgresql_where=_is_pending,
)
Index(
    "ix_webhook_delivery_order",
    webhook_delivery.c.endpoint_id,
    webhook_delivery.c.payment_request_id,
    webhook_delivery.c.sequence,
    sqlite_where=_is_pending,
    postgresql_where=_is_pending,
)
Index(
    "ix_webhook_delivery_list",
    webhook_delivery.c.endpoint_id,
    webhook_delivery.c.created_at,
    webhook_delivery.c.event_id,
)
webhook_attempt = Table(
    "webhook_attempt",
    metadata,
    Column("endpoint_id", Text, primary_key=True),
    Column("event_id", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
    sqlite_with_rowid=False,
)

unmatched_notification = Table(
    "unmatched_notification",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("received_at", BigInteger, nullable=False),
    Column("payment_request_id", Text, nullable=False),
    Column("payment_id", Text),
    Column("outcome", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("amount", Text),
)

merchant = Table(
    "merchant",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("mcc", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("city", Text),
    Column("settlement_currency", Text, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

store = Table(
    "store",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("store_id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("mcc", Text, nullable=False),
    Column("is_closed", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

terminal = Table(
    "terminal",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("store_id", Text, primary_key=True),
    Column("terminal_id", Text, primary_key=True),
    Column("is_closed", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Never the key itself. Rows stay after a revocation: the audit and the histories name them.
api_key = Table(
    "api_key",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("key_hash", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("merchant_id", Text),
    Column("store_id", Text),
    Column("terminal_id", Text),
    Column("operator_id", Text),
    Column("label", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    UniqueConstraint("key_hash"),
    sqlite_with_rowid=False,
)

# People who sign in on pages.
account = Table(
    "account",
    metadata,
    Column("account_id", Text, primary_key=True),
    # What they type, in lower case.
    Column("name", Text, nullable=False),
    # Argon2id, with its salt and its costs.
    Column("password_hash", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("merchant_id", Text),
    Column("store_id", Text),
    Column("terminal_id", Text),
    # Of one-time codes; sealed.
    Column("totp_secret", LargeBinary),
    # The step of the last one that was taken: each is taken once.
    Column("totp_used", BigInteger),
    # Wrong passwords since the last right one, counted before each is looked at.
    Column("failures", Integer, nullable=False),
    Column("waits_until", BigInteger),
    Column("is_closed", Boolean, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
    Column("signed_in_at", BigInteger),
    UniqueConstraint("name"),
    sqlite_with_rowid=False,
)

# Never the token itself.
session = Table(
    "session",
    metadata,
    Column("session_hash", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("ix_session_account", session.c.account_id)

# One row: what every node compares with what it holds in memory.
registry_version = Table(
    "registry_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

audit_log = Table(
    "audit_log",
    metadata,
    Column(
        "id", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True
    ),
    Column("at", BigInteger, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("operator_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

"""Signatures of webhooks, exactly as Standard Webhooks 1.0.0 has them: HMAC-SHA256 over id, time
and body.

Source: the specification's sections "Signature scheme" and "Webhook headers". While a secret is
being replaced a message carries one signature for each, so that either verifies it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

SECRET_PREFIX = "whsec_"  # noqa: S105 -- what each secret begins with
KEY_BYTES_MIN, KEY_BYTES_MAX = 24, 64
"""The specification's: 192 to 512 bits."""
KEY_BYTES = 32
"""Of those drawn here: as many as SHA-256 gives back."""


def secret_of(key: bytes) -> str:
    """The key as merchants are given it: `whsec_` and base64."""
    assert KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX
    return SECRET_PREFIX + base64.b64encode(key).decode()


def signed_headers(
    event_id: str, at: datetime, body: bytes, keys: Sequence[bytes]
) -> dict[str, str]:
    """The three headers of one attempt.

    Args:
        event_id: the same for every attempt; receivers know a repetition by it. Without a dot.
        at: when this attempt is made, aware UTC; whole seconds of it are sent.
        body: as it travels.
        keys: at least one.
    """
    assert keys
    assert "." not in event_id
    timestamp = str(int(at.timestamp()))
    signed = f"{event_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": event_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(key, signed) for key in keys),
    }


def _signature(key: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()

"""The secrets of an endpoint: sealed in its row, newest first, each replaced one with its end."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from tillgate.core.webhook_signing import KEY_BYTES_MAX, KEY_BYTES_MIN
from tillgate.gateway.sealing import CannotUnseal, Sealer

SECRETS_MAX = 4
"""That sign at the same time. Each costs receivers a comparison; more are a mistake. Ours."""


class Secret(msgspec.Struct, frozen=True):
    """A key of 24 to 64 bytes, and until when it signs (aware UTC; None is until replaced)."""

    key: bytes
    until: datetime | None = None


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(list[Secret])


def seal_secrets(sealer: Sealer, endpoint_id: str, secrets: Sequence[Secret]) -> bytes:
    """As they are stored: bound to their endpoint."""
    return sealer.seal(_encoder.encode(list(secrets)), endpoint_id)


def unseal_secrets(sealer: Sealer, endpoint_id: str, sealed: bytes) -> list[Secret]:
    """The way back.

    Raises:
        CannotUnseal: sealed with another key, for another endpoint, or damaged.
    """
    try:
        return _decoder.decode(sealer.unseal(sealed, endpoint_id))
    except msgspec.DecodeError:
        raise CannotUnseal("what was sealed are no secrets") from None


def signing_keys(secrets: Sequence[Secret], now: datetime) -> list[bytes]:
    """Those that sign now, the newest first."""
    return [each.key for each in secrets if each.until is None or each.until > now]


def rotated(
    secrets: Sequence[Secret], key: bytes, now: datetime, overlap: timedelta
) -> list[Secret]:
    """With a new key in front; those before sign until the overlap is over, never longer than they
    would have.
    """
    assert KEY_BYTES_MIN <= len(key) <= KEY_BYTES_MAX
    end = now + overlap
    kept = [Secret(each.key, min(each.until or end, end)) for each in secrets]
    kept = [each for each in kept if each.until is not None and each.until > now]
    return [Secret(key), *kept][:SECRETS_MAX]

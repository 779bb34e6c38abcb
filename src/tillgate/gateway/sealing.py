"""Sealing: what holds a payment code is encrypted before it reaches the store, since erased rows
stay on disk.

AES-256-GCM with a random nonce; the payment's id is bound in, so that a sealed body moved to
another row does not open. The fingerprint is a keyed hash, so that equal codes can be recognised
and no code can be guessed from it without the key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_FORMAT = b"\x01"


class CannotUnseal(ValueError):
    """Sealed with another key, for another payment, or damaged."""


class Sealer:
    """Seals and unseals with one 32-byte key. `draw` gives random bytes."""

    def __init__(self, key: bytes, draw: Callable[[int], bytes]) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sealing key has {KEY_BYTES} bytes")
        self._cipher = AESGCM(key)
        self._fingerprint_key = hmac.digest(key, b"tillgate code fingerprint", hashlib.sha256)
        self._draw = draw

    def seal(self, plain: bytes, payment_request_id: str) -> bytes:
        """A format byte, the nonce, the ciphertext with its tag."""
        nonce = self._draw(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, payment_request_id.encode())

    def unseal(self, sealed: bytes, payment_request_id: str) -> bytes:
        """The way back.

        Raises:
            CannotUnseal: see there.
        """
        nonce, cipher = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _FORMAT:
                raise CannotUnseal("sealed in a format that this release does not know")
            return self._cipher.decrypt(nonce, cipher, payment_request_id.encode())
        except (InvalidTag, ValueError):
            raise CannotUnseal("the sealed body does not open with this key") from None

    def fingerprint(self, code: str) -> bytes:
        """32 bytes, equal for equal codes."""
        return hmac.digest(self._fingerprint_key, code.encode(), hashlib.sha256)

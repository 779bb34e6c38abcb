"""Passwords as Argon2id, and one-time codes by RFC 6238.

An Argon2 hash costs some 50 ms and 64 MiB on purpose, so it is made in a thread, two at once at
most, and never in the way of a payment.
"""

from __future__ import annotations

import asyncio
from base64 import b32encode
from datetime import datetime

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor import InvalidToken
from cryptography.hazmat.primitives.twofactor.totp import TOTP

SHORTEST, LONGEST = 10, 200
"""Characters of a password. NIST SP 800-63B asks for 8 at least, and for no other rule."""
AT_ONCE = 2
SECRET_BYTES = 20
"""RFC 4226, 4: 160 bits are recommended."""
STEP_S = 30
DIGITS = 6
DRIFT_STEPS = 1
"""RFC 6238, 5.2: at most one step of delay."""


class Passwords:
    """Makes and checks them; one per process."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        """Without another hasher the costs are RFC 9106's second choice: 64 MiB, three passes."""
        self._hasher = hasher or PasswordHasher()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._nobodys = self._hasher.hash("nobody's")

    async def hash(self, password: str) -> str:
        """The form that is kept: the hash with its salt and its costs."""
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the one; without a hash it takes as long, and is not."""
        async with self._places:
            return await asyncio.to_thread(self._verify, password, password_hash)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        try:
            self._hasher.verify(password_hash or self._nobodys, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None


def totp_uri(secret: bytes, name: str, issuer: str) -> str:
    """What an authenticator's camera reads: `otpauth://...`."""
    return _totp(secret).get_provisioning_uri(name, issuer)


def totp_text(secret: bytes) -> str:
    """The secret as people type it."""
    return b32encode(secret).decode()


def totp_step(secret: bytes, code: str, now: datetime) -> int | None:
    """The step whose code this is, within the drift; None where it is none of them."""
    if not (code.isascii() and code.isdigit() and len(code) == DIGITS):
        return None
    step = int(now.timestamp()) // STEP_S
    for each in range(step - DRIFT_STEPS, step + DRIFT_STEPS + 1):
        try:
            _totp(secret).verify(code.encode(), each * STEP_S)
        except InvalidToken:
            continue
        return each
    return None


def _totp(secret: bytes) -> TOTP:
    return TOTP(secret, DIGITS, SHA1(), STEP_S)  # noqa: S303  what authenticators know

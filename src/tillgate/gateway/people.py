"""People sign in with a name and a password, perhaps a one-time code, and have a session then.

Why a sign-in failed is never said: who guesses must not learn which names there are.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from tillgate.clock import Clock
from tillgate.core.access import Role
from tillgate.core.sessions import OPERATOR_LIFE, TILL_LIFE, Life
from tillgate.gateway.passwords import Passwords, totp_step
from tillgate.gateway.sealing import CannotUnseal, Sealer
from tillgate.store import Store
from tillgate.store.accounts import (
    Account,
    Session,
    close_session,
    count_try,
    load_session,
    note_seen,
    open_session,
)
from tillgate.store.registry import Act

SEEN_EVERY = timedelta(seconds=60)
"""How exactly `seen_at` is kept: one write per session and minute."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session.

    Attributes:
        token: what the person's browser holds from now on; nobody else does.
    """

    token: str
    account: Account
    ends_at: datetime


class People:
    """Lets people in and out."""

    def __init__(
        self,
        store: Store,
        passwords: Passwords,
        sealer: Sealer,
        clock: Clock,
        draw_token: Callable[[], str],
        *,
        till_life: Life = TILL_LIFE,
        operator_life: Life = OPERATOR_LIFE,
    ) -> None:
        self._store = store
        self._passwords = passwords
        self._sealer = sealer
        self._clock = clock
        self._draw_token = draw_token
        self._till_life = till_life
        self._operator_life = operator_life

    async def sign_in(
        self, name: str, password: str, code: str, address: str, roles: frozenset[Role]
    ) -> SignedIn | None:
        """A session for who knows the password; None for everybody else.

        Args:
            name: in any case.
            password: as typed.
            code: of an authenticator; empty where the account has none.
            address: from where, for the audit.
            roles: one of these is needed here.

        Raises:
            StoreError: nobody can say.
        """
        account = await count_try(self._store, name.strip().lower(), self._clock.now())
        known_hash = account.password_hash if account else None
        if not await self._passwords.is_right(password, known_hash) or account is None:
            return None
        step = None
        if account.totp_secret is not None:
            step = self._step(account, account.totp_secret, code.replace(" ", ""))
            if step is None:
                return None
        if account.roles.isdisjoint(roles):
            return None
        return await self._open(account, step, address)

    async def sign_in_as(self, account: Account, address: str) -> SignedIn | None:
        """A session without a password: the demonstration's own."""
        return await self._open(account, None, address)

    async def session(self, token: str, *, is_use: bool = True) -> Session | None:
        """The session of this token, None where there is none (any more).

        Args:
            token: what the browser holds.
            is_use: a person does something; a page that renews itself keeps no session open.
        """
        hashed = _hashed(token)
        session = await load_session(self._store, hashed)
        if session is None or session.account.is_closed:
            return None
        now = self._clock.now()
        if now >= session.ends_at or now >= session.seen_at + self._life_of(session.account).idle:
            return None
        if is_use and now - session.seen_at >= SEEN_EVERY:
            await note_seen(self._store, hashed, now)
        return session

    async def sign_out(self, token: str) -> None:
        """The end of a session."""
        await close_session(self._store, _hashed(token))

    async def _open(self, account: Account, step: int | None, address: str) -> SignedIn | None:
        now, token = self._clock.now(), self._draw_token()
        ends_at = now + self._life_of(account).whole
        act = Act(at=now, key_id=account.account_id, operator_id=account.name, address=address)
        is_open = await open_session(self._store, account, _hashed(token), ends_at, step, act)
        return SignedIn(token, account, ends_at) if is_open else None

    def _life_of(self, account: Account) -> Life:
        return self._operator_life if Role.OPERATOR in account.roles else self._till_life

    def _step(self, account: Account, sealed: bytes, code: str) -> int | None:
        try:
            secret = self._sealer.unseal(sealed, account.account_id)
        except CannotUnseal:
            return None  # sealed with a key that is gone: an operator sets a new one
        return totp_step(secret, code, self._clock.now())


def csrf_of(token: str) -> str:
    """What a page of this session sends with each change; it does not tell the token."""
    digest = hmac.digest(token.encode(), b"tillgate csrf", hashlib.sha256)
    return urlsafe_b64encode(digest).decode().rstrip("=")


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

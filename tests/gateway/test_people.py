"""Signing in: what guessing costs, when a session ends, and that a one-time code counts once."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from tests.store.store_side import NOW, open_store, with_store  # noqa: F401
from tests.support import SEAL_KEY
from tillgate.core.access import Role
from tillgate.core.lockout import FIRST_WAIT, FREE_TRIES, LONGEST_WAIT, wait_after
from tillgate.core.sessions import OPERATOR_LIFE, TILL_LIFE
from tillgate.gateway.passwords import Passwords, totp_step
from tillgate.gateway.people import SEEN_EVERY, People, csrf_of
from tillgate.gateway.sealing import Sealer
from tillgate.ids import new_secret, new_token
from tillgate.store import Sql
from tillgate.store.accounts import Account, add_account, change_account, load_account
from tillgate.store.registry import Act

PASSWORD, WRONG = "correct horse battery", "wrong horse battery"
TILL = frozenset({Role.TILL})
OPERATOR = frozenset({Role.OPERATOR})
ACT = Act(at=NOW, key_id="k", operator_id="alice", address="")
SECRET = bytes(range(20))
SECOND = timedelta(seconds=1)


@dataclass
class SetClock:
    at: datetime

    def now(self):
        return self.at


class Side:
    """People over a store, and the clock they read."""

    def __init__(self, store):
        self.store, self.clock = store, SetClock(NOW)
        self.sealer = Sealer(SEAL_KEY, new_secret)
        self.passwords = Passwords(PasswordHasher(1, 64, 1))
        self.people = People(store, self.passwords, self.sealer, self.clock, new_token)

    async def add(self, name="ann", roles=TILL):
        account = Account(
            account_id=f"acc_{name}",
            name=name,
            password_hash=await self.passwords.hash(PASSWORD),
            roles=roles,
            created_at=NOW,
        )
        await add_account(self.store, account, ACT)

    async def enters(self, password=PASSWORD, name="ann", code="", roles=TILL):
        return await self.people.sign_in(name, password, code, "10.0.0.1", roles)

    async def has_codes(self):
        sealed = self.sealer.seal(SECRET, "acc_ann")
        await change_account(self.store, "ann", "x", {"totp_secret": sealed}, ACT)


def run(open_store, work):  # noqa: F811
    async def inner(store):
        side = Side(store)
        await side.add()
        return await work(side)

    return with_store(open_store, inner)


def code_at(at):
    return TOTP(SECRET, 6, SHA1(), 30).generate(int(at.timestamp())).decode()


def test_waiting_grows_and_ends():
    assert [wait_after(n) for n in (0, 1, FREE_TRIES - 1)] == [timedelta(0)] * 3
    assert [wait_after(FREE_TRIES + n) / FIRST_WAIT for n in range(4)] == [1, 2, 4, 8]
    assert wait_after(10_000) == LONGEST_WAIT


def test_who_knows_the_password_comes_in_and_nobody_else(open_store):  # noqa: F811
    async def work(side):
        assert await side.enters(WRONG) is None
        assert await side.enters(name="nobody") is None
        assert await side.enters("") is None
        assert await side.enters(roles=OPERATOR) is None
        signed_in = await side.enters(name=" ANN ")
        session = await side.people.session(signed_in.token)
        assert session.account.caller().key_id == "acc_ann"
        other = "y" if signed_in.token[0] == "x" else "x"
        assert await side.people.session(other + signed_in.token[1:]) is None
        await side.people.sign_out(signed_in.token)
        await side.people.sign_out(signed_in.token)
        assert await side.people.session(signed_in.token) is None

    run(open_store, work)


def test_guesses_made_at_once_are_all_counted_and_then_even_the_right_one_waits(open_store):  # noqa: F811
    async def work(side):
        guesses = await asyncio.gather(*(side.enters(WRONG) for _ in range(FREE_TRIES + 3)))
        assert guesses == [None] * len(guesses)
        account = await load_account(side.store, "ann")
        assert account.failures == FREE_TRIES
        assert await side.enters() is None
        side.clock.at = account.waits_until - SECOND
        assert await side.enters() is None
        side.clock.at = account.waits_until
        assert await side.enters() is not None
        account = await load_account(side.store, "ann")
        assert (account.failures, account.waits_until) == (0, None)

    run(open_store, work)


def test_a_person_does_not_wait_for_the_tries_of_another(open_store):  # noqa: F811
    async def work(side):
        await side.add("bob")
        for _ in range(FREE_TRIES):
            await side.enters(WRONG)
        assert await side.enters(name="bob") is not None

    run(open_store, work)


@pytest.mark.parametrize(("roles", "life"), [(TILL, TILL_LIFE), (OPERATOR, OPERATOR_LIFE)])
def test_a_session_ends_when_it_is_not_used_and_in_any_case(open_store, roles, life):  # noqa: F811
    async def work(side):
        await side.add("eve", roles)
        left = await side.enters(name="eve", roles=roles)
        used = await side.enters(name="eve", roles=roles)
        end = NOW + life.whole
        while side.clock.at + life.idle - SECOND < end:
            side.clock.at += life.idle - SECOND
            assert await side.people.session(used.token) is not None
        assert await side.people.session(left.token) is None
        side.clock.at = end - timedelta(microseconds=1)
        assert await side.people.session(used.token) is not None
        side.clock.at = end
        assert await side.people.session(used.token) is None

    run(open_store, work)


def test_a_page_that_renews_itself_keeps_nobody_signed_in(open_store):  # noqa: F811
    async def work(side):
        signed_in = await side.enters()
        while side.clock.at < NOW + TILL_LIFE.idle - SEEN_EVERY:
            side.clock.at += SEEN_EVERY
            assert await side.people.session(signed_in.token, is_use=False) is not None
        side.clock.at += SEEN_EVERY
        assert await side.people.session(signed_in.token, is_use=False) is None

    run(open_store, work)


def test_use_is_noted_once_a_minute(open_store):  # noqa: F811
    async def work(side):
        signed_in = await side.enters()
        seen = []
        for step in (SEEN_EVERY - SECOND, SECOND, SECOND):
            side.clock.at += step
            await side.people.session(signed_in.token)
            [row] = await side.store.read(Sql("SELECT seen_at FROM session"))
            seen.append(row["seen_at"])
        assert seen[0] < seen[1] == seen[2]

    run(open_store, work)


@pytest.mark.parametrize(
    "changes", [{"is_closed": True}, {"password_hash": "another"}, {"totp_secret": b"x"}, {}]
)
def test_a_changed_account_has_no_sessions_any_more(open_store, changes):  # noqa: F811
    async def work(side):
        signed_in = await side.enters()
        await change_account(side.store, "ann", "user.change", changes, ACT)
        assert await side.people.session(signed_in.token) is None
        if changes.get("is_closed"):
            assert await side.enters() is None

    run(open_store, work)


def test_an_account_that_changes_while_its_password_is_looked_at_is_not_signed_in(open_store):  # noqa: F811
    async def work(side):
        account = await load_account(side.store, "ann")
        await change_account(side.store, "ann", "user.close", {"is_closed": True}, ACT)
        assert await side.people.sign_in_as(account, "") is None

    run(open_store, work)


def test_a_one_time_code_is_needed_and_counts_once(open_store):  # noqa: F811
    async def work(side):
        await side.has_codes()
        code = code_at(NOW)
        assert await side.enters() is None
        assert await side.enters(code="000000" if code != "000000" else "111111") is None
        assert await side.enters(WRONG, code=code) is None
        both = await asyncio.gather(side.enters(code=code), side.enters(code=code))
        assert sum(each is not None for each in both) == 1
        assert await side.enters(code=code_at(NOW - timedelta(seconds=30))) is None
        side.clock.at += timedelta(seconds=30)
        spaced = code_at(side.clock.at)
        assert await side.enters(code=f"{spaced[:3]} {spaced[3:]}") is not None

    run(open_store, work)


def test_a_secret_that_does_not_open_lets_nobody_in(open_store):  # noqa: F811
    async def work(side):
        await side.has_codes()
        side.people = People(
            side.store, side.passwords, Sealer(bytes(32), new_secret), side.clock, new_token
        )
        assert await side.enters(code=code_at(NOW)) is None

    run(open_store, work)


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "-12345"])
def test_what_is_no_code_is_none(code):
    assert totp_step(SECRET, code, NOW) is None


def test_a_code_counts_a_step_early_and_late_and_no_further():
    steps = [totp_step(SECRET, code_at(NOW + timedelta(seconds=30 * n)), NOW) for n in range(-2, 3)]
    assert [step is not None for step in steps] == [False, True, True, True, False]


def test_no_secret_is_in_the_database(open_store, tmp_path):  # noqa: F811
    async def work(side):
        await side.has_codes()
        signed_in = await side.enters(code=code_at(NOW))
        kept = b""
        for table in ("account", "session", "audit_log"):
            for row in await side.store.read(Sql(f"SELECT * FROM {table}")):
                kept += repr(tuple(row)).encode()
        for secret in (PASSWORD, signed_in.token, csrf_of(signed_in.token)):
            assert secret.encode() not in kept
        assert SECRET not in kept
        assert hashlib.sha256(signed_in.token.encode()).hexdigest().encode() in kept

    run(open_store, work)


def test_the_token_cannot_be_told_from_the_csrf_token():
    assert csrf_of("a") != csrf_of("b")
    assert "a" * 43 not in csrf_of("a" * 43)

"""Operators' API: the accounts of people who sign in on pages."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from tillgate.clock import Clock
from tillgate.core.access import Permission, Role
from tillgate.core.errors import NotThere
from tillgate.gateway.passwords import (
    LONGEST,
    SECRET_BYTES,
    SHORTEST,
    Passwords,
    totp_text,
    totp_uri,
)
from tillgate.gateway.resources import iso
from tillgate.gateway.sealing import Sealer
from tillgate.store import Store as Database
from tillgate.store.accounts import (
    Account,
    add_account,
    change_account,
    load_account,
    load_accounts,
)
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Handler, Operation, json_answer
from tillgate.web.problems import Problem
from tillgate.web.registry_api import PAGE_PARAMS, MerchantId, TerminalId, act_of
from tillgate.web.requests import PAGE, PAGE_MAX, page_of

GROUP = "People"
UserName = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")]
Password = Annotated[
    str, msgspec.Meta(min_length=SHORTEST, max_length=LONGEST, extra_json_schema=PLAIN)
]


class UserBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who shall sign in: a cashier or a back office of one merchant (of one store, of one
    terminal), or an operator.
    """

    name: UserName
    password: Password
    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=2)]
    merchant_id: MerchantId | None = None
    store_id: MerchantId | None = None
    terminal_id: TerminalId | None = None


class PasswordBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The new password."""

    password: Password


class UserResource(msgspec.Struct, frozen=True, kw_only=True):
    """An account without its secrets."""

    name: str
    roles: list[Role]
    merchant_id: str | None
    store_id: str | None
    terminal_id: str | None
    has_one_time_code: bool
    wrong_tries: int
    waits_until: str | None
    closed: bool
    created_at: str
    signed_in_at: str | None


class UserPage(msgspec.Struct, frozen=True):
    """Accounts by name, closed ones too."""

    users: list[UserResource]
    next_cursor: str | None


class UserQuery(msgspec.Struct, frozen=True):
    """Which page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: UserName | None = None


class OneTimeCodes(msgspec.Struct, frozen=True):
    """What an authenticator needs, shown once: as text, and as the address in a QR code."""

    secret: str
    uri: str


_NAME = {"name": "As the person types it."}
_CHANGED = Answer(status=200, description="As it is now.", body=UserResource)


class UsersApi:
    """The operations, with what they need."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        sealer: Sealer,
        clock: Clock,
        draw_id: Callable[[str, datetime], str],
        draw_secret: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._sealer = sealer
        self._clock = clock
        self._draw_id = draw_id
        self._draw_secret = draw_secret

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listUsers",
                method="GET",
                path="/admin/v1/users",
                group=GROUP,
                summary="List accounts",
                permission=Permission.ADMIN,
                query=UserQuery,
                query_params=PAGE_PARAMS,
                answers=(Answer(status=200, description="By name.", body=UserPage),),
                handler=self.find,
            ),
            Operation(
                name="createUser",
                method="POST",
                path="/admin/v1/users",
                group=GROUP,
                summary="Make an account",
                description="Roles and reach are those of keys: `till` pays, `back_office` refunds"
                " and may stand beside it, `operator` uses the console.",
                permission=Permission.ADMIN,
                body=UserBody,
                answers=(Answer(status=201, description="The account.", body=UserResource),),
                problems=("not_there", "already_there"),
                handler=self.create,
            ),
            self._change(
                "setPassword",
                "password",
                "Set a password; its sessions end",
                self.set_password,
                body=PasswordBody,
            ),
            self._change("closeUser", "close", "Close an account; its sessions end", self.close),
            self._change("reopenUser", "reopen", "Open a closed account again", self.reopen),
            self._change(
                "unlockUser",
                "unlock",
                "Let an account try again at once after wrong passwords",
                self.unlock,
            ),
            self._change(
                "startOneTimeCodes",
                "one-time-codes",
                "Ask for one-time codes from now on (RFC 6238)",
                self.start_codes,
                answer=Answer(
                    status=200, description="For the authenticator, once.", body=OneTimeCodes
                ),
            ),
            self._change(
                "endOneTimeCodes",
                "one-time-codes",
                "Ask for no one-time codes any more",
                self.end_codes,
                method="DELETE",
            ),
        ]

    def _change(
        self,
        name: str,
        what: str,
        summary: str,
        handler: Handler,
        *,
        method: str = "POST",
        body: type[msgspec.Struct] | None = None,
        answer: Answer = _CHANGED,
    ) -> Operation:
        return Operation(
            name=name,
            method=method,
            path=f"/admin/v1/users/{{name}}/{what}",
            group=GROUP,
            summary=summary,
            permission=Permission.ADMIN,
            path_params=_NAME,
            body=body,
            answers=(answer,),
            problems=("not_there",),
            handler=handler,
        )

    async def find(self, call: Call) -> Response:
        """One page."""
        query: UserQuery = call.query
        found = await load_accounts(self._database, query.cursor or "", query.limit + 1)
        page, last = page_of(found, query.limit)
        return json_answer(
            UserPage([_resource(each) for each in page], last.name if last else None)
        )

    async def create(self, call: Call) -> Response:
        """A new account."""
        body: UserBody = call.body
        _check_reach(body)
        act = act_of(call, self._clock)
        account = Account(
            account_id=self._draw_id("acc", act.at),
            name=body.name,
            password_hash=await self._passwords.hash(body.password),
            roles=frozenset(body.roles),
            merchant_id=body.merchant_id,
            store_id=body.store_id,
            terminal_id=body.terminal_id,
            created_at=act.at,
        )
        await add_account(self._database, account, act)
        return json_answer(_resource(account), 201)

    async def set_password(self, call: Call) -> Response:
        """Another password."""
        hashed = await self._passwords.hash(call.body.password)
        return await self._changed(call, "user.password", {"password_hash": hashed})

    async def close(self, call: Call) -> Response:
        """Nobody signs in with it."""
        return await self._changed(call, "user.close", {"is_closed": True})

    async def reopen(self, call: Call) -> Response:
        """The person signs in again."""
        return await self._changed(call, "user.reopen", {"is_closed": False})

    async def unlock(self, call: Call) -> Response:
        """The wrong tries are forgotten."""
        return await self._changed(call, "user.unlock", {})

    async def start_codes(self, call: Call) -> Response:
        """A new secret."""
        name = call.path("name")
        account = await load_account(self._database, name)
        if account is None:
            raise NotThere(f"There is no account {name!r}.")
        secret = self._draw_secret(SECRET_BYTES)
        sealed = self._sealer.seal(secret, account.account_id)
        await self._changed(
            call, "user.one_time_codes.start", {"totp_secret": sealed, "totp_used": None}
        )
        return json_answer(OneTimeCodes(totp_text(secret), totp_uri(secret, name, "Tillgate")))

    async def end_codes(self, call: Call) -> Response:
        """No secret."""
        return await self._changed(call, "user.one_time_codes.end", {"totp_secret": None})

    async def _changed(self, call: Call, what: str, changes: dict[str, Any]) -> Response:
        act = act_of(call, self._clock)
        account = await change_account(self._database, call.path("name"), what, changes, act)
        return json_answer(_resource(account))


def _check_reach(body: UserBody) -> None:
    """An account is a merchant's or an operator's, and narrows from the left."""
    is_operators = Role.OPERATOR in body.roles
    if is_operators and set(body.roles) != {Role.OPERATOR}:
        raise Problem("invalid_field", "An operator has no other role.", path="$.roles")
    for name, value, is_needed, is_allowed in (
        ("merchant_id", body.merchant_id, not is_operators, not is_operators),
        ("store_id", body.store_id, False, not is_operators),
        ("terminal_id", body.terminal_id, False, body.store_id is not None),
    ):
        if is_needed and value is None:
            raise Problem("missing_field", "This role needs it.", path=f"$.{name}")
        if value is not None and not is_allowed:
            why = "It needs a store_id." if name == "terminal_id" else "Not with this role."
            raise Problem("invalid_field", why, path=f"$.{name}")


def _resource(account: Account) -> UserResource:
    return UserResource(
        name=account.name,
        roles=sorted(account.roles),
        merchant_id=account.merchant_id,
        store_id=account.store_id,
        terminal_id=account.terminal_id,
        has_one_time_code=account.totp_secret is not None,
        wrong_tries=account.failures,
        waits_until=iso(account.waits_until) if account.waits_until else None,
        closed=account.is_closed,
        created_at=iso(account.created_at),
        signed_in_at=iso(account.signed_in_at) if account.signed_in_at else None,
    )

"""Operators' API: API keys, and the audit of what operators did."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from tillgate.clock import Clock
from tillgate.core.access import Caller, Permission, Role
from tillgate.gateway.registry import Registry
from tillgate.gateway.resources import iso
from tillgate.merchants import ApiKey, hash_key
from tillgate.store import Store as Database
from tillgate.store.registry import (
    AuditRow,
    KeyRow,
    add_key,
    load_audit,
    load_keys,
    revoke_key,
    rotate_key,
)
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Operation, json_answer
from tillgate.web.problems import Problem
from tillgate.web.registry_api import PAGE_PARAMS, MerchantId, TerminalId, act_of
from tillgate.web.requests import PAGE, PAGE_MAX, page_of

GROUP = "Keys"
OVERLAP_S = 24 * 3600
"""How long a rotated key goes on to open, unless said otherwise: time to bring the new one to every
till. Ours.
"""
OVERLAP_MAX_S = 30 * 24 * 3600
Label = Annotated[str, msgspec.Meta(max_length=100, extra_json_schema=PLAIN)]
OperatorId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._@-]{1,64}$")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"^tg_(test|live)_[A-Za-z0-9_-]{1,56}$")]


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the key shall be for: roles of one merchant (of one store, of one terminal), or an
    operator.
    """

    roles: Annotated[list[Role], msgspec.Meta(min_length=1, max_length=2)]
    merchant_id: MerchantId | None = None
    store_id: MerchantId | None = None
    terminal_id: TerminalId | None = None
    operator_id: OperatorId | None = None
    label: Label = ""
    expires_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long the old key goes on to open, in seconds; 0 ends it now."""

    overlap_s: Annotated[int, msgspec.Meta(ge=0, le=OVERLAP_MAX_S)] = OVERLAP_S


class KeyResource(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    id: str
    roles: list[Role]
    merchant_id: str | None
    store_id: str | None
    terminal_id: str | None
    operator_id: str | None
    label: str
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


class NewKeyResource(msgspec.Struct, frozen=True):
    """The one time that a key is shown."""

    id: str
    key: str


class KeyPage(msgspec.Struct, frozen=True):
    """Keys by id, revoked ones too."""

    keys: list[KeyResource]
    next_cursor: str | None


class KeyQuery(msgspec.Struct, frozen=True):
    """Which keys."""

    merchant_id: MerchantId | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: KeyId | None = None


class AuditResource(msgspec.Struct, frozen=True, kw_only=True):
    """One administrative act: who did what, from where."""

    id: int
    at: str
    key_id: str
    operator_id: str
    address: str
    act: str
    subject: str
    detail: dict[str, Any]


class AuditPage(msgspec.Struct, frozen=True):
    """Acts, newest first."""

    acts: list[AuditResource]
    next_cursor: str | None


class AuditQuery(msgspec.Struct, frozen=True):
    """Which page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


_KEY = {"key_id": "The key's id, never the key."}
_NEW = Answer(status=201, description="The key, shown once.", body=NewKeyResource)


class KeysApi:
    """The operations, with what they need."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        clock: Clock,
        draw_id: Callable[[str, datetime], str],
        draw_token: Callable[[], str],
        *,
        is_live: bool,
    ) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock
        self._draw_id = draw_id
        self._draw_token = draw_token
        self._prefix = "tg_live" if is_live else "tg_test"

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listKeys",
                method="GET",
                path="/admin/v1/keys",
                group=GROUP,
                summary="List keys",
                permission=Permission.ADMIN,
                query=KeyQuery,
                query_params=PAGE_PARAMS | {"merchant_id": "Of that merchant."},
                answers=(Answer(status=200, description="By id.", body=KeyPage),),
                handler=self.find,
            ),
            Operation(
                name="createKey",
                method="POST",
                path="/admin/v1/keys",
                group=GROUP,
                summary="Make a key",
                description="The key is shown in this answer and never again. It begins with"
                " `tg_live_` where money is real, else with `tg_test_`.",
                permission=Permission.ADMIN,
                body=KeyBody,
                answers=(_NEW,),
                problems=("not_there", "already_there"),
                handler=self.create,
            ),
            Operation(
                name="rotateKey",
                method="POST",
                path="/admin/v1/keys/{key_id}/rotate",
                group=GROUP,
                summary="Make a key for the same, and end the old one a while later",
                permission=Permission.ADMIN,
                path_params=_KEY,
                body=RotateBody,
                is_body_optional=True,
                answers=(_NEW,),
                problems=("not_there", "already_there"),
                handler=self.rotate,
            ),
            Operation(
                name="revokeKey",
                method="POST",
                path="/admin/v1/keys/{key_id}/revoke",
                group=GROUP,
                summary="End a key now",
                description="On every node within a second. The same again is harmless.",
                permission=Permission.ADMIN,
                path_params=_KEY,
                answers=(Answer(status=204, description="It opens nothing any more."),),
                problems=("not_there",),
                handler=self.revoke,
            ),
            Operation(
                name="listAudit",
                method="GET",
                path="/admin/v1/audit",
                group=GROUP,
                summary="Read what operators did",
                permission=Permission.ADMIN,
                query=AuditQuery,
                query_params=PAGE_PARAMS,
                answers=(Answer(status=200, description="Newest first.", body=AuditPage),),
                handler=self.audit,
            ),
        ]

    async def find(self, call: Call) -> Response:
        """One page."""
        query: KeyQuery = call.query
        rows = await load_keys(
            self._database, query.merchant_id, query.cursor or "", query.limit + 1
        )
        page, last = page_of(rows, query.limit)
        cursor = last.key.caller.key_id if last else None
        return json_answer(KeyPage([_key_resource(row) for row in page], cursor))

    async def create(self, call: Call) -> Response:
        """A new key."""
        body: KeyBody = call.body
        _check_reach(body)
        act = act_of(call, self._clock)
        if body.expires_at is not None and body.expires_at <= act.at:
            raise Problem("invalid_field", "This moment is over.", path="$.expires_at")
        key, key_id = self._draw(act.at)
        caller = Caller(
            key_id=key_id,
            roles=frozenset(body.roles),
            merchant_id=body.merchant_id,
            store_id=body.store_id,
            terminal_id=body.terminal_id,
            operator_id=body.operator_id,
        )
        kept = ApiKey(
            caller=caller, key_hash=hash_key(key), expires_at=body.expires_at, label=body.label
        )
        await self._registry.after(add_key(self._database, kept, act))
        return json_answer(NewKeyResource(key_id, key), 201)

    async def rotate(self, call: Call) -> Response:
        """A new key for the same."""
        body: RotateBody = call.body or RotateBody()
        act = act_of(call, self._clock)
        key, key_id = self._draw(act.at)
        until = act.at + timedelta(seconds=body.overlap_s)
        await self._registry.after(
            rotate_key(self._database, call.path("key_id"), hash_key(key), key_id, until, act)
        )
        return json_answer(NewKeyResource(key_id, key), 201)

    async def revoke(self, call: Call) -> Response:
        """The end of a key."""
        act = act_of(call, self._clock)
        await self._registry.after(revoke_key(self._database, call.path("key_id"), act))
        return Response(status_code=204)

    async def audit(self, call: Call) -> Response:
        """One page."""
        query: AuditQuery = call.query
        rows = await load_audit(self._database, query.cursor, query.limit + 1)
        page, last = page_of(rows, query.limit)
        cursor = str(last.id) if last else None
        return json_answer(AuditPage([_audit_resource(row) for row in page], cursor))

    def _draw(self, now: datetime) -> tuple[str, str]:
        return f"{self._prefix}_{self._draw_token()}", self._draw_id(self._prefix, now)


def _check_reach(body: KeyBody) -> None:
    """A key is a merchant's or an operator's, and narrows from the left."""
    is_operators = Role.OPERATOR in body.roles
    if is_operators and set(body.roles) != {Role.OPERATOR}:
        raise Problem("invalid_field", "An operator's key has no other role.", path="$.roles")
    for name, value, is_needed, is_allowed in (
        ("operator_id", body.operator_id, is_operators, is_operators),
        ("merchant_id", body.merchant_id, not is_operators, not is_operators),
        ("store_id", body.store_id, False, not is_operators),
        ("terminal_id", body.terminal_id, False, body.store_id is not None),
    ):
        if is_needed and value is None:
            raise Problem("missing_field", "This role needs it.", path=f"$.{name}")
        if value is not None and not is_allowed:
            why = "It needs a store_id." if name == "terminal_id" else "Not with this role."
            raise Problem("invalid_field", why, path=f"$.{name}")


def _key_resource(row: KeyRow) -> KeyResource:
    caller = row.key.caller
    times = (row.key.expires_at, row.revoked_at, row.last_used_at)
    expires_at, revoked_at, last_used_at = (iso(at) if at else None for at in times)
    return KeyResource(
        id=caller.key_id,
        roles=sorted(caller.roles),
        merchant_id=caller.merchant_id,
        store_id=caller.store_id,
        terminal_id=caller.terminal_id,
        operator_id=caller.operator_id,
        label=row.key.label,
        created_at=iso(row.created_at),
        expires_at=expires_at,
        revoked_at=revoked_at,
        last_used_at=last_used_at,
    )


def _audit_resource(row: AuditRow) -> AuditResource:
    return AuditResource(
        id=row.id,
        at=iso(row.at),
        key_id=row.key_id,
        operator_id=row.operator_id,
        address=row.address,
        act=row.act,
        subject=row.subject,
        detail=msgspec.json.decode(row.detail),
    )

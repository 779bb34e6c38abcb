"""Operators' API: merchants, their stores and terminals."""

from __future__ import annotations

from typing import Annotated

import msgspec
from starlette.responses import Response

from tillgate.clock import Clock
from tillgate.core.access import Permission
from tillgate.core.errors import NotThere
from tillgate.core.money import EXPONENTS
from tillgate.gateway.registry import Registry
from tillgate.merchants import Merchant, Store, Terminal
from tillgate.store import Store as Database
from tillgate.store import registry as stored
from tillgate.store.registry import Act
from tillgate.web.bodies import PLAIN
from tillgate.web.operations import Answer, Call, Handler, Operation, json_answer
from tillgate.web.problems import Problem
from tillgate.web.requests import PAGE, PAGE_MAX, page_of

GROUP = "Merchants"

# Lengths: Alipay+ data dictionary (referenceMerchantId 32, merchantName 256, MCC 4, city 32).
# None begins with a dot: an address with `.` or `..` in it leads elsewhere.
_ID = r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,31}$"
MerchantId = Annotated[str, msgspec.Meta(pattern=_ID)]
TerminalId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$")]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256, extra_json_schema=PLAIN)]
Mcc = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}$")]
Region = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{2}$")]
City = Annotated[str, msgspec.Meta(min_length=1, max_length=32, extra_json_schema=PLAIN)]
Currency = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(EXPONENTS)})]


class MerchantBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merchant to add. `mcc` is of ISO 18245, `region` of ISO 3166."""

    id: MerchantId
    name: Name
    mcc: Mcc
    region: Region
    settlement_currency: Currency
    city: City | None = None


class MerchantChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different; the rest stays. A closed merchant takes no new payments."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    mcc: Mcc | msgspec.UnsetType = msgspec.UNSET
    region: Region | msgspec.UnsetType = msgspec.UNSET
    settlement_currency: Currency | msgspec.UnsetType = msgspec.UNSET
    city: City | msgspec.UnsetType = msgspec.UNSET
    closed: bool | msgspec.UnsetType = msgspec.UNSET


class StoreBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A store to add."""

    id: MerchantId
    name: Name
    mcc: Mcc


class StoreChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different; the rest stays."""

    name: Name | msgspec.UnsetType = msgspec.UNSET
    mcc: Mcc | msgspec.UnsetType = msgspec.UNSET
    closed: bool | msgspec.UnsetType = msgspec.UNSET


class TerminalBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A terminal to add."""

    id: TerminalId


class TerminalChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What shall be different."""

    closed: bool


class TerminalResource(msgspec.Struct, frozen=True):
    """A till."""

    id: str
    closed: bool


class StoreResource(msgspec.Struct, frozen=True):
    """A place with tills."""

    id: str
    name: str
    mcc: str
    closed: bool
    terminals: list[TerminalResource]


class MerchantResource(msgspec.Struct, frozen=True):
    """A merchant with all its stores and terminals."""

    id: str
    name: str
    mcc: str
    region: str
    city: str | None
    settlement_currency: str
    closed: bool
    stores: list[StoreResource]


class MerchantPage(msgspec.Struct, frozen=True):
    """Merchants by id."""

    merchants: list[MerchantResource]
    next_cursor: str | None


class PageQuery(msgspec.Struct, frozen=True):
    """Which page."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)] = PAGE
    cursor: MerchantId | None = None


PAGE_PARAMS = {"limit": "At most so many.", "cursor": "`next_cursor` of the page before."}
_MERCHANT = {"merchant_id": "The merchant's id."}
_STORE = _MERCHANT | {"store_id": "The store's id."}
_TERMINAL = _STORE | {"terminal_id": "The terminal's id."}
_ONE = "/admin/v1/merchants/{merchant_id}"
_ONE_STORE = _ONE + "/stores/{store_id}"


class RegistryApi:
    """The operations, with what they need."""

    def __init__(self, database: Database, registry: Registry, clock: Clock) -> None:
        self._database = database
        self._registry = registry
        self._clock = clock

    def operations(self) -> list[Operation]:
        """What to mount."""
        return [
            Operation(
                name="listMerchants",
                method="GET",
                path="/admin/v1/merchants",
                group=GROUP,
                summary="List merchants",
                permission=Permission.ADMIN,
                query=PageQuery,
                query_params=PAGE_PARAMS,
                answers=(Answer(status=200, description="By id.", body=MerchantPage),),
                handler=self.find,
            ),
            _add("addMerchant", "/admin/v1/merchants", {}, MerchantBody, self.add),
            Operation(
                name="getMerchant",
                method="GET",
                path=_ONE,
                group=GROUP,
                summary="Read a merchant with its stores and terminals",
                permission=Permission.ADMIN,
                path_params=_MERCHANT,
                answers=(_answer(200),),
                problems=("not_there",),
                handler=self.read,
            ),
            _change("changeMerchant", _ONE, _MERCHANT, MerchantChange, self.change),
            _add("addStore", f"{_ONE}/stores", _MERCHANT, StoreBody, self.add_store),
            _change("changeStore", _ONE_STORE, _STORE, StoreChange, self.change_store),
            _add("addTerminal", f"{_ONE_STORE}/terminals", _STORE, TerminalBody, self.add_terminal),
            _change(
                "changeTerminal",
                _ONE_STORE + "/terminals/{terminal_id}",
                _TERMINAL,
                TerminalChange,
                self.change_terminal,
            ),
        ]

    async def find(self, call: Call) -> Response:
        """One page, from what is held in memory."""
        query: PageQuery = call.query
        after = query.cursor or ""
        ids = sorted(name for name in self._registry.merchants if name > after)
        page, last = page_of(ids, query.limit)
        merchants = [merchant_resource(self._registry.merchants[name]) for name in page]
        return json_answer(MerchantPage(merchants, last))

    async def read(self, call: Call) -> Response:
        """One merchant."""
        return self._told((call.path("merchant_id"),))

    async def add(self, call: Call) -> Response:
        """A new merchant."""
        body: MerchantBody = call.body
        _check_currency(body.settlement_currency)
        merchant = Merchant(
            id=body.id,
            name=body.name,
            mcc=body.mcc,
            region=body.region,
            city=body.city,
            settlement_currency=body.settlement_currency,
            stores={},
        )
        act = act_of(call, self._clock)
        await self._registry.after(stored.add_merchant(self._database, merchant, act))
        return self._told((body.id,), 201)

    async def change(self, call: Call) -> Response:
        """Other values for a merchant."""
        body: MerchantChange = call.body
        if body.settlement_currency is not msgspec.UNSET:
            _check_currency(body.settlement_currency)
        return await self._change("merchant", call)

    async def add_store(self, call: Call) -> Response:
        """A new store."""
        body: StoreBody = call.body
        merchant_id = call.path("merchant_id")
        store = Store(id=body.id, name=body.name, mcc=body.mcc, terminals={})
        act = act_of(call, self._clock)
        await self._registry.after(stored.add_store(self._database, merchant_id, store, act))
        return self._told((merchant_id, body.id), 201)

    async def change_store(self, call: Call) -> Response:
        """Other values for a store."""
        return await self._change("store", call)

    async def add_terminal(self, call: Call) -> Response:
        """A new terminal."""
        merchant_id, store_id = call.path("merchant_id"), call.path("store_id")
        act = act_of(call, self._clock)
        await self._registry.after(
            stored.add_terminal(self._database, merchant_id, store_id, call.body.id, act)
        )
        return self._told((merchant_id, store_id, call.body.id), 201)

    async def change_terminal(self, call: Call) -> Response:
        """Close a terminal, or open it again."""
        return await self._change("terminal", call)

    async def _change(self, table: str, call: Call) -> Response:
        given = msgspec.structs.asdict(call.body)
        changes = {
            "is_closed" if name == "closed" else name: value
            for name, value in given.items()
            if value is not msgspec.UNSET
        }
        if not changes:
            raise Problem("missing_field", "Say what shall be different.", path="$")
        ids = dict(call.request.path_params)
        act = act_of(call, self._clock)
        await self._registry.after(stored.change(self._database, table, ids, changes, act))
        return self._told(tuple(ids.values()))

    def _told(self, ids: tuple[str, ...], status: int = 200) -> Response:
        """The merchant, store or terminal with these ids, as it is now."""
        merchant = self._registry.merchants.get(ids[0])
        if merchant is None:
            raise NotThere(f"There is no merchant {ids[0]}.")
        told: MerchantResource | StoreResource | TerminalResource = merchant_resource(merchant)
        if len(ids) > 1:
            store = merchant.stores[ids[1]]
            told = store_resource(store)
            if len(ids) > 2:
                told = _terminal_resource(store.terminals[ids[2]])
        return json_answer(told, status)


def act_of(call: Call, clock: Clock) -> Act:
    """Who does this, now."""
    client = call.request.client
    return Act(
        at=clock.now(),
        key_id=call.caller.key_id,
        operator_id=call.caller.operator_id or "",
        address=client.host if client else "",
    )


def merchant_resource(merchant: Merchant) -> MerchantResource:
    """A merchant as operators see it."""
    return MerchantResource(
        id=merchant.id,
        name=merchant.name,
        mcc=merchant.mcc,
        region=merchant.region,
        city=merchant.city,
        settlement_currency=merchant.settlement_currency,
        closed=merchant.is_closed,
        stores=[store_resource(store) for store in merchant.stores.values()],
    )


def store_resource(store: Store) -> StoreResource:
    """A store as operators see it."""
    return StoreResource(
        id=store.id,
        name=store.name,
        mcc=store.mcc,
        closed=store.is_closed,
        terminals=[_terminal_resource(each) for each in store.terminals.values()],
    )


def _terminal_resource(terminal: Terminal) -> TerminalResource:
    return TerminalResource(terminal.id, terminal.is_closed)


def _check_currency(currency: str) -> None:
    if currency not in EXPONENTS:
        raise Problem("invalid_field", "Not in ISO 4217.", path="$.settlement_currency")


_RESOURCES = {
    "Merchant": ("a merchant", MerchantResource),
    "Store": ("a store", StoreResource),
    "Terminal": ("a terminal", TerminalResource),
}


def _answer(status: int, kind: str = "Merchant") -> Answer:
    words, resource = _RESOURCES[kind]
    return Answer(status=status, description=f"{words.capitalize()}, as it is now.", body=resource)


def _add(name: str, path: str, params: dict[str, str], body: type, handler: Handler) -> Operation:
    kind = name.removeprefix("add")
    return Operation(
        name=name,
        method="POST",
        path=path,
        group=GROUP,
        summary=f"Add {_RESOURCES[kind][0]}",
        permission=Permission.ADMIN,
        path_params=params,
        body=body,
        answers=(_answer(201, kind),),
        problems=("already_there", "not_there"),
        handler=handler,
    )


def _change(
    name: str, path: str, params: dict[str, str], body: type, handler: Handler
) -> Operation:
    kind = name.removeprefix("change")
    return Operation(
        name=name,
        method="PATCH",
        path=path,
        group=GROUP,
        summary=f"Change {_RESOURCES[kind][0]}, or close it",
        permission=Permission.ADMIN,
        path_params=params,
        body=body,
        answers=(_answer(200, kind),),
        problems=("not_there",),
        handler=handler,
    )

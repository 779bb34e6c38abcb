"""Who may sell where, and with which key: merchants, their stores, terminals and API keys; and the
acquirer's operators with theirs.

The store is the one truth (`store/registry.py`); a `Directory` is what of it a process holds in
memory, so that no request reads the database for its key. A TOML file of the same things begins an
empty registry. Keys are held as SHA-256 hashes: they are 256 random bits, so a slow password hash
would add nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tillgate.core.access import Caller, Role
from tillgate.core.errors import ConfigError
from tillgate.core.money import EXPONENTS

KEY_PREFIXES = ("tg_test_", "tg_live_")
"""Of a key and of its id alike, so that a test key is known without being seen."""
_PREFIX = len(KEY_PREFIXES[0])
_KEY_ID = r"tg_(?:test|live)_.*"
_MERCHANT_ROLES = frozenset({Role.TILL, Role.BACK_OFFICE})
_HASH = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class Terminal:
    """A till. A closed one takes no new payments; what it took goes on."""

    id: str
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A place with tills. `mcc` is the ISO 18245 merchant category code, four digits."""

    id: str
    name: str
    mcc: str
    terminals: dict[str, Terminal]
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Merchant:
    """A legal party that sells. `region` is ISO 3166 alpha-2; the network decides fees by it."""

    id: str
    name: str
    mcc: str
    region: str
    city: str | None
    settlement_currency: str
    stores: dict[str, Store]
    is_closed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is kept: never the key itself.

    Attributes:
        caller: what it opens.
        expires_at: it opens nothing from then on, aware UTC; None for never.
        label: for people.
    """

    caller: Caller
    key_hash: str = field(repr=False)
    expires_at: datetime | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Directory:
    """All merchants by id, and all keys that are not revoked."""

    merchants: Mapping[str, Merchant]
    keys: Sequence[ApiKey]
    _by_hash: dict[str, ApiKey] = field(init=False, repr=False, compare=False)
    _by_id: dict[str, ApiKey] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_hash", {key.key_hash: key for key in self.keys})
        object.__setattr__(self, "_by_id", {key.caller.key_id: key for key in self.keys})

    def caller(self, key: str, now: datetime) -> Caller | None:
        """Whose API key this is, or None.

        Only the key's hash is compared, and an attacker cannot steer a hash byte by byte, so the
        look-up gives no timing to learn from.
        """
        found = self._by_hash.get(hash_key(key))
        if found is None or _is_over(found, now):
            return None
        # The id says what the key is for; a test key under a live id opens nothing.
        return found.caller if key[:_PREFIX] == found.caller.key_id[:_PREFIX] else None

    def caller_by_id(self, key_id: str, now: datetime) -> Caller | None:
        """Whose key has this id, or None where it opens nothing (any more)."""
        found = self._by_id.get(key_id)
        return None if found is None or _is_over(found, now) else found.caller


def _is_over(key: ApiKey, now: datetime) -> bool:
    return key.expires_at is not None and now >= key.expires_at


def hash_key(key: str) -> str:
    """`sha256:...` of an API key, the form that is kept."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def read_directory(document: dict[str, Any], source: str) -> Directory:
    """Build the directory from a parsed TOML document.

    Raises:
        ConfigError: lists every problem with its place in the document.
    """
    problems: list[str] = []
    merchants: dict[str, Merchant] = {}
    keys = _Keys(problems)
    for unknown in sorted(set(document) - {"merchant", "operator"}):
        problems.append(
            f"{source}: {unknown}: unknown; only [[merchant]] and [[operator]] stand here"
        )
    for index, table in enumerate(_tables(document, "merchant", source, problems)):
        fields = _Fields(table, f"{source}: merchant[{index}]", problems)
        merchant = _merchant(fields)
        if merchant.id in merchants:
            problems.append(f"{fields.place}.id: {merchant.id!r} is used twice")
        merchants[merchant.id] = merchant
        keys.read(fields, merchant)
        fields.finish()
    operators: set[str] = set()
    for index, table in enumerate(_tables(document, "operator", source, problems)):
        fields = _Fields(table, f"{source}: operator[{index}]", problems)
        operator_id = fields.text("id", 64)
        if operator_id in operators:
            problems.append(f"{fields.place}.id: {operator_id!r} is used twice")
        operators.add(operator_id)
        keys.read(fields, operator_id)
        fields.finish()
    if not merchants and not problems:
        problems.append(f"{source}: no [[merchant]]")
    if problems:
        raise ConfigError(problems)
    return Directory(merchants, tuple(keys.by_hash.values()))


class _Keys:
    """Reads the `key` tables of merchants and operators; no key may stand twice."""

    def __init__(self, problems: list[str]) -> None:
        self.by_hash: dict[str, ApiKey] = {}
        self._problems = problems

    def read(self, fields: _Fields, holder: Merchant | str) -> None:
        """The keys of a merchant, or of the operator with that id."""
        for key in fields.tables("key"):
            key_id = key.text("id", 64, _KEY_ID, "tg_test_... or tg_live_...")
            hashed = key.text("hash", 71)
            if hashed and not _HASH.match(hashed):
                self._problems.append(f"{key.place}.hash: not sha256: and 64 hex digits")
            if hashed in self.by_hash:
                self._problems.append(f"{key.place}.hash: the same key stands twice")
            if any(one.caller.key_id == key_id for one in self.by_hash.values()):
                self._problems.append(f"{key.place}.id: {key_id!r} is used twice")
            caller = self._caller(key, key_id, holder)
            self.by_hash[hashed] = ApiKey(caller=caller, key_hash=hashed)
            key.finish()

    def _caller(self, key: _Fields, key_id: str, holder: Merchant | str) -> Caller:
        if isinstance(holder, str):
            operator = frozenset({Role.OPERATOR})
            return Caller(key_id=key_id, roles=operator, merchant_id=None, operator_id=holder)
        store_id = key.text("store", 32) if "store" in key.table else None
        terminal_id = key.text("terminal", 64) if "terminal" in key.table else None
        store = holder.stores.get(store_id or "")
        if store_id and store is None:
            self._problems.append(f"{key.place}.store: this merchant has no such store")
        if terminal_id and (store is None or terminal_id not in store.terminals):
            self._problems.append(f"{key.place}.terminal: its store has no such terminal")
        return Caller(
            key_id=key_id,
            roles=self._roles(key),
            merchant_id=holder.id,
            store_id=store_id,
            terminal_id=terminal_id,
        )

    def _roles(self, key: _Fields) -> frozenset[Role]:
        named = key.table.get("roles", sorted(_MERCHANT_ROLES))
        key.know("roles")
        is_known = isinstance(named, list) and named and set(named) <= _MERCHANT_ROLES
        if not is_known:
            words = ", ".join(sorted(_MERCHANT_ROLES))
            self._problems.append(f"{key.place}.roles: not a list of {words}")
            return _MERCHANT_ROLES
        return frozenset(Role(name) for name in named)


def _merchant(fields: _Fields) -> Merchant:
    # Lengths: Alipay+ data dictionary (referenceMerchantId 32, merchantName 256, MCC 4, city 32).
    stores: dict[str, Store] = {}
    for store_fields in fields.tables("store"):
        store = _store(store_fields)
        if store.id in stores:
            fields.problems.append(f"{store_fields.place}.id: {store.id!r} is used twice")
        stores[store.id] = store
    if not stores:
        fields.problems.append(f"{fields.place}.store: at least one [[merchant.store]] is needed")
    region = fields.text("region", 2, r"[A-Z]{2}", "two capital letters of ISO 3166, such as JP")
    currency = fields.text("settlement_currency", 3)
    if currency and currency not in EXPONENTS:
        fields.problems.append(f"{fields.place}.settlement_currency: not in ISO 4217")
    return Merchant(
        id=fields.text("id", 32),
        name=fields.text("name", 256),
        mcc=fields.text("mcc", 4, r"[0-9]{4}", "four digits of ISO 18245"),
        region=region,
        city=fields.text("city", 32) if "city" in fields.table else None,
        settlement_currency=currency,
        stores=stores,
    )


def _store(fields: _Fields) -> Store:
    terminals: dict[str, Terminal] = {}
    for terminal_fields in fields.tables("terminal"):
        terminal = Terminal(terminal_fields.text("id", 64))
        if terminal.id in terminals:
            fields.problems.append(f"{terminal_fields.place}.id: {terminal.id!r} is used twice")
        terminals[terminal.id] = terminal
        terminal_fields.finish()
    if not terminals:
        fields.problems.append(f"{fields.place}.terminal: at least one is needed")
    store = Store(
        id=fields.text("id", 32),
        name=fields.text("name", 256),
        mcc=fields.text("mcc", 4, r"[0-9]{4}", "four digits of ISO 18245"),
        terminals=terminals,
    )
    fields.finish()
    return store


class _Fields:
    """Reads one TOML table, noting each problem with its place."""

    def __init__(self, table: dict[str, Any], place: str, problems: list[str]) -> None:
        self.table = table
        self.place = place
        self.problems = problems
        self._known: set[str] = set()

    def text(self, name: str, length_max: int, pattern: str = ".+", form: str = "text") -> str:
        self._known.add(name)
        value = self.table.get(name)
        is_text = isinstance(value, str) and len(value) <= length_max
        if not is_text or not re.fullmatch(pattern, value or ""):
            what = "missing" if value is None else f"not {form}, 1 to {length_max} characters"
            self.problems.append(f"{self.place}.{name}: {what}")
            return ""
        return str(value)

    def know(self, name: str) -> None:
        """Somebody else reads this field."""
        self._known.add(name)

    def tables(self, name: str) -> list[_Fields]:
        self.know(name)
        tables = _tables(self.table, name, self.place, self.problems)
        return [
            _Fields(table, f"{self.place}.{name}[{index}]", self.problems)
            for index, table in enumerate(tables)
        ]

    def finish(self) -> None:
        for unknown in sorted(set(self.table) - self._known):
            self.problems.append(f"{self.place}.{unknown}: unknown")


def _tables(
    document: dict[str, Any], name: str, place: str, problems: list[str]
) -> list[dict[str, Any]]:
    tables = document.get(name, [])
    if isinstance(tables, list) and all(isinstance(table, dict) for table in tables):
        return tables
    problems.append(f"{place}: {name}: write [[...{name}]] tables")
    return []

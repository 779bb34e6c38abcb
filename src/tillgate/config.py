"""What `serve` and `sandbox` are started with: read once at start and passed on. Nothing imports a
global. The settings themselves and how one is read stand in `settings.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from tillgate.alipayplus.signing import BadKey, KeyRing, SigningKey
from tillgate.clock import SystemClock
from tillgate.connectors import ConnectorSettings
from tillgate.connectors.kinds import build_connector
from tillgate.core.errors import ConfigError
from tillgate.core.limits import Limit
from tillgate.core.routing_table import ALIPAY_PLUS
from tillgate.core.sessions import OPERATOR_LIFE, TILL_LIFE
from tillgate.merchants import Directory, read_directory
from tillgate.routing_settings import RoutingSettings, read_routing, read_takes
from tillgate.server import Address
from tillgate.settings import CHOICES, SANDBOX_DIRECT, Source
from tillgate.store.postgres_url import PostgresUrl, read_postgres_url

_CONNECTOR_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything `serve` needs. `seed` begins an empty registry."""

    listen: Address
    public_url: str
    store: Path | PostgresUrl
    seal_key: bytes
    log_level: str
    seed: Directory | None
    is_live: bool
    admin_listen: Address
    limit: Limit
    connectors: tuple[ConnectorSettings, ...]
    routing: RoutingSettings = field(default_factory=RoutingSettings)
    webhooks_to_local: bool = False
    is_demo: bool = False
    till_idle: timedelta = TILL_LIFE.idle
    operator_idle: timedelta = OPERATOR_LIFE.idle


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Everything `sandbox` needs.

    Attributes:
        choices: a word for each name of `CHOICES`.
        direct: by name, the keys of the wallets that are called directly.
    """

    listen: Address
    signing_key: SigningKey
    acquirers: dict[str, KeyRing]
    wallets: bytes | None
    notify_delay_s: float
    latency_s: float
    has_magic: bool
    is_demo: bool
    choices: dict[str, str]
    direct: dict[str, tuple[SigningKey, dict[str, KeyRing]]]


def load_gateway(environ: Mapping[str, str], file: Path | None) -> GatewaySettings:
    """Read what `serve` needs.

    Raises:
        ConfigError: lists every problem.
    """
    source = Source.open(environ, file)
    settings = GatewaySettings(
        listen=source.address("gateway", "listen"),
        public_url=source.url("gateway", "public_url"),
        store=_store(source),
        seal_key=_seal_key(source),
        log_level=source.one_of("gateway", "log_level", ("DEBUG", "INFO", "WARNING", "ERROR")),
        seed=_seed(source),
        is_live=source.one_of("gateway", "env", ("test", "live")) == "live",
        admin_listen=source.address("admin", "listen"),
        limit=Limit(
            per_second=source.whole("limits", "requests_per_s", 0, 1_000_000),
            burst=source.whole("limits", "burst", 1, 1_000_000),
        ),
        connectors=_connectors(source),
        routing=read_routing(source),
        webhooks_to_local=source.one_of("webhooks", "allow_local", ("on", "off")) == "on",
        is_demo=source.one_of("pages", "demo", ("on", "off")) == "on",
        till_idle=timedelta(minutes=source.whole("pages", "till_idle_minutes", 1, 960)),
        operator_idle=timedelta(minutes=source.whole("pages", "operator_idle_minutes", 1, 720)),
    )
    if settings.is_live:
        source.problems += _not_for_live(settings)
    for section, address in (("gateway", settings.listen), ("admin", settings.admin_listen)):
        if settings.is_demo and address.host not in ("127.0.0.1", "localhost", "::1"):
            source.note(section, "listen", "must be of this machine only where pages.demo is on")
    if settings.admin_listen.port == settings.listen.port != 0:
        source.note("admin", "listen", "needs a port of its own, beside gateway.listen")
    source.finish()
    return settings


def load_sandbox(environ: Mapping[str, str], file: Path | None) -> SandboxConfig:
    """Read what `sandbox` needs.

    Raises:
        ConfigError: lists every problem.
    """
    source = Source.open(environ, file)
    settings = SandboxConfig(
        listen=source.address("sandbox", "listen"),
        signing_key=_signing_key(source, "sandbox"),
        acquirers=_acquirers(source, "sandbox"),
        wallets=source.bytes_of("sandbox", "wallets_file") or None,
        notify_delay_s=source.seconds("sandbox", "notify_delay_s"),
        latency_s=source.seconds("sandbox", "latency_s"),
        has_magic=source.one_of("sandbox", "magic_amounts", ("on", "off")) == "on",
        is_demo=source.one_of("pages", "demo", ("on", "off")) == "on",
        choices={
            name: source.one_of("sandbox", name, words) for name, (_, words) in CHOICES.items()
        },
        direct={name: _direct(source, name) for name in source.sections("sandbox")},
    )
    source.finish()
    return settings


def _not_for_live(settings: GatewaySettings) -> list[str]:
    problems = []
    addresses = [("gateway.public_url", settings.public_url)]
    for connector in settings.connectors:
        section = _section(connector.name)
        addresses.append((f"{section}.base_url", connector.base_url))
        if connector.client_id.startswith("SANDBOX_"):
            problems.append(f"{section}.client_id: a sandbox client id, but gateway.env is live")
    for name, url in addresses:
        if urlsplit(url).scheme != "https":
            problems.append(f"{name}: must be an https address when gateway.env is live")
    keys = settings.seed.keys if settings.seed else ()
    if any(key.caller.key_id.startswith("tg_test_") for key in keys):
        problems.append("gateway.merchants_file: has tg_test_ keys, but gateway.env is live")
    if settings.webhooks_to_local:
        problems.append("webhooks.allow_local: must be off when gateway.env is live")
    if settings.is_demo:
        problems.append("pages.demo: must be off when gateway.env is live")
    return problems


def load_store(environ: Mapping[str, str], file: Path | None) -> Path | PostgresUrl:
    """Read nothing but where the store is: what looks after a database needs no keys.

    Raises:
        ConfigError: the setting cannot be used.
    """
    source = Source.open(environ, file)
    source.problems.clear()  # of other settings
    store = _store(source)
    source.finish()
    return store


def read_store(value: str) -> Path | PostgresUrl:
    """A store as it is named on the command line: as in the settings, or the path of a SQLite
    file.

    Raises:
        ConfigError: it is neither.
    """
    try:
        return _named_store(value)
    except ValueError as error:
        if ":" not in value:
            return Path(value)
        raise ConfigError([f"the store {error}"]) from None


def _store(source: Source) -> Path | PostgresUrl:
    try:
        store = _named_store(source.text("gateway", "store"))
    except ValueError as error:
        source.note("gateway", "store", str(error))
        return Path()
    return source.path(str(store)) if isinstance(store, Path) else store


def _named_store(value: str) -> Path | PostgresUrl:
    kind, _, path = value.partition(":")
    if kind == "sqlite" and path and not path.startswith(":"):
        return Path(path)
    try:
        return read_postgres_url(value)
    except ValueError as error:
        # Never with the value itself: it may hold a password.
        is_url = kind in ("postgresql", "postgres")
        words = f"the URL {error}" if is_url else "must be sqlite:PATH or postgresql://..."
        raise ValueError(words) from None


def _seal_key(source: Source) -> bytes:
    raw = source.bytes_of("gateway", "seal_key_file")
    try:
        key = base64.b64decode(raw.strip(), validate=True)
    except binascii.Error:
        key = b""
    if raw and len(key) != 32:
        source.note("gateway", "seal_key_file", "must hold 32 bytes in base64")
    return key


def _seed(source: Source) -> Directory | None:
    name = source.text("gateway", "merchants_file")
    if not name:
        return None
    raw = source.bytes_of("gateway", "merchants_file")
    try:
        return read_directory(tomllib.loads(raw.decode()), name)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        source.note("gateway", "merchants_file", f"{name} is not TOML: {error}")
    except ConfigError as error:
        source.problems += error.problems if raw else []
    return None


def _connectors(source: Source) -> tuple[ConnectorSettings, ...]:
    names = source.sections("connector")
    if ALIPAY_PLUS in names:
        source.problems.append("connector.alipay_plus: Alipay+ has a section of its own")
        names.remove(ALIPAY_PLUS)
    if source.has(ALIPAY_PLUS) or not names:
        names = [ALIPAY_PLUS, *names]
    connectors = tuple(_connector(source, name) for name in names)
    takers: dict[str, str] = {}
    for connector in connectors:
        for wallet in connector.takes:
            other = takers.setdefault(wallet, connector.name)
            if other != connector.name:
                source.note(_section(connector.name), "takes", f"{other} takes {wallet} already")
    return connectors


def _section(name: str) -> str:
    return name if name == ALIPAY_PLUS else f"connector.{name}"


def _connector(source: Source, name: str) -> ConnectorSettings:
    section, problems_before = _section(name), len(source.problems)
    is_alipay_plus = section == ALIPAY_PLUS
    if not is_alipay_plus and not _CONNECTOR_NAME.fullmatch(name):
        source.problems.append(f"{section}: a name has a to z, 0 to 9 and _, at most 32")
    kind = ALIPAY_PLUS if is_alipay_plus else source.text(section, "kind")
    settings = ConnectorSettings(
        name=name,
        kind=kind,
        takes=() if is_alipay_plus else read_takes(source, section),
        base_url=source.url(section, "base_url"),
        client_id=source.text(section, "client_id"),
        signing_key=_signing_key(source, section),
        network_keys=_network_keys(source, section),
        notify_url=None,
        options=source.options(section, kind),
    )
    if len(source.problems) == problems_before:
        try:
            # Built to see its options read, then again with its address for notifications.
            build_connector(settings, SystemClock())
        except ConfigError as error:
            source.problems += [f"{section}.{problem}" for problem in error.problems]
    return settings


def _signing_key(source: Source, section: str) -> SigningKey:
    raw = source.bytes_of(section, "private_key_file")
    version = source.text(section, "private_key_version")
    if not _is_number(version):
        source.note(section, "private_key_version", "must be a whole number")
    try:
        return SigningKey.load(raw, int(version) if _is_number(version) else 1)
    except BadKey as error:
        if raw:
            source.note(section, "private_key_file", str(error))
        return _NO_KEY


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 9


def _network_keys(source: Source, section: str) -> KeyRing:
    name = "public_key_files"
    texts: dict[int, bytes] = {}
    for version, path in source.pairs(section, name).items():
        if not _is_number(version):
            source.note(section, name, "each version must be a whole number")
            continue
        texts[int(version)] = source.bytes_of(section, name, path)
    return _key_ring(source, section, name, texts)


def _direct(source: Source, name: str) -> tuple[SigningKey, dict[str, KeyRing]]:
    section = f"sandbox.{name}"
    if name not in SANDBOX_DIRECT:
        source.problems.append(f"{section}: there are only {', '.join(SANDBOX_DIRECT)}")
    return _signing_key(source, section), _acquirers(source, section)


def _acquirers(source: Source, section: str) -> dict[str, KeyRing]:
    name = "acquirers"
    texts: dict[str, dict[int, bytes]] = {}
    for who, path in source.pairs(section, name).items():
        client_id, colon, version = who.partition(":")
        if not client_id or (colon and not _is_number(version)):
            source.note(section, name, "must be CLIENT_ID=PATH or CLIENT_ID:VERSION=PATH")
            continue
        key = source.bytes_of(section, name, path)
        texts.setdefault(client_id, {})[int(version or 1)] = key
    return {who: _key_ring(source, section, name, keys) for who, keys in texts.items()}


def _key_ring(source: Source, section: str, name: str, texts: dict[int, bytes]) -> KeyRing:
    try:
        return KeyRing.load(texts)
    except BadKey as error:
        if any(texts.values()):
            source.note(section, name, str(error))
        return _NO_RING


# Stand in for what could not be read until `finish` raises; nothing ever signs or checks with them.
_NO_KEY: SigningKey = None  # type: ignore[assignment]
_NO_RING: KeyRing = None  # type: ignore[assignment]

"""The settings: one TOML file and the environment, read once at start and passed on. Nothing
imports a global.

Every setting has its row in `SETTINGS`, which makes docs/settings.md too. Loading reports all
problems together and never prints a secret; secrets are files, so that they appear in no process
list.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tillgate.alipayplus.signing import BadKey, KeyRing, SigningKey
from tillgate.core.errors import ConfigError
from tillgate.core.pacing import ALIPAY_PLUS, ALIPAY_PLUS_GROWING, Policy
from tillgate.merchants import Directory, read_directory
from tillgate.server import Address

DEFAULT_FILE = "tillgate.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: where it stands in the file, its variable, its default and its meaning."""

    section: str
    name: str
    default: str | None
    meaning: str

    @property
    def variable(self) -> str:
        """`TILLGATE_...`, which overrides the file."""
        prefix = "" if self.section == "gateway" else f"{self.section}_"
        return f"TILLGATE_{prefix}{self.name}".upper()


CHOICES: dict[str, tuple[str, tuple[str, ...]]] = {
    "unknown_cancel": (
        "a cancel of an id that never came",
        ("order_not_exist", "s_closes_it", "s_forgets_it"),
    ),
    "pay_on_cancelled": ("a pay on an id that was cancelled", ("refused", "taken")),
    "cancelled_inquiry": (
        "an inquiry of what was cancelled",
        ("f_order_is_closed", "s_with_cancel_transaction"),
    ),
    "key_refusal": ("refusals of the caller's key", ("unsigned", "signed")),
    "success_amount": ("answers to pay and inquiry name the amount", ("with", "without")),
}
"""What the network's public pages leave open: meaning, and words, the default first (ADR 0010)."""

SETTINGS = (
    Setting("gateway", "env", "test", "`test`, or `live`: live refuses test keys and plain HTTP"),
    Setting("gateway", "listen", "127.0.0.1:8080", "host:port; port 0 picks a free one"),
    Setting(
        "gateway",
        "public_url",
        "",
        "where the network reaches this gateway, for notifications; empty: see README",
    ),
    Setting("gateway", "store", "sqlite:tillgate.sqlite3", "`sqlite:PATH`"),
    Setting(
        "gateway",
        "merchants_file",
        "merchants.toml",
        "merchants, stores, terminals, operators, hashed keys",
    ),
    Setting("gateway", "seal_key_file", None, "32 bytes in base64; seals stored pay requests"),
    Setting("gateway", "log_level", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    Setting("alipay_plus", "base_url", None, "the gateway endpoint that Alipay+ names"),
    Setting("alipay_plus", "client_id", None, "assigned by Alipay+"),
    Setting("alipay_plus", "private_key_file", None, "the acquirer's RSA key, PEM or base64 DER"),
    Setting("alipay_plus", "private_key_version", "1", "the keyVersion written in our signatures"),
    Setting(
        "alipay_plus", "public_key_files", None, "Alipay+'s keys: `VERSION=PATH`, comma-separated"
    ),
    Setting(
        "alipay_plus",
        "inquiries",
        "fixed",
        "`fixed`: every 3 s; `growing`: after 1, 2, ... 10 s, for many payments pending at once",
    ),
    Setting("sandbox", "listen", "127.0.0.1:9090", "host:port of the sandbox"),
    Setting("sandbox", "private_key_file", None, "the sandbox network's RSA key"),
    Setting(
        "sandbox", "acquirers", None, "who may call: `CLIENT_ID=PUBLIC_KEY_PATH`, comma-separated"
    ),
    Setting(
        "sandbox", "wallets_file", "", "wallets and customers; empty: the ones that are shipped"
    ),
    Setting(
        "sandbox", "notify_delay_s", "1.0", "from a final result to its notification, in seconds"
    ),
    Setting("sandbox", "latency_s", "0", "added to each pay answer, in seconds"),
    *(
        Setting("sandbox", name, words[0], f"{meaning}: {', '.join(f'`{word}`' for word in words)}")
        for name, (meaning, words) in CHOICES.items()
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlipayPlusSettings:
    """How to reach Alipay+ and with which keys."""

    base_url: str
    client_id: str
    signing_key: SigningKey
    network_keys: KeyRing
    policy: Policy = ALIPAY_PLUS


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewaySettings:
    """Everything `serve` needs."""

    listen: Address
    public_url: str
    store_path: Path
    seal_key: bytes
    log_level: str
    directory: Directory
    alipay_plus: AlipayPlusSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxConfig:
    """Everything `sandbox` needs. `choices` holds a word for each name of `CHOICES`."""

    listen: Address
    signing_key: SigningKey
    acquirers: dict[str, KeyRing]
    wallets: bytes | None
    notify_delay_s: float
    latency_s: float
    choices: dict[str, str]


def load_gateway(environ: Mapping[str, str], file: Path | None) -> GatewaySettings:
    """Read what `serve` needs.

    Raises:
        ConfigError: lists every problem.
    """
    source = _Source.open(environ, file)
    settings = GatewaySettings(
        listen=source.address("gateway", "listen"),
        public_url=source.url("gateway", "public_url"),
        store_path=_store_path(source),
        seal_key=_seal_key(source),
        log_level=source.one_of("gateway", "log_level", ("DEBUG", "INFO", "WARNING", "ERROR")),
        directory=_directory(source),
        alipay_plus=AlipayPlusSettings(
            base_url=source.url("alipay_plus", "base_url"),
            client_id=source.text("alipay_plus", "client_id"),
            signing_key=_signing_key(source, "alipay_plus"),
            network_keys=_network_keys(source),
            policy=_policy(source),
        ),
    )
    if source.one_of("gateway", "env", ("test", "live")) == "live":
        source.problems += _not_for_live(settings)
    source.finish()
    return settings


def load_sandbox(environ: Mapping[str, str], file: Path | None) -> SandboxConfig:
    """Read what `sandbox` needs.

    Raises:
        ConfigError: lists every problem.
    """
    source = _Source.open(environ, file)
    settings = SandboxConfig(
        listen=source.address("sandbox", "listen"),
        signing_key=_signing_key(source, "sandbox"),
        acquirers=_acquirers(source),
        wallets=source.bytes_of("sandbox", "wallets_file") or None,
        notify_delay_s=source.seconds("sandbox", "notify_delay_s"),
        latency_s=source.seconds("sandbox", "latency_s"),
        choices={
            name: source.one_of("sandbox", name, words) for name, (_, words) in CHOICES.items()
        },
    )
    source.finish()
    return settings


def _not_for_live(settings: GatewaySettings) -> list[str]:
    problems = []
    if settings.alipay_plus.client_id.startswith("SANDBOX_"):
        problems.append("alipay_plus.client_id: a sandbox client id, but gateway.env is live")
    for name, url in (
        ("alipay_plus.base_url", settings.alipay_plus.base_url),
        ("gateway.public_url", settings.public_url),
    ):
        if urlsplit(url).scheme != "https":
            problems.append(f"{name}: must be an https address when gateway.env is live")
    if any(key_id.startswith("tg_test_") for key_id in settings.directory.key_ids):
        problems.append("gateway.merchants_file: has tg_test_ keys, but gateway.env is live")
    return problems


# --- Reading


class _Source:
    """Reads settings from the environment first, then the file, then the default; notes each
    problem.
    """

    def __init__(
        self, environ: Mapping[str, str], document: dict[str, Any], folder: Path, file: Path | None
    ) -> None:
        self._environ = environ
        self._document = document
        self._folder = folder
        self._file = file
        self.problems: list[str] = []
        known = {(setting.section, setting.name) for setting in SETTINGS}
        for section, table in document.items():
            if not isinstance(table, dict):
                self.problems.append(f"{section}: settings stand in a [section]")
                continue
            for name in table:
                if (section, name) not in known:
                    self.problems.append(f"{section}.{name}: unknown; see docs/settings.md")

    @classmethod
    def open(cls, environ: Mapping[str, str], file: Path | None) -> _Source:
        named = file or (
            Path(environ["TILLGATE_SETTINGS"]) if "TILLGATE_SETTINGS" in environ else None
        )
        path = named or Path(DEFAULT_FILE)
        if named is None and not path.exists():
            return cls(environ, {}, Path(), None)
        try:
            document = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise ConfigError([f"{path}: cannot be read: {error.strerror}"]) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([f"{path}: not TOML: {error}"]) from None
        return cls(environ, document, path.parent, path)

    def finish(self) -> None:
        if not self.problems:
            return
        if self._file is None:
            self.problems.append(
                f"No settings file was named and there is no {DEFAULT_FILE} here."
                " `tillgate keys new DIR` writes keys and a first one; name it with --settings."
            )
        raise ConfigError(list(dict.fromkeys(self.problems)))

    def text(self, section: str, name: str) -> str:
        """The setting as text; "" after noting that it is missing."""
        setting = next(s for s in SETTINGS if (s.section, s.name) == (section, name))
        value: object = self._environ.get(setting.variable)
        table = self._document.get(section)
        if value is None and isinstance(table, dict):
            value = table.get(name)
        if value is None:
            value = setting.default
        if isinstance(value, dict):
            # A table in the file, such as public_key_files = { 1 = "network.pem" }.
            value = ",".join(f"{key}={item}" for key, item in value.items())
        if value is None or (value == "" and setting.default is None):
            self.note(section, name, f"missing; set it here or as {setting.variable}")
            return ""
        text = str(value)
        if not text.isprintable():
            self.note(section, name, "holds a character that cannot be printed")
            return ""
        return text

    def note(self, section: str, name: str, problem: str) -> None:
        self.problems.append(f"{section}.{name}: {problem}")

    def one_of(self, section: str, name: str, allowed: tuple[str, ...]) -> str:
        value = self.text(section, name)
        if value not in allowed:
            self.note(section, name, f"must be one of {', '.join(allowed)}")
        return value

    def seconds(self, section: str, name: str) -> float:
        try:
            value = float(self.text(section, name))
        except ValueError:
            value = -1
        if not 0 <= value <= 3600:
            self.note(section, name, "must be a number of seconds, 0 to 3600")
        return value

    def url(self, section: str, name: str) -> str:
        value = self.text(section, name).rstrip("/")
        if value and not is_url(value):
            self.note(section, name, "must be an address such as https://host")
        return value

    def address(self, section: str, name: str) -> Address:
        address = parse_address(self.text(section, name))
        if address is None:
            self.note(section, name, "must be host:port, such as 127.0.0.1:8080")
            return Address("127.0.0.1", 0)
        return address

    def pairs(self, section: str, name: str) -> dict[str, str]:
        pairs: dict[str, str] = {}
        for part in filter(None, self.text(section, name).split(",")):
            key, equals, value = part.strip().partition("=")
            if not equals or not key or not value:
                self.note(section, name, "must be NAME=PATH pairs, comma-separated")
            pairs[key] = value
        return pairs

    def bytes_of(self, section: str, name: str, path: str | None = None) -> bytes:
        """The content of the file that the setting (or `path`) names; empty when there is none."""
        value = self.text(section, name) if path is None else path
        if not value:
            return b""
        try:
            content = self.path(value).read_bytes()
        except OSError as error:
            self.note(section, name, f"{value} cannot be read: {error.strerror}")
            return b""
        if not content.strip():
            self.note(section, name, f"{value} is empty")
        return content

    def path(self, value: str) -> Path:
        """Relative paths start at the settings file."""
        return self._folder / value


def is_url(text: str) -> bool:
    """Whether it is an http or https address with a host and, if any, a port that exists."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def parse_address(text: str) -> Address | None:
    """`host:port`, or None. An IPv6 host stands in brackets."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    is_port = port.isascii() and port.isdigit() and int(port) <= 65535
    return Address(host, int(port)) if colon and host and is_port else None


def _store_path(source: _Source) -> Path:
    value = source.text("gateway", "store")
    kind, _, path = value.partition(":")
    if kind != "sqlite" or not path or path.startswith(":"):
        source.note("gateway", "store", "must be sqlite:PATH; this release has no other store yet")
    return source.path(path)


def _seal_key(source: _Source) -> bytes:
    raw = source.bytes_of("gateway", "seal_key_file")
    try:
        key = base64.b64decode(raw.strip(), validate=True)
    except binascii.Error:
        key = b""
    if raw and len(key) != 32:
        source.note("gateway", "seal_key_file", "must hold 32 bytes in base64")
    return key


def _directory(source: _Source) -> Directory:
    name = source.text("gateway", "merchants_file")
    raw = source.bytes_of("gateway", "merchants_file")
    try:
        return read_directory(tomllib.loads(raw.decode()), name)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        source.note("gateway", "merchants_file", f"{name} is not TOML: {error}")
    except ConfigError as error:
        source.problems += error.problems if raw else []
    return Directory({}, {}, ())


def _signing_key(source: _Source, section: str) -> SigningKey:
    raw = source.bytes_of(section, "private_key_file")
    version = source.text(section, "private_key_version") if section == "alipay_plus" else "1"
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


def _policy(source: _Source) -> Policy:
    schedules = {"fixed": ALIPAY_PLUS, "growing": ALIPAY_PLUS_GROWING}
    return schedules.get(source.one_of("alipay_plus", "inquiries", tuple(schedules)), ALIPAY_PLUS)


def _network_keys(source: _Source) -> KeyRing:
    section, name = "alipay_plus", "public_key_files"
    texts: dict[int, bytes] = {}
    for version, path in source.pairs(section, name).items():
        if not _is_number(version):
            source.note(section, name, "each version must be a whole number")
            continue
        texts[int(version)] = source.bytes_of(section, name, path)
    return _key_ring(source, section, name, texts)


def _acquirers(source: _Source) -> dict[str, KeyRing]:
    section, name = "sandbox", "acquirers"
    return {
        client_id: _key_ring(source, section, name, {1: source.bytes_of(section, name, path)})
        for client_id, path in source.pairs(section, name).items()
    }


def _key_ring(source: _Source, section: str, name: str, texts: dict[int, bytes]) -> KeyRing:
    try:
        return KeyRing.load(texts)
    except BadKey as error:
        if any(texts.values()):
            source.note(section, name, str(error))
        return _NO_RING


# Stand in for what could not be read until `finish` raises; nothing ever signs or checks with them.
_NO_KEY: SigningKey = None  # type: ignore[assignment]
_NO_RING: KeyRing = None  # type: ignore[assignment]

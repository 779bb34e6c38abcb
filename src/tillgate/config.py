"""What `serve` and `sandbox` are started with: read once at start and passed on. Nothing imports a
global. The settings themselves and how one is read stand in `settings.py`.
"""

from __future__ import annotations

import base64
import binascii
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tillgate.alipayplus.signing import BadKey, KeyRing, SigningKey
from tillgate.core.errors import ConfigError
from tillgate.core.pacing import ALIPAY_PLUS, ALIPAY_PLUS_GROWING, Policy
from tillgate.merchants import Directory, read_directory
from tillgate.server import Address
from tillgate.settings import CHOICES, Source


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
    source = Source.open(environ, file)
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
    source = Source.open(environ, file)
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


def _store_path(source: Source) -> Path:
    value = source.text("gateway", "store")
    kind, _, path = value.partition(":")
    if kind != "sqlite" or not path or path.startswith(":"):
        source.note("gateway", "store", "must be sqlite:PATH; this release has no other store yet")
    return source.path(path)


def _seal_key(source: Source) -> bytes:
    raw = source.bytes_of("gateway", "seal_key_file")
    try:
        key = base64.b64decode(raw.strip(), validate=True)
    except binascii.Error:
        key = b""
    if raw and len(key) != 32:
        source.note("gateway", "seal_key_file", "must hold 32 bytes in base64")
    return key


def _directory(source: Source) -> Directory:
    name = source.text("gateway", "merchants_file")
    raw = source.bytes_of("gateway", "merchants_file")
    try:
        return read_directory(tomllib.loads(raw.decode()), name)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        source.note("gateway", "merchants_file", f"{name} is not TOML: {error}")
    except ConfigError as error:
        source.problems += error.problems if raw else []
    return Directory({}, {}, ())


def _signing_key(source: Source, section: str) -> SigningKey:
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


def _policy(source: Source) -> Policy:
    schedules = {"fixed": ALIPAY_PLUS, "growing": ALIPAY_PLUS_GROWING}
    return schedules.get(source.one_of("alipay_plus", "inquiries", tuple(schedules)), ALIPAY_PLUS)


def _network_keys(source: Source) -> KeyRing:
    section, name = "alipay_plus", "public_key_files"
    texts: dict[int, bytes] = {}
    for version, path in source.pairs(section, name).items():
        if not _is_number(version):
            source.note(section, name, "each version must be a whole number")
            continue
        texts[int(version)] = source.bytes_of(section, name, path)
    return _key_ring(source, section, name, texts)


def _acquirers(source: Source) -> dict[str, KeyRing]:
    section, name = "sandbox", "acquirers"
    return {
        client_id: _key_ring(source, section, name, {1: source.bytes_of(section, name, path)})
        for client_id, path in source.pairs(section, name).items()
    }


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

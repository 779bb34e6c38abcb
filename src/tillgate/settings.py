"""The table of settings and how one is read: the environment first, then the TOML file, then the
default.

Every setting has its row in `SETTINGS`, which makes docs/settings.md too. Reading notes each
problem and goes on, so that all are told together; no secret is ever printed. Secrets are files,
so that they appear in no process list.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tillgate.core.errors import ConfigError
from tillgate.server import Address

DEFAULT_FILE = "tillgate.toml"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: where it stands in the file, its variable, its default and its meaning.

    Attributes:
        section: one ending in `.NAME` may stand there many times, each with a name of its own.
        kind: which connectors have it; empty for all.
    """

    section: str
    name: str
    default: str | None
    meaning: str
    kind: str = ""

    @property
    def variable(self) -> str:
        """`TILLGATE_...`, which overrides the file."""
        prefix = "" if self.section == "gateway" else f"{self.section.replace('.', '_')}_"
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
    "idempotent_fields": ("what a repeated pay must agree with", ("current", "older")),
    "inferred_fields": ("fields that only samples of a pay show", ("optional", "required")),
    "expiry_from": ("where an order's minute begins", ("receipt", "request_time")),
    "settlement": ("answers name what is settled in another currency", ("told", "silent")),
    "refund_listing": ("an inquiry lists the refunds of a payment", ("listed", "unlisted")),
}
"""What the network's public pages leave open: meaning, and words, the default first (ADR 0010)."""

SANDBOX_DIRECT = ("alipay_cn", "alipay_hk", "kakaopay")
"""The wallets that the sandbox plays for a direct connection, too."""

SETTINGS = (
    Setting("gateway", "env", "test", "`test`, or `live`: live refuses test keys and plain HTTP"),
    Setting("gateway", "listen", "127.0.0.1:8080", "host:port; port 0 picks a free one"),
    Setting(
        "gateway",
        "public_url",
        "",
        "where the network reaches this gateway, for notifications; empty: see README",
    ),
    Setting(
        "gateway",
        "store",
        "sqlite:tillgate.sqlite3",
        "`sqlite:PATH`, or `postgresql://USER@HOST/DATABASE` for many nodes, with libpq's"
        " parameters (`sslmode=verify-full`, `sslrootcert=PATH`, `passfile=PATH`); several"
        " servers stand with commas; a pooler such as PgBouncer is noticed",
    ),
    Setting(
        "gateway",
        "merchants_file",
        "",
        "merchants, stores, terminals, operators and hashed keys that an empty registry begins"
        " with; not read again",
    ),
    Setting("gateway", "seal_key_file", None, "32 bytes in base64; seals stored pay requests"),
    Setting("gateway", "log_level", "INFO", "DEBUG, INFO, WARNING or ERROR"),
    Setting(
        "limits",
        "requests_per_s",
        "1000",
        "requests of one key in the long run, of each process (worker); 0: no limit",
    ),
    Setting("limits", "burst", "2000", "requests of one key at once"),
    Setting(
        "webhooks",
        "allow_local",
        "off",
        "`on`: for development, webhooks go to http addresses, this machine and private networks,"
        " too; refused when `gateway.env` is live",
    ),
    Setting(
        "admin",
        "listen",
        "127.0.0.1:8081",
        "host:port of operators' API and metrics; never open to tills or the network",
    ),
    Setting(
        "pages",
        "demo",
        "off",
        "`on`: for the demonstration, whoever opens a page on this very machine is signed in, and"
        " pages of this machine may show each other; refused when `gateway.env` is live, and where"
        " other machines can connect",
    ),
    Setting(
        "pages",
        "till_idle_minutes",
        "240",
        "a cashier who did nothing for so long signs in again; at the latest after 16 h",
    ),
    Setting(
        "pages",
        "operator_idle_minutes",
        "30",
        "the same for operators, at the latest after 12 h; a page that renews itself does nothing",
    ),
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
        kind="alipay_plus",
    ),
    *(
        Setting("connector.NAME", name, default, meaning, kind)
        for kind, name, default, meaning in (
            (
                "",
                "kind",
                None,
                "the dialect: `aps_direct`, `alipay_cn`, or what an installed package brings",
            ),
            (
                "",
                "takes",
                None,
                "whose codes it gets, comma-separated: `alipay_cn`, `alipay_hk`, routing numbers",
            ),
            ("", "base_url", None, "where the wallet is reached; for `alipay_cn` with /gateway.do"),
            ("", "client_id", None, "assigned by the wallet; for `alipay_cn` the app_id"),
            ("", "private_key_file", None, "the acquirer's RSA key there, PEM or base64 DER"),
            ("", "private_key_version", "1", "the keyVersion written in our signatures"),
            ("", "public_key_files", None, "the wallet's keys: `VERSION=PATH`, comma-separated"),
            ("aps_direct", "path", "/aps/api/v1/payments", "the folder of its APIs"),
            ("aps_direct", "pay_path", "", "where `pay` is; empty: `path` + /pay"),
            ("aps_direct", "inquiry_path", "", "the same for inquiryPayment"),
            ("aps_direct", "cancel_path", "", "the same for cancelPayment"),
            ("aps_direct", "refund_path", "", "the same for refund"),
            ("aps_direct", "consult_path", "", "the same for codeConsult"),
            ("aps_direct", "code_consult", "false", "`true`: it has AlipayHK's codeConsult"),
            ("aps_direct", "inquiries", "fixed", "as for Alipay+"),
            ("aps_direct", "pay_timeout_s", "8", "how long a pay may run, in seconds, 1 to 30"),
            ("aps_direct", "inquiry_timeout_s", "5", "the same for inquiryPayment"),
            ("aps_direct", "cancel_timeout_s", "8", "the same for cancelPayment"),
            ("aps_direct", "refund_timeout_s", "8", "the same for refund"),
            ("alipay_cn", "seller_id", "", "2088...: who is paid, if not the app's own account"),
            (
                "alipay_cn",
                "product_code",
                "FACE_TO_FACE_PAYMENT",
                "or `OFFLINE_PAYMENT`, as the contract says",
            ),
            (
                "alipay_cn",
                "ask_after_pay",
                "true",
                "a pay answered 10000 counts once a query or a notice says so; `false`: at once",
            ),
        )
    ),
    Setting(
        "routing",
        "table",
        "guide",
        "`guide`, `2023-08` (Alipay+ 19-digit codes begin with 289) or the path of a table; read"
        " again on SIGHUP",
    ),
    Setting(
        "routing",
        "issuers",
        "",
        "path of a list of wallets by routing number; empty: the unofficial one that is shipped",
    ),
    Setting(
        "routing",
        "cn_hk_first",
        "alipay_cn",
        "AlipayCN and AlipayHK both connected directly: `alipay_cn`, `alipay_hk`, or `consult`:"
        " AlipayHK is asked whose code it is",
    ),
    Setting(
        "routing",
        "reserved_codes",
        "alipay_plus",
        "codes of 20 to 23 digits with AlipayCN connected directly: `alipay_plus` or `alipay_cn`",
    ),
    Setting(
        "routing",
        "mpp_codes",
        "cgcp",
        "which codes have a routing number that leads to a wallet connected directly: `cgcp` (24"
        " digits) or `any_length` (20 to 24)",
    ),
    Setting("sandbox", "listen", "127.0.0.1:9090", "host:port of the sandbox"),
    Setting("sandbox", "private_key_file", None, "the sandbox network's RSA key"),
    Setting("sandbox", "private_key_version", "1", "the keyVersion written in its signatures"),
    Setting(
        "sandbox",
        "acquirers",
        None,
        "who may call: `CLIENT_ID=PUBLIC_KEY_PATH`, comma-separated; `CLIENT_ID:VERSION=...` for a"
        " keyVersion beside 1",
    ),
    Setting(
        "sandbox", "wallets_file", "", "wallets and customers; empty: the ones that are shipped"
    ),
    Setting(
        "sandbox", "notify_delay_s", "1.0", "from a final result to its notification, in seconds"
    ),
    Setting("sandbox", "latency_s", "0", "added to each pay answer, in seconds"),
    Setting(
        "sandbox",
        "magic_amounts",
        "on",
        "`on`: amounts such as 77701 choose what is played (sandbox-plays.md); `off`: none does",
    ),
    Setting(
        "sandbox.NAME",
        "private_key_file",
        None,
        "the RSA key of a wallet that is called directly: `alipay_cn`, `alipay_hk`, `kakaopay`",
    ),
    Setting("sandbox.NAME", "private_key_version", "1", "the keyVersion in its signatures"),
    Setting("sandbox.NAME", "acquirers", None, "who may call it: `CLIENT_ID=PUBLIC_KEY_PATH`"),
    *(
        Setting("sandbox", name, words[0], f"{meaning}: {', '.join(f'`{word}`' for word in words)}")
        for name, (meaning, words) in CHOICES.items()
    ),
)


class Source:
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
        for section, table in document.items():
            if not isinstance(table, dict):
                self.problems.append(f"{section}: settings stand in a [section]")
                continue
            for name in table:
                if not self._is_known(section, name, table):
                    self.problems.append(f"{section}.{name}: unknown; see docs/settings.md")

    @staticmethod
    def _is_known(section: str, name: str, table: dict[str, Any]) -> bool:
        rows = [row for row in SETTINGS if row.section == _template(section)]
        kind = table.get("kind", section)
        if "." in section and kind is not None and kind not in {row.kind for row in rows}:
            return True  # What a package brought reads its own.
        return any(row.name == name and row.kind in ("", kind) for row in rows)

    def sections(self, group: str) -> list[str]:
        """The names of the sections `[group.NAME]`, in the order of the file."""
        prefix = f"{group}."
        return [name.removeprefix(prefix) for name in self._document if name.startswith(prefix)]

    def has(self, section: str) -> bool:
        """Whether anything of a section is set, in the file or in the environment."""
        return bool(self._document.get(section)) or any(
            row.variable in self._environ for row in SETTINGS if row.section == section
        )

    def options(self, section: str, kind: str) -> dict[str, str]:
        """What is set in a section beside the settings that all kinds have."""
        rows = [_of(row, section) for row in SETTINGS if row.section == _template(section)]
        common = {row.name for row in rows if not row.kind}
        names = dict.fromkeys(self._document.get(section, {}))
        names |= dict.fromkeys(
            row.name for row in rows if row.kind == kind and row.variable in self._environ
        )
        return {name: self.text(section, name) for name in names if name not in common}

    @classmethod
    def open(cls, environ: Mapping[str, str], file: Path | None) -> Source:
        """Open the file that is named, or `tillgate.toml` here if there is one.

        Raises:
            ConfigError: it cannot be read, or is not TOML.
        """
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
        return cls(environ, dict(_flat(document)), path.parent, path)

    def finish(self) -> None:
        """Raise what was noted.

        Raises:
            ConfigError: lists every problem.
        """
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
        template = _template(section)
        row = next((s for s in SETTINGS if (s.section, s.name) == (template, name)), None)
        setting = _of(row or Setting(section, name, None, ""), section)
        value: object = self._environ.get(setting.variable)
        table = self._document.get(section)
        if value is None and isinstance(table, dict):
            value = table.get(name)
        if value is None:
            value = setting.default
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, list):
            value = ",".join(map(str, value))
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
        """Remember a problem of one setting."""
        self.problems.append(f"{section}.{name}: {problem}")

    def one_of(self, section: str, name: str, allowed: tuple[str, ...]) -> str:
        """One of these words."""
        value = self.text(section, name)
        if value not in allowed:
            self.note(section, name, f"must be one of {', '.join(allowed)}")
        return value

    def seconds(self, section: str, name: str) -> float:
        """A number of seconds, 0 to 3600."""
        try:
            value = float(self.text(section, name))
        except ValueError:
            value = -1
        if not 0 <= value <= 3600:
            self.note(section, name, "must be a number of seconds, 0 to 3600")
        return value

    def whole(self, section: str, name: str, low: int, high: int) -> int:
        """A whole number from `low` to `high`."""
        text = self.text(section, name)
        is_number = text.isascii() and text.isdigit() and len(text) <= 9
        if not is_number or not low <= int(text) <= high:
            self.note(section, name, f"must be a whole number, {low} to {high}")
            return low
        return int(text)

    def url(self, section: str, name: str) -> str:
        """An http or https address without its last slash, or empty."""
        value = self.text(section, name).rstrip("/")
        if value and not is_url(value):
            self.note(section, name, "must be an address such as https://host")
        return value

    def address(self, section: str, name: str) -> Address:
        """A host and a port."""
        address = parse_address(self.text(section, name))
        if address is None:
            self.note(section, name, "must be host:port, such as 127.0.0.1:8080")
            return Address("127.0.0.1", 0)
        return address

    def pairs(self, section: str, name: str) -> dict[str, str]:
        """`NAME=VALUE` pairs."""
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


def _template(section: str) -> str:
    """`connector.NAME` for the section of any one connector."""
    group, dot, _ = section.partition(".")
    return f"{group}.NAME" if dot else section


def _of(row: Setting, section: str) -> Setting:
    return replace(row, section=section)


def _flat(document: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """`[connector.alipay_hk]` as a section of its own."""
    groups = {row.section.removesuffix(".NAME") for row in SETTINGS if "." in row.section}
    plain = {(row.section, row.name) for row in SETTINGS}
    for section, table in document.items():
        if section not in groups or not isinstance(table, dict):
            yield section, table
            continue
        nested = {
            name: value
            for name, value in table.items()
            if isinstance(value, dict) and (section, name) not in plain
        }
        rest = {name: value for name, value in table.items() if name not in nested}
        if rest:
            yield section, rest
        for name, value in nested.items():
            yield f"{section}.{name}", value


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

"""`tillgate keys new`: fresh keys, and first settings that use them, so that `serve` and
`sandbox` just start.
"""

from __future__ import annotations

import argparse
import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tillgate.alipayplus.signing import SigningKey, new_private_key
from tillgate.core.errors import ConfigError
from tillgate.ids import new_secret, new_token
from tillgate.merchants import hash_key

CLIENT_ID = "SANDBOX_5Y0000000000"
"""The form that Alipay+ gives to sandbox clients."""

_SETTINGS = """\
# Settings of `tillgate serve` and `tillgate sandbox`; all of them: docs/settings.md.
# Paths start at this file.

[gateway]
listen = "{gateway}"
store = "sqlite:tillgate.sqlite3"
# Begins an empty registry; after that: `tillgate merchant`, `tillgate key`.
merchants_file = "merchants.toml"
seal_key_file = "seal.key"

[admin]
listen = "{admin}"

[webhooks]
allow_local = "on"  # for development; refused when gateway.env is live

[alipay_plus]
base_url = "{network}"
client_id = "{client_id}"
private_key_file = "acquirer-private.pem"
public_key_files = {{ 1 = "network-public.pem" }}

[sandbox]
listen = "{sandbox}"
private_key_file = "network-private.pem"
acquirers = {{ {client_id} = "acquirer-public.pem" }}
"""

_DIRECT = """
[connector.{name}]
kind = "{kind}"
takes = "{takes}"
base_url = "{network}{address}"
client_id = "{client_id}"
private_key_file = "{name}-acquirer-private.pem"
public_key_files = {{ 1 = "{name}-public.pem" }}
{more}
[sandbox.{name}]
private_key_file = "{name}-private.pem"
acquirers = {{ {client_id} = "{name}-acquirer-public.pem" }}
"""

DIRECT = {
    "alipay_cn": {
        "kind": "alipay_cn",
        "takes": "alipay_cn",
        "address": "/gateway.do",
        "client_id": "2021000000000001",
        "more": "",
    },
    "alipay_hk": {
        "kind": "aps_direct",
        "takes": "alipay_hk",
        "address": "",
        "client_id": "SANDBOX_HK0000000000",
        "more": 'path = "/aps/hk/payments"\ncode_consult = true\n',
    },
    "kakaopay": {
        "kind": "aps_direct",
        "takes": "006",
        "address": "",
        "client_id": "SANDBOX_KP0000000000",
        "more": 'path = "/aps/kakaopay/payments"\n',
    },
}
"""The wallets that the sandbox plays for a direct connection, with what their sections say."""

_MERCHANTS = """\
# Merchants, their stores and terminals; the guide's sample merchant to begin with.

[[merchant]]
id = "M00000000001"
name = "cup Hu"
mcc = "1405"
region = "JP"
city = "Tokyo"
settlement_currency = "USD"

[[merchant.store]]
id = "S0000000001"
name = "UGG-2"
mcc = "1405"

[[merchant.store.terminal]]
id = "122222"

# The key itself stands in till.toml only.
[[merchant.key]]
id = "{key_id}"
hash = "{key_hash}"

# Who may end a payment that nobody could decide; the key itself stands in operator.toml only.
[[operator]]
id = "operator"

[[operator.key]]
id = "{operator_key_id}"
hash = "{operator_key_hash}"
"""

_OPERATOR = """\
# What an operator needs: where operators reach the gateway, and a key. For `tillgate resolve`,
# `merchant`, `store`, `terminal`, `key` and `audit`.
admin = "{admin}"
operator_key = "{operator_key}"
"""

_TILL = """\
# What a till needs: the gateway's address and an API key. For `tillgate pay`, `show` and `code`.
gateway = "{gateway}"
api_key = "{api_key}"
sandbox = "{network}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the two servers listen (`host:port`) and how they are reached (URLs)."""

    gateway: str
    sandbox: str
    admin: str = "127.0.0.1:0"

    @property
    def gateway_url(self) -> str:
        """For tills."""
        return f"http://{self.gateway}"

    @property
    def admin_url(self) -> str:
        """For operators."""
        return f"http://{self.admin}"

    @property
    def sandbox_url(self) -> str:
        """For the gateway."""
        return f"http://{self.sandbox}"


def new(arguments: argparse.Namespace) -> int:
    """Write the folder and say what is in it."""
    folder = Path(arguments.dir)
    addresses = Addresses(
        gateway="127.0.0.1:8080", sandbox="127.0.0.1:9090", admin="127.0.0.1:8081"
    )
    write_folder(folder, addresses, arguments.direct)
    print(f"""\
Wrote fresh test keys and first settings to {folder}. Start both sides, each in its terminal:

  tillgate sandbox --settings {folder / "tillgate.toml"}
  tillgate serve   --settings {folder / "tillgate.toml"}

and pay:

  export TILLGATE_TILL={folder / "till.toml"}
  tillgate code | tillgate pay - --amount JPY:100 --order A-1001""")
    return 0


def write_folder(folder: Path, addresses: Addresses, direct: Sequence[str] = ()) -> None:
    """Draw all keys and write them with settings and merchants.

    `direct` names wallets of `DIRECT` that the acquirer is connected to directly, beside Alipay+.

    Raises:
        ConfigError: the folder cannot be written, or one of the files is there already.
    """
    acquirer, network = new_private_key(), new_private_key()
    api_key, operator_key = f"tg_test_{new_token()}", f"tg_test_{new_token()}"
    fields = {
        "gateway": addresses.gateway,
        "sandbox": addresses.sandbox,
        "admin": addresses.admin,
    }
    files = {
        "acquirer-private.pem": acquirer,
        "acquirer-public.pem": SigningKey.load(acquirer).public_pem(),
        "network-private.pem": network,
        "network-public.pem": SigningKey.load(network).public_pem(),
        "seal.key": base64.b64encode(new_secret(32)) + b"\n",
        "tillgate.toml": _SETTINGS.format(
            **fields, network=addresses.sandbox_url, client_id=CLIENT_ID
        ).encode(),
        "merchants.toml": _MERCHANTS.format(
            key_id=api_key[:12],
            key_hash=hash_key(api_key),
            operator_key_id=operator_key[:12],
            operator_key_hash=hash_key(operator_key),
        ).encode(),
        "operator.toml": operator_file(addresses.admin_url, operator_key),
        "till.toml": till_file(addresses.gateway_url, addresses.sandbox_url, api_key),
    }
    for name in direct:
        ours, theirs = new_private_key(), new_private_key()
        files |= {
            f"{name}-acquirer-private.pem": ours,
            f"{name}-acquirer-public.pem": SigningKey.load(ours).public_pem(),
            f"{name}-private.pem": theirs,
            f"{name}-public.pem": SigningKey.load(theirs).public_pem(),
        }
        section = _DIRECT.format(name=name, network=addresses.sandbox_url, **DIRECT[name])
        files["tillgate.toml"] += section.encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"{folder} cannot be made: {error.strerror}"]) from None
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise ConfigError(
            [f"{folder / name} is there already; nothing was written" for name in there]
        )
    for name, content in files.items():
        write_private(folder / name, content)


def till_file(gateway_url: str, sandbox_url: str, api_key: str) -> bytes:
    """The settings of a till."""
    return _TILL.format(gateway=gateway_url, network=sandbox_url, api_key=api_key).encode()


def operator_file(admin_url: str, operator_key: str) -> bytes:
    """The settings of an operator."""
    return _OPERATOR.format(admin=admin_url, operator_key=operator_key).encode()


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError as error:
        raise ConfigError([f"{path} cannot be written: {error.strerror}"]) from None

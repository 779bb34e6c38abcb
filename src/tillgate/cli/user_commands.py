"""`tillgate user`: the people who sign in on pages."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from tillgate.cli.operator_commands import Arguments, Commands, given, group, listing, one, quoted
from tillgate.core.errors import ConfigError
from tillgate.ids import new_token

USERS = "/admin/v1/users"


def add_users(commands: Commands[argparse.ArgumentParser]) -> None:
    """All of them."""
    actions = group(commands, "user", "add, list, change and close people's accounts")
    _add(actions)
    listing(
        actions,
        "list",
        "list accounts, closed ones too",
        "tillgate user list",
        "user_line",
        lambda _: [(USERS, "users", {})],
    )
    password = one(
        actions,
        "password",
        "set a new password; the person's sessions end",
        "tillgate user password ann\ntillgate user password ann --password-file new.txt",
        "user_line",
        lambda a: ("POST", _path(a, "password"), {"password": _password(a)}),
    )
    codes = one(
        actions,
        "one-time-codes",
        "ask for one-time codes of an authenticator from now on; its secret is shown, this once",
        "tillgate user one-time-codes ann\ntillgate user one-time-codes ann --off",
        "codes_line",
        lambda a: ("DELETE" if a.off else "POST", _path(a, "one-time-codes"), None),
    )
    codes.add_argument("--off", action="store_true", help="ask for none any more")
    named = [password, codes]
    for verb, what in (
        ("close", "close an account; its sessions end"),
        ("reopen", "open a closed account again"),
        ("unlock", "let somebody try again at once after wrong passwords"),
    ):
        named.append(_simple(actions, verb, what))
    for parser in named:
        parser.add_argument("name", metavar="NAME", help="as the person types it")
    _add_password(password)


def _add(actions: Commands[argparse.ArgumentParser]) -> None:
    add = one(
        actions,
        "add",
        "add somebody who signs in: a cashier, a back office, or an operator for the console",
        "tillgate user add ann --role till --merchant M042 --store S1 --terminal till-7\n"
        "tillgate user add bob --role till --role back_office --merchant M042\n"
        "tillgate user add olga --role operator",
        "user_line",
        lambda a: (
            "POST",
            USERS,
            {"name": a.name, "roles": a.role, "password": _password(a)}
            | given(a, merchant_id="merchant", store_id="store", terminal_id="terminal"),
        ),
    )
    add.add_argument("name", metavar="NAME", help="small letters, digits and . _ @ -")
    add.add_argument(
        "--role",
        action="append",
        required=True,
        choices=("till", "back_office", "operator"),
        help="till takes payments, back_office gives back; both may be said",
    )
    add.add_argument("--merchant", metavar="ID", help="whose payments")
    add.add_argument("--store", metavar="ID", help="only of this store")
    add.add_argument("--terminal", metavar="ID", help="only at this terminal of it")
    _add_password(add)


def _simple(actions: Commands[argparse.ArgumentParser], verb: str, what: str) -> Any:
    def request(arguments: Arguments) -> tuple[str, str, None]:
        return "POST", _path(arguments, verb), None

    return one(actions, verb, what, f"tillgate user {verb} ann", "user_line", request)


def _add_password(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--password-file",
        metavar="FILE",
        help="the password; - is standard input (default: one is drawn and shown, this once)",
    )


def _password(arguments: Arguments) -> str:
    file = arguments.password_file
    if not file:
        drawn = new_token()[:16]  # 96 bits
        arguments.shown_once = {"password": drawn}
        return drawn
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text("utf-8")
    except (OSError, ValueError) as error:
        raise ConfigError([f"{file} cannot be read: {error}"]) from None
    return text.rstrip("\r\n")


def _path(arguments: Arguments, what: str) -> str:
    return f"{USERS}/{quoted(arguments.name)}/{what}"

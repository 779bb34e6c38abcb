"""The commands of operators: their arguments, and the request that each of them is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tillgate.cli.parsers import command

Commands = argparse._SubParsersAction  # the type that argparse gives out
Arguments = argparse.Namespace
Request = tuple[str, str, dict[str, Any] | None]

MERCHANTS = "/admin/v1/merchants"
KEYS = "/admin/v1/keys"


def add_operator_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that speaks to operators' API."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--admin", metavar="URL", help="default: TILLGATE_ADMIN_URL")
    parser.add_argument(
        "--operator-key-file", metavar="FILE", help="default: the key in TILLGATE_OPERATOR_KEY"
    )
    parser.add_argument(
        "--operator",
        metavar="FILE",
        help="an operator's settings, as the demo writes them (default: TILLGATE_OPERATOR)",
    )


def add_operators(commands: Commands[argparse.ArgumentParser]) -> None:
    """All of them."""
    _merchant(group(commands, "merchant", "add, list, change and close merchants"))
    _store(group(commands, "store", "add, change and close stores of a merchant"))
    _terminal(group(commands, "terminal", "add and close terminals of a store"))
    _key(group(commands, "key", "make, list, rotate and revoke API keys"))
    listing(
        commands,
        "audit",
        "show what operators did, newest first",
        "tillgate audit\ntillgate audit --json | head -20",
        "audit_line",
        lambda _: [("/admin/v1/audit", "acts", {})],
    )
    listing(
        commands,
        "unresolved",
        "show the payments and the refunds that wait for a person, newest first",
        "tillgate unresolved\ntillgate unresolved --json",
        "waiting_line",
        lambda _: [
            ("/admin/v1/payments", "payments", {"status": "UNRESOLVED"}),
            ("/admin/v1/refunds", "refunds", {"status": "UNRESOLVED"}),
        ],
    )


def _merchant(actions: Commands[argparse.ArgumentParser]) -> None:
    add = one(
        actions,
        "add",
        "add a merchant",
        'tillgate merchant add M042 --name "cup Hu" --mcc 5814 --region JP --currency JPY',
        "merchant_line",
        lambda a: (
            "POST",
            MERCHANTS,
            given(a, "name", "mcc", "region", "city", settlement_currency="currency")
            | {"id": a.merchant},
        ),
    )
    add.add_argument("merchant", metavar="MERCHANT", help="its id")
    _fields(add, is_needed=True)
    listing(
        actions,
        "list",
        "list merchants with their stores and terminals",
        "tillgate merchant list",
        "merchant_line",
        lambda _: [(MERCHANTS, "merchants", {})],
    )
    show = one(
        actions,
        "show",
        "show one merchant",
        "tillgate merchant show M042",
        "merchant_line",
        lambda a: ("GET", _path(a.merchant), None),
    )
    show.add_argument("merchant", metavar="MERCHANT", help="its id")
    edit = one(
        actions,
        "edit",
        "change a merchant; what is not named stays",
        'tillgate merchant edit M042 --name "cup Hu, Tokyo"',
        "merchant_line",
        lambda a: (
            "PATCH",
            _path(a.merchant),
            given(a, "name", "mcc", "region", "city", settlement_currency="currency"),
        ),
    )
    edit.add_argument("merchant", metavar="MERCHANT", help="its id")
    _fields(edit, is_needed=False)
    _closing(actions, "merchant", ("merchant",))


def _fields(parser: argparse.ArgumentParser, *, is_needed: bool) -> None:
    parser.add_argument("--name", required=is_needed, metavar="TEXT", help="as customers see it")
    parser.add_argument("--mcc", required=is_needed, metavar="MCC", help="four digits, ISO 18245")
    parser.add_argument("--region", required=is_needed, metavar="XX", help="ISO 3166, such as JP")
    parser.add_argument(
        "--currency", required=is_needed, metavar="XXX", help="of its settlement, ISO 4217"
    )
    parser.add_argument("--city", metavar="TEXT", help="where it sells")


def _store(actions: Commands[argparse.ArgumentParser]) -> None:
    add = one(
        actions,
        "add",
        "add a store to a merchant",
        "tillgate store add M042 S1 --name Ginza --mcc 5814",
        "store_line",
        lambda a: ("POST", _path(a.merchant, ""), given(a, "name", "mcc") | {"id": a.store}),
    )
    edit = one(
        actions,
        "edit",
        "change a store; what is not named stays",
        'tillgate store edit M042 S1 --name "Ginza 4"',
        "store_line",
        lambda a: ("PATCH", _path(a.merchant, a.store), given(a, "name", "mcc")),
    )
    for parser, is_needed in ((add, True), (edit, False)):
        parser.add_argument("merchant", metavar="MERCHANT", help="the merchant's id")
        parser.add_argument("store", metavar="STORE", help="the store's id")
        parser.add_argument("--name", required=is_needed, metavar="TEXT", help="its name")
        parser.add_argument("--mcc", required=is_needed, metavar="MCC", help="four digits")
    _closing(actions, "store", ("merchant", "store"))


def _terminal(actions: Commands[argparse.ArgumentParser]) -> None:
    add = one(
        actions,
        "add",
        "add a terminal to a store",
        "tillgate terminal add M042 S1 till-7",
        "terminal_line",
        lambda a: ("POST", _path(a.merchant, a.store, ""), {"id": a.terminal}),
    )
    for name in ("merchant", "store", "terminal"):
        add.add_argument(name, metavar=name.upper(), help=f"the {name}'s id")
    _closing(actions, "terminal", ("merchant", "store", "terminal"))


def _closing(actions: Commands[argparse.ArgumentParser], what: str, names: tuple[str, ...]) -> None:
    ids = " ".join(("M042", "S1", "till-7")[: len(names)])
    for verb, meaning, is_closed in (
        ("close", "takes no new payments; what it took goes on", True),
        ("open", "takes payments again", False),
    ):
        parser = one(
            actions,
            verb,
            f"{verb} a {what}: it {meaning}",
            f"tillgate {what} {verb} {ids}",
            f"{what}_line",
            _close(names, is_closed=is_closed),
        )
        for name in names:
            parser.add_argument(name, metavar=name.upper(), help=f"the {name}'s id")


def _close(names: tuple[str, ...], *, is_closed: bool) -> Callable[[Arguments], Request]:
    def request(arguments: Arguments) -> Request:
        path = _path(*(getattr(arguments, name) for name in names))
        return "PATCH", path, {"closed": is_closed}

    return request


def _key(actions: Commands[argparse.ArgumentParser]) -> None:
    create = one(
        actions,
        "create",
        "make a key and show it, this once",
        "tillgate key create --role till --merchant M042 --store S1 --terminal till-7\n"
        "tillgate key create --role till --role back_office --merchant M042 --label ERP\n"
        "tillgate key create --role operator --for-operator ann",
        "new_key_line",
        lambda a: (
            "POST",
            KEYS,
            {"roles": a.role}
            | given(
                a,
                "label",
                "expires_at",
                merchant_id="merchant",
                store_id="store",
                terminal_id="terminal",
                operator_id="for_operator",
            ),
        ),
    )
    create.add_argument(
        "--role",
        action="append",
        required=True,
        choices=("till", "back_office", "operator"),
        help="may be said twice: till and back_office",
    )
    create.add_argument("--merchant", metavar="ID", help="whose key it is")
    create.add_argument("--store", metavar="ID", help="only for this store")
    create.add_argument("--terminal", metavar="ID", help="only for this terminal of it")
    create.add_argument("--for-operator", metavar="ID", help="who at the acquirer it is for")
    create.add_argument("--label", metavar="TEXT", help="for people")
    create.add_argument("--expires-at", metavar="TIME", help="such as 2027-01-31T00:00:00Z")
    found = listing(
        actions,
        "list",
        "list keys, revoked ones too",
        "tillgate key list --merchant M042",
        "key_line",
        lambda a: [(KEYS, "keys", given(a, merchant_id="merchant"))],
    )
    found.add_argument("--merchant", metavar="ID", help="of this merchant")
    rotate = one(
        actions,
        "rotate",
        "make a key for the same; the old one ends a while later",
        "tillgate key rotate tg_live_01JD0W8Z9V3T5M7Q2B4N6P8R0S --overlap-s 3600",
        "new_key_line",
        lambda a: ("POST", f"{KEYS}/{quoted(a.key_id)}/rotate", given(a, "overlap_s")),
    )
    rotate.add_argument(
        "--overlap-s",
        type=int,
        metavar="S",
        help="seconds that the old one lives on (default: a day)",
    )
    revoke = one(
        actions,
        "revoke",
        "end a key now, on every node within a second",
        "tillgate key revoke tg_live_01JD0W8Z9V3T5M7Q2B4N6P8R0S",
        "key_line",
        lambda a: ("POST", f"{KEYS}/{quoted(a.key_id)}/revoke", None),
    )
    for parser in (rotate, revoke):
        parser.add_argument("key_id", metavar="KEY_ID", help="the key's id, not the key")


def group(
    commands: Commands[argparse.ArgumentParser], name: str, what: str
) -> Commands[argparse.ArgumentParser]:
    """A command that has actions."""
    parser = commands.add_parser(
        name,
        help=f"{what}, as an operator",
        description=f"{what[0].upper()}{what[1:]}, as an operator.",
        epilog=f"examples:\n  tillgate {name} ACTION --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser.add_subparsers(metavar="ACTION", required=True)


def one(
    actions: Commands[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    line: str,
    request: Callable[[Arguments], Request],
) -> argparse.ArgumentParser:
    """A command that is one request; `line` names what prints its answer."""
    return _made(actions, name, what, examples, line, "send", request)


def listing(
    actions: Commands[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    line: str,
    request: Callable[[Arguments], list[tuple[str, str, dict[str, Any]]]],
) -> argparse.ArgumentParser:
    """A command that reads all pages of its lists."""
    return _made(actions, name, what, examples, line, "show_all", request)


def _made(
    actions: Commands[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    line: str,
    how: str,
    request: Callable[[Arguments], Any],
) -> argparse.ArgumentParser:
    def run(arguments: Arguments) -> int:
        from tillgate.cli import operator

        arguments.line = getattr(operator, line)
        status: int = getattr(operator, how)(arguments)
        return status

    parser = command(actions, name, what, examples, run)
    parser.set_defaults(request=request)
    add_operator_options(parser)
    return parser


def given(arguments: Arguments, *names: str, **renamed: str) -> dict[str, Any]:
    """What was said, by the names of the API."""
    fields = {name: name for name in names} | renamed
    values = {field: getattr(arguments, name) for field, name in fields.items()}
    return {field: value for field, value in values.items() if value is not None}


def _path(*ids: str) -> str:
    """`/admin/v1/merchants/M/stores/S/terminals/T`; an empty last id is the collection."""
    words = ("", "/stores", "/terminals")
    return MERCHANTS + "".join(
        f"{word}/{quoted(one)}" if one else word for word, one in zip(words, ids, strict=False)
    )


def quoted(part: str) -> str:
    """As a part of an address."""
    return quote(part, safe="")

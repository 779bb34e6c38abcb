"""What operators do on the command line: merchants, stores, terminals, keys, the audit, and
payments that wait for a person. It goes through the running gateway, which alone writes its
database.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tillgate.cli.till import (
    Answer,
    NoAnswer,
    call,
    print_payment,
    print_problem,
    read_text,
    setting_of,
)
from tillgate.code_images import CannotDraw, NotInstalled, qr_terminal

FILE_VARIABLE = "TILLGATE_OPERATOR"
PAGE = 100


class _Admin:
    """Operators' API, as this operator reaches it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url = arguments.admin or _setting(arguments, "admin", "TILLGATE_ADMIN_URL")
        if arguments.operator_key_file:
            self._key = read_text(Path(arguments.operator_key_file)).strip()
        else:
            self._key = _setting(arguments, "operator_key", "TILLGATE_OPERATOR_KEY")

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        return call(self._url, method, path, body, {"Authorization": f"Bearer {self._key}"})

    def pages(self, path: str, list_name: str, **query: str) -> Iterator[Answer | dict[str, Any]]:
        """Every item of every page; an answer that is a problem ends it."""
        cursor: str | None = None
        while True:
            asked = {**query, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            answer = self.call("GET", f"{path}?{urlencode(asked)}")
            if answer.status >= 400:
                yield answer
                return
            yield from answer.body[list_name]
            cursor = answer.body["next_cursor"]
            if cursor is None:
                return


def resolve(arguments: argparse.Namespace) -> int:
    """Resolve a payment or a refund of it and print it; 1 when the gateway refuses, 2 when the
    version of the refund is missing, 3 when it does not answer.
    """
    body = {"status": arguments.status, "why": arguments.why}
    path = f"/admin/v1/payments/{_quoted(arguments.payment_id)}"
    if arguments.refund:
        if arguments.version is None:
            print("tillgate: a refund is resolved with the --version that you saw", file=sys.stderr)
            print("  Read it: tillgate unresolved", file=sys.stderr)
            return 2
        body["version"] = arguments.version
        path += f"/refunds/{_quoted(arguments.refund)}"
    path += "/resolve"
    try:
        answer = _Admin(arguments).call("POST", path, body)
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        print(f"  It may be resolved. Look: tillgate show {arguments.payment_id}", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    if arguments.refund and not arguments.json:
        print(f"{answer.body['id']}  {answer.body['status']}")
        return 0
    print_payment(answer.body, as_json=arguments.json)
    return 0


def send(arguments: argparse.Namespace) -> int:
    """One request that the parser made of the arguments, and its answer printed."""
    method, path, body = arguments.request(arguments)
    try:
        answer = _Admin(arguments).call(method, path, body)
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        if method != "GET":
            print("  It may have been done: list before you do it again.", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    shown_once = getattr(arguments, "shown_once", {})
    _print(arguments, {**answer.body, **shown_once} if answer.body else answer.body)
    return 0


def show_all(arguments: argparse.Namespace) -> int:
    """Every item of each list, a line each, or as JSON lines."""
    try:
        for path, list_name, query in arguments.request(arguments):
            for item in _Admin(arguments).pages(path, list_name, **query):
                if isinstance(item, Answer):
                    return print_problem(item, arguments.json)
                _print(arguments, item)
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 3
    return 0


def _print(arguments: argparse.Namespace, body: dict[str, Any]) -> None:
    if arguments.json:
        print(json.dumps(body))
    elif body:
        print(arguments.line(body))


def merchant_line(merchant: dict[str, Any]) -> str:
    """A merchant with its stores and terminals."""
    place = " ".join(filter(None, (merchant["city"], merchant["region"])))
    head = (
        f"{merchant['id']}  {merchant['name']}  MCC {merchant['mcc']}  {place}"
        f"  {merchant['settlement_currency']}{_closed(merchant)}"
    )
    return "\n".join([head, *(_inside(store_line(store)) for store in merchant["stores"])])


def store_line(store: dict[str, Any]) -> str:
    """A store with its terminals."""
    head = f"{store['id']}  {store['name']}  MCC {store['mcc']}{_closed(store)}"
    return "\n".join([head, *(_inside(terminal_line(each)) for each in store["terminals"])])


def terminal_line(terminal: dict[str, Any]) -> str:
    """A terminal."""
    return f"{terminal['id']}{_closed(terminal)}"


def _inside(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())


def key_line(key: dict[str, Any]) -> str:
    """A key, what it is for and whether it still opens anything."""
    reach = (key["operator_id"], key["merchant_id"], key["store_id"], key["terminal_id"])
    until = key["revoked_at"] and f"revoked {key['revoked_at']}"
    until = until or (key["expires_at"] and f"until {key['expires_at']}")
    parts = (
        key["id"],
        ",".join(key["roles"]),
        "/".join(filter(None, reach)),
        key["label"],
        f"used {key['last_used_at'] or 'never'}",
        until,
    )
    return "  ".join(filter(None, parts))


def new_key_line(key: dict[str, Any]) -> str:
    """A new key, and that it is not shown again."""
    return f"{key['key']}\n  id {key['id']}; this is the one time that the key is shown"


def user_line(user: dict[str, Any]) -> str:
    """An account, what it is for, and a password that was drawn for it."""
    reach = (user["merchant_id"], user["store_id"], user["terminal_id"])
    parts = (
        user["name"],
        ",".join(user["roles"]),
        "/".join(filter(None, reach)),
        "one-time codes" if user["has_one_time_code"] else "",
        f"signed in {user['signed_in_at'] or 'never'}",
        f"waits until {user['waits_until']}" if user["waits_until"] else "",
    )
    line = "  ".join(filter(None, parts)) + _closed(user)
    if "password" in user:
        line += f"\n  password {user['password']}; this is the one time that it is shown"
    return line


def codes_line(told: dict[str, Any]) -> str:
    """What an authenticator needs, or the account that has no codes any more."""
    if "uri" not in told:
        return user_line(told)
    line = f"{told['uri']}\n  secret {told['secret']}; this is the one time that it is shown"
    if sys.stdout.isatty():  # for the authenticator's camera
        with contextlib.suppress(CannotDraw, NotInstalled):
            line = f"{qr_terminal(told['uri'])}\n{line}"
    return line


def audit_line(act: dict[str, Any]) -> str:
    """One act."""
    detail = " ".join(f"{name}={json.dumps(value)}" for name, value in act["detail"].items())
    who = act["operator_id"] or "tillgate"
    return f"{act['at']}  {who}  {act['address']}  {act['act']}  {act['subject']}  {detail}"


def payment_line(payment: dict[str, Any]) -> str:
    """One payment in a list."""
    amount = payment["amount"]
    return (
        f"{payment['created_at']}  {payment['id']}  {payment['status']}"
        f"  {amount['currency']}:{amount['value']}  {payment['merchant_order_id']}"
        f"  {payment['store_id']}/{payment['terminal_id']}"
    )


def waiting_line(item: dict[str, Any]) -> str:
    """A payment or a refund that waits for a person."""
    if "refund" not in item:
        return payment_line(item)
    refund = item["refund"]
    amount = refund["amount"]
    sent = f"sent {item['sends']} times, last {item['sent_at']}"
    again = item["next_action_at"]
    return (
        f"{refund['created_at']}  {refund['payment_id']}  refund {refund['id']}"
        f"  {amount['currency']}:{amount['value']}  version {item['version']}  {sent}"
        f"  {f'asked again {again}' if again else 'not asked any more'}"
    )


def _closed(place: dict[str, Any]) -> str:
    return "  closed" if place["closed"] else ""


def _quoted(part: str) -> str:
    return quote(part, safe="")


def _setting(arguments: argparse.Namespace, name: str, variable: str) -> str:
    return setting_of(arguments.operator, FILE_VARIABLE, name, variable)

"""`tillgate pay`, `show` and `cancel`: a till on the command line.

`pay` does what every till should do: one Idempotency-Key per sale, made before the
first try; the same request again whenever an answer is lost; and never "failed" unless the gateway
said so.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import msgspec

from tillgate.client import ApiError, OutcomeUnknown, PaymentResource, Tillgate
from tillgate.core.errors import ConfigError, InvalidAmount
from tillgate.core.money import Money, parse_money
from tillgate.ids import new_token
from tillgate.settings import is_url

SHOW_PATIENCE_S = 5.0
"""How long a payment is tried to be read: a person waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its JSON body."""

    status: int
    body: dict[str, Any]


def read_code(argument: str) -> str:
    """The code itself, or the first line of standard input for `-`."""
    if argument != "-":
        return argument
    return sys.stdin.buffer.readline().decode("utf-8", "replace").strip()


class NoAnswer(Exception):
    """The server did not answer, or not with JSON.

    Attributes:
        was_reached: False when there was not even a connection.
    """

    def __init__(self, message: str, *, was_reached: bool = True) -> None:
        super().__init__(message)
        self.was_reached = was_reached


def pay(arguments: argparse.Namespace) -> int:
    """Pay, wait for the end, print it."""
    code = read_code(arguments.code)
    try:
        amount = parse_money(arguments.amount)
    except InvalidAmount as error:
        raise ConfigError([f"--amount: {error}"]) from None
    key = arguments.key or new_token()
    resume = (
        "The payment may exist. Ask again with the same arguments and"
        f" --key {key}; do not charge another way before that."
    )
    with _till(arguments, arguments.wait) as till:
        try:
            payment = till.pay(
                code,
                order=arguments.order,
                currency=amount.currency,
                value=amount.value,
                description=arguments.description,
                store_id=arguments.store,
                terminal_id=arguments.terminal,
                expires_in_s=arguments.expires_in,
                idempotency_key=key,
            )
        except KeyboardInterrupt:
            print(f"tillgate: interrupted. {resume}", file=sys.stderr)
            return 130
        except OutcomeUnknown as error:
            if isinstance(error.found, PaymentResource):
                print_payment(_plain(error.found), as_json=arguments.json)
            print(f"tillgate: {error}. {resume}", file=sys.stderr)
            return 3
        except ApiError as error:
            return print_problem(Answer(error.status, error.body), arguments.json)
    return print_payment(_plain(payment), as_json=arguments.json)


def show(arguments: argparse.Namespace) -> int:
    """Print a payment, with its timeline if asked for."""
    with _till(arguments, SHOW_PATIENCE_S) as till:
        try:
            payment = _plain(till.get(arguments.payment_id))
            rows = till.events(arguments.payment_id) if arguments.events else []
        except OutcomeUnknown as error:
            print(f"tillgate: {error}", file=sys.stderr)
            return 3
        except ApiError as error:
            return print_problem(Answer(error.status, error.body), arguments.json)
    if arguments.json:
        events = {"events": msgspec.to_builtins(rows)} if arguments.events else {}
        return print_payment(payment | events, as_json=True)
    status = print_payment(payment, as_json=False)
    for row in rows:
        detail = " ".join(f"{name}={value}" for name, value in row.detail.items())
        print(f"  {row.at[11:23]}  {row.kind:20} {row.status:10} {detail}")
    return status


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a payment, wait for the end, print it; 0 when it is cancelled."""
    with _till(arguments, arguments.wait) as till:
        try:
            payment = till.cancel(arguments.payment_id)
        except OutcomeUnknown as error:
            if isinstance(error.found, PaymentResource):
                print_payment(_plain(error.found), as_json=arguments.json)
            print(f"tillgate: {error}. Ask again; the same again is harmless.", file=sys.stderr)
            return 3
        except ApiError as error:
            return print_problem(Answer(error.status, error.body), arguments.json)
    print_payment(_plain(payment), as_json=arguments.json)
    return 0 if payment.status == "CANCELLED" else 1


def refund(arguments: argparse.Namespace) -> int:
    """Give money back, wait for the end, print it; 0 when it went back."""
    try:
        amount = parse_money(arguments.amount) if arguments.amount else None
    except InvalidAmount as error:
        raise ConfigError([f"--amount: {error}"]) from None
    key = arguments.key or new_token()
    with _till(arguments, arguments.wait) as till:
        try:
            refund = till.refund(
                arguments.payment_id,
                currency=amount.currency if amount else None,
                value=amount.value if amount else None,
                reason=arguments.reason,
                idempotency_key=key,
            )
        except OutcomeUnknown as error:
            words = f"Ask again with the same arguments and --key {key}"
            print(f"tillgate: {error}. {words}.", file=sys.stderr)
            return 3
        except ApiError as error:
            return print_problem(Answer(error.status, error.body), arguments.json)
    is_done = refund.status == "SUCCEEDED"
    if arguments.json:
        print(json.dumps(msgspec.to_builtins(refund)))
    else:
        given = Money(refund.amount.currency, refund.amount.value)
        print(f"{'REFUNDED' if is_done else 'NOT REFUNDED'}  {given}")
        result = refund.result.code if refund.result else None
        for name, value in (("id", refund.id), ("refundId", refund.refund_id), ("result", result)):
            if value:
                print(f"  {name:10} {value}")
    return 0 if is_done else 1


def _plain(payment: PaymentResource) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(payment)
    return plain


def sandbox_url(arguments: argparse.Namespace) -> str:
    """Where a tester's sandbox is: said, in the environment, or where it stands by default."""
    said: str | None = arguments.sandbox or os.environ.get("TILLGATE_SANDBOX_URL")
    return said or "http://127.0.0.1:9090"


def api_key_or_none(arguments: argparse.Namespace) -> str:
    """The till's key from a file or the environment; empty where an acquirer needs none."""
    if arguments.api_key_file:
        return read_text(Path(arguments.api_key_file)).strip()
    return os.environ.get("TILLGATE_API_KEY", "")


def _till(arguments: argparse.Namespace, patience_s: float) -> Tillgate:
    """The gateway as this till reaches it."""
    url = arguments.gateway or _till_settings(arguments, "gateway", "TILLGATE_GATEWAY_URL")
    if arguments.api_key_file:
        key = read_text(Path(arguments.api_key_file)).strip()
    else:
        key = _till_settings(arguments, "api_key", "TILLGATE_API_KEY")
    try:
        return Tillgate(
            url,
            key,
            patience_s=patience_s,
            notice=lambda why: print(f"tillgate: {why}; asking again", file=sys.stderr),
        )
    except ValueError as error:
        raise ConfigError([str(error)]) from None


def call(
    url: str,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 15,
) -> Answer:
    """One HTTP call with JSON both ways.

    Raises:
        NoAnswer: none came, or not JSON.
        ConfigError: the address is none.
    """
    if not is_url(url):
        raise ConfigError([f"{url!r} is not an address such as http://127.0.0.1:8080"])
    parts = urlsplit(url)
    if not all(value.isascii() and value.isprintable() for value in (headers or {}).values()):
        raise ConfigError(["the API key or another header holds a character that HTTP cannot send"])
    assert parts.hostname is not None
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname, parts.port, timeout=timeout_s)
    try:
        connection.request(
            method,
            parts.path.rstrip("/") + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json"} | (headers or {}),
        )
        response = connection.getresponse()
        return Answer(response.status, json.loads(response.read() or b"{}"))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(
            f"no answer from {parts.scheme}://{parts.netloc}: {error}",
            was_reached=not isinstance(error, ConnectionRefusedError),
        ) from None
    finally:
        connection.close()


def print_payment(payment: dict[str, Any], *, as_json: bool, out: IO[str] | None = None) -> int:
    """Print a payment (on standard output); 0 paid, 1 not paid, 3 nobody knows yet."""
    is_paid = payment["status"] == "SUCCEEDED"
    # By status: one that was paid stays final while its money goes back.
    is_known = payment["status"] in ("SUCCEEDED", "FAILED", "CANCELLED")
    status = 0 if is_paid else 1 if is_known else 3
    if as_json:
        print(json.dumps(payment))
        return status
    word = "PAID" if is_paid else "NOT PAID" if is_known else "NOT KNOWN YET"
    amount = Money(payment["amount"]["currency"], payment["amount"]["value"])
    result = payment["result"] or {}
    rows = (
        ("id", payment["id"]),
        ("order", payment["merchant_order_id"]),
        ("status", payment["status"]),
        ("wallet", payment["wallet"]),
        ("paymentId", payment["payment_id"]),
        (
            "code",
            f"{payment['code']}, rule {payment['rule']} of {payment['table']}, {payment['route']}",
        ),
        ("result", " ".join(filter(None, (result.get("code"), result.get("message"))))),
        ("paid at", payment["paid_at"]),
        ("next step", payment["next_step"]),
    )
    print(f"{word}  {amount}", file=out)
    for name, value in rows:
        if value:
            print(f"  {name:10} {value}", file=out)
    return status


def print_problem(answer: Answer, as_json: bool) -> int:
    """Print a refusal; gives the exit status."""
    if as_json:
        print(json.dumps(answer.body))
    else:
        problem = answer.body
        where = f" ({problem['path']})" if problem.get("path") else ""
        print(f"tillgate: {problem.get('detail')}{where}", file=sys.stderr)
        print(f"  {answer.status} {problem.get('code')}", file=sys.stderr)
    return 1


def _till_settings(arguments: argparse.Namespace, name: str, variable: str) -> str:
    return setting_of(arguments.till, "TILLGATE_TILL", name, variable)


def setting_of(named: str | None, file_variable: str, name: str, variable: str) -> str:
    """A value from the named file, else from its own variable, else from the file that
    `file_variable` names.

    Raises:
        ConfigError: it is nowhere, or the file cannot be read.
    """
    if not named and (value := os.environ.get(variable)):
        return value
    file = named or os.environ.get(file_variable)
    if not file:
        raise ConfigError(
            [
                f"set {variable}, or {file_variable} to a settings file"
                " (`tillgate demo` and `tillgate keys new` write one)"
            ]
        )
    try:
        value = tomllib.loads(read_text(Path(file))).get(name)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from None
    if not isinstance(value, str):
        raise ConfigError([f"{file}: {name}: missing"])
    return value


def read_text(path: Path) -> str:
    """A settings file's text.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} cannot be read: {error}"]) from None

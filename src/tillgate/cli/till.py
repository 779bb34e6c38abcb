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
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlsplit

from tillgate.core.errors import ConfigError, InvalidAmount
from tillgate.core.money import Money, parse_money
from tillgate.ids import new_token
from tillgate.settings import is_url

RETRY_WAIT_S = 1.0
UNREACHED_LIMIT_S = 5
"""How long a gateway that never took a connection is tried: nothing can have begun there."""


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
    till = _Till(arguments)
    body: dict[str, Any] = {
        "code": code,
        "order": {
            "merchant_order_id": arguments.order,
            "amount": {"currency": amount.currency, "value": amount.value},
        },
    }
    if arguments.description is not None:
        body["order"]["description"] = arguments.description
    for field, value in (
        ("store_id", arguments.store),
        ("terminal_id", arguments.terminal),
        ("expires_in_s", arguments.expires_in),
    ):
        if value is not None:
            body[field] = value
    key = arguments.key or new_token()
    resume = (
        "The payment may exist. Ask again with the same arguments and"
        f" --key {key}; do not charge another way before that."
    )
    try:
        answer = _until_final(till, body, key, arguments.wait)
    except KeyboardInterrupt:
        print(f"tillgate: interrupted. {resume}", file=sys.stderr)
        return 130
    if answer is None:
        print(f"tillgate: no answer from the gateway. {resume}", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    return print_payment(answer.body, as_json=arguments.json)


def show(arguments: argparse.Namespace) -> int:
    """Print a payment, with its timeline if asked for."""
    till = _Till(arguments)
    path = f"/v1/payments/{quote(arguments.payment_id, safe='')}"
    try:
        answer = till.call("GET", path)
        events = till.call("GET", f"{path}/events") if arguments.events else None
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    rows = events.body["events"] if events else []
    if arguments.json:
        return print_payment(answer.body | ({"events": rows} if events else {}), as_json=True)
    status = print_payment(answer.body, as_json=False)
    for row in rows:
        detail = " ".join(f"{name}={value}" for name, value in row["detail"].items())
        print(f"  {row['at'][11:23]}  {row['kind']:20} {row['status']:10} {detail}")
    return status


def cancel(arguments: argparse.Namespace) -> int:
    """Cancel a payment, wait for the end, print it; 0 when it is cancelled."""
    till = _Till(arguments)
    path = f"/v1/payments/{quote(arguments.payment_id, safe='')}/cancel"
    try:
        headers = {"Prefer": f"wait={arguments.wait}"}
        answer = till.call("POST", path, None, headers, arguments.wait + 15)
    except NoAnswer as error:
        print(f"tillgate: {error}. Ask again; the same again is harmless.", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    print_payment(answer.body, as_json=arguments.json)
    if answer.status == 202:
        return 3
    return 0 if answer.body["status"] == "CANCELLED" else 1


def sandbox_url(arguments: argparse.Namespace) -> str:
    """Where a tester's sandbox is: said, in the environment, or where it stands by default."""
    said: str | None = arguments.sandbox or os.environ.get("TILLGATE_SANDBOX_URL")
    return said or "http://127.0.0.1:9090"


def api_key_or_none(arguments: argparse.Namespace) -> str:
    """The till's key from a file or the environment; empty where an acquirer needs none."""
    if arguments.api_key_file:
        return read_text(Path(arguments.api_key_file)).strip()
    return os.environ.get("TILLGATE_API_KEY", "")


class _Till:
    """The gateway as this till reaches it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url = arguments.gateway or _till_settings(
            arguments, "gateway", "TILLGATE_GATEWAY_URL"
        )
        if arguments.api_key_file:
            self._key = read_text(Path(arguments.api_key_file)).strip()
        else:
            self._key = _till_settings(arguments, "api_key", "TILLGATE_API_KEY")

    def call(
        self,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = 15,
    ) -> Answer:
        authorised = {"Authorization": f"Bearer {self._key}"} | (headers or {})
        return call(self._url, method, path, body, authorised, timeout_s)


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


def _until_final(till: _Till, body: dict[str, Any], key: str, wait_s: int) -> Answer | None:
    """The very same request until the payment is final, refused, or the wait is over."""
    began, answer, was_reached = time.monotonic(), None, False
    while True:
        left_s = max(1, round(began + wait_s - time.monotonic()))
        headers = {"Idempotency-Key": key, "Prefer": f"wait={left_s}"}
        try:
            answer = till.call("POST", "/v1/payments", body, headers, left_s + 15)
            if answer.status != 202 and answer.status < 500:
                return answer
            was_reached = True
            reason = "not final yet" if answer.status == 202 else answer.body.get("detail")
        except NoAnswer as error:
            was_reached = was_reached or error.was_reached
            reason = str(error)
        limit_s = wait_s if was_reached else min(wait_s, UNREACHED_LIMIT_S)
        if time.monotonic() + RETRY_WAIT_S >= began + limit_s:
            return answer
        print(f"tillgate: {reason}; asking again", file=sys.stderr)
        time.sleep(RETRY_WAIT_S)


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

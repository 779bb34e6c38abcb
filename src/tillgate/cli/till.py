"""`tillgate pay`, `show` and `code`: a till and a customer's wallet on the command line.

`pay` does what docs/till-guide asks of every till: one Idempotency-Key per sale, made before the
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

RETRIES_MAX = 5
RETRY_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its JSON body."""

    status: int
    body: dict[str, Any]


class NoAnswer(Exception):
    """The server did not answer, or not with JSON."""


def pay(arguments: argparse.Namespace) -> int:
    """Pay, wait for the end, print it."""
    code = sys.stdin.readline().strip() if arguments.code == "-" else arguments.code
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
    headers = {"Idempotency-Key": key, "Prefer": f"wait={arguments.wait}"}
    answer = _until_answered(
        lambda: till.call("POST", "/v1/payments", body, headers, arguments.wait + 15)
    )
    if answer is None:
        print(
            "tillgate: no answer from the gateway; the payment may exist. Ask again with the same"
            f" arguments and --key {key}; do not charge another way before that.",
            file=sys.stderr,
        )
        return 3
    if answer.status >= 400:
        return _print_problem(answer, arguments.json)
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
        return _print_problem(answer, arguments.json)
    rows = events.body["events"] if events else []
    if arguments.json:
        return print_payment(answer.body | ({"events": rows} if events else {}), as_json=True)
    status = print_payment(answer.body, as_json=False)
    for row in rows:
        detail = " ".join(f"{name}={value}" for name, value in row["detail"].items())
        print(f"  {row['at'][11:23]}  {row['kind']:20} {row['status']:10} {detail}")
    return status


def code(arguments: argparse.Namespace) -> int:
    """Print a fresh payment code and nothing else, so that it can be piped."""
    url = arguments.sandbox or _till_settings(arguments, "sandbox", "TILLGATE_SANDBOX_URL")
    asked = {
        name: value
        for name in ("wallet", "customer", "kind")
        if (value := getattr(arguments, name)) is not None
    }
    try:
        answer = call(url, "POST", "/sandbox/codes", asked)
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    if answer.status >= 400:
        return _print_problem(answer, arguments.json)
    print(json.dumps(answer.body) if arguments.json else answer.body["code"])
    return 0


class _Till:
    """The gateway as this till reaches it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._url = arguments.gateway or _till_settings(
            arguments, "gateway", "TILLGATE_GATEWAY_URL"
        )
        if arguments.api_key_file:
            self._key = _read(Path(arguments.api_key_file)).strip()
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
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError([f"{url!r} is not an address such as http://127.0.0.1:8080"])
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
        return Answer(response.status, json.loads(response.read()))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NoAnswer(f"no answer from {parts.scheme}://{parts.netloc}: {error}") from None
    finally:
        connection.close()


def _until_answered(send: Any) -> Answer | None:
    """The same request again while no answer comes or the gateway asks to come again."""
    for attempt in range(RETRIES_MAX):
        try:
            answer: Answer = send()
            if answer.status < 500:
                return answer
            reason = f"the gateway answered {answer.status}"
        except NoAnswer as error:
            reason = str(error)
        print(f"tillgate: {reason}; asking again", file=sys.stderr)
        if attempt < RETRIES_MAX - 1:
            time.sleep(RETRY_WAIT_S)
    return None


def print_payment(payment: dict[str, Any], *, as_json: bool, out: IO[str] | None = None) -> int:
    """Print a payment (on standard output); 0 paid, 1 not paid, 3 nobody knows yet."""
    is_paid = payment["status"] == "SUCCEEDED"
    status = 0 if is_paid else 1 if payment["final"] else 3
    if as_json:
        print(json.dumps(payment))
        return status
    word = "PAID" if is_paid else "NOT PAID" if payment["final"] else "NOT KNOWN YET"
    amount = Money(payment["amount"]["currency"], payment["amount"]["value"])
    result = payment["result"] or {}
    rows = (
        ("id", payment["id"]),
        ("order", payment["merchant_order_id"]),
        ("status", payment["status"]),
        ("wallet", payment["wallet"]),
        ("paymentId", payment["payment_id"]),
        ("code", f"{payment['code']}, rule {payment['rule']}, {payment['route']}"),
        ("result", " ".join(filter(None, (result.get("code"), result.get("message"))))),
        ("paid at", payment["paid_at"]),
        ("next step", payment["next_step"]),
    )
    print(f"{word}  {amount}", file=out)
    for name, value in rows:
        if value:
            print(f"  {name:10} {value}", file=out)
    return status


def _print_problem(answer: Answer, as_json: bool) -> int:
    if as_json:
        print(json.dumps(answer.body))
    else:
        problem = answer.body
        where = f" ({problem['path']})" if problem.get("path") else ""
        print(f"tillgate: {problem.get('detail')}{where}", file=sys.stderr)
        print(f"  {answer.status} {problem.get('code')}", file=sys.stderr)
    return 1


def _till_settings(arguments: argparse.Namespace, name: str, variable: str) -> str:
    if not arguments.till and (value := os.environ.get(variable)):
        return value
    file = arguments.till or os.environ.get("TILLGATE_TILL")
    if not file:
        raise ConfigError(
            [f"set {variable}, or TILLGATE_TILL to a till's settings (`tillgate demo` names one)"]
        )
    try:
        value = tomllib.loads(_read(Path(file))).get(name)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{file}: not TOML: {error}"]) from None
    if not isinstance(value, str):
        raise ConfigError([f"{file}: {name}: missing"])
    return value


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} cannot be read: {error}"]) from None

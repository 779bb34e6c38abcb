"""`tillgate webhook ...`: sends what the parser made of the arguments, and prints the answer."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tillgate.cli.till import Answer, NoAnswer, call, print_problem, read_text, setting_of

PAGE = 100


def send(arguments: argparse.Namespace) -> int:
    """One request; 1 when it is refused, 3 when nobody answers."""
    method, path, body = arguments.request(arguments)
    try:
        answer = _caller(arguments)(method, path, body)
    except NoAnswer as error:
        return _no_answer(error, may_be_done=method != "GET")
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    if answer.body:
        print(json.dumps(answer.body) if arguments.json else arguments.line(answer.body))
    return 0


def show_all(arguments: argparse.Namespace) -> int:
    """Every item of a list, a line each, or as JSON lines."""
    path, name, query = arguments.request(arguments)
    ask = _caller(arguments)
    cursor: str | None = None
    try:
        while True:
            asked = {**query, "limit": PAGE, **({"cursor": cursor} if cursor else {})}
            answer = ask("GET", f"{path}?{urlencode(asked)}", None)
            if answer.status >= 400:
                return print_problem(answer, arguments.json)
            for item in answer.body[name]:
                print(json.dumps(item) if arguments.json else arguments.line(item))
            cursor = answer.body["next_cursor"]
            if cursor is None:
                return 0
    except NoAnswer as error:
        return _no_answer(error, may_be_done=False)


def _caller(
    arguments: argparse.Namespace,
) -> Callable[[str, str, dict[str, Any] | None], Answer]:
    def setting(name: str, variable: str) -> str:
        return setting_of(arguments.till, "TILLGATE_TILL", name, variable)

    url = arguments.gateway or setting("gateway", "TILLGATE_GATEWAY_URL")
    if arguments.api_key_file:
        key = read_text(Path(arguments.api_key_file)).strip()
    else:
        key = setting("api_key", "TILLGATE_API_KEY")
    headers = {"Authorization": f"Bearer {key}"}
    return lambda method, path, body: call(url, method, path, body, headers)


def _no_answer(error: NoAnswer, *, may_be_done: bool) -> int:
    print(f"tillgate: {error}", file=sys.stderr)
    if may_be_done:
        print("  It may have been done: list before you do it again.", file=sys.stderr)
    return 3


def endpoint_line(endpoint: dict[str, Any]) -> str:
    """An endpoint, what it gets and how it is."""
    types = ",".join(endpoint["event_types"]) if endpoint["event_types"] else "all"
    reason = endpoint["paused_reason"] and f" ({endpoint['paused_reason']})"
    failing = endpoint["failing_since"] and f"failing since {endpoint['failing_since']}"
    state = endpoint["status"] + (reason or "")
    parts = (endpoint["id"], endpoint["url"], types, state, failing, endpoint["description"])
    return "  ".join(filter(None, parts))


def secret_lines(made: dict[str, Any]) -> str:
    """An endpoint with the secret that is shown once."""
    return f"{endpoint_line(made['endpoint'])}\nsecret, not shown again: {made['secret']}"


def delivery_line(delivery: dict[str, Any]) -> str:
    """One event, what became of it and why."""
    last = delivery["last_http_status"] or delivery["last_error"]
    later = delivery["next_attempt_at"] and f"next {delivery['next_attempt_at']}"
    parts = (
        delivery["created_at"],
        delivery["event_id"],
        delivery["type"],
        delivery["status"],
        f"{delivery['attempts']} attempts",
        str(last) if last else None,
        later,
    )
    return "  ".join(filter(None, parts))


def replay_line(body: dict[str, Any]) -> str:
    """How many events go again, or the one."""
    return f"{body['replayed']} events" if "replayed" in body else delivery_line(body)

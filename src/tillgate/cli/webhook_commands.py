"""`tillgate webhook ...`: the arguments, and the request that each command is."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tillgate.cli.parsers import TILL_HELP, command
from tillgate.core.webhooks import EVENT_TYPES, DeliveryState

Arguments = argparse.Namespace
Actions = argparse._SubParsersAction  # the type that argparse gives out
Request = tuple[str, str, dict[str, Any] | None]

ALL = "/v1/webhook_endpoints"
_ID = "we_01JD0W8Z9V3T5M7Q2B4N6P8R0S"
_EVENT = "evt_01JD0W8Z9V3T5M7Q2B4N6P8R0S_1"


def add_webhook(commands: Actions[argparse.ArgumentParser]) -> None:
    """All of them."""
    what = "have events sent to a merchant's server, with a back office's key"
    parser = commands.add_parser(
        "webhook",
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="examples:\n  tillgate webhook ACTION --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _endpoints(actions)
    _acts(actions)
    _deliveries(actions)


def _endpoints(actions: Actions[argparse.ArgumentParser]) -> None:
    create = _one(
        actions,
        "create",
        "make an endpoint; prints its secret, once",
        "tillgate webhook create https://shop.example/tillgate\n"
        "tillgate webhook create http://127.0.0.1:9000/hook --events payment.succeeded",
        "secret_lines",
        lambda a: ("POST", ALL, _given(a, url="url", merchant_id="merchant")),
    )
    create.add_argument("url", metavar="URL", help="where events are sent")
    create.add_argument("--merchant", metavar="ID", help="whose; operators have to say it")
    update = _one(
        actions,
        "update",
        "change an endpoint's address, types or description",
        f"tillgate webhook update {_ID} --url https://shop.example/new",
        "endpoint_line",
        lambda a: ("PATCH", _path(a), _given(a, url="url")),
    )
    _add_id(update)
    update.add_argument("--url", metavar="URL", help="the new address")
    for one in (create, update):
        one.add_argument(
            "--events",
            metavar="TYPES",
            help=f"comma-separated, or all: {', '.join(EVENT_TYPES)}",
        )
        one.add_argument("--description", metavar="TEXT", help="for people")
    every = _made(
        actions,
        "list",
        "list endpoints",
        "tillgate webhook list\ntillgate webhook list --json",
        "endpoint_line",
        "show_all",
        lambda a: (ALL, "webhook_endpoints", _given(a, merchant_id="merchant")),
    )
    every.add_argument("--merchant", metavar="ID", help="of that merchant, for operators")


def _acts(actions: Actions[argparse.ArgumentParser]) -> None:
    for name, what, method, path, line in (
        ("show", "show an endpoint", "GET", "", "endpoint_line"),
        ("pause", "send nothing for now; what happens is kept", "POST", "/pause", "endpoint_line"),
        ("resume", "send what waits, and go on", "POST", "/resume", "endpoint_line"),
        ("delete", "delete an endpoint and its log", "DELETE", "", "endpoint_line"),
        ("test", "send a test event", "POST", "/test", "delivery_line"),
    ):
        one = _one(
            actions,
            name,
            what,
            f"tillgate webhook {name} {_ID}",
            line,
            _act(method, path),
        )
        _add_id(one)
    rotate = _one(
        actions,
        "rotate",
        "get a new secret; those of before go on to sign for a while",
        f"tillgate webhook rotate {_ID}\ntillgate webhook rotate {_ID} --overlap 0",
        "secret_lines",
        lambda a: ("POST", f"{_path(a)}/rotate", _given(a, overlap_s="overlap")),
    )
    _add_id(rotate)
    rotate.add_argument(
        "--overlap", type=int, metavar="SECONDS", help="0 to 604800 (default: 86400)"
    )


def _act(method: str, path: str) -> Callable[[Arguments], Request]:
    return lambda arguments: (method, _path(arguments) + path, None)


def _deliveries(actions: Actions[argparse.ArgumentParser]) -> None:
    deliveries = _made(
        actions,
        "deliveries",
        "list what was sent or waits, newest first",
        f"tillgate webhook deliveries {_ID} --status pending",
        "delivery_line",
        "show_all",
        lambda a: (f"{_path(a)}/deliveries", "deliveries", _given(a, status="status")),
    )
    _add_id(deliveries)
    deliveries.add_argument(
        "--status", choices=[each.value for each in DeliveryState], help="only those"
    )
    replay = _one(
        actions,
        "replay",
        "send one event, or all since a time, again",
        f"tillgate webhook replay {_ID} {_EVENT}\n"
        f"tillgate webhook replay {_ID} --since 2026-01-31T00:00:00Z",
        "replay_line",
        _replay,
    )
    _add_id(replay)
    replay.add_argument("event", metavar="EVENT_ID", nargs="?", help="without it: all of a span")
    replay.add_argument("--since", metavar="TIME", help="with a zone (default: three days ago)")
    replay.add_argument("--before", metavar="TIME", help="only what happened earlier")


def _replay(arguments: Arguments) -> Request:
    if arguments.event:
        event = quote(arguments.event, safe="")
        return "POST", f"{_path(arguments)}/deliveries/{event}/replay", None
    span = _given(arguments, since="since", before="before")
    return "POST", f"{_path(arguments)}/replay", span


def _given(arguments: Arguments, **names: str) -> dict[str, Any]:
    """What was said, by the API's names; `events` and `description` wherever they are known."""
    said = {field: getattr(arguments, name) for field, name in names.items()}
    said["description"] = getattr(arguments, "description", None)
    body = {field: value for field, value in said.items() if value is not None}
    events: str | None = getattr(arguments, "events", None)
    if events is not None:
        body["event_types"] = None if events == "all" else events.split(",")
    return body


def _path(arguments: Arguments) -> str:
    return f"{ALL}/{quote(arguments.id, safe='')}"


def _add_id(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ENDPOINT_ID", help="`id` of the endpoint")


def _one(
    actions: Actions[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    line: str,
    request: Callable[[Arguments], Request],
) -> argparse.ArgumentParser:
    return _made(actions, name, what, examples, line, "send", request)


def _made(
    actions: Actions[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    line: str,
    how: str,
    request: Callable[[Arguments], Any],
) -> argparse.ArgumentParser:
    """A command that is a request; `line` names what prints its answer, `how` what sends it."""

    def run(arguments: Arguments) -> int:
        from tillgate.cli import webhook

        arguments.request, arguments.line = request, getattr(webhook, line)
        status: int = getattr(webhook, how)(arguments)
        return status

    parser = command(actions, name, what, examples, run)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--gateway", metavar="URL", help="default: TILLGATE_GATEWAY_URL")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="default: the key in TILLGATE_API_KEY"
    )
    parser.add_argument("--till", metavar="FILE", help=TILL_HELP)
    return parser

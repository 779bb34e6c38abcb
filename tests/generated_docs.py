"""Documents made from the code. `python -m tests.generated_docs` renews them; a test compares."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from tests.operations import merchant_operations
from tillgate.cli import build_parser
from tillgate.cli.lifecycle import docstring_of, document, edges
from tillgate.core.results import MEANINGS, Judges, NextStep
from tillgate.sandbox.fields import FORMS, FROM
from tillgate.sandbox.plays import MAGIC
from tillgate.settings import SETTINGS
from tillgate.web.openapi import describe
from tillgate.web.problems import MEANING, STATUS

DOCS = Path(__file__).parents[1] / "docs"
NOTE = "<!-- Made from the code by `make format`; a test compares. Do not edit. -->\n"


def cli() -> str:
    lines = [
        NOTE,
        "# The command line\n",
        "Every command has `--help`. Exit status: 0 it worked; 1",
    ]
    lines[-1] += " it did not, for a reason that was printed; 2 used wrongly, or the settings are"
    lines[-1] += " wrong; 3 (`pay`, `show`) nobody knows yet; 130 after Ctrl-C.\n"
    for name, parser in _commands(build_parser(), "tillgate"):
        lines.append(f"## `{name}`\n\n{parser.description}\n\n| argument | meaning |\n|---|---|")
        lines += [_argument(action) for action in parser._actions if _is_shown(action)]
        lines.append(f"\n```\n{_examples(parser)}\n```\n")
    return "\n".join(lines)


def _commands(
    parser: argparse.ArgumentParser, name: str
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            if parser.get_default("run") is not None:
                yield name, parser
            for word, child in action.choices.items():
                yield from _commands(child, f"{name} {word}")
            return
    yield name, parser


def _is_shown(action: argparse.Action) -> bool:
    return action.help != argparse.SUPPRESS and not isinstance(
        action, argparse._HelpAction | argparse._SubParsersAction
    )


def _argument(action: argparse.Action) -> str:
    name = ", ".join(action.option_strings) or str(action.metavar)
    value = f" {action.metavar}" if action.option_strings and action.metavar else ""
    choices = f" {'/'.join(map(str, action.choices))}" if action.choices else ""
    needed = " (required)" if action.required and action.option_strings else ""
    return f"| `{name}{value}{choices}` | {action.help}{needed} |"


def _examples(parser: argparse.ArgumentParser) -> str:
    lines = (parser.epilog or "").splitlines()[1:]
    return "\n".join(line.strip() for line in lines)


def settings() -> str:
    lines = [
        NOTE,
        "# Settings\n",
        "Read from a TOML file (`--settings FILE`, `TILLGATE_SETTINGS`, else `tillgate.toml` in the"
        " current folder) and from the environment, which wins. Paths start at the file. Pairs"
        " (`VERSION=PATH`) may be a table in the file. All problems are told together, at start.\n",
        "| section | name | variable | default | meaning |",
        "|---|---|---|---|---|",
    ]
    for setting in SETTINGS:
        default = "(required)" if setting.default is None else f"`{setting.default}`"
        lines.append(
            f"| {setting.section} | `{setting.name}` | `{setting.variable}` |"
            f" {default if default != '``' else '(empty)'} | {setting.meaning} |"
        )
    return "\n".join([*lines, ""])


SPEAKS_ABOUT = {
    Judges.PAYMENT: "the payment",
    Judges.MESSAGE: "our message only",
    Judges.NOTHING: "nothing final",
}


def codes() -> str:
    lines = [
        NOTE,
        "# Codes\n",
        "## What a till does: `next_step`\n",
        "| value | meaning |",
        "|---|---|",
        *(f"| `{step}` | {docstring_of(step)} |" for step in NextStep),
        "\n## Result codes of the network\n",
        "How each one is read. A code that is not here follows its resultStatus. `next_step` is"
        " what a till does while the code is the network's last word on its payment.\n",
        "| code | status | speaks about | `next_step` | alert |",
        "|---|---|---|---|---|",
    ]
    for code, meaning in MEANINGS.items():
        alert = "yes" if meaning.alert else ""
        lines.append(
            f"| `{code}` | {meaning.outcome} | {SPEAKS_ABOUT[meaning.judges]} |"
            f" `{meaning.next_step}` |"
            f" {alert} |"
        )
    lines += [
        "\n## Errors of the merchant's API\n",
        "`application/problem+json` with a stable `code`; `path` names the first fault.\n",
        "| code | HTTP status | meaning |",
        "|---|---|---|",
        *(f"| `{code}` | {status} | {MEANING[code]} |" for code, status in STATUS.items()),
        "",
    ]
    return "\n".join(lines)


def plays() -> str:
    lines = [
        NOTE,
        "# What the sandbox plays\n",
        "Each line is chosen by its amount (in minor units of any currency: JPY 77,701, USD"
        " 777.01), by its name for one code (`POST /sandbox/codes` with `play`, `tillgate code"
        " --play NAME`), for a customer (`play` in the wallets file) or by a rule. More:"
        " [sandbox](sandbox.md).\n",
        "| amount | play | what happens |",
        "|---|---|---|",
        *(f"| {value} | `{play.name}` | {play.what} |" for value, play in MAGIC.items()),
        "\n## The guide's table, row by row\n",
        "| resultStatus | resultCode | played by |",
        "|---|---|---|",
        "| S | SUCCESS | any other amount |",
        "| F | each code | its line above |",
        "| U | PAYMENT_IN_PROCESS | `in_process_then_success`, `in_process_then_failure`,"
        " `in_process_for_ever`, `late_success` |",
        "| U | any other | `unknown_exception`, `request_traffic_exceed_limit` (nothing happened),"
        " `unknown_but_paid` |",
        "| no answer | | `request_lost`, `reply_lost`, `silent`, `late`, `reset`, `drip`,"
        " `http_503`, `http_502_but_paid` |",
        "| an answer that proves nothing | | `bad_signature`, `no_signature`, `wrong_key`,"
        " `garbage`, `clock_behind`, `wrong_amount` |",
        "\n## Any code of any API\n",
        'A rule says it, as an answer that is a lie or (`"effect": false`) one that did nothing:\n',
        "```",
        'curl -X POST localhost:9090/sandbox/rules -d \'{"on": {"api": "refund"},'
        ' "do": {"result": "USER_NOT_EXIST", "effect": false}}\'',
        "```\n",
        "What brings each one without a rule:\n",
        "| API | code | comes when |",
        "|---|---|---|",
        *(f"| {api} | {code} | {when} |" for api, code, when in NATURALLY),
        "",
    ]
    return "\n".join(lines)


def fields() -> str:
    lines = [
        NOTE,
        "# What the sandbox takes\n",
        "Every field of every request, and what is checked of it. A request that breaks one is"
        " answered F `PARAM_ILLEGAL`, `resultMessage` names the field, and nothing was done."
        " Fields that are not here are skipped. `null` means left out; an empty text is never"
        " taken. Integers and booleans are text on this wire; bare ones are taken, too.\n",
        "Sources: " + "; ".join(f"*{name}*: {what}" for name, what in FROM.items()) + ".\n",
    ]
    for form in FORMS:
        lines.append(f"## `{form.api}`\n\n| field | needed | must be | source |\n|---|---|---|---|")
        lines += [
            f"| `{row.path}` | {'yes' if row.is_required else ''} | {row.form} | {row.source} |"
            for row in form.rows().values()
        ]
        lines.append("")
    return "\n".join(lines)


def lifecycle() -> str:
    return NOTE + "\n" + document(edges())


NATURALLY = (
    ("all", "INVALID_SIGNATURE, INVALID_CLIENT", "signed with another key; another Client-Id"),
    ("all", "METHOD_NOT_SUPPORTED, NO_INTERFACE_DEF", "not POST; a path that is no API"),
    ("all", "MEDIA_TYPE_NOT_ACCEPTABLE", "Content-Type is not application/json"),
    ("all", "PARAM_ILLEGAL", "a field is not as [fields](sandbox-fields.md) say"),
    ("pay", "INVALID_CODE, EXPIRED_CODE", "a used or unknown code; one older than a minute"),
    ("pay", "CURRENCY_NOT_SUPPORT", "a currency without a rate in the wallets file"),
    ("pay", "ORDER_IS_CLOSED", "the same pay again after its cancel, or past its expiry"),
    ("pay, refund", "REPEAT_REQ_INCONSISTENT", "the same id with another amount"),
    ("pay", "USER_..., PAYMENT_..._EXCEED_LIMIT", "what the wallet asks of its customer"),
    ("inquiryPayment, refund", "ORDER_NOT_EXIST", "an id that never came"),
    ("cancelPayment", "ORDER_NOT_EXIST", "the same, unless `unknown_cancel` says otherwise"),
    (
        "cancelPayment",
        "CANCEL_WINDOW_EXCEED",
        "after 00:15 (UTC+8) of the next day: move the clock",
    ),
    ("cancelPayment", "PROCESS_FAIL", "something of it was refunded"),
    ("refund", "REFUND_AMOUNT_EXCEED", "more than what is left"),
    ("refund", "REFUND_WINDOW_EXCEED", "365 days after the payment: move the clock"),
    ("refund", "ORDER_STATUS_INVALID", "not paid, or cancelled"),
    ("refund", "CURRENCY_NOT_SUPPORT", "another currency than the payment's"),
)
"""Each is shown by a test of tests/sandbox or tests/second_client."""


def openapi() -> str:
    return json.dumps(describe("Tillgate", merchant_operations()), indent=1) + "\n"


GENERATED = {
    "cli.md": cli,
    "settings.md": settings,
    "codes.md": codes,
    "payment-lifecycle.md": lifecycle,
    "sandbox-plays.md": plays,
    "sandbox-fields.md": fields,
    "openapi.json": openapi,
}

if __name__ == "__main__":
    for file, make in GENERATED.items():
        (DOCS / file).write_text(make())

"""`tillgate sandbox script` and `tillgate sandbox plays`: make a running sandbox misbehave."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from tillgate.cli.till import NoAnswer, call, print_problem, sandbox_url
from tillgate.core.errors import ConfigError

ALWAYS = "always"
"""What a script says instead of JSON's null, which TOML has not."""


def script(arguments: argparse.Namespace) -> int:
    """Put a script in force, instead of what was."""
    asked = {} if arguments.clear else _read(arguments.file)
    try:
        answer = call(sandbox_url(arguments), "PUT", "/sandbox/script", asked)
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 1
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    if arguments.json:
        print(json.dumps(answer.body))
        return 0
    body = answer.body
    faults = "random faults" if body["faults"] else "no random faults"
    stands = ", frozen" if body["clock"]["is_frozen"] else ""
    print(f"{len(body['rules'])} rules, {faults}; the clock shows {body['clock']['now']}{stands}")
    return 0


def plays(arguments: argparse.Namespace) -> int:
    """List what has a name. Needs no sandbox."""
    from tillgate.sandbox.plays import MAGIC

    rows = [{"amount": n, "name": play.name, "what": play.what} for n, play in MAGIC.items()]
    if arguments.json:
        print(json.dumps(rows))
        return 0
    for row in rows:
        print(f"{row['amount']}  {row['name']:<34}{row['what']}")
    return 0


def _read(name: str | None) -> dict[str, Any]:
    if name is None:
        raise ConfigError(["a script's FILE is needed (or --clear)"])
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text()
        is_json = text.lstrip()[:1] == "{"  # TOML may start with a bracket
        asked = json.loads(text) if is_json else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{name}: {error}"]) from None
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{name}: is neither TOML nor JSON: {error}"]) from None
    if not isinstance(asked, dict):
        raise ConfigError([f"{name}: must be a table with rules, faults and clock"])
    rules = asked.get("rules")
    for rule in rules if isinstance(rules, list) else ():
        if isinstance(rule, dict) and rule.get("times") == ALWAYS:
            rule["times"] = None
    return asked

"""What the commands' parsers share: their form, their kinds of values, the options of tills and
servers.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable

from tillgate.settings import SANDBOX_DIRECT

TILL_HELP = "a till's settings, as the demo writes them (default: TILLGATE_TILL)"


def command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
    """A command with its description and its examples."""
    parser = commands.add_parser(
        name,
        help=what,
        description=f"{what[0].upper()}{what[1:]}.",
        epilog="examples:\n" + "\n".join(f"  {line}" for line in examples.splitlines()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(run=run)
    return parser


def add_till_options(parser: argparse.ArgumentParser) -> None:
    """The options of every command that speaks to the gateway as a till."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--gateway", metavar="URL", help="default: TILLGATE_GATEWAY_URL")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="default: the key in TILLGATE_API_KEY"
    )
    parser.add_argument("--till", metavar="FILE", help=TILL_HELP)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """The options of `serve` and `sandbox`."""
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="default: TILLGATE_SETTINGS, else tillgate.toml here; see docs/settings.md",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="instead of the settings' address")
    # For a parent that must not leave children behind, however it ends.
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)


def count(text: str) -> int:
    """How many: 1 to a milliard."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**9):
        raise argparse.ArgumentTypeError("a whole number from 1 to 1000000000 is needed")
    return int(text)


def whole(text: str) -> int:
    """A seed: a whole number of at most 18 digits."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError("a whole number of at most 18 digits is needed")
    return int(text)


def direct_names(text: str) -> tuple[str, ...]:
    """Wallets that the sandbox plays for a direct connection, comma-separated."""
    names = tuple(filter(None, map(str.strip, text.split(","))))
    for name in names:
        if name not in SANDBOX_DIRECT:
            raise argparse.ArgumentTypeError(
                f"there is no {name!r}; there are {', '.join(SANDBOX_DIRECT)}"
            )
    return tuple(dict.fromkeys(names))


def positive(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise argparse.ArgumentTypeError("a whole number from 1 is needed")
    return int(text)


def workers(text: str) -> int:
    """How many processes: 1 to 128, or `auto` for as many as there are cores for this process."""
    if text == "auto":
        has_affinity = hasattr(os, "sched_getaffinity")  # Linux; elsewhere all cores are ours
        return min(len(os.sched_getaffinity(0)) if has_affinity else os.cpu_count() or 1, 128)
    if not (text.isascii() and text.isdigit() and len(text) <= 3 and 0 < int(text) <= 128):
        raise argparse.ArgumentTypeError("a whole number from 1 to 128 is needed, or auto")
    return int(text)


def add_sandbox_actions(parser: argparse.ArgumentParser) -> None:
    """What can be asked of a running sandbox; without an action `sandbox` runs one."""

    def script(arguments: argparse.Namespace) -> int:
        from tillgate.cli.sandbox_commands import script

        return script(arguments)

    def plays(arguments: argparse.Namespace) -> int:
        from tillgate.cli.sandbox_commands import plays

        return plays(arguments)

    actions = parser.add_subparsers(metavar="ACTION", required=False)
    script_parser = command(
        actions,
        "script",
        "make a running sandbox follow a script (rules, random faults, its clock), instead of what"
        " it followed before; see docs/sandbox.md",
        "tillgate sandbox script rush-hour.toml\n"
        "tillgate sandbox script - --sandbox http://127.0.0.1:9090 < rush-hour.json\n"
        "tillgate sandbox script --clear",
        script,
    )
    script_parser.add_argument("file", metavar="FILE", nargs="?", help="TOML or JSON; - is stdin")
    script_parser.add_argument("--clear", action="store_true", help="follow no script any more")
    script_parser.add_argument(
        "--sandbox",
        metavar="URL",
        help="default: TILLGATE_SANDBOX_URL, else http://127.0.0.1:9090",
    )
    plays_parser = command(
        actions,
        "plays",
        "list every play: its amount, its name, what happens",
        "tillgate sandbox plays\ntillgate sandbox plays --json",
        plays,
    )
    for one in (script_parser, plays_parser):
        one.add_argument("--json", action="store_true", help="print JSON")


def add_certify_options(parser: argparse.ArgumentParser) -> None:
    """The options of `certify`."""
    parser.add_argument("--gateway", metavar="URL", help="the acquirer, as a till reaches it")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="default: the key in TILLGATE_API_KEY"
    )
    parser.add_argument(
        "--adapter",
        default="tillgate",
        metavar="NAME",
        help="how to speak to it: tillgate, http, or module:Class; see docs/certify.md"
        " (default: tillgate)",
    )
    parser.add_argument(
        "--sandbox",
        metavar="URL",
        help="the sandbox that the acquirer is connected to (default: TILLGATE_SANDBOX_URL, else"
        " http://127.0.0.1:9090)",
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="cases whose name starts so; may be repeated",
    )
    parser.add_argument(
        "--expiry",
        type=positive,
        default=60,
        metavar="S",
        help="how long each order lives; 60 is Alipay+'s, less is quicker (default: 60)",
    )
    parser.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    parser.add_argument("--html", metavar="FILE", help="write one HTML page with all messages")
    parser.add_argument("--list", action="store_true", help="list the cases and run none")

"""The `tillgate` command: its subcommands, their help, and what each exit status means.

Exit status everywhere: 0 it worked; 1 it did not, for a reason that was printed; 2 used wrongly, or
the settings are wrong; 3 (pay, show) nobody knows yet; 130 after Ctrl-C. Parts are imported when
they are used, so that `--help` and `identify` answer at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from tillgate import __version__
from tillgate.cli.db_commands import add_db
from tillgate.cli.operator_commands import add_operators
from tillgate.cli.parsers import (
    add_certify_options,
    add_sandbox_actions,
    add_server_options,
    command,
    count,
    direct_names,
    positive,
    whole,
    workers,
)
from tillgate.cli.till_commands import (
    add_cancel,
    add_code,
    add_pay,
    add_refund,
    add_resolve,
    add_show,
)
from tillgate.cli.user_commands import add_users
from tillgate.cli.webhook_commands import add_webhook
from tillgate.core.errors import ConfigError, GatewayError
from tillgate.settings import SANDBOX_DIRECT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status."""
    parser = build_parser()
    arguments = parser.parse_args(argv)
    run: Callable[[argparse.Namespace], int] = arguments.run
    try:
        status = run(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        # The reader of a pipe went away, or the disk behind it is full. Python would complain once
        # more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"tillgate: {error}", file=sys.stderr)
        return 1
    except ConfigError as error:
        print("tillgate: the settings cannot be used:", file=sys.stderr)
        for problem in error.problems:
            print(f"  {problem}", file=sys.stderr)
        return 2
    except GatewayError as error:
        print(f"tillgate: {error}", file=sys.stderr)
        return 2


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, also for the documentation that is made from it."""
    parser = argparse.ArgumentParser(
        prog="tillgate",
        description="An acquirer's gateway for Alipay+ user-presented payments, and its sandbox.",
        epilog="examples:\n  tillgate demo\n  tillgate COMMAND --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"tillgate {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for add in (
        _demo,
        _serve,
        _sandbox,
        _certify,
        _identify,
        _routes,
        add_pay,
        add_show,
        add_cancel,
        add_refund,
        add_resolve,
        add_operators,
        add_users,
        add_webhook,
        add_code,
        _keys,
        add_db,
        _lifecycle,
        _simulate,
    ):
        add(commands)
    return parser


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.demo import demo

        return demo(arguments)

    parser = command(
        commands,
        "demo",
        "start a sandbox and a gateway on this machine and pay two scanned codes",
        "tillgate demo\ntillgate demo --once --json\ntillgate demo --dir ./my-demo",
        run,
    )
    parser.add_argument("--once", action="store_true", help="end after the first payment")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the final payment as JSON on standard output, the story on standard error",
    )
    parser.add_argument(
        "--dir", metavar="DIR", help="keep keys and database here (default: a temporary folder)"
    )


def _serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.serve import serve_gateway

        return serve_gateway(arguments)

    parser = command(
        commands,
        "serve",
        "run the gateway",
        "tillgate serve --settings tillgate.toml\n"
        "TILLGATE_LISTEN=0.0.0.0:8080 tillgate serve --settings /etc/tillgate/tillgate.toml",
        run,
    )
    add_server_options(parser)
    parser.add_argument(
        "--admin-listen",
        metavar="HOST:PORT",
        help="operators' API and metrics (default: the setting admin.listen; any free port where"
        " --listen has port 0)",
    )
    parser.add_argument(
        "--workers",
        type=workers,
        default=1,
        metavar="N",
        help="processes that share the address; more than 1 need PostgreSQL; `auto`: one for each"
        " core (default: 1)",
    )
    # What a worker is told by the process that started it.
    parser.add_argument("--worker", type=positive, help=argparse.SUPPRESS)
    parser.add_argument("--siblings", metavar="DIR", help=argparse.SUPPRESS)


def _sandbox(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.serve import serve_sandbox

        return serve_sandbox(arguments)

    parser = command(
        commands,
        "sandbox",
        "run the other side: a network and wallets to test with",
        "tillgate sandbox --settings tillgate.toml\n"
        "tillgate sandbox script rush-hour.toml\n"
        "tillgate sandbox plays",
        run,
    )
    add_server_options(parser)
    add_sandbox_actions(parser)


def _certify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.certify import certify

        return certify(arguments)

    parser = command(
        commands,
        "certify",
        "rehearse Alipay+'s acceptance with a running acquirer against a running sandbox (exit 1:"
        " a case failed)",
        "tillgate certify --gateway http://127.0.0.1:8080 --api-key-file key.txt\n"
        "tillgate certify --list\n"
        "tillgate certify --gateway http://127.0.0.1:7000 --adapter http --only cancel"
        " --html report.html --junit report.xml",
        run,
    )
    add_certify_options(parser)


def _identify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.identify import identify_code

        return identify_code(arguments)

    parser = command(
        commands,
        "identify",
        "tell what a scanned code is, where it goes and why (exit 1: nowhere)",
        "tillgate identify 281006020000000000000012\n"
        "tillgate identify 28024456785672301 --direct alipay_cn --json\n"
        "tillgate identify 28100602000000000012 --table ./contract.toml --direct 006=kakaopay"
        " --mpp-codes any_length",
        run,
    )
    parser.add_argument(
        "code", metavar="CODE", help="what the scanner read; - reads standard input"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--table",
        default="guide",
        metavar="TABLE",
        help="guide, 2023-08 or the path of a table (default: guide)",
    )
    parser.add_argument(
        "--without-alipay-plus", action="store_true", help="as an acquirer without Alipay+"
    )
    parser.add_argument(
        "--direct",
        action="append",
        default=[],
        metavar="NAME",
        help="as an acquirer connected directly to alipay_cn, alipay_hk or, by routing number,"
        " another wallet: 006=kakaopay; may be repeated",
    )
    for name, words, what in (
        ("cn-hk-first", ("alipay_cn", "alipay_hk", "consult"), "with both connected directly"),
        ("reserved-codes", ("alipay_plus", "alipay_cn"), "who gets 20 to 23 digits"),
        ("mpp-codes", ("cgcp", "any_length"), "which codes have a routing number"),
    ):
        parser.add_argument(
            f"--{name}",
            choices=words,
            default=words[0],
            help=f"the setting routing.{name.replace('-', '_')}: {what} (default: {words[0]})",
        )


def _routes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run_check(arguments: argparse.Namespace) -> int:
        from tillgate.cli.routes import check

        return check(arguments)

    def run_show(arguments: argparse.Namespace) -> int:
        from tillgate.cli.routes import show

        return show(arguments)

    parser = commands.add_parser(
        "routes",
        help="check a routing table, show the one in force",
        description="Check a routing table, show the one in force.",
        epilog="examples:\n  tillgate routes check ./contract.toml\n  tillgate routes show",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    check_parser = command(
        actions,
        "check",
        "tell what is wrong with a table, proved over all codes, and what it changes (exit 1:"
        " something should be mended; 2: it is no table)",
        "tillgate routes check ./contract.toml --settings tillgate.toml\n"
        "tillgate routes check 2023-08 --json",
        run_check,
    )
    check_parser.add_argument("file", metavar="FILE", help="the table; or guide, 2023-08")
    show_parser = command(
        actions,
        "show",
        "show the table that the settings put in force",
        "tillgate routes show --settings tillgate.toml\ntillgate routes show --json",
        run_show,
    )
    for one in (check_parser, show_parser):
        one.add_argument(
            "--settings",
            metavar="FILE",
            help="default: TILLGATE_SETTINGS, else tillgate.toml here, else the defaults",
        )
        one.add_argument("--json", action="store_true", help="print JSON")


def _keys(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.keys import new

        return new(arguments)

    parser = commands.add_parser(
        "keys",
        help="make keys",
        description="Make keys.",
        epilog="examples:\n  tillgate keys new ./tillgate",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new_parser = command(
        actions,
        "new",
        "write fresh keys and first settings into a folder; never overwrites",
        "tillgate keys new ./tillgate\n"
        "tillgate keys new ./tillgate --direct alipay_cn,alipay_hk,kakaopay",
        run,
    )
    new_parser.add_argument("dir", metavar="DIR", help="the folder; made when it is not there")
    new_parser.add_argument(
        "--direct",
        type=direct_names,
        default=(),
        metavar="NAMES",
        help="wallets of the sandbox that are connected directly, too, comma-separated:"
        f" {', '.join(SANDBOX_DIRECT)}",
    )


def _lifecycle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.lifecycle import lifecycle

        return lifecycle(arguments)

    parser = command(
        commands,
        "lifecycle",
        "draw a payment's life from the code, as a Mermaid diagram",
        "tillgate lifecycle\ntillgate lifecycle --document > payment-lifecycle.md",
        run,
    )
    parser.add_argument(
        "--document", action="store_true", help="the whole page: picture, edges, statuses, numbers"
    )


def _simulate(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.simulate import simulate

        return simulate(arguments)

    parser = command(
        commands,
        "simulate",
        "run payments on a virtual clock with faults everywhere and check what must hold (exit 1:"
        " it did not)",
        "tillgate simulate --payments 5000\n"
        "tillgate simulate --depth core --payments 50000 --seed 7 --json\n"
        "tillgate simulate --depth core --seed 7 --only 1234",
        run,
    )
    parser.add_argument(
        "--payments", type=count, default=1000, metavar="N", help="orders (default: 1000)"
    )
    parser.add_argument(
        "--seed",
        type=whole,
        metavar="S",
        help="the same seed is the same run (default: a fresh one, which is printed)",
    )
    parser.add_argument(
        "--depth",
        choices=("core", "gateway"),
        default="gateway",
        help="core: the rules alone, for millions; gateway: with its store, wire and workers"
        " (default: gateway)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        choices=(1, 2, 3),
        help="gateways over the one store (default: drawn for each world)",
    )
    parser.add_argument(
        "--only", type=whole, metavar="INDEX", help="one world alone, with all that happens in it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")

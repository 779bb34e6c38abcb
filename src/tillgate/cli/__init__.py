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
        _identify,
        _routes,
        _pay,
        _show,
        _cancel,
        _resolve,
        _code,
        _keys,
        _lifecycle,
        _simulate,
    ):
        add(commands)
    return parser


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    what: str,
    examples: str,
    run: Callable[[argparse.Namespace], int],
) -> argparse.ArgumentParser:
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


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.demo import demo

        return demo(arguments)

    parser = _command(
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

    parser = _command(
        commands,
        "serve",
        "run the gateway",
        "tillgate serve --settings tillgate.toml\n"
        "TILLGATE_LISTEN=0.0.0.0:8080 tillgate serve --settings /etc/tillgate/tillgate.toml",
        run,
    )
    _add_server_options(parser)
    parser.add_argument(
        "--workers",
        type=_positive,
        default=1,
        metavar="N",
        help="processes; more than 1 needs PostgreSQL (default: 1)",
    )


def _sandbox(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.serve import serve_sandbox

        return serve_sandbox(arguments)

    parser = _command(
        commands,
        "sandbox",
        "run the other side: a network and wallets to test with",
        "tillgate sandbox --settings tillgate.toml",
        run,
    )
    _add_server_options(parser)


def _identify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.identify import identify_code

        return identify_code(arguments)

    parser = _command(
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
    check_parser = _command(
        actions,
        "check",
        "tell what is wrong with a table, proved over all codes, and what it changes (exit 1:"
        " something should be mended; 2: it is no table)",
        "tillgate routes check ./contract.toml --settings tillgate.toml\n"
        "tillgate routes check 2023-08 --json",
        run_check,
    )
    check_parser.add_argument("file", metavar="FILE", help="the table; or guide, 2023-08")
    show_parser = _command(
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


def _pay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import pay

        return pay(arguments)

    parser = _command(
        commands,
        "pay",
        "pay with a scanned code, as a till does (exit 1: not paid, 3: nobody knows yet)",
        "tillgate pay 281006020000000000000012 --amount JPY:100 --order A-1001\n"
        "tillgate code | tillgate pay - --amount USD:850 --order A-1002 --json",
        run,
    )
    parser.add_argument(
        "code", metavar="CODE", help="what the scanner read; - reads standard input"
    )
    parser.add_argument(
        "--amount",
        required=True,
        metavar="CURRENCY:MINOR",
        help="JPY:100 is 100 yen, USD:100 is one dollar",
    )
    parser.add_argument("--order", required=True, metavar="ID", help="the merchant's order id")
    parser.add_argument("--description", metavar="TEXT", help="what the customer buys")
    parser.add_argument("--store", metavar="ID", help="needed when the merchant has several")
    parser.add_argument("--terminal", metavar="ID", help="needed when the store has several")
    parser.add_argument(
        "--expires-in", type=_positive, metavar="SECONDS", help="1 to 60 (default: 60)"
    )
    parser.add_argument(
        "--key", metavar="KEY", help="Idempotency-Key, to resume an earlier call (default: new)"
    )
    parser.add_argument(
        "--wait",
        type=_positive,
        default=75,
        metavar="SECONDS",
        help="how long to wait for the end (default: 75)",
    )
    _add_till_options(parser)


def _show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import show

        return show(arguments)

    parser = _command(
        commands,
        "show",
        "show a payment (exit 1: not paid, 3: nobody knows yet)",
        "tillgate show pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S\n"
        "tillgate show pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --events",
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument("--events", action="store_true", help="with its timeline")
    _add_till_options(parser)


def _cancel(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import cancel

        return cancel(arguments)

    parser = _command(
        commands,
        "cancel",
        "void a payment in full (exit 1: it cannot be cancelled, 3: nobody knows yet)",
        "tillgate cancel pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S",
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument(
        "--wait",
        type=_positive,
        default=75,
        metavar="SECONDS",
        help="how long to wait for the end (default: 75)",
    )
    _add_till_options(parser)


def _resolve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.operator import resolve

        return resolve(arguments)

    parser = _command(
        commands,
        "resolve",
        "say what became of a payment that nobody could decide, as an operator (exit 1: refused)",
        "tillgate resolve pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --as SUCCEEDED"
        ' --why "paid in the clearing file of 2026-02-01, line 812"\n'
        "tillgate resolve pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --as CANCELLED"
        ' --why "network support, ticket 4711: never debited"',
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument(
        "--as",
        dest="status",
        required=True,
        choices=("SUCCEEDED", "FAILED", "CANCELLED"),
        help="what is true of the money",
    )
    parser.add_argument(
        "--why", required=True, metavar="TEXT", help="the evidence; kept in the payment's history"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--gateway", metavar="URL", help="default: TILLGATE_GATEWAY_URL")
    parser.add_argument(
        "--operator-key-file", metavar="FILE", help="default: the key in TILLGATE_OPERATOR_KEY"
    )
    parser.add_argument(
        "--operator",
        metavar="FILE",
        help="an operator's settings, as the demo writes them (default: TILLGATE_OPERATOR)",
    )


def _code(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import code

        return code(arguments)

    parser = _command(
        commands,
        "code",
        "ask the sandbox for a payment code, as a customer's wallet shows it",
        "tillgate code\ntillgate code --wallet gcash --kind alipay_plus_19\n"
        "tillgate code --wallet alipay_hk --kind alipay_cn_hk --length 17",
        run,
    )
    parser.add_argument("--wallet", metavar="NAME", help="such as kakaopay, gcash, alipay_cn")
    parser.add_argument("--customer", metavar="ID", help="one of the wallet's customers")
    parser.add_argument(
        "--kind",
        choices=("cgcp", "alipay_plus_19", "alipay_cn_hk", "reserved"),
        help="24 digits, Alipay+'s 19, AlipayCN's and AlipayHK's own, or the guide's 20"
        " (default: cgcp)",
    )
    parser.add_argument(
        "--length",
        type=_positive,
        metavar="DIGITS",
        help="of alipay_cn_hk 16 to 19 (default: 18), of reserved 20 to 23 (default: 20)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--sandbox", metavar="URL", help="default: TILLGATE_SANDBOX_URL")
    parser.add_argument("--till", metavar="FILE", help=_TILL_HELP)


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
    new_parser = _command(
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
        type=_direct_names,
        default=(),
        metavar="NAMES",
        help="wallets of the sandbox that are connected directly, too, comma-separated:"
        f" {', '.join(SANDBOX_DIRECT)}",
    )


def _lifecycle(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.lifecycle import lifecycle

        return lifecycle(arguments)

    parser = _command(
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

    parser = _command(
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
        "--payments", type=_count, default=1000, metavar="N", help="orders (default: 1000)"
    )
    parser.add_argument(
        "--seed",
        type=_whole,
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
        "--only", type=_whole, metavar="INDEX", help="one world alone, with all that happens in it"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


_TILL_HELP = "a till's settings, as the demo writes them (default: TILLGATE_TILL)"


def _add_till_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--gateway", metavar="URL", help="default: TILLGATE_GATEWAY_URL")
    parser.add_argument(
        "--api-key-file", metavar="FILE", help="default: the key in TILLGATE_API_KEY"
    )
    parser.add_argument("--till", metavar="FILE", help=_TILL_HELP)


def _add_server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="default: TILLGATE_SETTINGS, else tillgate.toml here; see docs/settings.md",
    )
    parser.add_argument("--listen", metavar="HOST:PORT", help="instead of the settings' address")
    # For a parent that must not leave children behind, however it ends.
    parser.add_argument("--until-stdin-closes", action="store_true", help=argparse.SUPPRESS)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) <= 10**9):
        raise argparse.ArgumentTypeError("a whole number from 1 to 1000000000 is needed")
    return int(text)


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise argparse.ArgumentTypeError("a whole number of at most 18 digits is needed")
    return int(text)


def _direct_names(text: str) -> tuple[str, ...]:
    names = tuple(filter(None, map(str.strip, text.split(","))))
    for name in names:
        if name not in SANDBOX_DIRECT:
            raise argparse.ArgumentTypeError(
                f"there is no {name!r}; there are {', '.join(SANDBOX_DIRECT)}"
            )
    return tuple(dict.fromkeys(names))


def _positive(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 10**6):
        raise argparse.ArgumentTypeError("a whole number from 1 is needed")
    return int(text)

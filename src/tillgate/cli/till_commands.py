"""The commands of a till, of a customer's wallet and of an operator: `pay`, `show`, `cancel`,
`refund`, `resolve`, `code`.
"""

from __future__ import annotations

import argparse

from tillgate.cli.operator_commands import add_operator_options
from tillgate.cli.parsers import TILL_HELP, add_till_options, command, positive


def add_pay(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate pay`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import pay

        return pay(arguments)

    parser = command(
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
        "--expires-in", type=positive, metavar="SECONDS", help="1 to 60 (default: 60)"
    )
    parser.add_argument(
        "--key", metavar="KEY", help="Idempotency-Key, to resume an earlier call (default: new)"
    )
    parser.add_argument(
        "--wait",
        type=positive,
        default=75,
        metavar="SECONDS",
        help="how long to wait for the end (default: 75)",
    )
    add_till_options(parser)


def add_show(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate show`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import show

        return show(arguments)

    parser = command(
        commands,
        "show",
        "show a payment (exit 1: not paid, 3: nobody knows yet)",
        "tillgate show pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S\n"
        "tillgate show pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --events",
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument("--events", action="store_true", help="with its timeline")
    add_till_options(parser)


def add_cancel(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate cancel`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import cancel

        return cancel(arguments)

    parser = command(
        commands,
        "cancel",
        "void a payment in full (exit 1: it cannot be cancelled, 3: nobody knows yet)",
        "tillgate cancel pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S",
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument(
        "--wait",
        type=positive,
        default=75,
        metavar="SECONDS",
        help="how long to wait for the end (default: 75)",
    )
    add_till_options(parser)


def add_refund(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate refund`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.till import refund

        return refund(arguments)

    parser = command(
        commands,
        "refund",
        "give money back, in full or in part (exit 1: it did not go back, 3: nobody knows yet)",
        "tillgate refund pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S\n"
        "tillgate refund pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --amount JPY:30 --reason 'one cup less'",
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument(
        "--amount", metavar="CURRENCY:MINOR", help="how much (default: all that is left)"
    )
    parser.add_argument("--reason", metavar="TEXT", help="goes to the network")
    parser.add_argument(
        "--key", metavar="KEY", help="Idempotency-Key, to resume an earlier call (default: new)"
    )
    parser.add_argument(
        "--wait",
        type=positive,
        default=75,
        metavar="SECONDS",
        help="how long to wait for the end (default: 75)",
    )
    add_till_options(parser)


def add_resolve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate resolve`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.operator import resolve

        return resolve(arguments)

    parser = command(
        commands,
        "resolve",
        "say what became of a payment, or of a refund, that nobody could decide, as an operator"
        " (exit 1: refused)",
        "tillgate resolve pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --as SUCCEEDED"
        ' --why "paid in the clearing file of 2026-02-01, line 812"\n'
        "tillgate resolve pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --as CANCELLED"
        ' --why "network support, ticket 4711: never debited"\n'
        "tillgate resolve pay_01JD0W8Z9V3T5M7Q2B4N6P8R0S --refund ref_01JD0WB1Q8Y6H2K4M9N3P5R7TV"
        ' --version 23 --as FAILED --why "not in the clearing file of 2026-02-01"',
        run,
    )
    parser.add_argument("payment_id", metavar="PAYMENT_ID", help="`id` of the payment")
    parser.add_argument(
        "--refund", metavar="REFUND_ID", help="this refund of it (see tillgate unresolved)"
    )
    parser.add_argument(
        "--version",
        type=int,
        metavar="N",
        help="of the refund, as it was before you looked at the network: it is sent again hourly",
    )
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
    add_operator_options(parser)


def add_code(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """`tillgate code`."""

    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.wallet import code

        return code(arguments)

    parser = command(
        commands,
        "code",
        "ask the sandbox for a payment code, as a customer's wallet shows it",
        "tillgate code\ntillgate code --wallet gcash --kind alipay_plus_19\n"
        "tillgate code --wallet alipay_hk --kind alipay_cn_hk --length 17\n"
        "tillgate code --qr\n"
        "tillgate code --image code.svg --symbology code128 --size-mm 45\n"
        "tillgate code --draw - --image code.png --dpi 600 < code.txt",
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
        type=positive,
        metavar="DIGITS",
        help="of alipay_cn_hk 16 to 19 (default: 18), of reserved 20 to 23 (default: 20)",
    )
    parser.add_argument(
        "--play", metavar="NAME", help="what happens when it is scanned: tillgate sandbox plays"
    )
    _add_drawing(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--sandbox", metavar="URL", help="default: TILLGATE_SANDBOX_URL")
    parser.add_argument("--till", metavar="FILE", help=TILL_HELP)


def _add_drawing(parser: argparse.ArgumentParser) -> None:
    """How a code is drawn, beside the digits."""
    parser.add_argument("--qr", action="store_true", help="draw it in the terminal, too")
    parser.add_argument("--image", metavar="FILE", help="write it as a picture: .svg or .png")
    parser.add_argument(
        "--symbology", choices=("qr", "code128"), help="of the picture (default: qr)"
    )
    parser.add_argument(
        "--size-mm",
        type=float,
        metavar="MM",
        help="how wide the symbol is without its quiet zones (default: the largest of Alipay+'s"
        " guide for a screen, 30.5 for a QR and 65 for bars; in a PNG down to whole pixels)",
    )
    parser.add_argument(
        "--dpi", type=positive, metavar="DPI", help="the resolution of a PNG (default: 300)"
    )
    parser.add_argument(
        "--draw",
        metavar="CODE",
        help="draw this code instead of a new one, without the sandbox; - reads standard input",
    )

"""The arguments of `tillgate db`."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tillgate.cli.parsers import command, count

Commands = argparse._SubParsersAction  # the type that argparse gives out
BATCH = 5000
DAYS, DAYS_MIN = 90, 7
"""How old what merchants were told has to be: ours; at least what `store.trim` allows."""
ARCHIVE_DAYS_MIN = 400
"""How old payments have to be: at least what `store.archive` allows, and so by default."""


def add_db(commands: Commands[argparse.ArgumentParser]) -> None:
    """All of them."""
    parser = commands.add_parser(
        "db",
        help="upgrade, check, copy, trim and archive the database",
        description="Upgrade, check, copy, trim and archive the database.",
        epilog="examples:\n  tillgate db ACTION --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    _upgrade(actions)
    _check(actions)
    _copy(actions)
    _trim(actions)
    _archive(actions)


def _upgrade(actions: Commands[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.db import upgrade

        return upgrade(arguments)

    parser = command(
        actions,
        "upgrade",
        "bring the database to this release's schema, as the first start of a gateway would",
        "tillgate db upgrade --plan\ntillgate db upgrade\n"
        "tillgate db upgrade --store postgresql://tillgate@db1/tillgate",
        run,
    )
    parser.add_argument("--plan", action="store_true", help="say what would be done, and stop")
    _add_store(parser)


def _check(actions: Commands[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.db import check

        return check(arguments)

    parser = command(
        actions,
        "check",
        "look whether the database is as gateways need it and its books agree; reads only, also"
        " beside gateways (exit 1: something is wrong, and named)",
        "tillgate db check\ntillgate db check --json | grep true\n"
        "tillgate db check --store sqlite:backup.db",
        run,
    )
    parser.add_argument("--json", action="store_true", help="print JSON lines")
    _add_store(parser)


def _copy(actions: Commands[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.db import copy

        return copy(arguments)

    parser = command(
        actions,
        "copy",
        "copy everything from a SQLite file into an empty PostgreSQL database and compare; the"
        " gateway has to be stopped, and a copy that was interrupted goes on (exit 1: it could not"
        " be done)",
        "tillgate db copy tillgate.db postgresql://tillgate@db1/tillgate",
        run,
    )
    parser.add_argument("source", metavar="FILE", help="the SQLite file")
    parser.add_argument("target", metavar="URL", help="the PostgreSQL database, which is empty")
    parser.add_argument(
        "--batch",
        type=count,
        default=BATCH,
        metavar="N",
        help=f"rows of one transaction (default: {BATCH})",
    )


def _trim(actions: Commands[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.db import trim

        return trim(arguments)

    parser = command(
        actions,
        "trim",
        "remove what merchants were told long ago (events and the log of webhooks); payments,"
        " refunds, keys and what waits to be sent stay. On PostgreSQL beside gateways, on SQLite"
        " with the gateway stopped (exit 1: it could not be done)",
        "tillgate db trim\ntillgate db trim --older-than 30 --store postgresql://tillgate@db1/tillgate",
        run,
    )
    parser.add_argument(
        "--older-than",
        type=_days_from(DAYS_MIN),
        default=DAYS,
        metavar="DAYS",
        help=f"at least {DAYS_MIN}, for retries and streams reach back (default: {DAYS})",
    )
    _add_store(parser)


def _archive(actions: Commands[argparse.ArgumentParser]) -> None:
    def run(arguments: argparse.Namespace) -> int:
        from tillgate.cli.db_archive import archive

        return archive(arguments)

    parser = command(
        actions,
        "archive",
        "move the histories of payments that are long over, and of their refunds, to a file of"
        " gzipped JSON lines; rows of payments, refunds and keys stay, and so does whatever is"
        " open, unresolved or young. On PostgreSQL beside gateways, on SQLite with the gateway"
        " stopped (exit 1: it could not be done; what is gone is in the file)",
        "tillgate db archive --plan\ntillgate db archive --to /archive\n"
        "tillgate db archive --to /archive --older-than 800 --store postgresql://tillgate@db1/tillgate",
        run,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--to", metavar="FOLDER", help="where the file goes; made if it is not there")
    what.add_argument("--plan", action="store_true", help="say how much would go, and stop")
    parser.add_argument(
        "--older-than",
        type=_days_from(ARCHIVE_DAYS_MIN),
        default=ARCHIVE_DAYS_MIN,
        metavar="DAYS",
        help=f"at least {ARCHIVE_DAYS_MIN}: a payment can be refunded for 365 days, and a refund is"
        f" followed for some more (default: {ARCHIVE_DAYS_MIN})",
    )
    _add_store(parser)


def _days_from(least: int) -> Callable[[str], int]:
    def days(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= 36_500):
            raise argparse.ArgumentTypeError(f"a whole number of days from {least} is needed")
        return int(text)

    return days


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--settings",
        metavar="FILE",
        help="default: TILLGATE_SETTINGS, else tillgate.toml here; its gateway.store is meant",
    )
    parser.add_argument(
        "--store", metavar="STORE", help="this one instead: sqlite:PATH or postgresql://..."
    )

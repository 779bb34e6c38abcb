"""What the tests of the archive share: payments that are long over, and a look into its files."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.store.store_side import NOW, opening, order
from tillgate.core.model import PayAnswered, Payment, PaymentId, PaymentRequestId, Receipt, Report
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.core.payment import open_payment, step
from tillgate.core.results import Outcome
from tillgate.gateway.history import opened_row, row_of
from tillgate.store import Row, Sql, Store
from tillgate.store.archive import Moved, archive
from tillgate.store.archive_file import ArchiveFile
from tillgate.store.check import check
from tillgate.store.migrate import HEAD

OLD, CUT = NOW - timedelta(days=450), NOW - timedelta(days=400)
MICROSECOND = timedelta(microseconds=1)
PAID, REFUSED = Outcome.SUCCESS, Outcome.FAILURE


def quiet(moved: Moved) -> None:
    pass


async def sold(store: Store, number: int, at: datetime = OLD, outcome: Outcome = PAID) -> Payment:
    """A payment in two steps: placed, and answered at once."""
    taken = open_payment(PaymentRequestId(f"pay_{number:05}"), at_time(number, at), ALIPAY_PLUS)
    given = replace(opening(number), payment=taken.payment, history=opened_row(taken))
    await store.open(given)
    return await heard(store, taken.payment, PayAnswered(report(number, outcome)), at)


def at_time(number: int, at: datetime) -> Any:
    return order(number, placed_at=at, expires_at=at + timedelta(seconds=60))


def report(number: int, outcome: Outcome) -> Report:
    code = "SUCCESS" if outcome is PAID else "USER_BALANCE_NOT_ENOUGH"
    receipt = Receipt(payment_id=PaymentId(f"p{number}")) if outcome is PAID else Receipt()
    return Report(outcome=outcome, code=code, amount=order(number).amount, receipt=receipt)


async def heard(store: Store, payment: Payment, event: Any, at: datetime) -> Payment:
    """One step of it, with its history row."""
    taken = step(payment, event, at, ALIPAY_PLUS)
    await store.save(taken.payment, row_of(taken, event, at), keep_body=False)
    return taken.payment


async def run(
    store: Store, folder: Path, name: str = "a.gz", bound: datetime = CUT
) -> tuple[Moved, ArchiveFile]:
    """One run, into a file of its own."""
    file = ArchiveFile(folder, name, {"schema": HEAD})
    try:
        return await archive(store, bound, file, quiet), file
    finally:
        file.close()


def lines(path: Path) -> list[Any]:
    """Of payments: without the header."""
    with gzip.open(path, "rt") as file:
        return [json.loads(line) for line in file][1:]


def readable(path: Path) -> list[Any]:
    """The same of a file whose end may be missing: what a person can still read."""
    text, rest = b"", path.read_bytes()
    while rest:
        member = zlib.decompressobj(wbits=31)
        text += member.decompress(rest)
        rest = member.unused_data
    return [json.loads(line) for line in text.splitlines(keepends=True) if line[-1:] == b"\n"][1:]


def keys(found: list[Any]) -> list[str]:
    return [each["payment"]["payment_request_id"] for each in found]


async def rows(store: Store, text: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in row.keys()) for row in await store.read(Sql(text, values))]  # noqa: SIM118


async def change(store: Store, text: str, *values: Any) -> None:
    def work():
        yield Sql(text, values)

    await store.transact(work)


async def timeline(store: Store, number: int) -> list[tuple[int, str]]:
    key = PaymentRequestId(f"pay_{number:05}")
    return [(each.version, each.kind) for each in await store.load_history(key)]


WHOLE = [(1, "accepted"), (2, "pay_answered")]
GONE = [(2, "archived")]


class _Looked:
    """A store as `check` reads a database."""

    revision = HEAD

    def __init__(self, store: Store) -> None:
        self.engine = "postgresql" if store.is_shared else "sqlite"
        self._store = store

    async def rows(self, text: str, *values: Any) -> Any:
        found: list[Row] = list(await self._store.read(Sql(text, values)))
        return found


async def wrong(store: Store) -> list[str]:
    """What `tillgate db check` finds."""
    return [each.words async for each in check(_Looked(store), lambda *_: None) if each.is_wrong]

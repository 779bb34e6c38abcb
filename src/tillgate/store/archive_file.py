"""The file that `tillgate db archive` writes: gzip of JSON lines, one for each payment.

Each batch is a gzip member of its own, whole and on the disk before anything of it is deleted. So a
file that ends in the middle of a member, because the machine died, lacks nothing.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Boolean, Table

from tillgate.core.errors import StoreError
from tillgate.store import Row
from tillgate.store.ended import PAYMENT_KEPT, REFUND_KEPT, Ended, Timeline
from tillgate.store.rows import from_microseconds
from tillgate.store.schema import payment, refund

FORM = "tillgate payments that are long over, 1"
"""The first line says it: what this is, and which form of it."""
LEVEL = 6
"""Of compression, as gzip has it by default: 9 takes twice the time for some percent."""

_encoder = msgspec.json.Encoder()


def name_of(made_at: datetime, drawn: str) -> str:
    """A new name for each run: `drawn` tells two of one second apart."""
    return f"tillgate-archive-{made_at:%Y%m%dT%H%M%SZ}-{drawn}.jsonl.gz"


def make_folder(folder: Path) -> None:
    """For its owner alone, where it is not there yet.

    Raises:
        StoreError: it cannot be made.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for each in missing:
            _flush(each.parent)
    except OSError as error:
        raise StoreError(f"{folder} cannot be made: {error.strerror}") from None


def written(at: datetime) -> str:
    """An aware UTC time to the microsecond, as `2026-01-31T09:00:00.000000Z`."""
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


def line_of(ended: Ended) -> bytes:
    """A payment with its history, its refunds and theirs; no code, key or signature."""
    refunds = [
        {"refund": _readable(refund, each.row, REFUND_KEPT), "history": _history(each)}
        for each in ended.refunds
    ]
    row = _readable(payment, ended.payment.row, PAYMENT_KEPT)
    return _encoder.encode({"payment": row, "history": _history(ended.payment), "refunds": refunds})


def _readable(table: Table, row: Row, kept: Sequence[str]) -> dict[str, Any]:
    """The same from either engine."""
    return {name: _value(table, name, row[name]) for name in kept}


def _value(table: Table, name: str, value: Any) -> Any:
    kind = table.columns[name].type
    if value is None:
        return None
    if isinstance(kind, Boolean):
        return bool(value)
    if isinstance(kind, BigInteger) and name.endswith(("_at", "_since")):
        return written(from_microseconds(value))
    return value


def _history(timeline: Timeline) -> list[dict[str, Any]]:
    return [
        {
            "version": step["version"],
            "at": written(from_microseconds(step["at"])),
            "kind": step["kind"],
            "status": step["status"],
            "detail": msgspec.json.decode(step["detail"]),
        }
        for step in timeline.steps
    ]


class ArchiveFile:
    """One new file, which comes to be with its first lines.

    Attributes:
        name: in its folder.
        path: where.
    """

    def __init__(self, folder: Path, name: str, header: Mapping[str, Any]) -> None:
        """Nothing is written yet; `header` becomes the first line, after `FORM`."""
        self.name = name
        self.path = folder / name
        self._header = {"archive": FORM, **header}
        self._descriptor: int | None = None
        self._size = 0

    @property
    def is_there(self) -> bool:
        """Whether anything was written."""
        return self._size > 0

    def append(self, lines: Iterable[bytes]) -> None:
        """Add them as one gzip member. They are on the disk when it returns.

        Raises:
            StoreError: they are not; what was there before still is.
        """
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            head = [] if self.is_there else [_encoder.encode(self._header)]
            member = gzip.compress(b"".join(line + b"\n" for line in (*head, *lines)), LEVEL)
            _write(self._descriptor, member)
            if not self.is_there:
                _flush(self.path.parent)  # its name, too
        except OSError as error:
            self._cut_back()
            raise StoreError(f"{self.path} cannot be written: {error.strerror}") from None
        self._size += len(member)

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _cut_back(self) -> None:
        """Leave nothing torn, so far as the disk lets us; a file with nothing in it goes."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, self._size)
            os.lseek(self._descriptor, self._size, os.SEEK_SET)
            if not self.is_there:
                self.path.unlink()
                self.close()


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

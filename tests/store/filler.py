"""Rows for every table there is, made from its columns: a table that comes to be has some, too."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Boolean, Column, LargeBinary, Text, UniqueConstraint

from tillgate.store import migrate
from tillgate.store.schema import metadata

_UNIQUE = {
    column
    for table in metadata.tables.values()
    for constraint in table.constraints
    if isinstance(constraint, UniqueConstraint)
    for column in constraint.columns
}
WORDS = ("", "a", "ß~Z", "日本語 🍵", "x" * 900, "'); DROP TABLE payment; --", "line\nline\ttab")


def fill(path: Path, rows: int, seed: int = 7) -> None:
    """A new file with so many rows in each table, of every kind of value."""
    draw = random.Random(seed)
    migrate.upgrade(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = wal")
    for table in metadata.sorted_tables:
        connection.execute(f"DELETE FROM {table.name}")
        names = [column.name for column in table.columns]
        marks = ", ".join("?" * len(names))
        connection.executemany(
            f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({marks})",
            [[_value(column, n, draw) for column in table.columns] for n in range(rows)],
        )
    connection.commit()
    connection.close()


def _value(column: Column[Any], number: int, draw: random.Random) -> Any:
    is_unique = column.primary_key or column in _UNIQUE
    if isinstance(column.type, Text):
        if is_unique:
            return f"{column.name}-{number:06}-{draw.choice('aZ~0é')}"
        return None if column.nullable and draw.random() < 0.3 else draw.choice(WORDS)
    if column.nullable and draw.random() < 0.3:
        return None
    if isinstance(column.type, Boolean):
        return draw.randrange(2)
    if isinstance(column.type, LargeBinary):
        return draw.randbytes(draw.choice((0, 1, 40)))
    if column.primary_key:
        return number + 1
    return draw.choice((0, 1, 42, 2**31 - 1))

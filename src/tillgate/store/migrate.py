"""Brings a database to the schema of this release. Alembic is imported only when there is
something to do.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tillgate.core.errors import StoreError
from tillgate.store.file_lock import take_lock

HEAD = "0012"
"""The newest revision under `migrations/versions`; a test keeps the two together."""
SHARED_SINCE = "0007"
"""From here on a migration says of itself whether it `only_adds`: then nodes of the release before
go on to serve while it runs and after it. Up to here there was none to be spared.
"""
COPYING = "copying"
"""Instead of a revision while `tillgate db copy` fills a database: no release serves from it."""
MIGRATIONS = Path(__file__).parent / "migrations"


def revision_of(path: Path) -> str | None:
    """The schema revision of a SQLite file, or None for a file that is new or empty.

    Raises:
        StoreError: the file is not a SQLite database.
    """
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path)) as connection:
            row = connection.execute(
                "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
            ).fetchone()
            if row is None:
                return None
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} cannot be used as a database: {error}") from None
    return str(row[0]) if row else None


def oldest_usable() -> str:
    """The revision of the oldest release that can serve with this release's schema."""
    from alembic.script import ScriptDirectory

    not_adding = [
        each.revision
        for each in ScriptDirectory(str(MIGRATIONS)).walk_revisions()
        if each.revision > SHARED_SINCE and not each.module.only_adds
    ]
    return max(not_adding, default=SHARED_SINCE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema.

    Attributes:
        what: in words.
        only_adds: whether nodes of the release before go on to serve while it runs and after it.
    """

    revision: str
    what: str
    only_adds: bool


def revisions_after(current: str | None) -> list[Migration]:
    """What an upgrade from there would do, in order; nothing for a newer release's database."""
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    return [
        Migration(
            each.revision,
            (each.module.__doc__ or "").partition("\n")[0],
            each.revision > SHARED_SINCE and each.module.only_adds,
        )
        for each in sorted(scripts, key=lambda each: each.revision)
        if current is None or each.revision > current
    ]


def upgrade_locked(path: Path) -> None:
    """As `upgrade`, with the file locked as a gateway locks it.

    Raises:
        StoreInUse: a gateway serves from the file.
        StoreError: as `upgrade`.
    """
    lock = take_lock(path)
    try:
        upgrade(path)
    finally:
        os.close(lock)


def upgrade(path: Path) -> None:
    """Create or upgrade the tables. Does nothing when the file is at this release's revision.

    Raises:
        StoreError: the file belongs to a newer release, or is no database.
    """
    current = revision_of(path)
    if current == HEAD:
        return
    if current is not None and current > HEAD:
        raise StoreError(
            f"{path} was written by a newer release (schema {current}, this one knows {HEAD}):"
            " run that release, or restore the backup taken before its first start"
        )
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    # Without Python's own transaction handling, which ends a transaction at every CREATE TABLE: all
    # of an upgrade is one transaction, so that a kill in the middle leaves the file as it was.
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(path, isolation_level=None))
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
            connection.commit()
    except Exception as error:
        reason = getattr(error, "orig", None) or error  # without SQLAlchemy's statement and link
        raise StoreError(f"{path} could not be brought to schema {HEAD}: {reason}") from error
    finally:
        engine.dispose()

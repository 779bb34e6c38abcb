"""Brings a PostgreSQL database to the schema of this release, one node at a time.

Alembic writes the SQL and the driver of the payment path runs it, in one transaction: no second
driver is needed for it.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import threading
from dataclasses import replace

import asyncpg

from tillgate.core.errors import StoreError
from tillgate.store.migrate import COPYING, HEAD, MIGRATIONS, oldest_usable
from tillgate.store.postgres_connections import FAULTS, Connection, connect, hang_up, store_error
from tillgate.store.postgres_url import PostgresUrl

log = logging.getLogger(__name__)

OLDEST = 140000
"""PostgreSQL 14, as the server numbers it."""
LOCK = 0x74696C6C67617465
"""Of the database while a node migrates it: `tillgate` in ASCII."""

LOCK_LIMIT_MS = 2000
"""How long an upgrade waits for a table that somebody uses: all others queue up behind it, and a
till waits for 10 s. Ours."""
LOCK_PAUSE_S = 1.0
LOCK_TRIES_MAX = 60

_USABLE = re.compile(r"tillgate: usable since schema (\d{4})")
_alembic = threading.Lock()  # it has one context per process


def prepare(url: PostgresUrl) -> PostgresUrl:
    """Check the server, then create or upgrade the tables. Reads only, where nothing is to do.

    Returns the URL with what was noticed about the way to the server.

    Raises:
        StoreError: see `open_postgres`.
    """
    found: list[PostgresUrl | StoreError] = []

    def run() -> None:
        try:
            found.append(asyncio.run(_prepare(url)))
        except StoreError as error:
            found.append(error)

    # A thread of its own, because a loop may be running in this one.
    thread = threading.Thread(target=run, name="store-migration")
    thread.start()
    thread.join()
    [result] = found
    if isinstance(result, StoreError):
        raise result
    return result


async def _prepare(url: PostgresUrl) -> PostgresUrl:
    _check_files(url)
    # As behind a pooler: nobody knows yet whether there is one.
    connection = await connect(replace(url, is_pooled=True), {})
    try:
        is_pooled = await has_pooler(connection, url)
        await _check_server(connection, url)
        if await revision_of(connection) != HEAD:
            await _upgrade(connection, url)
        await check_positions(connection, url)
    except FAULTS as error:
        raise store_error(error, url) from None
    finally:
        await hang_up(connection)
    if is_pooled and not url.is_pooled:
        log.info("a pooler such as PgBouncer stands before %s: nothing is prepared by name", url)
    return replace(url, is_pooled=url.is_pooled or is_pooled)


def _check_files(url: PostgresUrl) -> None:
    """The driver does not say which file it misses."""
    for name, path in url.files:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise StoreError(f"{url}: {name} cannot be read: {error.strerror}") from None


async def has_pooler(connection: Connection, url: PostgresUrl) -> bool:
    """Whether who greeted us is not who answers. A server names its process when a connection is
    made; a pooler, which does so in its place, makes a number up.
    """
    try:
        async with connection.transaction():
            answers = await connection.fetchval("SELECT pg_backend_pid()")
    except asyncpg.ConnectionDoesNotExistError as error:
        if "statement pooling" in str(error):
            raise StoreError(
                f"{url} is PgBouncer in statement mode: set pool_mode = transaction there"
            ) from None
        raise
    return bool(answers != connection.get_server_pid())


async def _check_server(connection: Connection, url: PostgresUrl) -> None:
    row = await connection.fetchrow(
        "SELECT current_setting('server_version_num')::int AS number,"
        " current_setting('server_version') AS version, current_setting('fsync') AS fsync,"
        " current_setting('synchronous_commit') AS commit,"
        " current_setting('transaction_read_only') AS read_only"
    )
    if row["number"] < OLDEST:
        raise StoreError(f"{url} is PostgreSQL {row['version']}: 14 or later is needed")
    for name in ("fsync", "commit"):
        if row[name] == "off":
            setting = "synchronous_commit" if name == "commit" else name
            raise StoreError(f"{url} has {setting} off: what was answered could be lost")
    if row["read_only"] == "on":
        raise StoreError(
            f"{url} may only be read, as a standby may: name the primary, or all servers"
        )


async def revision_of(connection: Connection) -> str | None:
    """The schema revision, or None for a database without our tables."""
    # A look into the catalog as a table: `to_regclass` would go by what this session remembers, and
    # miss what another one made while this one waited for its lock.
    is_there = await connection.fetchval(
        "SELECT count(*) > 0 FROM pg_tables WHERE tablename = 'alembic_version'"
        " AND schemaname = ANY (current_schemas(false))"
    )
    if not is_there:
        return None
    found = await connection.fetchval("SELECT version_num FROM alembic_version")
    return None if found is None else str(found)


async def _upgrade(connection: Connection, url: PostgresUrl) -> None:
    for attempt in range(1, LOCK_TRIES_MAX + 1):
        try:
            async with connection.transaction():
                # Two nodes may start at once: the second waits here and finds everything done.
                await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
                await _upgrade_alone(connection, url)
            return
        except asyncpg.LockNotAvailableError:
            if attempt == LOCK_TRIES_MAX:
                raise
            log.warning("a table is in use and cannot be upgraded yet: trying again")
            await asyncio.sleep(LOCK_PAUSE_S)


async def _upgrade_alone(connection: Connection, url: PostgresUrl) -> None:
    current = await revision_of(connection)
    if current == HEAD:
        return
    if current == COPYING:
        raise StoreError(f"{url} holds an unfinished copy: run the same tillgate db copy again")
    if current is not None and current > HEAD:
        await _check_newer(connection, url, current)
        return
    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_LIMIT_MS}")
    await connection.execute(script(current))
    # For nodes of the releases before, which go on meanwhile and may be started again.
    words = f"tillgate: usable since schema {oldest_usable()}"
    await connection.execute(f"COMMENT ON TABLE alembic_version IS '{words}'")


async def _check_newer(connection: Connection, url: PostgresUrl, current: str) -> None:
    """A newer release's schema serves this one, too, where only something was added to it."""
    words = await connection.fetchval("SELECT obj_description('alembic_version'::regclass)")
    since = _USABLE.search(words or "")
    if since is None or since[1] > HEAD:
        raise StoreError(
            f"{url} was written by a newer release (schema {current}, this one knows {HEAD}):"
            " run that release"
        )
    log.warning(
        "the database has schema %s of a newer release, which only adds to %s: going on",
        *(current, HEAD),
    )


def script(current: str | None) -> str:
    """The SQL that leads from a revision to this release's."""
    from alembic import command
    from alembic.config import Config

    written = io.StringIO()
    config = Config(output_buffer=written)
    config.set_main_option("script_location", str(MIGRATIONS))
    with _alembic:
        command.upgrade(config, f"{current or 'base'}:{HEAD}", sql=True)
    # It is written for a driver that takes % for a parameter.
    return written.getvalue().replace("%%", "%")


async def check_positions(connection: Connection, url: PostgresUrl) -> None:
    """Positions of events grow with the server's transaction numbers (migration 0003).

    Raises:
        StoreError: those of this server are lower than the positions.
    """
    is_ahead = await connection.fetchval(
        "SELECT coalesce(max(position), 0) >> 20 >="
        " pg_snapshot_xmax(pg_current_snapshot())::text::bigint FROM merchant_event"
    )
    if is_ahead:
        raise StoreError(
            f"{url} was copied from a server with higher transaction numbers: new events would hide"
            " behind old ones. Restore a physical backup, or raise the numbers with pg_resetwal -x."
        )

"""The ways to a PostgreSQL server: through PgBouncer, over TLS, one of several."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.pgbouncer_side import pgbouncer_before
from tests.postgres_side import OWNER, running_server
from tests.store.certificates import Authority, server_context
from tests.store.store_side import history, opening, paid
from tillgate.core.errors import StoreError
from tillgate.store import KeyHeld, Opened, Sql
from tillgate.store.copy import copy
from tillgate.store.postgres import open_postgres
from tillgate.store.postgres_url import read_postgres_url
from tillgate.store.sqlite import open_sqlite

PGBOUNCER = Path(__file__).parents[2] / "deploy" / "pgbouncer" / "pgbouncer.ini"


def open_at(url):
    return open_postgres(read_postgres_url(url))


def serves(url):
    """A payment's whole life through this URL."""

    async def run():
        store = open_at(url)
        try:
            given = opening(1)
            assert await store.open(given) == Opened()
            assert isinstance(await store.open(given), KeyHeld)
            done = paid(given.payment, "p1")
            await store.save(done, history(done, "x"), keep_body=False)
            assert await store.load(done.payment_request_id) == done
            assert await store.read(Sql("SELECT 1 AS one")) != []

            def tick():
                yield Sql("UPDATE registry_version SET version = version + 1")

            await store.transact(tick)
        finally:
            await store.close()

    asyncio.run(run())


# --- PgBouncer


@pytest.mark.parametrize("mode", ["transaction", "session"])
def test_pgbouncer_is_noticed_and_served_through(postgres, mode):
    """Nothing is said of it in the URL; many stores share few connections behind it."""
    url = postgres.migrated()
    with pgbouncer_before(postgres, mode) as folder:
        through = url.replace(str(postgres.folder), str(folder))
        serves(through)

        async def many():
            stores = [open_at(through) for _ in range(2)]
            try:
                await asyncio.gather(
                    *(store.open(opening(number)) for number in range(2, 40) for store in stores)
                )
                rows = await stores[0].read(Sql("SELECT count(*) AS count FROM payment"))
                assert [row["count"] for row in rows] == [39]
            finally:
                for store in stores:
                    await store.close()

        if mode == "transaction":  # in session mode each connection has one of its own
            asyncio.run(many())


def test_pgbouncer_in_statement_mode_is_refused_with_the_reason(postgres):
    url = postgres.migrated()
    with pgbouncer_before(postgres, "statement") as folder:
        with pytest.raises(StoreError, match="set pool_mode = transaction there"):
            open_at(url.replace(str(postgres.folder), str(folder)))


def test_a_parameter_that_pgbouncer_does_not_take_is_told_with_the_way_out(postgres):
    url = postgres.migrated()
    with pgbouncer_before(postgres) as folder:
        with pytest.raises(StoreError, match=r"search_path.*ignore_startup_parameters"):
            open_at(url.replace(str(postgres.folder), str(folder)) + "&search_path=public")


def test_pgbouncer_as_deploy_shows_it_takes_who_knows_the_password(postgres):
    url = postgres.migrated()
    shown = PGBOUNCER.read_text()
    for word, here in (
        ("tillgate = host=PRIMARY", f"{url.split('@/')[1].split('?')[0]} = host={postgres.folder}"),
        ("listen_addr = 127.0.0.1", "unix_socket_dir = FOLDER"),
        ("listen_port = 6432", "listen_port = 5432"),
        ("/etc/pgbouncer/userlist.txt", "FOLDER/userlist.txt"),
    ):
        assert word in shown
        shown = shown.replace(word, here)
    with pgbouncer_before(postgres, settings=shown) as folder:
        through = url.replace(str(postgres.folder), str(folder))
        serves(through.replace(f"{OWNER}@", f"{OWNER}:secret@"))
        with pytest.raises(StoreError) as caught:
            open_at(through.replace(f"{OWNER}@", f"{OWNER}:another@"))
        assert "another" not in str(caught.value)


def test_no_copy_goes_through_pgbouncer(postgres, tmp_path):
    source, url = tmp_path / "a.db", postgres.migrated()
    asyncio.run(open_sqlite(source).close())
    with pgbouncer_before(postgres) as folder:
        target = read_postgres_url(url.replace(str(postgres.folder), str(folder)))
        with pytest.raises(StoreError, match="not through a pooler"):
            asyncio.run(copy(source, target, lambda *words: None))


def test_a_server_itself_is_taken_for_no_pooler(postgres):
    async def run():
        store = open_at(postgres.migrated())
        assert not store._url.is_pooled
        await store.close()

    asyncio.run(run())


# --- TLS


class Front:
    """A server's TLS, as PostgreSQL begins it: asked for in clear, then a handshake."""

    def __init__(self, server, context: ssl.SSLContext | None) -> None:
        self._path = server.folder / ".s.PGSQL.5432"
        self._context = context
        self._open: list[asyncio.Task] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[int]:
        """Its port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for each in self._open:
                each.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)
            await asyncio.sleep(0.01)  # the sockets are closed by the loop's next turns

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.append(asyncio.current_task())
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._talk(reader, writer)
        finally:
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first = await reader.readexactly(8)
        if first.endswith(bytes.fromhex("04d2162f")):
            writer.write(b"S" if self._context else b"N")
            await writer.drain()
            if self._context:
                await writer.start_tls(self._context)
            first = b""
        there, back = await asyncio.open_unix_connection(self._path)
        back.write(first)
        both = [asyncio.create_task(_pass(*each)) for each in ((reader, back), (there, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            back.transport.abort()
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def through_tls(postgres, context, words, url=None):
    """Open the store over TLS; an error, or None."""
    name = (url or postgres.migrated()).split("@/")[1].split("?")[0]

    async def run():
        async with Front(postgres, context).running() as port:
            where = f"postgresql://{OWNER}:hidden@127.0.0.1:{port}/{name}?{words}"
            # As `serve` opens it: in a thread of its own, while this loop plays the server.
            store = await asyncio.to_thread(open_at, where)
            try:
                await store.open(opening(1))
            finally:
                await store.close()

    reason = None
    try:
        asyncio.run(run())
    except StoreError as error:
        reason = str(error)
    assert "hidden" not in (reason or "")
    return reason


def test_a_certificate_is_checked_as_the_url_says(postgres, tmp_path):
    ours, others = Authority(tmp_path, "ours"), Authority(tmp_path, "others")
    right = server_context(*ours.server("127.0.0.1"))
    of_another_host = server_context(*ours.server("127.0.0.2"))
    full = f"sslmode=verify-full&sslrootcert={ours.root}"
    assert through_tls(postgres, right, full) is None
    assert through_tls(postgres, right, "sslmode=require") is None
    assert through_tls(postgres, of_another_host, full.replace("full", "ca")) is None
    for context, words in (
        (of_another_host, full),
        (right, f"sslmode=verify-full&sslrootcert={others.root}"),
        (right, f"sslmode=verify-ca&sslrootcert={others.root}"),
    ):
        assert "a certificate that is not trusted" in (through_tls(postgres, context, words) or "")
    assert "cannot be reached" in (through_tls(postgres, None, "sslmode=require") or "")
    missing = f"sslmode=verify-full&sslrootcert={tmp_path}/none.crt"
    assert "sslrootcert cannot be read: No such file" in through_tls(postgres, right, missing)


# --- Several servers


def hosts(*folders):
    return ",".join(map(str, folders))


def test_of_several_servers_the_one_that_may_be_written_to_is_taken(own_pair):
    """The first is a standby, or hangs: the way to the primary is found all the same."""
    primary, standby = own_pair
    url = beside(primary, standby)
    serves(url.format(hosts(standby.folder, primary.folder)))
    for others in ((standby.folder,), (standby.folder, standby.folder)):
        with pytest.raises(StoreError) as error:
            open_at(url.format(hosts(*others)) + "&target_session_attrs=read-write")
        assert "may only be read" in str(error.value)


def test_a_server_that_may_only_be_read_is_refused_alone_too(own_pair):
    primary, standby = own_pair
    with pytest.raises(StoreError, match="may only be read, as a standby may"):
        open_at(beside(primary, standby).format(standby.folder))


def test_a_server_that_takes_connections_and_says_nothing_holds_nobody_up(own_pair, tmp_path):
    primary, _ = own_pair
    silent = socket.socket(socket.AF_UNIX)
    silent.bind(str(tmp_path / ".s.PGSQL.5432"))
    silent.listen()
    url = primary.migrated().replace(str(primary.folder), hosts(tmp_path, primary.folder))

    async def run():
        async with asyncio.timeout(4):  # less than one connection may take
            store = await asyncio.to_thread(open_at, url)
            await store.open(opening(1))
            await store.close()

    asyncio.run(run())
    silent.close()


@pytest.fixture(scope="module")
def own_pair():
    """A server, and one with the same databases' names that may only be read."""
    with running_server() as primary, running_server() as standby:
        yield primary, standby


def beside(primary, standby):
    """The URL of a database, with `{}` for its servers, that the other one has for reading."""
    url = primary.migrated()
    name = url.split("@/")[1].split("?")[0]
    standby.sql(
        f"CREATE DATABASE {name}", f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    )
    return url.replace(str(primary.folder), "{}")


def test_a_primary_that_became_a_standby_is_left_for_the_new_one(own_pair):
    primary, standby = own_pair
    several = beside(primary, standby)
    url = several.format(primary.folder)
    name = url.split("@/")[1].split("?")[0]

    async def run():
        store = open_at(several.format(hosts(primary.folder, standby.folder)))
        try:
            await store.open(opening(1))
            admin = await asyncpg.connect(url)
            await admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                f" WHERE datname = '{name}' AND pid <> pg_backend_pid()"
            )
            with pytest.raises(StoreError):
                await store.open(opening(2))
            await admin.execute("SET default_transaction_read_only = off")
            await admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
            await admin.close()
            assert await store.open(opening(2)) == Opened()
        finally:
            await store.close()

    asyncio.run(run())

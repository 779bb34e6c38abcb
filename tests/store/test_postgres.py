"""What only PostgreSQL has to survive: lost connections and answers, restarts, standbys, other
nodes.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from dataclasses import replace

import asyncpg
import pytest

from tests.postgres_side import OWNER, NoServer, running_server
from tests.store.link import Link
from tests.store.store_side import history, opening, paid, told
from tillgate.core.errors import PaymentIdTaken, StaleVersion, StoreError
from tillgate.store import Opened, Sql, migrate_postgres, postgres_connections, postgres_writer
from tillgate.store.migrate import HEAD
from tillgate.store.postgres import open_postgres
from tillgate.store.postgres_url import read_postgres_url


@pytest.fixture
def own(postgres):
    """A server for this test alone, to stop and to change."""
    try:
        with running_server() as server:
            yield server
    except NoServer as reason:
        pytest.fail(str(reason))


@contextlib.asynccontextmanager
async def store_at(url: str):
    # In a thread: a link of the test serves in this loop meanwhile.
    store = await asyncio.to_thread(open_postgres, read_postgres_url(url))
    try:
        yield store
    finally:
        await store.close()


@contextlib.asynccontextmanager
async def linked(server, url: str):
    """A store behind a link that can be cut."""
    link = Link(server.folder)
    async with link.running() as folder:
        async with store_at(url.replace(str(server.folder), folder)) as store:
            yield store, link


def once(verdict, *words: bytes):
    """The verdict for the first message that holds one of these words; then everything passes."""
    left = [verdict]

    def may(data: bytes):
        if left and (not words or any(word in data for word in words)):
            return left.pop()
        return True

    return may


def answer_of(link: Link, words: bytes, verdict) -> None:
    """Judge the first answer after a request with these words."""

    def asks(data: bytes) -> bool:
        if words in data:
            link.on_request = lambda data: True
            link.on_answer = once(verdict)
        return True

    link.on_request = asks


def test_a_restart_is_survived_and_told_meanwhile(own):
    url = own.migrated()

    async def run():
        async with store_at(url) as store:
            first = opening(1)
            await store.open(first)
            own.stop(signal.SIGQUIT)
            with pytest.raises(StoreError):
                await store.open(opening(2))
            with pytest.raises(StoreError):
                await store.load(first.payment.payment_request_id)
            with pytest.raises(StoreError):
                await store.transact(lambda: (yield Sql("SELECT 1")))
            own.start()
            assert await store.open(opening(2)) == Opened()
            assert await store.load(first.payment.payment_request_id) == first.payment
            done = paid(first.payment, "p1")
            await store.save(done, history(done, "x"), keep_body=False)

    asyncio.run(run())


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_an_opening_whose_commit_is_lost_on_the_way_is_settled(postgres, lost):
    async def run():
        async with linked(postgres, postgres.migrated()) as (store, link):
            assert await store.open(opening(1)) == Opened()
            if lost == "request":
                link.on_request = once(False, b"key-2")
            else:
                answer_of(link, b"key-2", False)
            given = opening(2)
            assert await store.open(given) == Opened()
            assert await store.load(given.payment.payment_request_id) == given.payment
            assert len(await store.load_history(given.payment.payment_request_id)) == 1

    asyncio.run(run())


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_a_save_whose_commit_is_lost_on_the_way_is_settled(postgres, lost):
    async def run():
        async with linked(postgres, postgres.migrated()) as (store, link):
            given = opening(1)
            await store.open(given)
            done = paid(given.payment, "network-id-1")
            if lost == "request":
                link.on_request = once(False, b"network-id-1")
            else:
                answer_of(link, b"network-id-1", False)
            event = told(done, 1)
            await store.save(done, history(done, "mine"), keep_body=False, told=event)
            assert await store.load(done.payment_request_id) == done
            assert len(await store.load_history(done.payment_request_id)) == 2
            [placed] = await store.load_events("M1", after=0, limit=9)
            assert placed.event == event

    asyncio.run(run())


def test_a_save_that_is_lost_and_beaten_meanwhile_is_stale(postgres):
    """What is found in its place is another's, though the version is the same."""
    url = postgres.migrated()

    async def run():
        async with linked(postgres, url) as (store, link), store_at(url) as rival:
            given = opening(1)
            await store.open(given)
            theirs = replace(given.payment, version=2, sends=2)
            await rival.save(theirs, history(theirs, "theirs"), keep_body=True)
            mine = paid(given.payment, "network-id-1")
            link.on_request = once(False, b"network-id-1")
            with pytest.raises(StaleVersion):
                await store.save(mine, history(mine, "mine"), keep_body=False)
            assert await store.load(mine.payment_request_id) == theirs

    asyncio.run(run())


def test_a_silent_server_costs_its_connection_and_no_cancel_request(postgres, monkeypatch):
    monkeypatch.setattr(postgres_writer, "ANSWER_LIMIT_S", 0.3)

    async def run():
        async with linked(postgres, postgres.migrated()) as (store, link):
            await store.open(opening(1))
            before = link.connections
            answer_of(link, b"key-2", None)
            given = opening(2)
            assert await store.open(given) == Opened()
            assert link.connections == before + 1
            assert link.cancels == 0
            assert await store.load(given.payment.payment_request_id) == given.payment

    asyncio.run(run())


def test_who_reads_may_go_away_without_harm(postgres):
    async def run():
        async with linked(postgres, postgres.migrated()) as (store, link):
            given = opening(1)
            await store.open(given)
            key = given.payment.payment_request_id
            await store.load(key)
            for _ in range(10):
                link.on_answer = lambda data: None
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.02):
                        await store.load(key)
                link.on_answer = lambda data: True
            assert await store.load(key) == given.payment
            assert link.cancels == 0

    asyncio.run(run())


def test_a_server_that_may_only_be_read_is_told_and_followed_when_it_may_be_written(own):
    url = own.migrated()

    async def run():
        async with store_at(url) as store:
            given = opening(1)
            await store.open(given)
            await changed(own, url, "default_transaction_read_only", "on")
            for _ in range(2):
                with pytest.raises(StoreError, match="read-only"):
                    await store.open(opening(2))
            with pytest.raises(StoreError, match="read-only"):
                await store.transact(lambda: (yield Sql("DELETE FROM event_ticket")))
            assert await store.load(given.payment.payment_request_id) == given.payment
            await changed(own, url, "default_transaction_read_only", "off")
            assert await store.open(opening(2)) == Opened()

    asyncio.run(run())


async def changed(server, url: str, name: str, value: str) -> None:
    """Set it in the file and wait until every session goes by it."""
    with (server.folder / "data" / "postgresql.conf").open("a") as settings:
        settings.write(f"{name} = '{value}'\n")
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    connection = await asyncpg.connect(url)
    async with asyncio.timeout(10):
        while await connection.fetchval(f"SHOW {name}") != value:
            await asyncio.sleep(0.005)
    await connection.close()


async def waits(connection, words: str) -> int:
    """The backend that waits for a standby with a query that begins so."""
    async with asyncio.timeout(10):
        while True:
            pid = await connection.fetchval(
                "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE $1",
                f"{words}%",
            )
            if pid is not None:
                return int(pid)
            await asyncio.sleep(0.005)


def test_a_commit_that_was_not_waited_out_is_acknowledged_by_a_new_one(own):
    """Under synchronous replication a cancelled wait ends in success, with a warning that the
    commit may be lost with this server.
    """
    url = own.migrated()

    async def run():
        async with store_at(url) as store:
            given = opening(1)
            await store.open(given)
            await changed(own, url, "synchronous_standby_names", "nobody")
            watch = await asyncpg.connect(url)
            await watch.execute("SET synchronous_commit = local")
            done = paid(given.payment, "p1")
            saving = asyncio.ensure_future(store.save(done, history(done, "x"), keep_body=False))
            pid = await waits(watch, "WITH given")
            await watch.execute(f"SELECT pg_cancel_backend({pid})")
            await waits(watch, "UPDATE payment SET version = version")
            assert not saving.done()
            await changed(own, url, "synchronous_standby_names", "")
            await saving
            assert await store.load(done.payment_request_id) == done
            assert len(await store.load_history(done.payment_request_id)) == 2
            await watch.close()

    asyncio.run(run())


def test_a_transaction_that_was_not_waited_out_is_not_believed(own):
    """It opens refunds: what the standby does not have must not be sent."""
    url = own.migrated()

    def tick():
        yield Sql("UPDATE registry_version SET version = version + 1 RETURNING version", ())

    async def run():
        async with store_at(url) as store:
            await changed(own, url, "synchronous_standby_names", "nobody")
            watch = await asyncpg.connect(url)
            await watch.execute("SET synchronous_commit = local")
            keeping = asyncio.ensure_future(store.transact(tick))
            await watch.execute(f"SELECT pg_cancel_backend({await waits(watch, 'COMMIT')})")
            with pytest.raises(StoreError, match="did not wait for its standby"):
                await keeping
            await changed(own, url, "synchronous_standby_names", "")
            await store.transact(tick)
            await watch.close()

    asyncio.run(run())


def test_a_connection_that_the_servers_limit_struck_is_not_used_again(postgres, monkeypatch):
    """Struck at its BEGIN, the driver takes itself for inside a transaction ever after."""
    monkeypatch.setitem(postgres_connections.QUICK, "statement_timeout", "50")

    def slow():
        yield Sql("SELECT pg_sleep(1)", ())

    def quick():
        yield Sql("UPDATE registry_version SET version = version + 1 RETURNING version", ())

    async def run():
        async with store_at(postgres.migrated()) as store:
            with pytest.raises(StoreError, match="statement timeout"):
                await store.transact(slow)
            assert store._workers._idle == []
            await store.transact(quick)
            assert len(store._workers._idle) == 1

    asyncio.run(run())


def test_one_bad_row_fails_alone_and_its_value_is_not_told(postgres):
    async def run():
        async with store_at(postgres.migrated()) as store:
            openings = [opening(n) for n in range(20)]
            openings[7] = opening(7, description="tea\x00for two")
            results = await asyncio.gather(
                *(store.open(each) for each in openings), return_exceptions=True
            )
            wrong = results.pop(7)
            assert results == [Opened()] * 19
            assert isinstance(wrong, StoreError)
            assert "tea" not in str(wrong)

    asyncio.run(run())


def test_what_waits_together_goes_in_one_statement_sorted_and_each_payment_once(postgres):
    async def run():
        async with store_at(postgres.migrated()) as store:
            batches: list[list[str]] = []
            real = store._saver._together

            async def together(writes):
                batches.append([write.key for write in writes])
                return await real(writes)

            store._saver._together = together
            openings = [opening(n) for n in range(100)]
            await asyncio.gather(*(store.open(each) for each in openings))
            versions = [replace(each.payment, version=2) for each in openings]
            results = await asyncio.gather(
                *(
                    store.save(each, history(each, "x"), keep_body=True)
                    for each in [*versions[::-1], *versions]
                ),
                return_exceptions=True,
            )
            assert results.count(None) == 100
            assert len(batches) <= 4
            for batch in batches:
                assert batch == sorted(set(batch))

    asyncio.run(run())


def test_a_clash_of_network_ids_between_two_nodes_is_told_by_its_name(postgres):
    url = postgres.migrated()

    async def run():
        async with store_at(url) as a, store_at(url) as b:
            first, second = opening(1), opening(2)
            await asyncio.gather(a.open(first), b.open(second))
            done = paid(first.payment, "same")
            await a.save(done, history(done, "x"), keep_body=False)
            clash = paid(second.payment, "same")
            with pytest.raises(PaymentIdTaken):
                await b.save(clash, history(clash, "x"), keep_body=False)

    asyncio.run(run())


def test_an_event_that_is_committed_late_is_not_skipped(postgres):
    """Another node's transaction began first and ends last; its event stands lower."""
    url = postgres.migrated()

    async def run():
        async with store_at(url) as store:
            given = opening(1)
            await store.open(given)
            late = await asyncpg.connect(url)
            transaction = late.transaction()
            await transaction.start()
            await late.execute(
                "INSERT INTO merchant_event (event_id, merchant_id, store_id, terminal_id,"
                " payment_request_id, sequence, type, at, body)"
                " VALUES ('evt_late', 'M1', 'S1', 'T1', 'pay_x', 1, 'payment.failed', 1, '{}')"
            )
            done = paid(given.payment, "p1")
            event = told(done, 1)
            await store.save(done, history(done, "x"), keep_body=False, told=event)
            assert await store.load_events("M1", after=0, limit=9) == []
            assert await store.load_events(None, after=0, limit=9) == []
            assert await store.last_position() == 0
            await transaction.commit()
            await late.close()
            events = await store.load_events("M1", after=0, limit=9)
            assert [each.event.event_id for each in events] == ["evt_late", event.event_id]
            assert await store.last_position() == events[-1].position

    asyncio.run(run())


def test_two_nodes_may_start_at_once_on_an_empty_database(postgres):
    url = read_postgres_url(postgres.database())
    stores, failures = [], []

    def start():
        try:
            stores.append(open_postgres(url))
        except StoreError as error:
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failures == []
    assert len(stores) == 4


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (f"ALTER ROLE {OWNER} SET synchronous_commit = off", "synchronous_commit off"),
        (
            "INSERT INTO merchant_event (position, event_id, merchant_id, store_id, terminal_id,"
            " payment_request_id, sequence, type, at, body)"
            f" VALUES ({2**60}, 'e', 'M', 'S', 'T', 'p', 1, 't', 1, '')",
            "transaction numbers",
        ),
    ],
)
def test_a_database_that_cannot_serve_is_refused_with_the_reason(own, spoil, says):
    url = own.migrated()
    own.sql(spoil, database=url.split("@/")[1].split("?")[0])
    with pytest.raises(StoreError, match=says):
        open_postgres(read_postgres_url(url))


def test_an_unreachable_database_is_told_without_the_password(tmp_path):
    url = f"postgresql://tillgate:s3cret-word@/pay?host={tmp_path}"
    with pytest.raises(StoreError) as caught:
        open_postgres(read_postgres_url(url))
    assert "s3cret-word" not in str(caught.value)
    assert "tillgate@" in str(caught.value)


def test_behind_a_pooler_nothing_outlives_its_transaction(postgres):
    """Neither a prepared statement nor a setting: the next transaction may run elsewhere."""

    async def run():
        async with store_at(postgres.migrated() + "&pgbouncer=transaction") as store:
            given = opening(1)
            await store.open(given)
            done = paid(given.payment, "p1")
            await store.save(done, history(done, "x"), keep_body=False)
            await store.load(done.payment_request_id)
            connections = [store._opener._connection, store._saver._connection]
            connections += store._payments._connections._idle
            await store.load_history(done.payment_request_id)
            connections += store._readers._idle
            assert len(connections) == 4
            for each in connections:
                assert await each.fetch("SELECT name FROM pg_prepared_statements") == []
                assert await each.fetchval("SHOW enable_seqscan") == "on"
                assert await each.fetchval("SHOW statement_timeout") == "0"

    asyncio.run(run())


def test_a_report_that_takes_too_long_ends_on_the_server_too(postgres, monkeypatch):
    from tillgate.store import postgres as module

    monkeypatch.setitem(postgres_connections.PATIENT, "statement_timeout", "100")
    monkeypatch.setattr(module, "REPORT_LIMIT_S", 0.1)

    async def run():
        async with store_at(postgres.migrated()) as store:
            with pytest.raises(StoreError, match="took longer"):
                await store.report(Sql("SELECT pg_sleep(60)"))
            assert list(await store.report(Sql("SELECT 1 AS one"))) == [(1,)]

    asyncio.run(run())


NEWER = "UPDATE alembic_version SET version_num = '9999'"


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def test_a_newer_schema_that_only_adds_serves_this_release(postgres, caplog):
    url = postgres.migrated()
    postgres.sql(NEWER, "ALTER TABLE payment ADD COLUMN colour text", database=name_of(url))

    async def run():
        async with store_at(url) as store:
            made = opening(1)
            assert isinstance(await store.open(made), Opened)
            after = paid(made.payment, "PID-1")
            await store.save(after, history(after, "pay_answered"), keep_body=False)

    asyncio.run(run())
    assert "schema 9999 of a newer release" in caplog.text


@pytest.mark.parametrize("words", ["'tillgate: usable since schema 9998'", "NULL"])
def test_a_newer_schema_that_took_something_away_is_refused(postgres, words):
    url = postgres.migrated()
    comment = f"COMMENT ON TABLE alembic_version IS {words}"
    postgres.sql(NEWER, comment, database=name_of(url))
    with pytest.raises(StoreError, match="newer release"):
        open_postgres(read_postgres_url(url))


def test_an_upgrade_holds_nobody_up_behind_a_table_in_use(postgres, monkeypatch, caplog):
    """A report reads the table: the upgrade lets go again and again, and those behind it pass."""
    monkeypatch.setattr(migrate_postgres, "LOCK_LIMIT_MS", 50)
    monkeypatch.setattr(migrate_postgres, "LOCK_PAUSE_S", 0.02)
    more = "ALTER TABLE payment ADD COLUMN colour text; UPDATE alembic_version SET version_num = "
    monkeypatch.setattr(migrate_postgres, "script", lambda current: f"{more}'{HEAD}'")
    url = postgres.migrated()
    name = name_of(url)
    postgres.sql("UPDATE alembic_version SET version_num = '0001'", database=name)

    async def run():
        report, other = await asyncpg.connect(url), await asyncpg.connect(url)
        async with report.transaction():
            await report.fetch("SELECT count(*) FROM payment")
            upgrade = asyncio.create_task(
                asyncio.to_thread(migrate_postgres.prepare, read_postgres_url(url))
            )
            while caplog.text.count("in use") < 2:
                await other.fetch("SELECT count(*) FROM payment")
                await asyncio.sleep(0)
            assert not upgrade.done()
        await upgrade
        await other.fetch("SELECT colour FROM payment")
        for each in (report, other):
            await each.close()

    asyncio.run(run())

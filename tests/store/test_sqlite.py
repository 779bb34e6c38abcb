"""What only SQLite promises, on a real file. What every engine does is in test_store.py."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.store_side import OpenStore, opening, with_store
from tillgate.core.errors import StoreError, StoreInUse
from tillgate.store import Opened
from tillgate.store.sqlite import open_sqlite
from tillgate.store.statements import SELECT_WAITING


def opening_in(folder: Path) -> OpenStore:
    return lambda: open_sqlite(folder / "test.sqlite3")


def test_a_full_disk_fails_the_write_saves_nothing_and_heals(tmp_path):
    """SQLITE_FULL is what a full disk gives; a page limit on the writer's connection brings it
    about.
    """

    async def work(store):
        await store.open(opening(1))

        def limit(pages: int):
            return lambda connection: connection.execute(f"PRAGMA max_page_count = {pages}")

        await store._writer.commit(limit(1))
        results = await asyncio.gather(
            *(store.open(replace(opening(n), pay_body=b"x" * 4096)) for n in range(2, 60)),
            return_exceptions=True,
        )
        failed = [result for result in results if isinstance(result, StoreError)]
        assert failed
        assert "full" in str(failed[0])
        saved = {payment.payment_request_id for payment in await store.load_waiting(limit=99)}
        told = {
            f"pay_{n:05}"
            for n, result in zip(range(2, 60), results, strict=True)
            if result == Opened()
        }
        assert saved == told | {"pay_00001"}
        await store._writer.commit(limit(1_000_000))
        assert await store.open(opening(99)) == Opened()

    with_store(opening_in(tmp_path), work)


def test_a_second_process_is_refused_and_told_who_holds_the_file(tmp_path):
    async def work(store):
        script = (
            "import sys; from pathlib import Path; from tillgate.store.sqlite import open_sqlite;"
            " open_sqlite(Path(sys.argv[1]))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "test.sqlite3")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "StoreInUse" in done.stderr
        assert "pid" in done.stderr
        with pytest.raises(StoreInUse, match="PostgreSQL"):
            open_sqlite(tmp_path / "test.sqlite3")

    with_store(opening_in(tmp_path), work)


def test_another_name_of_the_same_file_is_the_same_file(tmp_path):
    async def work(store):
        (tmp_path / "link.sqlite3").symlink_to(tmp_path / "test.sqlite3")
        with pytest.raises(StoreInUse):
            open_sqlite(tmp_path / "link.sqlite3")

    with_store(opening_in(tmp_path), work)


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "test.sqlite3"
    path.write_bytes(b"these are the books of the shop\n" * 100)
    with pytest.raises(StoreError):
        open_sqlite(path)
    assert path.read_bytes().startswith(b"these are the books")


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match="nowhere"):
        open_sqlite(tmp_path / "nowhere" / "test.sqlite3")


def test_the_files_are_readable_by_their_owner_only(tmp_path):
    async def work(store):
        await store.open(opening())
        return {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}

    modes = with_store(opening_in(tmp_path), work)
    assert len(modes) == 4
    assert set(modes.values()) == {0o600}


def test_the_file_is_durable_before_it_answers(tmp_path):
    """WAL with synchronous=FULL: without it a power cut could lose what was answered."""

    async def work(store):
        def pragmas(connection):
            return [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("journal_mode", "synchronous")
            ]

        assert await store._writer.commit(pragmas) == ["wal", 2]

    with_store(opening_in(tmp_path), work)


def test_writes_that_wait_together_share_one_commit(tmp_path):
    async def work(store):
        commits = 0

        def count(statement: str) -> None:
            nonlocal commits
            commits += statement == "COMMIT"

        await store._writer.commit(lambda connection: connection.set_trace_callback(count))
        commits = 0
        await asyncio.gather(*(store.open(opening(n)) for n in range(200)))
        # The first may travel alone, the rest queue behind its fsync.
        assert commits < 20

    with_store(opening_in(tmp_path), work)


def test_a_batch_of_waiting_payments_is_read_by_the_index(tmp_path):
    async def work(store):
        rows = store._all(f"EXPLAIN QUERY PLAN {SELECT_WAITING}", 1, 1, "", 1)
        plan = " ".join(row["detail"] for row in rows)
        assert "SEARCH payment USING INDEX ix_payment_next_action_at" in plan
        assert "SCAN" not in plan

    with_store(opening_in(tmp_path), work)

"""Whenever a run ends, whatever failed: no step is in neither the database nor a whole line of a
file.
"""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
import sys

import pytest

from tests.store.archive_side import (
    GONE,
    NOW,
    WHOLE,
    heard,
    keys,
    lines,
    readable,
    report,
    rows,
    run,
    sold,
    timeline,
    wrong,
)
from tests.store.store_side import opener, with_store
from tests.store.test_races import two_nodes
from tillgate.core.errors import StoreError
from tillgate.core.model import Notified
from tillgate.core.results import Outcome
from tillgate.store import ended
from tillgate.store.archive import Moved
from tillgate.store.archive_file import make_folder

pytestmark = pytest.mark.usefixtures("two_each")


@pytest.fixture
def two_each(monkeypatch):
    """Batches of two."""
    monkeypatch.setattr(ended, "BATCH", 2)


def breaking(store, when, before=None):
    """The store's transactions, of which one is never begun; the process might have died."""
    real, turns = store.transact, []

    async def transact(work):
        turns.append(1)
        if len(turns) == when:
            if before is None:
                raise StoreError("gone for a moment")
            store.transact = real
            await before()
        return await real(work)

    store.transact = transact


async def filled(store, count=6):
    for number in range(1, count + 1):
        await sold(store, number)


async def all_timelines(store, count=6):
    return [await timeline(store, number) for number in range(1, count + 1)]


async def filenames(store):
    found = await rows(store, "SELECT detail FROM payment_event")
    return {json.loads(detail)["file"] for (detail,) in found}


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_killed_between_file_and_database_nothing_is_lost(open_store, tmp_path, turn):
    async def work(store):
        await filled(store)
        breaking(store, turn)
        with pytest.raises(StoreError, match="gone for a moment"):
            await run(store, tmp_path)
        done = 2 * (turn - 1)
        assert await all_timelines(store) == [GONE] * done + [WHOLE] * (6 - done)
        assert await wrong(store) == []
        # These two stand in the file already, and again in the next one, which the row names.
        assert len(lines(tmp_path / "a.gz")) == done + 2
        moved, file = await run(store, tmp_path, "b.gz")
        assert moved.payments == 6 - done
        assert await all_timelines(store) == [GONE] * 6
        first, second = lines(tmp_path / "a.gz"), lines(file.path)
        assert second[:2] == first[-2:]
        assert sorted({*keys(first), *keys(second)}) == [f"pay_{n:05}" for n in range(1, 7)]
        assert await wrong(store) == []

    with_store(open_store, work)


@pytest.mark.parametrize("kept", [0, 1, 20, -1])
def test_a_torn_end_holds_nothing_that_was_deleted(open_store, tmp_path, kept):
    """The machine died while the second batch was written, or before it was on the disk."""

    async def work(store):
        await filled(store)
        breaking(store, 2)
        with pytest.raises(StoreError):
            await run(store, tmp_path)
        path = tmp_path / "a.gz"
        content = path.read_bytes()
        second = content.index(b"\x1f\x8b\x08", 3)
        path.write_bytes(content[: kept if kept < 0 else second + kept])
        assert keys(readable(path))[:2] == ["pay_00001", "pay_00002"]
        assert await all_timelines(store) == [GONE] * 2 + [WHOLE] * 4

    with_store(open_store, work)


def test_a_step_that_comes_meanwhile_survives(open_store, tmp_path):
    async def work(store):
        failed = await sold(store, 1, outcome=Outcome.FAILURE)

        async def paid_late():
            await heard(store, failed, Notified(report(1, Outcome.SUCCESS)), NOW)

        breaking(store, 1, paid_late)
        await run(store, tmp_path)
        assert await timeline(store, 1) == [*GONE, (3, "notified")]
        assert (await store.load("pay_00001")).status == "CANCELLING"
        assert await wrong(store) == []

    with_store(open_store, work)


def test_what_another_run_archived_meanwhile_is_left(open_store, tmp_path):
    async def work(store):
        await filled(store, 3)

        async def other():
            assert (await run(store, tmp_path, "other.gz"))[0].payments == 3

        breaking(store, 1, other)
        moved, _ = await run(store, tmp_path)
        assert moved == Moved()
        assert await filenames(store) == {"other.gz"}
        assert len(lines(tmp_path / "other.gz")) == 3
        assert await wrong(store) == []

    with_store(open_store, work)


def test_of_two_runs_at_once_each_step_goes_once(open_store, tmp_path):
    async def work():
        async with two_nodes(open_store) as nodes:
            await filled(nodes[0], 12)
            both = (
                run(node, tmp_path, name)
                for node, name in zip(nodes, ("a.gz", "b.gz"), strict=True)
            )
            (first, a), (second, b) = await asyncio.gather(*both)
            assert first.payments + second.payments == first.steps + second.steps == 12
            assert await all_timelines(nodes[0], 12) == [GONE] * 12
            text = "SELECT payment_request_id, detail FROM payment_event"
            named = [
                (key, json.loads(detail)["file"]) for key, detail in await rows(nodes[0], text)
            ]
            for file, moved in ((a, first), (b, second)):
                mine = {key for key, name in named if name == file.name}
                assert len(mine) == moved.payments
                assert mine <= set(keys(lines(file.path)) if file.is_there else [])
            assert await wrong(nodes[0]) == []

    asyncio.run(work())


def test_a_folder_that_is_gone_deletes_nothing(open_store, tmp_path):
    async def work(store):
        await filled(store, 2)
        with pytest.raises(StoreError, match="cannot be written: No such file or directory"):
            await run(store, tmp_path / "gone")
        assert await all_timelines(store, 2) == [WHOLE] * 2

    with_store(open_store, work)


def test_a_file_that_is_there_is_never_written_over(open_store, tmp_path):
    async def work(store):
        await filled(store, 2)
        (tmp_path / "a.gz").write_bytes(b"mine")
        with pytest.raises(StoreError, match="File exists"):
            await run(store, tmp_path)
        assert (tmp_path / "a.gz").read_bytes() == b"mine"
        assert await all_timelines(store, 2) == [WHOLE] * 2

    with_store(open_store, work)


def test_the_file_is_its_owners_and_so_is_a_folder_that_is_made(open_store, tmp_path):
    async def work(store):
        await filled(store, 1)
        make_folder(tmp_path / "new" / "archive")
        _, file = await run(store, tmp_path / "new" / "archive")
        assert stat.S_IMODE(file.path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(file.path.stat().st_mode) == 0o600

    with_store(open_store, work)


FILL_DISK = """
import resource, sys
from tests.store.archive_side import *
from tests.store.store_side import opener, with_store
from tillgate.core.errors import StoreError
from tillgate.store import ended

ended.BATCH = 2
url, folder, limit = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

async def work(store):
    try:
        await run(store, Path(folder))
    except StoreError as error:
        print(error)

with_store(opener(url), work)
"""


def test_where_no_byte_fits_any_more_nothing_is_deleted(tmp_path, postgres):
    """No file of that process may grow beyond a limit: the kernel refuses as it does on a full
    disk, in the middle of a write. The database is another process.
    """

    async def work(store):
        await filled(store)
        return (await run(store, tmp_path))[1].path.stat().st_size

    whole = with_store(opener(postgres.migrated()), work)
    for limit, gone in ((10, 0), (whole - 5, 4)):
        url, folder = postgres.migrated(), tmp_path / str(limit)
        with_store(opener(url), filled)
        folder.mkdir()
        command = [sys.executable, "-c", FILL_DISK, url, str(folder), str(limit)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert "a.gz cannot be written: File too large" in done.stdout
        told = with_store(opener(url), all_timelines)
        assert told == [GONE] * gone + [WHOLE] * (6 - gone)
        # What is torn is cut off again, and a file with nothing whole in it goes.
        files = [keys(lines(each)) for each in folder.iterdir()]
        assert files == ([[f"pay_{n:05}" for n in range(1, gone + 1)]] if gone else [])

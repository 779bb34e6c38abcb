"""PostgreSQL restarted, out of connections, out of disk, slow: clear answers, nothing lost, and it
sells again without anybody's hand.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgres_side import Server, running_server
from tests.support import API_KEY, Api, Wallets, gateway, order, sandbox
from tillgate.store.postgres_url import read_postgres_url

JOSE = {"wallet": "gcash", "customer": "gcash_jose"}
"""A customer who thinks first."""
TRIES = 150


@contextlib.asynccontextmanager
async def selling(folder: Path, url: str) -> AsyncIterator[tuple[Api, Wallets]]:
    async with sandbox() as network:
        async with gateway(folder, network, store=read_postgres_url(url)) as api:
            yield api, Wallets(network, api.session)


async def ask(api: Api, method: str, path: str, key: str = "", body: Any = None) -> tuple[int, Any]:
    """One request; a 503 has to say when to come again, and the gateway itself is well."""
    headers = {"Authorization": f"Bearer {API_KEY}", "Prefer": "wait=10"}
    if key:
        headers["Idempotency-Key"] = key
    async with api.session.request(method, api.url + path, json=body, headers=headers) as answer:
        told = await answer.json(content_type=None)
        if answer.status == 503:
            assert answer.headers["Retry-After"].isdigit()
            assert told["code"] == "store_unavailable"
            assert not re.search(r"postgresql|SELECT|INSERT|/tmp", str(told))
            async with api.session.get(f"{api.url}/readyz") as well:
                assert well.status == 200
        return answer.status, told


async def until_taken(
    api: Api, method: str, path: str, key: str = "", body: Any = None
) -> dict[str, Any]:
    """The same request again and again, as a till does it."""
    for _ in range(TRIES):
        status, told = await ask(api, method, path, key, body)
        if status != 503 and told["final"]:
            return told
        await asyncio.sleep(0.1)
    raise AssertionError(f"not taken: {status} {told}")


async def survives(api: Api, wallets: Wallets, trouble: contextlib.AbstractContextManager) -> None:
    """One sale before, one that is pending meanwhile, one that begins meanwhile; all end paid."""
    first = await until_taken(api, "POST", "/v1/payments", "1", order(code=await wallets.code()))
    thinks = order(code=await wallets.code(**JOSE), order="2")
    status, pending = await api.post(thinks, "2")
    assert status == 202
    begun = order(code=await wallets.code(), order="3")
    # Every system call of the trouble in a thread: what serves in this loop goes on.
    await asyncio.to_thread(trouble.__enter__)
    try:
        status, told = await ask(api, "POST", "/v1/payments", "3", begun)
        assert status == 503, told
        url = f"{wallets.url}/sandbox/payments/{pending['id']}/confirm"
        for _ in range(TRIES):
            async with api.session.post(url) as answer:
                if answer.status == 200:
                    break
            await asyncio.sleep(0.05)
    finally:
        await asyncio.to_thread(trouble.__exit__, None, None, None)
    last = await until_taken(api, "POST", "/v1/payments", "3", begun)
    second = await until_taken(api, "GET", f"/v1/payments/{pending['id']}")
    for payment in (first, second, last):
        assert payment["status"] == "SUCCEEDED"
        assert await wallets.debits(payment["id"]) == (1, 100)


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    server.stop()
    try:
        yield
    finally:
        server.start()


def test_a_database_that_is_restarted(postgres, tmp_path):
    with running_server() as server:

        async def run():
            async with selling(tmp_path, server.migrated()) as (api, wallets):
                await survives(api, wallets, stopped(server))

        asyncio.run(run())


@contextlib.contextmanager
def without_connections(server: Server, role: str, left: int) -> Iterator[None]:
    server.sql(
        f"ALTER ROLE {role} CONNECTION LIMIT {left}",
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'",
    )
    try:
        yield
    finally:
        server.sql(f"ALTER ROLE {role} CONNECTION LIMIT -1")


def test_a_database_without_connections(postgres, tmp_path):
    postgres.sql("CREATE ROLE crowd LOGIN")
    url = postgres.database()
    name = url.partition("@/")[2].partition("?")[0]
    postgres.sql(f"ALTER DATABASE {name} OWNER TO crowd")
    postgres.sql("ALTER SCHEMA public OWNER TO crowd", database=name)

    async def run():
        async with selling(tmp_path, url.replace("tests@", "crowd@")) as (api, wallets):
            await survives(api, wallets, without_connections(postgres, "crowd", 0))

    asyncio.run(run())


SLOW = (
    "CREATE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql AS"
    " $$ BEGIN PERFORM pg_sleep(0.2); RETURN NULL; END $$",
    "CREATE TRIGGER slow AFTER INSERT OR UPDATE ON payment"
    " FOR EACH STATEMENT EXECUTE FUNCTION slowly()",
)


def test_a_database_whose_commits_take_200_ms(postgres, tmp_path):
    """Each commit serves all who wait: nobody is refused, and all are paid once."""
    url = postgres.migrated()
    postgres.sql(*SLOW, database=url.partition("@/")[2].partition("?")[0])

    async def run():
        async with selling(tmp_path, url) as (api, wallets):
            codes = [await wallets.code() for _ in range(32)]
            asked = [order(code=code, order=f"o{n}") for n, code in enumerate(codes)]
            told = await asyncio.gather(
                *(ask(api, "POST", "/v1/payments", f"k{n}", each) for n, each in enumerate(asked))
            )
            assert [(status, payment["status"]) for status, payment in told] == [
                (201, "SUCCEEDED")
            ] * 32
            for _, payment in told:
                assert await wallets.debits(payment["id"]) == (1, 100)

    asyncio.run(run())


@contextlib.contextmanager
def small_disk(size: str = "24m") -> Iterator[Path]:
    """A file system in memory, where we may mount one."""
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
    folder.chmod(0o755)
    options = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if subprocess.run(options, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def fill(disk: Path) -> Path:
    """All that is left of it."""
    rubbish = disk / "rubbish"
    with contextlib.suppress(OSError), rubbish.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return rubbish


async def fills_up(api: Api, wallets: Wallets, disk: Path, again: Callable[[], None]) -> None:
    """Sells until five sales are refused; they and all others are paid once there is room."""
    paid, refused = [], []
    rubbish = fill(disk)
    for number in range(2000):
        asked = order(code=await wallets.code(), order=f"o{number}")
        status, told = await ask(api, "POST", "/v1/payments", f"k{number}", asked)
        if status == 503:
            refused.append((number, asked))
            if len(refused) == 5:
                break
        else:
            paid.append(told["id"])
    assert len(refused) == 5
    rubbish.unlink()
    await asyncio.to_thread(again)
    for number, asked in refused:
        told = await until_taken(api, "POST", "/v1/payments", f"k{number}", asked)
        paid.append(told["id"])
    for payment_id in paid:
        told = await until_taken(api, "GET", f"/v1/payments/{payment_id}")
        assert told["status"] == "SUCCEEDED"
        assert await wallets.debits(payment_id) == (1, 100)


def test_a_database_without_disk_for_its_tables(postgres, tmp_path):
    """The server stays: sales go on while pages have room."""
    with small_disk() as disk, running_server() as server:
        place = disk / "tables"
        place.mkdir()
        owner = (server.folder / "data").stat()
        os.chown(place, owner.st_uid, owner.st_gid)
        server.sql(f"CREATE TABLESPACE small LOCATION '{place}'")
        server.sql("CREATE DATABASE pay TABLESPACE small")

        async def run():
            async with selling(tmp_path, server.url("pay")) as (api, wallets):
                await fills_up(api, wallets, disk, lambda: None)

        asyncio.run(run())


def move_journal(server: Server, disk: Path) -> None:
    """To that disk, with 16 MB of it nearly used up."""
    server.stop()
    there, here = disk / "journal", server.folder / "data" / "pg_wal"
    shutil.copytree(here, there)
    owner = here.stat()
    for each in (there, *there.rglob("*")):
        os.chown(each, owner.st_uid, owner.st_gid)
    there.chmod(0o700)
    shutil.rmtree(here)
    here.symlink_to(there)
    server.start()
    server.sql(
        "SELECT pg_switch_wal()",
        "SELECT pg_logical_emit_message(false, '', repeat('x', 16000000), flush => true)",
    )


@pytest.mark.soak
def test_a_database_without_disk_for_its_journal(postgres, tmp_path):
    """The server panics and ends; whatever watches over it starts it again. The gateway stays."""
    with small_disk("100m") as disk, running_server() as server:
        url = server.migrated()
        move_journal(server, disk)

        said: list[str] = []

        def again() -> None:
            said.extend(server.said)
            server.stop()
            server.start()

        async def run():
            async with selling(tmp_path, url) as (api, wallets):
                await fills_up(api, wallets, disk, again)

        asyncio.run(run())
        assert any("PANIC" in line for line in said)

"""Three database servers under Patroni, etcd and HAProxy as `deploy/` has them, each a machine of
its own, and two gateways: the primary is cut off and killed under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from tests.e2e.balancer import Balancer
from tests.e2e.cluster import Cluster
from tests.e2e.kills import Stage
from tests.e2e.lan import POSTGRES, Lan, Machine, lan

DEPLOY = Path(__file__).parents[2] / "deploy"
READY_LIMIT_S = 120.0
ROLES = "postgres"
SECRET = "of-this-test"


class HighAvailability(Cluster):
    """See `Stage`: what is killed is the primary, by turns cut off and killed outright."""

    workers = (1, 1)

    @contextlib.asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self.nodes = {}
        self.turns = 0
        self.outages: list[str] = []
        self.servers = Path(f"/var/tmp/tillgate-ha-{os.getpid()}")
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self.servers, ignore_errors=True)
            self.lan: Lan = stack.enter_context(lan(("a", "b", "c")))
            self.servers.mkdir(mode=0o755)
            (self.servers / "patroni.yml").write_bytes(
                (DEPLOY / "database" / "patroni.yml").read_bytes()
            )
            for number in range(3):
                self.start_server(number)
            stack.enter_context(self.haproxy())
            await self.until(lambda: self.primary(), READY_LIMIT_S, "a primary")
            await self.until(self.is_whole, READY_LIMIT_S, "cluster of three")
            await self.make_database()
            async with Balancer().running() as self.balancer:
                self.url = self.balancer.url
                async with Stage.ready(self):
                    yield

    # --- The database

    def address(self, number: int) -> str:
        return self.lan.machines[number].address

    def start_server(self, number: int) -> None:
        """etcd and Patroni, by the environment that `deploy/database/*.env` shows."""
        machine = self.lan.machines[number]
        places = {f"DB{n + 1}": self.address(n) for n in range(3)}
        own = f"db{number + 1}"
        folder = self.servers / own
        if not folder.exists():
            folder.mkdir()
            shutil.chown(folder, ROLES, ROLES)
        environ = {}
        for name in ("etcd", "patroni"):
            for line in (DEPLOY / "database" / f"{name}.env").read_text().splitlines():
                key, is_setting, value = line.partition("=")
                if is_setting and not line.startswith("#"):
                    environ[key] = value
        for key, value in environ.items():
            if not key.endswith(("_HOSTS", "_CLUSTER")):
                value = value.replace("DB1", f"DB{number + 1}")
                value = own if value == "db1" else value
            for word, address in places.items():
                value = value.replace(word, address)
            environ[key] = value.replace("change-me", SECRET)
        environ |= {
            "ETCD_DATA_DIR": str(folder / "etcd"),
            "PATRONI_POSTGRESQL_DATA_DIR": str(folder / "data"),
            "PATRONI_POSTGRESQL_BIN_DIR": str(POSTGRES.parent),
        }
        log = self.servers / f"{own}.txt"
        machine.run(["etcd"], environ, self.servers / f"{own}-etcd.txt", ROLES)
        machine.run(["patroni", str(self.servers / "patroni.yml")], environ, log, ROLES)

    @contextlib.contextmanager
    def haproxy(self) -> Any:
        """On this machine, as every gateway's would be."""
        places = {f"DB{number + 1}": self.address(number) for number in range(3)}
        environ = os.environ | places | {"DB_LISTEN": f"{self.lan.address}:5432"}
        config = DEPLOY / "haproxy" / "database.cfg"
        with (self.servers / "haproxy.txt").open("wb") as log:
            process = subprocess.Popen(
                ["/usr/sbin/haproxy", "-db", "-f", str(config)], env=environ, stdout=log, stderr=log
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)

    async def primary(self) -> int | None:
        """The number of the server that says so."""
        for number in range(3):
            if await self.asks(number, "/primary") == 200:
                return number
        return None

    async def asks(self, number: int, path: str) -> int:
        timeout = aiohttp.ClientTimeout(total=2)
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = f"http://{self.address(number)}:8008{path}"
            async with self.session.get(url, timeout=timeout) as answer:
                return answer.status
        return 0

    async def is_whole(self) -> bool:
        """A primary, and two standbys that follow it, one of them synchronously."""
        paths = ("/primary", "/synchronous", "/replica?lag=1MB")
        told = [[await self.asks(number, path) for number in range(3)] for path in paths]
        return [answers.count(200) for answers in told] == [1, 1, 2]

    async def until(self, found: Any, limit_s: float, what: str) -> Any:
        began = time.monotonic()
        while time.monotonic() - began < limit_s:
            result = await found()
            if result is not None and result is not False:  # 0 is a server
                return result
            await asyncio.sleep(0.5)
        told = {path.name: path.read_text()[-1500:] for path in self.servers.glob("*.txt")}
        raise AssertionError(f"no {what} within {limit_s:g} s: {told}")

    async def make_database(self) -> None:
        """As the operator guide has it."""
        place = f"{self.lan.address}:5432"
        admin = await asyncpg.connect(f"postgresql://postgres:{SECRET}@{place}/postgres")
        await admin.execute(f"CREATE ROLE tillgate LOGIN PASSWORD '{SECRET}'")
        await admin.execute("CREATE DATABASE tillgate OWNER tillgate")
        await admin.close()
        self.store = f"postgresql://tillgate:{SECRET}@{place}/tillgate"

    # --- What goes wrong

    async def kill(self, down_s: float) -> None:
        # Without a synchronous standby nobody may take over, on purpose.
        await self.until(self.is_whole, READY_LIMIT_S, "cluster of three")
        number = await self.until(self.primary, READY_LIMIT_S, "a primary")
        machine: Machine = self.lan.machines[number]
        is_cut = self.turns % 2 == 0
        self.turns += 1
        began = time.monotonic()
        await asyncio.to_thread(machine.cut if is_cut else machine.kill)

        async def another() -> int | None:
            found = await self.primary()
            return found if found != number else None

        await self.until(another, READY_LIMIT_S, "another primary")
        await self.until(self.writes, READY_LIMIT_S, "write on the new primary")
        took = time.monotonic() - began
        what = "cut off" if is_cut else "killed"
        self.outages.append(f"db{number + 1} {what}: written to again after {took:.1f} s")
        await asyncio.sleep(down_s)
        if is_cut:
            await asyncio.to_thread(machine.heal)
        else:
            self.start_server(number)
        await self.until(self.is_whole, READY_LIMIT_S, "cluster of three")

    async def writes(self) -> bool:
        """Whether a commit through HAProxy is acknowledged."""
        with contextlib.suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with asyncio.timeout(3):
                connection = await asyncpg.connect(self.store)
                try:
                    await connection.execute("SELECT pg_current_xact_id()")
                    return True
                finally:
                    connection.terminate()
        return False

"""Several nodes over one PostgreSQL server behind a load balancer, all of them real processes, and
kills of any of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

from tests.e2e.balancer import Balancer
from tests.e2e.kills import Stage
from tests.e2e.test_processes import Process
from tests.postgres_side import Server, running_server


def children(pid: int) -> list[int]:
    """Of a process; none of one that is gone."""
    with contextlib.suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def kill_node(node: Process) -> None:
    """As when its machine goes: the supervisor and its workers, at once."""
    pid = node.process.pid
    for each in (pid, *children(pid)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    node.end()


class Cluster(Stage):
    """See `Stage`: what is killed is a node, one of its workers, or the database."""

    database: Server
    workers: tuple[int, ...] = (2, 1)
    """Of each node: a supervisor with two, and a process alone."""

    @contextlib.asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self.nodes: dict[int, Process] = {}
        self.victims: list[str] = []
        with contextlib.ExitStack() as stack:
            self.database = await asyncio.to_thread(stack.enter_context, running_server())
            self.store = self.database.migrated()
            async with Balancer().running() as self.balancer:
                self.url = self.balancer.url
                async with super().ready():
                    yield

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Cluster]:
        async with self.ready():
            yield self

    async def start(self) -> None:
        await asyncio.gather(*(self.start_node(number) for number in range(len(self.workers))))

    async def start_node(self, number: int, **environ: str) -> None:
        options = ("--listen", "127.0.0.1:0", "--workers", str(self.workers[number]))
        told = self.environ | {"TILLGATE_STORE": self.store} | environ
        node = await asyncio.to_thread(lambda: Process(self.folder, "serve", *options, **told))
        self.nodes[number] = node
        self.balancer.nodes.append(node.url)

    async def end(self) -> None:
        for number in list(self.nodes):
            await self.kill_node(number)

    async def kill_node(self, number: int) -> None:
        node = self.nodes.pop(number)
        await asyncio.to_thread(kill_node, node)
        self.balancer.nodes.remove(node.url)

    async def kill(self, down_s: float) -> None:
        if not self.victims:
            self.victims = ["database", "node", "worker"]
            self.dice.shuffle(self.victims)
        match self.victims.pop():
            case "database":
                await asyncio.to_thread(self.database.stop, signal.SIGQUIT)
                await asyncio.sleep(down_s)
                await asyncio.to_thread(self.database.start)
            case "node":
                number = self.dice.randrange(len(self.workers))
                await self.kill_node(number)
                await asyncio.sleep(down_s)
                await self.start_node(number)
            case "worker":  # nobody but its supervisor begins it anew
                victims = children(self.nodes[0].process.pid)
                os.kill(self.dice.choice(victims), signal.SIGKILL)

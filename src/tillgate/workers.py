"""Several processes of one gateway on one machine: started, watched, begun anew when one dies, and
ended together.

The supervisor holds the addresses and nothing else: each worker listens for itself (SO_REUSEPORT),
once it is ready to serve, so a connection never waits for a worker that is not there. Workers are
new programs, not forks. They go when the supervisor goes, however it ends: their standard input
closes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

PAUSES_S = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""How long a worker's place stays empty after its first, second, ... end in a row. Ours: the first
costs nothing that matters, and one that can't live doesn't take a core to die again and again."""
STEADY_S = 60.0
"""A worker that lived so long has no row of ends behind it."""
STOP_LIMIT_S = 45.0
"""How long a stop waits: a worker ends what runs within 10 s, then its calls within 9 s, then its
webhooks within 11 s. Who takes longer is killed; its rows say what is due."""


class Supervisor:
    """Runs so many workers until SIGTERM or SIGINT."""

    def __init__(
        self, command: Callable[[int], Sequence[str]], count: int, on_ready: Callable[[], None]
    ) -> None:
        """`command` tells what to run as worker 1, 2, ...; each says one line on standard output
        once it serves.
        """
        self._command = command
        self._count = count
        self._on_ready = on_ready
        self._running: dict[int, Process] = {}
        self._stopping = asyncio.Event()

    def run(self, *, until_stdin_closes: bool = False) -> int:
        """Returns the exit status: 0 after a clean stop, else the one of the worker that could not
        begin.
        """
        return asyncio.run(self._run(until_stdin_closes))

    async def _run(self, until_stdin_closes: bool) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._pass_on, signal.SIGHUP)
        if until_stdin_closes:
            _when_stdin_closes(loop, self._stop)
        # The first one alone: it migrates the database, and what is wrong is told once.
        if not await self._start(1):
            return await self._end()
        await asyncio.gather(*(self._start(number) for number in range(2, self._count + 1)))
        if not self._stopping.is_set():
            self._on_ready()
        keeping = [asyncio.ensure_future(self._keep(number)) for number in self._running]
        await self._stopping.wait()
        status = await self._end()
        await asyncio.gather(*keeping)
        return status

    async def _start(self, number: int) -> bool:
        """Run a worker; returns once it serves (True), or has ended without."""
        process = await asyncio.create_subprocess_exec(
            *self._command(number),
            stdin=PIPE,
            stdout=PIPE,
            process_group=0,  # Ctrl-C in a terminal is ours to pass on, once
        )
        self._running[number] = process
        if self._stopping.is_set():
            _send(process, signal.SIGTERM)
        assert process.stdout is not None
        return bool(await process.stdout.readline())

    async def _keep(self, number: int) -> None:
        """Begin a worker anew each time it ends, until the stop."""
        loop = asyncio.get_running_loop()
        ends, began = 0, loop.time()
        while True:
            process = self._running[number]
            status = await process.wait()
            if self._stopping.is_set():
                return
            ends = 0 if loop.time() - began > STEADY_S else ends
            pause_s = PAUSES_S[min(ends, len(PAUSES_S) - 1)]
            ends += 1
            log.error(
                "worker %d (process %d) %s; another one begins in %g s",
                *(number, process.pid, _words(status), pause_s),
            )
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
            if self._stopping.is_set():
                return
            began = loop.time()
            if await self._start(number):
                log.warning("worker %d serves again", number)

    def _stop(self) -> None:
        """The first call lets what runs end; another one cuts it off."""
        self._pass_on(signal.SIGINT if self._stopping.is_set() else signal.SIGTERM)
        self._stopping.set()

    def _pass_on(self, sent: signal.Signals) -> None:
        for process in self._running.values():
            _send(process, sent)

    async def _end(self) -> int:
        """Wait until all have ended; who takes too long is killed."""
        if not self._stopping.is_set():
            self._stop()
        waits = [asyncio.ensure_future(each.wait()) for each in self._running.values()]
        _, late = await asyncio.wait(waits, timeout=STOP_LIMIT_S)
        if late:
            log.error("%d workers did not end within %g s: killed", len(late), STOP_LIMIT_S)
            self._pass_on(signal.SIGKILL)
        statuses = await asyncio.gather(*waits)
        # One that was told to stop before it could listen for it ended well, too.
        told = [each for each in statuses if each not in (0, -signal.SIGTERM)]
        return abs(told[0]) if told else 0


def _send(process: Process, sent: signal.Signals) -> None:
    # Not by its own method: that one reaps a process that has just ended, and its status is lost.
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, sent)


def _words(status: int) -> str:
    return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"


def _when_stdin_closes(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
    def readable() -> None:
        if not os.read(sys.stdin.fileno(), 4096):
            loop.remove_reader(sys.stdin.fileno())
            stop()

    loop.add_reader(sys.stdin.fileno(), readable)

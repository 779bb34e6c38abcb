"""An event loop on virtual time, and the lives of the processes that share it.

The loop never waits: where a real one would sleep in `select`, this one moves the world's clock.
Everything that runs carries, in its context, the `Life` it belongs to; so a process can die or
stand still at any line, with all its tasks and timers, while the others go on.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any, NoReturn, TypeVar

from tillgate.simulation.stage import Stage

T = TypeVar("T")

_MICROSECONDS = 1_000_000
_RESOLUTION_S = 5e-7
"""Half of the world's smallest step: sums of floats miss their moment by less."""


class Stuck(RuntimeError):
    """Nothing is left to come, and the world did not notice."""


class Life:
    """One process, from its start to its death. What it does runs in its context.

    Attributes:
        runs: False while it stands still, and for ever once it is dead.
    """

    __slots__ = ("context", "held", "is_dead", "runs", "tasks")

    def __init__(self) -> None:
        self.is_dead = False
        self.runs = True
        self.held: list[asyncio.Handle] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.context = copy_context()
        self.context.run(_LIFE.set, self)

    def hold(self, handle: asyncio.Handle) -> None:
        """Something is to run later; for a dead process that is never."""
        if not self.is_dead:
            self.held.append(handle)


_LIFE: ContextVar[Life] = ContextVar("life")


class _Never:
    """Waits for ever."""

    def __await__(self) -> Generator[None, None, NoReturn]:
        yield from asyncio.get_running_loop().create_future()
        raise AssertionError("the dead were called")


NEVER = _Never()


class VirtualLoop(asyncio.BaseEventLoop):
    """See the module. Its time is `stage.now`."""

    _ready: deque[asyncio.Handle]
    _scheduled: list[asyncio.TimerHandle]

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self._nothing = asyncio.Handle(_nothing, (), self)
        self._nothing.cancel()
        self.outside = Life()
        self._lives = [self.outside]

    def time(self) -> float:
        """Seconds since the world began."""
        return self._stage.now / _MICROSECONDS

    def _run_once(self) -> None:
        """What is ready runs; with nothing ready, time passes until the next timer."""
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False  # type: ignore[attr-defined]  # not in typeshed
        if not ready:
            if not scheduled:
                raise Stuck
            self._stage.now = max(self._stage.now, round(scheduled[0].when() * _MICROSECONDS))
        due = self._stage.now / _MICROSECONDS + _RESOLUTION_S
        while scheduled and scheduled[0].when() < due:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False  # type: ignore[attr-defined]  # not in typeshed
            ready.append(handle)
        for _ in range(len(ready)):
            soon = ready.popleft()
            if not soon._cancelled:
                soon._run()

    def _process_events(self, events: list[Any]) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no threads."""

    def new_life(self) -> Life:
        """A process starts."""
        life = Life()
        self._lives.append(life)
        return life

    def start(
        self, life: Life, work: Coroutine[Any, Any, T], then: Callable[[asyncio.Task[T]], None]
    ) -> None:
        """Let a process do something; `then` hears of its end, in that process."""
        context = life.context.copy()
        task = self.create_task(work, context=context)
        task.add_done_callback(then, context=context)

    # What runs later
    # ------------------------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]  # Any for typeshed's *_Ts
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """As every loop, but for those who stand still or are dead."""
        life = _LIFE.get(None) if context is None else context.get(_LIFE)
        handle = asyncio.Handle(callback, args, self, context)
        if life is None or life.runs:
            self._ready.append(handle)
        else:
            life.hold(handle)
        return handle

    def call_at(  # type: ignore[override]  # Any for typeshed's *_Ts
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """As every loop, but for those who stand still or are dead."""
        life = _LIFE.get(None) if context is None else context.get(_LIFE)
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if life is None or life.runs:
            handle._scheduled = True  # type: ignore[attr-defined]  # not in typeshed
            heapq.heappush(self._scheduled, handle)
        else:
            life.hold(handle)
        return handle

    def create_task(  # type: ignore[override]  # no generators here
        self, coro: Coroutine[Any, Any, T], *, context: Context | None = None, **more: Any
    ) -> asyncio.Task[T]:
        """As every loop; the task belongs to the life of its context."""
        life = _LIFE.get(self.outside) if context is None else context[_LIFE]
        task = asyncio.Task(coro, loop=self, context=context, **more)
        life.tasks.append(task)
        return task

    # Life and death
    # ------------------------------------------------------------------------------------------

    def pause(self, life: Life) -> None:
        """Everything of this process waits from now on."""
        life.runs = False
        life.held += self._taken_out(life)

    def resume(self, life: Life) -> None:
        """It goes on, late."""
        if life.is_dead:
            return
        life.runs = True
        held, life.held = life.held, []
        for handle in held:
            if handle.cancelled():
                continue
            if isinstance(handle, asyncio.TimerHandle):
                handle._scheduled = True  # type: ignore[attr-defined]  # not in typeshed
                heapq.heappush(self._scheduled, handle)
            else:
                self._ready.append(handle)

    def kill(self, life: Life) -> None:
        """None of its code ever runs again."""
        life.runs = False
        life.is_dead = True
        life.held.clear()
        self._taken_out(life)

    def _taken_out(self, life: Life) -> list[asyncio.Handle]:
        """Its timers and what it was about to do, off the loop's queues."""
        soon = [handle for handle in self._ready if _life_of(handle) is life]
        if soon:
            # The loop has counted what is ready: their places stay, with nothing to do.
            rest = [self._nothing if _life_of(h) is life else h for h in self._ready]
            self._ready.clear()
            self._ready.extend(rest)
        timers = [handle for handle in self._scheduled if _life_of(handle) is life]
        if timers:
            # In place and in order: the heap stays the same from run to run.
            self._scheduled[:] = [h for h in self._scheduled if _life_of(h) is not life]
            heapq.heapify(self._scheduled)
            for handle in timers:
                handle._scheduled = False  # type: ignore[attr-defined]  # not in typeshed
        timers.sort(key=asyncio.TimerHandle.when)
        return [*soon, *timers]

    def unheard(self) -> list[BaseException]:
        """What tasks of the living raised, where nobody asked."""
        return [
            error
            for life in self._lives
            if not life.is_dead
            for task in life.tasks
            if task.done() and task._log_traceback and (error := task.exception())
        ]

    def end(self) -> None:
        """The world is over: nobody runs any more, and nothing is said of tasks that were left."""
        for life in self._lives:
            self.kill(life)
        for life in self._lives:
            for task in life.tasks:
                if task.done():
                    task._log_traceback = False
                else:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # not in typeshed
                    _close(task.get_coro())
            life.tasks.clear()
        self.close()


def _close(work: Any) -> None:
    """End a coroutine, and those it was given and never began to await."""
    if inspect.getcoroutinestate(work) == inspect.CORO_CREATED:
        for inner in list(work.cr_frame.f_locals.values()):
            if asyncio.iscoroutine(inner):
                _close(inner)
    work.close()


def _nothing() -> None:
    """In the place of what was taken away."""


def _life_of(handle: asyncio.Handle) -> Life | None:
    context: Context = handle._context  # type: ignore[attr-defined]  # not in typeshed
    return context.get(_LIFE)

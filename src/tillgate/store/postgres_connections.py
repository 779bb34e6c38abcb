"""Connections to PostgreSQL: how one is made, how long one is waited for, and what an error of it
means.

A statement that takes too long loses its connection, without a cancel request: that would come by a
connection of its own, through the same broken network, and prove nothing.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import asyncpg

from tillgate.core.errors import PaymentIdTaken, StoreError
from tillgate.store import REPORT_LIMIT_S
from tillgate.store.postgres_url import PostgresUrl

T = TypeVar("T")
Connection = Any
"""An `asyncpg.Connection`; the driver's types are not checked."""
Values = Sequence[Any]

CONNECT_LIMIT_S = 5.0
"""How long a new connection may take. Ours."""
ANSWER_LIMIT_S = 5.0
"""How long a statement may run before its connection is given up. Ours: a till waits for 10 s."""
_SERVER_LIMIT_MS = 4000
"""The server ends a statement itself before that, so that it doesn't go on behind our back."""

QUICK = {"jit": "off", "statement_timeout": str(_SERVER_LIMIT_MS)}
"""Settings of a connection for transactions."""
PINNED = QUICK | {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
"""Settings of a writer: a batch finds its rows by the primary key, also where the statement was
planned while the table was empty. Measured: 0.037 ms, flat; unpinned it rose from 0.17 to 0.89 ms
within 90,000 rows.
"""
LOOKING = PINNED | {"plan_cache_mode": "force_custom_plan"}
"""Settings of readers: planned each time. Several indexes begin with the merchant, and on an empty
table they cost the same.
"""
PATIENT = {"jit": "off", "statement_timeout": str(int(REPORT_LIMIT_S * 1000))}
"""Settings of a connection for reports."""

_PAYMENT_ID = "uq_payment_connector_payment_id"
_SHUTDOWN = "57P"
_CONNECTION = "08"
_READ_ONLY = "25006"
_WARNING = "01000"
_OF_ROWS = ("22", "23", "40")
"""Classes of errors: bad data, a broken constraint, a conflict with others."""
_POOLER_HINT = " (leave it out of the URL, or add it to PgBouncer's ignore_startup_parameters)"


class LostTrack(Exception):
    """The server acknowledged a commit that it did not wait out: it may yet be lost."""


FAULTS = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    LostTrack,
)
"""What a connection may raise. A time-out is an `OSError`."""


async def connect(url: PostgresUrl, settings: Mapping[str, str]) -> Connection:
    """A new connection. Where the URL names several servers all are asked at once, and the first
    that may be written to is it: one that is cut off must not hold up the way to the next.

    Raises:
        StoreError: there is none to be had.
    """
    if len(url.dsns) == 1:
        try:
            return await _dial(url, url.dsns[0], settings, None)
        except StoreError as error:
            raise StoreError(f"{url} {error}") from None
    dials = [asyncio.create_task(_dial(url, dsn, settings, "read-write")) for dsn in url.dsns]
    taken: asyncio.Task[Connection] | None = None
    try:
        taken = await _first_success(dials)
    finally:
        await _let_go(dials, taken)
    if taken is not None:
        return taken.result()
    reasons = sorted({str(each.exception()) for each in dials})
    raise StoreError(f"{url} has no server to write to: one {', one '.join(reasons)}")


async def _first_success(tasks: Sequence[asyncio.Task[T]]) -> asyncio.Task[T] | None:
    waiting = set(tasks)
    while waiting:
        done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if found := next((each for each in done if each.exception() is None), None):
            return found
    return None


async def _let_go(
    dials: Sequence[asyncio.Task[Connection]], taken: asyncio.Task[Connection] | None
) -> None:
    others = [each for each in dials if each is not taken]
    for each in others:
        each.cancel()
    for made in await asyncio.gather(*others, return_exceptions=True):
        if not isinstance(made, BaseException):
            made.terminate()


async def _dial(
    url: PostgresUrl, dsn: str, settings: Mapping[str, str], wanted: str | None
) -> Connection:
    """A connection to one server.

    Raises:
        StoreError: why there is none, to be told of the server.
    """
    try:
        return await asyncpg.connect(
            dsn,
            timeout=CONNECT_LIMIT_S,
            statement_cache_size=0 if url.is_pooled else 100,
            # PgBouncer refuses settings that it does not know; there each statement brings them.
            server_settings={"application_name": "tillgate", **({} if url.is_pooled else settings)},
            target_session_attrs=wanted,
        )
    except TimeoutError:
        raise StoreError(f"did not answer within {CONNECT_LIMIT_S:g} s") from None
    except ssl.SSLCertVerificationError as error:
        reason = error.verify_message or url.without_secrets(str(error))
        raise StoreError(f"shows a certificate that is not trusted: {reason}") from None
    except (OSError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        words = _words(error, url)
        hint = _POOLER_HINT if "unsupported startup parameter" in words else ""
        raise StoreError(f"cannot be reached: {words}{hint}") from None
    except asyncpg.TargetServerAttributeNotMatched:
        raise StoreError("may only be read") from None
    except asyncpg.InternalClientError as error:
        raise StoreError(f"cannot be used: {_words(error, url)}") from None


async def fetch(
    connection: Connection, text: str, values: Values, local: Mapping[str, str] | None
) -> Sequence[Any]:
    """The rows of one statement in a transaction of its own; durable when it returns.

    `local` are its settings behind PgBouncer, where nothing outlives a transaction.
    """
    if local is None:
        rows: Sequence[Any] = await connection.fetch(text, *values)
        return rows
    async with connection.transaction():
        await set_local(connection, local)
        rows = await connection.fetch(text, *values)
    return rows


async def set_local(connection: Connection, settings: Mapping[str, str]) -> None:
    """Settings for the transaction that runs."""
    words = (f"SET LOCAL {name} = '{value}'" for name, value in settings.items())
    await connection.execute("; ".join(words))


@contextmanager
def waited_out(connection: Connection) -> Iterator[None]:
    """Inside it a commit counts only when its standby has it, where there is one to wait for.

    Raises:
        LostTrack: the wait was cut short, which PostgreSQL calls a success with a warning, the only
            one of a plain commit.
    """
    warnings: list[Any] = []

    def listen(connection: Connection, message: Any) -> None:
        if message.sqlstate == _WARNING:
            warnings.append(message)

    connection.add_log_listener(listen)
    try:
        yield
    finally:
        connection.remove_log_listener(listen)
    if warnings:
        raise LostTrack("the server did not wait for its standby")


async def within(connection: Connection, doing: Coroutine[Any, Any, T], limit_s: float) -> T:
    """The result of what is done on a connection.

    Raises:
        TimeoutError: it took too long; the connection is gone, and what it did is unknown.
    """
    task = asyncio.ensure_future(doing)
    try:
        done, _ = await asyncio.wait({task}, timeout=limit_s)
    except asyncio.CancelledError:
        await _give_up(connection, task)
        raise
    if not done:
        await _give_up(connection, task)
        raise TimeoutError(f"no answer within {limit_s:g} s")
    return task.result()


async def _give_up(connection: Connection, task: asyncio.Task[Any]) -> None:
    connection.terminate()
    await asyncio.wait({task})  # it ends at once: its connection is gone
    if not task.cancelled():
        task.exception()


def is_lost(error: Exception) -> bool:
    """Whether the connection went away, so that what it was doing may or may not be saved."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        is_over = isinstance(error, asyncpg.FatalPostgresError)
        return is_over or state.startswith((_CONNECTION, _SHUTDOWN))
    if is_bad_value(error):
        return False
    return isinstance(
        error, OSError | LostTrack | asyncpg.InterfaceError | asyncpg.InternalClientError
    )


def is_bad_value(error: Exception) -> bool:
    """Whether the driver refused a value before anything was sent."""
    return isinstance(error, ValueError) and isinstance(error, asyncpg.InterfaceError)


def state_of(error: Exception) -> str:
    """The SQLSTATE, or nothing."""
    return (error.sqlstate or "") if isinstance(error, asyncpg.PostgresError) else ""


def is_read_only(error: Exception) -> bool:
    """Whether the server is a standby, or became one: the next connection may find the primary."""
    return state_of(error) == _READ_ONLY


def is_usable_after(error: Exception) -> bool:
    """Whether a connection may go on after this: what was wrong was a row or a race, nothing else.

    A BEGIN that fails, cancelled by the server's own limit for one, leaves the driver in a
    transaction that the server does not know of, and every later one would be a savepoint in it.
    """
    return is_bad_value(error) or state_of(error).startswith(_OF_ROWS)


def store_error(error: Exception, url: PostgresUrl) -> StoreError:
    """What the caller is told: never a value of a row, which PostgreSQL likes to add."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name == _PAYMENT_ID:
        return PaymentIdTaken("another payment holds this paymentId")
    if is_lost(error):
        return StoreError(f"{url} was lost on the way: {_words(error, url)}")
    return StoreError(f"the database could not do it: {_words(error, url)}")


def _words(error: Exception, url: PostgresUrl) -> str:
    state = state_of(error)
    if state.startswith(("22", "23")) or is_bad_value(error):
        return type(error).__name__  # the message quotes the value
    text = str(error.args[0]) if state and error.args else str(error)
    return url.without_secrets(text) or type(error).__name__


class Connections:
    """At most so many connections at once, made when they are needed."""

    def __init__(self, url: PostgresUrl, settings: Mapping[str, str], limit: int) -> None:
        """`settings` hold for each connection."""
        self._url = url
        self._settings = settings
        self._places = asyncio.Semaphore(limit)
        self._idle: list[Connection] = []
        self._is_closed = False
        self.local = settings if url.is_pooled else None

    async def run(
        self, work: Callable[[Connection], Coroutine[Any, Any, T]], limit_s: float = ANSWER_LIMIT_S
    ) -> T:
        """Run `work(connection)`, with a connection that nobody else uses meanwhile.

        Raises:
            StoreError: there is no connection, or none became free in time.
            Exception: what the work raised, as it came.
        """
        try:
            async with asyncio.timeout(limit_s):
                await self._places.acquire()
        except TimeoutError:
            raise StoreError(f"every connection was busy for {limit_s:g} s") from None
        try:
            connection = await self._take()
            try:
                return await within(connection, work(connection), limit_s)
            except FAULTS as error:
                if not is_usable_after(error):
                    connection.terminate()
                raise
            finally:
                self._put_back(connection)
        finally:
            self._places.release()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        if self._is_closed:
            raise StoreError("the store is closed")
        return await connect(self._url, self._settings)

    def _put_back(self, connection: Connection) -> None:
        if self._is_closed:
            connection.terminate()
        elif not connection.is_closed():
            self._idle.append(connection)

    async def fetch(self, text: str, values: Values) -> Sequence[Any]:
        """The rows of a reading statement, asked again once where its connection had died.

        Raises:
            StoreError: they could not be read.
        """

        def work(connection: Connection) -> Coroutine[Any, Any, Sequence[Any]]:
            return fetch(connection, text, values, self.local)

        limit_s = int(self._settings["statement_timeout"]) / 1000 + 1
        try:
            try:
                return await self.run(work, limit_s)
            except (asyncpg.PostgresError, asyncpg.InterfaceError, ConnectionError) as error:
                if not is_lost(error):
                    raise
                return await self.run(work, limit_s)
        except FAULTS as error:
            raise store_error(error, self._url) from None

    async def close(self) -> None:
        """Let go of every connection; one that is in use goes when it is given back."""
        self._is_closed = True
        while self._idle:
            await hang_up(self._idle.pop())


async def hang_up(connection: Connection) -> None:
    """Say good-bye, or just go where nobody listens."""
    closing: Awaitable[None] = connection.close(timeout=1)
    with suppress(*FAULTS):
        await closing

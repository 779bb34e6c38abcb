"""A real PgBouncer before the tests' server, where it is installed (Debian: `pgbouncer`)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres_side import OWNER, NoServer, Server, account, dies_with_us

START_LIMIT_S = 10.0


def program() -> str:
    """Where PgBouncer is.

    Raises:
        NoServer: nowhere.
    """
    found = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise NoServer("pgbouncer is not installed")
    return found


@contextlib.contextmanager
def pgbouncer_before(
    server: Server, mode: str = "transaction", settings: str = ""
) -> Iterator[Path]:
    """See `running_pgbouncer`; a test that asks for it is skipped where there is none."""
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(running_pgbouncer(server, mode, settings))
        except NoServer as reason:
            if os.environ.get("CI") == "true":
                pytest.fail(f"CI needs PgBouncer: {reason}")
            pytest.skip(str(reason))
        yield folder


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0


@contextlib.contextmanager
def running_pgbouncer(
    server: Server, mode: str = "transaction", settings: str = ""
) -> Iterator[Path]:
    """The folder of its socket; a database has the name that it has behind it.

    Few connections, dealt out in turn: the next transaction runs elsewhere wherever it can. Other
    `settings` may be given, where FOLDER stands for the folder; their password is `secret`.

    Raises:
        NoServer: it is not installed, or does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="tillgate-pgb-"))
    lines = [
        "[databases]",
        f"* = host={server.folder} user={OWNER}",
        "[pgbouncer]",
        f"unix_socket_dir = {folder}",
        "listen_port = 5432",
        "auth_type = any",
        f"pool_mode = {mode}",
        # A session keeps its connection: each of a store has to have one.
        f"default_pool_size = {40 if mode == 'session' else 4}",
        "server_round_robin = 1",
    ]
    (folder / "pgbouncer.ini").write_text(
        settings.replace("FOLDER", str(folder)) or "\n".join(lines) + "\n"
    )
    (folder / "userlist.txt").write_text(f'"{OWNER}" "secret"\n')
    folder.chmod(0o777)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program(), folder / "pgbouncer.ini"],
            stdout=log,
            stderr=log,
            preexec_fn=dies_with_us,
            **account(),
        )
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while not _listens(folder / ".s.PGSQL.5432"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise NoServer("pgbouncer does not start: " + (folder / "log").read_text())
            time.sleep(0.01)
        yield folder
    finally:
        process.kill()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)

"""The lock of a SQLite file: one process writes to it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from tillgate.core.errors import StoreError, StoreInUse


def take_lock(path: Path, *, is_new: bool = True) -> int:
    """Lock the database file itself, whatever name leads to it; the lock dies with this process.

    This is flock(2), which SQLite does not use: its own locks are fcntl's. The pid beside it is
    only for the message. Where it may be new, an empty file is made.

    Raises:
        StoreInUse: another process holds it.
        StoreError: it cannot be opened.
    """
    try:
        # Readable by its owner only; SQLite gives its companions the same mode.
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if is_new else 0), 0o600)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be opened: {error}") from None
    pid_file = path.resolve().with_name(path.resolve().name + ".pid")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        owner = pid_file.read_text(errors="replace").strip() if pid_file.exists() else "unknown"
        raise StoreInUse(
            f"{path} is in use by another tillgate process (pid {owner}). Stop that one, or give"
            " this one its own file; several gateways share one PostgreSQL database instead."
        ) from None
    with contextlib.suppress(OSError):
        pid_file.touch(mode=0o600)
        pid_file.write_text(f"{os.getpid()}\n")
    return lock

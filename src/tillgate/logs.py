"""Log lines: one format, to standard error, with payment codes masked whatever a message holds.

No module logs a code, a key or a signature on purpose; the mask here catches what slips into an
exception's text, and a test looks for both.
"""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime

from tillgate.core.codes import mask_in


class _Formatter(logging.Formatter):
    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def format(self, record: logging.LogRecord) -> str:
        return mask_in(super().format(record))


def set_up(level: str = "INFO", worker: int | None = None) -> None:
    """Send every log line of this process to standard error. Call once, at start.

    A worker's lines begin with its number, where several write to one place.
    """
    of_worker = "" if worker is None else f"[worker {worker}] "
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter(f"%(asctime)s {of_worker}%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel("WARNING")  # its start-up prose; ours says the same
    logging.getLogger("alembic").setLevel("WARNING")

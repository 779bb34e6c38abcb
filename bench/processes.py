"""What the kernel accounted to a process and all that it started, the finished ones included."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")
LIBRARIES = ("aiohttp", "asyncpg", "cryptography", "httptools", "msgspec", "uvicorn", "uvloop")


def tree_cpu_s(pid: int) -> float:
    """CPU seconds of a process, its finished children, and its living children likewise."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    seconds = sum(int(field) for field in stat[11:15]) / TICKS
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            try:
                seconds += tree_cpu_s(int(child))
            except FileNotFoundError:
                continue  # it ended meanwhile, and counts as finished next time
    return seconds


def where() -> dict[str, Any]:
    """The machine, the versions and the commit of a run, to be kept with its figures."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(": ")[2] for line in lines if line.startswith("model name")]
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.release(),
        "python": sys.version.split()[0],
        "libraries": {name: version(name) for name in LIBRARIES},
        "commit": described.stdout.strip() or None,
    }

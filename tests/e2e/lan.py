"""Machines of a small network, as network namespaces of this one (Linux, root, iproute2)."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NEEDED = ("ip", "setpriv", "haproxy", "etcd", "patroni")
POSTGRES = Path("/usr/lib/postgresql/15/bin/postgres")


def why_not() -> str | None:
    """What is missing for it here, in words."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    missing = [name for name in NEEDED if shutil.which(name, path=path) is None]
    if not POSTGRES.exists():
        missing.append("postgresql-15")
    return f"not installed: {', '.join(missing)}" if missing else None


def ip(*words: str) -> str:
    """Run `ip`; what it prints.

    Raises:
        CalledProcessError: it could not.
    """
    done = subprocess.run(["ip", *words], capture_output=True, text=True, check=True)
    return done.stdout


@dataclass
class Machine:
    """A namespace with one cable, and what runs in it."""

    name: str
    address: str
    cable: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def run(self, command: Sequence[str], environ: Mapping[str, str], log: Path, user: str) -> None:
        """Start something that goes on."""
        # The machines share a disk; each has its own folder for sockets, as the mounts of a command
        # in a namespace are its own.
        begin = 'mount -t tmpfs -o mode=777 none /run/postgresql && exec "$@"'
        as_user = ("setpriv", "--reuid", user, "--regid", user, "--init-groups")
        with log.open("ab") as out:
            self.processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", self.name, "sh", "-c", begin, "sh", *as_user, *command],
                    env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **environ},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=out,
                    cwd="/",
                )
            )

    def cut(self) -> None:
        """Pull the cable."""
        ip("link", "set", self.cable, "down")

    def heal(self) -> None:
        """Put it in again."""
        ip("link", "set", self.cable, "up")

    def kill(self) -> None:
        """All that runs in it, at once."""
        for _ in range(5):
            pids = ip("netns", "pids", self.name).split()
            if not pids:
                break
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for process in self.processes:
            process.kill()
            process.wait(10)
        self.processes.clear()


@dataclass
class Lan:
    """A switch with this machine and the others on it."""

    address: str
    machines: list[Machine]


@contextlib.contextmanager
def lan(names: Sequence[str]) -> Iterator[Lan]:
    """So many machines; all of it is gone afterwards."""
    own = f"tg{os.getpid() % 100000}"
    net = f"10.{77 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
    switch = f"{own}sw"
    with contextlib.ExitStack() as stack:
        _made(stack, ("link", "add", switch, "type", "bridge"), ("link", "del", switch))
        ip("addr", "add", f"{net}.1/24", "dev", switch)
        ip("link", "set", switch, "up")
        machines = []
        for number, name in enumerate(names, 11):
            space, cable, end = f"{own}{name}", f"{own}{name}", f"e{own}{name}"
            _made(stack, ("netns", "add", space), ("netns", "del", space))
            _made(
                stack,
                ("link", "add", cable, "type", "veth", "peer", "name", end),
                ("link", "del", cable),
            )
            ip("link", "set", end, "netns", space)
            ip("link", "set", cable, "master", switch, "up")
            for words in (
                ("addr", "add", f"{net}.{number}/24", "dev", end),
                ("link", "set", end, "up"),
                ("link", "set", "lo", "up"),
            ):
                ip("-n", space, *words)
            machine = Machine(space, f"{net}.{number}", cable)
            stack.callback(machine.kill)
            machines.append(machine)
        yield Lan(f"{net}.1", machines)


def _made(stack: contextlib.ExitStack, make: Sequence[str], unmake: Sequence[str]) -> None:
    ip(*make)

    def gone(*_: Any) -> None:
        subprocess.run(["ip", *unmake], capture_output=True, check=False)

    stack.callback(gone)

"""Instructions per payment, counted by valgrind: noise of the machine does not hide a regression.

Each program sells a few payments and then more of them, each time in a new process; the difference
is what so many more payments took, start-up and end left out. On SQLite, eight tills at once.
Valgrind knows fewer instructions than the processor, so OpenSSL takes a slower way for RSA: take
these figures to compare one release with the next, not as a share of the time. Where the processor
counts (`perf stat -e instructions`; a virtual machine often has no counter), perf is quicker.

    python -m bench.instructions
    python -m bench.instructions --programs gateway --payments 200
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import aiohttp

from bench.load import Tills
from bench.one_gateway import SANDBOX, Server, draw_codes, tell
from bench.processes import where
from bench.whole_path import Program, agree, quiet, start
from tillgate.cli.keys import Addresses, write_folder

PROGRAMS = ("gateway", "libraries", "sockets")
FEW, TILLS = 50, 8


async def sold(name: str, count: int) -> tuple[int, str | None]:
    """Instructions of a process that starts, sells so many and ends; why that does not hold."""
    with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as given:
        folder = Path(given)
        write_folder(folder, Addresses(gateway="127.0.0.1:0", sandbox="127.0.0.1:0"))
        key = tomllib.loads((folder / "till.toml").read_text())["api_key"]
        counted = folder / "counted.txt"
        # The network may take its time: nothing is sent twice because an instrument is slow.
        sandbox = Server(SANDBOX, folder, {"TILLGATE_SANDBOX_NOTIFY_DELAY_S": "1"})
        under = ("valgrind", "--tool=cachegrind", "--cache-sim=no", f"--log-file={counted}")
        under += ("--cachegrind-out-file=/dev/null",)
        program: Program | None = None
        try:
            store = str(folder / f"{name}.sqlite3")
            program = start(name, store, None, folder, sandbox.url, 1, under)
            async with aiohttp.ClientSession() as session:
                codes = await draw_codes(session, sandbox.url, count)
            load = await Tills(program.server.url, key).pay_all(codes, TILLS)
            program.paid = load.statuses.get("SUCCEEDED", 0)
            await asyncio.sleep(1)
            await quiet(sandbox)
            problem = await agree([program], sandbox, count)
        finally:
            if program is not None:
                program.server.end()
            sandbox.end()
        found = re.search(r"I\s+refs:\s+([0-9,]+)", counted.read_text())
        assert found is not None, counted.read_text()
        return int(found[1].replace(",", "")), problem


async def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {"bench": "instructions", "void": False}
    per_payment: dict[str, float] = {}
    for name in arguments.programs:
        few, first = await sold(name, FEW)
        many, second = await sold(name, FEW + arguments.payments)
        per_payment[name] = (many - few) / arguments.payments
        figures[f"{name}_instructions"] = round(per_payment[name])
        figures["void"] |= bool(first or second)
        print(f"  {name}: {per_payment[name] / 1e6:.2f} million instructions per payment")
    if "gateway" in per_payment:
        for name, count in per_payment.items():
            figures[f"gateway_to_{name}"] = round(per_payment["gateway"] / count, 3)
        del figures["gateway_to_gateway"]
    return figures | where()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.instructions --programs gateway --payments 200",
    )
    parser.add_argument("--programs", choices=PROGRAMS, nargs="+", default=PROGRAMS)
    parser.add_argument("--payments", type=int, default=200, help="more of them (default: 200)")
    parser.add_argument("--json", metavar="FILE", help="write the figures here too")
    arguments = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("this needs valgrind; on Debian: apt-get install valgrind", file=sys.stderr)
        return 2
    figures = asyncio.run(measure(arguments))
    return tell(figures, arguments.json, "the books disagree" if figures["void"] else None)


if __name__ == "__main__":
    sys.exit(main())

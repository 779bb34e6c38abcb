"""The short standard set: the whole path against its baselines, latency under load, history.

make bench
make bench BENCH="--json now.json"
python -m bench.compare before.json now.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.whole_path import table

SET = {
    "whole_path": ("--payments", "600", "--rounds", "3"),
    "latency": ("--payments", "1000"),
    "history": ("--payments", "600", "--rounds", "5", "--sizes", "0", "1000000"),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", nargs="+", choices=SET, default=list(SET), metavar="NAME")
    parser.add_argument("--json", metavar="FILE", help="write all figures here")
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    status = 0
    for name in arguments.only:
        with tempfile.TemporaryDirectory(prefix="tillgate-bench-") as folder:
            kept = Path(folder) / "figures.json"
            command = [sys.executable, "-m", f"bench.{name}", *SET[name], "--json", str(kept)]
            print(f"== {name}", flush=True)
            status |= subprocess.run(command, check=False).returncode
            found[name] = json.loads(kept.read_text()) if kept.exists() else {"void": True}
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(found, indent=2) + "\n")
    if "stores" in found.get("whole_path", {}):
        print(table(found["whole_path"]))
    return status


if __name__ == "__main__":
    sys.exit(main())

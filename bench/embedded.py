"""How long a test waits for the sandbox: the first start of a process, and each further one.

Each first start is that of a fresh interpreter, with its imports and its two RSA keys. Beside it,
in the same process, the time that two RSA keys take by themselves, so that the figure travels.

    python -m bench.embedded
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys

FRESH = """
import json, time
began = time.perf_counter()
from tillgate.sandbox.embedded import Sandbox
with Sandbox() as sandbox:
    sandbox.code()
    first = time.perf_counter() - began
began = time.perf_counter()
with Sandbox() as sandbox:
    sandbox.code()
    further = time.perf_counter() - began
from tillgate.alipayplus.signing import new_private_key
began = time.perf_counter()
new_private_key(), new_private_key()
keys = time.perf_counter() - began
print(json.dumps({"first": first, "further": further, "keys": keys}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.embedded", description=__doc__)
    parser.add_argument("--starts", type=int, default=20)
    count = parser.parse_args().starts
    rows = [
        json.loads(subprocess.check_output([sys.executable, "-c", FRESH])) for _ in range(count)
    ]
    for name, what in (
        ("first", "first start, imports, keys and a code"),
        ("keys", "drawing two RSA keys alone"),
        ("further", "each further start and a code"),
    ):
        values = sorted(row[name] * 1000 for row in rows)
        print(f"{what:<40}{statistics.median(values):7.1f} ms  (to {values[-1]:.1f})")


if __name__ == "__main__":
    main()

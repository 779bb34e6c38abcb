"""`make mutants`: apply each patch in turn to a copy of the code and demand that something objects.

A patch begins with `Bug:`, what it puts in and who has it, and `Caught-by:`, what has to notice:
`simulate core 4000` (a depth and how many payments) or a test file. The simulation objects with a
broken invariant, a test with a failed assertion; a copy that cannot even start was not caught but
broken, and counts as alive.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
SEED = "7"
TIMEOUT_S = 300


@dataclass(frozen=True)
class Mutant:
    """One patch. `bug` says what it does, `catcher` what has to notice it."""

    path: Path
    bug: str
    catcher: str

    @property
    def name(self) -> str:
        return self.path.stem


@dataclass(frozen=True)
class Verdict:
    """What became of one run: what objected, or why nothing did."""

    is_caught: bool
    words: str
    seconds: float


def mutants() -> list[Mutant]:
    """All of them, by name."""
    found = []
    for path in sorted(FOLDER.glob("*.patch")):
        head = dict(re.findall(r"^(Bug|Caught-by): (.+)$", path.read_text(), re.MULTILINE))
        found.append(Mutant(path, head["Bug"], head["Caught-by"]))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the gate; 1 when a mutant lives, no longer applies, or the code itself is objected to."""
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="these alone (default: all)")
    parser.add_argument("--list", action="store_true", help="say what there is and stop")
    arguments = parser.parse_args(argv)
    chosen = [m for m in mutants() if not arguments.names or m.name in arguments.names]
    if unknown := set(arguments.names) - {mutant.name for mutant in chosen}:
        parser.error(f"there is no mutant {', '.join(sorted(unknown))}; see --list")
    if arguments.list:
        print("\n".join(f"{m.name:45} {m.catcher:20} {m.bug}" for m in chosen))
        return 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        catchers = sorted({mutant.catcher for mutant in chosen})
        for catcher, verdict in zip(catchers, pool.map(_unharmed, catchers), strict=True):
            print(f"{'as it is':45} {catcher}: {verdict.words}", flush=True)
            if verdict.is_caught or verdict.words != "nothing objects":
                print("The code is objected to before anything was put in: mend that first.")
                return 1
        alive = 0
        for mutant, verdict in zip(chosen, pool.map(_tried, chosen), strict=True):
            alive += not verdict.is_caught
            word = "dead" if verdict.is_caught else "ALIVE"
            where = f"{mutant.catcher}: {verdict.words} ({verdict.seconds:.1f} s)"
            print(f"{word:5} {mutant.name:45} {where}", flush=True)
    print(f"{len(chosen)} mutants, {alive} alive")
    return 1 if alive else 0


def _unharmed(catcher: str) -> Verdict:
    return _caught(ROOT, catcher)


def _tried(mutant: Mutant) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="tillgate-mutant-") as name:
        copy = Path(name)
        for part in ("src", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        applied = apply(mutant, copy)
        if applied.returncode:
            return Verdict(False, f"the patch does not apply: {applied.stderr.strip()}", 0)
        return _caught(copy, mutant.catcher)


def apply(mutant: Mutant, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Apply a patch in a folder that is laid out as this repository."""
    # GIT_CEILING_DIRECTORIES: a repository around the folder is none of its business.
    return subprocess.run(
        ["git", "apply", *options, str(mutant.path)],
        cwd=folder,
        env=os.environ | {"GIT_CEILING_DIRECTORIES": str(folder.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def _caught(folder: Path, catcher: str) -> Verdict:
    began = perf_counter()
    first, *more = catcher.split()
    is_simulation = first == "simulate"
    if is_simulation:
        depth, payments = more
        options = ("--depth", depth, "--payments", payments, "--seed", SEED)
        command = [sys.executable, "-m", "tillgate", "simulate", *options]
    else:
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", catcher]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Verdict(False, f"no end within {TIMEOUT_S} s", perf_counter() - began)
    pattern = r"^VIOLATED (\S+):" if is_simulation else r"^FAILED (\S+)"
    objections = re.findall(pattern, done.stdout, re.MULTILINE)
    seconds = perf_counter() - began
    if done.returncode == 1 and objections:
        return Verdict(True, ", ".join(sorted(set(objections))), seconds)
    if done.returncode == 0:
        return Verdict(False, "nothing objects", seconds)
    last = (done.stderr or done.stdout).strip().rpartition("\n")[2]
    return Verdict(False, f"broken, not caught: exit {done.returncode}: {last}", seconds)


if __name__ == "__main__":
    sys.exit(main())

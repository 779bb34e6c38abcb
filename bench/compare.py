"""What got worse between two results.

Only figures that travel between runs decide: the ratios against the baselines of the same run.
`--all` takes the absolute ones too, which say something where both runs had the same idle machine.
Exit code 1: something got worse by more than the threshold, or the newer result is void, or it
lacks a figure that the older one has.

    python -m bench.compare before.json after.json
    python -m bench.compare before.json after.json --all --threshold 0.2
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MORE_IS_BETTER = ("per_s", "per_second")
LESS_IS_BETTER = ("_ms", "_s", "_mb", "_us", "instructions")
"""What a figure's name ends with; others only describe the run."""


def numbers(found: Any, path: str = "") -> Iterator[tuple[str, float]]:
    """Every number of a result with the names that lead to it."""
    match found:
        case bool():
            return
        case int() | float():
            yield path, float(found)
        case dict():
            for name, value in found.items():
                yield from numbers(value, f"{path}.{name}" if path else name)


def worse_by(path: str, before: float, after: float, is_all: bool) -> float | None:
    """By which share it got worse, negative where it got better; None: it decides nothing."""
    name = path.rpartition(".")[2]
    is_ratio = "_to_" in name or name.startswith("to_")
    more = name.endswith(MORE_IS_BETTER)
    if not is_ratio and not (is_all and (more or name.endswith(LESS_IS_BETTER))):
        return None
    if before <= 0 or after <= 0:
        return None
    return before / after - 1 if more and not is_ratio else after / before - 1


def is_void(found: Any) -> bool:
    """Whether a result, or one within it, says that it does not hold."""
    return isinstance(found, dict) and (
        bool(found.get("void")) or any(is_void(value) for value in found.values())
    )


def compare(
    before: dict[str, Any], after: dict[str, Any], threshold: float, is_all: bool
) -> tuple[list[str], list[str]]:
    """A line for each figure that decides, and the reasons to fail."""
    new = dict(numbers(after))
    lines, reasons = [], ["the newer result is void"] if is_void(after) else []
    for path, old in numbers(before):
        if worse_by(path, 1.0, 1.0, is_all) is None:
            continue
        if path not in new:
            reasons.append(f"{path} is missing")
            continue
        change = worse_by(path, old, new[path], is_all)
        if change is None:
            continue
        word = "WORSE" if change > threshold else "better" if change < -threshold else ""
        lines.append(f"{path:60} {old:10.3f} {new[path]:10.3f} {change:+7.1%} {word}".rstrip())
        if change > threshold:
            reasons.append(f"{path} is worse by {change:.1%}")
    return lines, reasons


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.compare before.json after.json --threshold 0.05",
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    parser.add_argument(
        "--threshold", type=float, default=0.1, help="worse by this share (default: 0.1)"
    )
    parser.add_argument("--all", action="store_true", help="absolute figures too")
    arguments = parser.parse_args()
    before, after = (json.loads(file.read_text()) for file in (arguments.before, arguments.after))
    lines, reasons = compare(before, after, arguments.threshold, arguments.all)
    print("\n".join(lines))
    for reason in reasons:
        print(f"WORSE: {reason}", file=sys.stderr)
    if not lines:
        print("the two results have no figure in common", file=sys.stderr)
    return 1 if reasons or not lines else 0


if __name__ == "__main__":
    sys.exit(main())

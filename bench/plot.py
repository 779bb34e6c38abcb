"""Bars as SVG by hand: CPU per payment of each program, for docs/. No library is worth so few."""

from __future__ import annotations

import argparse
import json
import sys
from html import escape
from pathlib import Path
from typing import Any

NAMES = {
    "gateway": "Tillgate, every feature on",
    "libraries": "bare, on the same libraries",
    "sockets": "bare, on raw sockets",
    "usual": "FastAPI, ORM, httpx",
}
BAR, GAP, LEFT, WIDTH = 22, 8, 210, 760
OWN, DATABASE = "#2563ad", "#9cc0e7"


def bars(title: str, programs: dict[str, Any], top: int, scale: float) -> list[str]:
    """One chart, downwards from `top`; `scale` is pixels for a millisecond."""
    lines = [f'<text x="0" y="{top + 14}" font-weight="bold">{escape(title)}</text>']
    for number, (name, one) in enumerate(programs.items()):
        y = top + 26 + number * (BAR + GAP)
        own, database = one["cpu_ms"], one["database_cpu_ms"]
        first, second = own * scale, database * scale
        told = f"{own:.2f} ms" + (f" + {database:.2f} ms" if database else "")
        lines += [
            f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(NAMES[name])}</text>',
            f'<rect x="{LEFT}" y="{y}" width="{first:.1f}" height="{BAR}" fill="{OWN}"/>',
            f'<rect x="{LEFT + first:.1f}" y="{y}" width="{second:.1f}" height="{BAR}"'
            f' fill="{DATABASE}"/>',
            f'<text x="{LEFT + first + second + 6:.1f}" y="{y + 16}">{told}</text>',
        ]
    return lines


def drawn(figures: dict[str, Any]) -> str:
    """The SVG of a result of `bench.whole_path`."""
    charts = {
        f"{store}, {tills[1:]} tills: CPU per payment, program + database server": {
            name: one for name, one in found.items() if isinstance(one, dict)
        }
        for store, each in figures["stores"].items()
        for tills, found in each.items()
        if isinstance(found, dict)
    }
    ones = [one for programs in charts.values() for one in programs.values()]
    scale = (WIDTH - LEFT - 130) / max(one["cpu_ms"] + one["database_cpu_ms"] for one in ones)
    lines: list[str] = []
    top = 0
    for title, programs in charts.items():
        lines += bars(title, programs, top, scale)
        top += 26 + len(programs) * (BAR + GAP) + 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-10 -6 {WIDTH + 20} {top}"'
    style = 'font-family="sans-serif" font-size="13" role="img"'
    ground = f'<rect x="-10" y="-6" width="{WIDTH + 20}" height="{top}" fill="#fff"/>'
    return "\n".join([f"{head} {style}>", ground, *lines, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m bench.plot figures.json docs/cpu-per-payment.svg",
    )
    parser.add_argument("figures", type=Path, help="of `bench.whole_path --json`")
    parser.add_argument("svg", type=Path)
    arguments = parser.parse_args()
    figures = json.loads(arguments.figures.read_text())
    arguments.svg.write_text(drawn(figures.get("whole_path", figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

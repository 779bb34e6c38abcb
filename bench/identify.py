"""How long it takes to tell what a code is and where it goes: `python -m bench.identify`.

Every figure is the best of several rounds over codes that were all drawn anew and asked once, so
nothing can be remembered between them. The baseline is one `re.match` of the guide's fourth
expression over the same codes in the same run.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable

from tillgate.core.routing import identify
from tillgate.core.routing_table import CnHkFirst, Integrations, RoutingTable, Rule
from tillgate.tables import load_shipped

ALIPAY_PLUS_ALONE = Integrations()
EVERYTHING = Integrations(
    direct={"alipay_cn": "cn", "alipay_hk": "hk", "006": "kakaopay", "010": "gcash"},
    cn_hk_first=CnHkFirst.CONSULT,
)
SHAPES = {
    "24 digits": lambda draw: f"281{draw(3)}02{draw(16)}",
    "19 digits, Alipay+": lambda draw: f"289{draw(10)}6{draw(5)}",
    "17 digits": lambda draw: f"28{draw(15)}",
    "20 digits": lambda draw: f"28100602{draw(12)}",
    "18 digits, WeChat Pay": lambda draw: f"13{draw(16)}",
    "13 digits, goods": lambda draw: draw(13),
}


def many_wallets(count: int) -> RoutingTable:
    """The guide's table with one more rule for each of so many wallets."""
    guide = load_shipped()
    rules = [
        Rule(id=f"w{n}", pattern=rf"^(2[5-9]|30)\d{n:03}\d{{18}}$", to=guide.rules[2].to)
        for n in range(count)
    ]
    return RoutingTable(version="many", rules=(*rules, *guide.rules), default=guide.default)


def best(ask: Callable[[str], object], codes: list[str], rounds: int) -> float:
    """Microseconds per code in the quickest round."""
    quickest = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        for code in codes:
            ask(code)
        quickest = min(quickest, time.perf_counter() - began)
    return quickest / len(codes) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--codes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    dice = random.Random(7)

    def draw(count: int) -> str:
        return "".join(dice.choices("0123456789", k=count))

    guide, wide = load_shipped(), many_wallets(100)
    one = re.compile(r"(?:2[5-9]|30)[0-9]{22}\Z")
    print(f"{'':24}{'re.match':>10}{'alone':>10}{'ratio':>8}{'all':>10}{'100 more rules':>16}")
    for name, shape in SHAPES.items():
        codes = [shape(draw) for _ in range(arguments.codes)]
        baseline = best(one.match, codes, arguments.rounds)
        alone = best(lambda c: identify(c, guide, ALIPAY_PLUS_ALONE), codes, arguments.rounds)
        everything = best(lambda c: identify(c, guide, EVERYTHING), codes, arguments.rounds)
        many = best(lambda c: identify(c, wide, EVERYTHING), codes, arguments.rounds)
        print(
            f"{name:24}{baseline:7.2f} us{alone:7.2f} us{alone / baseline:8.0f}"
            f"{everything:7.2f} us{many:13.2f} us"
        )


if __name__ == "__main__":
    main()

"""What `bench.compare` calls worse decides whether a slower release is noticed."""

from __future__ import annotations

from typing import Any

from bench.compare import compare

OLD = {
    "void": False,
    "cores": 2,
    "c64": {
        "gateway_to_libraries": 1.0,
        "gateway": {"payments_per_s": 500.0, "cpu_ms": 1.0, "cpu_ms_min_max": [0.9, 1.1]},
    },
}


def changed(ratio: float = 1.0, per_s: float = 500.0, cpu_ms: float = 1.0) -> dict[str, Any]:
    gateway = {"payments_per_s": per_s, "cpu_ms": cpu_ms, "cpu_ms_min_max": [0.9, 1.1]}
    return {"void": False, "cores": 4, "c64": {"gateway_to_libraries": ratio, "gateway": gateway}}


def reasons(after: dict[str, Any], *, is_all: bool = False) -> list[str]:
    return compare(OLD, after, 0.1, is_all)[1]


def test_a_higher_ratio_is_worse() -> None:
    assert reasons(changed(ratio=1.2)) == ["c64.gateway_to_libraries is worse by 20.0%"]


def test_a_change_within_the_threshold_and_an_improvement_are_not_worse() -> None:
    assert reasons(changed(ratio=1.09)) == []
    assert reasons(changed(ratio=0.5)) == []


def test_absolute_figures_decide_only_where_asked() -> None:
    slower = changed(per_s=250.0, cpu_ms=2.0)
    assert reasons(slower) == []
    assert reasons(slower, is_all=True) == [
        "c64.gateway.payments_per_s is worse by 100.0%",
        "c64.gateway.cpu_ms is worse by 100.0%",
    ]


def test_more_payments_per_second_are_better() -> None:
    assert reasons(changed(per_s=900.0), is_all=True) == []


def test_what_is_void_or_missing_never_passes() -> None:
    assert reasons({"c64": {"gateway_to_libraries": 1.0}} | {"inner": {"void": True}}) == [
        "the newer result is void"
    ]
    assert reasons({"c64": {}}) == ["c64.gateway_to_libraries is missing"]


def test_nothing_else_decides() -> None:
    """The number of cores is 4 instead of 2, and no figure."""
    lines, _ = compare(OLD, changed(), 0.1, True)
    assert [line.split()[0] for line in lines] == [
        "c64.gateway_to_libraries",
        "c64.gateway.payments_per_s",
        "c64.gateway.cpu_ms",
    ]

"""The cost model says what was measured where something was measured, and grows where it must."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.cost_model import BUSY, cost, group_of, nodes_for, table

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"


@pytest.mark.parametrize(
    ("group", "gateway_ms", "database_ms"), [(2, 1.67, 0.57), (14, 1.09, 0.19)]
)
def test_the_two_measured_points_are_met(group, gateway_ms, database_ms):
    rate = group / group_of(1000) * 1000
    one = cost(rate)
    assert one.group == pytest.approx(group)
    assert one.gateway_ms == pytest.approx(gateway_ms, rel=0.03)
    assert one.database_ms == pytest.approx(database_ms, rel=0.05)


def test_more_nodes_waiting_customers_and_history_never_cost_less():
    costs = [cost(5000, nodes) for nodes in (1, 2, 5, 10, 50, 500)]
    assert costs == sorted(costs, key=lambda one: (one.database_ms, one.gateway_ms))
    assert cost(5000, 10, asked=0.5).gateway_ms > cost(5000, 10).gateway_ms
    histories = [cost(1000, 2, history=10**n).database_ms for n in range(10)]
    assert histories == sorted(histories)
    assert histories[7] / histories[0] < 1.25  # what the issue of growth allows at ten million


@pytest.mark.parametrize("rate", [1, 10, 500, 5000, 50_000])
@pytest.mark.parametrize("asked", [0.0, 0.3, 1.0])
def test_no_core_is_fuller_than_it_may_be_and_one_less_would_be(rate, asked):
    nodes = nodes_for(rate, asked)
    assert rate / nodes * cost(rate, nodes, asked).gateway_ms / 1000 <= BUSY
    fewer = nodes - max(1, nodes // 40)
    if fewer:
        assert rate / fewer * cost(rate, fewer, asked).gateway_ms / 1000 > BUSY


def test_the_page_shows_what_the_model_says():
    assert "\n".join(table(0.1, 10**8, 8)) in PAGE.read_text()

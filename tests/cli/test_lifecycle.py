"""The picture shows exactly the edges of ADR 0011, found by walking the code."""

from __future__ import annotations

import pytest

from tillgate.cli.lifecycle import edges
from tillgate.core.model import Status

P, S, F = Status.PENDING, Status.SUCCEEDED, Status.FAILED
G, C, U = Status.CANCELLING, Status.CANCELLED, Status.UNRESOLVED

LEGAL = {
    (P, S), (P, F), (P, G), (P, C),
    (S, G), (F, G), (C, G),
    (G, C), (G, U), (G, S), (G, F),
    (U, G), (U, C), (U, S), (U, F),
}  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return edges()


def test_the_code_walks_these_edges_and_no_others(found):
    assert set(found) == LEGAL


def test_only_an_operator_makes_a_closing_payment_succeed_or_fail(found):
    for edge in ((G, S), (U, S), (G, F), (U, F)):
        assert all(name.startswith("resolved") for name in found[edge]), found[edge]


def test_a_payment_succeeds_only_on_a_reported_success(found):
    assert set(found[P, S]) == {"pay S", "inquiry S", "notified S"}


def test_a_pending_payment_is_cancelled_without_a_call_only_when_nothing_left(found):
    assert found[P, C] == ["cancel asked for"]


def test_time_alone_fails_only_what_never_left_and_else_leads_to_a_cancel(found):
    assert "time" in found[P, F]
    assert "time" in found[P, G]
    assert all("time" not in names for (_, after), names in found.items() if after in (S, C))

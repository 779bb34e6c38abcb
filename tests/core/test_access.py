"""Who may do what: the whole table as literals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.core.payment_cases import PLACED, at, opened, walk
from tillgate.core.access import Caller, Permission, Role, may, sees, who_may, why_not_cancel

TILL = Caller(
    key_id="tg_test_1",
    roles=frozenset({Role.TILL}),
    merchant_id="m1",
    store_id="s1",
    terminal_id="t1",
)
STORE_TILL = replace(TILL, terminal_id=None)
OFFICE = Caller(key_id="tg_test_2", roles=frozenset({Role.BACK_OFFICE}), merchant_id="m1")
OPERATOR = Caller(
    key_id="tg_test_3", roles=frozenset({Role.OPERATOR}), merchant_id=None, operator_id="ann"
)
PAID = walk((1, "pay S"))

MAY = {
    # permission: till, back office, operator
    Permission.PAY: (True, False, False),
    Permission.READ: (True, True, True),
    Permission.CANCEL: (True, True, True),
    Permission.REFUND: (False, True, True),
    Permission.WEBHOOKS: (False, True, True),
    Permission.ADMIN: (False, False, True),
}


def test_the_table_names_every_permission():
    assert set(MAY) == set(Permission)


@pytest.mark.parametrize("permission", Permission)
def test_each_role_has_its_permissions(permission):
    assert tuple(may(each, permission) for each in (TILL, OFFICE, OPERATOR)) == MAY[permission]


def test_a_key_with_two_roles_has_what_either_has():
    both = replace(OFFICE, roles=frozenset({Role.TILL, Role.BACK_OFFICE}))
    assert may(both, Permission.PAY)
    assert may(both, Permission.REFUND)
    assert not may(both, Permission.ADMIN)


def test_a_refusal_names_the_roles_that_may():
    assert who_may(Permission.REFUND) == "back_office or operator"


@pytest.mark.parametrize(
    ("caller", "merchant", "store", "terminal", "is_seen"),
    [
        (TILL, "m1", "s1", "t1", True),
        (TILL, "m1", "s1", "t2", True),  # a till reads its store's
        (TILL, "m1", "s2", "t1", False),
        (TILL, "m2", "s1", "t1", False),
        (OFFICE, "m1", "s2", "t9", True),
        (OFFICE, "m2", "s1", "t1", False),
        (OPERATOR, "m2", "s2", "t2", True),
    ],
)
def test_who_sees_what(caller, merchant, store, terminal, is_seen):
    order = replace(PAID.order, merchant_id=merchant, store_id=store, terminal_id=terminal)
    assert sees(caller, order) is is_seen


LAST = timedelta(minutes=15) - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("caller", "payment", "after", "is_allowed"),
    [
        (TILL, opened(), timedelta(hours=9), True),  # not paid: always
        (TILL, PAID, LAST, True),
        (TILL, PAID, timedelta(minutes=15), False),
        (replace(TILL, terminal_id="t2"), PAID, LAST, False),
        (replace(TILL, terminal_id="t2"), opened(), LAST, True),
        (STORE_TILL, PAID, LAST, True),
        (STORE_TILL, PAID, timedelta(minutes=15), False),
        (OFFICE, PAID, timedelta(hours=9), True),
        (OPERATOR, PAID, timedelta(hours=9), True),
    ],
)
def test_who_may_cancel_what(caller, payment, after, is_allowed):
    assert (why_not_cancel(caller, payment, PLACED + after) is None) is is_allowed


def test_a_refused_cancel_says_who_may():
    assert "back_office" in (why_not_cancel(TILL, PAID, at(3600)) or "")

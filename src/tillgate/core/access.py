"""Who may do what: roles, permissions and the reach of a key, in one table.

A key has one or more roles and a reach: a merchant, perhaps one of its stores, perhaps one terminal
there. Who may not see a payment is told that there is none; who may see it and not do what was
asked is told which role may.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from tillgate.core.model import Order, Payment, Status


class Role(StrEnum):
    """What a key is for."""

    TILL = "till"
    """Takes payments, and takes back its own mistakes."""
    BACK_OFFICE = "back_office"
    """Answers for a merchant's payments after the sale."""
    OPERATOR = "operator"
    """A person at the acquirer, of any merchant."""


class Permission(StrEnum):
    """What an operation needs."""

    PAY = "pay"
    READ = "read"
    CANCEL = "cancel"
    REFUND = "refund"
    WEBHOOKS = "webhooks"
    ADMIN = "admin"


ROLES_THAT_MAY: dict[Permission, frozenset[Role]] = {
    # A payment belongs to a merchant; an operator's key has none.
    Permission.PAY: frozenset({Role.TILL}),
    Permission.READ: frozenset(Role),
    Permission.CANCEL: frozenset(Role),
    Permission.REFUND: frozenset({Role.BACK_OFFICE, Role.OPERATOR}),
    Permission.WEBHOOKS: frozenset({Role.BACK_OFFICE, Role.OPERATOR}),
    Permission.ADMIN: frozenset({Role.OPERATOR}),
}
"""The table. A merchant's key may hold both `till` and `back_office`."""

TILL_CANCELS_PAID = timedelta(minutes=15)
"""How long after it was placed a till may cancel what is paid: the customer still stands there.
Ours (issue 6).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Whose key a request carries.

    Attributes:
        key_id: names the key in logs and in the audit; never the key itself.
        roles: at least one.
        merchant_id: None for an operator, who reaches every merchant.
        store_id: None reaches every store of the merchant.
        terminal_id: None reaches every terminal of these stores.
        operator_id: who it is at the acquirer; None for a merchant's key.
    """

    key_id: str
    roles: frozenset[Role]
    merchant_id: str | None
    store_id: str | None = None
    terminal_id: str | None = None
    operator_id: str | None = None


def may(caller: Caller, permission: Permission) -> bool:
    """Whether one of the caller's roles has the permission at all."""
    return not caller.roles.isdisjoint(ROLES_THAT_MAY[permission])


def who_may(permission: Permission) -> str:
    """The roles in words, for a refusal."""
    return " or ".join(role.value for role in Role if role in ROLES_THAT_MAY[permission])


def sees(caller: Caller, order: Order) -> bool:
    """Whether the caller may know of this payment: a till knows all of its store's."""
    return caller.merchant_id in (None, order.merchant_id) and caller.store_id in (
        None,
        order.store_id,
    )


def why_not_cancel(caller: Caller, payment: Payment, now: datetime) -> str | None:
    """Why a caller who may cancel at all may not cancel this payment; None when it may.

    A back office and an operator may cancel what they see. A till may cancel what is not paid, and
    for 15 minutes what was placed at a terminal that its key is for.
    """
    if caller.roles & {Role.BACK_OFFICE, Role.OPERATOR} or payment.status is not Status.SUCCEEDED:
        return None
    if caller.terminal_id not in (None, payment.order.terminal_id):
        return "It is paid, at another terminal: only a back_office key may cancel it."
    if now >= payment.order.placed_at + TILL_CANCELS_PAID:
        return "It is paid and older than 15 minutes: only a back_office key may cancel it."
    return None

"""Accepts a payment from a till: identify the code, route it, save it, let it be followed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from tillgate.clock import Clock
from tillgate.connectors import Connector, Consults
from tillgate.core.access import Caller, sees
from tillgate.core.codes import mask
from tillgate.core.errors import (
    InvalidCode,
    KeyReused,
    NoRoute,
    NotAllowed,
    OrderTaken,
    RequestError,
)
from tillgate.core.model import (
    InquiryRefused,
    InquiryUnanswered,
    Order,
    Payment,
    PaymentRequestId,
)
from tillgate.core.money import Money
from tillgate.core.payment import expiry, open_payment
from tillgate.core.routing import Identified, settled
from tillgate.gateway.circuit import Circuit
from tillgate.gateway.follow import Follower
from tillgate.gateway.history import opened_row
from tillgate.gateway.routes import Routes
from tillgate.gateway.sealing import Sealer
from tillgate.merchants import Merchant, Store, Terminal
from tillgate.store import KeyHeld, Opening, OrderHeld, Request
from tillgate.store import Store as PaymentStore

Place = TypeVar("Place", Store, Terminal)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a till asks for, its form already checked. `repr` shows the code masked.

    Attributes:
        store_id: None when the merchant has one store only.
        terminal_id: None when that store has one terminal only.
        expires_in_s: 1 to 60, or None for the network's own limit.
    """

    code: str
    merchant_order_id: str
    description: str | None
    amount: Money
    store_id: str | None
    terminal_id: str | None
    expires_in_s: int | None

    def __repr__(self) -> str:
        return f"Asked({mask(self.code)}, {self.merchant_order_id!r}, {self.amount})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """The payment that answers the request, and whether this request opened it."""

    payment: Payment
    is_new: bool


class Acceptance:
    """The use case, with what it needs."""

    def __init__(
        self,
        *,
        store: PaymentStore,
        follower: Follower,
        connectors: Mapping[str, Connector],
        routes: Routes,
        sealer: Sealer,
        clock: Clock,
        draw_id: Callable[[datetime], str],
    ) -> None:
        self._store = store
        self._follower = follower
        self._connectors = connectors
        self._routes = routes
        self._sealer = sealer
        self._clock = clock
        self._draw_id = draw_id
        self._consults = Circuit()

    async def accept(
        self, caller: Caller, merchant: Merchant, idempotency_key: str, asked: Asked
    ) -> Accepted:
        """Open the payment, or find the one that the same request opened before.

        Returns as soon as it is durable; nothing of the network is waited for, but AlipayHK's word
        on whose a code is, where the settings want it.

        Raises:
            RequestError: the request cannot be served; nothing was saved or sent.
            StoreError: the store is not available; nothing was sent.
        """
        try:
            store, terminal = _place(caller, merchant, asked)
            identified = self._routes.identify(asked.code)
            connector = None if identified.consult else self._admitted(identified)
        except RequestError:
            # A repeat is answered whatever has become of settings and routes since.
            if replayed := await self._repeat_of(caller, merchant, idempotency_key, asked):
                return replayed
            raise
        if connector is None:
            if replayed := await self._repeat_of(caller, merchant, idempotency_key, asked):
                return replayed
            identified = await self._consulted(asked.code, identified)
            connector = self._admitted(identified)
        now = self._clock.now()
        order = Order(
            merchant_id=merchant.id,
            store_id=store.id,
            terminal_id=terminal.id,
            merchant_order_id=asked.merchant_order_id,
            description=asked.description,
            amount=asked.amount,
            code_masked=identified.masked,
            connector=connector.name,
            rule=identified.rule or "",
            table=identified.table,
            placed_at=now,
            expires_at=expiry(now, _life(asked.expires_in_s), connector.policy),
        )
        taken = open_payment(PaymentRequestId(self._draw_id(now)), order, connector.policy)
        key = taken.payment.payment_request_id
        body = connector.build_pay(key, order, merchant, store, asked.code)
        opening = Opening(
            payment=taken.payment,
            pay_body=self._sealer.seal(body, key),
            idempotency_key=idempotency_key,
            code_fingerprint=self._sealer.fingerprint(asked.code),
            expires_in_s=asked.expires_in_s,
            history=opened_row(taken),
        )
        result = await self._follower.open(opening, body, taken)
        if isinstance(result, KeyHeld):
            return self._replayed(caller, result.request, asked)
        if isinstance(result, OrderHeld):
            raise OrderTaken(
                "This order already has a payment that is open or paid. Read that one instead of"
                " charging again.",
                payment=result.payment if sees(caller, result.payment.order) else None,
            )
        return Accepted(result, is_new=True)

    async def _consulted(self, code: str, identified: Identified) -> Identified:
        """Where the code goes. Who cannot be asked whose it is, or does not say, leaves the route
        as it is: a till must not wait for a network that is away.
        """
        consult = identified.consult
        assert consult is not None, "only then somebody is asked"
        asked: object = self._connectors.get(consult.ask)
        is_up = self._follower.networks().get(consult.ask) == "up"
        circuit, now = self._consults, self._clock.now()
        if not (isinstance(asked, Consults) and is_up and circuit.admits(now)):
            return settled(identified, None)
        answer = await asked.consult(code)
        outcome = InquiryUnanswered("") if answer is None else InquiryRefused("")
        changed = circuit.heard(outcome, self._clock.now())
        if changed:
            log.warning("alert: %s: codeConsult: %s", consult.ask, changed)
        return settled(identified, answer or None)

    def _admitted(self, identified: Identified) -> Connector:
        """The connector that takes the code, while new sales may go there."""
        if identified.kind is None:
            raise InvalidCode(identified.reason, path="$.code")
        connector = self._connectors.get(identified.route or "")
        if connector is None:
            raise NoRoute(identified.reason, path="$.code")
        self._follower.check_admitted(connector.name)
        return connector

    async def _repeat_of(
        self, caller: Caller, merchant: Merchant, idempotency_key: str, asked: Asked
    ) -> Accepted | None:
        """The payment that the same request opened before, None where there is none."""
        earlier = await self._store.load_request(merchant.id, idempotency_key)
        return self._replayed(caller, earlier, asked) if earlier else None

    def _replayed(self, caller: Caller, earlier: Request, asked: Asked) -> Accepted:
        order = earlier.payment.order
        if not sees(caller, order):
            raise KeyReused(
                "This Idempotency-Key belongs to another request, of another store. Use keys that"
                " no other till draws."
            )
        pairs = (
            ("$.code", earlier.code_fingerprint, self._sealer.fingerprint(asked.code)),
            ("$.order.merchant_order_id", order.merchant_order_id, asked.merchant_order_id),
            ("$.order.description", order.description, asked.description),
            ("$.order.amount.currency", order.amount.currency, asked.amount.currency),
            ("$.order.amount.value", order.amount.value, asked.amount.value),
            # Left out means the only one there was.
            ("$.store_id", order.store_id, asked.store_id or order.store_id),
            ("$.terminal_id", order.terminal_id, asked.terminal_id or order.terminal_id),
            ("$.expires_in_s", earlier.expires_in_s, asked.expires_in_s),
        )
        for path, before, now in pairs:
            if before != now:
                raise KeyReused(
                    "This Idempotency-Key belongs to another request; the first difference is"
                    f" {path}. Use a new key for a new payment, and the same body for a retry.",
                    path=path,
                )
        return Accepted(earlier.payment, is_new=False)


def _place(caller: Caller, merchant: Merchant, asked: Asked) -> tuple[Store, Terminal]:
    store_id = _inside(caller.store_id, asked.store_id, "$.store_id", "store")
    terminal_id = _inside(caller.terminal_id, asked.terminal_id, "$.terminal_id", "terminal")
    store = _named(merchant.stores, store_id, "$.store_id", "store")
    terminal = _named(store.terminals, terminal_id, "$.terminal_id", "terminal")
    for place, path in ((merchant, None), (store, "$.store_id"), (terminal, "$.terminal_id")):
        if place.is_closed:
            what = type(place).__name__.lower()
            raise RequestError(f"This {what} is closed: it takes no new payments.", path=path)
    return store, terminal


def _inside(own: str | None, named: str | None, path: str, what: str) -> str | None:
    """What the request names, inside what the key is for."""
    if own is not None and named not in (None, own):
        raise NotAllowed(f"This key is for another {what}: leave {path} out.", path=path)
    return own or named


def _named(places: dict[str, Place], name: str | None, path: str, what: str) -> Place:
    if name is None and len(places) == 1:
        return next(iter(places.values()))
    if name is None:
        raise RequestError(f"There is more than one {what}: say which.", path=path)
    if name not in places:
        raise RequestError(f"This merchant has no {what} with that id.", path=path)
    return places[name]


def _life(expires_in_s: int | None) -> timedelta | None:
    return None if expires_in_s is None else timedelta(seconds=expires_in_s)

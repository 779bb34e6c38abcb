"""The tills of a world: they scan, wait, ask again with the same key, scan twice, cancel at any
moment and try another code.
"""

from __future__ import annotations

import asyncio
from typing import Any

from tillgate.core.access import Caller, Role
from tillgate.core.errors import (
    CannotRefund,
    GatewayError,
    NetworkDown,
    OrderTaken,
    RequestError,
    StoreError,
)
from tillgate.core.model import Payment, PaymentRequestId, Status
from tillgate.core.money import Money
from tillgate.core.refund_model import Refund
from tillgate.gateway.accept import Asked
from tillgate.gateway.refund import AskedRefund
from tillgate.sandbox.wallets import Customer
from tillgate.simulation.dice import Table
from tillgate.simulation.faults import MINUTE, MS, Fault, S
from tillgate.simulation.gateway_depth.book import Book
from tillgate.simulation.gateway_depth.network_side import NetworkSide
from tillgate.simulation.gateway_depth.scene import Scene, Trouble
from tillgate.simulation.gateway_depth.workers import Ask, Gone, Worker, Workers
from tillgate.simulation.network import CAREFUL, POOR, QUICK
from tillgate.simulation.stage import Violated
from tillgate.simulation.world import MERCHANT

_CUSTOMERS: Table[Customer] = Table("customer", (QUICK, 0.74), (CAREFUL, 0.2), (POOR, 0.06))
_CODES: Table[str] = Table(
    "code", ("good", 0.95), ("used", 0.02), ("expired", 0.015), ("unknown", 0.015)
)
_LIVES: Table[int | None] = Table("expires_in", (None, 0.87), (1, 0.02), (5, 0.05), (30, 0.06))
_CANCELS_AT: Table[int | None] = Table(
    "till.cancels",
    (None, 0.86),
    (0, 0.02),
    (100 * MS, 0.02),
    (2 * S, 0.02),
    (9 * S, 0.02),
    (30 * S, 0.03),
    (58 * S, 0.02),
    (64 * S, 0.01),
)
_BEFORE_CLOSE: Table[int] = Table(
    "till.before_close", (10 * S, 1), (S, 2), (300 * MS, 2), (0, 1), (-S, 1), (-3 * S, 1)
)
_PATIENCE: Table[float] = Table("till.patience", (30.0, 8), (3.0, 1), (0.05, 1))
"""How long a till waits for the answer of a connection, in seconds."""
_WAITS: Table[float] = Table("till.prefers", (20.0, 6), (0.0, 2), (1.0, 1), (5.0, 1))
"""Its `Prefer: wait`, in seconds."""
_REFUNDS: Table[tuple[int | None, ...]] = Table(
    "refund.plan",
    ((), 0.8),
    ((None,), 0.06),
    ((3,), 0.04),
    ((2, 2), 0.03),
    ((2, 2, 2), 0.03),
    ((None, 3, None), 0.04),
)
"""How many at once, each the payment's amount by so much; None: all that is left."""
_REFUND_STORMS: Table[int] = Table("refund.storm", (0, 2), (30 * S, 2), (3 * MINUTE, 1))
ATTEMPTS_MAX = 3
_CALLER = Caller(
    key_id="tg_test_till",
    roles=frozenset({Role.TILL, Role.BACK_OFFICE}),
    merchant_id=MERCHANT.id,
)
_KNOCKS_MAX = 40
_ASKS_FOR = 3 * MINUTE
"""After that a person has taken over."""


class Till:
    """One order of one till."""

    def __init__(
        self, scene: Scene, book: Book, side: NetworkSide, workers: Workers, number: int
    ) -> None:
        self._scene = scene
        self._book = book
        self._side = side
        self._workers = workers
        self._order = f"O{number}"
        self._name = f"till {number}"
        dice = scene.dice
        currency = side.dialect.amount.currency
        self._amount = Money(currency, 100 + dice.up_to("amount", 900))
        self._starts_after = dice.up_to("till.starts", 15_000) * MS if number > 1 else 0

    async def sell(self) -> None:
        """From the customer in front of the till to the end of it."""
        scene, dice = self._scene, self._scene.dice
        await asyncio.sleep(self._starts_after / S)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            payment = await self._attempt(f"{self._order}-{attempt}")
            if payment is None or payment.status in (Status.SUCCEEDED, Status.UNRESOLVED):
                if payment is not None and payment.status is Status.SUCCEEDED:
                    await asyncio.gather(
                        self._perhaps_refund(payment), self._perhaps_cancel_later(payment)
                    )
                return
            if not dice.chance("till.second_code", 0.4):
                return
            scene.count(Fault.TILL_SECOND_CODE)
            await asyncio.sleep((1000 + dice.up_to("till.second_code.after", 19_000)) / 1000)

    async def _attempt(self, key: str) -> Payment | None:
        """One scan; gives the payment as the till last saw it."""
        scene, dice = self._scene, self._scene.dice
        code, life = self._show_code(), dice.pick(_LIVES)
        others: list[asyncio.Task[Any]] = []
        if dice.chance("till.twice", 0.04):
            scene.count(Fault.TILL_SCANS_TWICE)
            others.append(asyncio.create_task(self._scan_again(f"{key}-twice", code)))
        if dice.chance("till.at_once", 0.05):
            scene.trouble(Trouble.TWO_ASK_AT_ONCE)
            others.append(asyncio.create_task(self._open(key, code, life)))
        payment = await self._open(key, code, life)
        if payment is not None:
            at = dice.pick(_CANCELS_AT)
            if at is not None:
                at += dice.up_to("till.cancels.more", 999) * MS
                others.append(asyncio.create_task(self._cancel(payment, at)))
            payment = await self._follow(payment)
        for other in others:
            await other
        return payment

    async def _scan_again(self, key: str, code: str) -> None:
        await asyncio.sleep(self._scene.dice.up_to("till.twice.after", 70_000) / 1000)
        payment = await self._open(key, code, None)
        if payment is not None:
            await self._follow(payment)

    def _show_code(self) -> str:
        dice, side = self._scene.dice, self._side
        customer, kind = dice.pick(_CUSTOMERS), dice.pick(_CODES)
        if kind != "good":
            self._scene.count(Fault.CODE_UNUSABLE)
        match kind:
            case "expired":
                code = side.issue(customer, age=2 * MINUTE)
            case "unknown":
                code = side.dialect.unknown_code
            case _:
                code = side.issue(customer)
                if kind == "used":
                    side.use_up(code)
        if code not in self._book.codes:
            self._book.codes.append(code)
        return code

    # What a till asks
    # ------------------------------------------------------------------------------------------

    async def _open(self, key: str, code: str, life: int | None) -> Payment | None:
        """Ask until somebody answers; None when the till has to give up or was refused."""
        dice = self._scene.dice
        asked = Asked(
            code=code,
            merchant_order_id=self._order,
            description=None,
            amount=self._amount,
            store_id=None,
            terminal_id=None,
            expires_in_s=life,
        )
        wait_s = dice.pick(_WAITS)

        async def create(worker: Worker) -> Payment:
            # As the merchant's API does it.
            accepted = await worker.acceptance.accept(_CALLER, MERCHANT, key, asked)
            payment = accepted.payment
            if wait_s and not payment.is_final:
                payment = await worker.follower.wait(payment, wait_s)
            return payment

        answer = await self._knock(create, f"asks with {key}")
        if isinstance(answer, OrderTaken):
            named = answer.payment
            held = self._book.cases.get(named.payment_request_id) if named else None
            if held is None or held.row.order.merchant_order_id != self._order:
                self._scene.fail("told-unsaved", "an order is refused for a payment it never had")
        elif isinstance(answer, RequestError) and not isinstance(answer, NetworkDown):
            self._scene.fail("raised", f"{type(answer).__name__}: {answer}")
        return answer if isinstance(answer, Payment) else None

    async def _knock(self, ask: Ask, what: str) -> Any:
        """503, or no answer: the till asks again, anybody, the same."""
        scene, dice = self._scene, self._scene.dice
        last: GatewayError | None = None
        for _ in range(_KNOCKS_MAX):
            worker = self._workers.somebody()
            if worker is not None:
                answer = self._workers.ask(worker, ask(worker))
                try:
                    async with asyncio.timeout(dice.pick(_PATIENCE)):
                        payment = await answer
                except (StoreError, NetworkDown) as error:
                    last = error
                    self._note(f"{what}: {type(error).__name__}")
                except Gone:
                    self._note(f"{what}: the connection broke")
                except TimeoutError:
                    scene.trouble(Trouble.TILL_LEAVES)
                except RequestError as error:
                    self._note(f"{what}: {type(error).__name__}")
                    return error
                except GatewayError as error:
                    scene.fail("raised", f"{type(error).__name__}: {error}")
                else:
                    return self._told(payment, what)
            await asyncio.sleep(5 if isinstance(last, NetworkDown) else 1)
        return last

    def _told(self, payment: Payment | Refund | None, what: str) -> Payment | Refund | None:
        if payment is None:
            self._scene.fail("told-unsaved", f"{what}: no such payment, where there was one")
            return None
        self._note(f"{what}: {payment.status} v{payment.version}")
        if isinstance(payment, Refund):
            self._book.told_refund(payment)
            return payment
        try:
            self._book.told(payment)
        except Violated as violated:
            self._scene.violated(violated)
        return payment

    async def _follow(self, payment: Payment) -> Payment:
        """Ask until it is final, or a person has taken over."""
        scene = self._scene
        until, key = scene.now + _ASKS_FOR, payment.payment_request_id
        wait_s = 0.5

        async def read(worker: Worker) -> Payment | None:
            current = await worker.follower.current(key)
            if current is not None and not current.is_final:
                current = await worker.follower.wait(current, wait_s)
            return current

        was_final = payment.is_final
        while not payment.is_final and scene.now < until:
            wait_s = min(wait_s * 2, 20.0)
            answer = await self._knock(read, f"reads {key[-2:]}")
            if not isinstance(answer, Payment):
                return payment
            payment = answer
            if was_final and not payment.is_final:
                scene.fail("final-turned-false", f"{self._name}: {payment.status}")
            was_final = payment.is_final
            if not was_final:
                # A worker that does not drive it answers at once.
                await asyncio.sleep(1)
        return payment

    async def _cancel(self, payment: Payment, after: int, why: Fault = Fault.TILL_CANCELS) -> None:
        await asyncio.sleep(max(after, 0) / S)
        self._scene.count(why)
        key: PaymentRequestId = payment.payment_request_id

        async def cancel(worker: Worker) -> Payment | None:
            # As the merchant's API does it.
            current = await worker.follower.current(key)
            return current and await worker.interventions.cancel(current, _CALLER)

        await self._knock(cancel, f"cancels {key[-2:]}")

    async def _perhaps_cancel_later(self, payment: Payment) -> None:
        scene, dice = self._scene, self._scene.dice
        closes = self._book.cases[payment.payment_request_id].closes_at
        is_near = scene.now < closes < scene.until
        if not dice.chance("till.cancels_later", 0.3 if is_near else 0.05):
            return
        wait = 5 * S
        if is_near and dice.chance("till.at_the_close", 0.8):
            wait = closes - dice.pick(_BEFORE_CLOSE) - scene.now
        await self._cancel(payment, wait, Fault.TILL_CANCELS_LATER)

    async def _perhaps_refund(self, payment: Payment) -> None:
        """The merchant's back office gives money back, perhaps twice at once, perhaps while the
        till cancels.
        """
        scene, dice = self._scene, self._scene.dice
        plan = dice.pick(_REFUNDS)
        if not plan:
            return
        await asyncio.sleep(dice.up_to("refund.after", 5_000) / 1000)
        scene.clears_at = max(scene.clears_at, scene.now + dice.pick(_REFUND_STORMS))
        asks = [self._refund(payment, number, part) for number, part in enumerate(plan)]
        if dice.chance("refund.and_cancel", 0.2):
            asks.append(self._cancel(payment, dice.up_to("refund.and_cancel.at", 500) * MS))
        await asyncio.gather(*asks)

    async def _refund(self, payment: Payment, number: int, part: int | None) -> None:
        scene, whole = self._scene, payment.order.amount
        scene.count(Fault.MERCHANT_REFUNDS)
        amount = Money(whole.currency, whole.value // part) if part else None
        wait_s = scene.dice.pick(_WAITS)

        async def refund(worker: Worker) -> Refund | None:
            # As the merchant's API does it.
            current = await worker.follower.current(payment.payment_request_id)
            if current is None:
                return None
            key = f"{payment.payment_request_id}-{number}"
            opened = await worker.refunds.open(
                _CALLER, current, key, AskedRefund(amount=amount, reason=None)
            )
            return await worker.refund_follower.wait(opened.refund, wait_s)

        answer = await self._knock(refund, f"refunds {payment.payment_request_id[-2:]}")
        if isinstance(answer, CannotRefund):
            scene.count(Fault.REFUND_REFUSED)
        elif isinstance(answer, RequestError) and not isinstance(answer, NetworkDown):
            scene.fail("raised", f"{type(answer).__name__}: {answer}")

    def _note(self, what: str) -> None:
        if self._scene.tape is not None:
            self._scene.note(self._name, what)

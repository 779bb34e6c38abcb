"""Kill the gateway again and again under load, with faults on both sides, and compare the books.

The gateway and the sandbox are real processes; the tills, the customers and the proxies that spoil
messages run here. Afterwards what each till was told is compared, payment by payment, with the
sandbox's ledger, which no fault touches.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from tests.e2e.fault_proxy import FaultProxy
from tests.e2e.test_processes import Process, api_key
from tillgate.cli.keys import Addresses, write_folder

BOUND_S = 90.0
"""Final by then, counted from placing, or from the moment that the network answers again and the
gateway runs, whichever is later."""
CALL_S = 20.0
NOT_PAID = ("FAILED", "CANCELLED")


class Customer(StrEnum):
    """How the customer behaves."""

    QUICK = "pays at once"
    SLOW = "confirms after a while"
    DECLINES = "declines after a while"
    NEVER = "never confirms"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is done, by one seed."""

    seed: int
    kills: int
    payments: int
    load_s: float
    down_s: tuple[float, float] = (0.0, 1.5)
    fault_rate: float = 0.25
    lives_s: tuple[int, ...] = (10, 30, 60)
    customers: tuple[Customer, ...] = (*[Customer.QUICK] * 5, *[Customer.SLOW] * 3, *Customer)
    ways: tuple[Way, ...]
    sandbox: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Way:
    """Where a sale's code leads: the wallet, its customer who thinks first, its codes."""

    wallet: str
    slow: str
    currency: str = "JPY"
    kind: str = "cgcp"

    def code(self, customer: Customer) -> dict[str, str]:
        asked = {"wallet": self.wallet, "kind": self.kind}
        return asked if customer is Customer.QUICK else asked | {"customer": self.slow}


ALIPAY_PLUS = Way("gcash", "gcash_jose")
KAKAOPAY = Way("kakaopay", "kakaopay_junho")
ALIPAY_CN = Way("alipay_cn", "alipay_cn_fang", "CNY", "alipay_cn_hk")
DIRECT = {
    "alipay_cn": "/gateway.do",
    "kakaopay": "",
}
"""What the gateway is connected to directly, and the end of each address."""


@dataclass
class Sale:
    """One sale as its till saw it."""

    number: int
    way: Way
    customer: Customer
    amount: int
    key: str
    life_s: int
    cancels_after_s: float | None
    id: str | None = None
    placed: float = 0.0
    told: list[tuple[float, str, bool]] = field(default_factory=list)
    tries: int = 0
    has_cancelled: bool = False
    problems: list[str] = field(default_factory=list)

    def hear(self, payment: dict[str, Any]) -> None:
        self.id = self.id or payment["id"]
        word = (payment["status"], payment["final"])
        if not self.told or self.told[-1][1:] != word:
            self.told.append((time.monotonic(), *word))

    @property
    def status(self) -> str:
        return self.told[-1][1] if self.told else "never told"

    @property
    def is_final(self) -> bool:
        return bool(self.told) and self.told[-1][2]


@dataclass
class Outcome:
    """What the run found."""

    sales: list[Sale]
    killed_at_s: list[float]
    faults: dict[str, Counter[str]]
    statuses: Counter[str]
    debits: int
    settled_s: float
    violations: list[str]

    def story(self) -> str:
        """For whoever reads the log of a run."""
        lines = [
            f"{len(self.sales)} payments: {dict(self.statuses)}; {self.debits} debits",
            f"{len(self.killed_at_s)} kills at "
            + " ".join(f"{at:.2f}" for at in self.killed_at_s)
            + " s",
            f"all final {self.settled_s:.1f} s after the faults ended",
            *(f"{name}: {_words(seen)}" for name, seen in self.faults.items()),
        ]
        return "\n".join([*lines, *self.violations])


def _words(seen: Counter[str]) -> str:
    return ", ".join(f"{count} x {fault}" for fault, count in seen.most_common())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stage:
    """The processes, the proxies and everybody who acts."""

    def __init__(self, folder: Path, plan: Plan, session: aiohttp.ClientSession) -> None:
        self.folder = folder
        self.plan = plan
        self.session = session
        self.dice = Random(plan.seed)
        self.killed_at_s: list[float] = []
        self.gateway: Process
        self.url = ""
        self.sandbox_url = ""
        self.environ: dict[str, str] = {}

    @contextlib.asynccontextmanager
    async def ready(self) -> AsyncIterator[None]:
        self.url = self.url or f"http://127.0.0.1:{free_port()}"
        address = self.url.removeprefix("http://")
        addresses = Addresses(gateway=address, sandbox="127.0.0.1:0")
        write_folder(self.folder, addresses, list(DIRECT))
        self.api_key = api_key(self.folder)
        sandbox = await asyncio.to_thread(
            lambda: Process(self.folder, "sandbox", **self.plan.sandbox)
        )
        self.sandbox_url = sandbox.url
        plan = self.plan
        self.calls = FaultProxy(sandbox.url, "calls", plan.seed, plan.fault_rate)
        self.notices = FaultProxy(self.url, "notifications", plan.seed, plan.fault_rate)
        try:
            async with self.calls.running(), self.notices.running():
                self.environ = {
                    "TILLGATE_ALIPAY_PLUS_BASE_URL": self.calls.url,
                    "TILLGATE_PUBLIC_URL": self.notices.url,
                } | {
                    f"TILLGATE_CONNECTOR_{name.upper()}_BASE_URL": self.calls.url + end
                    for name, end in DIRECT.items()
                }
                try:
                    await self.start()
                    yield
                finally:
                    await self.end()
        finally:
            await asyncio.to_thread(sandbox.kill)

    async def start(self) -> None:
        self.gateway = await asyncio.to_thread(
            lambda: Process(self.folder, "serve", **self.environ)
        )

    async def end(self) -> None:
        await asyncio.to_thread(self.gateway.kill)

    async def kill(self, down_s: float) -> None:
        """One kill; returns when all runs again."""
        await self.end()
        await asyncio.sleep(down_s)
        await self.start()

    async def kill_at_random(self) -> None:
        """So many kills, at random moments of the load."""
        began = time.monotonic()
        span = self.plan.load_s
        for moment in sorted(self.dice.uniform(0.5, span) for _ in range(self.plan.kills)):
            down_s = self.dice.uniform(*self.plan.down_s)
            await asyncio.sleep(max(0.0, began + moment - time.monotonic()))
            self.killed_at_s.append(time.monotonic() - began)
            await self.kill(down_s)

    # --- Tills and customers

    def draw_sale(self, number: int) -> Sale:
        dice = self.dice
        return Sale(
            number=number,
            way=dice.choice(self.plan.ways),
            customer=dice.choice(self.plan.customers),
            amount=dice.randint(1, 500),
            key=f"{self.plan.seed}-{number}",
            life_s=dice.choice(self.plan.lives_s),
            cancels_after_s=dice.uniform(0, 12) if dice.random() < 0.1 else None,
        )

    async def sell(self, sale: Sale, moment: float, dice: Random) -> None:
        """One sale from the scan to its end."""
        await asyncio.sleep(moment)
        holder = sale.way.code(sale.customer)
        async with self.session.post(f"{self.sandbox_url}/sandbox/codes", json=holder) as drawn:
            code = (await drawn.json())["code"]
        sale.placed = time.monotonic()
        amount = {"currency": sale.way.currency, "value": sale.amount}
        order = {"merchant_order_id": sale.key, "amount": amount}
        body = {"code": code, "order": order, "expires_in_s": sale.life_s}
        headers = {"Idempotency-Key": sale.key, "Prefer": f"wait={dice.choice((0, 2, 10))}"}
        customer = asyncio.create_task(self._customer(sale, dice))
        cancel = asyncio.create_task(self._cancel(sale))
        try:
            while not sale.told:
                await self._till(sale, "POST", "/v1/payments", body, headers)
            while not (sale.is_final and cancel.done()):
                path = f"/v1/payments/{sale.id}"
                await self._till(sale, "GET", path, None, {"Prefer": "wait=5"})
                await asyncio.sleep(0.3)
        finally:
            customer.cancel()
            cancel.cancel()
            await asyncio.gather(customer, cancel, return_exceptions=True)

    async def _till(
        self, sale: Sale, method: str, path: str, body: Any, headers: dict[str, str]
    ) -> bool:
        """One request of a till; a broken connection or a 503 is a reason to try again."""
        sale.tries += 1
        sent = {"Authorization": f"Bearer {self.api_key}"} | headers
        try:
            async with self.session.request(
                method, self.url + path, json=body, headers=sent
            ) as answer:
                told = await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError):
            await asyncio.sleep(0.2)
            return False
        if answer.status in (200, 201, 202):
            sale.hear(told)
            return True
        if answer.status == 409 and told.get("code") in ("cannot_cancel", "refund_instead"):
            return True  # it ended first
        if answer.status == 503 and "Retry-After" not in answer.headers:
            sale.problems.append(f"{method} {path}: 503 and no word when to try again")
        if answer.status != 503:
            sale.problems.append(f"{method} {path}: {answer.status} {told.get('code')}")
        await asyncio.sleep(0.5)
        return answer.status != 503

    async def _cancel(self, sale: Sale) -> None:
        if sale.cancels_after_s is None:
            return
        await asyncio.sleep(sale.cancels_after_s)
        while sale.id is None:
            await asyncio.sleep(0.1)
        sale.has_cancelled = True
        while not await self._till(sale, "POST", f"/v1/payments/{sale.id}/cancel", None, {}):
            pass

    async def _customer(self, sale: Sale, dice: Random) -> None:
        if sale.customer not in (Customer.SLOW, Customer.DECLINES):
            return
        act = "confirm" if sale.customer is Customer.SLOW else "decline"
        wait_s = dice.uniform(0, 12)
        while sale.id is None:
            await asyncio.sleep(0.1)
        await asyncio.sleep(wait_s)
        url = f"{self.sandbox_url}/sandbox/payments/{sale.id}/{act}"
        while True:
            async with self.session.post(url) as answer:
                if answer.status != 404:  # not there yet, or lost for ever
                    return
            await asyncio.sleep(0.5)

    # --- The books

    async def ledger(self) -> dict[str, list[dict[str, Any]]]:
        """The sandbox's entries by `paymentRequestId`; its books agree among themselves."""
        async with self.session.get(f"{self.sandbox_url}/sandbox/ledger/check") as answer:
            assert (await answer.json())["problems"] == []
        async with self.session.get(f"{self.sandbox_url}/sandbox/ledger") as answer:
            entries = (await answer.json())["entries"]
        found: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            found.setdefault(entry["payment_request_id"], []).append(entry)
        return found


async def run(folder: Path, plan: Plan, kind: type[Stage] = Stage) -> Outcome:
    """Do all of the plan and compare the books."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    timeout = aiohttp.ClientTimeout(total=CALL_S)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        stage = kind(folder, plan, session)
        async with stage.ready():
            sales = [stage.draw_sale(number) for number in range(plan.payments)]
            pace = plan.load_s / plan.payments
            selling = [
                asyncio.create_task(
                    stage.sell(sale, sale.number * pace, Random(f"{plan.seed}-{sale.number}"))
                )
                for sale in sales
            ]
            await stage.kill_at_random()
            last_placed = max(sale.number for sale in sales) * pace
            while any(sale.placed == 0.0 for sale in sales):
                await asyncio.sleep(last_placed / 100)
            stage.calls.is_on = stage.notices.is_on = False
            quiet = time.monotonic()
            _, late = await asyncio.wait(selling, timeout=BOUND_S + 5)
            settled_s = time.monotonic() - quiet
            for task in late:
                task.cancel()
            await asyncio.gather(*selling, return_exceptions=True)
            for sale in sales:  # what every till is told at the very end
                if sale.id:
                    await stage._till(sale, "GET", f"/v1/payments/{sale.id}", None, {})
            books = await stage.ledger()
        violations = [
            *(f"{sale.key} {sale.id}: {word}" for sale in sales for word in faults_of(sale, books)),
            *unknown_in(books, sales),
            *(
                f"{sale.key} {sale.id}: not final within {BOUND_S:g} s: {sale.told}"
                for sale in sales
                if _final_after(sale, quiet) > BOUND_S
            ),
            *crashes_in(folder),
        ]
    return Outcome(
        sales=sales,
        killed_at_s=stage.killed_at_s,
        faults={proxy.name: proxy.seen for proxy in (stage.calls, stage.notices)},
        statuses=Counter(sale.status for sale in sales),
        debits=sum(entry["kind"] == "debit" for entries in books.values() for entry in entries),
        settled_s=settled_s,
        violations=violations,
    )


def _final_after(sale: Sale, quiet: float) -> float:
    """Seconds to the first final word, from placing or from when all was well again."""
    first = next((at for at, _, is_final in sale.told if is_final), float("inf"))
    return first - max(sale.placed, quiet)


def faults_of(sale: Sale, books: dict[str, list[dict[str, Any]]]) -> list[str]:
    """What is wrong between what this till was told and the ledger, in words."""
    found = list(sale.problems)
    entries = books.get(sale.id or "", [])
    debits = [entry["amount"]["value"] for entry in entries if entry["kind"] == "debit"]
    credits = [entry["amount"]["value"] for entry in entries if entry["kind"] == "credit"]
    net = sum(debits) - sum(credits)
    words = [status for _, status, _ in sale.told]
    if len(debits) > 1:
        found.append(f"debited {len(debits)} times")
    if net not in (0, sale.amount):
        found.append(f"net debit {net} of {sale.amount}")
    if sale.status in NOT_PAID and net != 0:
        found.append(f"told {sale.status}, and {net} is debited")
    if sale.status == "SUCCEEDED" and net != sale.amount:
        found.append(f"told SUCCEEDED, and {net} of {sale.amount} is debited")
    if "SUCCEEDED" in words and not debits:
        found.append("was told SUCCEEDED once and never debited")
    if "SUCCEEDED" in words and sale.status != "SUCCEEDED" and not sale.has_cancelled:
        found.append(f"SUCCEEDED turned into {sale.status} and nobody cancelled: {words}")
    for status in NOT_PAID:
        if status in words and "SUCCEEDED" in words[words.index(status) :]:
            found.append(f"SUCCEEDED after {status}: {words}")
    finals = [is_final for _, _, is_final in sale.told]
    if finals != sorted(finals):
        found.append(f"final turned false: {sale.told}")
    return found


def unknown_in(books: dict[str, list[dict[str, Any]]], sales: list[Sale]) -> list[str]:
    """Money that moved for a payment that no till knows."""
    known = {sale.id for sale in sales}
    return [f"{key}: in the ledger, and no till knows it" for key in books if key not in known]


def crashes_in(folder: Path) -> list[str]:
    """A traceback in a log is a fault of ours, whatever the books say."""
    return [
        f"{path.name} has a traceback: {path.read_text().partition('Traceback')[2][-2000:]}"
        for path in folder.glob("*.log")
        if "Traceback" in path.read_text()
    ]

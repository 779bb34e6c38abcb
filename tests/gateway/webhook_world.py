"""Deliverers on a real schema and virtual time, with receivers as the test wants them. Every
delivery is verified by the reference library of Standard Webhooks.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from tests.support import SEAL_KEY
from tillgate.core.errors import StoreError
from tillgate.core.model import PaymentRequestId
from tillgate.core.webhook_address import AddressPolicy
from tillgate.core.webhooks import Failure
from tillgate.gateway.sealing import Sealer
from tillgate.gateway.webhook_office import WebhookOffice, WithSecret
from tillgate.gateway.webhooks import Deliverer
from tillgate.ids import new_id
from tillgate.simulation.gateway_depth.database import cleaned
from tillgate.simulation.gateway_depth.loop import Life, VirtualLoop
from tillgate.store import MerchantEvent, Sql
from tillgate.store.group_commit import Write, commit_batch
from tillgate.store.rows import merchant_event_values
from tillgate.store.sqlite import INSERT_MERCHANT_EVENT, SqliteStore
from tillgate.store.webhooks import INSERT_DELIVERIES, delivery_values
from tillgate.webhook_transport import LIMIT_S, Answered, NotAnswered

BEGIN = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = 1, 60, 3600, 86400


@dataclass
class Stage:
    """The virtual loop's idea of the world: microseconds since it began."""

    now: int = 0


class AtVirtualTime(Webhook):
    """The reference library; its five minutes are counted on the virtual clock."""

    def __init__(self, secret: str, now: datetime) -> None:
        super().__init__(secret)
        self._now = now

    def _Webhook__verify_timestamp(self, header: str) -> datetime:
        at = datetime.fromtimestamp(int(header), UTC)
        if abs(at - self._now) > timedelta(minutes=5):
            raise WebhookVerificationError("too old or too new")
        return at


@dataclass
class Sent:
    """One request as a receiver saw it."""

    at: float
    host: str
    event_id: str
    payment: str
    sequence: int
    type: str
    is_taken: bool = False


Receive = Callable[[Sent], Awaitable[int | Answered] | int | Answered]
"""A receiver: its answer's status, perhaps after a while; or it raises NotAnswered."""


class DirectWriter:
    """Commits at once, in the loop's own thread."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def commit(self, write: Write) -> Any:
        await asyncio.sleep(0.001)
        if self._world.is_store_down:
            raise StoreError("down")
        [result] = commit_batch(self._world.connection, [write])
        if isinstance(result, Exception):
            raise result
        return result

    async def close(self) -> None:
        """Nothing is kept back."""


@dataclass
class Transport:
    """Leads to the world's receivers."""

    world: World

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def check(self, url: str) -> None:
        AddressPolicy().target(url)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        world, host = self.world, urlsplit(url).hostname or ""
        told = msgspec.json.decode(body)
        world.verify(host, body, headers)
        assert headers["webhook-id"] == told["id"]
        sent = Sent(
            at=world.loop.time(),
            host=host,
            event_id=told["id"],
            payment=str(told["data"].get("id", told["id"])),
            sequence=told["sequence"],
            type=told["type"],
        )
        world.sent.append(sent)
        world.open[host] += 1
        world.open_max[host] = max(world.open_max[host], world.open[host])
        try:
            async with asyncio.timeout(LIMIT_S):
                answer = world.receivers[host](sent)
                if not isinstance(answer, int | Answered):
                    answer = await answer
        except TimeoutError:
            raise NotAnswered(Failure.TIMED_OUT) from None
        finally:
            world.open[host] -= 1
        answered = Answered(answer, None) if isinstance(answer, int) else answer
        sent.is_taken = 200 <= answered.status < 300
        return answered


@dataclass
class World:
    """See the module."""

    stage: Stage = field(default_factory=Stage)
    sent: list[Sent] = field(default_factory=list)
    receivers: dict[str, Receive] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    open: Counter[str] = field(default_factory=Counter)
    open_max: Counter[str] = field(default_factory=Counter)
    is_store_down: bool = False
    look_interval_s: float = 0.25
    draw_permille: Callable[[], int] = lambda: 0

    def __post_init__(self) -> None:
        self.connection = cleaned()
        self.loop = VirtualLoop(self.stage)  # type: ignore[arg-type]  # its `now` is all it reads
        self.store = SqliteStore(self.connection, DirectWriter(self), lambda: None)
        self.sealer = Sealer(SEAL_KEY, secrets.token_bytes)
        self.transport = Transport(self)
        self.deliverers: list[Deliverer] = []
        self.office = WebhookOffice(
            store=self.store,
            transport=self.transport,
            sealer=self.sealer,
            clock=self,
            draw_id=new_id,
            draw_key=secrets.token_bytes,
            nudge=self.nudge,
        )

    def now(self) -> datetime:
        return BEGIN + timedelta(microseconds=self.stage.now)

    def nudge(self) -> None:
        for each in self.deliverers:
            each.nudge()

    def verify(self, host: str, body: bytes, headers: Mapping[str, str]) -> None:
        """With every secret that should fit now."""
        assert self.secrets[host]
        for secret in self.secrets[host]:
            AtVirtualTime(secret, self.now()).verify(body, dict(headers))

    def process(self) -> Life:
        """Another process that delivers."""
        life = self.loop.new_life()
        deliverer = Deliverer(
            self.store,
            self.transport,
            self.sealer,
            self,
            self.draw_permille,
            look_interval_s=self.look_interval_s,
        )
        self.deliverers.append(deliverer)
        self.loop.start(life, deliverer.start(), lambda task: task.result())
        return life

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a test to its end, and see that nothing failed unheard."""
        try:
            result = self.loop.run_until_complete(work)
            assert self.loop.unheard() == []
            return result
        finally:
            self.loop.end()

    async def endpoint(
        self,
        host: str,
        receive: Receive,
        merchant: str = "M1",
        types: tuple[str, ...] | None = None,
    ) -> WithSecret:
        self.receivers[host] = receive
        made = await self.office.create(merchant, f"https://{host}/hook", None, types)
        self.secrets[host] = [made.secret]
        return made

    async def tell(
        self,
        number: int,
        sequence: int = 1,
        type_: str = "payment.succeeded",
        merchant: str = "M1",
        *,
        is_nudged: bool = True,
    ) -> str:
        """Commit an event of a payment, with its deliveries."""
        payment = f"pay_{number:05}"
        event = MerchantEvent(
            event_id=f"evt_{number:05}_{sequence}",
            merchant_id=merchant,
            store_id="S1",
            terminal_id="T1",
            payment_request_id=PaymentRequestId(payment),
            refund_request_id=None,
            sequence=sequence,
            type=type_,
            at=self.now(),
            body=msgspec.json.encode({"id": payment}),
        )

        def work():
            yield Sql(INSERT_MERCHANT_EVENT, merchant_event_values(event))
            yield Sql(INSERT_DELIVERIES, delivery_values(event))

        await self.store.transact(work)
        if is_nudged:
            self.nudge()
        return event.event_id

    def taken(self, host: str) -> list[Sent]:
        """What a receiver said yes to, each event once, in the order of its first yes."""
        first: dict[str, Sent] = {}
        for sent in self.sent:
            if sent.host == host and sent.is_taken:
                first.setdefault(sent.event_id, sent)
        return list(first.values())

    def assert_in_order(self, host: str) -> None:
        """No event is sent before the one before it was taken (or given up: not in these tests)."""
        done: dict[str, int] = {}
        for sent in self.sent:
            if sent.host != host:
                continue
            last = done.get(sent.payment, 0)
            assert sent.sequence <= last + 1, f"{sent} before {last + 1} was taken"
            if sent.is_taken:
                done[sent.payment] = max(last, sent.sequence)

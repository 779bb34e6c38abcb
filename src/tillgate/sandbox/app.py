"""The sandbox as one ASGI application: the pure network, its signed side, the testers' side, the
notifier and the timer of expiries.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.errors import GatewayError, RequestError
from tillgate.ids import new_secret
from tillgate.sandbox.choices import DEFAULTS, Choices
from tillgate.sandbox.codes import Digits
from tillgate.sandbox.control_api import ControlApi, http_error, problem, request_error
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.network import ACQUIRER_ID, Network
from tillgate.sandbox.notifier import Notifier
from tillgate.sandbox.signed_api import SignedApi
from tillgate.sandbox.wallets import Wallets

log = logging.getLogger(__name__)

NOTIFY_DELAY_S = 1.0
"""The guide: "for example, 10 seconds"; the entry-code guide: "instantly". A tester waits less."""
NOTIFY_RETRIES_S = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Alipay+ publishes no schedule. Ours ends within about a minute, the life of a payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """What the sandbox needs.

    Attributes:
        signing_key: the network's, which acquirers check answers and notifications with.
        acquirers: Client-Id to the public keys it signs with.
        acquirer_id: `acquirerId` in every answer.
        notify_delay_s: from a final result to its notification.
        notify_retries_s: waits before each resend of one that was not acknowledged.
        latency_s: added to each pay answer.
        choices: what the public pages leave open.
    """

    signing_key: SigningKey
    acquirers: dict[str, KeyRing]
    wallets: Wallets
    acquirer_id: str = ACQUIRER_ID
    notify_delay_s: float = NOTIFY_DELAY_S
    notify_retries_s: tuple[float, ...] = NOTIFY_RETRIES_S
    latency_s: float = 0.0
    choices: Choices = DEFAULTS


def random_digits(count: int) -> str:
    """So many decimal digits that nobody can guess."""
    # 64 bits more than needed make the remainder even to one part in 10**19.
    number = int.from_bytes(new_secret(count // 2 + 9))
    return f"{number % 10**count:0{count}d}"


def create_app(
    settings: SandboxSettings, clock: Clock, digits: Digits = random_digits
) -> Starlette:
    """The sandbox, ready to be served. Its state lives and dies with it."""
    record = Exchanges()
    network = Network(settings.wallets, digits, record, settings.acquirer_id, settings.choices)
    notifier = Notifier(
        signing_key=settings.signing_key,
        acquirers=settings.acquirers,
        clock=clock,
        record=record,
        tell=network.notification,
        delay_s=settings.notify_delay_s,
        retries_s=settings.notify_retries_s,
    )
    pulse = _Pulse(network, notifier, clock)
    signed = SignedApi(
        network,
        record,
        signing_key=settings.signing_key,
        acquirers=settings.acquirers,
        clock=clock,
        after_each=pulse.beat,
        latency_s=settings.latency_s,
    )
    control = ControlApi(network, settings.wallets, record, notifier, clock, pulse.beat)

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await notifier.start()
        try:
            yield
        finally:
            pulse.stop()
            await notifier.close()

    return Starlette(
        routes=[Mount("/aps", app=signed), *control.routes()],
        lifespan=lifespan,
        exception_handlers={
            RequestError: request_error,
            HTTPException: http_error,
            Exception: _fault,
        },
    )


class _Pulse:
    """After each message: closes what expired, hands ends to the notifier, sets the next timer."""

    def __init__(self, network: Network, notifier: Notifier, clock: Clock) -> None:
        self._network = network
        self._notifier = notifier
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None

    def beat(self) -> None:
        now = self._clock.now()
        next_at = self._network.expire(now)
        for payment in self._network.take_finals():
            self._notifier.schedule(payment)
        if next_at is None:
            return
        due_s = max(0.001, (next_at - now).total_seconds())
        loop = asyncio.get_running_loop()
        if self._timer is not None and not self._timer.cancelled():
            if self._timer.when() <= loop.time() + due_s:
                return  # it comes in time, looks again and is set anew
            self._timer.cancel()
        self._timer = loop.call_later(due_s, self._ring)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _ring(self) -> None:
        self._timer = None
        self.beat()


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette logs nothing itself, and re-raises to the server after this answer.
    log.error("a fault in %s %s", request.method, request.url.path, exc_info=error)
    return problem(GatewayError("Something went wrong inside the sandbox."))

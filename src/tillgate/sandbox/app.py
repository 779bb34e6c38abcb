"""The sandbox as one ASGI application: the pure networks, their signed sides, the testers' side,
the notifiers and the timers of expiries.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.errors import GatewayError, RequestError
from tillgate.core.routing_table import ALIPAY_CN, ALIPAY_PLUS
from tillgate.ids import new_secret
from tillgate.sandbox import images_api
from tillgate.sandbox.choices import DEFAULTS, Choices
from tillgate.sandbox.codes import Digits
from tillgate.sandbox.control_api import ControlApi
from tillgate.sandbox.control_words import http_error, problem, request_error
from tillgate.sandbox.customers_api import CustomersApi
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.fates import Fates
from tillgate.sandbox.network import ACQUIRER_ID, Network
from tillgate.sandbox.networks import Networks
from tillgate.sandbox.notices import Notices
from tillgate.sandbox.notifier import Notifier
from tillgate.sandbox.open_platform import OpenPlatform
from tillgate.sandbox.open_platform_api import PATH as OPEN_PLATFORM_PATH
from tillgate.sandbox.open_platform_api import OpenPlatformApi
from tillgate.sandbox.phone_api import PhoneApi
from tillgate.sandbox.rules_api import RulesApi
from tillgate.sandbox.same_origin import guarded
from tillgate.sandbox.scripts import Scripts
from tillgate.sandbox.signed_api import ALIPAY_PLUS_FOLDER, SignedApi
from tillgate.sandbox.town import Town
from tillgate.sandbox.town_clock import Alarm, TownClock
from tillgate.sandbox.wallet_page import WalletPage
from tillgate.sandbox.wallets import Wallets

log = logging.getLogger(__name__)

NOTIFY_DELAY_S = 1.0
"""The guide: "for example, 10 seconds"; the entry-code guide: "instantly". A tester waits less."""
NOTIFY_RETRIES_S = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Alipay+ publishes no schedule. Ours ends within about a minute, the life of a payment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a network's APIs stand, and the one wallet behind it (None: all)."""

    prefix: str
    folder: str
    serves: str | None = None
    has_consult: bool = False


DIRECT = {
    "alipay_hk": Place(
        prefix="/aps/hk", folder="/aps/hk/payments", serves="alipay_hk", has_consult=True
    ),
    "kakaopay": Place(prefix="/aps/kakaopay", folder="/aps/kakaopay/payments", serves="kakaopay"),
}
"""The wallets that an acquirer may be connected to directly, in Alipay+'s dialect."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKeys:
    """What one network signs with, whom it believes, and how it behaves."""

    signing_key: SigningKey
    acquirers: dict[str, KeyRing]
    choices: Choices = DEFAULTS


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
        has_magic: whether amounts such as 77701 choose what is played (`plays.MAGIC`).
        direct: by names of `DIRECT` or `alipay_cn`, the wallets that can be called directly, too;
            what the open platform calls an app id is a Client-Id here.
        framed_by: origins whose pages may show a customer's phone in a frame.
    """

    signing_key: SigningKey
    acquirers: dict[str, KeyRing]
    wallets: Wallets
    acquirer_id: str = ACQUIRER_ID
    notify_delay_s: float = NOTIFY_DELAY_S
    notify_retries_s: tuple[float, ...] = NOTIFY_RETRIES_S
    latency_s: float = 0.0
    choices: Choices = DEFAULTS
    direct: dict[str, NetworkKeys] = field(default_factory=dict)
    has_magic: bool = True
    framed_by: tuple[str, ...] = ()


def random_digits(count: int) -> str:
    """So many decimal digits that nobody can guess."""
    # 64 bits more than needed make the remainder even to one part in 10**19.
    number = int.from_bytes(new_secret(count // 2 + 9))
    return f"{number % 10**count:0{count}d}"


def create_app(
    settings: SandboxSettings, clock: Clock, digits: Digits = random_digits
) -> Starlette:
    """The sandbox, ready to be served. Its state lives and dies with it."""
    record, town, clock = Exchanges(), Town(settings.wallets, digits), TownClock(clock)
    scripts = Scripts(has_magic=settings.has_magic)

    def side(name: str, keys: NetworkKeys, place: Place) -> _Side:
        return _Side(settings, clock, digits, record, town, scripts, name, keys, place)

    own = NetworkKeys(
        signing_key=settings.signing_key, acquirers=settings.acquirers, choices=settings.choices
    )
    alipay_plus = side(ALIPAY_PLUS, own, Place(prefix="/aps", folder=ALIPAY_PLUS_FOLDER))
    sides: list[_Side | _OpenPlatformSide] = [
        _OpenPlatformSide(settings, clock, digits, record, town, scripts, keys)
        if name == ALIPAY_CN
        else side(name, keys, DIRECT[name])
        for name, keys in settings.direct.items()
    ]
    sides.append(alipay_plus)  # its prefix is the shortest, so it is tried last

    def beat() -> None:
        for each in sides:
            each.pulse.beat()

    networks = Networks([each.network for each in sides])
    rings = {name: keys for each in sides for name, keys in each.acquirers.items()}
    notifiers = {each.network.name: each.notifier for each in sides}
    apis = (
        ControlApi(networks, town, settings.wallets, record, notifiers, clock, beat),
        CustomersApi(town, settings.wallets, clock),
        PhoneApi(networks, town, settings.wallets, scripts, clock, new_secret(8).hex(), beat),
        RulesApi(scripts, clock, record, rings, beat),
        WalletPage(settings.wallets, town, settings.framed_by),
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            for each in sides:
                await each.notifier.close()
            clock.stop()

    app = Starlette(
        routes=[
            *(each.route for each in sides),
            *guarded(route for api in apis for route in api.routes()),
            *guarded(images_api.routes()),
        ],
        lifespan=lifespan,
        exception_handlers={
            RequestError: request_error,
            HTTPException: http_error,
            Exception: _fault,
        },
    )
    app.router.redirect_slashes = False  # one address for each thing, as `openapi` has it
    return app


class _Side:
    """One network with its keys, its notifier and its timer."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: TownClock,
        digits: Digits,
        record: Exchanges,
        town: Town,
        scripts: Scripts,
        name: str,
        keys: NetworkKeys,
        place: Place,
    ) -> None:
        self.network = Network(
            settings.wallets,
            digits,
            record,
            settings.acquirer_id,
            keys.choices,
            name=name,
            serves=place.serves,
            town=town,
        )
        self.acquirers = keys.acquirers
        fates = Fates(self.network, scripts)
        self.notifier = Notifier(
            signing_key=keys.signing_key,
            acquirers=keys.acquirers,
            clock=clock,
            record=record,
            tell=self.network.notification,
            delay_s=settings.notify_delay_s,
            retries_s=settings.notify_retries_s,
            sleep=clock.sleep,
            fates=fates,
        )
        fates.tell_now = self.notifier.first_send
        self.pulse = _Pulse(self.network, self.notifier, clock)
        api = SignedApi(
            self.network,
            record,
            signing_key=keys.signing_key,
            acquirers=keys.acquirers,
            clock=clock,
            after_each=self.pulse.beat,
            latency_s=settings.latency_s,
            folder=place.folder,
            has_consult=place.has_consult,
            fates=fates,
        )
        self.route: BaseRoute = Mount(place.prefix, app=api)


class _OpenPlatformSide:
    """AlipayCN's open platform, the same for a dialect of its own."""

    def __init__(
        self,
        settings: SandboxSettings,
        clock: TownClock,
        digits: Digits,
        record: Exchanges,
        town: Town,
        scripts: Scripts,
        keys: NetworkKeys,
    ) -> None:
        self.network = Network(
            settings.wallets, digits, record, name=ALIPAY_CN, serves=ALIPAY_CN, town=town
        )
        self.acquirers = keys.acquirers
        fates = Fates(self.network, scripts)
        self.notifier = Notices(
            self.network,
            signing_key=keys.signing_key,
            acquirers=keys.acquirers,
            clock=clock,
            record=record,
            delay_s=settings.notify_delay_s,
            retries_s=settings.notify_retries_s,
            sleep=clock.sleep,
            fates=fates,
        )
        fates.tell_now = self.notifier.first_send
        self.pulse = _Pulse(self.network, self.notifier, clock)
        api = OpenPlatformApi(
            OpenPlatform(self.network),
            record,
            signing_key=keys.signing_key,
            apps=keys.acquirers,
            clock=clock,
            after_each=self.pulse.beat,
            latency_s=settings.latency_s,
            fates=fates,
        )
        self.route: BaseRoute = Route(OPEN_PLATFORM_PATH, endpoint=api)


class _Pulse:
    """After each message: closes what expired, hands ends to the notifier, sets the next alarm."""

    def __init__(self, network: Network, notifier: Notifier, clock: TownClock) -> None:
        self._network = network
        self._notifier = notifier
        self._clock = clock
        self._alarm: Alarm | None = None

    def beat(self) -> None:
        next_at = self._network.expire(self._clock.now())
        for payment in self._network.take_finals():
            self._notifier.schedule(payment)
        if held := self._notifier.held():
            self._notifier.release(self._network.orders.cancelled_among(held))
        if next_at is None:
            return
        if self._alarm is not None:
            if self._alarm.at <= next_at:
                return  # it comes in time, looks again and is set anew
            self._alarm.cancel()
        self._alarm = self._clock.call_at(next_at, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.beat()


async def _fault(request: Request, error: Exception) -> Response:
    # Starlette logs nothing itself, and re-raises to the server after this answer.
    log.error("a fault in %s %s", request.method, request.url.path, exc_info=error)
    return problem(GatewayError("Something went wrong inside the sandbox."))

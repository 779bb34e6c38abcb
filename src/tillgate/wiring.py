"""Puts the parts of a gateway together. Plain constructor calls, in one place."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.applications import Starlette

from tillgate.alipayplus.client import AlipayPlusClient, Credentials
from tillgate.clock import SystemClock
from tillgate.config import GatewaySettings
from tillgate.connectors import Connector
from tillgate.connectors.alipay_plus import AlipayPlus
from tillgate.core.routing import GUIDE, Integrations
from tillgate.gateway.accept import Acceptance
from tillgate.gateway.follow import Follower
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.notify import Notifications
from tillgate.gateway.sealing import Sealer
from tillgate.ids import new_id, new_secret
from tillgate.store.sqlite import open_sqlite
from tillgate.transport import HttpTransport
from tillgate.web import notify_api
from tillgate.web.app import create_app
from tillgate.web.merchant_api import MerchantApi
from tillgate.web.operator_api import OperatorApi

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The application, and what to call as soon as a stop has begun."""

    app: Starlette
    on_stop: Callable[[], None]


def build_gateway(settings: GatewaySettings, listen_url: str) -> Gateway:
    """Everything `serve` runs.

    Raises:
        StoreError: the store cannot be opened, or another process serves from it.
    """
    clock = SystemClock()
    network = settings.alipay_plus
    credentials = Credentials(
        client_id=network.client_id,
        signing_key=network.signing_key,
        network_keys=network.network_keys,
    )
    sealer = Sealer(settings.seal_key, new_secret)
    transport = HttpTransport(network.base_url)
    client = AlipayPlusClient(transport, credentials, clock)
    connectors: dict[str, Connector] = {
        AlipayPlus.name: AlipayPlus(client, _notify_url(settings, listen_url), network.policy)
    }
    store = open_sqlite(settings.store_path)
    follower = Follower(store, connectors, sealer, clock)
    acceptance = Acceptance(
        store=store,
        follower=follower,
        connectors=connectors,
        table=GUIDE,
        integrations=Integrations(),
        sealer=sealer,
        clock=clock,
        draw_id=lambda now: new_id("pay", now),
    )
    interventions = Interventions(follower, connectors, clock)
    notifications = Notifications(store, follower, credentials, clock)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await transport.start()
        taken_up = await follower.recover()
        if taken_up:
            log.info("took up %d unfinished payments", taken_up)
        try:
            yield
        finally:
            await follower.stop()
            await transport.close()
            await store.close()

    routes = [
        *MerchantApi(settings.directory, acceptance, interventions, follower, store).routes(),
        *OperatorApi(settings.directory, interventions, follower).routes(),
        *notify_api.NotifyApi(notifications).routes(),
    ]
    return Gateway(create_app(routes, lifespan, follower.networks), follower.release_waiters)


def _notify_url(settings: GatewaySettings, listen_url: str) -> str | None:
    """Where notifications are asked for; None leaves it to the address in the Developer Center.

    A network on this machine reaches the listening address; any other one only a public address.
    """
    if settings.public_url:
        return settings.public_url + notify_api.PATH
    is_local = urlsplit(settings.alipay_plus.base_url).hostname in ("127.0.0.1", "localhost", "::1")
    return listen_url + notify_api.PATH if is_local else None

"""Puts the parts of a gateway together. Plain constructor calls, in one place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.routing import Route

from tillgate.clock import SystemClock
from tillgate.config import GatewaySettings
from tillgate.connectors import ConnectorSettings
from tillgate.connectors.kinds import build_connector
from tillgate.connectors.missing import OfPayments
from tillgate.core.access import Role
from tillgate.core.sessions import OPERATOR_LIFE, TILL_LIFE
from tillgate.core.webhook_address import AddressPolicy
from tillgate.gateway.accept import Acceptance
from tillgate.gateway.follow import Follower
from tillgate.gateway.health import Health
from tillgate.gateway.intervene import Interventions
from tillgate.gateway.metrics import Metrics
from tillgate.gateway.notify import Notifications
from tillgate.gateway.passwords import Passwords
from tillgate.gateway.people import People
from tillgate.gateway.refund import Refunds
from tillgate.gateway.refund_calls import RefundCalls
from tillgate.gateway.refund_follow import RefundFollower
from tillgate.gateway.registry import Registry
from tillgate.gateway.routes import Routes
from tillgate.gateway.sealing import Sealer
from tillgate.gateway.siblings import Place, Siblings
from tillgate.gateway.streams import Streams
from tillgate.gateway.webhook_office import WebhookOffice
from tillgate.gateway.webhooks import Deliverer
from tillgate.ids import draw_permille, new_id, new_secret, new_token
from tillgate.pages import LOCAL_FRAMES, Site
from tillgate.store import Store
from tillgate.store.postgres_url import PostgresUrl
from tillgate.store.registry import audit
from tillgate.store.sqlite import open_sqlite
from tillgate.transport import fetch_json
from tillgate.web import notify_api
from tillgate.web.app import create_app, metrics_answer
from tillgate.web.codes_api import CodesApi
from tillgate.web.console import sandbox_state
from tillgate.web.console.attention import Attention
from tillgate.web.console.frame import Frame
from tillgate.web.console.health import HealthPage
from tillgate.web.console.one_payment import OnePayment
from tillgate.web.console.payments import PaymentPages
from tillgate.web.console.registry_pages import RegistryPages
from tillgate.web.console.routes_page import RoutesPage
from tillgate.web.console.webhooks import WebhookPages
from tillgate.web.demo import DemoSignIn
from tillgate.web.demo_page import DemoPage
from tillgate.web.door import SessionDoor
from tillgate.web.gate import KeyGate
from tillgate.web.keys_api import KeysApi
from tillgate.web.openapi import describe
from tillgate.web.operations import Call, make_routes
from tillgate.web.operator_api import OperatorApi, also_for_operators
from tillgate.web.payment_list import PaymentList
from tillgate.web.payments_api import PaymentsApi
from tillgate.web.receipts import Receipts
from tillgate.web.reference import reference_routes
from tillgate.web.refund_judgements import RefundJudgements
from tillgate.web.refunds_api import RefundsApi
from tillgate.web.registry_api import RegistryApi, act_of
from tillgate.web.scanner_check import ScannerCheck
from tillgate.web.sign_in import SignInPages
from tillgate.web.stream_api import StreamApi
from tillgate.web.till_pages import TillPages
from tillgate.web.users_api import UsersApi
from tillgate.web.webhooks_api import WebhooksApi
from tillgate.webhook_transport import HttpWebhookTransport

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The applications for tills and networks and for operators, and what to call as soon as a stop
    has begun, and on SIGHUP. The first one's lifespan is the gateway's.
    """

    app: Starlette
    admin: Starlette
    on_stop: Callable[[], None]
    on_hangup: Callable[[], object]


def build_gateway(
    settings: GatewaySettings, listen_url: str, place: Place | None = None, admin_url: str = ""
) -> Gateway:
    """Everything `serve` runs; `place` is a worker's among its siblings, `admin_url` where
    operators reach it.

    Raises:
        StoreError: the store cannot be opened, or another process serves from it.
    """
    clock = SystemClock()
    by_section = {
        each.name: build_connector(
            replace(each, notify_url=_notify_url(each, settings.public_url, listen_url)), clock
        )
        for each in settings.connectors
    }
    connectors = OfPayments(by_section)
    sealer = Sealer(settings.seal_key, new_secret)
    store = _open_store(settings.store)
    registry = Registry(store, clock, is_live=settings.is_live)
    metrics = Metrics()
    health = Health(metrics, store, clock)
    siblings = Siblings(metrics, health, place)
    transport = HttpWebhookTransport(AddressPolicy(settings.webhooks_to_local))
    deliverer = Deliverer(store, transport, sealer, clock, draw_permille)
    follower = Follower(store, connectors, sealer, clock, health, deliverer.nudge)
    routing = settings.routing
    takes = {each.name: each.takes for each in settings.connectors}
    routes = Routes(routing.table, routing.integrations(takes), routing.source)
    acceptance = Acceptance(
        store=store,
        follower=follower,
        connectors=by_section,
        routes=routes,
        sealer=sealer,
        clock=clock,
        draw_id=lambda now: new_id("pay", now),
    )
    office = WebhookOffice(
        store=store,
        transport=transport,
        sealer=sealer,
        clock=clock,
        draw_id=new_id,
        draw_key=new_secret,
        nudge=deliverer.nudge,
    )
    interventions = Interventions(follower, connectors, clock)
    notifications = Notifications(store, follower, by_section, clock)
    refund_calls = RefundCalls(follower.calls, connectors, clock)
    refund_follower = RefundFollower(store, follower, refund_calls, clock, health)
    refunds = Refunds(
        store=store,
        payments=follower,
        refunds=refund_follower,
        calls=refund_calls,
        clock=clock,
        draw_id=lambda now: new_id("ref", now),
    )

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await registry.start(settings.seed)
        for connector in by_section.values():
            await connector.start()
        taken_up = await follower.recover(), await refund_follower.recover()
        if any(taken_up):
            log.info("took up %d unfinished payments and %d refunds", *taken_up)
        await deliverer.start()
        await siblings.start()
        await health.start()
        try:
            yield
        finally:
            await health.stop()
            await siblings.stop()
            await asyncio.gather(refund_follower.stop(), follower.stop())
            await deliverer.stop()
            await registry.stop()
            for connector in by_section.values():
                await connector.close()
            await store.close()

    streams = Streams(store)
    passwords = Passwords()
    people = People(
        store,
        passwords,
        sealer,
        clock,
        new_token,
        till_life=replace(TILL_LIFE, idle=settings.till_idle),
        operator_life=replace(OPERATOR_LIFE, idle=settings.operator_idle),
    )

    def door(cookie: str, *roles: Role) -> SessionDoor:
        return SessionDoor(
            people,
            clock,
            settings.limit,
            cookie=cookie,
            roles=frozenset(roles),
            is_secure=settings.is_live,
        )

    tills_door = door("tillgate_till", Role.TILL, Role.BACK_OFFICE)
    operators_door = door("tillgate_console", Role.OPERATOR)
    gate = KeyGate(registry, settings.limit, clock, tills_door)
    operators_gate = KeyGate(registry, settings.limit, clock, operators_door)
    site = Site("tillgate.web", frame_ancestors=LOCAL_FRAMES if settings.is_demo else ())

    def signs_in(name: str, *roles: Role) -> DemoSignIn | None:
        return (
            DemoSignIn(store, people, registry, clock, name, *roles) if settings.is_demo else None
        )

    metrics.watch_now(
        lambda: {
            "tillgate_payments_driven": (
                "Payments that this process follows.",
                follower.driven_count,
            ),
            "tillgate_streams_open": ("Clients of the event stream.", streams.count),
            **{
                f"tillgate_network_up_{name}": ("1 while it answers.", float(state == "up"))
                for name, state in follower.networks().items()
            },
        }
    )

    def on_stop() -> None:
        follower.release_waiters()
        refund_follower.release_waiters()
        streams.stop()

    operations = [
        *PaymentsApi(registry, acceptance, interventions, follower, store).operations(),
        *PaymentList(store, list(by_section)).operations(),
        *RefundsApi(refunds, refund_follower, follower).operations(),
        *StreamApi(store, streams, registry, gate.admit, clock, new_token).operations(),
        *WebhooksApi(office, lambda: registry.merchants).operations(),
        *CodesApi(routes).operations(),
    ]
    operators = [
        *also_for_operators(operations),
        *OperatorApi(store, interventions, follower, list(by_section)).operations(),
        *RefundJudgements(store, refunds, follower).operations(),
        *RegistryApi(store, registry, clock).operations(),
        *KeysApi(store, registry, clock, new_id, new_token, is_live=settings.is_live).operations(),
        *UsersApi(store, passwords, sealer, clock, new_id, new_secret).operations(),
    ]

    async def note(what: str, call: Call) -> None:
        subject = "/".join(call.request.path_params.values())
        detail = {"status": call.body.status} if hasattr(call.body, "status") else {}
        await audit(store, act_of(call, clock), what, subject, detail)

    tills_sign_in = SignInPages(
        site,
        tills_door,
        people,
        clock,
        home="/till",
        title="Till",
        by_itself=signs_in("demo-cashier", Role.TILL, Role.BACK_OFFICE),
    )
    operators_sign_in = SignInPages(
        site,
        operators_door,
        people,
        clock,
        home="/console",
        title="Console",
        by_itself=signs_in("demo-operator", Role.OPERATOR),
    )
    demo_pages = (
        DemoPage(site, store, admin_url, _origin(settings.connectors)).routes()
        if settings.is_demo
        else []
    )
    attention = Attention(store, clock)
    sandbox = _sandbox(settings.connectors)
    frame = attention.frame = Frame(
        site, operators_door, attention.count, [sandbox_state.SECTION] if sandbox else []
    )
    console = [
        *PaymentPages(frame, store, registry, list(by_section)).routes(),
        *OnePayment(frame, store, registry, by_section, clock).routes(),
        *attention.routes(),
        *HealthPage(frame, siblings.spans, follower.networks).routes(),
        *RoutesPage(frame, routes).routes(),
        *RegistryPages(frame, store, registry).routes(),
        *WebhookPages(frame, office).routes(),
        *(sandbox_state.SandboxState(frame, sandbox, fetch_json).routes() if sandbox else []),
    ]
    everybodys = [
        *make_routes(operations, gate, metrics.answered, note),
        *reference_routes(describe("Tillgate", operations)),
        *notify_api.NotifyApi(notifications).routes(),
        *tills_sign_in.routes(),
        *TillPages(site, tills_door, registry, is_demo=settings.is_demo).routes(),
        *ScannerCheck(site, tills_door).routes(),
        *Receipts(tills_door, store, registry).routes(),
        *demo_pages,
        *site.routes(),
    ]
    admin = [
        *make_routes(operators, operators_gate, metrics.answered, note),
        *reference_routes(describe("Tillgate for operators", operators), "/admin"),
        Route("/metrics", metrics_answer(siblings.text), methods=["GET"]),
        *operators_sign_in.routes(),
        *console,
        *site.routes(),
    ]
    return Gateway(
        app=create_app(everybodys, follower.networks, site, lifespan),
        admin=create_app(admin, follower.networks, site),
        on_stop=on_stop,
        on_hangup=routes.reload,
    )


def _sandbox(connectors: Sequence[ConnectorSettings]) -> str | None:
    """Where the sandbox is, if one plays the network: whoever calls it has such a name there."""
    is_one = connectors[-1].client_id.startswith("SANDBOX_")
    return _origin(connectors) if is_one else None


def _origin(connectors: Sequence[ConnectorSettings]) -> str:
    """Where the network is, for the demonstration: its sandbox has a phone for each customer."""
    parts = urlsplit(connectors[-1].base_url)
    return f"{parts.scheme}://{parts.netloc}"


def _open_store(where: Path | PostgresUrl) -> Store:
    if isinstance(where, Path):
        return open_sqlite(where)
    from tillgate.store.postgres import open_postgres  # its driver only where it is used

    return open_postgres(where)


def _notify_url(connector: ConnectorSettings, public_url: str, listen_url: str) -> str | None:
    """Where its notifications are asked for; None leaves it to what was agreed with the network.

    A network on this machine reaches the listening address; any other one only a public address.
    """
    is_local = urlsplit(connector.base_url).hostname in ("127.0.0.1", "localhost", "::1")
    base = public_url or (listen_url if is_local else None)
    return base + notify_api.path_of(connector.name) if base else None

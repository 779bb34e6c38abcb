"""`tillgate serve` and `tillgate sandbox`: read the settings, bind, say the address, run until
told to stop.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tillgate import logs
from tillgate.clock import SystemClock
from tillgate.config import GatewaySettings, SandboxConfig, load_gateway, load_sandbox
from tillgate.core.errors import ConfigError
from tillgate.pages import LOCAL_FRAMES
from tillgate.server import Address, listen, port_of, serve, url_of
from tillgate.settings import parse_address
from tillgate.workers import Supervisor

if TYPE_CHECKING:
    from tillgate.sandbox import app


def serve_gateway(arguments: argparse.Namespace) -> int:
    """Run the gateway until SIGINT or SIGTERM."""
    settings = load_gateway(os.environ, _settings_file(arguments))
    count: int = arguments.workers
    if count > 1 and isinstance(settings.store, Path):
        raise ConfigError(
            [
                f"--workers {count}: a SQLite file belongs to one process. Several share one"
                " PostgreSQL database: gateway.store = postgresql://..."
            ]
        )
    logs.set_up(settings.log_level, arguments.worker)
    listener, admin = _listeners(arguments, settings)
    if count == 1 or arguments.worker is not None:
        return _serve_here(arguments, settings, listener, admin)
    with TemporaryDirectory(prefix="tillgate-") as folder:
        return Supervisor(
            lambda number: _worker_command(arguments, number, folder, listener, admin),
            count,
            on_ready=lambda: _say_ready(listener, admin),
        ).run(until_stdin_closes=arguments.until_stdin_closes)


def _listeners(
    arguments: argparse.Namespace, settings: GatewaySettings
) -> tuple[socket.socket, socket.socket]:
    """The tills' and the operators' address, bound."""
    is_any = (parse_address(arguments.listen or "") or settings.listen).port == 0
    # Who wants any free port for tills wants one for operators, too: several run side by side.
    fallback = Address(settings.admin_listen.host, 0) if is_any else settings.admin_listen
    asked = ((arguments.listen, settings.listen), (arguments.admin_listen, fallback))
    is_shared = arguments.workers > 1
    if is_shared and arguments.worker is None:
        # Two gateways that know nothing of each other could share an address, too.
        for said, default in asked:
            _listen(said, default).close()
    listener, admin = (_listen(*each, is_shared=is_shared) for each in asked)
    if port_of(listener) == port_of(admin):
        raise ConfigError(
            [f"tills and operators need a port each, and both are to have {port_of(admin)}"]
        )
    return listener, admin


def _serve_here(
    arguments: argparse.Namespace,
    settings: GatewaySettings,
    listener: socket.socket,
    admin: socket.socket,
) -> int:
    # Imported late: a wrong setting is told at once.
    from tillgate.gateway.siblings import Place
    from tillgate.web.app import ByPort
    from tillgate.wiring import build_gateway

    place = None
    if arguments.worker is not None:
        place = Place(arguments.worker, arguments.workers, Path(arguments.siblings))
    gateway = build_gateway(settings, url_of(listener), place, url_of(admin))
    return serve(
        ByPort(gateway.app, gateway.admin, port_of(admin)),
        listener,
        admin,
        on_ready=lambda: _say_ready(listener, admin),
        on_stop=gateway.on_stop,
        on_hangup=gateway.on_hangup,
        until_stdin_closes=arguments.until_stdin_closes,
    )


def _worker_command(
    arguments: argparse.Namespace,
    number: int,
    folder: str,
    listener: socket.socket,
    admin: socket.socket,
) -> list[str]:
    said = ["--settings", arguments.settings] if arguments.settings else []
    return [
        *(sys.executable, "-m", "tillgate", "serve", *said, "--until-stdin-closes"),
        *("--listen", url_of(listener).removeprefix("http://")),
        *("--admin-listen", url_of(admin).removeprefix("http://")),
        *("--workers", str(arguments.workers), "--worker", str(number), "--siblings", folder),
    ]


def _say_ready(listener: socket.socket, admin: socket.socket) -> None:
    print(
        f"tillgate gateway ready on {url_of(listener)}\ntillgate operators' API on {url_of(admin)}",
        flush=True,
    )


def serve_sandbox(arguments: argparse.Namespace) -> int:
    """Run the sandbox until SIGINT or SIGTERM."""
    config = load_sandbox(os.environ, _settings_file(arguments))
    logs.set_up()
    from tillgate.sandbox import postman  # noqa: F401 -- now, not at the first notification
    from tillgate.sandbox.app import create_app

    settings = sandbox_settings(config)
    listener = _listen(arguments.listen, config.listen)
    url = url_of(listener)
    app = create_app(settings, SystemClock())
    return serve(
        app,
        listener,
        on_ready=lambda: print(f"tillgate sandbox ready on {url}", flush=True),
        until_stdin_closes=arguments.until_stdin_closes,
    )


def sandbox_settings(config: SandboxConfig) -> app.SandboxSettings:
    """What the settings file said, as the sandbox wants it."""
    from tillgate.sandbox import app
    from tillgate.sandbox.choices import Choices
    from tillgate.sandbox.wallets import load_wallets

    return app.SandboxSettings(
        signing_key=config.signing_key,
        acquirers=config.acquirers,
        wallets=load_wallets(config.wallets),
        notify_delay_s=config.notify_delay_s,
        latency_s=config.latency_s,
        has_magic=config.has_magic,
        framed_by=LOCAL_FRAMES if config.is_demo else (),
        choices=Choices.of(config.choices),
        direct={
            name: app.NetworkKeys(signing_key=key, acquirers=acquirers)
            for name, (key, acquirers) in config.direct.items()
        },
    )


def _settings_file(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.settings) if arguments.settings else None


def _listen(
    said: str | None, settings_address: Address, *, is_shared: bool = False
) -> socket.socket:
    address = parse_address(said) if said else settings_address
    if address is None:
        raise ConfigError([f"{said!r}: must be HOST:PORT, such as 127.0.0.1:8080"])
    try:
        return listen(address, is_shared=is_shared)
    except OSError as error:
        raise ConfigError(
            [f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"]
        ) from None

"""`tillgate serve` and `tillgate sandbox`: read the settings, bind, say the address, run until
told to stop.
"""

from __future__ import annotations

import argparse
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from tillgate import logs
from tillgate.clock import SystemClock
from tillgate.config import SandboxConfig, load_gateway, load_sandbox
from tillgate.core.errors import ConfigError
from tillgate.server import Address, listen, port_of, serve, url_of
from tillgate.settings import parse_address

if TYPE_CHECKING:
    from tillgate.sandbox import app


def serve_gateway(arguments: argparse.Namespace) -> int:
    """Run the gateway until SIGINT or SIGTERM."""
    if arguments.workers > 1:
        raise ConfigError(
            [
                f"--workers {arguments.workers}: this release serves with one process. Several may"
                " share one PostgreSQL database, each started by itself on an address of its own."
            ]
        )
    settings = load_gateway(os.environ, _settings_file(arguments))
    logs.set_up(settings.log_level)
    listener = _listen(arguments.listen, settings.listen)
    is_any = (parse_address(arguments.listen or "") or settings.listen).port == 0
    # Who wants any free port for tills wants one for operators, too: several run side by side.
    fallback = Address(settings.admin_listen.host, 0) if is_any else settings.admin_listen
    admin = _listen(arguments.admin_listen, fallback)
    if port_of(listener) == port_of(admin):
        raise ConfigError(
            [f"tills and operators need a port each, and both are to have {port_of(admin)}"]
        )
    # Imported late: a wrong setting is told at once.
    from tillgate.web.app import ByPort
    from tillgate.wiring import build_gateway

    url, admin_url = url_of(listener), url_of(admin)
    gateway = build_gateway(settings, url)
    return serve(
        ByPort(gateway.app, gateway.admin, port_of(admin)),
        listener,
        admin,
        on_ready=lambda: print(
            f"tillgate gateway ready on {url}\ntillgate operators' API on {admin_url}", flush=True
        ),
        on_stop=gateway.on_stop,
        on_hangup=gateway.on_hangup,
        until_stdin_closes=arguments.until_stdin_closes,
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
        choices=Choices.of(config.choices),
        direct={
            name: app.NetworkKeys(signing_key=key, acquirers=acquirers)
            for name, (key, acquirers) in config.direct.items()
        },
    )


def _settings_file(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.settings) if arguments.settings else None


def _listen(said: str | None, settings_address: Address) -> socket.socket:
    address = parse_address(said) if said else settings_address
    if address is None:
        raise ConfigError([f"{said!r}: must be HOST:PORT, such as 127.0.0.1:8080"])
    try:
        return listen(address)
    except OSError as error:
        raise ConfigError(
            [f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"]
        ) from None

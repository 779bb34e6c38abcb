"""Which kinds of connector there are: ours, and those that installed packages bring."""

from __future__ import annotations

from importlib.metadata import entry_points

from tillgate.clock import Clock
from tillgate.connectors import (
    ENTRY_POINTS,
    Build,
    Connector,
    ConnectorSettings,
    alipay_cn,
    alipay_plus,
    aps_direct,
)
from tillgate.core.errors import ConfigError

KINDS: dict[str, Build] = {
    "alipay_plus": alipay_plus.build,
    "aps_direct": aps_direct.build,
    "alipay_cn": alipay_cn.build,
}


def build_connector(settings: ConnectorSettings, clock: Clock) -> Connector:
    """The connector that a section asks for.

    Raises:
        ConfigError: lists every problem, each beginning with the name of its setting.
    """
    build = KINDS.get(settings.kind)
    if build is not None:
        return build(settings, clock)
    brought = entry_points(group=ENTRY_POINTS)
    if settings.kind not in brought.names:
        known = ", ".join(sorted({*KINDS, *brought.names} - {"alipay_plus"}))
        raise ConfigError([f"kind: there is no {settings.kind!r}; there are {known}"])
    try:
        found: Build = brought[settings.kind].load()
    except (ImportError, AttributeError) as error:
        raise ConfigError([f"kind: {settings.kind} cannot be loaded: {error}"]) from error
    return found(settings, clock)

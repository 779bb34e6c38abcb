"""The settings of routing: which table is in force, and the acquirer's choice where the guide
leaves one (ADR 0014).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tillgate.core.errors import ConfigError
from tillgate.core.routing_table import (
    ALIPAY_CN,
    ALIPAY_HK,
    ALIPAY_PLUS,
    CnHkFirst,
    Integrations,
    MppCodes,
    ReservedCodes,
    RoutingTable,
)
from tillgate.settings import Source
from tillgate.tables import SHIPPED, TableSource, load_shipped

_ROUTING_NUMBER = re.compile(r"[0-9]{3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingSettings:
    """Section `[routing]`, with its table read once; `source` reads it again."""

    table: RoutingTable = field(default_factory=load_shipped)
    source: TableSource = field(default_factory=lambda: TableSource("guide"))
    cn_hk_first: CnHkFirst = CnHkFirst.ALIPAY_CN
    reserved_codes: ReservedCodes = ReservedCodes.ALIPAY_PLUS
    mpp_codes: MppCodes = MppCodes.CGCP

    def integrations(self, takes: Mapping[str, Sequence[str]]) -> Integrations:
        """What the acquirer is connected to, with its choices; see `Integrations`.

        Args:
            takes: each connector's name, and the wallets whose codes it gets directly.
        """
        return Integrations(
            alipay_plus=ALIPAY_PLUS in takes,
            direct={wallet: name for name, wallets in takes.items() for wallet in wallets},
            cn_hk_first=self.cn_hk_first,
            reserved_codes=self.reserved_codes,
            mpp_codes=self.mpp_codes,
        )


def load_routing(
    environ: Mapping[str, str], file: Path | None
) -> tuple[RoutingSettings, Integrations]:
    """Read section `[routing]`, and of the connectors only what routing needs.

    Raises:
        ConfigError: lists every problem.
    """
    source = Source.open(environ, file)
    settings = read_routing(source)
    names = source.sections("connector")
    takes = {name: read_takes(source, f"connector.{name}") for name in names}
    if source.has(ALIPAY_PLUS) or not names:
        takes[ALIPAY_PLUS] = ()
    source.finish()
    return settings, settings.integrations(takes)


def read_takes(source: Source, section: str) -> tuple[str, ...]:
    """The wallets whose codes a connector gets."""
    wallets = tuple(filter(None, map(str.strip, source.text(section, "takes").split(","))))
    for wallet in wallets:
        if wallet not in (ALIPAY_CN, ALIPAY_HK) and not _ROUTING_NUMBER.fullmatch(wallet):
            source.note(section, "takes", f"{wallet}: alipay_cn, alipay_hk or three digits")
    return wallets


def read_routing(source: Source) -> RoutingSettings:
    """Read section `[routing]`, and its table, so that a wrong one is told with everything else."""
    table, issuers = source.text("routing", "table"), source.text("routing", "issuers")
    tables = TableSource(
        table if table in SHIPPED else source.path(table),
        source.path(issuers) if issuers else None,
    )
    first = source.one_of("routing", "cn_hk_first", tuple(CnHkFirst))
    reserved = source.one_of("routing", "reserved_codes", tuple(ReservedCodes))
    mpp = source.one_of("routing", "mpp_codes", tuple(MppCodes))
    try:
        read = tables.load()
    except ConfigError as error:
        source.problems += [f"routing.table: {problem}" for problem in error.problems]
        read = load_shipped()
    if source.problems:
        # `finish` raises before anybody uses these.
        return RoutingSettings()
    return RoutingSettings(
        table=read,
        source=tables,
        cn_hk_first=CnHkFirst(first),
        reserved_codes=ReservedCodes(reserved),
        mpp_codes=MppCodes(mpp),
    )

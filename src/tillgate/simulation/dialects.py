"""The dialects that worlds speak: one each, drawn by these weights."""

from __future__ import annotations

from tillgate.simulation.aps_dialect import ALIPAY_PLUS_DIALECT, APS_DIRECT_DIALECT
from tillgate.simulation.dice import Table
from tillgate.simulation.open_platform_dialect import ALIPAY_CN_DIALECT, ALIPAY_CN_QUICK_DIALECT
from tillgate.simulation.speech import Dialect

DIALECTS: Table[Dialect] = Table(
    "dialect",
    (ALIPAY_PLUS_DIALECT, 0.5),
    (APS_DIRECT_DIALECT, 0.2),
    (ALIPAY_CN_DIALECT, 0.2),
    (ALIPAY_CN_QUICK_DIALECT, 0.1),
)

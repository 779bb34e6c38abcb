"""The dialects that worlds speak, in bytes; the same weights as at depth core."""

from __future__ import annotations

from tillgate.sandbox.signed_api import ALIPAY_PLUS_FOLDER
from tillgate.simulation.aps_dialect import ALIPAY_PLUS_DIALECT, APS_DIRECT_DIALECT, DIRECT_FOLDER
from tillgate.simulation.dice import Table
from tillgate.simulation.gateway_depth.aps_tongue import ApsTongue
from tillgate.simulation.gateway_depth.open_platform_tongue import OpenPlatformTongue
from tillgate.simulation.gateway_depth.tongue import Tongue
from tillgate.simulation.open_platform_dialect import ALIPAY_CN_DIALECT

ALIPAY_PLUS_TONGUE = ApsTongue(
    ALIPAY_PLUS_DIALECT, ALIPAY_PLUS_FOLDER, "/alipayplus/v1/notifyPayment"
)
TONGUES: Table[Tongue] = Table(
    "dialect",
    (ALIPAY_PLUS_TONGUE, 0.5),
    (ApsTongue(APS_DIRECT_DIALECT, DIRECT_FOLDER, "/notify/kakaopay"), 0.2),
    (OpenPlatformTongue(ALIPAY_CN_DIALECT, asks_after_pay=True), 0.2),
    (OpenPlatformTongue(ALIPAY_CN_DIALECT, asks_after_pay=False), 0.1),
)

"""`tillgate identify`: needs no gateway and no settings."""

from __future__ import annotations

import argparse
import json
import sys

from tillgate.core.errors import ConfigError
from tillgate.core.explain import Explained, explain, fields_of
from tillgate.core.routing_table import (
    ALIPAY_CN,
    ALIPAY_HK,
    CnHkFirst,
    Integrations,
    MppCodes,
    ReservedCodes,
)
from tillgate.tables import TableSource, named


def identify_code(arguments: argparse.Namespace) -> int:
    """Print what the code is, where it goes and why; 0 when it goes somewhere, 1 when not."""
    code = arguments.code
    if code == "-":
        code = sys.stdin.buffer.readline().decode("utf-8", "replace").rstrip("\r\n")
    table = TableSource(named(arguments.table)).load()
    integrations = Integrations(
        alipay_plus=not arguments.without_alipay_plus,
        direct=direct_of(arguments),
        cn_hk_first=CnHkFirst(arguments.cn_hk_first),
        reserved_codes=ReservedCodes(arguments.reserved_codes),
        mpp_codes=MppCodes(arguments.mpp_codes),
    )
    explained = explain(code, table, integrations)
    if arguments.json:
        print(json.dumps(fields_of(explained)))
    else:
        _tell(explained)
    return 0 if explained.identified.route else 1


def _tell(explained: Explained) -> None:
    told = fields_of(explained)
    for name in ("kind", "other", "length", "masked"):
        _line(name, told[name])
    for name, value in (told["layout"] or {}).items():  # type: ignore[attr-defined]
        _line(name, value)
    for name in ("issuer", "route", "rule", "table", "reason"):
        _line(name, told[name])
    consult = explained.identified.consult
    if consult is not None:
        _line("ask first", f"{consult.ask}, whose code it is")
    for tried in explained.tried:
        sign = "=>" if tried.decides else "  "
        print(f"{sign} rule {tried.rule:10}{tried.to:14}{tried.why}")


def _line(name: str, value: object) -> None:
    print(f"{name.replace('_', ' '):17}{'-' if value is None else value}")


def direct_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The directly connected wallets that the options name, with their connectors.

    Raises:
        ConfigError: names every `--direct` that cannot be read.
    """
    direct: dict[str, str] = {}
    problems: list[str] = []
    for text in arguments.direct:
        wallet, _, name = text.partition("=")
        is_number = len(wallet) == 3 and wallet.isascii() and wallet.isdigit()
        if wallet in (ALIPAY_CN, ALIPAY_HK):
            direct[wallet] = name or wallet
        elif is_number and name:
            direct[wallet] = name
        else:
            problems.append(
                f"--direct {text}: write alipay_cn, alipay_hk or NUMBER=NAME (006=kakaopay)"
            )
    if problems:
        raise ConfigError(problems)
    return direct

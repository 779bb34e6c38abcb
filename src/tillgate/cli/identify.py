"""`tillgate identify`: needs no gateway and no settings."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from tillgate.core.errors import ConfigError
from tillgate.core.routing import ALIPAY_CN, ALIPAY_HK, GUIDE, Integrations, identify


def identify_code(arguments: argparse.Namespace) -> int:
    """Print what the code is and where it goes; 0 when it goes somewhere, 1 when not."""
    code = arguments.code
    if code == "-":
        code = sys.stdin.buffer.readline().decode("utf-8", "replace").rstrip("\r\n")
    identified = identify(code, GUIDE, _integrations(arguments))
    if arguments.json:
        print(json.dumps(dataclasses.asdict(identified)))
    else:
        for name, value in dataclasses.asdict(identified).items():
            print(f"{name.replace('_', ' '):15}{'-' if value is None else value}")
    return 0 if identified.route else 1


def _integrations(arguments: argparse.Namespace) -> Integrations:
    cn_hk: list[str] = []
    mpps: dict[str, str] = {}
    for name in arguments.direct:
        number, equals, wallet = name.partition("=")
        if name in (ALIPAY_CN, ALIPAY_HK):
            cn_hk.append(name)
        elif equals and wallet and len(number) == 3 and number.isascii() and number.isdigit():
            mpps[number] = wallet
        else:
            raise ConfigError(
                [f"--direct {name}: write alipay_cn, alipay_hk or NUMBER=NAME (006=kakaopay)"]
            )
    return Integrations(
        alipay_plus=not arguments.without_alipay_plus,
        direct_cn_hk=tuple(cn_hk),
        direct_mpps=mpps,
    )

"""`tillgate resolve`: an operator says, with evidence, what became of a payment that nobody could
decide. Goes through the running gateway, which alone writes its database.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from urllib.parse import quote

from tillgate.cli.till import NoAnswer, call, print_payment, print_problem, read_text, setting_of

FILE_VARIABLE = "TILLGATE_OPERATOR"


def resolve(arguments: argparse.Namespace) -> int:
    """Resolve it and print it; 1 when the gateway refuses, 3 when it does not answer."""
    url = arguments.gateway or _setting(arguments, "gateway", "TILLGATE_GATEWAY_URL")
    if arguments.operator_key_file:
        key = read_text(Path(arguments.operator_key_file)).strip()
    else:
        key = _setting(arguments, "operator_key", "TILLGATE_OPERATOR_KEY")
    path = f"/admin/v1/payments/{quote(arguments.payment_id, safe='')}/resolve"
    body = {"status": arguments.status, "why": arguments.why}
    try:
        answer = call(url, "POST", path, body, {"Authorization": f"Bearer {key}"})
    except NoAnswer as error:
        print(f"tillgate: {error}", file=sys.stderr)
        print(f"  It may be resolved. Look: tillgate show {arguments.payment_id}", file=sys.stderr)
        return 3
    if answer.status >= 400:
        return print_problem(answer, arguments.json)
    print_payment(answer.body, as_json=arguments.json)
    return 0


def _setting(arguments: argparse.Namespace, name: str, variable: str) -> str:
    return setting_of(arguments.operator, FILE_VARIABLE, name, variable)

"""The testers' side described for programs: OpenAPI 3.1, its schemas made from the very types that
read the bodies.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import msgspec

from tillgate.sandbox.clock_request import ClockRequest, ScriptRequest
from tillgate.sandbox.control_api import ConfirmRequest
from tillgate.sandbox.customers_api import CodeRequest, CustomerChange
from tillgate.sandbox.images_api import MEDIA_TYPES, ImageRequest
from tillgate.sandbox.images_api import PATH as IMAGE_PATH
from tillgate.sandbox.scripts import Faults, RuleRequest

BODIES: dict[str, Any] = {
    "Code": CodeRequest,
    "Customer": CustomerChange,
    "Confirmation": ConfirmRequest,
    "Image": ImageRequest,
    "Rule": RuleRequest,
    "Faults": Faults,
    "Clock": ClockRequest,
    "Script": ScriptRequest,
}
ROUTES: tuple[tuple[str, str, str, str | None], ...] = (
    ("post", "/sandbox/codes", "Show a fresh payment code on a customer's screen", "Code"),
    ("post", IMAGE_PATH, "Draw a payment code as QR or Code 128", "Image"),
    ("get", "/sandbox/wallets", "Wallets, customers and what they have left", None),
    (
        "get",
        "/sandbox/customers/{customer_id}",
        "A customer as their phone shows it: last payments, and what is armed for the next",
        None,
    ),
    (
        "patch",
        "/sandbox/customers/{customer_id}",
        "Another balance, status, limit, PIN or play for a customer",
        "Customer",
    ),
    ("get", "/sandbox/payments", "The last thousand payments, oldest first", None),
    ("get", "/sandbox/payments/{payment_request_id}", "One payment with its money", None),
    (
        "post",
        "/sandbox/payments/{payment_request_id}/confirm",
        "The customer agrees, with a PIN where one is asked",
        "Confirmation",
    ),
    ("post", "/sandbox/payments/{payment_request_id}/decline", "The customer refuses", None),
    ("get", "/sandbox/ledger", "The wallets' ledger: every entry and every balance", None),
    ("get", "/sandbox/ledger/network", "The networks' book: owed by wallets, to acquirers", None),
    ("get", "/sandbox/ledger/check", "Whether all books agree, reckoned anew", None),
    ("get", "/sandbox/exchanges", "Messages in order", None),
    ("get", "/sandbox/exchanges/{seq}", "One message with its signature explained", None),
    ("get", "/sandbox/plays", "What has a name, and its amount", None),
    ("get", "/sandbox/rules", "The rules, in the order in which they speak", None),
    ("post", "/sandbox/rules", "Add a rule, or a list of them: all or none", "Rule"),
    ("delete", "/sandbox/rules", "Delete all rules, random faults and running plays", None),
    ("get", "/sandbox/rules/{rule_id}", "One rule with how often it met a message", None),
    ("delete", "/sandbox/rules/{rule_id}", "Delete one rule", None),
    ("get", "/sandbox/faults", "The random faults", None),
    ("put", "/sandbox/faults", "Random faults from now on; the same seed repeats them", "Faults"),
    ("delete", "/sandbox/faults", "No random faults any more", None),
    ("put", "/sandbox/script", "Rules, faults and clock at once, instead of what was", "Script"),
    ("get", "/sandbox/clock", "What time it is in the sandbox", None),
    ("put", "/sandbox/clock", "Freeze, set or advance the sandbox's clock", "Clock"),
)
"""Method, path, what it does, the schema of its body. A test compares it with what is mounted."""
_QUERIES = {"/sandbox/exchanges": ("payment_request_id", "client_id")}


@cache
def document() -> dict[str, Any]:
    """The whole description."""
    schemas, components = msgspec.json.schema_components(
        list(BODIES.values()), ref_template="#/components/schemas/{name}"
    )
    references = dict(zip(BODIES, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for method, path, summary, body in ROUTES:
        paths.setdefault(path, {})[method] = _operation(path, summary, body, references)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillgate sandbox: the testers' side",
            "version": "1",
            "description": "For loopback only: whoever reaches it can spend every customer's"
            " money. Errors are application/problem+json (RFC 9457).",
        },
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(
    path: str, summary: str, body: str | None, references: dict[str, Any]
) -> dict[str, Any]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    kinds = MEDIA_TYPES.values() if path == IMAGE_PATH else ("application/json",)
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {
            "2XX": {"description": "done", "content": {kind: {} for kind in kinds}},
            "4XX": {"description": "refused", "content": {"application/problem+json": {}}},
        },
    }
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in names
        ]
    asked = [*_QUERIES.get(path, ())]
    if "payment_request_id" in names:
        asked.append("client_id")
    if asked:
        operation.setdefault("parameters", []).extend(
            {"name": name, "in": "query", "schema": {"type": "string"}} for name in asked
        )
    if body is not None:
        operation["requestBody"] = {"content": {"application/json": {"schema": references[body]}}}
    return operation

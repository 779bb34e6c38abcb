"""What the merchant's side sends beside a body: headers and cursors, each declared once."""

from __future__ import annotations

import re
from typing import TypeVar

from starlette.requests import Request

from tillgate.web.operations import Header
from tillgate.web.problems import Problem

WAIT_MAX_S = 120
"""Longest `Prefer: wait`: a payment is final 90 s after it was placed when the network answers."""
KEY_LENGTH_MAX = 255
"""Stripe's limit, which till makers know."""
PAGE_MAX = 100
"""Most items of one page. Stripe's limit."""
PAGE = 20

T = TypeVar("T")

IDEMPOTENCY_KEY = Header(
    name="Idempotency-Key",
    description="New for each request that means something new, and the same for each retry of it."
    " It is remembered for ever, per merchant.",
    example="till-7-2026-01-31-0042",
    is_required=True,
    pattern=r"^[\x21-\x7e]{1,255}$",
    problems=("idempotency_key_missing", "idempotency_key_invalid", "idempotency_key_reused"),
)
PREFER = Header(
    name="Prefer",
    description=f"`wait=N` (RFC 7240) holds the answer until it is final, at most N seconds and"
    f" never over {WAIT_MAX_S}. What cannot be read is ignored.",
    example="wait=5",
)
IF_NONE_MATCH = Header(
    name="If-None-Match",
    description="The `ETag` of an earlier answer: 304 without a body while nothing changed.",
    example='"7"',
)
APPLIED = {"Preference-Applied": "The wait that was applied."}

_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?([0-9]{1,5})"?\s*(?:$|[,;])', re.IGNORECASE)
_KEY = re.compile(IDEMPOTENCY_KEY.pattern or "")


def idempotency_key(request: Request) -> str:
    """The one Idempotency-Key.

    Raises:
        Problem: there is none, or not one of 1 to 255 visible ASCII characters.
    """
    keys = request.headers.getlist("idempotency-key")
    if not keys or not keys[0]:
        raise Problem(
            "idempotency_key_missing",
            "Send an Idempotency-Key, new for each payment and the same for each retry of it.",
            path="Idempotency-Key",
        )
    if len(keys) > 1 or not _KEY.fullmatch(keys[0]):
        raise Problem(
            "idempotency_key_invalid",
            f"An Idempotency-Key is one header of 1 to {KEY_LENGTH_MAX} visible ASCII characters.",
            path="Idempotency-Key",
        )
    return keys[0]


def wait_s(request: Request) -> int:
    """`Prefer: wait=N` (RFC 7240) in seconds, 0 without; a preference that cannot be read is
    ignored.
    """
    found = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(int(found.group(1)), WAIT_MAX_S) if found else 0


def is_known(request: Request, etag: str) -> bool:
    """Whether `If-None-Match` names this version (RFC 9110, weak comparison)."""
    named = ",".join(request.headers.getlist("if-none-match"))
    tags = [tag.strip().removeprefix("W/") for tag in named.split(",")]
    return etag in tags or tags == ["*"]


def page_of(found: list[T], limit: int) -> tuple[list[T], T | None]:
    """One more than `limit` was asked for: the page, and its last item where more follow."""
    page = found[:limit]
    return page, page[-1] if len(found) > limit else None

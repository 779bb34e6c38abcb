"""What a network says, made fit for our rows and pages, whichever dialect it was said in."""

from __future__ import annotations

import logging
from functools import lru_cache

from tillgate.alipayplus.client import BadlySigned, NeverSent, NoAnswer, Unreadable
from tillgate.core.codes import mask_in
from tillgate.core.results import MEANINGS

log = logging.getLogger(__name__)

MESSAGE_MAX = 256
"""Longest resultMessage that is kept. Source: Antom's data dictionary; Alipay+ names none."""


def text_of(value: str | None, length_max: int) -> str | None:
    """The network's text: cut, without control characters, payment codes masked."""
    if not value:
        return None
    text = value[:length_max]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return mask_in(text)


def code_of(value: str) -> str:
    """The result code for our rows; one that no table has is told."""
    code = text_of(value, 64) or ""
    if code not in MEANINGS:
        _tell_unknown(code)
    return code


def why(fate: NoAnswer | NeverSent | Unreadable | BadlySigned) -> str:
    """Why a call has no usable answer, in words."""
    if isinstance(fate, BadlySigned) and fate.claimed_code:
        return f"{fate.reason} (it claims {text_of(fate.claimed_code, 64)})"
    return fate.reason


@lru_cache(maxsize=1024)
def _tell_unknown(name: str) -> None:
    """Log a result code that no table has, once per process; its resultStatus is followed."""
    log.warning("alert: the network answered %s, which is in no table: its status counts", name)

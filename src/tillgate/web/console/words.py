"""What happened to a payment, in words for an operator: who did it, and what it was."""

from __future__ import annotations

from typing import Any

NETWORKS = {"alipay_plus": "Alipay+", "alipay_cn": "Alipay", "alipay_hk": "AlipayHK"}
OUTCOMES = {"S": "paid", "F": "refused", "U": "not known yet"}
GATEWAY = "Gateway"

_ANSWERS = {
    "pay_answered": "Answered the pay",
    "inquiry_answered": "Answered the inquiry",
    "notified": "Notified",
    "cancel_answered": "Answered the cancel",
    "refund_answered": "Answered the refund",
    "look_answered": "Answered the inquiry about the refund",
}
_OURS = {
    "timer_due": "Its time had come",
    "pay_unanswered": "The pay had no answer that counts",
    "pay_never_left": "The pay never left",
    "inquiry_unanswered": "The inquiry had no answer that counts",
    "cancel_unanswered": "The cancel had no answer that counts",
    "refund_unanswered": "The refund had no answer that counts",
    "refund_reserved": "An amount was reserved for a refund",
    "refund_succeeded": "A refund was done",
    "refund_released": "A refund came to nothing; its amount is free again",
    "refund_unresolved": "Nobody can decide a refund",
    "archived": "Earlier steps stand in an archive",
}


def who_and_what(kind: str, detail: dict[str, Any], connector: str) -> tuple[str, str]:
    """Who did it and what, for a step of a payment's or a refund's timeline."""
    network = NETWORKS.get(connector, connector)
    if kind == "accepted":
        return "Till", "Asked for the money; it was saved before anything was sent"
    if kind in _ANSWERS:
        outcome = OUTCOMES.get(str(detail.get("outcome", "")), "")
        return network, f"{_ANSWERS[kind]}: {outcome}" if outcome else _ANSWERS[kind]
    if kind in ("pay_refused_unsigned", "inquiry_refused"):
        return network, "Refused, in a way that proves nothing of the payment"
    if kind == "cancel_requested":
        return "Till or operator", f"Asked for the cancel ({detail.get('by', '')})"
    if kind == "resolved":
        return (
            f"Operator {detail.get('by', '')}",
            f"Said what became of it: {detail.get('why', '')}",
        )
    if kind in _OURS:
        reason = detail.get("reason")
        return GATEWAY, f"{_OURS[kind]}: {reason}" if reason else _OURS[kind]
    return GATEWAY, kind.replace("_", " ").capitalize()

"""What has to be true of a case, found in what the till was told and in the network's own records.
Each check gives a sentence that says what is wrong, or None.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tillgate.certify.adapter import Status, Told

INQUIRIES_PER_MINUTE_MIN = 10
"""Source: the guide, U PAYMENT_IN_PROCESS: "10 to 20 times within 60 seconds"."""
INQUIRIES_PER_MINUTE_MAX = 20


@dataclass(slots=True)
class Evidence:
    """One case as it went.

    Attributes:
        told: what the till heard, in order, each once.
        payments: of the sandbox, those of this amount.
        exchanges: every message about them, in order.
        body_hashes: of the pay requests, in order.
        rule_ids: what the sandbox was told for this case.
    """

    value: int
    expiry_s: int
    told: list[Told] = field(default_factory=list)
    payments: list[dict[str, Any]] = field(default_factory=list)
    exchanges: list[dict[str, Any]] = field(default_factory=list)
    body_hashes: list[str] = field(default_factory=list)
    rule_ids: list[str] = field(default_factory=list)
    refunded: int = 0

    def asked(self, api: str) -> list[dict[str, Any]]:
        """The acquirer's requests of that API."""
        return [
            one
            for one in self.exchanges
            if one["api"] == api and one["kind"] == "request" and one["from"] == "acquirer"
        ]

    def acknowledgements(self) -> list[dict[str, Any]]:
        """What the acquirer answered to notifications."""
        return [
            one
            for one in self.exchanges
            if one["api"] == "notifyPayment" and one["from"] == "acquirer"
        ]

    @property
    def net_debit(self) -> int:
        """What the customer has paid and not got back, over all payments of this case."""
        return sum(one["net_debit"] for one in self.payments)

    @property
    def last(self) -> Status:
        """What the till was told last."""
        return self.told[-1].status


def is_true(evidence: Evidence) -> str | None:
    """What the till was told is what the ledger says."""
    owed = evidence.value - evidence.refunded if evidence.last is Status.PAID else 0
    if evidence.last is Status.PENDING:
        return f"still pending long after its expiry; {evidence.net_debit} is debited"
    if evidence.net_debit != owed:
        return (
            f"the till was told {evidence.last}, and the customer's net debit is"
            f" {evidence.net_debit} where it should be {owed}"
        )
    return None


def has_one_id(evidence: Evidence) -> str | None:
    """One order, one paymentRequestId, whatever was lost."""
    ids = {one["payment_request_id"] for one in evidence.asked("pay")}
    if len(ids) > 1:
        return f"the pay was sent again under another paymentRequestId ({len(ids)} ids)"
    if len(set(evidence.body_hashes)) > 1:
        return "the pay was sent again with another body: repeat the identical request"
    return None


def resent_identically(evidence: Evidence) -> str | None:
    """Sent again after U."""
    if len(evidence.asked("pay")) < 2:
        return "the pay was not sent again after U"
    return None


def asked_often(evidence: Evidence) -> str | None:
    """Inquiries at the guide's pace."""
    count = len(evidence.asked("inquiryPayment"))
    minutes = evidence.expiry_s / 60
    least = int(INQUIRIES_PER_MINUTE_MIN * minutes)
    most = int(INQUIRIES_PER_MINUTE_MAX * minutes) + 2  # the last one, and one that was running
    if not least <= count <= most:
        return f"{count} inquiries in {evidence.expiry_s} s, where {least} to {most} are right"
    return None


def asked_before_believing(evidence: Evidence) -> str | None:
    """A success with another amount is not believed."""
    if not evidence.asked("inquiryPayment") and not evidence.asked("cancelPayment"):
        return "a success with a wrong amount was believed: nobody asked"
    return None


def cancelled_there(evidence: Evidence) -> str | None:
    """The order was closed at the network."""
    if not evidence.asked("cancelPayment"):
        return "no cancelPayment was sent"
    if not any(one["is_cancelled"] for one in evidence.payments):
        return "no cancel was confirmed by the network"
    return None


def never_told_paid(evidence: Evidence) -> str | None:
    """Not even for a while."""
    if any(one.status is Status.PAID for one in evidence.told):
        return "the till was told paid"
    return None


def acknowledged(evidence: Evidence) -> str | None:
    """A notification was answered with S, well signed."""
    if not evidence.acknowledgements():
        return "the notification was never answered"
    wrong = [one for one in evidence.acknowledgements() if not _is_good(one)]
    if not any(_is_good(one) for one in evidence.acknowledgements()):
        return f"no notification was acknowledged: {_words(wrong[-1])}"
    return None


def not_acknowledged_first(evidence: Evidence) -> str | None:
    """A notification that nobody signed gets no S."""
    answers = evidence.acknowledgements()
    if answers and answers[0]["result"] == "S/SUCCESS":
        return "a notification with a bad signature was acknowledged"
    return None


def sent_nothing(evidence: Evidence) -> str | None:
    """What is no code never reaches the network."""
    if evidence.asked("pay"):
        return "something that is no payment code was sent to the network"
    return None


def _is_good(exchange: dict[str, Any]) -> bool:
    return exchange["signature"] == "valid" and str(exchange["result"]).startswith("S/")


def _words(exchange: dict[str, Any]) -> str:
    return f"signature {exchange['signature']}, result {exchange['result']}"


ALWAYS = (is_true, has_one_id)
"""For every case."""

"""A connector of its own: a department store's prepaid card behind a small JSON API.

The card's server is asked at `/charge`, `/state`, `/void`, `/give-back` and `/given-back`, each a
JSON POST that names the payment; it answers `{"payment": ..., "state": ...}`, the state one of
`paid`, `waiting`, `refused`, `void` or `unknown_payment`; of a part that goes back `given_back`,
`refused` or `unknown_refund`. Both sides sign the path and the body with the RSA keys of
the section, in the header `X-Signature`; an answer that is not signed proves nothing.

It shows what any connector has to get right:

- "Never sent" only where no connection was usable; everything else may have arrived.
- A result is what was said, signed, about this payment; anything less is unanswered.
- The words on which a payment's life turns are those of `tillgate.core.results`.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from tillgate.alipayplus.signing import BadSignature
from tillgate.clock import Clock
from tillgate.connectors import (
    BadNotification,
    CancelEvent,
    ConnectorSettings,
    InquiryEvent,
    NotifyAnswer,
    NotifyCall,
    PayEvent,
    RefundEvent,
    Told,
)
from tillgate.core.errors import ConfigError, InvalidAmount
from tillgate.core.model import (
    CancelAnswered,
    CancelUnanswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    Order,
    PayAnswered,
    Payment,
    PaymentId,
    PaymentRequestId,
    PayNeverLeft,
    PayUnanswered,
    Receipt,
    RefundAnswered,
    RefundUnanswered,
    Report,
)
from tillgate.core.money import Money
from tillgate.core.pacing import Policy
from tillgate.core.payment import refund_request_id
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    LookUnanswered,
    Refund,
    RefundLookEvent,
    RefundReport,
    RefundSendEvent,
    SendAnswered,
    SendNeverLeft,
    SendUnanswered,
)
from tillgate.core.results import (
    ORDER_IS_CLOSED,
    ORDER_NOT_EXIST,
    PAYMENT_IN_PROCESS,
    SUCCESS,
    Outcome,
)
from tillgate.merchants import Merchant, Store
from tillgate.transport import ConnectionBroke, HttpTransport, NoConnection

# Refunds are for what is paid, voids for what nobody knows, and both for a day.
POLICY = Policy(paid_is_refunded=True)

_OUTCOMES = {
    "paid": (Outcome.SUCCESS, SUCCESS),
    "waiting": (Outcome.UNKNOWN, PAYMENT_IN_PROCESS),
    "refused": (Outcome.FAILURE, "USER_BALANCE_NOT_ENOUGH"),
    "void": (Outcome.FAILURE, ORDER_IS_CLOSED),
}


class NoAnswer(Exception):
    """No usable answer came; it may have arrived."""


class HouseWallet:
    """Speaks to the card's server. See `tillgate.connectors.Connector`."""

    policy = POLICY

    def __init__(self, settings: ConnectorSettings) -> None:
        self.name = settings.name
        self._settings = settings
        self._transport = HttpTransport(settings.base_url)

    async def start(self) -> None:
        """Open the connections."""
        await self._transport.start()

    async def close(self) -> None:
        """Close them."""
        await self._transport.close()

    def build_pay(
        self,
        payment_request_id: PaymentRequestId,
        order: Order,
        merchant: Merchant,
        store: Store,
        code: str,
    ) -> bytes:
        """Built once; sealed, stored and sent as it is, however often."""
        return _json(
            payment=payment_request_id,
            card=code,
            currency=order.amount.currency,
            value=order.amount.value,
            shop=store.name,
        )

    async def pay(self, body: bytes) -> PayEvent:
        """Charge the card."""
        try:
            report = _report(await self._ask("/charge", body))
        except NoConnection as error:
            return PayNeverLeft(str(error))
        except NoAnswer as error:
            return PayUnanswered(str(error))
        return PayAnswered(report) if report else PayUnanswered("the answer says nothing")

    async def inquire(self, payment: Payment) -> InquiryEvent:
        """Ask what became of it."""
        try:
            answer = await self._ask("/state", _json(payment=payment.payment_request_id))
        except (NoConnection, NoAnswer) as error:
            return InquiryUnanswered(str(error))
        if answer.get("state") == "unknown_payment":
            return InquiryRefused(ORDER_NOT_EXIST)
        report = _report(answer)
        return InquiryAnswered(report) if report else InquiryUnanswered("it says nothing")

    async def cancel(self, payment: Payment) -> CancelEvent:
        """Void it, whatever became of it."""
        try:
            answer = await self._ask("/void", _json(payment=payment.payment_request_id))
        except (NoConnection, NoAnswer) as error:
            return CancelUnanswered(str(error))
        match answer.get("state"):
            case "void":
                return CancelAnswered(Outcome.SUCCESS, SUCCESS)
            case "unknown_payment":
                return CancelAnswered(Outcome.FAILURE, ORDER_NOT_EXIST)
            case state:
                return CancelUnanswered(f"a void led to {state}")

    async def refund(self, payment: Payment) -> RefundEvent:
        """Give all of it back, under an id that is the same each time."""
        body = _json(payment=payment.payment_request_id, refund=refund_request_id(payment))
        try:
            answer = await self._ask("/give-back", body)
        except (NoConnection, NoAnswer) as error:
            return RefundUnanswered(str(error))
        if answer.get("state") == "void":
            return RefundAnswered(Outcome.SUCCESS, SUCCESS)
        return RefundUnanswered(f"giving back led to {answer.get('state')}")

    async def give_back(self, refund: Refund) -> RefundSendEvent:
        """Give a part of it back, under the refund's own id."""
        body = _json(
            payment=refund.payment_request_id,
            refund=refund.refund_request_id,
            currency=refund.amount.currency,
            value=refund.amount.value,
        )
        try:
            report = _refund_report(await self._ask("/give-back", body), refund)
        except NoConnection as error:
            return SendNeverLeft(str(error))
        except NoAnswer as error:
            return SendUnanswered(str(error))
        return SendAnswered(report) if report else SendUnanswered("the answer says nothing")

    async def look_up(self, refund: Refund) -> RefundLookEvent:
        """Ask what became of that part. Not to be known there is no failure: it may be on its
        way.
        """
        body = _json(payment=refund.payment_request_id, refund=refund.refund_request_id)
        try:
            answer = await self._ask("/given-back", body)
        except (NoConnection, NoAnswer) as error:
            return LookUnanswered(str(error))
        if answer.get("state") == "unknown_refund":
            return LookFoundNothing()
        report = _refund_report(answer, refund)
        return LookAnswered(report) if report else LookUnanswered("it says nothing")

    def read_notification(self, call: NotifyCall) -> Told | None:
        """The server tells what a card's holder decided."""
        try:
            message = self._verified(call.path, call.headers.get("x-signature"), call.body)
        except NoAnswer as error:
            raise BadNotification(str(error), NotifyAnswer(401, b"", {})) from None
        report = _report(message)
        if report is None or report.outcome is Outcome.UNKNOWN:
            return None
        return Told(PaymentRequestId(str(message.get("payment"))), report)

    def acknowledge(self, call: NotifyCall) -> NotifyAnswer:
        """The server takes any 200 for an acknowledgement."""
        return NotifyAnswer(200, b"{}", {"Content-Type": "application/json"})

    def ask_again(self, call: NotifyCall) -> NotifyAnswer:
        """And anything else for none."""
        return NotifyAnswer(503, b"", {})

    async def _ask(self, path: str, body: bytes) -> dict[str, Any]:
        signature = base64.b64encode(self._settings.signing_key.sign_content(path.encode() + body))
        headers = {
            "Content-Type": "application/json",
            "X-Client": self._settings.client_id,
            "X-Signature": signature.decode(),
        }
        try:
            reply = await self._transport.post(path, body, headers, 5.0)
        except TimeoutError:
            raise NoAnswer("no answer within 5 s") from None
        except ConnectionBroke as error:
            raise NoAnswer(f"the connection broke ({error})") from None
        if reply.status != 200:
            raise NoAnswer(f"HTTP status {reply.status}")
        answer = self._verified(path, reply.headers.get("X-Signature"), reply.body)
        if answer.get("payment") != json.loads(body)["payment"]:
            raise NoAnswer("the answer is about another payment")
        return answer

    def _verified(self, path: str, signature: str | None, body: bytes) -> dict[str, Any]:
        try:
            raw = base64.b64decode(signature or "", validate=True)
            self._settings.network_keys.verify_content(path.encode() + body, raw)
            message = json.loads(body)
        except (BadSignature, ValueError) as error:
            raise NoAnswer(f"not a signed message: {type(error).__name__}") from None
        if not isinstance(message, dict):
            raise NoAnswer("not an object")
        return message


def build(settings: ConnectorSettings, clock: Clock) -> HouseWallet:
    """What the entry point leads to.

    Raises:
        ConfigError: the section has an option that this kind does not have.
    """
    if settings.options:
        raise ConfigError([f"{name}: house_wallet has no options" for name in settings.options])
    return HouseWallet(settings)


def _report(answer: dict[str, Any]) -> Report | None:
    """What a state says of the money; None when it says nothing."""
    if answer.get("state") not in _OUTCOMES:
        return None
    outcome, code = _OUTCOMES[answer["state"]]
    amount = None
    if outcome is Outcome.SUCCESS:
        try:
            amount = Money(str(answer.get("currency")), answer.get("value", 0))
        except InvalidAmount:
            return None
    receipt = Receipt(payment_id=PaymentId(str(answer["slip"])) if "slip" in answer else None)
    return Report(outcome=outcome, code=code, amount=amount, receipt=receipt)


def _refund_report(answer: dict[str, Any], refund: Refund) -> RefundReport | None:
    """What is said of this very refund; None when nothing is."""
    if answer.get("refund") != refund.refund_request_id:
        return None
    match answer.get("state"):
        case "given_back":
            return RefundReport(outcome=Outcome.SUCCESS, code=SUCCESS)
        case "refused":
            return RefundReport(outcome=Outcome.FAILURE, code="PROCESS_FAIL")
        case _:
            return None


def _json(**fields: Any) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode()

"""What Alipay+ does with a message: the pure half of the sandbox. Every method is given the time;
nothing here signs, waits or sends.

Theory of operation. A payment is placed, its code resolved to a customer, and its wallet asked.
The wallet's S or F ends it; a U leaves it in process until the customer confirms or declines, the
acquirer cancels, or it expires. Expiry is noticed by whoever looks first: the timer (`expire`) or
a message about that payment. Ends that are not the acquirer's own doing wait in `take_finals` for
the notifier.
"""

from __future__ import annotations

import heapq
from dataclasses import replace
from datetime import datetime
from itertools import islice

from tillgate.alipayplus.messages import (
    SUCCESS,
    Amount,
    CancelRequest,
    CancelResponse,
    InquiryRequest,
    InquiryResponse,
    Notification,
    PayRequest,
    PayResponse,
    Result,
    amount_of,
)
from tillgate.core.codes import mask
from tillgate.core.errors import PaymentNotFound, RequestError
from tillgate.core.money import EXPONENTS, Money
from tillgate.core.results import Outcome
from tillgate.sandbox.checks import CONNECT_WALLET, final_expiry, ids_fault, pay_fault
from tillgate.sandbox.codes import CodeDesk, Digits
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.ledger import Ledger
from tillgate.sandbox.payment import (
    ORDER_LIFE,
    RESULTS,
    UTC_8,
    Payment,
    State,
    param_illegal,
    wire_time,
)
from tillgate.sandbox.wallet_side import WalletSide
from tillgate.sandbox.wallets import Wallets

ACQUIRER_ID = "2021228100000000"
"""The guide's sample."""


class NotWaiting(RequestError):
    """The payment does not wait for its customer (any more)."""

    code = "payment_not_waiting"


class Network:
    """Alipay+ and the wallets behind it.

    Attributes:
        codes: the payment codes that are about.
        ledger: the wallets' books.
    """

    def __init__(
        self,
        wallets: Wallets,
        digits: Digits,
        record: Exchanges,
        acquirer_id: str = ACQUIRER_ID,
    ) -> None:
        self.codes = CodeDesk(digits)
        self.ledger = Ledger(wallets)
        self._wallets = wallets
        self._wallet_side = WalletSide(self.ledger, record)
        self._digits = digits
        self._acquirer_id = acquirer_id
        self._payments: dict[tuple[str, str], Payment] = {}
        self._keys_by_payment_id: dict[str, tuple[str, str]] = {}
        self._clients: set[str] = set()
        self._expiries: list[tuple[datetime, str]] = []  # a heap of (expires_at, payment_id)
        self._finals: list[Payment] = []

    # What the acquirer asks
    # ------------------------------------------------------------------------------------------

    def pay(self, client_id: str, request: PayRequest, now: datetime) -> PayResponse:
        """`pay`, idempotent by `paymentRequestId` for ever."""
        fault = pay_fault(request)
        if fault:
            return PayResponse(result=param_illegal(fault))
        known = self._current((client_id, request.payment_request_id), now)
        if known is not None:
            return self._repeated(known, request)
        if request.payment_method.payment_method_type != CONNECT_WALLET:
            fault = f"paymentMethod.paymentMethodType: must be {CONNECT_WALLET}"
            return PayResponse(result=param_illegal(fault))
        if request.payment_amount.currency not in EXPONENTS:
            return PayResponse(result=RESULTS["CURRENCY_NOT_SUPPORT"])
        return self._pay_response(self._charge(self._placed(client_id, request, now), request, now))

    def inquire(self, client_id: str, request: InquiryRequest, now: datetime) -> InquiryResponse:
        """`inquiryPayment`: `result` is about the question, `paymentResult` about the money."""
        fault = ids_fault(request.payment_request_id, request.payment_id)
        if fault:
            return InquiryResponse(result=param_illegal(fault))
        payment = self._asked_for(client_id, request, now)
        if payment is None:
            return InquiryResponse(result=RESULTS["ORDER_NOT_EXIST"])
        is_paid = payment.state is State.SUCCEEDED
        return InquiryResponse(
            result=SUCCESS,
            payment_result=payment.result,
            acquirer_id=self._acquirer_id,
            psp_id=payment.wallet.psp_id if payment.wallet else None,
            payment_request_id=payment.payment_request_id,
            payment_id=payment.payment_id,
            payment_amount=amount_of(payment.amount),
            payment_time=wire_time(payment.paid_at) if is_paid and payment.paid_at else None,
            customer_id=payment.customer.network_id if is_paid and payment.customer else None,
            wallet_brand_name=payment.wallet.brand if is_paid and payment.wallet else None,
        )

    def cancel(self, client_id: str, request: CancelRequest, now: datetime) -> CancelResponse:
        """`cancelPayment`: whatever the status, while the window is open. Idempotent: once done, S
        for ever.
        """
        fault = ids_fault(request.payment_request_id, request.payment_id)
        if fault:
            return CancelResponse(result=param_illegal(fault))
        payment = self._asked_for(client_id, request, now)
        if payment is None:
            return CancelResponse(result=RESULTS["ORDER_NOT_EXIST"])
        if not payment.is_cancelled:
            if now >= payment.cancel_window_ends:
                return CancelResponse(result=RESULTS["CANCEL_WINDOW_EXCEED"])
            self._close(payment, now, is_cancelled=True)
        psp_id = payment.wallet.psp_id if payment.wallet else None
        return CancelResponse(result=SUCCESS, psp_id=psp_id, acquirer_id=self._acquirer_id)

    # What customers, the timer and the notifier do
    # ------------------------------------------------------------------------------------------

    def confirm(self, payment_request_id: str, now: datetime) -> Payment:
        """The customer agrees in the wallet.

        Raises:
            PaymentNotFound: there is none.
            NotWaiting: it is final, expired meanwhile perhaps.
        """
        payment = self._waiting(payment_request_id, now)
        return self._judged(payment, self._wallet_side.confirm(payment, now), now)

    def decline(self, payment_request_id: str, now: datetime) -> Payment:
        """The customer refuses. Raises as `confirm`."""
        payment = self._waiting(payment_request_id, now)
        return self._judged(payment, self._wallet_side.decline(payment, now), now)

    def expire(self, now: datetime) -> datetime | None:
        """Close what is unpaid at its expiry. Gives the next moment to come, if any."""
        while self._expiries and self._expiries[0][0] <= now:
            _, payment_id = heapq.heappop(self._expiries)
            self._current(self._keys_by_payment_id[payment_id], now)
        return self._expiries[0][0] if self._expiries else None

    def take_finals(self) -> list[Payment]:
        """Payments that came to an end since the last call and have somebody to tell."""
        finals, self._finals = self._finals, []
        return finals

    def notification(self, payment: Payment) -> Notification:
        """What `notifyPayment` tells of a payment as it stands in the argument."""
        is_paid = payment.state is State.SUCCEEDED
        told = self._pay_response(payment)
        return Notification(
            payment_result=payment.result,
            payment_request_id=payment.payment_request_id,
            payment_id=payment.payment_id,
            acquirer_id=self._acquirer_id,
            psp_id=told.psp_id,
            customer_id=told.customer_id,
            wallet_brand_name=told.wallet_brand_name,
            payment_amount=told.payment_amount if is_paid else None,
            payment_time=told.payment_time,
        )

    # Looking
    # ------------------------------------------------------------------------------------------

    def find(self, payment_request_id: str, now: datetime) -> Payment:
        """The payment as it stands, of whichever acquirer.

        Raises:
            PaymentNotFound: there is none.
        """
        for client_id in self._clients:
            payment = self._current((client_id, payment_request_id), now)
            if payment is not None:
                return payment
        raise PaymentNotFound("There is no such payment.", path="$.payment_request_id")

    def latest(self, count: int) -> list[Payment]:
        """The last so many payments, oldest first."""
        newest_first = islice(reversed(self._payments.values()), count)
        return list(newest_first)[::-1]

    def payment_count(self) -> int:
        """How many payments there are."""
        return len(self._payments)

    # Inside
    # ------------------------------------------------------------------------------------------

    def _placed(self, client_id: str, request: PayRequest, now: datetime) -> Payment:
        return Payment(
            client_id=client_id,
            payment_request_id=request.payment_request_id,
            payment_id=self._new_payment_id(now),
            reference_order_id=request.order.reference_order_id,
            amount=Money(*_canonical(request.payment_amount)),
            order_amount=_canonical(request.order.order_amount),
            masked_code=mask(request.payment_method.payment_method_id),
            notify_url=request.payment_notify_url,
            placed_at=now,
            expires_at=final_expiry(request.payment_expiry_time, now, now + ORDER_LIFE),
            state=State.IN_PROCESS,
            result=RESULTS["PAYMENT_IN_PROCESS"],
        )

    def _charge(self, payment: Payment, request: PayRequest, now: datetime) -> Payment:
        """Resolve the code, ask the wallet."""
        self._clients.add(payment.client_id)
        self._keys_by_payment_id[payment.payment_id] = _key(payment)
        customer = self.codes.redeem(request.payment_method.payment_method_id, now)
        if isinstance(customer, str):
            return self._judged(payment, RESULTS[customer], now)
        wallet = self._wallets.wallet(customer.wallet_id)
        assert wallet is not None
        payment = replace(payment, customer=customer, wallet=wallet)
        if not self._wallets.takes(payment.amount.currency):
            return self._judged(payment, RESULTS["CURRENCY_NOT_SUPPORT"], now)
        if payment.expires_at <= now:
            return self._close(payment, now, is_cancelled=False)
        pay_to_value = self._wallets.convert(payment.amount, wallet.currency)
        payment = replace(payment, pay_to_value=pay_to_value)
        result = self._wallet_side.pay(payment, now)
        if result.result_status is Outcome.UNKNOWN:
            heapq.heappush(self._expiries, (payment.expires_at, payment.payment_id))
        return self._judged(payment, result, now)

    def _judged(self, payment: Payment, result: Result, now: datetime) -> Payment:
        """The wallet's or our own word on it becomes its state."""
        match result.result_status:
            case Outcome.UNKNOWN:
                payment = replace(payment, result=result)
            case Outcome.SUCCESS:
                payment = replace(
                    payment, state=State.SUCCEEDED, result=result, paid_at=now, finished_at=now
                )
            case Outcome.FAILURE:
                payment = replace(payment, state=State.FAILED, result=result, finished_at=now)
        self._payments[_key(payment)] = payment
        if payment.finished_at is not None:
            self._tell(payment)
        return payment

    def _close(self, payment: Payment, now: datetime, *, is_cancelled: bool) -> Payment:
        if payment.pay_to_value and payment.state in (State.SUCCEEDED, State.IN_PROCESS):
            self._wallet_side.cancel(payment, now)
        payment = replace(
            payment,
            state=State.CLOSED,
            result=RESULTS["ORDER_IS_CLOSED"],
            is_cancelled=is_cancelled,
            finished_at=now,
        )
        self._payments[_key(payment)] = payment
        if not is_cancelled:  # an acquirer that cancels has its answer already
            self._tell(payment)
        return payment

    def _tell(self, payment: Payment) -> None:
        if payment.notify_url is not None:
            self._finals.append(payment)

    def _repeated(self, payment: Payment, request: PayRequest) -> PayResponse:
        # The fields that must agree: Alipay+ "Idempotency". The code is not among them.
        is_same = (
            _canonical(request.payment_amount) == (payment.amount.currency, payment.amount.value)
            and _canonical(request.order.order_amount) == payment.order_amount
            and request.payment_method.payment_method_type == CONNECT_WALLET
        )
        if not is_same:
            return PayResponse(result=RESULTS["REPEAT_REQ_INCONSISTENT"])
        return self._pay_response(payment)

    def _pay_response(self, payment: Payment) -> PayResponse:
        """An F or a U carries nothing but its result, as in the guide's samples."""
        if payment.state is not State.SUCCEEDED:
            return PayResponse(result=payment.result)
        assert payment.wallet is not None
        assert payment.customer is not None
        assert payment.paid_at is not None
        return PayResponse(
            acquirer_id=self._acquirer_id,
            psp_id=payment.wallet.psp_id,
            result=payment.result,
            payment_id=payment.payment_id,
            payment_amount=amount_of(payment.amount),
            payment_time=wire_time(payment.paid_at),
            customer_id=payment.customer.network_id,
            wallet_brand_name=payment.wallet.brand,
        )

    def _current(self, key: tuple[str, str], now: datetime) -> Payment | None:
        payment = self._payments.get(key)
        if payment is None or payment.state is not State.IN_PROCESS or now < payment.expires_at:
            return payment
        return self._close(payment, now, is_cancelled=False)

    def _asked_for(
        self, client_id: str, request: InquiryRequest | CancelRequest, now: datetime
    ) -> Payment | None:
        # Antom's rule where both ids are sent: paymentId wins. Alipay+'s is not published.
        if request.payment_id is not None:
            key = self._keys_by_payment_id.get(request.payment_id)
            return self._current(key, now) if key and key[0] == client_id else None
        return self._current((client_id, request.payment_request_id or ""), now)

    def _waiting(self, payment_request_id: str, now: datetime) -> Payment:
        payment = self.find(payment_request_id, now)
        if payment.state is not State.IN_PROCESS:
            raise NotWaiting(f"The payment is {payment.state}: nobody can confirm or decline it.")
        return payment

    def _new_payment_id(self, now: datetime) -> str:
        """35 digits with the date in front, as the guide's sample. Random, so that a sandbox that
        was started anew never repeats one that a gateway has stored.
        """
        date = now.astimezone(UTC_8).strftime("%Y%m%d")
        payment_id = f"{date}1140108001{self._digits(17)}"
        while payment_id in self._keys_by_payment_id:
            payment_id = f"{date}1140108001{self._digits(17)}"
        return payment_id


def _key(payment: Payment) -> tuple[str, str]:
    return payment.client_id, payment.payment_request_id


def _canonical(amount: Amount) -> tuple[str, int]:
    """`"0100"`, `"100"` and 100 are one amount."""
    return amount.currency, int(amount.value)

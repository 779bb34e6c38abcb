"""What Alipay+ does with a message: the pure half of the sandbox. Every method is given the time;
nothing here signs, waits or sends.

Theory of operation. A payment is placed, its code resolved to a customer, and its wallet asked.
The wallet's S or F ends it; a U leaves it in process until the customer confirms or declines, the
acquirer cancels, or it expires. A refund leaves it paid. Where the pages say nothing, `Choices`
decide. Expiry is noticed by whoever looks first: the timer (`expire`) or
a message about that payment. Ends that are not the acquirer's own doing wait in `take_finals` for
the notifier.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from tillgate.alipayplus.messages import (
    SUCCESS,
    CancelRequest,
    CancelResponse,
    CodeConsultRequest,
    CodeConsultResponse,
    InquiryRequest,
    InquiryResponse,
    Notification,
    PayRequest,
    PayResponse,
    RefundRequest,
    RefundResponse,
    Result,
)
from tillgate.core.codes import mask
from tillgate.core.errors import RequestError
from tillgate.core.money import EXPONENTS, Money
from tillgate.core.results import Outcome
from tillgate.sandbox.agenda import Agenda
from tillgate.sandbox.answers import Answers
from tillgate.sandbox.checks import (
    CONNECT_WALLET,
    canonical,
    compared,
    final_expiry,
    ids_fault,
    inferred_fault,
    pay_fault,
    refund_fault,
)
from tillgate.sandbox.choices import (
    DEFAULTS,
    Choices,
    ExpiryFrom,
    InferredFields,
    PayOnCancelled,
)
from tillgate.sandbox.codes import Digits
from tillgate.sandbox.exchanges import Exchanges
from tillgate.sandbox.orders import Orders
from tillgate.sandbox.payment import (
    ORDER_LIFE,
    RESULTS,
    UTC_8,
    Payment,
    State,
    param_illegal,
    result_of,
)
from tillgate.sandbox.plays import NOTHING, Api, Do
from tillgate.sandbox.refunds import Refunds
from tillgate.sandbox.settlement import settled_value_of
from tillgate.sandbox.town import Town
from tillgate.sandbox.unknown_orders import UnknownOrders
from tillgate.sandbox.wallet_side import WalletSide
from tillgate.sandbox.wallets import Wallets

ACQUIRER_ID = "2021228100000000"
"""The guide's sample."""


class NotWaiting(RequestError):
    """The payment does not wait for its customer (any more)."""

    code = "payment_not_waiting"


class WrongPin(RequestError):
    """The customer's PIN is another one; the payment waits."""

    code = "wrong_pin"


class Network:
    """Alipay+ and the wallets behind it.

    Attributes:
        name: which network it is, for testers.
        town: its customers, with those of other networks.
        orders: its payments.
        codes: the payment codes that are about.
        ledger: the wallets' books.
        choices: how it behaves where the public pages say nothing.
    """

    def __init__(
        self,
        wallets: Wallets,
        digits: Digits,
        record: Exchanges,
        acquirer_id: str = ACQUIRER_ID,
        choices: Choices = DEFAULTS,
        *,
        name: str = "alipay_plus",
        serves: str | None = None,
        town: Town | None = None,
    ) -> None:
        """`serves` is the one wallet that is behind it; None: all. Networks that are given the
        same `town` have their customers in common.
        """
        self.name = name
        self.choices = choices
        town = town or Town(wallets, digits)
        self.town = town
        self.codes = town.codes
        self.ledger = town.ledger
        self._serves = serves
        self._answers = Answers(acquirer_id, choices, wallets)
        self._unknown = UnknownOrders(acquirer_id, choices)
        self._wallets = wallets
        self._wallet_side = WalletSide(town, record)
        self._digits = digits
        self.orders = Orders(lambda payment, at: self._close(payment, at, is_cancelled=False))
        self._refunds = Refunds(
            town, self._wallet_side, self._answers, self._new_id, self.orders.keep
        )
        self._agenda = Agenda()
        self._finals: list[Payment] = []
        self._hidden: dict[str, datetime] = {}  # until when inquiries do not find it

    # What the acquirer asks
    # ------------------------------------------------------------------------------------------

    def pay(
        self,
        client_id: str,
        request: PayRequest,
        now: datetime,
        do: Do = NOTHING,
        asked_at: datetime | None = None,
    ) -> PayResponse:
        """`pay`, idempotent by `paymentRequestId` for ever (but for `PayOnCancelled.TAKEN`). What
        `do` says of a payment holds for the first one; `asked_at` is its Request-Time.
        """
        fault = pay_fault(request)
        if fault is None and self.choices.inferred_fields is InferredFields.REQUIRED:
            fault = inferred_fault(request)
        if fault:
            return PayResponse(result=param_illegal(fault))
        key = client_id, request.payment_request_id
        if self._unknown.is_closed(key):
            return PayResponse(result=RESULTS["ORDER_IS_CLOSED"])
        known = self.orders.current(key, now)
        if known is not None and not self._starts_over(known):
            return self._repeated(known, request)
        if request.payment_method.payment_method_type != CONNECT_WALLET:
            fault = f"paymentMethod.paymentMethodType: must be {CONNECT_WALLET}"
            return PayResponse(result=param_illegal(fault))
        if request.payment_amount.currency not in EXPONENTS:
            return PayResponse(result=RESULTS["CURRENCY_NOT_SUPPORT"])
        placed = self._placed(client_id, request, now, asked_at)
        return self._answers.paid(self._charge(placed, request, now, do))

    def inquire(self, client_id: str, request: InquiryRequest, now: datetime) -> InquiryResponse:
        """`inquiryPayment`: `result` is about the question, `paymentResult` about the money."""
        fault = ids_fault(request.payment_request_id, request.payment_id)
        if fault:
            return InquiryResponse(result=param_illegal(fault))
        payment = self.orders.asked_for(client_id, request, now)
        if payment is None or self.is_hidden(payment, now):
            return self._unknown.inquired(client_id, request)
        return self._answers.inquired(payment)

    def cancel(self, client_id: str, request: CancelRequest, now: datetime) -> CancelResponse:
        """`cancelPayment`: whatever the status, while the window is open. Idempotent: once done, S
        for ever.

        What was refunded, even in part, cannot be cancelled (Antom's rule; Alipay+ has none to
        read): F PROCESS_FAIL, the one code of the published lists that fits.
        """
        fault = ids_fault(request.payment_request_id, request.payment_id)
        if fault:
            return CancelResponse(result=param_illegal(fault))
        payment = self.orders.asked_for(client_id, request, now)
        if payment is None:
            return self._unknown.cancelled(client_id, request, now)
        if not payment.is_cancelled:
            if now >= payment.cancel_window_ends:
                return CancelResponse(result=RESULTS["CANCEL_WINDOW_EXCEED"])
            if payment.refunds:
                return CancelResponse(result=RESULTS["PROCESS_FAIL"])
            self._close(payment, now, is_cancelled=True)
        return self._answers.cancelled(payment)

    def refund(self, client_id: str, request: RefundRequest, now: datetime) -> RefundResponse:
        """`refund` of a paid payment."""
        fault = refund_fault(request)
        if fault:
            return RefundResponse(result=param_illegal(fault))
        payment = self.orders.asked_for(client_id, request, now)
        return self._refunds.answer(client_id, request, payment, now)

    def consult(self, request: CodeConsultRequest, now: datetime) -> CodeConsultResponse:
        """`codeConsult`: whose code is it? Uses nothing up."""
        if not request.code_value.isascii() or not request.code_value.isdigit():
            return CodeConsultResponse(result=param_illegal("codeValue: must be digits"))
        holder = self.codes.holder(request.code_value, now)
        if isinstance(holder, str):
            return CodeConsultResponse(result=RESULTS[holder])
        wallet = self._wallets.wallet(holder.wallet_id)
        assert wallet is not None
        return CodeConsultResponse(result=SUCCESS, psp_site_name=wallet.brand)

    # What customers, the timer and the notifier do
    # ------------------------------------------------------------------------------------------

    def confirm(
        self, id_: str, now: datetime, pin: str | None = None, client_id: str | None = None
    ) -> Payment:
        """The customer agrees in the wallet, with a PIN where one is asked. The third wrong one
        ends the payment.

        Raises:
            PaymentNotFound: there is none.
            NotWaiting: it is final, expired meanwhile perhaps.
            WrongPin: it still waits.
        """
        payment = self._waiting(id_, now, client_id)
        if (tries_left := self._wallet_side.try_pin(payment, pin)) is not None:
            if tries_left > 0:
                raise WrongPin(f"The PIN is wrong; tries left: {tries_left}.", path="$.pin")
            return self._judged(payment, self._wallet_side.decline(payment, now), now)
        return self._judged(payment, self._wallet_side.confirm(payment, now), now)

    def decline(self, id_: str, now: datetime, client_id: str | None = None) -> Payment:
        """The customer refuses. Raises as `confirm`."""
        payment = self._waiting(id_, now, client_id)
        return self._judged(payment, self._wallet_side.decline(payment, now), now)

    def expire(self, now: datetime) -> datetime | None:
        """Close what is unpaid at its expiry, and hear what wallets had to say until then.

        Gives the next moment to come, if any.
        """
        while (due := self._agenda.take(now)) is not None:
            payment = self.orders[due.payment_id]
            if due.result is None:
                self.orders.as_of(payment, now)
            else:
                self._heard_late(payment, due.result, due.at)
        return self._agenda.next_at()

    def is_hidden(self, payment: Payment, now: datetime) -> bool:
        """Whether an inquiry does not find it yet, as a tester wants."""
        return now < self._hidden.get(payment.payment_id, now)

    def take_finals(self) -> list[Payment]:
        """Payments that came to an end since the last call and have somebody to tell."""
        finals, self._finals = self._finals, []
        return finals

    def notification(self, payment: Payment) -> Notification:
        """What `notifyPayment` tells of a payment as it stands in the argument."""
        return self._answers.notification(payment)

    # Inside
    # ------------------------------------------------------------------------------------------

    def _placed(
        self, client_id: str, request: PayRequest, now: datetime, asked_at: datetime | None
    ) -> Payment:
        strategy, merchant = request.settlement_strategy, request.order.merchant
        is_asked = self.choices.expiry_from is ExpiryFrom.REQUEST_TIME
        latest = (asked_at if is_asked and asked_at is not None else now) + ORDER_LIFE
        return Payment(
            client_id=client_id,
            payment_request_id=request.payment_request_id,
            payment_id=self._new_id(now, self.town.payment_ids),
            network=self.name,
            reference_order_id=request.order.reference_order_id,
            amount=Money(*canonical(request.payment_amount)),
            compared=compared(request, self.choices.idempotent_fields),
            settlement_currency=strategy.settlement_currency
            if strategy is not None
            else request.payment_amount.currency,
            merchant_name=merchant.merchant_name if merchant is not None else None,
            description=request.order.order_description,
            masked_code=mask(request.payment_method.payment_method_id),
            notify_url=request.payment_notify_url,
            placed_at=now,
            expires_at=final_expiry(request.payment_expiry_time, now, latest),
            state=State.IN_PROCESS,
            result=RESULTS["PAYMENT_IN_PROCESS"],
        )

    def _charge(self, payment: Payment, request: PayRequest, now: datetime, do: Do) -> Payment:
        """Resolve the code, ask the wallet."""
        if do.unknown_for_s:
            self._hidden[payment.payment_id] = now + timedelta(seconds=do.unknown_for_s)
        self.orders.place(payment)
        order = payment.client_id, payment.payment_request_id
        code = request.payment_method.payment_method_id
        customer = self.codes.redeem(code, now, order, wallet_id=self._serves)
        if isinstance(customer, str):
            return self._judged(payment, RESULTS[customer], now)
        wallet = self._wallets.wallet(customer.wallet_id)
        assert wallet is not None
        payment = replace(payment, customer=customer, wallet=wallet)
        settled_in = payment.settlement_currency
        if not (self._wallets.takes(payment.amount.currency) and self._wallets.takes(settled_in)):
            return self._judged(payment, RESULTS["CURRENCY_NOT_SUPPORT"], now)
        if payment.expires_at <= now:
            return self._close(payment, now, is_cancelled=False)
        pay_to_value = self._wallets.convert(payment.amount, wallet.currency)
        settled_value = settled_value_of(self._wallets, payment.amount, settled_in)
        payment = replace(payment, pay_to_value=pay_to_value, settled_value=settled_value)
        result = self._wallet_side.pay(payment, now, _asked_of_wallet(do))
        if result.result_status is Outcome.UNKNOWN:
            self._agenda.add(payment.expires_at, payment.payment_id)
            if do.then is not None:
                at = now + timedelta(seconds=do.then.after_s)
                self._agenda.add(at, payment.payment_id, result_of(do.then.result))
        return self._judged(payment, result, now)

    def _judged(self, payment: Payment, result: Result, now: datetime) -> Payment:
        """The wallet's or our own word on it becomes its state."""
        match result.result_status:
            case Outcome.UNKNOWN:
                payment = replace(payment, result=result)
            case Outcome.SUCCESS:
                self.town.book.paid(payment, now)
                payment = replace(
                    payment, state=State.SUCCEEDED, result=result, paid_at=now, finished_at=now
                )
            case Outcome.FAILURE:
                payment = replace(payment, state=State.FAILED, result=result, finished_at=now)
        self.orders.keep(payment)
        if payment.finished_at is not None:
            self._tell(payment)
        return payment

    def _heard_late(self, payment: Payment, result: Result, now: datetime) -> None:
        """The wallet says more of a payment that it left in process."""
        payment = self.orders.as_of(payment, now)
        if payment.state is State.IN_PROCESS and result.result_status is not Outcome.UNKNOWN:
            if result.result_status is Outcome.SUCCESS:
                result = self._wallet_side.confirm(payment, now)
            self._judged(payment, result, now)
        elif payment.state is State.CLOSED and result.result_status is Outcome.SUCCESS:
            result = self._wallet_side.late_success(payment, now)
            if result.result_status is Outcome.SUCCESS:
                # The facts, "paymentExpiryTime": a late success is reversed by Alipay+.
                self.town.book.paid(payment, now)
                self._cancel_there(payment, now)

    def _close(self, payment: Payment, now: datetime, *, is_cancelled: bool) -> Payment:
        if payment.pay_to_value and payment.state in (State.SUCCEEDED, State.IN_PROCESS):
            self._cancel_there(payment, now)
        payment = replace(
            payment,
            state=State.CLOSED,
            result=RESULTS["ORDER_IS_CLOSED"],
            is_cancelled=is_cancelled,
            finished_at=now,
        )
        self.orders.keep(payment)
        if not is_cancelled:  # an acquirer that cancels has its answer already
            self._tell(payment)
        return payment

    def _cancel_there(self, payment: Payment, now: datetime) -> None:
        self._wallet_side.cancel(payment, now)
        self.town.book.cancelled(payment, now)

    def _tell(self, payment: Payment) -> None:
        if payment.notify_url is not None:
            self._finals.append(payment)

    def _repeated(self, payment: Payment, request: PayRequest) -> PayResponse:
        # The fields that must agree: Alipay+ "Idempotency".
        if payment.compared != compared(request, self.choices.idempotent_fields):
            return PayResponse(result=RESULTS["REPEAT_REQ_INCONSISTENT"])
        return self._answers.paid(payment)

    def _starts_over(self, known: Payment) -> bool:
        is_taken = self.choices.pay_on_cancelled is PayOnCancelled.TAKEN
        return is_taken and known.state is State.CLOSED and known.is_cancelled

    def _waiting(self, id_: str, now: datetime, client_id: str | None) -> Payment:
        payment = self.orders.find(id_, now, client_id)
        if payment.state is not State.IN_PROCESS:
            raise NotWaiting(f"The payment is {payment.state}: nobody can confirm or decline it.")
        return payment

    def _new_id(self, now: datetime, taken: set[str]) -> str:
        """35 digits with the date in front, as the guide's sample. Random, so that a sandbox that
        was started anew never repeats one that a gateway has stored.
        """
        date = now.astimezone(UTC_8).strftime("%Y%m%d")
        drawn = f"{date}1140108001{self._digits(17)}"
        while drawn in taken:
            drawn = f"{date}1140108001{self._digits(17)}"
        taken.add(drawn)
        return drawn


def _asked_of_wallet(do: Do) -> Result | None:
    """What a script makes the wallet answer; None: what it likes."""
    if do.is_judgement(Api.PAY) and do.result is not None:
        return result_of(do.result)
    return RESULTS["PAYMENT_IN_PROCESS"] if do.then is not None else None

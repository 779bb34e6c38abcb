"""Payment codes as wallets show them: drawn at random, living one minute, working once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from tillgate.core.codes import CodeKind, parse_code
from tillgate.sandbox.wallets import Customer, Wallet

LIFE = timedelta(seconds=60)
"""Source: Alipay+ getPaymentCode: a code is valid for 1 minute."""
REMEMBERED = timedelta(hours=1)
"""How long a dead code is still told apart (expired, used) from one that never was."""

INVALID_CODE = "INVALID_CODE"
EXPIRED_CODE = "EXPIRED_CODE"

ISSUED_KINDS = tuple(CodeKind)
LENGTHS = {
    CodeKind.CGCP: range(24, 25),
    CodeKind.ALIPAY_PLUS_19: range(19, 20),
    CodeKind.ALIPAY_CN_HK: range(16, 20),
    CodeKind.RESERVED: range(20, 24),
}
"""How many digits each kind has here; of the reserved lengths those below 24."""
CN_HK_WALLETS = ("alipay_cn", "alipay_hk")
"""Whose own codes have 16 to 19 digits (AlipayHK's 17 to 19)."""

Digits = Callable[[int], str]
"""Draws so many random decimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuedCode:
    """A code on a customer's screen. `repr()` never shows it: it is a credential.

    Attributes:
        play: what is played when it is scanned (`plays.PLAYS`).
    """

    code: str
    kind: CodeKind
    customer: Customer
    expires_at: datetime
    play: str | None = None

    def __repr__(self) -> str:
        return f"IssuedCode({self.kind}, {self.customer.id}, expires_at={self.expires_at})"


def default_length(kind: CodeKind) -> int:
    """18 digits for AlipayCN and AlipayHK, the guide's 20 for the reserved kind."""
    return {CodeKind.ALIPAY_CN_HK: 18, CodeKind.RESERVED: 20}.get(kind, LENGTHS[kind][0])


class CodeDesk:
    """Issues codes and takes them back."""

    def __init__(self, digits: Digits) -> None:
        self._digits = digits
        self._issued: dict[str, IssuedCode] = {}  # in the order of issue, so oldest first
        self._used: dict[str, tuple[str, str] | None] = {}  # by which order

    def issue(
        self,
        customer: Customer,
        wallet: Wallet,
        kind: CodeKind,
        now: datetime,
        length: int | None = None,
        play: str | None = None,
    ) -> IssuedCode:
        """Draw a fresh code. Codes that the customer already has stay good."""
        length = length or default_length(kind)
        assert length in LENGTHS[kind], (kind, length)
        self._forget(now)
        text = self._draw(wallet, kind, length)
        while text in self._issued or parse_code(text).kind is not kind:
            text = self._draw(wallet, kind, length)
        issued = IssuedCode(
            code=text, kind=kind, customer=customer, expires_at=now + LIFE, play=play
        )
        self._issued[text] = issued
        return issued

    def revoke(self, customer: Customer, now: datetime) -> None:
        """None of the codes that the customer has is good any more."""
        self._forget(now)
        for issued in self._issued.values():
            if issued.customer.id == customer.id:
                self._used.setdefault(issued.code, None)

    def look(self, text: str) -> IssuedCode | None:
        """What was issued under these digits, good or not. Uses nothing up."""
        return self._issued.get(text)

    def holder(self, text: str, now: datetime) -> Customer | str:
        """The code's customer, or the result code that says why there is none. Uses nothing up."""
        issued = self._issued.get(text)
        if issued is None or text in self._used:
            return INVALID_CODE
        return EXPIRED_CODE if now >= issued.expires_at else issued.customer

    def redeem(
        self,
        text: str,
        now: datetime,
        order: tuple[str, str] | None = None,
        *,
        wallet_id: str | None = None,
    ) -> Customer | str:
        """The code's customer, or the result code that says why there is none.

        Any attempt uses the code up, whatever becomes of the payment ("single use; after any
        attempt, even a failed one": Alipay's rule for payment codes), but not for the same `order`
        (Client-Id, paymentRequestId): only an id that starts over asks twice. A code of another
        wallet than `wallet_id` (None: of any) means nothing there and stays good.
        """
        issued = self._issued.get(text)
        if issued is None or wallet_id not in (None, issued.customer.wallet_id):
            return INVALID_CODE
        if text in self._used and (order is None or self._used[text] != order):
            return INVALID_CODE
        if now >= issued.expires_at:
            return EXPIRED_CODE
        self._used[text] = order
        return issued.customer

    def _draw(self, wallet: Wallet, kind: CodeKind, length: int) -> str:
        match kind:
            case CodeKind.CGCP | CodeKind.RESERVED:
                # Prefix 28, agreement id 1, routing number, business type 02 (payment code), the
                # issuer's 16 digits. Source: Alipay+ "Code format", CPM. The guide's sample is
                # such a code of 20 digits.
                return f"281{wallet.routing_number}02{self._digits(length - 8)}"
            case CodeKind.ALIPAY_PLUS_19:
                # Source: release note 1.3.2: /^289\d{10}6\d{5}$/.
                return f"289{self._digits(10)}6{self._digits(5)}"
            case CodeKind.ALIPAY_CN_HK:
                # Nothing but the prefix is fixed. Source: Alipay+ "Payment codes".
                return f"28{self._digits(length - 2)}"
            case _:
                assert_never(kind)

    def _forget(self, now: datetime) -> None:
        while self._issued:
            oldest = next(iter(self._issued.values()))
            if oldest.expires_at + REMEMBERED > now:
                return
            del self._issued[oldest.code]
            self._used.pop(oldest.code, None)

"""Payment codes: what a till may scan, its layout, and how it is shown.

A payment code is a credential that lives one minute. It is carried as text, never as a number (32
digits are kept whole, leading zeros too), and only `mask` may show it.

Sources: the guide, "Identify the code value" (16 to 24 digits starting with 25 to 30; scanners
    should keep
32); Alipay+ code format standard (layout of the 24 digits; lengths 20 to 23 and 25 to 32 reserved).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from tillgate.core.errors import InvalidCode

DIGITS_MIN = 16
DIGITS_RECOGNISED_MAX = 24
DIGITS_CARRIED_MAX = 32

_DIGITS = re.compile(r"[0-9]+\Z")
_CODE = re.compile(r"(?:2[5-9]|30)[0-9]{14,30}\Z")
_ALIPAY_PLUS_19 = re.compile(r"(?:2[5-9]|30)9[0-9]{10}6[0-9]{5}\Z")


class CodeKind(StrEnum):
    """What the digits alone say. Which wallet gets it is the routing table's word."""

    ALIPAY_PLUS_19 = "alipay_plus_19"
    """19 digits, the 3rd a 9 and the 14th a 6: issued by Alipay+."""
    ALIPAY_CN_HK = "alipay_cn_hk"
    """16 to 19 digits: AlipayCN (16 to 19) or AlipayHK (17 to 19); the digits do not tell which."""
    RESERVED = "reserved"
    """20 to 23 or 25 to 32 digits: lengths that the standard keeps for later; the guide's sample
    has 20.
    """
    CGCP = "cgcp"
    """24 digits: prefix, agreement id, routing number, business type, 16 digits of the issuer's."""


EXPRESSIONS = {
    CodeKind.ALIPAY_PLUS_19: r"^(2[5-9]|30)9\d{10}6\d{5}$",
    CodeKind.ALIPAY_CN_HK: r"^(2[5-9]|30)(\d{14,16}|[0-8]\d{16}|9\d{10}[0-57-9]\d{5})$",
    CodeKind.RESERVED: r"^(2[5-9]|30)(\d{18,21}|\d{23,30})$",
    CodeKind.CGCP: r"^(2[5-9]|30)\d{22}$",
}
"""The kinds in the language of `patterns.py`: each payment code is of exactly one, which a test
proves over all of them."""


@dataclass(frozen=True, slots=True)
class PaymentCode:
    """A scanned code of 16 to 32 digits starting with 25 to 30. `str()` and `repr()` are masked.

    Attributes:
        digits: the whole code. Goes to the network and into the sealed body, nowhere else.
        kind: by length and marker digits.
        routing_number: digits 4 to 6, which name the issuing wallet, of codes with 20 digits or
            more; None for shorter ones, whose digits there are the wallet's own.
    """

    digits: str
    kind: CodeKind

    @property
    def is_recognised(self) -> bool:
        """Whether the guide asks a till to know it (16 to 24 digits). Longer ones are only
        carried.
        """
        return len(self.digits) <= DIGITS_RECOGNISED_MAX

    @property
    def routing_number(self) -> str | None:
        """Digits 4 to 6 of the longer kinds."""
        return self.digits[3:6] if len(self.digits) >= 20 else None

    @property
    def masked(self) -> str:
        """The form that people may see."""
        return _masked(self.digits)

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"PaymentCode({self.masked}, {self.kind})"


def parse_code(text: str) -> PaymentCode:
    """Tell what was scanned. Nothing is trimmed or repaired: a till that adds a character has a
    fault.

    Raises:
        InvalidCode: not 16 to 32 digits starting with 25 to 30. The message says which, in a
            cashier's words, and repeats at most the first two digits of what was scanned.
    """
    # The usual case first: this runs for every payment.
    if _CODE.match(text):
        return PaymentCode(text, _kind(text))
    raise InvalidCode(_why_no_code(text))


def _why_no_code(text: str) -> str:
    if not text:
        return "The code is empty. Scan the customer's payment code."
    if not _DIGITS.match(text):
        return "A payment code has digits only. Scan the code in the customer's wallet."
    if not DIGITS_MIN <= len(text) <= DIGITS_CARRIED_MAX:
        return (
            f"A payment code has 16 to 24 digits (up to 32 are carried); this one has {len(text)}."
        )
    return f"An Alipay+ payment code starts with 25 to 30; this one starts with {text[:2]}."


def _kind(digits: str) -> CodeKind:
    if _ALIPAY_PLUS_19.match(digits):
        return CodeKind.ALIPAY_PLUS_19
    if len(digits) <= 19:
        return CodeKind.ALIPAY_CN_HK
    if len(digits) == 24:
        return CodeKind.CGCP
    return CodeKind.RESERVED


_CODE_IN_TEXT = re.compile(r"(?<![0-9])(?:2[5-9]|30)[0-9]{14,30}(?![0-9])")


def mask_in(text: str) -> str:
    """A text of somebody else's with everything masked that looks like a payment code. Never
    raises.
    """
    if len(text) < DIGITS_MIN:
        return text
    return _CODE_IN_TEXT.sub(lambda match: mask(match.group()), text)


def mask(text: str) -> str:
    """The form for logs, answers and pages: the issuer's six digits and the last two, the rest
    starred.

    Eight digits or more stay hidden. What is not a payment code is hidden whole (it may be a card
    number or a password that a cashier scanned by mistake), and cut at 32 stars. Never raises.
    """
    return _masked(text) if _CODE.match(text) else "*" * min(len(text), DIGITS_CARRIED_MAX)


def _masked(digits: str) -> str:
    return f"{digits[:6]}{'*' * (len(digits) - 8)}{digits[-2:]}"

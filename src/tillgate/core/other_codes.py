"""Codes that are no Alipay+ payment codes but that a till scans all the same: other wallets' codes,
and the barcodes of goods. Known by name, so that a cashier is told what was scanned.

A guess for people: no route depends on it. What begins like an Alipay+ payment code is never asked
about here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from tillgate.core.automaton import Automaton, together
from tillgate.core.codes import DIGITS_CARRIED_MAX
from tillgate.core.patterns import compile_pattern


class Sort(StrEnum):
    """What kind of thing it is, and so what the cashier does."""

    WALLET = "wallet"
    """Another wallet's payment code."""
    GOODS = "goods"
    """A barcode on goods. Its last digit is a check digit, and has to fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherCode:
    """One row: how to know it, what it is called, who says so.

    Attributes:
        name: the wallet's or the barcode's name.
        called: the name in a sentence, with its article: "a WeChat Pay code".
        pattern: an expression over digits; empty for a code that is text.
        begins: how the text begins, where it is no digits.
        length: of such a text; None for any.
        source: where the row comes from.

    Raises:
        BadPattern: the expression cannot be used.
    """

    name: str
    called: str
    sort: Sort = Sort.WALLET
    pattern: str = ""
    begins: str = ""
    length: int | None = None
    source: str = ""
    automaton: Automaton | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        compiled = compile_pattern(self.pattern) if self.pattern else None
        object.__setattr__(self, "automaton", compiled)


@dataclass(frozen=True, slots=True)
class OtherCodes:
    """All of them, the specific ones first: the first that fits names the code."""

    rows: tuple[OtherCode, ...] = ()
    _digits: tuple[OtherCode, ...] = field(init=False, repr=False, compare=False)
    _automaton: Automaton = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        pairs = [(row, row.automaton) for row in self.rows if row.automaton is not None]
        object.__setattr__(self, "_digits", tuple(row for row, _ in pairs))
        object.__setattr__(self, "_automaton", together([automaton for _, automaton in pairs]))

    def find(self, text: str) -> OtherCode | None:
        """What a text that is no Alipay+ payment code may be. Never raises."""
        if text.isascii() and text.isdigit() and len(text) <= DIGITS_CARRIED_MAX:
            for index in self._automaton.matching(text):
                row = self._digits[index]
                if row.sort is Sort.WALLET or _has_check_digit(text):
                    return row
            return None
        for row in self.rows:
            fits = row.length is None or row.length == len(text)
            if row.begins and fits and text.startswith(row.begins):
                return row
        return None


def _has_check_digit(digits: str) -> bool:
    """GS1 General Specifications, "Check digit calculation": weights 3 and 1 from the right."""
    weighted = (int(sign) * (3 if at % 2 else 1) for at, sign in enumerate(reversed(digits)))
    return sum(weighted) % 10 == 0


def what_to_do(found: OtherCode) -> str:
    """The refusal, in a cashier's words. Repeats nothing of what was scanned."""
    if found.sort is Sort.GOODS:
        return (
            f"This is {found.called}, not a payment code. Scan the code in the customer's wallet."
        )
    return (
        f"This is {found.called}, not an Alipay+ payment code. Ask the customer for a wallet with"
        " the Alipay+ mark, or for another way to pay."
    )

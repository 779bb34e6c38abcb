"""Money: an integer of minor units and an ISO 4217 currency. Never a float, anywhere near it.

JPY 100 is one hundred yen (exponent 0); USD 100 is one dollar (exponent 2). The exponents come from
the official ISO 4217 table, which the `iso4217` package ships and renews.
"""

from __future__ import annotations

from dataclasses import dataclass

from iso4217 import Currency

from tillgate.core.errors import InvalidAmount

VALUE_MAX = 999_999_999_999
"""Twelve digits: the widest amount field of ISO 8583 (field 4), which acquirers carry it in
afterwards.
"""


def _exponents() -> dict[str, int]:
    # Metals and test codes (XAU, XTS, XXX) have no minor unit in the table: nobody pays with them.
    table: dict[str, int] = {}
    for currency in Currency:
        if currency.exponent is not None:
            table[currency.code] = currency.exponent
    return table


EXPONENTS: dict[str, int] = _exponents()
"""Currency code to number of decimals, for every currency that has a minor unit. Source: ISO
4217 list one.
"""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount to pay: 1 to 999 999 999 999 minor units of one currency.

    Raises:
        InvalidAmount: the currency is not in ISO 4217, or the value is not such an integer. `path`
            is `currency` or `value`.
    """

    currency: str
    value: int

    def __post_init__(self) -> None:
        if self.currency not in EXPONENTS:
            raise InvalidAmount(
                "The currency must be an ISO 4217 code in capitals, such as JPY or USD.",
                path="currency",
            )
        if type(self.value) is not int or not 1 <= self.value <= VALUE_MAX:
            raise InvalidAmount(
                f"The value must be a whole number of minor units from 1 to {VALUE_MAX}"
                " (JPY 100 is 100 yen, USD 100 is one dollar).",
                path="value",
            )

    @property
    def exponent(self) -> int:
        """How many of the value's digits stand behind the decimal point."""
        return EXPONENTS[self.currency]

    def __str__(self) -> str:
        """The amount for a reader: `JPY 100`, `USD 1.00`."""
        if not self.exponent:
            return f"{self.currency} {self.value}"
        whole, part = divmod(self.value, 10**self.exponent)
        return f"{self.currency} {whole}.{part:0{self.exponent}d}"


def parse_money(text: str) -> Money:
    """Read `CURRENCY:MINOR_UNITS`, the command line's form: `JPY:100` is 100 yen, `USD:100` one
    dollar.

    Raises:
        InvalidAmount: the text has another form, or the amount is out of range.
    """
    currency, colon, value = text.partition(":")
    if not colon or not value.isascii() or not value.isdigit() or len(value) > 12:
        raise InvalidAmount(
            f"{text!r} is not an amount. Write CURRENCY:MINOR_UNITS, such as JPY:100 for 100 yen"
            " or USD:100 for one dollar."
        )
    return Money(currency, int(value))

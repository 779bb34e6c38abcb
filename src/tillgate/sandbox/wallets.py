"""The wallets, their customers and the exchange rates, read from TOML. Values only: what a customer
has spent is the ledger's word.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from importlib import resources
from typing import Any

from tillgate.core.errors import ConfigError
from tillgate.core.money import EXPONENTS, Money
from tillgate.sandbox.plays import PLAYS

_SLUG = re.compile(r"[a-z0-9_]{1,32}\Z")
_BRAND = re.compile(r"[A-Z0-9_]{1,32}\Z")
_PSP_ID = re.compile(r"[0-9A-Z]{1,64}\Z")
_ROUTING_NUMBER = re.compile(r"[0-9]{3}\Z")
_RATE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,12})?\Z")
BALANCE_MAX = 10**18
"""Below TOML's 64 bits; a measurement of any length fits."""
PRICE_STEP = Decimal("0.000000000001")
_PIN = re.compile(r"[0-9]{4,8}\Z")


class Status(StrEnum):
    """Whether the wallet lets its customer pay."""

    ACTIVE = "active"
    FROZEN = "frozen"
    """USER_STATUS_ABNORMAL."""
    CLOSED = "closed"
    """USER_NOT_EXIST."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What a wallet asks of one customer's payments; a tester may change them at any time. Amounts
    are minor units of the wallet's currency; None: no limit.

    Attributes:
        is_kyc_done: False: USER_KYC_NOT_QUALIFIED.
        limit_each: one payment above it: PAYMENT_AMOUNT_EXCEED_LIMIT.
        limit_day: a day's payments, less what was given back, above it: USER_AMOUNT_EXCEED_LIMIT.
        count_day: more payments a day (UTC+8): PAYMENT_COUNT_EXCEED_LIMIT.
        confirm_above: a payment above it waits for the customer.
        pin: what the customer confirms with; None: no PIN is asked.
        play: what is played with each payment of theirs (`plays.PLAYS`).
    """

    status: Status = Status.ACTIVE
    is_kyc_done: bool = True
    limit_each: int | None = None
    limit_day: int | None = None
    count_day: int | None = None
    confirm_above: int | None = None
    pin: str | None = dataclasses.field(default=None, repr=False)
    play: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Somebody with a wallet.

    Attributes:
        id: ours, a word for testers; unique over all wallets.
        wallet_id: the wallet's `id`.
        network_id: `customerId` on the wire, assigned by Alipay+: `2088...`, always the same for
            the same `id`.
        balance: opening balance in minor units of the wallet's currency.
        conditions: what the wallet asks of their payments, to begin with.
    """

    id: str
    wallet_id: str
    name: str
    network_id: str
    balance: int
    conditions: Conditions = Conditions()

    @property
    def confirm_above(self) -> int | None:
        """A payment above so many minor units waits for the customer, to begin with."""
        return self.conditions.confirm_above


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """An MPP as Alipay+ knows it."""

    id: str
    name: str
    brand: str
    psp_id: str
    currency: str
    routing_number: str
    customers: tuple[Customer, ...]


class Wallets:
    """All wallets, found by id, and the rates between their currencies."""

    def __init__(self, wallets: tuple[Wallet, ...], rates: dict[str, Fraction]) -> None:
        self.all = wallets
        self._wallets = {wallet.id: wallet for wallet in wallets}
        self._customers = {customer.id: customer for customer in self.customers()}
        self._rates = rates
        self._factors: dict[tuple[str, str], tuple[int, int]] = {}
        self._prices: dict[tuple[str, str], Decimal] = {}

    def customers(self) -> Iterator[Customer]:
        """Every customer of every wallet, in the file's order."""
        for wallet in self.all:
            yield from wallet.customers

    def wallet(self, wallet_id: str) -> Wallet | None:
        """The wallet of that id."""
        return self._wallets.get(wallet_id)

    def customer(self, customer_id: str) -> Customer | None:
        """The customer of that id, in whichever wallet."""
        return self._customers.get(customer_id)

    def takes(self, currency: str) -> bool:
        """Whether there is a rate for it."""
        return currency in self._rates

    def convert(self, amount: Money, currency: str) -> int:
        """Minor units of `currency` that the customer pays: rounded half up, at least 1.

        Both currencies must have a rate.
        """
        numerator, denominator = self._factor(amount.currency, currency)
        return max(1, (2 * amount.value * numerator + denominator) // (2 * denominator))

    def price(self, source: str, target: str) -> Decimal:
        """Units of `target` for one unit of `source`, to 12 decimals. Both must have a rate."""
        price = self._prices.get((source, target))
        if price is None:
            exact = self._rates[target] / self._rates[source]
            price = (Decimal(exact.numerator) / exact.denominator).quantize(
                PRICE_STEP, ROUND_HALF_UP
            )
            self._prices[source, target] = price
        return price

    def _factor(self, source: str, target: str) -> tuple[int, int]:
        factor = self._factors.get((source, target))
        if factor is None:
            exponents = Fraction(10) ** (EXPONENTS[target] - EXPONENTS[source])
            exact = self._rates[target] / self._rates[source] * exponents
            factor = self._factors[source, target] = exact.numerator, exact.denominator
        return factor


def load_wallets(document: bytes | None = None, *, name: str = "wallets.toml") -> Wallets:
    """Read the wallets.

    Args:
        document: TOML; None for the wallets that are shipped.
        name: put in front of each problem.

    Raises:
        ConfigError: lists every problem with its path in the document.
    """
    if document is None:
        document = resources.files("tillgate.sandbox").joinpath("wallets.toml").read_bytes()
    try:
        content = tomllib.loads(document.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{name}: is not TOML: {error}"]) from None
    reader = _Reader(name)
    wallets = reader.wallets(content)
    if reader.problems:
        raise ConfigError(reader.problems)
    return wallets


class _Reader:
    """Reads tables field by field and notes each problem with its path."""

    def __init__(self, name: str) -> None:
        self._name = name
        self.problems: list[str] = []

    def wallets(self, content: dict[str, Any]) -> Wallets:
        self._only(content, "", {"rates", "wallets"})
        rates = self._rates(content.get("rates"))
        wallets = tuple(
            self._wallet(table, f"wallets[{i}]", rates)
            for i, table in enumerate(self._tables(content, "wallets", "wallets"))
        )
        self._unique([(w.id, f"wallets[{i}].id") for i, w in enumerate(wallets)])
        self._unique(
            [
                (customer.id, f"wallets[{i}].customers[{j}].id")
                for i, wallet in enumerate(wallets)
                for j, customer in enumerate(wallet.customers)
            ]
        )
        return Wallets(wallets, rates)

    def _wallet(self, table: dict[str, Any], path: str, rates: dict[str, Fraction]) -> Wallet:
        fields = {"id", "name", "wallet_brand_name", "psp_id", "currency", "routing_number"}
        self._only(table, path, {*fields, "customers"})
        wallet_id = self._text(table, path, "id", _SLUG)
        currency = self._text(table, path, "currency", None)
        if currency and currency not in rates:
            self._note(f"{path}.currency", "has no rate in [rates]")
        return Wallet(
            id=wallet_id,
            name=self._text(table, path, "name", None),
            brand=self._text(table, path, "wallet_brand_name", _BRAND),
            psp_id=self._text(table, path, "psp_id", _PSP_ID),
            currency=currency,
            routing_number=self._text(table, path, "routing_number", _ROUTING_NUMBER),
            customers=tuple(
                self._customer(inner, f"{path}.customers[{i}]", wallet_id)
                for i, inner in enumerate(self._tables(table, "customers", f"{path}.customers"))
            ),
        )

    def _customer(self, table: dict[str, Any], path: str, wallet_id: str) -> Customer:
        self._only(table, path, {"id", "name", "balance", *Conditions.__dataclass_fields__})
        customer_id = self._text(table, path, "id", _SLUG)
        return Customer(
            id=customer_id,
            wallet_id=wallet_id,
            name=self._text(table, path, "name", None),
            network_id=_network_id(customer_id),
            balance=self._minor_units(table, path, "balance"),
            conditions=self._conditions(table, path),
        )

    def _conditions(self, table: dict[str, Any], path: str) -> Conditions:
        numbers = {
            name: self._minor_units(table, path, name)
            for name in ("limit_each", "limit_day", "count_day", "confirm_above")
            if name in table
        }
        status = table.get("status", Status.ACTIVE)
        if status not in tuple(Status):
            self._note(f"{path}.status", f"must be one of {', '.join(Status)}")
            status = Status.ACTIVE
        is_kyc_done = table.get("is_kyc_done", True)
        if not isinstance(is_kyc_done, bool):
            self._note(f"{path}.is_kyc_done", "must be true or false")
        return Conditions(
            **numbers,
            status=Status(status),
            is_kyc_done=bool(is_kyc_done),
            pin=self._text(table, path, "pin", _PIN) if "pin" in table else None,
            play=self._play(table, path) if "play" in table else None,
        )

    def _play(self, table: dict[str, Any], path: str) -> str | None:
        name = table["play"]
        if name not in PLAYS:
            self._note(f"{path}.play", "is no play: `tillgate sandbox plays` lists them")
            return None
        return str(name)

    def _rates(self, table: object) -> dict[str, Fraction]:
        rates: dict[str, Fraction] = {}
        if not isinstance(table, dict) or not table:
            self._note("rates", "must be a table of currencies, each with a rate per one USD")
            return rates
        for currency, text in table.items():
            rate = _rate(text)
            if currency not in EXPONENTS:
                self._note(f"rates.{currency}", "is no currency of ISO 4217")
            elif rate is None:
                self._note(f"rates.{currency}", 'must be a positive decimal as text, such as "7.1"')
            else:
                rates[currency] = rate
        return rates

    def _tables(self, table: dict[str, Any], field: str, path: str) -> list[dict[str, Any]]:
        found = table.get(field)
        if isinstance(found, list) and found and all(isinstance(item, dict) for item in found):
            return found
        self._note(path, f"must be one or more tables [[{path.partition('[')[0]}...]]")
        return []

    def _text(
        self, table: dict[str, Any], path: str, field: str, form: re.Pattern[str] | None
    ) -> str:
        text = table.get(field)
        if not isinstance(text, str) or not text:
            self._note(f"{path}.{field}", "must be a text that is not empty")
            return ""
        if form is not None and not form.match(text):
            shape = form.pattern.removesuffix(r"\Z")
            self._note(f"{path}.{field}", f"must have the form {shape}")
        return text

    def _minor_units(self, table: dict[str, Any], path: str, field: str) -> int:
        value = table.get(field)
        if type(value) is int and 0 <= value <= BALANCE_MAX:
            return value
        self._note(f"{path}.{field}", "must be a whole number of minor units, 0 or more")
        return 0

    def _only(self, table: dict[str, Any], path: str, known: set[str]) -> None:
        for field in sorted(table.keys() - known):
            self._note(f"{path}.{field}".lstrip("."), f"is not known; known: {sorted(known)}")

    def _unique(self, named: list[tuple[str, str]]) -> None:
        seen: set[str] = set()
        for text, path in named:
            if text and text in seen:
                self._note(path, f"{text!r} stands twice")
            seen.add(text)

    def _note(self, path: str, problem: str) -> None:
        self.problems.append(f"{self._name}: {path}: {problem}")


def _rate(text: object) -> Fraction | None:
    if not isinstance(text, str) or not _RATE.match(text):
        return None
    try:
        rate = Fraction(Decimal(text))
    except InvalidOperation:
        return None
    return rate if rate > 0 else None


def _network_id(customer_id: str) -> str:
    """Digits that start like Alipay+'s ids (the guide's sample: 208812211212001) and never
    change.
    """
    number = int.from_bytes(hashlib.sha256(customer_id.encode()).digest()[:8]) % 10**11
    return f"20880{number:011d}"

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.errors import InvalidAmount
from tillgate.core.money import EXPONENTS, VALUE_MAX, Money, parse_money

# ISO 4217 list one: currency, exponent, 12345 minor units for a reader, one minor unit for a reader
WRITTEN = [
    ("JPY", 0, "JPY 12345", "JPY 1"),
    ("KRW", 0, "KRW 12345", "KRW 1"),
    ("VND", 0, "VND 12345", "VND 1"),
    ("CLP", 0, "CLP 12345", "CLP 1"),
    ("USD", 2, "USD 123.45", "USD 0.01"),
    ("EUR", 2, "EUR 123.45", "EUR 0.01"),
    ("HKD", 2, "HKD 123.45", "HKD 0.01"),
    ("CNY", 2, "CNY 123.45", "CNY 0.01"),
    ("IDR", 2, "IDR 123.45", "IDR 0.01"),
    ("KWD", 3, "KWD 12.345", "KWD 0.001"),
    ("BHD", 3, "BHD 12.345", "BHD 0.001"),
    ("TND", 3, "TND 12.345", "TND 0.001"),
]


@pytest.mark.parametrize(("currency", "exponent", "many", "one"), WRITTEN)
def test_minor_units_follow_iso_4217(currency, exponent, many, one):
    assert Money(currency, 1).exponent == exponent
    assert str(Money(currency, 12345)) == many
    assert str(Money(currency, 1)) == one


@pytest.mark.parametrize(
    "currency",
    [
        "XAU",
        "XAG",
        "XXX",
        "XTS",
        "XDR",
        "jpy",
        "Jpy",
        "JPY ",
        " JPY",
        "JP",
        "JPYY",
        "",
        "ZZZ",
        "¥",
        "392",
        "JPY\n",
        "\uff2a\uff30\uff39",
    ],
)
def test_what_is_no_currency_to_pay_with_is_refused(currency):
    with pytest.raises(InvalidAmount) as refusal:
        Money(currency, 100)
    assert refusal.value.path == "currency"
    assert refusal.value.code == "invalid_amount"


@pytest.mark.parametrize("value", [1, 100, VALUE_MAX])
def test_whole_minor_units_are_taken(value):
    assert Money("JPY", value).value == value


@pytest.mark.parametrize(
    "value",
    [
        0,
        -1,
        -100,
        VALUE_MAX + 1,
        10**30,
        1.0,
        100.5,
        float("nan"),
        float("inf"),
        True,
        False,
        "100",
        "1.00",
        None,
        b"1",
    ],
)
def test_what_is_no_whole_positive_amount_is_refused(value):
    with pytest.raises(InvalidAmount) as refusal:
        Money("JPY", value)
    assert refusal.value.path == "value"


def test_the_widest_amount_has_twelve_digits():
    assert VALUE_MAX == 999_999_999_999


def test_amounts_are_equal_by_currency_and_value_and_never_change():
    assert Money("JPY", 100) == Money("JPY", 100)
    assert Money("JPY", 100) != Money("USD", 100)
    assert Money("JPY", 100) != Money("JPY", 101)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Money("JPY", 100).value = 1


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("JPY:100", Money("JPY", 100)),
        ("USD:1", Money("USD", 1)),
        ("KWD:999999999999", Money("KWD", 999_999_999_999)),
    ],
)
def test_the_command_lines_form_is_read(text, money):
    assert parse_money(text) == money


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "JPY",
        "JPY:",
        ":100",
        "JPY100",
        "JPY:0",
        "JPY:-1",
        "JPY:+1",
        "JPY:1.5",
        "JPY:1e3",
        "JPY: 100",
        "JPY:100 ",
        "JPY:1_000",
        "JPY:1,000",
        "JPY:\uff11\uff10\uff10",
        "JPY:٢",
        "JPY:²",
        "jpy:100",
        "XAU:100",
        "JPY:1000000000000",
        "JPY:100:1",
        "JPY:" + "9" * 5000,
    ],
)
def test_every_other_form_is_refused(text):
    with pytest.raises(InvalidAmount):
        parse_money(text)


@given(st.text())
def test_any_text_is_an_amount_or_refused(text):
    try:
        money = parse_money(text)
    except InvalidAmount:
        return
    assert 1 <= money.value <= VALUE_MAX


@given(st.sampled_from(sorted(EXPONENTS)), st.integers(1, VALUE_MAX))
def test_the_readers_form_keeps_every_digit(currency, value):
    shown = str(Money(currency, value)).removeprefix(f"{currency} ")
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)?", shown)
    assert int(shown.replace(".", "")) == value
    assert len(shown.partition(".")[2]) == EXPONENTS[currency]


def test_every_currency_is_a_code_of_three_capitals_with_a_small_exponent():
    assert len(EXPONENTS) > 150
    for currency, exponent in EXPONENTS.items():
        assert re.fullmatch("[A-Z]{3}", currency)
        assert 0 <= exponent <= 4

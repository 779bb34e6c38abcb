import re

import pytest

from tillgate.core.codes import CodeKind, parse_code
from tillgate.core.errors import ConfigError
from tillgate.core.money import Money
from tillgate.sandbox.codes import CodeDesk
from tillgate.sandbox.wallets import load_wallets

from .side import NOW, WALLETS, at, seeded

GOOD = """
[rates]
USD = "1"
JPY = "150"
KWD = "0.307"
[[wallets]]
id = "w"
name = "W"
wallet_brand_name = "W"
psp_id = "1"
currency = "JPY"
routing_number = "006"
[[wallets.customers]]
id = "c"
name = "C"
balance = 10
"""


def problems_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_wallets(text.encode())
    return caught.value.problems


def test_the_six_wallets_are_shipped_each_with_one_customer_who_confirms():
    assert {w.brand: w.id for w in WALLETS.all} == {
        "ALIPAY_CN": "alipay_cn",
        "ALIPAY_HK": "alipay_hk",
        "GCASH": "gcash",
        "KAKAOPAY": "kakaopay",
        "TNG": "tng",
        "TRUEMONEY": "truemoney",
    }
    for wallet in WALLETS.all:
        assert any(c.confirm_above == 0 for c in wallet.customers), wallet.id
        assert any(c.confirm_above is None for c in wallet.customers), wallet.id
    numbers = [w.routing_number for w in WALLETS.all]
    assert len(set(numbers)) == len(numbers)


def test_every_customer_has_an_id_of_alipay_plus():
    ids = [c.network_id for c in WALLETS.customers()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"20880[0-9]{11}", id_) for id_ in ids)


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('USD = "1"', "USD = 1.0", "rates.USD"),
        ('JPY = "150"', 'JPY = "0"', "rates.JPY"),
        ('JPY = "150"', 'JPY = "150"\nABC = "2"', "rates.ABC"),
        ('currency = "JPY"', 'currency = "EUR"', "wallets[0].currency"),
        ('routing_number = "006"', 'routing_number = "6"', "wallets[0].routing_number"),
        ('id = "w"', 'id = "W!"', "wallets[0].id"),
        ('name = "W"', "", "wallets[0].name"),
        ("balance = 10", "balance = -1", "wallets[0].customers[0].balance"),
        ("balance = 10", "balance = true", "wallets[0].customers[0].balance"),
        ("balance = 10", "balance = 1\nconfirm_above = 1.5", "customers[0].confirm_above"),
        ("balance = 10", "balance = 1\nlimit = 1", "customers[0].limit"),
        ("[[wallets.customers]]", "[wallets.other]", "wallets[0].customers"),
        ("[rates]", "[quotes]", "rates"),
    ],
)
def test_a_problem_is_named_with_its_path(old, new, path):
    assert any(path in problem for problem in problems_of(GOOD.replace(old, new, 1)))


def test_all_problems_come_together():
    text = GOOD.replace('USD = "1"', 'USD = "x"').replace("balance = 10", 'balance = "10"')
    assert len(problems_of(text)) == 2


def test_an_id_stands_once():
    twice = GOOD + GOOD[GOOD.index("[[wallets]]") :]
    assert [p.partition(": ")[2] for p in problems_of(twice)] == [
        "wallets[1].id: 'w' stands twice",
        "wallets[1].customers[0].id: 'c' stands twice",
    ]


@pytest.mark.parametrize("text", ["", "x = ", "wallets = []", "wallets = 1", "rates = 3"])
def test_what_is_no_such_document_is_refused(text):
    assert problems_of(text)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ConfigError):
        load_wallets(b"\xff")


@pytest.mark.parametrize(
    ("currency", "value", "target", "expected"),
    [
        ("JPY", 100, "USD", 67),  # 66.67 cents
        ("JPY", 3, "USD", 2),
        ("USD", 100, "JPY", 150),
        ("USD", 1, "JPY", 2),  # 1.5 rounds up
        ("JPY", 150, "KWD", 307),  # three decimals
        ("KWD", 1, "JPY", 1),  # 0.49: at least one minor unit
        ("JPY", 7, "JPY", 7),
        ("USD", 999_999_999_999, "JPY", 1_500_000_000_000 - 1),  # 1499999999998.5
    ],
)
def test_conversion_rounds_half_up_in_integers(currency, value, target, expected):
    wallets = load_wallets(GOOD.encode())
    assert wallets.convert(Money(currency, value), target) == expected


def _desk():
    customer = WALLETS.customer("kakaopay_minji")
    wallet = WALLETS.wallet("kakaopay")
    desk = CodeDesk(seeded())
    return desk, customer, lambda kind, now=NOW: desk.issue(customer, wallet, kind, now)


def test_a_24_digit_code_names_its_wallet():
    _, _, issue = _desk()
    issued = issue(CodeKind.CGCP)
    assert re.fullmatch(r"28100602[0-9]{16}", issued.code)
    assert parse_code(issued.code).kind is CodeKind.CGCP
    assert issued.code not in repr(issued)


def test_a_19_digit_code_is_alipay_plus_own():
    _, _, issue = _desk()
    issued = issue(CodeKind.ALIPAY_PLUS_19)
    assert parse_code(issued.code).kind is CodeKind.ALIPAY_PLUS_19
    assert issued.code.startswith("289")


def test_a_code_works_once_and_for_a_minute():
    desk, customer, issue = _desk()
    first, second, third = (issue(CodeKind.CGCP).code for _ in range(3))
    assert desk.redeem(first, at(59.999)) is customer
    assert desk.redeem(first, at(59.999)) == "INVALID_CODE"
    assert desk.redeem(second, at(60)) == "EXPIRED_CODE"
    assert desk.redeem(second, at(61)) == "EXPIRED_CODE"
    assert desk.redeem("281006020000000000000000", at(1)) == "INVALID_CODE"
    issue(CodeKind.CGCP, at(3661))
    assert desk.redeem(third, at(3661)) == "INVALID_CODE"  # forgotten


def test_a_code_that_is_about_is_never_drawn_again():
    draws = iter(["1" * 16, "1" * 16, "2" * 16])
    desk = CodeDesk(lambda count: next(draws))
    customer, wallet = WALLETS.customer("kakaopay_minji"), WALLETS.wallet("kakaopay")
    codes = {desk.issue(customer, wallet, CodeKind.CGCP, NOW).code for _ in range(2)}
    assert len(codes) == 2

import pytest

from tillgate.core.automaton import together
from tillgate.core.code_space import CodeSpace
from tillgate.core.other_codes import OtherCode, OtherCodes, Sort, what_to_do
from tillgate.core.patterns import BadPattern
from tillgate.core.routing import identify
from tillgate.core.routing_table import Integrations
from tillgate.tables import load_shipped, shipped_others

# Codes-and-flows section 8.1, each with digits made up.
KNOWN = [
    ("134567890123456789", "WeChat Pay"),
    ("100000000000000000", "WeChat Pay"),
    ("6212345678901234567", "UnionPay"),
    ("90008181880123456789", "PayPay"),
    ("9000000000123456789", "LINE Pay"),
    ("900000021234567890", "d Barai"),
    ("9000011234567890", "Rakuten Pay"),
    ("3158990012345678901", "Merpay"),
    ("3158992112345678901", "au PAY"),
    ("3158993112345678901", "Yucho Pay"),
    ("3158994012345678901", "Yucho Pay"),
    ("3158999512345678901", "pring"),
    ("800088123456789012345678", "ZeroPay"),
    ("3-" + "A" * 23, "ZeroPay"),
    ("705500021234567890123456", "Toss Pay"),
    ("1712345678901234567890", "SSGPAY"),
    ("8710123456789012345678", "L.PAY"),
    ("941083123456789012345", "Seoul Pay"),
    ("942040241234567890123", "Seoul Pay"),
    ("12345678901234569512", "PAYCO"),
    ("123456789012345695123", "PAYCO"),
    ("5678123456789012345", "WeBank"),
    ("hQVDUFYwMWETTwegAAAAVVVV", "EMV"),
    ("96385074", "EAN-8"),
    ("036000291452", "UPC-A"),
    ("4006381333931", "EAN-13"),
    ("2012345678903", "EAN-13"),
    ("10012345678902", "ITF-14"),
]


@pytest.mark.parametrize(("text", "name"), KNOWN)
def test_it_is_known_by_its_name_and_the_cashier_is_told(text, name):
    found = identify(text, load_shipped(), Integrations())
    assert (found.kind, found.route, found.rule, found.issuer) == (None, None, None, None)
    assert found.other == name
    assert found.reason.startswith("This is ")
    assert found.masked == "*" * min(len(text), 32)
    assert not any(text[at : at + 6] in found.reason for at in range(len(text) - 5))


@pytest.mark.parametrize(
    "text",
    [
        "4006381333932",  # an EAN-13 but for its check digit
        "96385075",
        "4111111111111111",
        "164567890123456789",
        "1345678901234567890",
        "90008181890123456789",
        "3-" + "A" * 22,
        "hQVDUFY",
        "1" * 33,
        "",
        "hello",
        "２" * 18,
    ],
)
def test_what_is_not_known_is_not_named(text):
    assert shipped_others().find(text) is None
    assert identify(text, load_shipped(), Integrations()).other is None


def test_the_words_for_a_cashier():
    wechat = shipped_others().find("134567890123456789")
    assert what_to_do(wechat) == (
        "This is a WeChat Pay code, not an Alipay+ payment code. Ask the customer for a wallet with"
        " the Alipay+ mark, or for another way to pay."
    )
    goods = shipped_others().find("4006381333931")
    assert what_to_do(goods) == (
        "This is the barcode of goods (EAN-13), not a payment code. Scan the code in the customer's"
        " wallet."
    )


ROWS = [row for row in shipped_others().rows if row.pattern]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_no_alipay_plus_code_is_ever_taken_for_another_wallets(row):
    """Over every payment code there is."""
    assert CodeSpace(row.automaton).claims() == {(length, ()) for length in range(16, 33)}


@pytest.mark.parametrize("index", range(len(ROWS)), ids=lambda index: ROWS[index].name)
def test_a_general_row_never_hides_a_specific_one(index):
    """Some text of each row is taken by none above it."""
    above = together([row.automaton for row in ROWS[: index + 1]])
    assert (index,) in above.accepts


def test_every_row_names_its_source():
    assert all(row.source for row in shipped_others().rows)


def test_the_first_row_that_fits_names_the_code():
    def row(name, pattern):
        return OtherCode(name=name, called=f"a {name} code", pattern=pattern)

    both_ways = OtherCodes((row("narrow", r"^11\d{2}$"), row("wide", r"^1\d{3}$")))
    assert both_ways.find("1199").name == "narrow"
    assert both_ways.find("1299").name == "wide"


def test_goods_whose_check_digit_does_not_fit_leave_the_name_to_the_next_row():
    goods = OtherCode(name="g", called="g", pattern=r"^\d{8}$", sort=Sort.GOODS)
    wallet = OtherCode(name="w", called="w", pattern=r"^\d{8}$")
    assert OtherCodes((goods, wallet)).find("96385074").name == "g"
    assert OtherCodes((goods, wallet)).find("96385075").name == "w"


def test_a_row_with_a_wrong_expression_cannot_be_made():
    with pytest.raises(BadPattern):
        OtherCode(name="x", called="x", pattern=r"^(\d+)+$")


def test_nothing_is_known_without_rows():
    assert OtherCodes().find("134567890123456789") is None

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.core.codes import CodeKind, PaymentCode, mask, parse_code
from tillgate.core.errors import InvalidCode

GUIDE_SAMPLE = "28100602000000000012"

# code, kind, routing number, masked. The first six: codes-and-flows section 1.5.
KNOWN = [
    ("2893612204263667830", CodeKind.ALIPAY_PLUS_19, None, "289361***********30"),
    ("281010897274821897274821", CodeKind.CGCP, "010", "281010****************21"),
    ("251001020123456789012345", CodeKind.CGCP, "001", "251001****************45"),
    ("28024456785672301", CodeKind.ALIPAY_CN_HK, None, "280244*********01"),
    ("280244567856723026", CodeKind.ALIPAY_CN_HK, None, "280244**********26"),
    (GUIDE_SAMPLE, CodeKind.RESERVED, "006", "281006************12"),
    ("2512345678901234", CodeKind.ALIPAY_CN_HK, None, "251234********34"),
    # The 14th digit is no 6, or the 3rd is no 9: the standard's other 19-digit codes.
    ("2893612204263567830", CodeKind.ALIPAY_CN_HK, None, "289361***********30"),
    ("2883612204263667830", CodeKind.ALIPAY_CN_HK, None, "288361***********30"),
    ("309" + "0" * 10 + "6" + "0" * 5, CodeKind.ALIPAY_PLUS_19, None, "309000***********00"),
    ("27" + "1" * 21, CodeKind.RESERVED, "111", "271111***************11"),
    ("29" + "1" * 23, CodeKind.RESERVED, "111", "291111*****************11"),
    ("30" + "1" * 30, CodeKind.RESERVED, "111", "301111************************11"),
]


@pytest.mark.parametrize(("digits", "kind", "routing_number", "masked"), KNOWN)
def test_the_digits_tell_the_kind(digits, kind, routing_number, masked):
    code = parse_code(digits)
    assert code.digits == digits
    assert code.kind is kind
    assert code.routing_number == routing_number
    assert code.masked == masked == mask(digits)


@pytest.mark.parametrize("prefix", ["25", "26", "27", "28", "29", "30"])
@pytest.mark.parametrize("length", range(16, 33))
def test_every_length_that_scanners_carry_is_read(prefix, length):
    code = parse_code(prefix + "1" * (length - 2))
    assert len(code.digits) == length
    assert code.is_recognised is (length <= 24)


@pytest.mark.parametrize(
    "prefix", ["00", "02", "10", "20", "22", "23", "24", "31", "35", "40", "99"]
)
def test_another_prefix_is_refused(prefix):
    with pytest.raises(InvalidCode, match="starts with 25 to 30"):
        parse_code(prefix + "1" * 22)


@pytest.mark.parametrize("length", [1, 2, 15, 33, 34, 40, 10_000])
def test_another_length_is_refused(length):
    with pytest.raises(InvalidCode, match=f"this one has {length}"):
        parse_code(("28" + "1" * length)[:length])


NOT_ONLY_DIGITS = {
    "a trailing newline": "281006020000000000000012\n",
    "a leading newline": "\n281006020000000000000012",
    "a carriage return": "281006020000000000000012\r",
    "a space": "2810060200000 0000000012",
    "a tab at the end": "281006020000000000000012\t",
    "arabic-indic digits": "28٢٢٢٢٢٢٢٢٢٢٢٢٢٢٢٢",
    "full-width digits": "２８１００６０２００００００００００００",
    "a superscript": "28100602000000000001²",
    "a letter": "2810060200000000000A",
    "a sign": "+281006020000000000",
    "a decimal point": "281006020000.0000000",
    "a null character": "2810060200000000\x0000",
    "an address": "https://qr.alipay.com/281006020000000000",
}


@pytest.mark.parametrize("text", NOT_ONLY_DIGITS.values(), ids=NOT_ONLY_DIGITS.keys())
def test_nothing_is_trimmed_or_repaired(text):
    with pytest.raises(InvalidCode, match="digits only"):
        parse_code(text)


def test_an_empty_scan_is_refused():
    with pytest.raises(InvalidCode, match="empty"):
        parse_code("")


def test_a_leading_zero_is_kept_and_so_refused():
    with pytest.raises(InvalidCode, match="starts with 25 to 30"):
        parse_code("0281006020000000000000012")


DIGITS = st.text("0123456789", max_size=40)
HOSTILE = st.text("0123456789٢２²५ \n\r\t+-.AΩ\x00", max_size=40)
CODES = st.builds(
    lambda prefix, rest: prefix + rest,
    st.sampled_from(["25", "26", "27", "28", "29", "30"]),
    st.text("0123456789", min_size=14, max_size=30),
)


@given(st.one_of(DIGITS, HOSTILE, CODES, st.text(max_size=40)))
def test_any_text_is_a_code_or_refused_with_a_reason_that_hides_it(text):
    reason = ""
    try:
        assert parse_code(text).digits == text
    except InvalidCode as refused:
        reason = str(refused)
    is_code = re.fullmatch("(2[5-9]|30)[0-9]{14,30}", text) is not None
    assert bool(reason) is not is_code
    assert len(text) < 4 or text not in reason


@given(CODES)
def test_no_form_of_a_code_shows_more_than_eight_digits(digits):
    code = parse_code(digits)
    for shown in (str(code), repr(code), f"{code}", f"{code!r}", f"{[code]}", code.masked):
        assert digits not in shown
    assert sum(sign.isdigit() for sign in code.masked) == 8
    assert len(code.masked) == len(digits)
    assert f"{code}" == str(code) == code.masked


@given(st.one_of(DIGITS, HOSTILE, st.text(max_size=60)))
def test_a_mask_never_shows_more_than_eight_characters(text):
    shown = mask(text)
    assert sum(sign != "*" for sign in shown) <= 8
    assert len(shown) <= 32


NO_PAYMENT_CODES = {
    "a card number": "4111111111111111",
    "a card number of 19 digits": "6212345678901234567",
    "a password": "correct horse battery",
    "a short number": "281006",
    "an article": "4901234567894",
    "33 digits": "28" + "1" * 31,
    "a code and a newline": "281006020000000000000012\n",
}


@pytest.mark.parametrize("text", NO_PAYMENT_CODES.values(), ids=NO_PAYMENT_CODES.keys())
def test_what_is_no_payment_code_is_hidden_whole(text):
    assert mask(text) == "*" * min(len(text), 32)


def test_a_code_is_a_value():
    assert parse_code(GUIDE_SAMPLE) == PaymentCode(GUIDE_SAMPLE, CodeKind.RESERVED)

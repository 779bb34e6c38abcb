from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.alipaycn import messages
from tillgate.alipayplus.messages import BadMessage
from tillgate.core.errors import InvalidAmount
from tillgate.core.money import Money

FEN = st.integers(1, messages.VALUE_MAX)


@given(FEN)
def test_an_amount_survives_its_way_as_decimal_text_exactly(value):
    money = Money("CNY", value)
    text = messages.amount_text(money)
    assert messages.read_amount(text) == money
    assert text == f"{value // 100}.{value % 100:02d}"


@pytest.mark.parametrize(
    ("text", "fen"),
    [("20", 2000), ("20.5", 2050), ("20.05", 2005), ("0.01", 1), ("0001.00", 100),
     ("100000000.00", 10_000_000_000), ("9999999999.99", 999_999_999_999)],
)  # fmt: skip
def test_yuan_are_read_with_any_number_of_decimals_up_to_two(text, fen):
    assert messages.read_amount(text) == Money("CNY", fen)


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.00", "-1", "+1", "1.", ".5", "1.005", "1e2", "1,000.00", " 1", "1 ", "١", "NaN",
     "1.00\n", "99999999999"],
)  # fmt: skip
def test_anything_else_is_no_amount(text):
    with pytest.raises(BadMessage):
        messages.read_amount(text)


@given(st.text(max_size=15))
def test_no_text_is_read_as_an_amount_that_it_does_not_say(text):
    try:
        money = messages.read_amount(text)
    except BadMessage:
        return
    yuan, _, fen = text.partition(".")
    assert money.value == int(yuan) * 100 + int(f"{fen}00"[:2])


@pytest.mark.parametrize("currency", ["JPY", "USD", "HKD"])
def test_another_currency_is_refused_in_words_for_whoever_makes_tills(currency):
    with pytest.raises(InvalidAmount, match=f"takes CNY only, not {currency}") as refused:
        messages.amount_text(Money(currency, 100))
    assert refused.value.path == "$.order.amount.currency"


def test_more_than_a_trade_may_have_is_refused():
    with pytest.raises(InvalidAmount) as refused:
        messages.amount_text(Money("CNY", messages.VALUE_MAX + 1))
    assert refused.value.path == "$.order.amount.value"


def test_a_time_is_beijings():
    at = datetime(2026, 1, 31, 15, 59, 59, 999_999, tzinfo=UTC)
    assert messages.format_time(at) == "2026-01-31 23:59:59"
    assert messages.parse_time("2026-01-31 23:59:59") == at.replace(microsecond=0)


@pytest.mark.parametrize(
    "text", ["", "2026-01-31T23:59:59", "2026-02-30 00:00:00", "2026-01-31 23:59:59+08:00", "now"]
)
def test_another_form_of_time_is_none(text):
    with pytest.raises(BadMessage):
        messages.parse_time(text)


@given(st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_time_is_read_as_it_was_written(at):
    assert at - messages.parse_time(messages.format_time(at)) < timedelta(seconds=1)


def test_the_signed_member_is_cut_out_byte_for_byte():
    raw = b'{"alipay_trade_pay_response":{ "code" :"10000","a":"}{\\"" },"sign":"AA=="}'
    content, signature = messages.split(raw, messages.PAY)
    assert content == b'{ "code" :"10000","a":"}{\\"" }'
    assert signature == "AA=="


def test_the_signature_may_come_first_and_others_beside_it():
    raw = b'{"sign":"AA==","alipay_cert_sn":"1","alipay_trade_pay_response":{}}'
    assert messages.split(raw, messages.PAY) == (b"{}", "AA==")


def test_a_refusal_of_the_gateway_stands_under_its_own_name():
    raw = b'{"error_response":{"code":"40002"}}'
    assert messages.split(raw, messages.PAY) == (b'{"code":"40002"}', None)


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"{}", b'{"sign":"AA=="}', b'{"alipay_trade_query_response":{}}',
     b'{"alipay_trade_pay_response":{},"sign":1}', b'{"alipay_trade_pay_response":{}', b"\xff"],
)  # fmt: skip
def test_anything_else_is_no_answer(raw):
    with pytest.raises(BadMessage):
        messages.split(raw, messages.PAY)


@pytest.mark.parametrize("signature", ["AA==", None])
def test_what_is_enveloped_is_split_again(signature):
    content = b'{"code":"10000"}'
    raw = messages.enveloped(messages.REFUND, content, signature)
    assert messages.split(raw, messages.REFUND) == (content, signature)


def test_what_is_not_needed_is_left_out():
    assert messages.encode(messages.TradeNamed(out_trade_no="x")) == b'{"out_trade_no":"x"}'

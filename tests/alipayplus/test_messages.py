import contextlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import (
    Acknowledgement,
    Address,
    Amount,
    BadMessage,
    CancelRequest,
    Env,
    InquiryRequest,
    Merchant,
    PaymentFactor,
    PaymentMethod,
    PayOrder,
    PayRequest,
    Result,
    SettlementStrategy,
    Store,
    Transaction,
    amount_of,
    decode,
    encode,
    format_expiry,
    format_time,
    parse_time,
)
from tillgate.core.money import Money
from tillgate.core.results import Outcome

GUIDE = Path(__file__).parent.parent / "vectors" / "guide"
AMOUNTS = msgspec.json.Decoder(Amount)
DECODERS = {
    name: value for name, value in vars(messages).items() if isinstance(value, msgspec.json.Decoder)
}


def sample(name):
    return (GUIDE / f"{name}.json").read_bytes()


# The guide's samples
# -------------------------------------------------------------------------------------------------


def test_the_guides_success_is_read():
    answer = decode(messages.PAY_RESPONSES, sample("pay_response_s"))
    assert answer.result == Result(
        result_code="SUCCESS", result_status=Outcome.SUCCESS, result_message="success"
    )
    assert answer.payment_id == "20190608114010800100188820200355883"
    assert answer.payment_amount.to_money() == Money("JPY", 100)
    assert parse_time(answer.payment_time) == datetime(2021, 4, 8, 6, 48, 50, tzinfo=UTC)
    assert answer.acquirer_id == "2021228100000000"
    assert answer.psp_id == "120120012012"
    assert answer.customer_id == "208812211212001"
    assert answer.wallet_brand_name == "KAKAOPAY"


@pytest.mark.parametrize(
    ("name", "outcome", "code", "message"),
    [
        (
            "pay_response_f",
            Outcome.FAILURE,
            "PROCESS_FAIL",
            "A general business failure occurred. Don't retry.",
        ),
        (
            "pay_response_u",
            Outcome.UNKNOWN,
            "UNKNOWN_EXCEPTION",
            "API failed due to unknown reason.",
        ),
    ],
)
def test_the_guides_failure_and_unknown_carry_a_result_only(name, outcome, code, message):
    answer = decode(messages.PAY_RESPONSES, sample(name))
    assert answer.result == Result(result_code=code, result_status=outcome, result_message=message)
    assert answer.payment_id is answer.payment_amount is answer.payment_time is None


def test_the_guides_request_is_read():
    request = decode(messages.PAY_REQUESTS, sample("pay_request"))
    assert request.payment_request_id == "pay_1089760038715669_102775745075669"
    assert request.payment_method.payment_method_type == "CONNECT_WALLET"
    assert request.payment_method.payment_method_id == "28100602000000000012"
    assert request.payment_amount.to_money() == Money("JPY", 100)
    assert request.order.order_amount.to_money() == Money("JPY", 100)
    assert request.order.merchant.merchant_mcc == "1405"
    assert request.order.merchant.store.store_mcc == "1405"
    assert request.order.merchant.merchant_address == Address(region="JP", city="xxx")
    assert request.order.env.store_terminal_id == "122222"
    assert request.payment_factor.is_in_store_payment == "true"
    assert request.payment_factor.in_store_payment_scenario == "PaymentCode"
    assert request.settlement_strategy.settlement_currency == "USD"
    expires_at = parse_time(request.payment_expiry_time)
    assert expires_at == datetime(2019, 6, 1, 3, 31, 1, tzinfo=UTC)


def test_the_guides_request_is_written_again_as_it_was():
    body = sample("pay_request")
    written = encode(decode(messages.PAY_REQUESTS, body))
    assert json.loads(written) == json.loads(body)


# What we write
# -------------------------------------------------------------------------------------------------


def scalars(value):
    if isinstance(value, dict):
        return [one for child in value.values() for one in scalars(child)]
    if isinstance(value, list):
        return [one for child in value for one in scalars(child)]
    return [value]


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
MONEY = st.builds(Money, st.sampled_from(["JPY", "USD", "KWD"]), st.integers(1, 999_999_999_999))


def maybe(strategy):
    return st.one_of(st.none(), strategy)


MERCHANTS = st.builds(
    Merchant,
    reference_merchant_id=TEXT,
    merchant_name=TEXT,
    merchant_mcc=maybe(TEXT),
    store=maybe(st.builds(Store, reference_store_id=TEXT, store_name=TEXT, store_mcc=maybe(TEXT))),
    merchant_address=maybe(st.builds(Address, region=TEXT, city=maybe(TEXT))),
)
REQUESTS = st.builds(
    PayRequest,
    payment_expiry_time=maybe(TEXT),
    payment_notify_url=maybe(TEXT),
    payment_request_id=TEXT,
    payment_factor=maybe(
        st.builds(
            PaymentFactor, is_in_store_payment=maybe(TEXT), in_store_payment_scenario=maybe(TEXT)
        )
    ),
    order=st.builds(
        PayOrder,
        reference_order_id=TEXT,
        order_description=TEXT,
        order_amount=st.builds(amount_of, MONEY),
        merchant=maybe(MERCHANTS),
        env=maybe(st.builds(Env, store_terminal_id=maybe(TEXT))),
    ),
    settlement_strategy=maybe(st.builds(SettlementStrategy, settlement_currency=TEXT)),
    payment_amount=st.builds(amount_of, MONEY),
    payment_method=st.builds(PaymentMethod, payment_method_type=TEXT, payment_method_id=TEXT),
)


@given(REQUESTS)
def test_every_scalar_that_is_sent_is_a_string_and_none_is_empty(request):
    written = encode(request)
    for scalar in scalars(json.loads(written)):
        # An object may be empty; null and "" never leave.
        assert isinstance(scalar, str)
        assert scalar
    assert decode(messages.PAY_REQUESTS, written) == request
    assert encode(decode(messages.PAY_REQUESTS, written)) == written


@given(MONEY)
def test_an_amount_is_a_string_of_minor_units_and_comes_back(money):
    amount = amount_of(money)
    assert json.loads(encode(amount)) == {"currency": money.currency, "value": str(money.value)}
    assert decode(AMOUNTS, encode(amount)).to_money() == money


@pytest.mark.parametrize(
    ("message", "written"),
    [
        (InquiryRequest(payment_request_id="x"), {"paymentRequestId": "x"}),
        (InquiryRequest(payment_id="y"), {"paymentId": "y"}),
        (CancelRequest(payment_request_id="x"), {"paymentRequestId": "x"}),
        (
            Acknowledgement(result=messages.SUCCESS),
            {
                "result": {
                    "resultCode": "SUCCESS",
                    "resultStatus": "S",
                    "resultMessage": "success",
                }
            },
        ),
    ],
)
def test_a_message_is_written_with_the_networks_names(message, written):
    assert json.loads(encode(message)) == written


def test_text_beyond_ascii_is_written_in_utf_8():
    assert "カフェ".encode() in encode(CancelRequest(payment_request_id="カフェ"))


# What we read: tolerance
# -------------------------------------------------------------------------------------------------

RESULT = b'{"resultCode":"SUCCESS","resultStatus":"S"}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"result":%s}' % RESULT,
        b'{"result":%s,"paymentId":null,"paymentAmount":null,"paymentTime":null}' % RESULT,
        b'{"result":%s,"settlementQuote":{"quotePrice":1.25},"new":[1,2.5,true,null]}' % RESULT,
        b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":null,"x":1}}',
        b' \r\n{ "result" :\t%s }\n' % RESULT,
    ],
)
def test_null_absent_and_unknown_fields_are_tolerated(body):
    answer = decode(messages.PAY_RESPONSES, body)
    assert answer.result.result_status is Outcome.SUCCESS
    assert answer.payment_id is None
    assert answer.payment_amount is None


def test_an_inquirys_answer_has_two_results_and_its_transactions():
    answer = decode(
        messages.INQUIRY_RESPONSES,
        b"""{"result": {"resultCode": "SUCCESS", "resultStatus": "S"},
             "paymentResult": {"resultCode": "ORDER_IS_CLOSED", "resultStatus": "F"},
             "paymentAmount": {"currency": "USD", "value": 100},
             "transactions": [{"transactionType": "CANCEL", "transactionStatus": "SUCCESS",
                 "transactionResult": {"resultCode": "SUCCESS", "resultStatus": "S"},
                 "transactionAmount": {"currency": "USD", "value": "100"}}]}""",
    )
    assert answer.result.result_status is Outcome.SUCCESS
    assert answer.payment_result.result_status is Outcome.FAILURE
    assert answer.payment_amount.to_money() == Money("USD", 100)
    assert answer.transactions == [
        Transaction(
            transaction_type="CANCEL",
            transaction_status="SUCCESS",
            transaction_result=Result(result_code="SUCCESS", result_status=Outcome.SUCCESS),
            transaction_amount=Amount(currency="USD", value="100"),
        )
    ]


def test_transactions_may_be_null():
    body = b'{"result":%s,"transactions":null}' % RESULT
    assert decode(messages.INQUIRY_RESPONSES, body).transactions is None


def test_a_notification_is_read():
    note = decode(
        messages.NOTIFICATIONS,
        b"""{"paymentResult": {"resultCode": "SUCCESS", "resultStatus": "S"},
             "paymentRequestId": "tg_1", "paymentId": "A1", "acquirerId": "Q", "pspId": "P",
             "paymentAmount": {"currency": "JPY", "value": "100"}, "mppPaymentId": "new"}""",
    )
    assert note.payment_request_id == "tg_1"
    assert note.payment_amount.to_money() == Money("JPY", 100)


def test_a_cancels_answer_is_read():
    assert decode(messages.CANCEL_RESPONSES, b'{"result":%s,"pspId":"P"}' % RESULT).psp_id == "P"


@pytest.mark.parametrize("literal", [b"true", b'"true"'])
def test_a_boolean_is_read_as_a_literal_too(literal):
    body = sample("pay_request").replace(b'"isInStorePayment": "true"', b'"isInStorePayment": %s')
    request = decode(messages.PAY_REQUESTS, body.replace(b"%s", literal))
    assert str(request.payment_factor.is_in_store_payment).lower() == "true"


# What we read: hostility
# -------------------------------------------------------------------------------------------------

HOSTILE = {
    "nothing": b"",
    "white space": b" \n",
    "words": b"<html>502 Bad Gateway</html>",
    "null": b"null",
    "a number": b"1",
    "a string": b'"S"',
    "an array": b"[]",
    "an array of objects": b'[{"result":%s}]' % RESULT,
    "deep objects": b'{"a":' * 200_000 + b"1" + b"}" * 200_000,
    "deep arrays": b"[" * 200_000 + b"]" * 200_000,
    "deep arrays in an unknown field": b'{"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "a byte that is no UTF-8": b'{"result":{"resultCode":"\xff","resultStatus":"S"}}',
    "UTF-16": '{"result":{}}'.encode("utf-16"),
    "an encoded surrogate": b'{"result":{"resultCode":"\xed\xa0\x80","resultStatus":"S"}}',
    "an escaped lone surrogate": b'{"result":{"resultCode":"\\ud800","resultStatus":"S"}}',
    "NaN": b'{"result":NaN}',
    "Infinity": b'{"result":Infinity}',
    "a result that is an array": b'{"result":["SUCCESS","S"]}',
    "a result that is a string": b'{"result":"S"}',
    "no result": b'{"paymentId":"A1"}',
    "a null result": b'{"result":null}',
    "no status": b'{"result":{"resultCode":"SUCCESS"}}',
    "an unknown status": b'{"result":{"resultCode":"SUCCESS","resultStatus":"P"}}',
    "a lower-case status": b'{"result":{"resultCode":"SUCCESS","resultStatus":"s"}}',
    "a null status": b'{"result":{"resultCode":"SUCCESS","resultStatus":null}}',
    "a number as a code": b'{"result":{"resultCode":0,"resultStatus":"S"}}',
    "an object as an id": b'{"result":%s,"paymentId":{}}' % RESULT,
    "two bodies": b'{"result":%s}{"result":%s}' % (RESULT, RESULT),
    "half a body": b'{"result":{"resultCode":"SUCC',
    "single quotes": b"{'result':{'resultCode':'SUCCESS','resultStatus':'S'}}",
    "a trailing comma": b'{"result":%s,}' % RESULT,
    "a comment": b'{"result":%s} // ok' % RESULT,
    "a byte order mark": b'\xef\xbb\xbf{"result":%s}' % RESULT,
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_body_is_a_bad_message_and_nothing_else(body):
    with pytest.raises(BadMessage):
        decode(messages.PAY_RESPONSES, body)


@pytest.mark.parametrize("name", DECODERS)
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_decoder_lets_anything_else_escape(name, body):
    with contextlib.suppress(BadMessage):
        decode(DECODERS[name], body)


@given(
    st.one_of(
        st.binary(), st.text().map(str.encode), st.text('{}[]":,resultCS0 \\u').map(str.encode)
    )
)
def test_any_bytes_are_a_message_or_a_bad_message(body):
    with pytest.raises(BadMessage):
        decode(messages.PAY_RESPONSES, body)


def test_a_repeated_key_is_one_field():
    body = b'{"result":%s,"paymentId":"A1","paymentId":"A2"}' % RESULT
    assert decode(messages.PAY_RESPONSES, body).payment_id in {"A1", "A2"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"result":{"resultCode":"X","resultStatus":"281006020000000000000012"}}',
        b'{"result":{"resultCode":"X","resultStatus":"S"},"paymentId":281006020000000000000012}',
        b'{"result":{"resultCode":"X","resultStatus":"S"},"paymentAmount":{"value":"281006020000"}}',
    ],
)
def test_the_reason_names_the_field_and_never_its_value(body):
    with pytest.raises(BadMessage) as refusal:
        decode(messages.PAY_RESPONSES, body)
    assert "$." in str(refusal.value)
    assert "281006" not in str(refusal.value)


# Amounts
# -------------------------------------------------------------------------------------------------

BAD_VALUES = [
    '"0"',
    '"-1"',
    '"+1"',
    '"1.5"',
    '"1.0"',
    '"1e3"',
    '" 1"',
    '"1 "',
    '"1_000"',
    '"1,000"',
    '""',
    '"\uff11\uff10\uff10"',
    '"٢"',
    '"²"',
    '"1000000000000"',
    '"9999999999999999999"',
    '"' + "9" * 5000 + '"',
    "0",
    "-1",
    "1.5",
    "100.0",
    "1e3",
    "1000000000000",
    "9" * 30,
    "9" * 1000,
    "9" * 5000,
    "true",
    "null",
    "[]",
    "{}",
    "NaN",
    "1e400",
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=range(len(BAD_VALUES)))
def test_a_value_that_is_no_whole_positive_amount_is_a_bad_message(value):
    body = f'{{"currency":"JPY","value":{value}}}'.encode()
    with pytest.raises(BadMessage):
        decode(AMOUNTS, body).to_money()


@pytest.mark.parametrize("currency", ["jpy", "XXX", "XAU", "", "JP", "\uff2a\uff30\uff39"])
def test_a_currency_that_is_none_is_a_bad_message_that_names_it_not(currency):
    with pytest.raises(BadMessage, match="currency"):
        Amount(currency=currency, value="100").to_money()


@pytest.mark.parametrize("value", ["1", 1, "999999999999", 999_999_999_999])
def test_a_bare_number_is_read_too(value):
    assert Amount(currency="JPY", value=value).to_money() == Money("JPY", int(value))


# Times
# -------------------------------------------------------------------------------------------------

TIMES = [
    ("2019-06-01T12:01:01+08:30", "2019-06-01T03:31:01"),  # the guide's expiry
    ("2019-06-01T12:01:01+08:00", "2019-06-01T04:01:01"),  # the guide's terminal time
    ("2021-04-08T14:48:50+08:00", "2021-04-08T06:48:50"),  # the guide's payment time
    ("2025-02-20T08:51:49.09Z", "2025-02-20T08:51:49.090000"),
    ("2019-07-12T12:08:56.253+05:30", "2019-07-12T06:38:56.253000"),
    ("2019-06-01T12:01:01Z", "2019-06-01T12:01:01"),
    ("2019-06-01T12:01:01+0830", "2019-06-01T03:31:01"),
    ("2019-06-01T12:01:01+08", "2019-06-01T04:01:01"),
    ("2019-06-01T12:01:01-05:00", "2019-06-01T17:01:01"),
    ("2019-06-01T12:01:01-00:00", "2019-06-01T12:01:01"),
    ("2019-06-01T12:01:01.1Z", "2019-06-01T12:01:01.100000"),
    ("2019-06-01T12:01:01.123456789Z", "2019-06-01T12:01:01.123456"),
    ("2024-02-29T23:59:59-14:00", "2024-03-01T13:59:59"),
    ("2026-01-01T00:00:00+14:00", "2025-12-31T10:00:00"),
]


@pytest.mark.parametrize(("text", "utc"), TIMES)
def test_a_time_with_any_offset_is_read_as_utc(text, utc):
    at = parse_time(text)
    assert at == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2019-06-01",
        "2019-06-01Z",
        "2019-06-01T12:01:01",
        "2019-06-01T12:01:01+24:00",
        "2019-06-01T25:01:01Z",
        "2019-02-29T12:01:01Z",
        "2019-06-01T12:01:01+08:00 ",
        "1559361661",
        "1559361661000",
        "\uff12\uff10\uff11\uff19-06-01T12:01:01Z",
        "0001-01-01T00:00:00+08:00",
        "9999-12-31T23:59:59-08:00",
        "2019-06-01T12:01:01\udcffZ",
        "Z" * 100_000,
    ],
)
def test_another_form_of_time_is_a_bad_message(text):
    with pytest.raises(BadMessage):
        parse_time(text)


@given(st.text())
def test_any_text_is_a_time_or_a_bad_message(text):
    try:
        at = parse_time(text)
    except BadMessage:
        return
    assert at.tzinfo is UTC


OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
AWARE = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=OFFSETS)  # noqa: DTZ001


@given(AWARE)
def test_a_time_is_written_in_whole_seconds_with_an_offset(at):
    text = format_time(at)
    assert len(text) == len("2026-01-31T23:59:59+00:00")
    assert text.endswith("+00:00")
    assert timedelta() <= at - parse_time(text) < timedelta(seconds=1)


@given(AWARE)
def test_an_expiry_is_never_written_earlier_than_it_is(at):
    assert timedelta() <= parse_time(format_expiry(at)) - at < timedelta(seconds=1)


@given(AWARE)
def test_every_offset_is_read_back(at):
    assert parse_time(at.isoformat()) == at


def test_whole_seconds_are_written_as_they_are():
    at = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    assert format_time(at) == format_expiry(at) == "2026-01-31T23:59:59+00:00"
    assert format_expiry(at + timedelta(microseconds=1)) == "2026-02-01T00:00:00+00:00"

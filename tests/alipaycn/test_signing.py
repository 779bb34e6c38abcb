"""RSA2 in its three places, and that python-alipay-sdk, which others maintain, agrees."""

from __future__ import annotations

import contextlib
from urllib.parse import urlencode

import pytest
from alipay import AliPay
from hypothesis import given
from hypothesis import strategies as st

from tests.support import acquirer_key, network_key, ring
from tillgate.alipaycn import signing
from tillgate.alipayplus.signing import BadSignature, SigningKey, new_private_key

PRIVATE = new_private_key()
KEY = SigningKey.load(PRIVATE)
SDK = AliPay(
    appid="2021000000000001",
    app_private_key_string=PRIVATE.decode(),
    alipay_public_key_string=KEY.public_pem().decode(),
)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
FIELDS = st.dictionaries(NAMES, st.text(max_size=20), max_size=8)


def raw(fields):
    return {name.encode(): value.encode() for name, value in fields.items()}


def test_a_request_signs_everything_but_sign_and_empty_values_sorted_by_name():
    fields = {"b": "2", "sign": "x", "a": "1", "c": "", "sign_type": "RSA2"}
    assert signing.request_content(raw(fields)) == b"a=1&b=2&sign_type=RSA2"


def test_a_notice_signs_everything_but_sign_and_sign_type():
    fields = raw({"b": "2", "sign": "x", "a": "1", "sign_type": "RSA2"})
    assert signing.notice_contents(fields) == [b"a=1&b=2"]


def test_a_notice_with_empty_values_has_two_readings():
    fields = raw({"b": "2", "c": "", "a": "1"})
    assert signing.notice_contents(fields) == [b"a=1&b=2&c=", b"a=1&b=2"]


@pytest.mark.parametrize("content", [b"a=1&b=2&c=", b"a=1&b=2"])
def test_either_reading_is_accepted(content):
    fields = raw({"b": "2", "c": "", "a": "1"}) | {b"sign": signing.sign(KEY, content).encode()}
    signing.verify_notice(ring(KEY), fields)


@pytest.mark.parametrize(
    "change",
    [
        {b"a": b"3"},
        {b"d": b"4"},
        {b"sign": b""},
        {b"sign": b"not base64!"},
        {b"sign_type": b"RSA"},
    ],
)
def test_a_changed_notice_is_refused(change):
    fields = raw({"b": "2", "c": "", "a": "1"})
    fields[b"sign"] = signing.sign(KEY, b"a=1&b=2").encode()
    with pytest.raises(BadSignature):
        signing.verify_notice(ring(KEY), fields | change)


def test_somebody_elses_key_is_refused():
    with pytest.raises(BadSignature):
        signing.verify(ring(network_key()), b"a=1", signing.sign(acquirer_key(), b"a=1"))


def test_a_field_that_comes_twice_is_refused():
    with pytest.raises(signing.BadForm):
        signing.read_form(b"a=1&b=2&a=3")


@given(FIELDS)
def test_a_form_is_read_as_it_was_written(fields):
    assert signing.read_form(urlencode(fields).encode()) == raw(fields)


@given(st.binary(max_size=60))
def test_any_bytes_are_a_form_or_none(body):
    with contextlib.suppress(signing.BadForm):
        assert isinstance(signing.read_form(body), dict)


def test_an_answer_is_checked_over_its_bytes():
    content = b'{"code" : "10000","msg":"Success"}'
    signature = signing.sign(KEY, content)
    assert signing.verified_content(ring(KEY), content, signature) == content
    with pytest.raises(BadSignature):
        signing.verified_content(ring(KEY), content.replace(b" ", b""), signature)
    with pytest.raises(BadSignature):
        signing.verified_content(ring(KEY), content, None)


def test_an_answer_whose_slashes_were_escaped_after_signing_is_read_as_it_was_signed():
    content = b'{"url":"https:\\/\\/example.com"}'
    plain = content.replace(b"\\/", b"/")
    assert signing.verified_content(ring(KEY), content, signing.sign(KEY, plain)) == plain
    assert signing.verified_content(ring(KEY), content, signing.sign(KEY, content)) == content
    with pytest.raises(BadSignature):
        signing.verified_content(ring(KEY), content, signing.sign(KEY, b"{}"))


@given(FIELDS.filter(lambda fields: "sign" not in fields and all(fields.values())))
def test_the_other_implementation_accepts_our_requests(fields):
    form = {
        n.decode(): v.decode()
        for n, v in signing.read_form(signing.signed_form(KEY, fields)).items()
    }
    signature = form.pop("sign")
    content = "&".join(f"{name}={value}" for name, value in SDK._ordered_data(form))
    assert SDK._verify(content, signature)


def test_we_accept_the_requests_of_the_other_implementation():
    form = SDK.client_api("alipay.trade.query", {"out_trade_no": "a&b=c+d 中文"})
    fields = signing.read_form(form.encode())
    signing.verify(ring(KEY), signing.request_content(fields), fields[b"sign"])


@given(FIELDS.filter(lambda fields: not {"sign", "sign_type"} & set(fields)))
def test_the_other_implementation_accepts_our_notices(fields):
    content = signing.notice_contents(raw(fields))[0]
    assert SDK.verify(dict(fields), signing.sign(KEY, content))

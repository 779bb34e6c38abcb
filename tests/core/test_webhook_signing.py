"""Signatures as the reference library of Standard Webhooks makes and verifies them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from tillgate.clock import SystemClock
from tillgate.core.webhook_signing import secret_of, signed_headers

BODY = b'{"type":"payment.succeeded","data":{"name":"\xe6\x97\xa5\xe6\x9c\xac"}}'
KEY, OTHER = bytes(range(32)), bytes(range(32, 64))


def test_the_specifications_example():
    """The secret, message and signature that the libraries of Standard Webhooks share."""
    key = Webhook("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")._whsecret
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers("msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}', [key])
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200))
def test_the_reference_library_verifies_every_one(key, text):
    body = text.encode("utf-8", "replace")
    headers = signed_headers("evt_01_1", SystemClock().now(), body, [key])
    Webhook(secret_of(key)).verify(body, headers, json_parse=False)


def test_during_a_rotation_either_secret_verifies_and_no_third():
    headers = signed_headers("evt_01_1", SystemClock().now(), BODY, [KEY, OTHER])
    for key in (KEY, OTHER):
        Webhook(secret_of(key)).verify(BODY, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(bytes(32))).verify(BODY, headers)


@pytest.mark.parametrize("change", ["webhook-id", "webhook-timestamp", "body"])
def test_what_is_signed_cannot_be_changed(change):
    now = SystemClock().now()
    headers = signed_headers("evt_01_1", now, BODY, [KEY])
    later = str(int((now + timedelta(seconds=1)).timestamp()))
    changed = {"webhook-id": "evt_01_2", "webhook-timestamp": later}
    body = BODY + b" " if change == "body" else BODY
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_of(KEY)).verify(
            body, headers | {k: v for k, v in changed.items() if k == change}
        )


def test_a_dot_in_an_id_would_move_the_border_of_what_is_signed():
    with pytest.raises(AssertionError):
        signed_headers("evt.1", SystemClock().now(), BODY, [KEY])


@pytest.mark.parametrize("size", [23, 65])
def test_a_secret_has_24_to_64_bytes(size):
    with pytest.raises(AssertionError):
        secret_of(bytes(size))

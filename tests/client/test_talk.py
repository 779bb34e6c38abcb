"""What a till may say after what it heard: the conversations alone, with a clock of their own."""

from __future__ import annotations

import json

import pytest

from tillgate.client import (
    ApiError,
    AsyncTillgate,
    Conflict,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Tillgate,
    Unauthorized,
    Unavailable,
)
from tillgate.client.talk import Answer, Lost, Pause, StreamReader, Till

_NOTHING = ("previous_payment_id", "description", "wallet", "payment_id", "result", "paid_at")
_WORDS = ("merchant_order_id", "store_id", "terminal_id", "code", "route", "rule", "table")
_TIMES = ("created_at", "expires_at", "changed_at")
PAYMENT = {
    "id": "pay_1",
    "status": "SUCCEEDED",
    "final": True,
    "next_step": "none",
    "attempt": 1,
    "amount": {"currency": "JPY", "value": 100},
    "amount_refunded": 0,
    "amount_reserved": 0,
    **dict.fromkeys(_NOTHING),
    **dict.fromkeys(_WORDS, "x"),
    **dict.fromkeys(_TIMES, "2026-01-31T12:00:00Z"),
}
OPEN = PAYMENT | {"status": "PENDING", "final": False}
LOST = Lost("cut", was_reached=True)
UNREACHED = Lost("refused", was_reached=False)


def said(status: int, body: object, **headers: str) -> Answer:
    return Answer(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode())


def problem(status: int, code: str, **more: object) -> Answer:
    return said(status, {"status": status, "code": code, "detail": code} | more)


class World:
    """Answers what it was given, the last one for ever; time passes by pauses alone."""

    def __init__(self, *heard: Answer | Lost, patience_s: float = 60) -> None:
        self._heard = list(heard)
        self.asked: list = []
        self.now_s = 0.0
        self.till = Till("tg_test_x", now=lambda: self.now_s, draw=lambda: 1, patience_s=patience_s)

    def run(self, talk):
        heard = None
        while True:
            try:
                said = talk.send(heard)
            except StopIteration as done:
                return done.value
            if isinstance(said, Pause):
                self.now_s += said.seconds
                heard = None
            else:
                self.asked.append(said)
                self.now_s += 0.01
                heard = self._heard.pop(0) if len(self._heard) > 1 else self._heard[0]

    def pay(self):
        return self.run(self.till.pay({"code": "2"}, "key"))


@pytest.mark.parametrize(
    "lost",
    [
        LOST,
        problem(500, "internal_error"),
        problem(503, "store_unavailable"),
        said(502, b"<html>Bad Gateway</html>"),
        said(504, b""),
        said(408, b""),
        said(200, b"<html>Sign in to this WiFi</html>"),
        said(201, b'{"id": "pay_1", "st'),
        said(202, OPEN),
    ],
    ids=lambda heard: f"{getattr(heard, 'status', 'lost')}",
)
@pytest.mark.parametrize(
    "refused",
    [
        problem(401, "unauthorized"),
        problem(403, "forbidden"),
        problem(404, "not_found"),
        problem(400, "malformed_json"),
        problem(429, "too_many_requests"),
        problem(503, "network_down"),
        said(403, b"blocked"),
        said(302, b"", location="https://elsewhere.example"),
        UNREACHED,
    ],
    ids=lambda heard: f"{getattr(heard, 'status', 'unreached')}",
)
def test_after_a_try_that_may_have_begun_no_refusal_says_that_nothing_was_charged(lost, refused):
    world = World(lost, refused)
    with pytest.raises(OutcomeUnknown) as caught:
        world.pay()
    assert (caught.value.idempotency_key, caught.value.was_reached) == ("key", True)
    assert len({(each.path, each.body, str(each.headers)) for each in world.asked}) == 1


@pytest.mark.parametrize(
    ("refused", "kind"),
    [
        (problem(409, "order_already_has_a_payment", payment=PAYMENT), Conflict),
        (problem(422, "code_not_recognised"), InvalidRequest),
    ],
    ids=["409", "422"],
)
def test_what_is_refused_after_the_key_was_looked_up_was_not_begun(refused, kind):
    with pytest.raises(kind):
        World(LOST, refused).pay()


@pytest.mark.parametrize(
    ("refused", "kind", "tries_for_s"),
    [
        (problem(401, "unauthorized"), Unauthorized, 0),
        (problem(404, "not_found"), NotFound, 0),
        (problem(400, "malformed_json"), InvalidRequest, 0),
        (problem(429, "too_many_requests"), Unavailable, 60),
        (problem(503, "network_down"), Unavailable, 60),
    ],
    ids=lambda each: getattr(each, "status", None),
)
def test_what_was_never_begun_is_refused(refused, kind, tries_for_s):
    for before in ((), (UNREACHED,), (problem(429, "too_many_requests"),)):
        world = World(*before, refused)
        with pytest.raises(kind):
            world.pay()
        assert world.now_s == pytest.approx(tries_for_s, abs=6)


@pytest.mark.parametrize(
    "heard",
    [UNREACHED, said(302, b""), said(403, b"blocked"), said(404, {"message": "no such page"})],
    ids=["refused", "302", "403", "404"],
)
def test_where_no_gateway_answers_it_is_not_tried_for_long(heard):
    world = World(heard)
    with pytest.raises(OutcomeUnknown) as caught:
        world.pay()
    assert not caught.value.was_reached
    assert 1 < world.now_s <= 5


def test_a_paid_answer_ends_it_whatever_came_before():
    world = World(LOST, problem(503, "x"), said(202, OPEN), UNREACHED, said(200, PAYMENT))
    assert world.pay().status == "SUCCEEDED"


def test_what_is_known_so_far_is_told():
    with pytest.raises(OutcomeUnknown) as caught:
        World(said(202, OPEN), problem(401, "unauthorized")).pay()
    assert caught.value.found.id == "pay_1"
    assert isinstance(caught.value.__cause__, Unauthorized)


def test_a_cancel_that_may_have_begun_is_not_told_as_refused():
    for refused in (problem(401, "unauthorized"), problem(404, "payment_not_found")):
        world = World(LOST, refused)
        with pytest.raises(OutcomeUnknown):
            world.run(world.till.cancel("pay_1"))
    world = World(LOST, problem(409, "refund_instead"))
    with pytest.raises(Conflict):
        world.run(world.till.cancel("pay_1"))


def test_a_reading_that_is_refused_is_refused():
    world = World(LOST, problem(404, "payment_not_found"))
    with pytest.raises(NotFound):
        world.run(world.till.get("pay_1", 0))
    world = World(said(200, b"[]"))
    with pytest.raises(OutcomeUnknown):
        world.run(world.till.identify("2"))


def test_retry_after_is_kept():
    world = World(
        said(429, {"code": "too_many_requests"}, **{"retry-after": "7"}), said(200, PAYMENT)
    )
    assert world.pay().id == "pay_1"
    assert 7 <= world.now_s < 7.1


def test_a_conflict_of_a_later_release_is_still_a_conflict():
    with pytest.raises(ApiError) as caught:
        World(problem(409, "order_already_has_a_payment", payment={"id": 1})).pay()
    assert caught.value.payment is None


@pytest.mark.parametrize("client", [Tillgate, AsyncTillgate])
@pytest.mark.parametrize("key", ["", "tg_test_x\n", "tg test", "tg_tést"])
def test_a_key_that_no_header_carries_is_refused_at_once_and_not_shown(client, key):
    with pytest.raises(ValueError, match="the API key") as caught:
        client("http://127.0.0.1:1", key)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize("client", [Tillgate, AsyncTillgate])
@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://x",
        "http://",
        "http://a b",
        "http://x/?y",
        "http://u:p@x",
        "http://x:99999",
        "http://[::1",
    ],
)
def test_an_address_that_is_none_is_refused_at_once(client, url):
    with pytest.raises(ValueError, match="address"):
        client(url, "tg_test_x")


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\r\nHost: b"])
def test_an_idempotency_key_that_no_header_carries_is_refused_at_once(key):
    world = World(said(200, PAYMENT))
    with pytest.raises(ValueError, match="idempotency key"):
        world.run(world.till.pay({}, key))
    assert world.asked == []


def test_the_stream_stands_where_it_was_told_to_begin():
    reader = StreamReader(None)
    for line in (b"retry: 2000\n", b"id: 41\n", b"\n", b":\n", b"\n"):
        assert reader.read(line) is None
    assert reader.position == 41
    event = [reader.read(line) for line in (b"id: 43\n", b"event: e\n", b"data: {}\n", b"\n")][-1]
    assert (event.position, event.type, event.data) == (43, "e", {})
    # Cut off within an event: it has not come, and nothing of it stays.
    assert reader.read(b"id: 44\n") is None
    reader.clear()
    assert reader.read(b"\n") is None
    assert reader.position == 43

"""Ten thousand malformed requests: each has a documented answer, none leaves anything behind.

What a documented answer is, for each family:

- the signed API: HTTP 200 and a `result` of a code that the facts have for this API, with the
  status that belongs to it, and a message of 1 to 256 characters; signed unless the caller is
  refused. One field that is illegal is named.
- the testers' side: HTTP 2xx with JSON, or 4xx with `application/problem+json`, and then nothing is
  other than before.
- `/gateway.do`: HTTP 200, one member `..._response` with a code and, where it refuses, a
  `sub_code`.

Never 500, no payment code and no signature in a log; afterwards payments go on and the books agree.
"""

from __future__ import annotations

import logging
import random
import re
from urllib.parse import unquote, urlencode

import pytest

from tests.simulation.corpus import FRESH
from tillgate.alipaycn import signing

from . import fuzzing
from .fuzzed_side import APP, CODES, FOLDER, Answer, Side, in_town
from .fuzzing import dumped, one_wrong, spoilt

SEED = 20260131
MALFORMED = 12_000
FRESH_MALFORMED = 4_000

# --- The families


async def signed_field(dice: random.Random, side: Side) -> None:
    """One field of a good request is wrong, and it is signed."""
    api = dice.choice(["pay", "pay", "pay", *CODES])
    document = await side.documents(api)
    place, value = side.next_wrong(dice, api, document)
    body = dumped(dice, fuzzing.with_wrong(document, place, value))
    side.tail = f"{api} {body[:300]!r}"
    path = FOLDER + api
    result = side.check_signed(
        api, body, await side.ask("POST", path, body, side.signed(path, body))
    )
    if fuzzing.is_malformed(document, place, value):
        assert result["resultCode"] == "PARAM_ILLEGAL", (place, result)
    if result["resultCode"] == "PARAM_ILLEGAL":
        name = next(each for each in reversed(place) if isinstance(each, str))
        assert name in result["resultMessage"], (place, result)


async def signed_bytes(dice: random.Random, side: Side) -> None:
    """What is signed is hardly JSON."""
    api = dice.choice(list(CODES))
    body = spoilt(dice, dumped(dice, await side.documents(api)))
    side.tail = f"{api} {body[:300]!r}"
    path = FOLDER + api
    headers = side.signed(path, body)
    side.check_signed(api, body, await side.ask("POST", path, body, headers))


async def headers_and_address(dice: random.Random, side: Side) -> None:
    """A good body, but not to this address, not by this method, not with these headers."""
    api = dice.choice(list(CODES))
    body = dumped(dice, await side.documents(api))
    path, method = FOLDER + api, "POST"
    if dice.random() < 0.3:
        path = fuzzing.other_path(dice, path)
    headers = side.signed(path, body)
    if dice.random() < 0.7:
        headers = fuzzing.other_headers(dice, headers)
    if dice.random() < 0.2:
        method = dice.choice(fuzzing.METHODS)
    side.tail = f"{method} {path[:200]!r} {headers!r}"
    answer = await side.ask(method, path, body, headers)
    if not path.startswith("/aps/"):
        side_of_testers(answer)
        return
    side.check_signed(unquote(path).partition("?")[0].rpartition("/")[2], body, answer)


def side_of_testers(answer: Answer) -> bool:
    """A documented answer of the testers' side; whether it says nothing of its own."""
    if answer.status in (200, 201):
        assert answer.headers["content-type"] == "application/json"
        return False
    if answer.status == 307:  # the front door, which leads people to a phone
        assert answer.headers["location"].startswith("/wallet/")
        return True
    assert answer.status in (400, 404, 405, 409, 422), answer
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json if answer.body else {"status": answer.status, "detail": "HEAD", "code": "x"}
    assert told["status"] == answer.status
    assert told["detail"]
    assert told["code"]
    return True


RULE = {"on": {"client_id": "nobody", "amount": 5}, "do": {"lose": "reply"}, "times": 3, "skip": 1}
FAULTS = {"seed": 5, "lose_reply": 0.0, "delay_s_max": 1.0}
CLOCK = {"now": "2026-01-31T12:00:00+08:00", "advance_s": 1.5, "frozen": False}
PLAYED = {"play": "duplicate", "on": {"customer": "kakaopay_minji"}, "times": None}
CONTROL = (
    (
        "POST",
        "/sandbox/codes",
        {"wallet": "kakaopay", "kind": "cgcp", "length": 24, "play": "slow"},
    ),
    ("POST", "/sandbox/codes", {"customer": "alipay_cn_wei", "kind": "alipay_cn_hk", "length": 18}),
    ("POST", "/sandbox/rules", RULE),
    ("POST", "/sandbox/rules", [RULE, PLAYED]),
    ("PUT", "/sandbox/faults", FAULTS),
    ("PUT", "/sandbox/clock", CLOCK),
    ("PUT", "/sandbox/script", {"rules": [RULE, PLAYED], "faults": FAULTS, "clock": CLOCK}),
    ("DELETE", "/sandbox/rules/rule_0", None),
    ("GET", "/sandbox/rules/rule_0", None),
    ("GET", "/sandbox/exchanges/1", None),
    ("GET", "/sandbox/exchanges?payment_request_id=base&limit=1", None),
    ("GET", "/sandbox/payments/base", None),
    ("POST", "/sandbox/payments/base/confirm", None),
    ("POST", "/sandbox/payments/base/decline", None),
)


async def told_to(side: Side) -> list[object]:
    """What the testers have asked for."""
    clock = await side.control("GET", "/sandbox/clock")
    return [
        await side.control("GET", "/sandbox/rules"),
        await side.control("GET", "/sandbox/faults"),
        (clock["is_frozen"], round(clock["ahead_s"])),
    ]


async def control_api(dice: random.Random, side: Side) -> None:
    """The control API: what it refuses changes nothing."""
    method, path, document = dice.choice(CONTROL)
    body = b""
    if document is not None:
        if dice.random() < 0.75:
            place, value = side.next_wrong(dice, f"{path}{len(document)}", document)
            body = dumped(dice, fuzzing.with_wrong(document, place, value))
        else:
            body = spoilt(dice, dumped(dice, document))
    elif dice.random() < 0.5:
        last = dice.choice(["9" * 19, "9" * 5000, "-1", "0", "1e3", "²", "rule_9", "x/y", "%00"])
        path = path.replace("base", last).replace("rule_0", last).replace("/1", f"/{last}")
    if dice.random() < 0.15:
        path = fuzzing.other_path(dice, path)
    if dice.random() < 0.1:
        method = dice.choice(fuzzing.METHODS)
    side.tail = f"{method} {path[:200]!r} {body[:300]!r}"
    before = await told_to(side)
    headers = [(b"content-type", dice.choice(fuzzing.BAD_VALUES))]
    answer = await side.ask(method, path, body, headers)
    if path.startswith(("/aps/", "/gateway")):
        return
    if side_of_testers(answer):
        assert await told_to(side) == before
        return
    if "code" in (told := answer.json):
        side.codes.append(told["code"])
    if method not in ("GET", "HEAD"):
        await asked_for_nothing(side)


async def asked_for_nothing(side: Side) -> None:
    """One rule and faults that meet nobody, and the machine's time."""
    await side.control("PUT", "/sandbox/clock", {"follow": True})
    await side.control("PUT", "/sandbox/script", {"rules": [RULE], "faults": FAULTS})


async def explained(dice: random.Random, side: Side) -> None:
    """The explanation of any message, of one whose signature does not fit above all."""
    path, body = FOLDER + "inquiryPayment", b'{"paymentRequestId":"base"}'
    await side.ask("POST", path, body, side.signed(path, body))
    rows = (await side.control("GET", "/sandbox/exchanges?payment_request_id=base"))["exchanges"]
    seq = max(row["seq"] for row in rows) + 1
    if dice.random() < 0.3:
        await dice.choice([signed_bytes, headers_and_address, signed_field])(dice, side)
    else:
        spoiler = dice.choice([spoilt, *fuzzing.SPOILERS])
        body = spoiler(dice, dumped(dice, await side.documents(dice.choice(list(CODES)))))
        side.tail = f"{body[:300]!r}"
        headers = side.signed(path, body + b" ")
        if dice.random() < 0.3:
            headers = fuzzing.other_headers(dice, headers)
        side.check_signed("inquiryPayment", body, await side.ask("POST", path, body, headers))
    for each in range(seq, seq + 4):
        told = await side.ask("GET", f"/sandbox/exchanges/{each}")
        side_of_testers(told)
        assert not [sign for sign in side.signatures[-2:] if sign[:40] in told.body.decode()]


CN_CODES = {"10000", "10003", "40001", "40002", "40004"}
BIZ = {
    "alipay.trade.pay": {
        "out_trade_no": "t", "scene": "bar_code", "auth_code": "", "subject": "Tea",
        "total_amount": "1.00", "timeout_express": "1m", "product_code": "FACE_TO_FACE_PAYMENT",
    },
    "alipay.trade.query": {"out_trade_no": "t", "trade_no": "x"},
    "alipay.trade.cancel": {"out_trade_no": "t2"},
    "alipay.trade.refund": {
        "out_trade_no": "t", "refund_amount": "0.01", "out_request_no": "r",
        "refund_reason": "cold",
    },
}  # fmt: skip


async def open_platform(dice: random.Random, side: Side) -> None:
    """AlipayCN's one address: the form, its signature, the business content."""
    method = dice.choice(list(BIZ))
    document = BIZ[method] | ({"auth_code": side.codes[-1]} if method.endswith("pay") else {})
    content = dumped(dice, one_wrong(dice, document))
    if dice.random() < 0.3:
        content = spoilt(dice, content)
    form = {
        "app_id": APP, "method": method, "format": "JSON", "charset": "utf-8", "sign_type": "RSA2",
        "timestamp": "2026-01-31 12:00:00", "version": "1.0",
        "biz_content": content.decode("utf-8", "replace"),
    }  # fmt: skip
    if dice.random() < 0.5:
        name = dice.choice(list(form))
        form[name] = str(dice.choice(fuzzing.TEXTS))
    in_address = {"charset": form.pop("charset")} if dice.random() < 0.9 else {}
    body = signing.signed_form(side.keys.acquirer, form, in_address)
    if dice.random() < 0.2:
        body = dice.choice(fuzzing.SPOILERS[:3])(dice, body)
    path = "/gateway.do" + (f"?{urlencode(in_address)}" if in_address else "")
    side.tail = f"{path[:200]} {body[:900]!r}"
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    answer = await side.ask(dice.choice(["POST", "POST", "GET"]), path, body, headers)
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html;charset=utf-8"
    told = answer.json
    ((name, member),) = [(n, m) for n, m in told.items() if n.endswith("_response")]
    assert set(told) <= {name, "sign"}
    assert re.fullmatch(r"[A-Za-z0-9_]{1,100}_response", name)
    assert member["code"] in CN_CODES
    assert member["msg"]
    assert ("sub_code" in member) is (not member["code"].startswith("1"))


FAMILIES = {
    signed_field: 44,
    signed_bytes: 10,
    headers_and_address: 10,
    control_api: 22,
    explained: 4,
    open_platform: 10,
}
"""In parts of a hundred."""


@pytest.mark.parametrize(("seed", "number"), [(SEED, MALFORMED), (FRESH, FRESH_MALFORMED)])
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_malformed_requests_get_documented_answers(keys, caplog, family, seed, number):
    caplog.set_level("DEBUG")
    dice = random.Random(f"{seed}:{family.__name__}")

    async def play(side: Side) -> None:
        await asked_for_nothing(side)
        for i in range(number * FAMILIES[family] // 100):
            try:
                await family(dice, side)
            except Exception as error:
                error.add_note(f"seed {seed}, request {i} of {family.__name__}: {side.tail}")
                raise
        await side.check_books()
        told = "\n".join(record.getMessage() for record in caplog.records)
        assert not [code for code in side.codes if code in told]
        assert not [sign for sign in side.signatures if sign[:40] in told]
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]

    in_town(keys, play)


def test_the_families_are_ten_thousand_requests_and_more():
    assert sum(MALFORMED * part // 100 for part in FAMILIES.values()) == MALFORMED > 10_000

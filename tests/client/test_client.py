"""The client against a real gateway, over lines that lose what they carry."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time

import pytest

from tests.client_side import LossyLine
from tests.support import (
    API_KEY,
    CODE,
    OFFICE_KEY,
    OTHER_API_KEY,
    TILL_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    paid,
    result,
    signed_answer,
)
from tillgate.client import (
    AsyncTillgate,
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    OutcomeUnknown,
    Tillgate,
    Unauthorized,
)


async def pays(call: Call):
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    if call.path.endswith("/refund"):
        said = {"refundAmount": call.message["refundAmount"], "refundId": "R-1"}
        times = {"refundTime": "2026-01-31T12:00:00+08:00"}
        return signed_answer(call, {"result": result("S", "SUCCESS")} | said | times)
    answer = paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]}
    return signed_answer(call, answer)


async def never_says(call: Call):
    return signed_answer(call, {"result": result("U", "PAYMENT_IN_PROCESS")})


def run(tmp_path, work, script=pays):
    async def whole():
        async with ScriptedNetwork(script).running() as network:
            async with gateway(tmp_path, network.url) as api:
                return await work(api, network)

    return asyncio.run(whole())


SALE = {"currency": "JPY", "value": 100}


class Both:
    """The same calls by either client, so that both are tried by the same tests."""

    def __init__(self, kind: str, url: str, key: str, **more):
        self._kind = kind
        self._client = (Tillgate if kind == "plain" else AsyncTillgate)(url, key, **more)

    async def __aenter__(self):
        if self._kind == "async":
            await self._client.__aenter__()
        return self

    async def __aexit__(self, *_):
        if self._kind == "async":
            await self._client.__aexit__()
        else:
            self._client.close()

    async def ask(self, name, *args, **more):
        method = getattr(self._client, name)
        if self._kind == "async":
            return await method(*args, **more)
        return await asyncio.to_thread(method, *args, **more)

    async def listed(self, name, count, *args, **more):
        """The first items of what can be gone through."""
        items = getattr(self._client, name)(*args, **more)
        told = []
        for _ in range(count):
            try:
                if self._kind == "async":
                    told.append(await anext(items))
                else:
                    told.append(await asyncio.to_thread(next, items, None))
            except StopAsyncIteration:
                told.append(None)
        return told


@pytest.fixture(params=["plain", "async"])
def kind(request):
    return request.param


def test_a_sale_from_the_code_to_its_end(tmp_path, kind):
    async def work(api, _):
        async with Both(kind, api.url, API_KEY) as till:
            payment = await till.ask("pay", CODE, order="0042", description="tea", **SALE)
            again = await till.ask("get", payment.id, wait_s=1)
            events = await till.ask("events", payment.id)
            found = await till.listed("find", 2, merchant_order_id="0042")
            told = await till.ask("identify", CODE)
            cancelled = await till.ask("cancel", payment.id)
            return payment, again, events, found, told, cancelled

    payment, again, events, found, told, cancelled = run(tmp_path, work)
    assert (payment.status, payment.final, payment.description) == ("SUCCEEDED", True, "tea")
    assert payment == again == found[0]
    assert found[1] is None
    assert [event.kind for event in events] == ["accepted", "pay_answered"]
    assert told["route"] == "alipay_plus"
    assert (cancelled.id, cancelled.status) == (payment.id, "CANCELLED")


def test_refunds_in_parts_until_nothing_is_left(tmp_path, kind):
    async def work(api, _):
        async with Both(kind, api.url, API_KEY) as till:
            payment = await till.ask("pay", CODE, order="1", **SALE)
            part = {"currency": "JPY", "value": 30, "reason": "one cup less"}
            first = await till.ask("refund", payment.id, idempotency_key="mine", **part)
            again = await till.ask("refund", payment.id, idempotency_key="mine", **part)
            rest = await till.ask("refund", payment.id)
            with pytest.raises(Conflict) as caught:
                await till.ask("refund", payment.id, currency="JPY", value=1)
            listed = await till.listed("refunds", 3, payment.id)
            after = await till.ask("get", payment.id)
            return first, again, rest, caught.value, listed, after

    first, again, rest, error, listed, after = run(tmp_path, work)
    assert (first.status, first.amount.value, first.reason) == ("SUCCEEDED", 30, "one cup less")
    assert again == first
    assert rest.amount.value == 70
    assert error.code == "cannot_refund"
    assert listed == [rest, first, None]
    assert after.amount_refunded == 100


def test_a_list_is_read_page_by_page(tmp_path, kind):
    async def work(api, _):
        async with Both(kind, api.url, API_KEY) as till:
            sales = [await till.ask("pay", CODE, order=str(n), **SALE) for n in range(5)]
            return sales, await till.listed("find", 6, limit=2)

    sales, found = run(tmp_path, work)
    assert found == [*reversed(sales), None]


def test_refusals_have_their_types(tmp_path, kind):
    async def work(api, _):
        told = []
        async with Both(kind, api.url, API_KEY) as till:
            first = await till.ask("pay", CODE, order="1", **SALE)
            for name, args, more in (
                ("pay", (CODE,), {"order": "1", **SALE}),
                ("pay", ("not a code",), {"order": "2", **SALE}),
                ("get", ("pay_nothing",), {}),
            ):
                with pytest.raises((Conflict, InvalidRequest, NotFound)) as caught:
                    await till.ask(name, *args, **more)
                told.append(caught.value)
        for key in ("tg_test_nobody", OFFICE_KEY):
            async with Both(kind, api.url, key) as till:
                with pytest.raises((Unauthorized, Forbidden)) as caught:
                    await till.ask("pay", CODE, order="3", **SALE)
                told.append(caught.value)
        return first, told

    first, told = run(tmp_path, work)
    assert [type(error) for error in told] == [
        Conflict,
        InvalidRequest,
        NotFound,
        Unauthorized,
        Forbidden,
    ]
    assert told[0].payment == first
    assert (told[1].code, told[1].path) == ("code_not_recognised", "$.code")


def test_a_lost_line_is_asked_again_until_it_answers_and_pays_once(tmp_path, kind):
    async def work(api, network):
        line = LossyLine(api.url, 7, lost_requests=0.4, lost_replies=0.4)
        # The pauses are the client's own, in a twentieth of their time.
        quick = {
            "plain": lambda seconds: time.sleep(seconds / 20),
            "async": lambda seconds: asyncio.sleep(seconds / 20),
        }
        async with (
            line.running() as url,
            Both(kind, url, API_KEY, patience_s=60, sleep=quick[kind]) as till,
        ):
            sales = [await till.ask("pay", CODE, order=str(n), **SALE) for n in range(6)]
            return sales, line, network.count("pay")

    sales, line, pays_sent = run(tmp_path, work)
    assert {sale.status for sale in sales} == {"SUCCEEDED"}
    assert len({sale.id for sale in sales}) == 6
    assert pays_sent == 6
    assert line.lost_requests > 0
    assert line.lost_replies > 0


def test_what_nobody_says_is_unknown_and_never_failed(tmp_path, kind):
    async def work(api, _):
        async with Both(kind, api.url, API_KEY, patience_s=1.5) as till:
            with pytest.raises(OutcomeUnknown) as caught:
                await till.ask("pay", CODE, order="1", idempotency_key="mine", **SALE)
            return caught.value, (await till.listed("find", 1, idempotency_key="mine"))[0]

    error, found = run(tmp_path, work, never_says)
    assert (error.idempotency_key, error.was_reached) == ("mine", True)
    assert error.found is not None
    assert error.found.id == found.id
    assert error.found.status == "PENDING"


def test_a_gateway_that_is_not_there_is_unknown_and_was_not_reached(kind):
    async def work():
        waited = []

        async def wait(seconds):
            waited.append(seconds)

        sleep = wait if kind == "async" else waited.append
        client = Both(kind, "http://127.0.0.1:1", API_KEY, patience_s=0.5, sleep=sleep)
        async with client as till:
            with pytest.raises(OutcomeUnknown) as caught:
                await till.ask("pay", CODE, order="1", **SALE)
        return caught.value, waited

    error, waited = asyncio.run(work())
    assert not error.was_reached
    assert error.idempotency_key
    assert waited
    assert all(0.1 <= seconds <= 5 for seconds in waited)


def test_the_stream_goes_on_behind_the_last_event(tmp_path, kind):
    async def work(api, _):
        async with (
            Both(kind, api.url, TILL_KEY) as till,
            Both(kind, api.url, OTHER_API_KEY) as other,
        ):
            sales = [await till.ask("pay", CODE, order=str(n), **SALE) for n in range(3)]
            await other.ask("pay", CODE, order="x", **SALE)
            first = await till.listed("stream", 1, last_event_id=0)
            rest = await till.listed("stream", 2, last_event_id=first[0].position)
            return sales, first + rest

    sales, events = run(tmp_path, work)
    assert [event.data["data"]["id"] for event in events] == [sale.id for sale in sales]
    assert {event.type for event in events} == {"payment.succeeded"}


def test_it_brings_no_server_and_no_database():
    heavy = "starlette uvicorn sqlalchemy alembic cryptography sqlite3 prometheus_client"
    code = (
        "import sys, tillgate.client; "
        f"sys.exit(str([each for each in {heavy.split()} if each in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


def test_no_key_shows_in_its_words():
    till = Tillgate("http://127.0.0.1:1", API_KEY)
    assert API_KEY not in repr(till) + repr(till._till)
    with pytest.raises(ValueError, match="is not an address"):
        Tillgate("127.0.0.1:8080", API_KEY)

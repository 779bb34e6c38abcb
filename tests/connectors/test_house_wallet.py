"""The documented example of a connector that another package brings, installed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.core.payment_cases import opened
from tests.core.refund_cases import opened as opened_refund
from tests.support import acquirer_key, alipay_plus_settings, directory, network_key, serving
from tillgate.clock import SystemClock
from tillgate.connectors import BadNotification, NotifyCall
from tillgate.connectors.kinds import build_connector
from tillgate.core.errors import ConfigError
from tillgate.core.model import (
    CancelAnswered,
    InquiryAnswered,
    InquiryRefused,
    InquiryUnanswered,
    PayAnswered,
    PayNeverLeft,
    PayUnanswered,
    RefundAnswered,
)
from tillgate.core.refund_model import LookFoundNothing, LookUnanswered, SendUnanswered
from tillgate.core.results import Outcome
from tillgate.server import Address, listen

EXAMPLE = Path(__file__).parents[2] / "examples" / "house_wallet"
PAYMENT = opened()
REFUND = opened_refund()


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """What `pip install examples/house_wallet` would leave behind."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "house_wallet-1.0.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["tillgate.connectors"]
    lines = [f"{name} = {value}" for name, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[tillgate.connectors]", *lines]))
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("house_wallet", None)


def settings(url="http://127.0.0.1:1", **options):
    base = alipay_plus_settings(url)
    return replace(
        base, name="card", kind="house_wallet", takes=("777",), client_id="SHOP", options=options
    )


class Card:
    """The card's server: one JSON answer per path, signed."""

    def __init__(self, signing_key=None, **states):
        self.states = states
        self.signing_key = signing_key or network_key()
        self.asked = []

    def signed(self, path, message):
        body = json.dumps(message).encode()
        signature = base64.b64encode(self.signing_key.sign_content(path.encode() + body))
        return body, {"X-Signature": signature.decode()}

    async def answer(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        self.asked.append((request.url.path, asked))
        said = self.states[request.path_params["api"].replace("-", "_")]
        if said is None:
            return Response(status_code=502)
        body, headers = self.signed(request.url.path, {"payment": asked["payment"], **said})
        return Response(body, headers=headers)

    @contextlib.asynccontextmanager
    async def connected(self):
        app = Starlette(routes=[Route("/{api}", self.answer, methods=["POST"])])
        async with serving(app, listen(Address("127.0.0.1", 0))) as url:
            connector = build_connector(settings(url), SystemClock())
            await connector.start()
            yield connector
            await connector.close()


def ask(card, what):
    async def whole():
        async with card.connected() as connector:
            return await what(connector)

    return asyncio.run(whole())


PAID = {"state": "paid", "currency": "JPY", "value": 100, "slip": "S1"}


def body(connector):
    merchant = next(iter(directory().merchants.values()))
    store = next(iter(merchant.stores.values()))
    return connector.build_pay("tg_1", PAYMENT.order, merchant, store, "281777" + "0" * 18)


@pytest.mark.parametrize(
    ("said", "fact"),
    [
        (PAID, PayAnswered),
        ({"state": "refused"}, PayAnswered),
        ({"state": "?"}, PayUnanswered),
        ({**PAID, "value": "100"}, PayUnanswered),
        ({**PAID, "payment": "another"}, PayUnanswered),
        (None, PayUnanswered),
    ],
)
def test_a_pay_becomes_a_fact_only_by_what_was_said_of_this_payment(installed, said, fact):
    told = ask(Card(charge=said), lambda connector: connector.pay(body(connector)))
    assert type(told) is fact
    if said == PAID:
        report = told.report
        assert (report.outcome, report.amount) == (Outcome.SUCCESS, PAYMENT.order.amount)


def test_only_a_call_without_a_connection_never_left(installed):
    async def whole():
        connector = build_connector(settings(), SystemClock())
        await connector.start()
        told = await connector.pay(body(connector))
        await connector.close()
        return told

    assert isinstance(asyncio.run(whole()), PayNeverLeft)


def test_what_the_server_did_not_sign_proves_nothing(installed):
    card = Card(signing_key=acquirer_key(), state=PAID, charge=PAID)
    assert isinstance(ask(card, lambda c: c.pay(body(c))), PayUnanswered)
    assert isinstance(ask(card, lambda c: c.inquire(PAYMENT)), InquiryUnanswered)


def test_the_ways_on_from_an_unknown_pay(installed):
    assert isinstance(ask(Card(state=PAID), lambda c: c.inquire(PAYMENT)), InquiryAnswered)
    unknown = {"state": "unknown_payment"}
    assert ask(Card(state=unknown), lambda c: c.inquire(PAYMENT)) == InquiryRefused(
        "ORDER_NOT_EXIST"
    )
    void = {"state": "void"}
    assert ask(Card(void=void), lambda c: c.cancel(PAYMENT)) == CancelAnswered(
        Outcome.SUCCESS, "SUCCESS"
    )
    card = Card(give_back=void)
    assert ask(card, lambda c: c.refund(PAYMENT)) == RefundAnswered(Outcome.SUCCESS, "SUCCESS")
    assert card.asked[0][1]["refund"].startswith("rev_")


@pytest.mark.parametrize(
    ("said", "sent", "looked"),
    [
        ({"refund": "ref_1", "state": "given_back"}, "S", "S"),
        ({"refund": "ref_1", "state": "refused"}, "F", "F"),
        ({"refund": "ref_1", "state": "unknown_refund"}, SendUnanswered, LookFoundNothing),
        ({"refund": "ref_1", "state": "?"}, SendUnanswered, LookUnanswered),
        ({"refund": "ref_of_another", "state": "given_back"}, SendUnanswered, LookUnanswered),
        ({"state": "given_back"}, SendUnanswered, LookUnanswered),
        (None, SendUnanswered, LookUnanswered),
    ],
)
def test_a_refund_becomes_a_fact_only_by_what_was_said_of_this_refund(
    installed, said, sent, looked
):
    card = Card(give_back=said, given_back=said)
    told = (
        ask(card, lambda c: c.give_back(REFUND)),
        ask(card, lambda c: c.look_up(REFUND)),
    )
    assert [getattr(getattr(t, "report", None), "outcome", type(t)) for t in told] == [sent, looked]
    assert card.asked[0][1] == {
        "payment": PAYMENT.payment_request_id, "refund": "ref_1", "currency": "JPY", "value": 30,
    }  # fmt: skip


def test_a_notification_is_believed_only_with_the_servers_signature(installed):
    connector = build_connector(settings(), SystemClock())
    for signing_key, is_believed in ((network_key(), True), (acquirer_key(), False)):
        raw, headers = Card(signing_key).signed("/notify/card", {"payment": "tg_1", **PAID})
        call = NotifyCall(
            path="/notify/card", headers={"x-signature": headers["X-Signature"]}, body=raw
        )
        if is_believed:
            assert connector.read_notification(call).payment_request_id == "tg_1"
            assert connector.acknowledge(call).status == 200
        else:
            with pytest.raises(BadNotification):
                connector.read_notification(call)


def test_an_option_it_does_not_have_is_named(installed):
    with pytest.raises(ConfigError, match="colour: house_wallet has no options"):
        build_connector(settings(colour="red"), SystemClock())


def test_a_package_that_is_not_installed_is_told_with_the_kinds_there_are():
    with pytest.raises(
        ConfigError, match="there is no 'house_wallet'; there are alipay_cn, aps_direct"
    ):
        build_connector(settings(), SystemClock())

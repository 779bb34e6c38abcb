"""The sandbox inside somebody's tests, as its documents promise it."""

from __future__ import annotations

import json
import logging
import re
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.support import acquirer_key
from tillgate.alipayplus.signing import BadSignature, KeyRing
from tillgate.core.errors import ConfigError
from tillgate.sandbox.choices import Choices, UnknownCancel
from tillgate.sandbox.embedded import Sandbox, SandboxRefused

DOCUMENT = Path(__file__).parents[2] / "docs" / "embedding.md"
FOLDER = "/aps/api/v1/payments/"
CANCEL = FOLDER + "cancelPayment"


def post(sandbox, path, body, timeout=10):
    """Send it signed; the answer's body."""
    raw = json.dumps(body).encode()
    request = Request(sandbox.url + path, raw, sandbox.signed_headers(path, raw))
    with urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read())


def cancel(sandbox, order, headers=None):
    raw = json.dumps({"paymentRequestId": order}).encode()
    headers = headers or sandbox.signed_headers(CANCEL, raw)
    with urlopen(Request(sandbox.url + CANCEL, raw, headers)) as answer:
        body = answer.read()
        return json.loads(body)["result"]["resultCode"], answer.headers, body


def test_the_documents_example_passes_in_a_project_of_its_own(tmp_path):
    examples = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    (tmp_path / "test_till.py").write_text(examples[0])
    (tmp_path / "conftest.py").write_text(examples[1])
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_without_it_nothing_heavy_is_imported(tmp_path):
    (tmp_path / "test_x.py").write_text(
        "import sys\ndef test_x():\n    assert 'starlette' not in sys.modules\n"
        "    assert 'tillgate.sandbox.embedded' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_two_have_nothing_in_common():
    with Sandbox() as one, Sandbox() as other:
        assert one.url != other.url
        one.rule({"result": "RISK_REJECT"}, on={"api": "pay"})
        one.advance(600)
        assert other.ask("GET", "/sandbox/rules")["rules"] == []
        assert other.ask("GET", "/sandbox/clock")["ahead_s"] == 0
        one.clear()
        assert one.ask("GET", "/sandbox/rules")["rules"] == []


def test_answers_are_signed_with_the_key_it_names():
    with Sandbox(choices=Choices(unknown_cancel=UnknownCancel.S_CLOSES_IT)) as sandbox:
        code, headers, body = cancel(sandbox, "A-1")
        assert code == "SUCCESS"
        signed = (CANCEL, sandbox.client_id, headers["Response-Time"], body)
        KeyRing.load({1: sandbox.public_key_pem}).verify(headers["Signature"], *signed)
        with pytest.raises(BadSignature):
            KeyRing.load({1: acquirer_key().public_pem()}).verify(headers["Signature"], *signed)


def test_other_acquirers_bring_their_own_keys():
    key = acquirer_key()
    with Sandbox(acquirers={"OTHER": key.public_pem()}) as sandbox:
        raw = json.dumps({"paymentRequestId": "A-1"}).encode()
        time = datetime.now(UTC).isoformat(timespec="seconds")
        headers = {
            "Content-Type": "application/json",
            "Client-Id": "OTHER",
            "Request-Time": time,
            "Signature": key.sign(CANCEL, "OTHER", time, raw),
        }
        assert cancel(sandbox, "A-1", headers)[0] == "ORDER_NOT_EXIST"
    with pytest.raises(ConfigError, match="OTHER"):
        Sandbox(acquirers={"OTHER": b"no key"})


def test_two_acquirers_may_use_one_payment_request_id():
    key = acquirer_key()
    with Sandbox(acquirers={"OTHER": key.public_pem()}) as sandbox:
        for client_id, value in ((sandbox.client_id, "100"), ("OTHER", "200")):
            amount = {"currency": "JPY", "value": value}
            order = {"referenceOrderId": "A", "orderDescription": "Tea", "orderAmount": amount}
            method = {"paymentMethodType": "CONNECT_WALLET", "paymentMethodId": sandbox.code()}
            body = {
                "paymentRequestId": "A-1",
                "order": order,
                "paymentAmount": amount,
                "paymentMethod": method,
            }
            raw = json.dumps(body).encode()
            headers = sandbox.signed_headers(FOLDER + "pay", raw)
            if client_id == "OTHER":
                signature = key.sign(FOLDER + "pay", "OTHER", headers["Request-Time"], raw)
                headers |= {"Client-Id": "OTHER", "Signature": signature}
            with urlopen(Request(sandbox.url + FOLDER + "pay", raw, headers)) as answer:
                assert json.loads(answer.read())["result"]["resultCode"] == "SUCCESS"
        mine, others = (sandbox.payment("A-1", who) for who in (sandbox.client_id, "OTHER"))
        assert (mine["net_debit"], others["net_debit"]) == (100, 200)
        assert sandbox.payment(mine["payment_id"]) == mine
        assert sandbox.payment("A-1") == others, "the later one"
        whose = {one["client_id"] for one in sandbox.exchanges("A-1")}
        assert whose == {sandbox.client_id, "OTHER"}
        found = sandbox.ask("GET", "/sandbox/exchanges?client_id=OTHER")["exchanges"]
        assert {one["client_id"] for one in found} == {"OTHER"}
        with pytest.raises(SandboxRefused, match="no such payment"):
            sandbox.payment(mine["payment_id"], "OTHER")


def test_stopping_frees_the_port_and_cuts_who_still_waits(caplog):
    sandbox = Sandbox().start()
    port = int(sandbox.url.rpartition(":")[2])
    sandbox.rule({"lose": "reply"}, on={"api": "cancelPayment"})
    cut = []

    def wait():
        try:
            cancel(sandbox, "A-1")
        except OSError as error:
            cut.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    while not sandbox.exchanges("A-1"):
        pass
    sandbox.stop()
    waiter.join(5)
    assert cut
    assert [one for one in caplog.records if one.levelno >= logging.WARNING] == []
    assert "tillgate" not in {thread.name for thread in threading.enumerate()}
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    sandbox.stop()
    sandbox.start()
    assert sandbox.payments() == []
    sandbox.stop()


def test_what_is_refused_names_the_field():
    with Sandbox() as sandbox:
        with pytest.raises(SandboxRefused, match=r"\$\.wallet") as caught:
            sandbox.code(wallet="nobody")
        assert (caught.value.status, caught.value.path) == (422, "$.wallet")
        with pytest.raises(SandboxRefused, match="no such payment"):
            sandbox.confirm("a/../b?c")
        with pytest.raises(SandboxRefused, match=r"\$"):
            sandbox.rule()
    with pytest.raises(RuntimeError, match="does not run"):
        sandbox.code()


def test_a_second_start_is_refused():
    with Sandbox() as sandbox, pytest.raises(RuntimeError, match="runs already"):
        sandbox.start()


def test_the_clock_stands_where_it_is_put():
    with Sandbox() as sandbox:
        sandbox.freeze(datetime(2027, 1, 1, tzinfo=UTC))
        sandbox.advance(1.5)
        now = sandbox.ask("GET", "/sandbox/clock")["now"]
        assert datetime.fromisoformat(now) == datetime(2027, 1, 1, 0, 0, 1, 500_000, tzinfo=UTC)


def test_the_fixtures_are_there(sandbox, scanned_code):
    assert scanned_code.isdigit()
    assert sandbox.payments() == []


@pytest.mark.scanned_code(wallet="alipay_cn", kind="alipay_cn_hk", length=18)
def test_the_mark_says_whose_code(scanned_code):
    assert len(scanned_code) == 18

"""The description of the API: complete, valid, true of what the gateway does, readable offline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jsonschema_rs
import pytest

from tests.generated_docs import DOCS
from tests.operations import merchant_operations, operator_operations
from tests.support import (
    API_KEY,
    OPERATOR_KEY,
    Call,
    ScriptedNetwork,
    gateway,
    paid,
    result,
    signed_answer,
)
from tillgate.core.access import Permission
from tillgate.web.openapi import describe
from tillgate.web.operations import Operation
from tillgate.web.problems import MEANING, STATUS
from tillgate.web.reference import page_of

DOCUMENT = describe("Tillgate", merchant_operations())
EVERY = [*merchant_operations(), *operator_operations()]
TRY_S = int(os.environ.get("TILLGATE_SCHEMATHESIS_S", "180" if os.environ.get("CI") else "20"))
"""How long the API is tried: 3 minutes in CI, 30 in `make soak`."""
NOBODYS = {"not_found", "method_not_allowed"}
"""Said of an address, not of an operation."""
OURS_ALONE = {"store_in_use", "invalid_configuration", "payment_id_taken"}
"""Never an answer: said at start, or mended before anybody hears of it."""


def named(operation: Operation) -> str:
    return operation.name


def test_every_error_code_is_listed_with_its_meaning_and_somewhere_said():
    said = {code for operation in EVERY for code in operation.all_problems()}
    assert said | NOBODYS | OURS_ALONE == set(STATUS) == set(MEANING)


def test_operations_have_names_of_their_own():
    names = [operation.name for operation in EVERY]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("operation", EVERY, ids=named)
def test_every_parameter_is_described(operation):
    described = describe("T", [operation])["paths"][operation.path][operation.method.lower()]
    for parameter in described.get("parameters", ()):
        assert parameter["description"], parameter["name"]


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_every_schema_is_one(name):
    jsonschema_rs.meta.validate(DOCUMENT["components"]["schemas"][name])


def test_every_reference_leads_somewhere():
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert names <= set(DOCUMENT["components"]["schemas"])


def fits(name: str, value: object) -> bool:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return bool(jsonschema_rs.is_valid(schema, value))


@pytest.mark.parametrize(
    "operation", [each for each in EVERY if each.body_example is not None], ids=named
)
def test_examples_fit_their_schemas(operation):
    assert operation.body is not None
    document = describe("T", [operation])
    schema = {
        "$ref": f"#/components/schemas/{operation.body.__name__}",
        "components": document["components"],
    }
    jsonschema_rs.validate(schema, operation.body_example)


async def network(call: Call):
    if call.path.endswith("/cancelPayment"):
        return signed_answer(call, {"result": result("S", "SUCCESS")})
    if call.path.endswith("/refund"):
        told = {"refundId": "r1", "refundAmount": call.message["refundAmount"]}
        return signed_answer(call, {"result": result("S", "SUCCESS")} | told)
    if call.path.endswith("/inquiryPayment"):
        pending = {"paymentResult": result("U", "PAYMENT_IN_PROCESS")}
        return signed_answer(call, {"result": result("S", "SUCCESS")} | pending)
    answer = paid(call) | {"paymentId": call.message["paymentRequestId"][-12:]}
    return signed_answer(call, answer)


def run(tmp_path, work):
    async def whole():
        async with ScriptedNetwork(network).running() as other_side:
            # Names are not looked up: a test knows no name server.
            async with gateway(tmp_path, other_side.url, webhooks_to_local=True) as api:
                return await work(api)

    return asyncio.run(whole())


@pytest.mark.parametrize("is_refunded", [False, True])
def test_the_examples_run(tmp_path, is_refunded):
    """As they stand in the document, against a gateway."""

    async def work(api):
        headers = {"Authorization": f"Bearer {API_KEY}", "Content-Type": "application/json"}
        answers, ids = {}, {"payments": "", "webhook_endpoints": "", "{event_id}": ""}
        ids["{refund_id}"] = ""
        # What is cancelled cannot be refunded, and what is refunded cannot be cancelled.
        left_out = {"cancelPayment"} if is_refunded else {"createRefund", "getRefund"}
        for operation in merchant_operations():
            is_list = operation.method == "GET" and "{id}" not in operation.path
            if is_list or operation.name in left_out:
                continue
            kind = operation.path.split("/")[2]
            path = operation.path.replace("{id}", ids.get(kind, ""))
            for name in ("{event_id}", "{refund_id}"):
                path = path.replace(name, ids[name])
            sent = headers | {h.name: h.example for h in operation.headers if h.is_required}
            if operation.permission is Permission.PAY or operation.name == "createRefund":
                sent["Prefer"] = "wait=10"
            data = json.dumps(operation.body_example) if operation.body else None
            async with api.session.request(
                operation.method, api.url + path, data=data, headers=sent
            ) as response:
                body = None if response.status == 204 else await response.json()
                answers[operation.name] = response.status, body
            if operation.name == "createPayment":
                ids["payments"] = body["id"]
            if operation.name == "createRefund":
                ids["{refund_id}"] = body["id"]
            if operation.name == "createWebhookEndpoint":
                ids["webhook_endpoints"] = body["endpoint"]["id"]
            if operation.name == "testWebhookEndpoint":
                ids["{event_id}"] = body["event_id"]
        return answers

    answers = run(tmp_path, work)
    assert {status // 100 for status, _ in answers.values()} == {2}, answers
    assert fits("PaymentResource", answers["createPayment"][1])
    assert fits("IdentifiedCode", answers["identifyCode"][1])
    assert not is_refunded or fits("RefundResource", answers["createRefund"][1])
    assert not fits("IdentifiedCode", answers["createPayment"][1])


def test_it_is_served_as_it_is_committed_with_a_page_that_loads_nothing(tmp_path):
    async def work(api):
        async with api.session.get(f"{api.url}/openapi.json") as response:
            document = await response.json()
        async with api.session.get(f"{api.url}/docs") as response:
            return document, response.headers, await response.text()

    document, headers, page = run(tmp_path, work)
    assert document == json.loads((DOCS / "openapi.json").read_text())
    assert page == page_of(document, "/openapi.json")
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    shown = page.replace("https://shop.example", "")  # an example of a merchant's own address
    assert not re.search(r"<script|<img|<link|src=|url\(|@import|https?://", shown)
    for operation in merchant_operations():
        assert f'id="{operation.name}"' in page


def test_no_other_origin_may_read_an_answer(tmp_path):
    async def work(api):
        headers = {"Origin": "https://elsewhere.example", "Authorization": f"Bearer {API_KEY}"}
        preflight = headers | {"Access-Control-Request-Method": "POST"}
        async with (
            api.session.get(f"{api.url}/v1/payments", headers=headers) as plain,
            api.session.options(f"{api.url}/v1/payments", headers=preflight) as asked,
        ):
            return [name for each in (plain, asked) for name in each.headers], asked.status

    names, status = run(tmp_path, work)
    assert not [name for name in names if name.lower().startswith("access-control")]
    assert status == 405


@pytest.mark.parametrize(("who", "seconds"), [("merchants", TRY_S), ("operators", min(TRY_S, 20))])
def test_nothing_that_anybody_sends_breaks_the_description(tmp_path, who, seconds):
    """Schemathesis, all its checks, with the links of the document."""

    async def work(api):
        url = f"{api.url}/openapi.json"
        key = API_KEY
        if who == "operators":
            url, key = f"{api.admin_url}/admin/openapi.json", OPERATOR_KEY
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            f"--config-file={Path(__file__).with_name('schemathesis.toml')}",
            "run",
            url,
            f"--header=Authorization: Bearer {key}",
            "--checks=all",
            # The key that asks must not be ended on the way.
            *(f"--exclude-operation-id={name}" for name in ("revokeKey", "rotateKey")),
            f"--max-time={seconds}",
            "--request-timeout=30",
            "--max-examples=100000",
            "--suppress-health-check=all",
            "--no-color",
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        with contextlib.closing(process._transport):  # type: ignore[attr-defined]
            told, _ = await process.communicate()
        return process.returncode, told.decode()

    status, told = run(tmp_path, work)
    assert status == 0, told[-20_000:]

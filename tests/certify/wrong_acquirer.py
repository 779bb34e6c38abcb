"""An acquirer with the bugs that open peers have: the kit has to find them. Never a model.

It speaks the kit's plain HTTP shape to tills and Alipay+'s to the network, and gets wrong: a lost
reply is a failure; a resend after U has a new id; nobody asks; answers are believed unchecked; a
notification is believed unchecked and its acknowledgement is not signed; a cancel is done once and
called done.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Any

import aiohttp
from aiohttp import web

from tillgate.alipayplus.signing import SigningKey

FOLDER = "/aps/api/v1/payments"


class WrongAcquirer:
    def __init__(self, network: str, client_id: str, key: SigningKey) -> None:
        self.network = network
        self.client_id = client_id
        self.key = key
        self.url = ""
        self.payments: dict[str, str] = {}
        self.app = web.Application()
        self.app.router.add_post("/pay", self.pay)
        self.app.router.add_get("/payments/{id}", self.look)
        self.app.router.add_post("/payments/{id}/cancel", self.cancel)
        self.app.router.add_post("/notify", self.notify)

    async def pay(self, request: web.Request) -> web.Response:
        asked = await request.json()
        handle = secrets.token_hex(8)
        amount = {"currency": asked["currency"], "value": str(asked["value"])}
        body = {
            "paymentRequestId": handle,
            "paymentAmount": amount,
            "order": {
                "referenceOrderId": asked["order"],
                "orderDescription": "Tea",
                "orderAmount": amount,
            },
            "paymentMethod": {
                "paymentMethodType": "CONNECT_WALLET",
                "paymentMethodId": asked["code"],
            },
            "paymentFactor": {
                "isInStorePayment": "true",
                "inStorePaymentScenario": "PaymentCode",
            },
            "paymentNotifyUrl": f"{self.url}/notify",
        }
        answer = await self.call("pay", body)
        if answer and answer["result"]["resultCode"] == "UNKNOWN_EXCEPTION":
            # A new id for the same order: the customer may be charged twice.
            answer = await self.call("pay", body | {"paymentRequestId": handle + "-2"})
        status = "failed"  # whatever was lost counts as a failure
        if answer:
            status = {"S": "paid", "F": "failed", "U": "pending"}[answer["result"]["resultStatus"]]
        self.payments[handle] = status
        return web.json_response({"id": handle, "status": status})

    async def look(self, request: web.Request) -> web.Response:
        handle = request.match_info["id"]
        return web.json_response({"id": handle, "status": self.payments[handle]})

    async def cancel(self, request: web.Request) -> web.Response:
        handle = request.match_info["id"]
        await self.call("cancelPayment", {"paymentRequestId": handle})
        self.payments[handle] = "cancelled"
        return web.json_response({"id": handle, "status": "cancelled"})

    async def notify(self, request: web.Request) -> web.Response:
        told = json.loads(await request.read())
        handle = told["paymentRequestId"].removesuffix("-2")
        status = told["paymentResult"]["resultStatus"]
        self.payments[handle] = "paid" if status == "S" else "failed"
        return web.json_response({"result": {"resultCode": "SUCCESS", "resultStatus": "S"}})

    async def call(self, api: str, body: dict[str, Any]) -> dict[str, Any] | None:
        path, raw = f"{FOLDER}/{api}", json.dumps(body).encode()
        time = datetime.now(UTC).isoformat(timespec="seconds")
        headers = {
            "Content-Type": "application/json",
            "Client-Id": self.client_id,
            "Request-Time": time,
            "Signature": self.key.sign(path, self.client_id, time, raw),
        }
        timeout = aiohttp.ClientTimeout(total=2)
        try:
            async with aiohttp.ClientSession(timeout=timeout) as session:
                async with session.post(self.network + path, data=raw, headers=headers) as answer:
                    found: dict[str, Any] = json.loads(await answer.read())
                    return found
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None

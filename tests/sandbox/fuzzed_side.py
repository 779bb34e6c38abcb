"""The sandbox as the fuzzing calls it: the application without a socket, a caller that signs, and
the books that its answers make.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import unquote

from tests.support import serving
from tillgate.alipayplus import messages
from tillgate.alipayplus.signing import KeyRing
from tillgate.clock import SystemClock
from tillgate.sandbox.app import NetworkKeys, SandboxSettings, create_app
from tillgate.server import Address, listen

from .fuzzing import Headers, Path, each_wrong
from .side import CLIENT, WALLETS, Keys, pay_request

FOLDER = "/aps/api/v1/payments/"
APP = "2021000000000001"

OF_ANY_MESSAGE = {
    "PARAM_ILLEGAL", "INVALID_SIGNATURE", "INVALID_CLIENT", "METHOD_NOT_SUPPORTED",
    "NO_INTERFACE_DEF",
    "MEDIA_TYPE_NOT_ACCEPTABLE",
}  # fmt: skip
UNSIGNED = {"INVALID_SIGNATURE", "INVALID_CLIENT"}
REFUSED_PAYS = {
    "INVALID_CODE", "EXPIRED_CODE", "CURRENCY_NOT_SUPPORT", "ORDER_IS_CLOSED",
    "REPEAT_REQ_INCONSISTENT",
    "USER_BALANCE_NOT_ENOUGH",
}  # fmt: skip
CODES = {
    "pay": {"SUCCESS"} | REFUSED_PAYS,
    "inquiryPayment": {"SUCCESS", "ORDER_NOT_EXIST"},
    "cancelPayment": {"SUCCESS", "ORDER_NOT_EXIST", "CANCEL_WINDOW_EXCEED", "PROCESS_FAIL"},
    "refund": {
        "SUCCESS", "ORDER_NOT_EXIST", "ORDER_STATUS_INVALID", "REFUND_AMOUNT_EXCEED",
        "REFUND_WINDOW_EXCEED", "REPEAT_REQ_INCONSISTENT", "CURRENCY_NOT_SUPPORT",
    },
}  # fmt: skip


ORDER = {
    "merchant": {
        "referenceMerchantId": "M1", "merchantMCC": "1405", "merchantName": "cup Hu",
        "merchantAddress": {"region": "JP", "city": "Tokyo"},
        "store": {"referenceStoreId": "S1", "storeName": "UGG-2", "storeMCC": "1405"},
    },
    "goods": [
        {"referenceGoodsId": "g", "goodsName": "Tea", "goodsQuantity": "1",
         "goodsUnitAmount": {"currency": "JPY", "value": "100"}},
    ],
    "buyer": {"referenceBuyerId": "b", "buyerName": {"fullName": "Kim Minji"}},
    "shipping": {"shippingName": {"firstName": "Minji"}, "shippingPhoneNo": "1"},
    "env": {"terminalType": "APP", "storeTerminalRequestTime": "2021-04-08T14:48:50+08:00"},
    "indirectAcquirer": {"referenceAcquirerId": "A1"},
}  # fmt: skip
REST = {
    "paymentFactor": {"isInStorePayment": "true", "inStorePaymentScenario": "PaymentCode"},
    "paymentExpiryTime": "2099-01-01T00:00:00+08:00",
    "settlementStrategy": {"settlementCurrency": "USD"},
    "splitSettlementId": "s1",
}
"""What a pay may have beside the guide's sample. Source: the tables of pay and the dictionary."""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Side:
    """The application, asked without a socket, and what it should have in its books."""

    app: Any
    keys: Keys
    port: int
    number: Iterator[int] = field(default_factory=lambda: count(1))
    codes: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    placed: set[str] = field(default_factory=set)
    net: dict[str, int] = field(default_factory=dict)
    refunds: dict[str, tuple[str, int]] = field(default_factory=dict)
    wrong: dict[str, list[Any]] = field(default_factory=dict)
    tail: str = ""

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Any = (), chunk: int = 1 << 16
    ) -> Answer:
        """One request, as a server would hand it on."""
        raw, _, query = path.encode("utf-8", "surrogateescape").partition(b"?")
        pieces = [body[i : i + chunk] for i in range(0, len(body), chunk)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if not pieces:
                return {"type": "http.disconnect"}
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": unquote(raw.decode("latin-1")), "raw_path": raw,
            "query_string": query, "root_path": "", "headers": list(headers),
            "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        }  # fmt: skip
        await self.app(scope, receive, send)
        await asyncio.sleep(0)  # what else goes on there goes on
        start, *parts = sent
        told = {n.decode(): v.decode("latin-1") for n, v in start["headers"]}
        return Answer(start["status"], told, b"".join(part.get("body", b"") for part in parts))

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the testers' side that has to succeed."""
        answer = await self.ask(method, path, b"" if body is None else json.dumps(body).encode())
        assert answer.status in (200, 201), answer
        return answer.json

    def signed(self, path: str, body: bytes) -> Headers:
        """The headers of a good caller. Names in lower case, as servers hand them on."""
        time = messages.format_time(datetime.now(UTC))
        signature = self.keys.acquirer.sign(path, CLIENT, time, body)
        self.signatures.append(signature.partition("signature=")[2])
        return [
            (b"client-id", CLIENT.encode()),
            (b"request-time", time.encode()),
            (b"signature", signature.encode()),
            (b"content-type", b"application/json; charset=UTF-8"),
        ]

    async def code(self, **asked: str) -> str:
        """One that works; used again until it is used up."""
        told = await self.control("POST", "/sandbox/codes", asked or None)
        self.codes.append(told["code"])
        return told["code"]

    def next_wrong(self, dice: random.Random, name: str, document: Any) -> tuple[Path, Any]:
        """One field and what is wrong with it: each pair once, until there are no more."""
        if not self.wrong.get(name):
            self.wrong[name] = each_wrong(dice, document)
        return self.wrong[name].pop()

    async def documents(self, api: str) -> dict[str, Any]:
        """A good request of this API."""
        id_ = f"pay_{next(self.number)}"
        if api == "pay":
            code = await self.code() if len(self.placed) % 5 == 0 else self.codes[-1]
            document = json.loads(messages.encode(pay_request(code, id_)))
            document["order"] |= ORDER
            return document | REST
        known = {"paymentRequestId": "base" if api == "inquiryPayment" else id_}
        if api != "refund":
            return known
        amount = {"currency": "JPY", "value": "1"}
        return {
            "paymentRequestId": "base", "refundRequestId": f"refund_{id_}", "refundAmount": amount,
            "refundReason": "cold",
        }  # fmt: skip

    # What must hold
    # ------------------------------------------------------------------------------------------

    def check_signed(self, api: str, body: bytes, answer: Answer) -> dict[str, Any]:
        """The answer of the signed API is a documented one; keeps the books."""
        assert answer.status == 200
        result = answer.json["result"]
        code = result["resultCode"]
        assert code in OF_ANY_MESSAGE | CODES.get(api, set()), code
        status = {"SUCCESS": "S", "PAYMENT_IN_PROCESS": "U"}.get(code, "F")
        assert result["resultStatus"] == status
        assert 1 <= len(result["resultMessage"]) <= 256
        assert ("signature" in answer.headers) is (code not in UNSIGNED)
        if code in OF_ANY_MESSAGE:
            assert set(answer.json) == {"result"}
        elif api in ("pay", "cancelPayment", "refund"):
            self._keep(api, json.loads(body), code)
        return result

    def _keep(self, api: str, asked: dict[str, Any], code: str) -> None:
        id_ = asked.get("paymentRequestId")
        if api == "pay" and code not in ("CURRENCY_NOT_SUPPORT", "REPEAT_REQ_INCONSISTENT"):
            self.placed.add(id_)
        if api == "pay" and code == "SUCCESS":
            self.net.setdefault(id_, int(asked["paymentAmount"]["value"]))
        if api == "cancelPayment" and code == "SUCCESS":
            self.net.update({id_: 0} if id_ in self.net else {})
        if api == "refund" and code == "SUCCESS":
            self.refunds[asked["refundRequestId"]] = (id_, int(asked["refundAmount"]["value"]))

    async def check_books(self) -> None:
        """A payment goes on as ever; books and answers agree; nothing more was placed."""
        request = pay_request(await self.code(), f"pay_{next(self.number)}")
        body = messages.encode(request)
        answer = await self.ask("POST", FOLDER + "pay", body, self.signed(FOLDER + "pay", body))
        assert self.check_signed("pay", body, answer)["resultCode"] == "SUCCESS"
        net = dict(self.net)
        for id_, value in self.refunds.values():
            net[id_] -= value
        ledger = await self.control("GET", "/sandbox/ledger")
        booked: dict[str, int] = {}
        spent: dict[str, int] = {}
        for entry in ledger["entries"]:
            sign = 1 if entry["kind"] == "debit" else -1
            for book, name, amount in (
                (booked, entry["payment_request_id"], entry["amount"]),
                (spent, entry["customer"], entry["pay_to_amount"]),
            ):
                book[name] = book.get(name, 0) + sign * amount["value"]
        assert booked == net
        for row in ledger["balances"]:
            assert row["opening"] - row["balance"] == spent.get(row["customer"], 0)


def in_town(keys, play, *, is_served: bool = False):
    """`play` with a sandbox of two networks, and a payment that is paid; on a port, if wanted."""

    async def run() -> None:
        ring = KeyRing.load({1: keys.acquirer.public_pem()})
        settings = SandboxSettings(
            signing_key=keys.network,
            acquirers={CLIENT: ring},
            wallets=WALLETS,
            notify_delay_s=3600.0,
            notify_retries_s=(),
            has_magic=False,
            direct={"alipay_cn": NetworkKeys(signing_key=keys.network, acquirers={APP: ring})},
        )
        app = create_app(settings, SystemClock())
        listener = listen(Address("127.0.0.1", 0))
        started = serving(app, listener) if is_served else app.router.lifespan_context(app)
        async with started:
            side = Side(app, keys, listener.getsockname()[1])
            body = messages.encode(pay_request(await side.code(), "base", value=10**9))
            answer = await side.ask("POST", FOLDER + "pay", body, side.signed(FOLDER + "pay", body))
            assert side.check_signed("pay", body, answer)["resultCode"] == "SUCCESS"
            await side.code()
            await play(side)
        listener.close()

    asyncio.run(run())

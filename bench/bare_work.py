"""What every form of the bare program does with a sale and a notification, and nothing else.

Nothing here comes from the gateway: a yardstick that shares the code it measures would move with
it. There are no API keys, no history, no idempotency, no retries, no time-outs, no metrics and no
sealing. What is left, nobody can leave out: the request read strictly, the payment durable before
its pay leaves and after its answer came, two signatures made and two checked.
"""

from __future__ import annotations

import asyncio
import binascii
import os
import time
import tomllib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PAY_PATH = "/aps/api/v1/payments/pay"
NOTIFY_PATH = "/notify"
_PADDING = padding.PKCS1v15()
_HASH = hashes.SHA256()


class Amount(msgspec.Struct):
    currency: str
    value: int


class TillOrder(msgspec.Struct):
    merchant_order_id: str
    amount: Amount


class Sale(msgspec.Struct):
    """What the till sends: the same request as the gateway gets."""

    code: str
    order: TillOrder


class Result(msgspec.Struct, rename="camel"):
    result_status: str
    result_code: str


class PayAnswer(msgspec.Struct, rename="camel"):
    result: Result
    payment_id: str | None = None
    payment_time: str | None = None


class Notification(msgspec.Struct, rename="camel"):
    payment_result: Result
    payment_request_id: str
    payment_id: str | None = None
    payment_time: str | None = None


_SALES = msgspec.json.Decoder(Sale)
_ANSWERS = msgspec.json.Decoder(PayAnswer)
_NOTIFICATIONS = msgspec.json.Decoder(Notification)
_text = msgspec.json.Encoder().encode
_ACKNOWLEDGED = b'{"result":{"resultCode":"SUCCESS","resultStatus":"S","resultMessage":"success"}}'
_STATUSES = {"S": "SUCCEEDED", "F": "FAILED", "U": "PENDING"}
_HEAD = (
    b'{"paymentNotifyUrl":%b,"paymentFactor":{"isInStorePayment":"true",'
    b'"inStorePaymentScenario":"PaymentCode"},"settlementStrategy":{"settlementCurrency":"USD"},'
)
_BODY = (
    b'%b"paymentExpiryTime":"%b","paymentRequestId":"%b","order":{"referenceOrderId":%b,'
    b'"orderDescription":"cup Hu tea","orderAmount":%b,"merchant":{"referenceMerchantId":'
    b'"M00000000001","merchantName":"cup Hu","merchantMCC":"1405","store":{"referenceStoreId":'
    b'"S0000000001","storeName":"UGG-2","storeMcc":"1405"},"merchantAddress":{"region":"JP",'
    b'"city":"Tokyo"}},"env":{"storeTerminalId":"122222","storeTerminalRequestTime":"%b"}},'
    b'"paymentAmount":%b,"paymentMethod":{"paymentMethodType":"CONNECT_WALLET",'
    b'"paymentMethodId":%b}}'
)


class Opened(NamedTuple):
    """A row as it is before its pay leaves; microseconds of Unix time."""

    id: str
    merchant_order_id: str
    currency: str
    value: int
    at: int
    body: bytes


class Ended(NamedTuple):
    """What an answer or a notification changes."""

    id: str
    status: str
    code: str
    payment_id: str | None
    paid_at: str | None


class Store(Protocol):
    """Each is durable when its future is done; everything asked for meanwhile is one commit."""

    def open(self, row: Opened) -> asyncio.Future[None]: ...
    def end(self, row: Ended) -> asyncio.Future[None]: ...


class Signed(NamedTuple):
    """A message with the headers that go with it, in bytes as they travel."""

    time: bytes
    signature: bytes
    body: bytes


Post = Callable[[Signed], Awaitable[Signed]]
"""Send a pay; its answer."""


@dataclass(frozen=True)
class Settings:
    """The part of `tillgate.toml` that a bare program needs."""

    base_url: str
    client_id: str
    signing_key: rsa.RSAPrivateKey
    network_key: rsa.RSAPublicKey

    @classmethod
    def read(cls, file: Path) -> Settings:
        document = tomllib.loads(file.read_text())["alipay_plus"]
        private = (file.parent / document["private_key_file"]).read_bytes()
        public = (file.parent / document["public_key_files"]["1"]).read_bytes()
        signing_key = serialization.load_pem_private_key(private, None)
        network_key = serialization.load_pem_public_key(public)
        assert isinstance(signing_key, rsa.RSAPrivateKey)
        assert isinstance(network_key, rsa.RSAPublicKey)
        base_url = os.environ.get("TILLGATE_ALIPAY_PLUS_BASE_URL", document["base_url"])
        return cls(base_url, document["client_id"], signing_key, network_key)


class Work:
    """One sale and one notification, whatever carries them."""

    def __init__(self, settings: Settings, store: Store, notify_url: str) -> None:
        self.store = store
        self.pending: set[str] = set()
        client = settings.client_id.encode()
        self._sign, self._verify = settings.signing_key.sign, settings.network_key.verify
        self._pay = b"POST %b\n%b." % (PAY_PATH.encode(), client)
        self._notify = b"POST %b\n%b." % (NOTIFY_PATH.encode(), client)
        self._head = _HEAD % _text(notify_url)
        self._run, self._count = f"bare-{os.getpid()}-{time.time_ns():x}-", 0
        self._second, self._now, self._expiry = 0, b"", b""

    async def sale(self, raw: bytes, post: Post) -> bytes:
        """From the till's bytes to the bytes of its answer."""
        sale = _SALES.decode(raw)
        order = sale.order
        self._count += 1
        id_ = f"{self._run}{self._count}"
        now = self._tick()
        amount = b'{"currency":%b,"value":"%d"}' % (
            _text(order.amount.currency),
            order.amount.value,
        )
        name, code = _text(order.merchant_order_id), _text(sale.code)
        parts = (self._head, self._expiry, id_.encode(), name, amount, now, amount, code)
        body = _BODY % parts
        at = time.time_ns() // 1000
        value = order.amount.value
        self.pending.add(id_)
        await self.store.open(
            Opened(id_, order.merchant_order_id, order.amount.currency, value, at, body)
        )
        answer = await post(self._signed(self._pay, body))
        self._check(self._pay, answer)
        heard = _ANSWERS.decode(answer.body)
        status = _STATUSES[heard.result.result_status]
        await self.store.end(
            Ended(id_, status, heard.result.result_code, heard.payment_id, heard.payment_time)
        )
        self.pending.discard(id_)
        return b'{"id":"%b","status":"%b"}' % (id_.encode(), status.encode())

    async def notified(self, message: Signed) -> Signed:
        """Check, make durable what is new, acknowledge."""
        self._check(self._notify, message)
        told = _NOTIFICATIONS.decode(message.body)
        if told.payment_request_id in self.pending:  # what is known already needs no commit
            result = told.payment_result
            status = _STATUSES[result.result_status]
            id_ = told.payment_request_id
            await self.store.end(
                Ended(id_, status, result.result_code, told.payment_id, told.payment_time)
            )
        return self._signed(self._notify, _ACKNOWLEDGED)

    def _signed(self, start: bytes, body: bytes) -> Signed:
        now = self._tick()
        raw = self._sign(b"%b%b.%b" % (start, now, body), _PADDING, _HASH)
        text = binascii.b2a_base64(raw, newline=False)
        text = text.replace(b"+", b"%2B").replace(b"/", b"%2F").replace(b"=", b"%3D")
        return Signed(now, b"algorithm=RSA256,keyVersion=1,signature=" + text, body)

    def _check(self, start: bytes, message: Signed) -> None:
        text = message.signature.rpartition(b"signature=")[2]
        text = text.replace(b"%2B", b"+").replace(b"%2F", b"/").replace(b"%3D", b"=")
        content = b"%b%b.%b" % (start, message.time, message.body)
        self._verify(binascii.a2b_base64(text), content, _PADDING, _HASH)

    def _tick(self) -> bytes:
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._now = _wire(second)
            self._expiry = _wire(second + 60)
        return self._now


def _wire(second: int) -> bytes:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(second)).encode()

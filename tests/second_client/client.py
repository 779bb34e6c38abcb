"""The acquirer's calls, synchronous, over the standard library and `cryptography`.

Whatever the facts leave to the writer of a client is a field of `Style`; the defaults are those of
the published samples.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

FOLDER = "/aps/api/v1/payments/"


class NoAnswer(Exception):
    """Nothing came back in time, or the connection was cut."""


class NotTrusted(Exception):
    """An answer (or a notification) whose signature is missing or does not fit."""


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def percent_upper(text: str) -> str:
    return text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")


def percent_lower(text: str) -> str:
    return text.replace("+", "%2b").replace("/", "%2f").replace("=", "%3d")


def signed_bytes(uri: str, client_id: str, time: str, body: bytes) -> bytes:
    """Content_To_Be_Signed: the method is POST both ways."""
    return f"POST {uri}\n{client_id}.{time}.".encode() + body


def rsa256(key: rsa.RSAPrivateKey, content: bytes) -> bytes:
    return key.sign(content, padding.PKCS1v15(), hashes.SHA256())


@dataclass(frozen=True)
class Style:
    """What the facts leave open."""

    name_case: Callable[[str], str] = str
    after_comma: str = ""
    key_version: str | None = "1"
    encode: Callable[[str], str] = percent_upper
    content_type: str | None = "application/json; charset=UTF-8"
    dump: Callable[[Any], str] = json.dumps
    extra_headers: tuple[tuple[str, str], ...] = ()
    query: str = ""
    is_chunked: bool = False

    def signature_header(self, signature: bytes, algorithm: str = "RSA256") -> str:
        version = [] if self.key_version is None else [f"keyVersion={self.key_version}"]
        value = self.encode(base64.b64encode(signature).decode())
        parts = [f"algorithm={algorithm}", *version, f"signature={value}"]
        return f",{self.after_comma}".join(parts)

    def headers(self, **values: str) -> dict[str, str]:
        """`client_id=...` as `Client-Id: ...`, in this style's case."""
        named = {"-".join(w.capitalize() for w in n.split("_")): v for n, v in values.items()}
        if self.content_type is not None:
            named["Content-Type"] = self.content_type
        named |= dict(self.extra_headers)
        return {self.name_case(name): value for name, value in named.items()}


PLAIN = Style()


@dataclass(frozen=True)
class Answer:
    """What came back, whatever it is."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def is_signed(self) -> bool:
        return "signature" in self.headers

    @property
    def message(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def result(self) -> str:
        """`F PARAM_ILLEGAL`."""
        return words(self.message["result"])

    @property
    def payment(self) -> str:
        """An inquiry's second level, or why there is none."""
        told = self.message.get("paymentResult")
        return words(told) if told else f"({self.result})"


def words(result: dict[str, str]) -> str:
    return f"{result['resultStatus']} {result['resultCode']}"


def check(
    header: str | None, uri: str, client_id: str, time: str | None, body: bytes, key: Any
) -> None:
    """Is this what the other side signed? Everything behind `signature=` is the value.

    Raises:
        NotTrusted: no.
    """
    start, found, value = (header or "").partition("signature=")
    if not found or "algorithm=RSA256" not in start.replace(" ", "") or not time:
        raise NotTrusted("unsigned")
    try:
        signature = base64.b64decode(unquote(value), validate=True)
        content = signed_bytes(uri, client_id, time, body)
        key.verify(signature, content, padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, InvalidSignature):
        raise NotTrusted("does not fit") from None


@dataclass
class Acquirer:
    """One acquirer: its id, its keys, its words."""

    url: str
    client_id: str
    key: rsa.RSAPrivateKey
    network_key: Any
    notify_url: str | None = None
    timeout_s: float = 8.0
    style: Style = PLAIN
    now: Callable[[], str] = field(default=lambda: datetime.now(UTC).isoformat())

    def pay(self, request_id: str, code: str, value: int, **changes: Any) -> Answer:
        return self.call("pay", self.pay_order(request_id, code, value, **changes))

    def inquire(self, **ids: str) -> Answer:
        return self.call("inquiryPayment", ids)

    def cancel(self, **ids: str) -> Answer:
        return self.call("cancelPayment", ids)

    def refund(self, refund_id: str, value: int, currency: str = "JPY", **ids: Any) -> Answer:
        amount = {"currency": currency, "value": str(value)}
        return self.call("refund", {"refundRequestId": refund_id, "refundAmount": amount, **ids})

    def pay_order(self, request_id: str, code: str, value: int, **changes: Any) -> dict[str, Any]:
        """The guide's sample of a user-presented pay."""
        amount = {"currency": changes.pop("currency", "JPY"), "value": str(value)}
        message = {
            "order": {
                "referenceOrderId": f"order_{request_id}",
                "orderDescription": "Cappuccino #grande",
                "orderAmount": amount,
                "merchant": {
                    "referenceMerchantId": "M00000000001",
                    "merchantMCC": "1405",
                    "merchantName": "cup Hu",
                    "merchantAddress": {"region": "JP", "city": "Tokyo"},
                    "store": {
                        "referenceStoreId": "S0000000001",
                        "storeName": "UGG-2",
                        "storeMCC": "1405",
                    },
                },
            },
            "paymentRequestId": request_id,
            "paymentAmount": amount,
            "paymentMethod": {"paymentMethodType": "CONNECT_WALLET", "paymentMethodId": code},
            "paymentFactor": {
                "isInStorePayment": "true",
                "inStorePaymentScenario": "PaymentCode",
            },
            "settlementStrategy": {"settlementCurrency": "USD"},
        }
        if self.notify_url is not None:
            message["paymentNotifyUrl"] = self.notify_url
        return message | changes

    def call(self, api: str, message: Any) -> Answer:
        """Sign, send, and trust the answer only if it is signed.

        Raises:
            NoAnswer: none came.
            NotTrusted: it is not the network's.
        """
        answer = self.send(api, self.style.dump(message).encode())
        self.trust(api, answer)
        return answer

    def trust(self, api: str, answer: Answer) -> None:
        headers = answer.headers
        client_id = headers.get("client-id", self.client_id)
        time = headers.get("response-time")
        uri = FOLDER + api + self.style.query
        check(headers.get("signature"), uri, client_id, time, answer.body, self.network_key)

    def send(self, api: str, body: bytes, **spoilt: Any) -> Answer:
        """Sign these very bytes and send them; `spoilt` changes what is sent afterwards."""
        uri = FOLDER + api + self.style.query
        time = spoilt.get("time", self.now())
        content = spoilt.get("content", signed_bytes)(uri, self.client_id, time, body)
        signature = spoilt.get("sign", rsa256)(self.key, content)
        headers = self.style.headers(
            client_id=spoilt.get("client_id", self.client_id),
            request_time=spoilt.get("sent_time", time),
            signature=self.style.signature_header(signature, spoilt.get("algorithm", "RSA256")),
        ) | spoilt.get("headers", {})
        headers = {name: value for name, value in headers.items() if value is not None}
        sent = spoilt.get("sent_body", body)
        return self.exchange(spoilt.get("method", "POST"), spoilt.get("uri", uri), headers, sent)

    def exchange(self, method: str, uri: str, headers: dict[str, str], body: bytes) -> Answer:
        """One connection for one call."""
        parts = urlsplit(self.url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=self.timeout_s)
        chunks: bytes | Iterator[bytes] = body
        if self.style.is_chunked:
            chunks = iter([body[:7], body[7:]])
        try:
            connection.request(method, uri, chunks, headers, encode_chunked=self.style.is_chunked)
            got = connection.getresponse()
            return Answer(got.status, {n.lower(): v for n, v in got.getheaders()}, got.read())
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(type(error).__name__) from None
        finally:
            connection.close()

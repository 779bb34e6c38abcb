"""A network's HTTP side: `POST /aps/api/v1/payments/...` (Alipay+), signed both ways.

Written against ASGI itself: the signature covers the path and the body as they travelled, and
nothing here needs more than those. A caller whose key or signature is refused gets an unsigned
answer unless `Choices.key_refusal` says otherwise; everything else is signed. Always HTTP 200: the
SDKs take any other status for a fault of the transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPMethod

from starlette.types import Receive, Scope, Send

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import (
    Acknowledgement,
    BadMessage,
    InquiryResponse,
    PayResponse,
    Result,
    Wire,
)
from tillgate.alipayplus.signing import BadSignature, Signer, Verifier
from tillgate.clock import Clock
from tillgate.sandbox.checks import empty_text
from tillgate.sandbox.choices import KeyRefusal
from tillgate.sandbox.exchanges import SIGNED, UNSIGNED, VALID, Direction, Exchanges, Party
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import RESULTS, param_illegal, wire_time

ALIPAY_PLUS_FOLDER = "/aps/api/v1/payments"
BODY_BYTES_MAX = 256 * 1024
"""A pay with a hundred goods has about 40 KiB."""
CONTENT_TYPE = "application/json; charset=UTF-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it travelled. `path` keeps its query."""

    method: str
    path: str
    headers: dict[bytes, bytes]
    body: bytes | None

    def header(self, name: bytes) -> str | None:
        """A header's text; names in lower case."""
        value = self.headers.get(name)
        return value.decode("latin-1") if value is not None else None


class Refused(Exception):
    """The message is refused before it reaches the network's rules.

    Attributes:
        is_signed: False where the caller's key or signature is what is wrong.
    """

    def __init__(self, result: Result, *, signature: str = VALID, is_signed: bool = True) -> None:
        super().__init__(result.result_code)
        self.result = result
        self.signature = signature
        self.is_signed = is_signed


@dataclass(frozen=True, slots=True)
class _Ids:
    payment_request_id: str | None = None
    payment_id: str | None = None
    refund_request_id: str | None = None


class SignedApi:
    """An ASGI application, to be mounted above its folder."""

    def __init__(
        self,
        network: Network,
        record: Exchanges,
        *,
        signing_key: Signer,
        acquirers: Mapping[str, Verifier],
        clock: Clock,
        after_each: Callable[[], None],
        latency_s: float = 0.0,
        folder: str = ALIPAY_PLUS_FOLDER,
        has_consult: bool = False,
    ) -> None:
        """`after_each` runs after every message that reached the network, before its answer; its
        APIs stand in `folder`.
        """
        self._network = network
        self._record = record
        self._signing_key = signing_key
        self._acquirers = acquirers
        self._clock = clock
        self._after_each = after_each
        self._latency_s = latency_s
        self._signs_key_refusals = network.choices.key_refusal is KeyRefusal.SIGNED
        self._apis: dict[str, Callable[[str, bytes, datetime], Wire]] = {
            f"{folder}/pay": self._pay,
            f"{folder}/inquiryPayment": self._inquire,
            f"{folder}/cancelPayment": self._cancel,
            f"{folder}/refund": self._refund,
        }
        if has_consult:
            self._apis[f"{folder}/codeConsult"] = self._consult

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a caller that left gets none."""
        call = await read_call(scope, receive)
        if call is None:
            return
        answer, is_signed = self._answer(call)
        body = messages.encode(answer)
        if self._latency_s and isinstance(answer, PayResponse):
            await asyncio.sleep(self._latency_s)
        headers = self._signed_headers(call, body) if is_signed else {}
        await _write(send, headers | {"Content-Type": CONTENT_TYPE}, body)

    def _answer(self, call: Call) -> tuple[Wire, bool]:
        client_id = call.header(b"client-id") or ""
        try:
            self._check(client_id, call)
            api = self._apis.get(_without_query(call.path))
            if api is None:
                raise Refused(RESULTS["NO_INTERFACE_DEF"])
            try:
                body = _checked_body(call)
                answer = api(client_id, body, self._clock.now())
            except BadMessage as error:
                raise Refused(param_illegal(str(error))) from None
        except Refused as refused:
            self._note(Direction.REQUEST, call, _Ids(), refused.signature)
            is_signed = refused.is_signed or self._signs_key_refusals
            signature = SIGNED if is_signed else UNSIGNED
            self._note(Direction.RESPONSE, call, _Ids(), signature, refused.result)
            return Acknowledgement(result=refused.result), is_signed
        self._after_each()
        return answer, True

    def _check(self, client_id: str, call: Call) -> None:
        """Who is it, and did it sign these bytes? Nothing is parsed before."""
        keys = self._acquirers.get(client_id)
        if keys is None:
            raise Refused(
                RESULTS["INVALID_CLIENT"],
                signature="invalid: the Client-Id is not known",
                is_signed=False,
            )
        unchecked = "not checked: the message is refused anyway"
        if call.method != HTTPMethod.POST:
            known = _without_query(call.path) in self._apis
            result = RESULTS["METHOD_NOT_SUPPORTED" if known else "NO_INTERFACE_DEF"]
            raise Refused(result, signature=unchecked)
        if call.body is None:
            fault = f"the body: at most {BODY_BYTES_MAX} bytes"
            raise Refused(param_illegal(fault), signature=unchecked)
        try:
            keys.verify(
                call.header(b"signature"),
                call.path,
                client_id,
                call.header(b"request-time"),
                call.body,
            )
        except BadSignature as error:
            raise Refused(
                RESULTS["INVALID_SIGNATURE"], signature=f"invalid: {error}", is_signed=False
            ) from None

    def _pay(self, client_id: str, body: bytes, now: datetime) -> PayResponse:
        request = messages.decode(messages.PAY_REQUESTS, body)
        ids = _Ids(request.payment_request_id)
        self._record_request("pay", ids, now)
        answer = self._network.pay(client_id, request, now)
        ids = _Ids(request.payment_request_id, answer.payment_id)
        self._record_response("pay", ids, answer.result)
        return answer

    def _inquire(self, client_id: str, body: bytes, now: datetime) -> InquiryResponse:
        request = messages.decode(messages.INQUIRY_REQUESTS, body)
        ids = _Ids(request.payment_request_id, request.payment_id)
        self._record_request("inquiryPayment", ids, now)
        answer = self._network.inquire(client_id, request, now)
        ids = _Ids(
            answer.payment_request_id or ids.payment_request_id,
            answer.payment_id or ids.payment_id,
        )
        self._record_response("inquiryPayment", ids, answer.result, answer.payment_result)
        return answer

    def _cancel(self, client_id: str, body: bytes, now: datetime) -> Wire:
        request = messages.decode(messages.CANCEL_REQUESTS, body)
        ids = _Ids(request.payment_request_id, request.payment_id)
        self._record_request("cancelPayment", ids, now)
        answer = self._network.cancel(client_id, request, now)
        self._record_response("cancelPayment", ids, answer.result)
        return answer

    def _refund(self, client_id: str, body: bytes, now: datetime) -> Wire:
        request = messages.decode(messages.REFUND_REQUESTS, body)
        ids = _Ids(request.payment_request_id, request.payment_id, request.refund_request_id)
        self._record_request("refund", ids, now)
        answer = self._network.refund(client_id, request, now)
        self._record_response("refund", ids, answer.result)
        return answer

    def _consult(self, client_id: str, body: bytes, now: datetime) -> Wire:
        request = messages.decode(messages.CONSULT_REQUESTS, body)
        self._record_request("codeConsult", _Ids(), now)
        answer = self._network.consult(request, now)
        self._record_response("codeConsult", _Ids(), answer.result)
        return answer

    def _record_request(self, api: str, ids: _Ids, now: datetime) -> None:
        self._add(now, api, Direction.REQUEST, ids, VALID)

    def _record_response(
        self, api: str, ids: _Ids, result: Result, payment_result: Result | None = None
    ) -> None:
        self._add(self._clock.now(), api, Direction.RESPONSE, ids, SIGNED, result, payment_result)

    def _note(
        self,
        kind: Direction,
        call: Call,
        ids: _Ids,
        signature: str,
        result: Result | None = None,
    ) -> None:
        path = _without_query(call.path)
        api = path.rpartition("/")[2] if path in self._apis else path[:100]
        self._add(self._clock.now(), api, kind, ids, signature, result)

    def _add(
        self,
        at: datetime,
        api: str,
        kind: Direction,
        ids: _Ids,
        signature: str,
        result: Result | None = None,
        payment_result: Result | None = None,
    ) -> None:
        asks = kind is Direction.REQUEST
        self._record.add(
            at,
            Party.ACQUIRER if asks else Party.NETWORK,
            Party.NETWORK if asks else Party.ACQUIRER,
            api,
            kind,
            payment_request_id=ids.payment_request_id,
            payment_id=ids.payment_id,
            result=result,
            payment_result=payment_result,
            refund_request_id=ids.refund_request_id,
            signature=signature,
        )

    def _signed_headers(self, call: Call, body: bytes) -> dict[str, str]:
        client_id = call.header(b"client-id") or ""
        time = wire_time(self._clock.now())
        return {
            "Client-Id": client_id,
            "Response-Time": time,
            "Signature": self._signing_key.sign(call.path, client_id, time, body),
        }


def _checked_body(call: Call) -> bytes:
    """The body, once its headers and its texts are legal."""
    content_type = call.header(b"content-type")
    if content_type and content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refused(RESULTS["MEDIA_TYPE_NOT_ACCEPTABLE"])
    try:
        messages.parse_time(call.header(b"request-time") or "")
    except BadMessage as error:
        raise Refused(param_illegal(f"Request-Time: {error}")) from None
    assert call.body is not None
    fault = empty_text(call.body)
    if fault:
        raise Refused(param_illegal(fault))
    return call.body


def _without_query(path: str) -> str:
    return path.partition("?")[0]


async def read_call(scope: Scope, receive: Receive) -> Call | None:
    """The whole request; its body is None when too long, the call None when the caller left."""
    body = bytearray()
    is_too_long = False
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        if not is_too_long:
            body += message.get("body", b"")
            is_too_long = len(body) > BODY_BYTES_MAX
        if is_too_long or not message.get("more_body", False):
            break
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    if query:
        path = path + b"?" + query
    return Call(
        method=scope["method"],
        path=path.decode("latin-1"),
        headers=dict(scope["headers"]),
        body=None if is_too_long else bytes(body),
    )


async def _write(send: Send, headers: dict[str, str], body: bytes) -> None:
    pairs = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]
    pairs.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": pairs})
    await send({"type": "http.response.body", "body": body})

"""A network's HTTP side: `POST /aps/api/v1/payments/...` (Alipay+), signed both ways.

Written against ASGI itself: nothing here needs more than the path and the body as they travelled. A
caller whose key or signature is refused gets an unsigned answer unless `Choices.key_refusal` says
otherwise; everything else is signed. HTTP 200 unless a tester wants another: the SDKs take any
other status for a fault of the transport.

What a tester wants of a message (`Do`) is looked up once its signature was checked. Without one, a
message takes the short way: nothing here waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPMethod
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import (
    Acknowledgement,
    BadMessage,
    CancelResponse,
    CodeConsultResponse,
    InquiryResponse,
    PayResponse,
    RefundResponse,
    Result,
    Wire,
)
from tillgate.alipayplus.signing import BadSignature, Signer, Verifier
from tillgate.clock import Clock
from tillgate.sandbox import fields, wire_faults
from tillgate.sandbox.calls import (
    BODY_BYTES_MAX,
    Call,
    Refused,
    checked_body,
    read_call,
    without_query,
)
from tillgate.sandbox.choices import KeyRefusal
from tillgate.sandbox.exchanges import SIGNED, UNSIGNED, VALID, Direction, Exchanges, Party, Raw
from tillgate.sandbox.fates import Fates
from tillgate.sandbox.fields import Form
from tillgate.sandbox.network import Network
from tillgate.sandbox.payment import RESULTS, param_illegal, result_of, wire_time
from tillgate.sandbox.plays import NOTHING, Api, Do
from tillgate.sandbox.scripts import Scripts
from tillgate.sandbox.spoil import Spoiler, words

ALIPAY_PLUS_FOLDER = "/aps/api/v1/payments"
CONTENT_TYPE = "application/json; charset=UTF-8"
KEY_REFUSALS = frozenset({"INVALID_SIGNATURE", "INVALID_CLIENT", "KEY_NOT_FOUND"})
"""Refusals of the caller's key, which the network could not sign for it."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One API: how it is read, done, and refused."""

    name: str
    form: Form
    act: Callable[[Call, Any, datetime, Do], Any]
    response: type[Any]
    api: Api | None = None


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
        fates: Fates | None = None,
    ) -> None:
        """`after_each` runs after every message that reached the network, before its answer; its
        APIs stand in `folder`.
        """
        self._network = network
        self._record = record
        self._signing_key = signing_key
        self._spoiler = Spoiler(signing_key)
        self._acquirers = acquirers
        self._clock = clock
        self._after_each = after_each
        self._latency_s = latency_s
        self._signs_key_refusals = network.choices.key_refusal is KeyRefusal.SIGNED
        self._fates = fates or Fates(network, Scripts(has_magic=False))
        kinds = [
            _Kind("pay", fields.PAY, self._pay, PayResponse, Api.PAY),
            _Kind(
                "inquiryPayment",
                fields.INQUIRY,
                lambda call, request, now, _: network.inquire(call.client_id, request, now),
                InquiryResponse,
                Api.INQUIRY,
            ),
            _Kind(
                "cancelPayment",
                fields.CANCEL,
                lambda call, request, now, _: network.cancel(call.client_id, request, now),
                CancelResponse,
                Api.CANCEL,
            ),
            _Kind(
                "refund",
                fields.REFUND,
                lambda call, request, now, _: network.refund(call.client_id, request, now),
                RefundResponse,
                Api.REFUND,
            ),
        ]
        if has_consult:
            kinds.append(
                _Kind(
                    "codeConsult",
                    fields.CONSULT,
                    lambda _call, request, now, _: network.consult(request, now),
                    CodeConsultResponse,
                )
            )
        self._kinds = {f"{folder}/{kind.name}": kind for kind in kinds}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a caller that left gets none."""
        call = await read_call(scope, receive)
        if call is None:
            return
        wire = wire_faults.Wire(scope, receive, send)
        try:
            kind, request = self._accepted(call)
        except Refused as refused:
            await self._refuse(wire, call, refused)
            return
        now = self._clock.now()
        do = self._fates.of(kind.api, call.client_id, request, now) if kind.api else NOTHING
        if do is not NOTHING:
            await self._scripted(wire, call, kind, request, do)
            return
        answer = self._act(call, kind, request, NOTHING)
        if self._latency_s and kind.api is Api.PAY:
            await asyncio.sleep(self._latency_s)
        await self._answer(wire, call, kind, request, answer)
        if kind.api:
            self._fates.overtake(call.client_id, request)

    # What comes in
    # ------------------------------------------------------------------------------------------

    def _accepted(self, call: Call) -> tuple[_Kind, Any]:
        self._check(call)
        kind = self._kinds.get(without_query(call.path))
        if kind is None:
            raise Refused(RESULTS["NO_INTERFACE_DEF"])
        try:
            return kind, kind.form.read(checked_body(call))
        except BadMessage as error:
            raise Refused(param_illegal(str(error))) from None

    def _check(self, call: Call) -> None:
        """Who is it, and did it sign these bytes? Nothing is parsed before."""
        keys = self._acquirers.get(call.client_id)
        if keys is None:
            raise Refused(
                RESULTS["INVALID_CLIENT"],
                signature="invalid: the Client-Id is not known",
                is_signed=False,
            )
        unchecked = "not checked: the message is refused anyway"
        if call.method != HTTPMethod.POST:
            known = without_query(call.path) in self._kinds
            result = RESULTS["METHOD_NOT_SUPPORTED" if known else "NO_INTERFACE_DEF"]
            raise Refused(result, signature=unchecked)
        if call.body is None:
            fault = f"the body: at most {BODY_BYTES_MAX} bytes"
            raise Refused(param_illegal(fault), signature=unchecked)
        try:
            keys.verify(
                call.header(b"signature"),
                call.path,
                call.client_id,
                call.header(b"request-time"),
                call.body,
            )
        except BadSignature as error:
            raise Refused(
                RESULTS["INVALID_SIGNATURE"], signature=f"invalid: {error}", is_signed=False
            ) from None

    async def _refuse(self, wire: wire_faults.Wire, call: Call, refused: Refused) -> None:
        path = without_query(call.path)
        kind = self._kinds.get(path)
        api = kind.name if kind else path[:100]
        is_signed = refused.is_signed or self._signs_key_refusals
        self._note(call, api, None, refused.signature)
        signature = SIGNED if is_signed else UNSIGNED
        answer = Acknowledgement(result=refused.result)
        body = messages.encode(answer)
        headers = self._headers(call, body, NOTHING) if is_signed else {}
        self._note_answer(call, api, None, answer, signature)
        await wire.answer(headers | {"Content-Type": CONTENT_TYPE}, body)

    # What is done
    # ------------------------------------------------------------------------------------------

    def _pay(self, call: Call, request: Any, now: datetime, do: Do) -> PayResponse:
        asked_at = messages.parse_time(call.header(b"request-time") or "")
        return self._network.pay(call.client_id, request, now, do, asked_at)

    def _act(self, call: Call, kind: _Kind, request: Any, do: Do) -> Any:
        self._note(call, kind.name, request, VALID)
        answer = kind.act(call, request, self._clock.now(), do)
        self._after_each()
        return answer

    async def _answer(
        self, wire: wire_faults.Wire, call: Call, kind: _Kind, request: Any, answer: Wire
    ) -> None:
        body = messages.encode(answer)
        headers = self._headers(call, body, NOTHING)
        self._note_answer(call, kind.name, request, answer, SIGNED)
        await wire.answer(headers | {"Content-Type": CONTENT_TYPE}, body)

    # What a tester wants
    # ------------------------------------------------------------------------------------------

    async def _scripted(
        self, wire: wire_faults.Wire, call: Call, kind: _Kind, request: Any, do: Do
    ) -> None:
        assert kind.api is not None
        async with self._fates.turn(call.client_id, request, must_wait=do.reorder):
            if do.request_delay_s:
                await asyncio.sleep(do.request_delay_s)
            answer = self._done(call, kind, request, do)
            if kind.api is Api.PAY:
                id_ = request.payment_request_id
                await self._fates.told_before(call.client_id, id_, self._clock.now())
        if do.delay_s:
            await asyncio.sleep(do.delay_s)
        body = self._spoiler.body(answer, do)
        headers: dict[str, str] = {}
        is_unsigned = answer.result.result_code in KEY_REFUSALS and not self._signs_key_refusals
        if not is_unsigned:
            headers = self._headers(call, body, do)
        self._note_answer(call, kind.name, request, answer, words(do, is_signed=not is_unsigned))
        await wire.spoilt(do, headers | {"Content-Type": CONTENT_TYPE}, body)

    def _done(self, call: Call, kind: _Kind, request: Any, do: Do) -> Any:
        """The effect, twice where it arrives twice, and the answer that is given for it."""
        assert kind.api is not None
        if do.is_done(kind.api):
            answer = self._act(call, kind, request, do)
            if do.duplicate:
                self._act(call, kind, request, do)
        else:
            self._note(call, kind.name, request, VALID)
            answer = kind.response(result=result_of(do.result or "UNKNOWN_EXCEPTION"))
        if do.result is not None and not do.is_judgement(kind.api):
            answer = kind.response(result=result_of(do.result))
        if do.payment_result is not None and kind.api is Api.INQUIRY:
            told = result_of(do.payment_result)
            answer = msgspec.structs.replace(answer, payment_result=told)
        return answer

    # What goes out, and what is kept of it
    # ------------------------------------------------------------------------------------------

    def _headers(self, call: Call, body: bytes, do: Do) -> dict[str, str]:
        at = self._clock.now()
        if do.clock_offset_s:
            at += timedelta(seconds=do.clock_offset_s)
        time = wire_time(at)
        headers = {"Client-Id": call.client_id, "Response-Time": time}
        signature = self._spoiler.sign(do, call.path, call.client_id, time, body)
        return headers | {"Signature": signature} if signature else headers

    def _note(self, call: Call, api: str, request: Any, signature: str) -> None:
        self._record.add(
            self._clock.now(),
            Party.ACQUIRER,
            Party.NETWORK,
            api,
            Direction.REQUEST,
            client_id=call.client_id if call.client_id in self._acquirers else "",
            payment_request_id=getattr(request, "payment_request_id", None),
            payment_id=getattr(request, "payment_id", None),
            refund_request_id=getattr(request, "refund_request_id", None),
            signature=signature,
            amount=_amount_in(request),
            raw=Raw(
                call.path,
                call.client_id,
                call.header(b"request-time"),
                call.header(b"signature"),
                call.body,
            ),
        )

    def _note_answer(self, call: Call, api: str, request: Any, answer: Any, signature: str) -> None:
        result: Result = answer.result
        self._record.add(
            self._clock.now(),
            Party.NETWORK,
            Party.ACQUIRER,
            api,
            Direction.RESPONSE,
            client_id=call.client_id if call.client_id in self._acquirers else "",
            payment_request_id=getattr(answer, "payment_request_id", None)
            or getattr(request, "payment_request_id", None),
            payment_id=getattr(answer, "payment_id", None) or getattr(request, "payment_id", None),
            result=result,
            payment_result=getattr(answer, "payment_result", None),
            refund_request_id=getattr(request, "refund_request_id", None),
            signature=signature,
        )


def _amount_in(request: Any) -> str | None:
    amount = getattr(request, "payment_amount", None)
    return f"{amount.currency} {amount.value}" if amount is not None else None

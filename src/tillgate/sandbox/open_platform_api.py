"""AlipayCN's HTTP side: `/gateway.do`, RSA2 both ways.

Takes a POST or a GET with its parameters in the form or in the query, as clients send them; where
both have one, the query's counts. A form is read as GBK unless `charset` stands in the query (help
centre 201602456561), so that a signature over other UTF-8 than ASCII does not fit then. Who it
is and whether it signed is checked before the business content is parsed; a caller whose app id or
signature is refused gets an answer without a signature, as the platform gives it. Always HTTP 200
and `text/html`, as there.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from tillgate.alipaycn import messages, signing
from tillgate.alipaycn.messages import Answer, QueryAnswer
from tillgate.alipaycn.signing import BadForm
from tillgate.alipayplus.messages import BadMessage, InquiryRequest, Result
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.results import Outcome
from tillgate.sandbox import wire_faults
from tillgate.sandbox.calls import read_call
from tillgate.sandbox.exchanges import SIGNED, UNSIGNED, VALID, Direction, Exchanges, Party
from tillgate.sandbox.fates import Fates
from tillgate.sandbox.open_platform import (
    LooseTradePay,
    LooseTradeRefund,
    OpenPlatform,
    gateway_refusal,
)
from tillgate.sandbox.open_platform_words import (
    METHODS,
    STATUSES,
    PlatformSpoiler,
    said,
    with_amount,
)
from tillgate.sandbox.payment import result_of
from tillgate.sandbox.plays import NOTHING, Do
from tillgate.sandbox.scripts import Scripts
from tillgate.sandbox.spoil import words

PATH = "/gateway.do"
HEADERS = {"Content-Type": "text/html;charset=utf-8"}

_METHOD = re.compile(r"[A-Za-z0-9_.]{1,100}\Z")
"""What may be the name of a method, known or not: the answer's member is called after it."""
_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    messages.PAY: msgspec.json.Decoder(LooseTradePay),
    messages.QUERY: messages.TRADES_NAMED,
    messages.CANCEL: messages.TRADES_NAMED,
    messages.REFUND: msgspec.json.Decoder(LooseTradeRefund),
    messages.REFUND_QUERY: messages.REFUNDS_NAMED,
}


@dataclass(frozen=True, slots=True)
class Heard:
    """A message that was accepted."""

    method: str
    app_id: str
    asked: Any
    notify_url: str | None

    @property
    def named(self) -> InquiryRequest:
        """The trade that it names."""
        trade_no = getattr(self.asked, "trade_no", None)
        return InquiryRequest(payment_request_id=self.asked.out_trade_no, payment_id=trade_no)


class Refused(Exception):
    """The gateway refuses the message before any method sees it.

    Attributes:
        is_signed: False where the caller's app id or signature is what is wrong.
    """

    def __init__(self, code: str, reason: str, words: str, *, is_signed: bool = True) -> None:
        super().__init__(reason)
        self.answer = gateway_refusal(code, reason, words)
        self.is_signed = is_signed


class OpenPlatformApi:
    """An ASGI application, to be routed at `PATH`."""

    def __init__(
        self,
        platform: OpenPlatform,
        record: Exchanges,
        *,
        signing_key: SigningKey,
        apps: Mapping[str, KeyRing],
        clock: Clock,
        after_each: Callable[[], None],
        latency_s: float = 0.0,
        fates: Fates | None = None,
    ) -> None:
        """`apps` are the callers by app id; `after_each` runs after every message that reached the
        platform, before its answer; `latency_s` is added to each pay's.
        """
        self._platform = platform
        self._record = record
        self._signing_key = signing_key
        self._apps = apps
        self._clock = clock
        self._after_each = after_each
        self._latency_s = latency_s
        self._spoiler = PlatformSpoiler(signing_key)
        self._fates = fates or Fates(platform.network, Scripts(has_magic=False))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a caller that left gets none."""
        call = await read_call(scope, receive)
        if call is None:
            return
        wire = wire_faults.Wire(scope, receive, send)
        method = ""
        try:
            fields = _fields(scope["query_string"], call.body)
            method = fields.get(b"method", b"").decode("utf-8", "replace")
            heard = self._accepted(method, fields)
        except Refused as refused:
            await self._refuse(wire, method, refused)
            return
        do = self._wanted(heard)
        if do is not NOTHING:
            await self._scripted(wire, heard, do)
            return
        answer = self._act(heard, NOTHING)
        if self._latency_s and method == messages.PAY:
            await asyncio.sleep(self._latency_s)
        await wire.answer(HEADERS, self._written(method, answer, NOTHING))
        self._fates.overtake(heard.app_id, heard.named)

    # What comes in
    # ------------------------------------------------------------------------------------------

    def _accepted(self, method: str, fields: Mapping[bytes, bytes]) -> Heard:
        app_id = self._checked(fields)
        decoder = _DECODERS.get(method)
        if decoder is None:
            raise Refused("40002", "isv.invalid-method", "there is no such method")
        try:
            messages.parse_time(_text(fields, b"timestamp"))
        except BadMessage as error:
            raise Refused("40002", "isv.invalid-timestamp", f"timestamp: {error}") from None
        try:
            asked = messages.read(decoder, fields.get(b"biz_content", b""))
            if asked.out_trade_no is None and asked.trade_no is None:
                raise BadMessage("out_trade_no: needed where there is no trade_no")
        except BadMessage as error:
            raise Refused("40002", "isv.invalid-parameter", f"biz_content: {error}") from None
        return Heard(method, app_id, asked, _text(fields, b"notify_url") or None)

    def _checked(self, fields: Mapping[bytes, bytes]) -> str:
        """Who is it, and did it sign these fields? Nothing of theirs is parsed before."""
        app_id = _text(fields, b"app_id")
        keys = self._apps.get(app_id)
        if keys is None:
            raise Refused("40002", "isv.invalid-app-id", "no such app", is_signed=False)
        if fields.get(b"sign_type") != signing.ALGORITHM.encode():
            reason = "isv.invalid-signature-type"
            raise Refused("40002", reason, f"must be {signing.ALGORITHM}", is_signed=False)
        if not fields.get(b"sign"):
            raise Refused("40001", "isv.missing-signature", "there is no sign", is_signed=False)
        try:
            signing.verify(keys, signing.request_content(fields), fields[b"sign"])
        except BadSignature as error:
            reason, words = "isv.invalid-signature", f"{error}; is charset in the address?"
            raise Refused("40002", reason, words, is_signed=False) from None
        if _text(fields, b"charset").lower() != "utf-8":
            raise Refused("40002", "isv.invalid-charset", "charset: must be utf-8")
        return app_id

    async def _refuse(self, wire: wire_faults.Wire, method: str, refused: Refused) -> None:
        answer, is_signed = refused.answer, refused.is_signed
        name = method[:100] or PATH
        self._add(name, Direction.REQUEST, None, _unsigned(is_signed))
        signed = SIGNED if is_signed else UNSIGNED
        self._add(name, Direction.RESPONSE, None, signed, answer)
        content = messages.encode(answer)
        signature = signing.sign(self._signing_key, content) if is_signed else None
        member = method if _METHOD.match(method) else "error"
        await wire.answer(HEADERS, messages.enveloped(member, content, signature))

    # What is done
    # ------------------------------------------------------------------------------------------

    def _act(self, heard: Heard, do: Do) -> Answer:
        asked, now = heard.asked, self._clock.now()
        self._add(heard.method, Direction.REQUEST, asked.out_trade_no, VALID, app_id=heard.app_id)
        answer: Answer
        match asked:
            case LooseTradePay():
                answer = self._platform.pay(heard.app_id, asked, heard.notify_url, now, do)
            case LooseTradeRefund():
                answer = self._platform.refund(heard.app_id, asked, now)
            case messages.RefundNamed():
                answer = self._platform.refund_query(heard.app_id, asked, now)
            case _ if heard.method == messages.QUERY:
                answer = self._platform.query(heard.app_id, asked, now)
            case _:
                answer = self._platform.cancel(heard.app_id, asked, now)
        self._told(heard, answer, words(do, is_signed=True))
        self._after_each()
        return answer

    def _told(self, heard: Heard, answer: Answer, signature: str) -> None:
        name = answer.out_trade_no or heard.asked.out_trade_no
        app_id = heard.app_id
        self._add(heard.method, Direction.RESPONSE, name, signature, answer, app_id=app_id)

    def _written(self, method: str, answer: Answer, do: Do) -> bytes:
        content = messages.encode(answer)
        return messages.enveloped(method, content, self._spoiler.sign(do, content))

    # What a tester wants
    # ------------------------------------------------------------------------------------------

    def _wanted(self, heard: Heard) -> Do:
        asked = heard.asked
        if not isinstance(asked, LooseTradePay):
            api = METHODS[heard.method].api
            return self._fates.of(api, heard.app_id, heard.named, self._clock.now())
        try:
            amount = messages.read_amount(str(asked.total_amount))
        except BadMessage:
            return NOTHING  # it is refused anyway
        return self._fates.of_pay(
            heard.app_id, asked.out_trade_no, asked.auth_code, amount.currency, amount.value
        )

    async def _scripted(self, wire: wire_faults.Wire, heard: Heard, do: Do) -> None:
        async with self._fates.turn(heard.app_id, heard.named, must_wait=do.reorder):
            if do.request_delay_s:
                await asyncio.sleep(do.request_delay_s)
            answer = with_amount(self._done(heard, do), do.amount)
            if isinstance(heard.asked, LooseTradePay):
                id_ = heard.asked.out_trade_no
                await self._fates.told_before(heard.app_id, id_, self._clock.now())
        if do.delay_s:
            await asyncio.sleep(do.delay_s)
        body = wire_faults.GARBAGE if do.garbage else self._written(heard.method, answer, do)
        await wire.spoilt(do, HEADERS, body)

    def _done(self, heard: Heard, do: Do) -> Answer:
        """The effect, twice where it arrives twice, and the answer that is given for it."""
        api, name = METHODS[heard.method].api, heard.asked.out_trade_no
        answer = said(heard.method, do.result or "UNKNOWN_EXCEPTION", name)
        if do.is_done(api):
            done = self._act(heard, do)
            if do.duplicate:
                self._act(heard, do)
            if do.result is None or do.is_judgement(api):
                answer = done
        else:
            self._add(heard.method, Direction.REQUEST, name, VALID, app_id=heard.app_id)
            self._told(heard, answer, words(do, is_signed=True))
        if do.payment_result is not None and isinstance(answer, QueryAnswer):
            status = STATUSES[result_of(do.payment_result).result_status]
            answer = msgspec.structs.replace(answer, trade_status=status)
        return answer

    def _add(
        self,
        method: str,
        kind: Direction,
        out_trade_no: str | None,
        signature: str,
        answer: Answer | None = None,
        app_id: str = "",
    ) -> None:
        asks = kind is Direction.REQUEST
        status = answer.trade_status if isinstance(answer, QueryAnswer) else None
        self._record.add(
            self._clock.now(),
            Party.ACQUIRER if asks else Party.NETWORK,
            Party.NETWORK if asks else Party.ACQUIRER,
            method,
            kind,
            client_id=app_id,
            payment_request_id=out_trade_no,
            payment_id=answer.trade_no if answer is not None else None,
            result=_result(answer) if answer is not None else None,
            payment_result=_STATUS_RESULTS.get(status or ""),
            signature=signature,
        )


_STATUS_RESULTS = {
    status: Result(result_code=status, result_status=outcome)
    for status, outcome in {
        "WAIT_BUYER_PAY": Outcome.UNKNOWN,
        "TRADE_SUCCESS": Outcome.SUCCESS,
        "TRADE_FINISHED": Outcome.SUCCESS,
        "TRADE_CLOSED": Outcome.FAILURE,
    }.items()
}


def _result(answer: Answer) -> Result:
    """The answer in the words in which messages are shown."""
    outcome = {messages.SUCCESS: Outcome.SUCCESS, messages.WAITING: Outcome.UNKNOWN}
    return Result(
        result_code=answer.sub_code or answer.code,
        result_status=outcome.get(answer.code, Outcome.FAILURE),
    )


def _unsigned(is_signed: bool) -> str:
    return VALID if is_signed else "invalid: the app id or the sign"


def _fields(query: bytes, body: bytes | None) -> dict[bytes, bytes]:
    if body is None:
        raise Refused("40002", "isv.invalid-parameter", "the body is too long", is_signed=False)
    try:
        in_address, in_body = signing.read_form(query), signing.read_form(body)
    except BadForm as error:
        raise Refused("40002", "isv.invalid-parameter", str(error), is_signed=False) from None
    if b"charset" not in in_address:
        in_body = {name: _taken_for_gbk(value) for name, value in in_body.items()}
    return in_body | in_address


def _taken_for_gbk(value: bytes) -> bytes:
    """What is left of UTF-8 that was read as GBK; ASCII is not harmed."""
    return value.decode("gbk", "replace").encode()


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")

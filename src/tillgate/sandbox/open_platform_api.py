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
from datetime import datetime

import msgspec
from starlette.types import Receive, Scope, Send

from tillgate.alipaycn import messages, signing
from tillgate.alipaycn.messages import Answer, QueryAnswer, TradeNamed
from tillgate.alipaycn.signing import BadForm
from tillgate.alipayplus.messages import BadMessage, Result
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core.results import Outcome
from tillgate.sandbox.calls import read_call
from tillgate.sandbox.exchanges import SIGNED, UNSIGNED, VALID, Direction, Exchanges, Party
from tillgate.sandbox.open_platform import (
    LooseTradePay,
    LooseTradeRefund,
    OpenPlatform,
    gateway_refusal,
)

PATH = "/gateway.do"
CONTENT_TYPE = "text/html;charset=utf-8"

_METHOD = re.compile(r"[A-Za-z0-9_.]{1,100}\Z")
"""What may be the name of a method, known or not: the answer's member is called after it."""
_PAYS = msgspec.json.Decoder(LooseTradePay)
_REFUNDS = msgspec.json.Decoder(LooseTradeRefund)


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
        self._methods: dict[str, Callable[[str, bytes, str | None, datetime], Answer]] = {
            messages.PAY: self._pay,
            messages.QUERY: self._query,
            messages.CANCEL: self._cancel,
            messages.REFUND: self._refund,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; a caller that left gets none."""
        call = await read_call(scope, receive)
        if call is None:
            return
        fields: dict[bytes, bytes] = {}
        method = ""
        try:
            fields = _fields(scope["query_string"], call.body)
            method = fields.get(b"method", b"").decode("utf-8", "replace")
            answer, is_signed = self._answer(method, fields), True
        except Refused as refused:
            answer, is_signed = refused.answer, refused.is_signed
            self._note(Direction.REQUEST, method, None, _unsigned(is_signed))
            self._note(Direction.RESPONSE, method, answer, SIGNED if is_signed else UNSIGNED)
        content = messages.encode(answer)
        signature = signing.sign(self._signing_key, content) if is_signed else None
        if self._latency_s and method == messages.PAY:
            await asyncio.sleep(self._latency_s)
        member = method if _METHOD.match(method) else "error"
        await _write(send, messages.enveloped(member, content, signature))

    def _answer(self, method: str, fields: Mapping[bytes, bytes]) -> Answer:
        app_id = self._checked(fields)
        perform = self._methods.get(method)
        if perform is None:
            raise Refused("40002", "isv.invalid-method", "there is no such method")
        try:
            messages.parse_time(_text(fields, b"timestamp"))
        except BadMessage as error:
            raise Refused("40002", "isv.invalid-timestamp", f"timestamp: {error}") from None
        try:
            answer = perform(
                app_id,
                fields.get(b"biz_content", b""),
                _text(fields, b"notify_url") or None,
                self._clock.now(),
            )
        except BadMessage as error:
            raise Refused("40002", "isv.invalid-parameter", f"biz_content: {error}") from None
        self._after_each()
        return answer

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

    def _pay(self, app_id: str, content: bytes, notify_url: str | None, now: datetime) -> Answer:
        asked = messages.read(_PAYS, content)
        self._heard(app_id, messages.PAY, asked.out_trade_no, now)
        answer = self._platform.pay(app_id, asked, notify_url, now)
        return self._told(app_id, messages.PAY, asked.out_trade_no, answer)

    def _query(self, app_id: str, content: bytes, notify_url: str | None, now: datetime) -> Answer:
        asked = _named(content)
        self._heard(app_id, messages.QUERY, asked.out_trade_no, now)
        return self._told(
            app_id, messages.QUERY, asked.out_trade_no, self._platform.query(app_id, asked, now)
        )

    def _cancel(self, app_id: str, content: bytes, notify_url: str | None, now: datetime) -> Answer:
        asked = _named(content)
        self._heard(app_id, messages.CANCEL, asked.out_trade_no, now)
        return self._told(
            app_id, messages.CANCEL, asked.out_trade_no, self._platform.cancel(app_id, asked, now)
        )

    def _refund(self, app_id: str, content: bytes, notify_url: str | None, now: datetime) -> Answer:
        asked = messages.read(_REFUNDS, content)
        if asked.out_trade_no is None and asked.trade_no is None:
            raise BadMessage("out_trade_no: needed where there is no trade_no")
        self._heard(app_id, messages.REFUND, asked.out_trade_no, now)
        return self._told(
            app_id, messages.REFUND, asked.out_trade_no, self._platform.refund(app_id, asked, now)
        )

    def _heard(self, app_id: str, method: str, out_trade_no: str | None, now: datetime) -> None:
        self._add(now, method, Direction.REQUEST, out_trade_no, VALID, app_id=app_id)

    def _told(self, app_id: str, method: str, out_trade_no: str | None, answer: Answer) -> Answer:
        now = self._clock.now()
        name = answer.out_trade_no or out_trade_no
        self._add(now, method, Direction.RESPONSE, name, SIGNED, answer, app_id=app_id)
        return answer

    def _note(self, kind: Direction, method: str, answer: Answer | None, signature: str) -> None:
        self._add(self._clock.now(), method[:100] or PATH, kind, None, signature, answer)

    def _add(
        self,
        at: datetime,
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
            at,
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


def _named(content: bytes) -> TradeNamed:
    asked = messages.read(messages.TRADES_NAMED, content)
    if asked.out_trade_no is None and asked.trade_no is None:
        raise BadMessage("out_trade_no: needed where there is no trade_no")
    return asked


def _text(fields: Mapping[bytes, bytes], name: bytes) -> str:
    return fields.get(name, b"").decode("utf-8", "replace")


async def _write(send: Send, body: bytes) -> None:
    headers = [
        (b"content-type", CONTENT_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

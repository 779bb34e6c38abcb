"""Calls to Alipay's open platform: signed forms, a time-out per method, and an exact word for what
became of a call.

The same five fates as towards Alipay+ (`alipayplus/client.py`): only `Answered` is a word of the
network. The gateway refuses a message that it cannot attribute without signing its refusal, so
`BadlySigned` carries what it claims.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import Generic, TypeVar
from urllib.parse import urlencode

import msgspec

from tillgate.alipaycn import messages, signing
from tillgate.alipaycn.messages import (
    Answer,
    CancelAnswer,
    PayAnswer,
    QueryAnswer,
    RefundAnswer,
    RefundQueryAnswer,
)
from tillgate.alipayplus.client import BadlySigned, NeverSent, NoAnswer, Unreadable, posted
from tillgate.alipayplus.messages import BadMessage
from tillgate.alipayplus.signing import BadSignature, KeyRing, SigningKey
from tillgate.clock import Clock
from tillgate.core import results
from tillgate.transport import Reply, Transport

log = logging.getLogger(__name__)

T = TypeVar("T", PayAnswer, QueryAnswer, CancelAnswer, RefundAnswer, RefundQueryAnswer)

CONTENT_TYPE = "application/x-www-form-urlencoded;charset=utf-8"
IN_ADDRESS = MappingProxyType({"charset": "utf-8"})
"""How the body is to be read has to stand before it: without `charset` in the address the gateway
takes a form for GBK, so that the signature of anything beyond ASCII does not fit. Sources: help
centre 201602456561; the gateway's own words for isv.invalid-signature; the official SDKs, which put
all common parameters there. Only this one goes there: addresses end up in logs, where no signature
belongs."""


@dataclass(frozen=True, slots=True)
class Method(Generic[T]):
    """One method: its name, how its answer is read and how long it may take.

    The platform names no time-outs; these are Alipay+'s for the same conversations. Its own SDKs
    wait 15 s, for which a till's minute has no room.
    """

    name: str
    answers: msgspec.json.Decoder[T]
    timeout_s: float


PAY = Method(messages.PAY, messages.PAY_ANSWERS, 8.0)
QUERY = Method(messages.QUERY, messages.QUERY_ANSWERS, 5.0)
CANCEL = Method(messages.CANCEL, messages.CANCEL_ANSWERS, 8.0)
REFUND = Method(messages.REFUND, messages.REFUND_ANSWERS, 8.0)
REFUND_QUERY = Method(messages.REFUND_QUERY, messages.REFUND_QUERY_ANSWERS, 5.0)


@dataclass(frozen=True, slots=True)
class Answered(Generic[T]):
    """A readable answer whose signature holds."""

    message: T


CallResult = Answered[T] | NoAnswer | NeverSent | Unreadable | BadlySigned


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are to the platform and whom we believe."""

    app_id: str
    signing_key: SigningKey
    network_keys: KeyRing


class AlipayCnClient:
    """Signs, sends, checks and reads. Keeps no state of any payment.

    Its transport's address is the gateway's whole one, which ends in `/gateway.do`.
    """

    def __init__(
        self,
        transport: Transport,
        credentials: Credentials,
        clock: Clock,
        notify_url: str | None = None,
    ) -> None:
        self.credentials = credentials
        self._transport = transport
        self._clock = clock
        self._notify_url = notify_url

    async def start(self) -> None:
        """Open the connections."""
        await self._transport.start()

    async def close(self) -> None:
        """Close them."""
        await self._transport.close()

    async def call(self, method: Method[T], biz_content: bytes) -> CallResult[T]:
        """Send one request and say what became of it. Never raises, but for its own
        cancellation.
        """
        body = signing.signed_form(
            self.credentials.signing_key, self.parameters(method.name, biz_content), IN_ADDRESS
        )
        headers = {"Content-Type": CONTENT_TYPE, "Accept-Encoding": "identity"}
        reply = await posted(
            self._transport, f"?{urlencode(IN_ADDRESS)}", body, headers, method.timeout_s
        )
        if not isinstance(reply, Reply):
            return reply
        return self._read(method, reply.body)

    def parameters(self, method: str, biz_content: bytes) -> dict[str, str]:
        """What is signed and sent in the body now: all but `biz_content` may differ from send to
        send.
        """
        parameters = {
            "app_id": self.credentials.app_id,
            "method": method,
            "format": "JSON",
            "sign_type": signing.ALGORITHM,
            "timestamp": messages.format_time(self._clock.now()),
            "version": "1.0",
            "biz_content": biz_content.decode(),
        }
        if self._notify_url and method == messages.PAY:
            parameters["notify_url"] = self._notify_url
        return parameters

    def _read(self, method: Method[T], raw: bytes) -> CallResult[T]:
        content = b""
        try:
            content, signature = messages.split(raw, method.name)
            signed = signing.verified_content(self.credentials.network_keys, content, signature)
        except BadMessage as error:
            # Garbage has no signature, so nobody vouches for it.
            log.warning("alert: the answer to %s is none: %s", method.name, error)
            return BadlySigned(str(error))
        except BadSignature as error:
            claimed = _claimed_code(content)
            log.warning(
                "alert: the answer to %s (%s) is not signed: %s", method.name, claimed, error
            )
            return BadlySigned(str(error), claimed)
        try:
            return Answered(messages.read(method.answers, signed))
        except BadMessage as error:
            log.warning("alert: the answer to %s cannot be used: %s", method.name, error)
            return Unreadable(str(error))


def code_of(answer: Answer) -> str:
    """SUCCESS, or the reason in its own words: `ACQ....`, `isv....`, or its `code` without one."""
    if answer.code == messages.SUCCESS:
        return results.SUCCESS
    return answer.sub_code or answer.code


def _claimed_code(content: bytes) -> str | None:
    """What an unsigned answer says, where it is a refusal of the gateway."""
    try:
        answer = messages.read(messages.ANSWERS, content)
    except BadMessage:
        return None
    return f"{answer.code} {answer.sub_code or ''}".strip()[:64]

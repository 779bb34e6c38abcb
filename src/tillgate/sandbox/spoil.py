"""Messages that are wrong on purpose: their bodies, their signatures, and the words for it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import msgspec

from tillgate.alipayplus import messages
from tillgate.alipayplus.messages import Amount
from tillgate.alipayplus.signing import Signer, SigningKey, new_private_key
from tillgate.sandbox.exchanges import SIGNED, UNSIGNED
from tillgate.sandbox.plays import Do, Lost, Spoilt
from tillgate.sandbox.wire_faults import GARBAGE


class Spoiler:
    """Writes and signs one network's messages as a `Do` wants them."""

    def __init__(self, signing_key: Signer) -> None:
        self._key = signing_key

    @cached_property
    def _other_key(self) -> SigningKey:
        return SigningKey.load(new_private_key())

    def body(self, message: Any, do: Do) -> bytes:
        """The message's bytes, with another amount or as garbage."""
        if do.garbage:
            return GARBAGE
        return messages.encode(with_amount(message, do.amount))

    def sign(self, do: Do, path: str, client_id: str, time: str, body: bytes) -> str | None:
        """The value of the header; None: there is to be none."""
        match do.signature:
            case Spoilt.NONE:
                return None
            case Spoilt.WRONG_KEY:
                return self._other_key.sign(path, client_id, time, body)
            case Spoilt.BAD:
                return self._key.sign(path, client_id, time, body + b" ")
            case _:
                return self._key.sign(path, client_id, time, body)


def words(do: Do, *, is_signed: bool) -> str:
    """What the exchange's record says of a message's signature."""
    if do.reset:
        return "not sent: the connection was cut, as a tester wants"
    if do.lose is Lost.REQUEST:
        return "not sent: the request counts as lost, as a tester wants"
    if do.lose is Lost.REPLY:
        return "not sent: the reply is lost, as a tester wants"
    if do.http_status is not None:
        return f"none: HTTP status {do.http_status}, as a tester wants"
    if do.signature is not None:
        return f"{do.signature.value}, as a tester wants"
    return SIGNED if is_signed else UNSIGNED


def with_amount(message: Any, value: int | None) -> Any:
    """The same message that tells another `paymentAmount`, where it tells one."""
    told = getattr(message, "payment_amount", None)
    if value is None or told is None:
        return message
    amount = Amount(currency=told.currency, value=str(value))
    return msgspec.structs.replace(message, payment_amount=amount)

"""AlipayCN's open platform as a test wants it: real HTTP and signatures, answers from a script."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support import ScriptedNetwork, acquirer_key, http_answer, network_key, ring
from tillgate.alipaycn import messages, signing
from tillgate.alipayplus.signing import SigningKey

APP_ID = "2021000000000001"
OUT_TRADE_NO = "pay_01JDSANDBOX0000000000000001"
TRADE_NO = "2026112322001448930501179305"


@dataclass
class Asked:
    """A request that reached the scripted platform, its signature checked."""

    method: str
    biz_content: bytes
    message: dict[str, Any]
    fields: dict[str, str]
    body: bytes
    headers: dict[str, str]


class ScriptedPlatform(ScriptedNetwork):
    """Checks RSA2, then answers as the script says: raw HTTP bytes, or None to hang up."""

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers["content-length"]))
                assert head[0] == "POST /gateway.do?charset=utf-8 HTTP/1.1"
                raw = signing.read_form(body) | {b"charset": b"utf-8"}
                signing.verify(ring(acquirer_key()), signing.request_content(raw), raw.get(b"sign"))
                fields = {name.decode(): value.decode() for name, value in raw.items()}
                asked = Asked(
                    fields["method"],
                    raw[b"biz_content"],
                    json.loads(raw[b"biz_content"]),
                    fields,
                    body,
                    headers,
                )
                self.calls.append(asked)  # type: ignore[arg-type]
                answer = await self.script(asked)  # type: ignore[arg-type]
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
                if b"Content-Length: 999" in answer or not answer.startswith(b"HTTP/1.1 200"):
                    break


Said = dict[str, Any] | bytes | None


def signed(
    asked: Asked, message: dict[str, Any] | bytes, *, key: SigningKey | None = None
) -> bytes:
    """An answer as the platform signs it."""
    content = message if isinstance(message, bytes) else json.dumps(message).encode()
    signature = signing.sign(key or network_key(), content)
    return http_answer(messages.enveloped(asked.method, content, signature), {})


def unsigned(asked: Asked, message: dict[str, Any]) -> bytes:
    """A refusal of the gateway, which has no signature."""
    content = json.dumps(message).encode()
    return http_answer(messages.enveloped(asked.method, content, None), {})


def ok(**fields: Any) -> dict[str, Any]:
    return {"code": "10000", "msg": "Success", "out_trade_no": OUT_TRADE_NO, **fields}


def refused(sub_code: str, code: str = "40004", **fields: Any) -> dict[str, Any]:
    return {"code": code, "msg": "Business Failed", "sub_code": sub_code, "sub_msg": "x", **fields}


def paid(**fields: Any) -> dict[str, Any]:
    """A pay's answer as the page shows it."""
    return ok(
        trade_no=TRADE_NO,
        total_amount="88.88",
        receipt_amount="88.88",
        buyer_user_id="2088102122524333",
        gmt_payment="2026-11-23 15:45:57",
        **fields,
    )


def trade(status: str, **fields: Any) -> dict[str, Any]:
    """A query's answer."""
    return ok(trade_no=TRADE_NO, trade_status=status, **{"total_amount": "88.88", **fields})


def script(**answers: Said | list[Said]) -> Callable[[Asked], Awaitable[bytes | None]]:
    """Answer each method (by its last word) with this message, the last of a list for ever."""
    queues = {m: list(a) if isinstance(a, list) else [a] for m, a in answers.items()}

    async def run(asked: Asked) -> bytes | None:
        queue = queues[asked.method.rpartition(".")[2]]
        said = queue.pop(0) if len(queue) > 1 else queue[0]
        return said if said is None or isinstance(said, bytes) else signed(asked, said)

    return run

"""How the kit speaks to an acquirer: as a till does. One small protocol, and two that are shipped:
Tillgate's merchant API, and a plain HTTP shape that any acquirer can serve (docs/certify.md).
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

import aiohttp

from tillgate.core.errors import ConfigError

TIMEOUT = aiohttp.ClientTimeout(total=30)


class Status(StrEnum):
    """What the acquirer tells its till."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REFUSED = "refused"
    """It never became a payment: no such code, bad input."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a till hears.

    Attributes:
        id: the acquirer's own handle of the payment; empty when refused.
        words: its own words, for the report.
    """

    id: str
    status: Status
    words: str = ""


class NotOffered(Exception):
    """This acquirer has no such call."""


class Acquirer(Protocol):
    """An acquirer as a till sees it. Raise `aiohttp.ClientError` or `TimeoutError` where it cannot
    be reached.
    """

    async def pay(self, code: str, currency: str, value: int, order: str, expiry_s: int) -> Told:
        """Sell: minor units; the order number is new. May answer at once or after a while."""
        ...

    async def look(self, id_: str) -> Told:
        """How does it stand?"""
        ...

    async def cancel(self, id_: str) -> Told:
        """The till wants it void."""
        ...

    async def refund(self, id_: str, value: int, refund_id: str) -> bool:
        """Give back so many minor units; whether it was done. May raise `NotOffered`."""
        ...

    async def close(self) -> None:
        """No more calls."""
        ...


class TillgateAcquirer:
    """Tillgate's merchant API."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)

    async def pay(self, code: str, currency: str, value: int, order: str, expiry_s: int) -> Told:
        """See `Acquirer`."""
        body = {
            "code": code,
            "order": {
                "merchant_order_id": order,
                "amount": {"currency": currency, "value": value},
            },
            "expires_in_s": expiry_s,
        }
        return await self._ask("POST", "/v1/payments", body, {"Idempotency-Key": order})

    async def look(self, id_: str) -> Told:
        """See `Acquirer`."""
        return await self._ask("GET", f"/v1/payments/{id_}")

    async def cancel(self, id_: str) -> Told:
        """See `Acquirer`."""
        return await self._ask("POST", f"/v1/payments/{id_}/cancel")

    async def refund(self, id_: str, value: int, refund_id: str) -> bool:
        """See `Acquirer`."""
        # The kit's amounts are the payment's, so its currency is read from there.
        path = f"{self._url}/v1/payments/{id_}"
        said = {"Authorization": f"Bearer {self._key}", "Prefer": "wait=20"}
        async with self._session.get(path, headers=said) as answer:
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                return False
            currency = told["amount"]["currency"]
        body = {"amount": {"currency": currency, "value": value}}
        keyed = said | {"Idempotency-Key": refund_id}
        async with self._session.post(f"{path}/refunds", json=body, headers=keyed) as answer:
            told = await answer.json(content_type=None)
            return answer.status < 300 and told["status"] == "SUCCEEDED"

    async def close(self) -> None:
        """See `Acquirer`."""
        await self._session.close()

    async def _ask(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Told:
        said = {"Authorization": f"Bearer {self._key}", "Prefer": "wait=1"} | (headers or {})
        async with self._session.request(
            method, self._url + path, json=body, headers=said
        ) as answer:
            told = await answer.json(content_type=None)
            if answer.status == 401:
                raise ConfigError(["--api-key-file: the gateway does not know this key"])
            if answer.status >= 400:
                words = f"{answer.status} {told.get('code')}: {told.get('detail')}"
                return Told("", Status.REFUSED, words)
        return Told(told["id"], _TILLGATE[told["status"]], told["status"])


_TILLGATE = {
    "PENDING": Status.PENDING,
    "CANCELLING": Status.PENDING,
    "UNRESOLVED": Status.PENDING,
    "SUCCEEDED": Status.PAID,
    "FAILED": Status.FAILED,
    "CANCELLED": Status.CANCELLED,
}


class HttpAcquirer:
    """The plain HTTP shape: `POST /pay`, `GET /payments/ID`, `POST /payments/ID/cancel` and
    `/refund`, all answered with `{"id": ..., "status": ...}`.
    """

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)

    async def pay(self, code: str, currency: str, value: int, order: str, expiry_s: int) -> Told:
        """See `Acquirer`."""
        body = {
            "code": code,
            "currency": currency,
            "value": value,
            "order": order,
            "expires_in_s": expiry_s,
        }
        return await self._ask("POST", "/pay", body)

    async def look(self, id_: str) -> Told:
        """See `Acquirer`."""
        return await self._ask("GET", f"/payments/{id_}")

    async def cancel(self, id_: str) -> Told:
        """See `Acquirer`."""
        return await self._ask("POST", f"/payments/{id_}/cancel")

    async def refund(self, id_: str, value: int, refund_id: str) -> bool:
        """See `Acquirer`."""
        body = {"value": value, "refund_id": refund_id}
        url = f"{self._url}/payments/{id_}/refund"
        async with self._session.post(url, json=body, headers=self._headers) as answer:
            if answer.status in (404, 405, 501):
                raise NotOffered
            return answer.status < 300

    async def close(self) -> None:
        """See `Acquirer`."""
        await self._session.close()

    async def _ask(self, method: str, path: str, body: Any = None) -> Told:
        async with self._session.request(
            method, self._url + path, json=body, headers=self._headers
        ) as answer:
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                return Told("", Status.REFUSED, f"HTTP {answer.status}")
        return Told(str(told["id"]), Status(told["status"]), told["status"])


def load(name: str, url: str, key: str) -> Acquirer:
    """The adapter of that name: `tillgate`, `http`, or `module:Class`, called with URL and key.

    Raises:
        ConfigError: there is none.
    """
    if name == "tillgate":
        return TillgateAcquirer(url, key)
    if name == "http":
        return HttpAcquirer(url, key)
    module, _, attribute = name.partition(":")
    try:
        adapter: Acquirer = getattr(importlib.import_module(module), attribute)(url, key)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        words = f"--adapter {name}: tillgate, http or module:Class is needed ({error})"
        raise ConfigError([words]) from None
    return adapter

"""The sandbox's testers' side, as the kit uses it."""

from __future__ import annotations

from typing import Any

import aiohttp

TIMEOUT = aiohttp.ClientTimeout(total=30)


class SandboxRefused(Exception):
    """The sandbox does not take what the kit asks of it. The message says why."""


class Sandbox:
    """One running sandbox."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(timeout=TIMEOUT)

    async def close(self) -> None:
        """No more calls."""
        await self._session.close()

    async def code(self, asked: dict[str, Any]) -> str:
        """A fresh payment code."""
        answer = await self._ask("POST", "/sandbox/codes", asked)
        return str(answer["code"])

    async def add_rules(self, rules: list[dict[str, Any]]) -> list[str]:
        """Put rules in force; their ids."""
        answer = await self._ask("POST", "/sandbox/rules", rules)
        return [str(rule["id"]) for rule in answer["rules"]]

    async def delete_rules(self, ids: list[str]) -> None:
        """They speak no more."""
        for id_ in ids:
            await self._ask("DELETE", f"/sandbox/rules/{id_}")

    async def rules(self) -> list[dict[str, Any]]:
        """What somebody has left there."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/sandbox/rules"))["rules"]
        return found

    async def rules_in_force(self) -> int:
        """How many of them may still speak."""
        return sum(not rule["is_over"] for rule in await self.rules())

    async def payments(self) -> list[dict[str, Any]]:
        """The last thousand."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/sandbox/payments"))["payments"]
        return found

    async def exchanges(self) -> list[dict[str, Any]]:
        """All that are kept."""
        found: list[dict[str, Any]] = (await self._ask("GET", "/sandbox/exchanges"))["exchanges"]
        return found

    async def body_hash(self, seq: int) -> str:
        """The SHA-256 of a message's body."""
        answer = await self._ask("GET", f"/sandbox/exchanges/{seq}")
        return str(answer["explanation"]["content_signed"]["body_sha256"])

    async def _ask(self, method: str, path: str, body: Any = None) -> Any:
        async with self._session.request(method, self._url + path, json=body) as answer:
            told = await answer.json(content_type=None)
            if answer.status >= 400:
                raise SandboxRefused(f"{path}: {told.get('detail')} {told.get('path', '')}")
            return told

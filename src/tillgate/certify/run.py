"""Runs the cases, side by side: each sells for an amount of its own, so that its rules meet nobody
else.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import aiohttp

from tillgate.certify.adapter import Acquirer, NotOffered, Status, Told
from tillgate.certify.cases import Case
from tillgate.certify.checks import ALWAYS, Evidence
from tillgate.certify.sandbox import Sandbox, SandboxRefused

CURRENCY = "JPY"
VALUES_START = 1_000
VALUES_SPAN = 40_000
"""Amounts of a run: drawn, so that two runs against one sandbox do not meet; none is magic."""
SIDE_BY_SIDE = 24
SETTLE_S = 2.5
"""After the till was told an end, what else may come: a notification, its repeat."""
END_AFTER_EXPIRY_S = 90
"""How long an acquirer may take to close what expired: a cancel of an order that nobody knows
counts only when no pay can be on its way any more."""


class Verdict(StrEnum):
    """What came of a case."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One case, done.

    Attributes:
        reasons: what is wrong, or why it was skipped.
    """

    case: Case
    verdict: Verdict
    reasons: tuple[str, ...]
    seconds: float
    evidence: Evidence


class Runner:
    """One run against one acquirer and one sandbox.

    The seed, 4 random bytes, tells its orders and amounts from those of other runs.
    """

    def __init__(
        self,
        acquirer: Acquirer,
        sandbox: Sandbox,
        *,
        seed: bytes,
        expiry_s: int = 60,
        end_after_expiry_s: float = END_AFTER_EXPIRY_S,
        on_done: Callable[[Outcome], None] = lambda _: None,
    ) -> None:
        self._acquirer = acquirer
        self._sandbox = sandbox
        self._expiry_s = expiry_s
        self._end_after_s = expiry_s + end_after_expiry_s
        self._on_done = on_done
        self._places = asyncio.Semaphore(SIDE_BY_SIDE)
        self._run_id = seed.hex()
        self._first = VALUES_START + int.from_bytes(seed) % VALUES_SPAN

    async def run(self, cases: Sequence[Case]) -> list[Outcome]:
        """All of them; in the order they were given."""
        sides = [
            self._one(case, self._first + i, starts_late=case.is_last and len(cases) > 1)
            for i, case in enumerate(cases)
        ]
        return list(await asyncio.gather(*sides))

    async def _one(self, case: Case, value: int, *, starts_late: bool) -> Outcome:
        if starts_late:
            # An acquirer may stop selling after this one: all others have been sold by then.
            await asyncio.sleep(self._expiry_s + 5)
        async with self._places:
            started = _now()
            evidence = Evidence(value=value, expiry_s=self._expiry_s)
            verdict = Verdict.FAILED
            reasons: tuple[str, ...]
            try:
                await self._play(case, evidence)
                await self._look_there(evidence)
                reasons = tuple(_wrong_in(case, evidence))
                verdict = Verdict.FAILED if reasons else Verdict.PASSED
            except NotOffered:
                verdict, reasons = Verdict.SKIPPED, ("the adapter offers no such call",)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reasons = (f"no answer from the acquirer or the sandbox ({type(error).__name__})",)
            except (KeyError, ValueError, TypeError) as error:
                reasons = (f"the acquirer's answer cannot be read ({type(error).__name__})",)
            finally:  # also when the run is broken off: the next one starts with a clean sandbox
                with contextlib.suppress(aiohttp.ClientError, OSError, SandboxRefused):
                    await self._sandbox.delete_rules(evidence.rule_ids)
        outcome = Outcome(
            case=case,
            verdict=verdict,
            reasons=reasons,
            seconds=_now() - started,
            evidence=evidence,
        )
        self._on_done(outcome)
        return outcome

    async def _play(self, case: Case, evidence: Evidence) -> None:
        if case.rules:
            amount = {"amount": evidence.value, "currency": CURRENCY}
            evidence.rule_ids = await self._sandbox.add_rules(
                [rule | {"on": rule["on"] | amount} for rule in case.rules]
            )
        code = case.made_up or await self._sandbox.code(case.code)
        if case.then == "used":
            await self._acquirer.pay(code, CURRENCY, 1, f"{self._run_id}-before", self._expiry_s)
        order = f"{self._run_id}-{case.name}"[:64]
        told = await self._acquirer.pay(code, CURRENCY, evidence.value, order, self._expiry_s)
        evidence.told.append(told)
        if told.status is Status.REFUSED:
            return
        if case.then == "cancel":
            await self._told_by(evidence, _now() + 1, told.id)
            evidence.told.append(await self._acquirer.cancel(told.id))
        until = _now() + self._end_after_s
        await self._told_by(evidence, until, told.id)
        for i, share in enumerate(case.refunds):
            part = evidence.value * share // 100
            is_done = await self._acquirer.refund(told.id, part, f"{order}-r{i}"[:64])
            evidence.refunded += part if is_done else 0
        await asyncio.sleep(SETTLE_S)
        self._heard(evidence, await self._acquirer.look(told.id))
        if evidence.last is Status.PENDING:  # what was over goes on: money is being given back
            await self._told_by(evidence, until, told.id)

    async def _told_by(self, evidence: Evidence, until: float, id_: str) -> None:
        """Ask as a till does, until there is an end."""
        while _now() < until:
            self._heard(evidence, await self._acquirer.look(id_))
            if evidence.last is not Status.PENDING:
                return
            await asyncio.sleep(0.25)

    @staticmethod
    def _heard(evidence: Evidence, told: Told) -> None:
        if told != evidence.told[-1]:
            evidence.told.append(told)

    async def _look_there(self, evidence: Evidence) -> None:
        wanted = f"{CURRENCY} {evidence.value}"
        messages = await self._sandbox.exchanges()
        ids = {one["payment_request_id"] for one in messages if one["amount"] == wanted}
        evidence.exchanges = [one for one in messages if one["payment_request_id"] in ids]
        evidence.payments = [
            one
            for one in await self._sandbox.payments()
            if one["amount"] == {"currency": CURRENCY, "value": evidence.value}
        ]
        evidence.body_hashes = [
            await self._sandbox.body_hash(one["seq"]) for one in evidence.asked("pay")
        ]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _wrong_in(case: Case, evidence: Evidence) -> list[str]:
    reasons = [words for check in (*ALWAYS, *case.checks) if (words := check(evidence))]
    if evidence.last not in case.ends | {Status.PENDING}:
        right = " or ".join(sorted(case.ends))
        reasons.insert(0, f"the till was told {evidence.last}, where {right} is right")
    return reasons


def named(cases: Sequence[Case], only: Sequence[str]) -> list[Case]:
    """Those whose name starts with one of these words; all where there is none."""
    chosen = [case for case in cases if not only or any(case.name.startswith(w) for w in only)]
    return [replace(case) for case in chosen]

"""A wallet that is connected directly and speaks Alipay+'s dialect, such as AlipayHK.

The messages are Alipay+'s; what differs are the paths, keys and time-outs, and that a wallet may
tell whose a code is before anything is paid (`codeConsult`: AlipayHK's and AlipayCN's codes look
the same). Source: AlipayHK "Code consult"; Alipay+ API pages for the rest.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tillgate.alipayplus import client, messages
from tillgate.alipayplus.client import AlipayPlusClient, Answered, Api, Apis
from tillgate.clock import Clock
from tillgate.connectors import ConnectorSettings
from tillgate.connectors.alipay_plus import SCHEDULES, AlipayPlus, client_of
from tillgate.core.errors import ConfigError
from tillgate.core.pacing import ALIPAY_PLUS, Policy
from tillgate.core.results import Outcome

CONSULT_TIMEOUT_S = 2.0
"""The customer stands at the till while we ask. Ours: AlipayHK names none."""
TIMEOUT_MAX_S = 30


class ApsDirect(AlipayPlus):
    """Speaks to one wallet. See `Connector`."""


class ConsultingApsDirect(ApsDirect):
    """One that can be asked whose a code is. See `Consults`."""

    def __init__(
        self,
        call: AlipayPlusClient,
        notify_url: str | None,
        policy: Policy,
        *,
        name: str,
        apis: Apis,
        consult: Api[messages.CodeConsultResponse],
    ) -> None:
        super().__init__(call, notify_url, policy, name=name, apis=apis)
        self._consult = consult

    async def consult(self, code: str) -> str | None:
        """Ask `codeConsult`; it uses nothing up. See `Consults`."""
        body = messages.encode(messages.CodeConsultRequest(code_value=code))
        result = await self._client.call(self._consult, body)
        if not isinstance(result, Answered):
            return None
        answer = result.message
        is_told = answer.result.result_status is Outcome.SUCCESS
        return (answer.psp_site_name or "") if is_told else ""


def build(settings: ConnectorSettings, clock: Clock) -> ApsDirect:
    """Make one from its section.

    Raises:
        ConfigError: lists every problem.
    """
    options = _Options(dict(settings.options))
    policy = options.policy()
    apis = Apis(
        pay=options.api(client.PAY, "pay", policy.pay_timeout),
        inquiry=options.api(client.INQUIRY, "inquiry", policy.inquiry_timeout),
        cancel=options.api(client.CANCEL, "cancel", policy.cancel_timeout),
        refund=options.api(client.REFUND, "refund", policy.refund_timeout),
    )
    consult = options.api(client.CONSULT, "consult", timedelta(seconds=CONSULT_TIMEOUT_S))
    consults = options.word("code_consult", "false", ("false", "true")) == "true"
    options.finish()
    call = client_of(settings, clock)
    if not consults:
        return ApsDirect(call, settings.notify_url, policy, name=settings.name, apis=apis)
    return ConsultingApsDirect(
        call, settings.notify_url, policy, name=settings.name, apis=apis, consult=consult
    )


class _Options:
    """Reads them, and notes each problem."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts
        self._problems: list[str] = []
        self._folder = self._path("path", "/aps/api/v1/payments").rstrip("/")

    def word(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self._texts.get(name) or default
        if value not in allowed:
            self._problems.append(f"{name}: must be one of {', '.join(allowed)}")
            return default
        return value

    def policy(self) -> Policy:
        base = SCHEDULES[self.word("inquiries", "fixed", tuple(SCHEDULES))]
        pay = self._seconds("pay_timeout_s", base.pay_timeout)
        return replace(
            base,
            pay_timeout=pay,
            inquiry_timeout=self._seconds("inquiry_timeout_s", base.inquiry_timeout),
            cancel_timeout=self._seconds("cancel_timeout_s", base.cancel_timeout),
            refund_timeout=self._seconds("refund_timeout_s", base.refund_timeout),
            # A pay that takes longer is on its way for longer.
            unknown_cancel_limit=base.unknown_cancel_limit + pay - ALIPAY_PLUS.pay_timeout,
        )

    def api(self, like: Api[client.T], name: str, timeout: timedelta) -> Api[client.T]:
        path = self._path(f"{name}_path", f"{self._folder}/{like.path.rpartition('/')[2]}")
        return replace(like, path=path, timeout_s=timeout.total_seconds())

    def finish(self) -> None:
        if self._problems:
            raise ConfigError(self._problems)

    def _path(self, name: str, default: str) -> str:
        value = self._texts.get(name) or default
        if not value.startswith("/") or not value.isascii() or " " in value:
            self._problems.append(f"{name}: must be a path such as {default}")
            return default
        return value

    def _seconds(self, name: str, default: timedelta) -> timedelta:
        text = self._texts.get(name)
        if not text:
            return default
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 1 <= value <= TIMEOUT_MAX_S:
            self._problems.append(f"{name}: must be a number of seconds, 1 to {TIMEOUT_MAX_S}")
            return default
        return timedelta(seconds=value)

"""`tillgate serve` with a stop-watch: the whole gateway as wiring builds it, in a process of its
own, that notes when each due call left and what signing cost.

Three functions are wrapped, nothing else: `step` (to know when a call was due), the connector's
calls (to know when it left; the client then signs, about 0.35 ms, and writes) and the signature
itself. What that costs is measured too (`stop_watch_us_per_call`). The figures go to a file at the
end, never while measuring.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from tillgate import logs, wiring
from tillgate.alipayplus.signing import KeyRing, SigningKey
from tillgate.clock import SystemClock
from tillgate.config import load_gateway
from tillgate.connectors import alipay_plus
from tillgate.core.model import SendCancel, SendInquiry, SendPay, TimerDue
from tillgate.core.pacing import ALIPAY_PLUS
from tillgate.gateway import follow
from tillgate.server import listen, serve, url_of


class Watch:
    """What was seen."""

    def __init__(self) -> None:
        self.due: dict[str, float] = {}
        self.lags: list[tuple[float, str, float]] = []
        self.asked: Counter[str] = Counter()
        self.asked_in_second: Counter[tuple[str, int]] = Counter()
        self.sign_s = self.verify_s = 0.0
        self.signs = self.verifies = 0
        self.samples: list[dict[str, float]] = []
        self.follower: follow.Follower | None = None

    def wrap(self) -> None:
        """Put the stop-watch on."""
        self._wrap_step()
        self._wrap_signing()
        watch, clock = self, SystemClock()

        def left(payment: Any, api: str) -> None:
            key, now = payment.payment_request_id, clock.now().timestamp()
            due = watch.due.pop(key, None)
            if due is not None:
                watch.lags.append((now, api, now - due))
            if api == "inquiry":
                watch.asked[key] += 1
                watch.asked_in_second[key, int(now)] += 1

        class Measured(alipay_plus.AlipayPlus):
            async def inquire(self, payment: Any) -> Any:
                left(payment, "inquiry")
                return await super().inquire(payment)

            async def cancel(self, payment: Any) -> Any:
                left(payment, "cancel")
                return await super().cancel(payment)

        class Seen(follow.Follower):
            def __init__(self, *parts: Any) -> None:
                super().__init__(*parts)
                watch.follower = self

        alipay_plus.AlipayPlus = Measured
        wiring.Follower = Seen

    def _wrap_step(self) -> None:
        real, due = follow.step, self.due

        def step(payment: Any, event: Any, now: Any, policy: Any, **more: Any) -> Any:
            taken = real(payment, event, now, policy, **more)
            if isinstance(event, TimerDue) and taken.payment is not payment:
                for effect in taken.effects:
                    if isinstance(effect, SendInquiry | SendCancel | SendPay):
                        due[payment.payment_request_id] = payment.next_action_at.timestamp()
            return taken

        follow.step = step

    def _wrap_signing(self) -> None:
        sign, verify = SigningKey.sign, KeyRing.verify

        def timed_sign(key: SigningKey, *parts: Any) -> Any:
            began = time.thread_time_ns()
            result = sign(key, *parts)
            self.sign_s += (time.thread_time_ns() - began) / 1e9
            self.signs += 1
            return result

        def timed_verify(ring: KeyRing, *parts: Any) -> Any:
            began = time.thread_time_ns()
            try:
                return verify(ring, *parts)
            finally:
                self.verify_s += (time.thread_time_ns() - began) / 1e9
                self.verifies += 1

        SigningKey.sign = timed_sign
        KeyRing.verify = timed_verify

    async def sample(self) -> None:
        """Once a second: payments driven, CPU, signing, memory."""
        while True:
            assert self.follower is not None
            lane = self.follower._calls._lanes["alipay_plus"]
            self.samples.append(
                {
                    "at": time.time(),
                    "pending": len(self.follower._driven),
                    "in_flight": lane.in_flight,
                    "waiting": lane.waiting,
                    "cpu_s": time.process_time(),
                    "sign_s": self.sign_s,
                    "verify_s": self.verify_s,
                    "signs": self.signs,
                    "calls": sum(self.asked.values()),
                    **of_the_kernel(),
                }
            )
            await asyncio.sleep(1)

    def figures(self) -> dict[str, Any]:
        """For the bench, as JSON."""
        per_second = Counter(second for _, second in self.asked_in_second.elements())
        return {
            "lags": self.lags,
            "inquiries_total": sum(self.asked.values()),
            "inquiries_per_payment_max": max(self.asked.values(), default=0),
            "inquiries_per_payment": sorted(Counter(self.asked.values()).items()),
            "inquiries_of_one_payment_in_a_second_max": max(
                self.asked_in_second.values(), default=0
            ),
            "inquiries_in_a_second_max": max(per_second.values(), default=0),
            "samples": self.samples,
        }


def of_the_kernel() -> dict[str, float]:
    """Memory, and how long the main thread was ready to run and had no core."""
    status = Path("/proc/self/status").read_text()
    rss = next(line.split()[1] for line in status.splitlines() if "VmRSS" in line)
    starved_ns = Path("/proc/self/schedstat").read_text().split()[1]
    return {"rss_mb": int(rss) / 1024, "starved_s": int(starved_ns) / 1e9}


def stop_watch_us() -> float:
    """What reading the stop-watch costs per call: two clocks, two counters."""
    began = time.process_time_ns()
    for _ in range(1000):
        time.thread_time_ns()
        time.thread_time_ns()
        SystemClock().now().timestamp()
    return (time.process_time_ns() - began) / 1e6


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--settings", required=True)
    parser.add_argument("--figures", required=True, help="where to write what was measured")
    parser.add_argument("--inquiry-wait", type=int, help="so many seconds between inquiries")
    arguments = parser.parse_args()
    settings = load_gateway(os.environ, Path(arguments.settings))
    if arguments.inquiry_wait:
        waits = (timedelta(seconds=arguments.inquiry_wait),) * (60 // arguments.inquiry_wait - 1)
        alipay_plus.SCHEDULES["fixed"] = replace(ALIPAY_PLUS, inquiries=waits)
    logs.set_up("WARNING")
    watch = Watch()
    watch.wrap()
    assert settings.listen is not None
    listener = listen(settings.listen)
    gateway = wiring.build_gateway(settings, url_of(listener))
    sampling: list[asyncio.Task[None]] = []

    def ready() -> None:
        sampling.append(asyncio.get_running_loop().create_task(watch.sample()))
        print(f"measured gateway ready on {url_of(listener)}", flush=True)

    def stop() -> None:
        for task in sampling:
            task.cancel()
        gateway.on_stop()

    status = serve(gateway.app, listener, on_ready=ready, on_stop=stop, until_stdin_closes=True)
    figures = watch.figures() | {"stop_watch_us_per_call": stop_watch_us()}
    Path(arguments.figures).write_text(json.dumps(figures))
    return status


if __name__ == "__main__":
    raise SystemExit(main())

"""What operators watch: counts and times of one process, in Prometheus' words.

Names end in their unit, as Prometheus' naming rules have it. No label holds an id of a payment, a
merchant or a key: their number is bounded by connectors, calls, statuses and operations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cache

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from tillgate import __version__
from tillgate.core.model import (
    CancelAnswered,
    Event,
    InquiryAnswered,
    PayAnswered,
    Payment,
    PayNeverLeft,
    RefundAnswered,
)
from tillgate.core.refund_model import (
    LookAnswered,
    LookFoundNothing,
    Refund,
    RefundEvent,
    SendAnswered,
    SendNeverLeft,
)
from tillgate.core.results import Outcome

CALL_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8)
"""Seconds: the last one is the longest that a call to Alipay+ may take."""
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Watch:
    """Is told what happens, and counts nothing: for whoever needs no figures."""

    def changed(self, before: Payment | None, after: Payment) -> None:
        """A payment was saved."""

    def refunded(self, before: Refund | None, after: Refund) -> None:
        """A refund was saved."""

    def called(
        self, connector: str, call: str, outcome: Event | RefundEvent, took: timedelta
    ) -> None:
        """A call towards a network ended."""

    def answered(self, operation: str, status: int) -> None:
        """A request was answered."""


class Metrics(Watch):
    """Counts it. One per process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._payments = Counter(
            "tillgate_payments",
            "Payments that came to a status.",
            ("connector", "status"),
            registry=self._registry,
        )
        self._refunds = Counter(
            "tillgate_refunds",
            "Refunds that came to a status; UNRESOLVED ones wait for a person.",
            ("connector", "status"),
            registry=self._registry,
        )
        self._calls = Histogram(
            "tillgate_network_call_seconds",
            "Calls towards a network, by how they ended.",
            ("connector", "call", "outcome"),
            buckets=CALL_BUCKETS,
            registry=self._registry,
        )
        self._requests = Counter(
            "tillgate_http_requests",
            "Answers of the API.",
            ("operation", "status"),
            registry=self._registry,
        )
        # The library finds a series by its labels with locks and copies; there are a few dozen.
        self._payments_of = cache(self._payments.labels)
        self._calls_of = cache(self._calls.labels)
        self._requests_of = cache(self._requests.labels)
        ProcessCollector(registry=self._registry)

    def changed(self, before: Payment | None, after: Payment) -> None:
        if before is None or before.status is not after.status:
            self._payments_of(after.order.connector, after.status.value).inc()

    def refunded(self, before: Refund | None, after: Refund) -> None:
        if before is None or before.status is not after.status:
            self._refunds.labels(after.connector, after.status.value).inc()

    def called(
        self, connector: str, call: str, outcome: Event | RefundEvent, took: timedelta
    ) -> None:
        self._calls_of(connector, call, word_of(outcome)).observe(took.total_seconds())

    def answered(self, operation: str, status: int) -> None:
        self._requests_of(operation, str(status)).inc()

    def watch_now(self, gauges: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        """Read these at each scrape: name to what it is, and its value."""
        self._registry.register(_Gauges(gauges))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, read: Callable[[], Mapping[str, tuple[str, float]]]) -> None:
        self._read = read

    def collect(self) -> list[GaugeMetricFamily]:
        build = GaugeMetricFamily("tillgate_build_info", "This release.", labels=["version"])
        build.add_metric([__version__], 1)
        gauges = [
            GaugeMetricFamily(name, what, value=value)
            for name, (what, value) in self._read().items()
        ]
        return [build, *gauges]


def word_of(outcome: Event | RefundEvent) -> str:
    """How a call ended: S, F or U as the network said, else `never_left` or `unanswered`."""
    match outcome:
        case PayAnswered(report) | InquiryAnswered(report):
            return report.outcome.value
        case SendAnswered(told) | LookAnswered(told):
            return told.outcome.value
        case LookFoundNothing():
            return Outcome.SUCCESS.value
        case CancelAnswered(said, _) | RefundAnswered(said, _):
            return said.value
        case PayNeverLeft() | SendNeverLeft():
            return "never_left"
        case _:
            # Refusals of the message are the network's word, too; the history tells them apart.
            return "refused" if hasattr(outcome, "code") else "unanswered"

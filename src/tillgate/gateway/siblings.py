"""The workers of one node ask each other for their figures: whichever a scrape or an operator
reaches, it tells of all of them.

In a scrape each stands under its number. Labelled and not summed: the sum would fall whenever a
worker begins anew, and a counter that falls is read as one that began at 0. `sum without (worker)`
over rates is right in every case.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from tillgate.gateway.health import Health, Span, merged, read_spans, write_spans
from tillgate.gateway.metrics import Metrics

ANSWER_LIMIT_S = 2.0
"""How long a sibling is waited for; Prometheus itself gives up after 10 s. Ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """A worker among its siblings.

    Attributes:
        number: from 1.
        count: of all workers of this node.
        folder: where each has a socket, readable by their user alone.
    """

    number: int
    count: int
    folder: Path

    def socket_of(self, number: int) -> Path:
        """Where a worker tells its figures."""
        return self.folder / f"{number}.sock"

    @property
    def others(self) -> list[int]:
        """The numbers of its siblings."""
        return [number for number in range(1, self.count + 1) if number != self.number]


METRICS, HEALTH = b"metrics\n", b"health\n"
"""What one asks another for: a line."""


class Siblings:
    """One per process; without a place it is alone, and tells its own figures unlabelled."""

    def __init__(self, metrics: Metrics, health: Health, place: Place | None) -> None:
        self._metrics = metrics
        self._health = health
        self._place = place
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Begin to answer the others.

        Raises:
            OSError: the folder is gone, or its path too long for a socket (107 bytes).
        """
        if self._place is not None:
            path = self._place.socket_of(self._place.number)
            path.unlink(missing_ok=True)  # of the one before, which was killed
            self._server = await asyncio.start_unix_server(self._tell, path)

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()

    async def text(self) -> bytes:
        """The figures of all workers, as Prometheus reads them. Who doesn't answer is left out,
        and `tillgate_worker_up` is 0 for it.
        """
        place = self._place
        if place is None:
            return self._metrics.text()
        found: dict[int, bytes | None] = {place.number: self._metrics.text()}
        found |= await self._ask(place, METRICS)
        return labelled(dict(sorted(found.items())))

    async def spans(self) -> tuple[tuple[Span, ...], int]:
        """The last hour of all workers together, and how many of them do not answer."""
        place = self._place
        if place is None:
            return self._health.spans, 0
        told = await self._ask(place, HEALTH)
        read = []
        for text in told.values():
            with contextlib.suppress(msgspec.DecodeError):  # it ended in the middle of a word
                read.append(read_spans(text or b""))
        return merged([self._health.spans, *read]), len(told) - len(read)

    async def _ask(self, place: Place, what: bytes) -> dict[int, bytes | None]:
        """What each of the others says; None where it says nothing."""

        async def one(number: int) -> bytes | None:
            with contextlib.suppress(OSError):  # a time-out is one
                async with asyncio.timeout(ANSWER_LIMIT_S):
                    return await _read(place.socket_of(number), what)
            return None

        found = await asyncio.gather(*(one(number) for number in place.others))
        return dict(zip(place.others, found, strict=True))

    async def _tell(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            async with asyncio.timeout(ANSWER_LIMIT_S):
                asked = await reader.readline()
            is_health = asked == HEALTH
            writer.write(write_spans(self._health.spans) if is_health else self._metrics.text())
            await writer.drain()
        writer.close()


async def _read(path: Path, what: bytes) -> bytes | None:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(what)
        return await reader.read() or None
    finally:
        writer.close()


def labelled(texts: Mapping[int, bytes | None]) -> bytes:
    """Several processes' figures as one text, each sample with its worker's number."""
    registry = CollectorRegistry()
    registry.register(_Labelled(texts))
    return generate_latest(registry)


class _Labelled(Collector):
    def __init__(self, texts: Mapping[int, bytes | None]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("tillgate_worker_up", "1 while it answers.", labels=["worker"])
        families: dict[str, Metric] = {}
        for number, text in self._texts.items():
            worker = str(number)
            up.add_metric([worker], 0 if text is None else 1)
            for told in text_string_to_metric_families((text or b"").decode()):
                family = families.setdefault(
                    told.name, Metric(told.name, told.documentation, told.type)
                )
                for sample in told.samples:
                    labels = {**sample.labels, "worker": worker}
                    family.add_sample(sample.name, labels, sample.value)
        yield up
        yield from families.values()

"""Health: the last hour in small pictures, each with what is normal. Drawn here as SVG: a line of a
few hundred points needs no library, and a picture that is renewed whole needs no script of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tillgate.gateway.health import KEPT, SPAN, Span, together
from tillgate.web.console.frame import Frame
from tillgate.web.people import Person

WIDTH, HEIGHT = 360, 90
"""Of a picture's own coordinates."""
COARSE = int(60 / SPAN.total_seconds())
"""Spans in one point: a minute."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart: its word, its class, its latest value, and its points for SVG."""

    word: str
    style: str
    latest: str
    points: str


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture. `top` is the value at its upper edge, `normal` says what is to be expected."""

    title: str
    unit: str
    normal: str
    top: str
    lines: tuple[Line, ...]


Series = Sequence[float | None]


class HealthPage:
    """The page, with what it needs."""

    def __init__(
        self,
        frame: Frame,
        spans: Callable[[], Awaitable[tuple[tuple[Span, ...], int]]],
        networks: Callable[[], Mapping[str, str]],
    ) -> None:
        """`spans` gives the last hour of all workers, and how many of them say nothing."""
        self._frame = frame
        self._spans = spans
        self._networks = networks

    def routes(self) -> list[Route]:
        """What to mount."""
        return [self._frame.route("/console/health", self.show)]

    async def show(self, request: Request, person: Person) -> Response:
        """The page; with `part=charts` only its pictures, to renew them."""
        spans, silent = await self._spans()
        is_part = request.query_params.get("part") == "charts"
        return await self._frame.page(
            "charts.html" if is_part else "health.html",
            person,
            "health",
            charts=charts_of(spans),
            networks=self._networks(),
            silent=silent,
            width=WIDTH,
            height=HEIGHT,
        )


def charts_of(spans: Sequence[Span]) -> list[Chart]:
    """All pictures."""
    minutes = [spans[start : start + COARSE] for start in range(0, len(spans), COARSE)]

    def each(value: Callable[[Sequence[Span]], float | None]) -> Series:
        return [value(some) for some in minutes]

    def ended(status: str) -> Series:
        return each(lambda some: float(together(some).ended.get(status, 0)))

    def percentile(share: float) -> Series:
        return each(lambda some: together(some).percentile(share))

    def inquiries(some: Sequence[Span]) -> float | None:
        payments = sum(sum(span.ended.values()) for span in some)
        return sum(span.inquiries for span in some) / payments if payments else None

    def largest(name: str) -> Series:
        return each(lambda some: getattr(together(some), name))

    return [
        chart(
            "Payments that ended",
            "a minute",
            "Mostly paid. Many not paid at once: look at the routes and the network.",
            ("paid", "paid", ended("SUCCEEDED")),
            ("not paid", "unpaid", ended("FAILED")),
            ("cancelled", "waiting", ended("CANCELLED")),
            ("needs a person", "person", ended("UNRESOLVED")),
        ),
        chart(
            "The network's answer to a pay",
            "ms",
            "Well under 1,000. At 8,000 a pay counts as unanswered.",
            ("half are quicker", "paid", percentile(0.5)),
            ("99 of 100 are quicker", "waiting", percentile(0.99)),
        ),
        chart(
            "Inquiries per payment",
            "",
            "Below 1 where most customers need not confirm; 10 to 20 for one who takes a minute.",
            ("inquiries", "waiting", each(inquiries)),
        ),
        chart(
            "Oldest open payment",
            "s",
            "At most 90 while the network answers.",
            ("waits", "waiting", largest("oldest_s")),
        ),
        chart(
            "Oldest webhook that waits",
            "s",
            "A few; more while a merchant's server does not answer.",
            ("waits", "waiting", largest("webhook_s")),
        ),
        chart(
            "The database's answer",
            "ms",
            "A few. Beyond 100 every payment feels it.",
            ("answer", "paid", largest("database_ms")),
        ),
    ]


def chart(title: str, unit: str, normal: str, *lines: tuple[str, str, Series]) -> Chart:
    """A picture of some lines on one scale that begins at 0."""
    known = [value for _, _, series in lines for value in series if value is not None]
    top = _round_up(max(known, default=0.0))
    return Chart(
        title,
        unit,
        normal,
        _text(top),
        tuple(
            Line(word, style, _text(_last(series)), _points(series, top))
            for word, style, series in lines
        ),
    )


def _points(series: Series, top: float) -> str:
    """For SVG: newest at the right, a whole hour wide; where nothing is known there is no point."""
    slots = KEPT // COARSE
    offset = slots - len(series)
    return " ".join(
        f"{(offset + place) * WIDTH / (slots - 1):.1f},{HEIGHT - value * HEIGHT / top:.1f}"
        for place, value in enumerate(series)
        if value is not None
    )


def _last(series: Series) -> float | None:
    return next((value for value in reversed(series) if value is not None), None)


def _round_up(value: float) -> float:
    """1, 2 or 5 times a power of ten, at least 1."""
    scale = 1.0
    while True:
        for step in (1, 2, 5):
            if value <= step * scale:
                return step * scale
        scale *= 10


def _text(value: float | None) -> str:
    if value is None:
        return "none"
    is_whole = value >= 10 or value == int(value)
    return f"{value:,.0f}".replace(",", "\u2009") if is_whole else f"{value:.1f}"

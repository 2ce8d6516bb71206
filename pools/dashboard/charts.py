"""Data of the charts: samples of a span of time, one point a step, and None where nothing was sampled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

POINTS = 120


@dataclass(frozen=True)
class Span:
    """A time over which the charts look back."""

    name: str
    words: str
    length: timedelta

    @property
    def step_s(self) -> float:
        """Seconds from one point to the next."""
        return self.length.total_seconds() / POINTS


SPANS = (
    Span("20m", "20 minutes", timedelta(minutes=20)),
    Span("1h", "1 hour", timedelta(hours=1)),
    Span("6h", "6 hours", timedelta(hours=6)),
    Span("24h", "24 hours", timedelta(hours=24)),
    Span("7d", "7 days", timedelta(days=7)),
)
HOUR = SPANS[1]


def span_named(name: str | None) -> Span:
    return next((span for span in SPANS if span.name == name), HOUR)


# Ready items: the lowest number within a step, which a caller could have met. Others: the highest.
POINTS_OF_SPAN = """
SELECT ceil(extract(epoch FROM statement_timestamp() - at) / %(step)s)::int AS ago,
min(agents_available), max(agents_target), max(agents_in_use), min(rooms_available), max(rooms_target),
sum(warm), sum(partial), sum(cold),
sum(connect_p50_ms * acknowledged) / nullif(sum(acknowledged) FILTER (WHERE connect_p50_ms IS NOT NULL), 0),
max(connect_p99_ms), round((min(daily_left) * 100)::numeric, 1)::float
FROM pools_poolsample WHERE at > statement_timestamp() - make_interval(secs => %(span)s) GROUP BY ago"""
COLUMNS = (
    "agents",
    "agents_target",
    "in_use",
    "rooms",
    "rooms_target",
    "warm",
    "partial",
    "cold",
    "p50",
    "p99",
    "daily_left",
)


LAST_SAMPLE = """
SELECT agents_available, agents_target, agents_in_use, rooms_available, rooms_target, warm, partial, cold,
connect_p50_ms, connect_p99_ms, round((daily_left * 100)::numeric, 1)::float
FROM pools_poolsample WHERE at > statement_timestamp() - make_interval(secs => %(span)s) ORDER BY at DESC LIMIT 1"""


def history(span: Span) -> dict[str, Any]:
    """Each column as a list of POINTS values, oldest first; None where nothing was sampled.

    `last` is the latest sample itself; the last point of a long span covers several samples.
    """
    with connection.cursor() as cursor:
        cursor.execute(POINTS_OF_SPAN, {"step": span.step_s, "span": span.length.total_seconds()})
        rows = {row[0]: row[1:] for row in cursor.fetchall()}
        cursor.execute(LAST_SAMPLE, {"span": span.length.total_seconds()})
        last = cursor.fetchone()
    points = [rows.get(ago) for ago in range(POINTS, 0, -1)]
    return {
        "span_s": span.length.total_seconds(),
        "step_s": span.step_s,
        "last": {name: _column([last], number)[0] for number, name in enumerate(COLUMNS)},
        **{name: _column(points, number) for number, name in enumerate(COLUMNS)},
    }


def _column(points: Sequence[tuple[Any, ...] | None], number: int) -> list[float | None]:
    """A column as numbers for JSON: sums come as Decimal."""
    return [None if point is None or point[number] is None else float(point[number]) for point in points]

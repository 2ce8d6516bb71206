"""What the charts show: the samples of a span of time, a point for each step, and nothing where there were none."""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from pools.dashboard.spans import POINTS, Span

# The least of a stock within a step is what a caller could meet; targets and the rest as they were at its end.
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
    """Each column as a list of POINTS values, oldest first; None where nothing was sampled. `last`: the latest sample
    as it is, which the last point of a long span is not."""
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
    """Numbers as JSON has them: sums come as Decimal."""
    return [None if point is None or point[number] is None else float(point[number]) for point in points]

"""Were we warm in the last hour, in the last day? Starts by kind, time to the acknowledgement, time with an empty pool.

The hour is counted from the sessions themselves, found by the key that a sample of an hour ago has noted; the day from
the samples, and from the sessions since.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now
from django.utils import timezone

from pools.models import PoolSample
from pools.status.sampling import INTERVAL_S, NO_STARTS, Mark, Starts

START_UP_S = 60.0  # pools that are not full by then are empty, not starting
# A life of the service begins where no pod took sessions, or nothing was sampled, just before. Until its pools have had
# something for the first time they are starting. What began before the span had something.
EMPTY = """
WITH sample AS (
    SELECT *, lag(at) OVER ordered AS before, lag(pods) OVER ordered AS pods_before FROM pools_poolsample
    WHERE at > statement_timestamp() - make_interval(secs => %(span)s) WINDOW ordered AS (ORDER BY at)
), marked AS (
    SELECT *, count(*) FILTER (WHERE pods = 0 OR pods_before = 0 OR at - before > make_interval(secs => %(gap)s)
        OR before IS NULL AND NOT EXISTS (SELECT FROM pools_poolsample AS earlier WHERE earlier.at < sample.at)
    ) OVER (ORDER BY at) AS life FROM sample
), lived AS (
    SELECT *, life = 0 OR at - min(at) OVER lives > make_interval(secs => %(start_up)s) AS started,
        max(agents_available) OVER lives AS agents_had, max(rooms_available) OVER lives AS rooms_had
    FROM marked WINDOW lives AS (PARTITION BY life ORDER BY at)
)
SELECT count(*) FILTER (WHERE agents_available = 0 AND agents_target > 0 AND (started OR agents_had > 0)),
count(*) FILTER (WHERE rooms_available = 0 AND rooms_target > 0 AND (started OR rooms_had > 0)),
count(*) FILTER (WHERE daily_left < %(spent)s) FROM lived"""
SPENT = 0.25  # of the budget left: replenishing has stopped by then (pools.daily.budget.Priority)


@dataclass(frozen=True)
class Window:
    """`since` is later than the window's begin where there are no samples from before."""

    since: datetime | None
    starts: Starts
    empty_agents_s: float
    empty_rooms_s: float
    daily_spent_s: float  # for which the budget of Daily calls was as good as used up
    mark: Mark  # sessions that began after it are of this window

    def as_json(self) -> dict[str, Any]:
        total = self.starts.total
        return {
            **asdict(self.starts),
            "since": self.since,
            "total": total,
            "share": round(100 * self.starts.warm / total, 2) if total else None,
            "empty_agents_s": self.empty_agents_s,
            "empty_rooms_s": self.empty_rooms_s,
            "daily_spent_s": self.daily_spent_s,
        }


def last_hour() -> Window:
    begin = timedelta(hours=1)
    before = PoolSample.objects.filter(at__lte=Now() - begin).order_by("-at").first()
    first = before or PoolSample.objects.order_by("at").first()
    mark = Mark.of(first)
    starts = Starts.between(mark) if first else NO_STARTS
    since = timezone.now() - begin if before else first.at if first else None
    return Window(since, starts, *_empty(begin), mark)


def last_day() -> Window:
    begin = timedelta(hours=24)
    samples = PoolSample.objects.filter(at__gt=Now() - begin)
    sums = samples.aggregate(Sum("warm"), Sum("partial"), Sum("cold"))
    latest = list(PoolSample.objects.order_by("-id")[:2])
    mark = Mark.of(latest[-1] if latest else None)  # what began after it is in no sample yet
    rest = Starts.between(mark) if latest else NO_STARTS
    starts = Starts(
        warm=(sums["warm__sum"] or 0) + rest.warm,
        partial=(sums["partial__sum"] or 0) + rest.partial,
        cold=(sums["cold__sum"] or 0) + rest.cold,
        acknowledged=0,
        p50_ms=None,
        p99_ms=None,
    )
    first = samples.order_by("at").values_list("at", flat=True).first()
    return Window(first, starts, *_empty(begin), mark)


def _empty(length: timedelta) -> tuple[float, float, float]:
    """Seconds for which the pools were empty though they should not have been, and the budget was used up."""
    parameters = {"span": length.total_seconds(), "gap": 6 * INTERVAL_S, "start_up": START_UP_S, "spent": SPENT}
    with connection.cursor() as cursor:
        cursor.execute(EMPTY, parameters)
        agents, rooms, daily = cursor.fetchone()
    return agents * INTERVAL_S, rooms * INTERVAL_S, daily * INTERVAL_S

"""Figures about starts: how many were warm in the last hour and day, how fast they were, and why others were not warm.

The hour is counted from the sessions, found by the primary key in the sample of an hour ago; the day from the samples,
and from the sessions since the last one.
"""

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import Sum
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from pools.models import PoolSample
from pools.sessions.misses import Cause
from pools.status.sampling import INTERVAL_S, NO_STARTS, Mark, Starts

START_UP_S = 60.0  # pools that are not full by then are empty, not starting
# The service starts again where no pod took sessions, or nothing was sampled, just before. Until a pool has had its
# first item it is starting, not empty. A service that started before the span counts as started.
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
    """Starts in a window of time, and seconds for which pools were empty.

    `since` is later than the begin of the window if there are no older samples.
    """

    since: datetime | None
    starts: Starts
    empty_agents_s: float
    empty_rooms_s: float
    daily_spent_s: float  # with hardly any budget of Daily calls left
    mark: Mark  # sessions after it belong to the window

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
    """Seconds for which there was no process, no room, and hardly any budget of Daily calls left."""
    parameters = {"span": length.total_seconds(), "gap": 6 * INTERVAL_S, "start_up": START_UP_S, "spent": SPENT}
    with connection.cursor() as cursor:
        cursor.execute(EMPTY, parameters)
        agents, rooms, daily = cursor.fetchone()
    return agents * INTERVAL_S, rooms * INTERVAL_S, daily * INTERVAL_S


LATEST = 20_000  # bounds the query on a day without warm starts
MISSES = """
SELECT start_kind, agent_miss, room_miss,
count(*) FILTER (WHERE created_at > statement_timestamp() - interval '1 hour') AS hour,
count(*) AS day, extract(epoch FROM statement_timestamp() - max(created_at))::float8 AS last_s
FROM (
    SELECT start_kind, agent_miss, room_miss, created_at FROM pools_voicesession
    WHERE start_kind IN ('partial', 'cold') AND created_at > statement_timestamp() - interval '1 day'
    ORDER BY created_at DESC LIMIT %s
) AS missed GROUP BY start_kind, agent_miss, room_miss ORDER BY hour DESC, day DESC LIMIT 12"""

AGENT_WORDS = {
    Cause.SWITCHED_OFF: "process pool switched off: its target is 0",
    Cause.TROUBLE: "agent processes do not start",
    Cause.STARTING: "process pool not filled yet after a pod's start",
    Cause.CONTENDED: "every ready process was being claimed by another start",
    Cause.POD_LEAVING: "processes only on pods that drain or are silent",
    Cause.PROCESS_LIMIT: "pods at their limit of processes",
    Cause.BURST: "agent processes taken faster than replaced",
}
ROOM_WORDS = {
    Cause.SWITCHED_OFF: "room pool switched off: its target is 0",
    Cause.TROUBLE: "Daily cannot be used",
    Cause.STARTING: "room pool not filled yet after a pod's start",
    Cause.CONTENDED: "every ready room was being claimed by another start",
    Cause.TOO_OLD: "rooms had too little life left",
    Cause.DAILY_BUDGET: "Daily's budget of calls was used up",
    Cause.BURST: "rooms taken faster than made",
}


def causes() -> list[dict[str, Any]]:
    """Why starts of the last day were not warm, the most frequent causes of the last hour first."""
    with connection.cursor() as cursor:
        cursor.execute(MISSES, [LATEST])
        rows = cursor.fetchall()
    return [
        {
            "kind": kind,
            "words": in_words(agent_miss, room_miss),
            "hour": hour,
            "day": day,
            "last_s": last_s,
            "url": _sessions(kind, agent_miss, room_miss),
        }
        for kind, agent_miss, room_miss, hour, day, last_s in rows
    ]


def in_words(agent_miss: str, room_miss: str) -> str:
    """The causes as text. Unknown ones (from another version) are shown as they are."""
    known: list[tuple[dict[Cause, str], str]] = [(AGENT_WORDS, agent_miss), (ROOM_WORDS, room_miss)]
    words = [dict(table).get(Cause(miss), miss) if miss in set(Cause) else miss for table, miss in known if miss]
    return "; ".join(words) or "cause not recorded"


def _sessions(kind: str, agent_miss: str, room_miss: str) -> str:
    """The address of the list of the sessions with these causes."""
    misses = {name: miss for name, miss in (("agent_miss", agent_miss), ("room_miss", room_miss)) if miss}
    query = {"start_kind__exact": kind, **misses}
    return f"{reverse('admin:pools_voicesession_changelist')}?{urlencode(query)}"

"""Writes samples of the pools: every ten seconds, by the pod that does the chores, kept for a week.

A sample notes the key of the latest session, so that "the sessions since then" is a range of the primary key: the busy
table needs no index on all times. A pre-joined pair has its key from before its claim, and is found by the time of its
claim. Starts are counted one interval late: by then every session with an earlier key has been committed and
acknowledged.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db import connection
from django.db.models import Max
from django.db.models.functions import Now

from pools.daily import budget
from pools.models import PoolSample, VoiceSession
from pools.sessions.end_reasons import NO_CALL
from pools.status.state import read_state

INTERVAL_S = 10.0
KEEP = timedelta(days=7)

# Sessions with keys in a range, and pre-joined pairs that were claimed in the meantime. The time is from the request to
# the acknowledgement, a room made on demand included: what the caller waits for.
STARTS = """
WITH start AS (
    SELECT start_kind, before_claim_ms, created_at, active_at FROM pools_voicesession
    WHERE id > %(after)s AND id <= %(until)s AND start_kind <> 'prejoined'
    UNION ALL SELECT start_kind, before_claim_ms, created_at, active_at FROM pools_voicesession
    WHERE start_kind = 'prejoined' AND created_at > %(after_time)s AND created_at <= %(until_time)s
    AND NOT unclaimed AND end_reason <> ALL(%(no_call)s)
)
SELECT count(*) FILTER (WHERE start_kind IN ('prejoined', 'warm')), count(*) FILTER (WHERE start_kind = 'partial'),
count(*) FILTER (WHERE start_kind = 'cold'), count(active_at),
percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (
    ORDER BY coalesce(before_claim_ms, 0) + extract(epoch FROM active_at - created_at) * 1000
)
FROM start"""


@dataclass(frozen=True)
class Mark:
    """A moment, and the primary key of the latest session at that moment."""

    session: int
    at: datetime

    @classmethod
    def of(cls, sample: PoolSample | None) -> Self:
        """The mark of a sample; without one, the beginning of time."""
        return cls(sample.last_session, sample.at) if sample else cls(0, datetime.min.replace(tzinfo=UTC))


END_OF_TIME = Mark(2**63 - 1, datetime.max.replace(tzinfo=UTC))


@dataclass(frozen=True)
class Starts:
    """Starts by kind, and percentiles of the time from the request to the acknowledgement."""

    warm: int
    partial: int
    cold: int
    acknowledged: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def total(self) -> int:
        return self.warm + self.partial + self.cold

    @classmethod
    def between(cls, after: Mark, until: Mark = END_OF_TIME) -> "Starts":
        """Starts after the one mark and up to the other."""
        parameters: dict[str, Any] = {
            "after": after.session,
            "until": until.session,
            "after_time": after.at,
            "until_time": until.at,
            "no_call": list(NO_CALL),
        }
        with connection.cursor() as cursor:
            cursor.execute(STARTS, parameters)
            warm, partial, cold, acknowledged, percentiles = cursor.fetchone()
        p50, p99 = percentiles or (None, None)
        return cls(warm, partial, cold, acknowledged, p50, p99)


NO_STARTS = Starts(0, 0, 0, 0, None, None)


def take_sample() -> bool:
    """Write a sample. Returns False if another pod has just written one (two may both do the chores for a moment)."""
    if PoolSample.objects.filter(at__gt=Now() - timedelta(seconds=INTERVAL_S / 2)).exists():
        return False
    newest = VoiceSession.objects.aggregate(newest=Max("pk"))["newest"] or 0
    starts = _starts_of_last_interval()
    state = read_state()
    agents, rooms = state.agents, state.rooms
    PoolSample.objects.create(
        pods=sum(pod.taking for pod in state.pods),
        agents_available=agents.available,
        agents_warming=agents.warming,
        agents_in_use=agents.in_use,
        agents_target=agents.pool_size,
        rooms_available=rooms.available,
        rooms_warming=rooms.warming,
        rooms_in_use=rooms.in_use,
        rooms_target=rooms.pool_size,
        waiting=state.waiting_sessions,
        last_session=newest,
        warm=starts.warm,
        partial=starts.partial,
        cold=starts.cold,
        acknowledged=starts.acknowledged,
        connect_p50_ms=starts.p50_ms,
        connect_p99_ms=starts.p99_ms,
        daily_left=min(budget.left().values()),
    )
    return True


def _starts_of_last_interval() -> Starts:
    """Starts between the two latest samples; none before there are two samples."""
    marks = [Mark.of(sample) for sample in PoolSample.objects.order_by("-id")[:2]]
    return Starts.between(marks[-1], marks[0]) if marks else NO_STARTS


def forget_old() -> None:
    PoolSample.objects.filter(at__lt=Now() - KEEP).delete()

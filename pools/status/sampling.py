"""Samples of the pools, written every ten seconds by the oldest live pod and kept for a week.

A sample notes the key of the latest session, so that "the sessions since then" is a range of the primary key: the hot
table needs no index on times. Starts are counted one interval late: by then whoever had an earlier key has committed,
and been acknowledged.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Max
from django.db.models.functions import Now

from pools.daily import budget
from pools.models import PoolSample, VoiceSession
from pools.status.state import read_state

INTERVAL_S = 10.0
KEEP = timedelta(days=7)

# Sessions with keys in a range; the time is from the claim to the acknowledgement.
STARTS = """
SELECT count(*) FILTER (WHERE start_kind IN ('hot', 'warm')), count(*) FILTER (WHERE start_kind = 'partial'),
count(*) FILTER (WHERE start_kind = 'cold'), count(active_at),
percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM active_at - created_at) * 1000)
FROM pools_voicesession WHERE id > %s AND id <= %s AND NOT unclaimed"""
NEWEST_KEY = 2**63 - 1


@dataclass(frozen=True)
class Starts:
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
    def between(cls, after: int, until: int = NEWEST_KEY) -> "Starts":
        """Of the sessions with keys above `after` and up to `until`."""
        with connection.cursor() as cursor:
            cursor.execute(STARTS, [after, until])
            warm, partial, cold, acknowledged, percentiles = cursor.fetchone()
        p50, p99 = percentiles or (None, None)
        return cls(warm, partial, cold, acknowledged, p50, p99)


def take_sample() -> bool:
    """False: somebody else has just done it (two pods may for a moment think that they are the oldest)."""
    if PoolSample.objects.filter(at__gt=Now() - timedelta(seconds=INTERVAL_S / 2)).exists():
        return False
    earlier = list(PoolSample.objects.order_by("-id").values_list("last_session", flat=True)[:2])
    newest = VoiceSession.objects.aggregate(newest=Max("pk"))["newest"] or 0
    until = earlier[0] if earlier else newest
    starts = Starts.between(earlier[1] if len(earlier) > 1 else until, until)
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


def forget_old() -> None:
    PoolSample.objects.filter(at__lt=Now() - KEEP).delete()

"""Reads from recorded sessions when callers came, how long things took and how long calls were."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from pools.daily import budget
from pools.models import IN_STOCK
from pools.sessions.end_reasons import NO_CALL

MOST = 200_000
STARTS = """
SELECT extract(epoch FROM created_at - %(since)s)::float8, start_kind,
extract(epoch FROM active_at - created_at)::float8, extract(epoch FROM ended_at - active_at)::float8
FROM pools_voicesession WHERE created_at >= %(since)s AND created_at < %(until)s
AND NOT unclaimed AND end_reason <> ALL(%(no_call)s) ORDER BY created_at LIMIT %(most)s"""
MAKING = """
SELECT (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY warmup_ms) / 1000 FROM (
    SELECT warmup_ms FROM pools_agentprocess WHERE warmup_ms IS NOT NULL AND NOT on_demand ORDER BY id DESC LIMIT 1000
) AS agents), (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY making) FROM (
    SELECT extract(epoch FROM available_at - created_at)::float8 AS making
    FROM pools_room WHERE available_at IS NOT NULL ORDER BY id DESC LIMIT 1000
) AS rooms)"""


@dataclass(frozen=True)
class Recorded:
    """Figures of a period, in seconds; arrivals count from its beginning. None: nothing was recorded."""

    span: float
    arrivals: list[float]
    hit_rate: float | None
    warm_start: float | None
    call_length: float | None
    agent_making: float | None
    room_making: float | None

    @property
    def rate(self) -> float:
        return len(self.arrivals) / self.span


def read_recorded(since: datetime, until: datetime) -> Recorded:
    """Read the sessions of the period, at most the first 200,000. It uses no index: do not call it every second."""
    with connection.cursor() as cursor:
        cursor.execute(STARTS, {"since": since, "until": until, "most": MOST, "no_call": list(NO_CALL)})
        rows = cursor.fetchall()
        cursor.execute(MAKING)
        agents, rooms = cursor.fetchone()
    warm = [wait for _, kind, wait, _ in rows if kind == "warm" and wait is not None]
    lengths = [length for *_, length in rows if length is not None]
    return Recorded(
        span=(until - since).total_seconds(),
        arrivals=[at for at, *_ in rows],
        hit_rate=sum(kind in IN_STOCK for _, kind, *_ in rows) / len(rows) if rows else None,
        warm_start=_median(warm),
        call_length=sum(lengths) / len(lengths) if lengths else None,
        agent_making=None if agents is None else float(agents),
        room_making=None if rooms is None else float(rooms),
    )


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def daily_allowances() -> tuple[int, int]:
    """How many calls to Daily are allowed in five seconds: for replenishing, and on demand."""
    general = budget.Group.GENERAL
    return budget.allowance(general, budget.Priority.REPLENISH), budget.allowance(general, budget.Priority.ON_DEMAND)

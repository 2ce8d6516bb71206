"""Compares the versions of the bot: figures of their sessions of the last minutes, and their live pods.

A session counts for the version of the process that had it last. Older sessions are left out by the primary key that a
sample of that time has noted, as for the dashboard.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from pools.models import PoolSample
from pools.operators import rollout
from pools.sessions.end_reasons import NO_CALL, OUR_FAULT
from pools.shares import WHOLE, Shares

# A pre-joined pair has its key from before its claim.
BEGAN = """session.created_at > statement_timestamp() - make_interval(secs => %(seconds)s)
    AND (session.id > %(after)s OR session.start_kind = 'prejoined'
        AND session.created_at > statement_timestamp() - make_interval(secs => %(seconds)s))"""
OF_SESSIONS = f"""
WITH session AS (
    SELECT session.*, process.version FROM pools_voicesession AS session
    JOIN pools_agentprocess AS process ON process.id = session.agent_process_id
    WHERE {BEGAN} AND NOT session.unclaimed AND session.end_reason <> ALL(%(no_call)s)
), failed_handoff AS (
    SELECT handoff->>'version' AS version, count(*) AS n FROM pools_voicesession AS session
    CROSS JOIN jsonb_array_elements(failed_handoffs) AS handoff
    WHERE {BEGAN} AND handoff->>'version' IS NOT NULL GROUP BY 1
), numbers AS (
    SELECT version, count(*) FILTER (WHERE start_kind = 'prejoined') AS prejoined,
        count(*) FILTER (WHERE start_kind = 'warm') AS warm,
        count(*) FILTER (WHERE start_kind = 'partial') AS partial, count(*) FILTER (WHERE start_kind = 'cold') AS cold,
        count(*) FILTER (WHERE agent_miss <> '') AS agent_misses,
        count(*) FILTER (WHERE room_miss <> '') AS room_misses,
        count(*) FILTER (WHERE status = 'ended') AS ended,
        count(*) FILTER (WHERE end_reason = ANY(%(our_fault)s)) AS failed,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
            ORDER BY coalesce(before_claim_ms, 0) + greatest(0, extract(epoch FROM bot_joined_at - created_at) * 1000)
        ) FILTER (WHERE bot_joined_at IS NOT NULL) AS joined,
        percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (
            ORDER BY greatest(0, extract(epoch FROM first_audio_at - greatest(created_at, caller_joined_at)) * 1000)
        ) FILTER (WHERE first_audio_at IS NOT NULL) AS spoke
    FROM session GROUP BY version
)
SELECT version, coalesce(prejoined, 0), coalesce(warm, 0), coalesce(partial, 0), coalesce(cold, 0),
    coalesce(agent_misses, 0), coalesce(room_misses, 0), coalesce(failed_handoff.n, 0), coalesce(ended, 0),
    coalesce(failed, 0), joined[1], joined[2], spoke[1], spoke[2]
FROM numbers FULL JOIN failed_handoff USING (version) ORDER BY version"""  # noqa: S608


@dataclass(frozen=True)
class VersionNumbers:
    """Figures of one version. `wanted_percent`: its share in the roll-out; None if it has no share of its own."""

    version: str
    pods: int = 0  # live
    wanted_percent: float | None = None
    prejoined: int = 0
    warm: int = 0
    partial: int = 0
    cold: int = 0
    agent_misses: int = 0
    room_misses: int = 0
    failed_handoffs: int = 0
    ended: int = 0
    failed: int = 0  # of those that have ended
    joined_p50_ms: float | None = None  # from the request until the bot joined
    joined_p95_ms: float | None = None
    first_audio_p50_ms: float | None = None  # from the caller's arrival until the bot spoke
    first_audio_p95_ms: float | None = None

    @property
    def starts(self) -> int:
        return self.prejoined + self.warm + self.partial + self.cold

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"starts": self.starts}


def read(minutes: float) -> list[VersionNumbers]:
    """Figures of each version that had sessions in these minutes, runs on a live pod, or is named by the roll-out."""
    live = rollout.live_versions()
    latest = rollout.standing()
    wanted = latest.shares if latest else {}
    of_sessions = {row[0]: row[1:] for row in _of_sessions(minutes)}
    versions = sorted({*live, *wanted, *of_sessions})
    return [
        VersionNumbers(version, live.get(version, 0), _wanted(version, wanted, versions), *of_sessions.get(version, ()))
        for version in versions
    ]


def _of_sessions(minutes: float) -> Sequence[tuple[Any, ...]]:
    before = PoolSample.objects.filter(at__lte=Now() - timedelta(minutes=minutes)).order_by("-at").first()
    parameters: dict[str, Any] = {
        "after": before.last_session if before else 0,
        "seconds": minutes * 60,
        "our_fault": list(OUR_FAULT),
        "no_call": list(NO_CALL),
    }
    with connection.cursor() as cursor:
        cursor.execute(OF_SESSIONS, parameters)
        return cursor.fetchall()


def _wanted(version: str, wanted: Shares, versions: Sequence[str]) -> float | None:
    if version in wanted or not wanted:
        return wanted.get(version)
    rest = WHOLE - math.fsum(wanted.values())
    return rest if rest < 1e-6 or len(set(versions) - set(wanted)) == 1 else None

"""Increments the counters of ended sessions and rare events, in the transaction of what they count.

Counters in memory begin again with every restart, and rows are deleted after a while; these counters outlive both. A
session is counted when it ends; those that have not ended are counted from their rows. So a start costs no statement,
and `ended + current` is exact in every snapshot of the database (see pools/status/fleet_metrics.py).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from pools.models import EventCounter, SessionCounter, VersionCounter, VoiceSession
from pools.sessions.end_reasons import OUR_FAULT

SHARDS = 8


class Event(StrEnum):
    """Rare events. `reaped_...`: something without an owner was ended; `leak_...`: rows and Daily differed."""

    REAPED_POD = "reaped_pod"
    REAPED_RESERVED_ROOM = "reaped_reserved_room"
    REAPED_WAITING_SESSION = "reaped_waiting_session"
    REAPED_ABANDONED_CALL = "reaped_abandoned_call"
    REAPED_PROCESS_ROW = "reaped_process_row"
    LEAK_ROOM_UNKNOWN_HERE = "leak_room_unknown_here"
    LEAK_ROOM_UNKNOWN_TO_DAILY = "leak_room_unknown_to_daily"
    LEAK_ROOM_BACK_AFTER_DELETION = "leak_room_back_after_deletion"


# The connection chooses the shard: two transactions at the same time use two connections.
ADD_SESSION = f"""
INSERT INTO {SessionCounter._meta.db_table} AS counter
    (start_kind, agent_miss, room_miss, end_reason, shard, sessions, handed_off_again, never_spoke, never_heard)
VALUES (%s, %s, %s, %s, pg_backend_pid() %% {SHARDS}, 1, %s, %s, %s)
ON CONFLICT (start_kind, agent_miss, room_miss, end_reason, shard) DO UPDATE
SET sessions = counter.sessions + 1, handed_off_again = counter.handed_off_again + excluded.handed_off_again,
    never_spoke = counter.never_spoke + excluded.never_spoke,
    never_heard = counter.never_heard + excluded.never_heard"""  # noqa: S608

# In the order of versions: two ends at once take the rows of a shard in one order. A process that a session has left
# had the version that is noted with the failed hand-off.
ADD_VERSIONS = f"""
INSERT INTO {VersionCounter._meta.db_table} AS counter
    (version, start_kind, shard, sessions, failed, failed_handoffs, joined, joined_s, spoke, spoke_s)
SELECT version, %(start_kind)s, pg_backend_pid() %% {SHARDS}, sum(sessions), sum(sessions) * %(failed)s,
    sum(failed_handoffs), sum(sessions) * %(joined)s, sum(sessions) * %(joined_s)s,
    sum(sessions) * %(spoke)s, sum(sessions) * %(spoke_s)s
FROM (
    SELECT version, 1 AS sessions, 0 AS failed_handoffs FROM pools_agentprocess WHERE id = %(process)s
    UNION ALL SELECT handoff->>'version', 0, 1 FROM jsonb_array_elements(%(handoffs)s) AS handoff
    WHERE handoff->>'version' IS NOT NULL
) AS had GROUP BY version ORDER BY version
ON CONFLICT (version, start_kind, shard) DO UPDATE SET sessions = counter.sessions + excluded.sessions,
    failed = counter.failed + excluded.failed, failed_handoffs = counter.failed_handoffs + excluded.failed_handoffs,
    joined = counter.joined + excluded.joined, joined_s = counter.joined_s + excluded.joined_s,
    spoke = counter.spoke + excluded.spoke, spoke_s = counter.spoke_s + excluded.spoke_s"""  # noqa: S608

ADD_EVENTS = f"""
INSERT INTO {EventCounter._meta.db_table} AS counter (event, number) VALUES (%s, %s)
ON CONFLICT (event) DO UPDATE SET number = counter.number + excluded.number"""  # noqa: S608


def count_session(session: VoiceSession) -> None:
    """Count a session that this transaction has just ended. Call it last: all ends share these rows."""
    values: list[str | int] = [
        session.start_kind,
        session.agent_miss,
        session.room_miss,
        session.end_reason,
        session.attempt - 1,
        int(session.never_spoke),
        int(session.never_heard),
    ]
    with connection.cursor() as cursor:
        cursor.execute(ADD_SESSION, values)
        cursor.execute(ADD_VERSIONS, _of_version(session))


def _of_version(session: VoiceSession) -> dict[str, Any]:
    came = max(session.created_at, session.caller_joined_at or session.created_at)
    joined, spoke = session.bot_joined_at, session.first_audio_at
    before_claim_s = (session.before_claim_ms or 0.0) / 1000
    return {
        "start_kind": session.start_kind,
        "process": session.agent_process_id,
        "handoffs": Jsonb(session.failed_handoffs),
        "failed": int(session.end_reason in OUR_FAULT),
        "joined": int(joined is not None),
        "joined_s": before_claim_s + _seconds(session.created_at, joined) if joined else 0.0,
        "spoke": int(spoke is not None),
        "spoke_s": _seconds(came, spoke),
    }


def _seconds(since: datetime, until: datetime | None) -> float:
    """Seconds between the two, at least 0: the moments come from different clocks."""
    return max(0.0, (until - since).total_seconds()) if until else 0.0


def count_events(event: Event, number: int) -> None:
    """Add a number of events, in their transaction."""
    if number:
        with connection.cursor() as cursor:
            cursor.execute(ADD_EVENTS, [event, number])

"""Counts of the fleet's history that outlive rows, processes and pods: added in the transaction of what they count.

A counter in a process's memory begins again with every restart, and rows are deleted after a while. A session is
counted when it ends, by whoever ends it; those that have not ended are counted from their rows. So a start costs no
statement, and `ended + current` is exact in every snapshot of the database (see pools.status.fleet_metrics).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db import connection
from psycopg.types.json import Jsonb

from pools.models import EventTally, SessionTally, VersionTally, VoiceSession
from pools.sessions.end_reasons import OUR_FAULT

SHARDS = 8


class Event(StrEnum):
    """What is counted beside sessions: `reaped_...` had no owner any more, `leak_...` was found at Daily or here."""

    REAPED_POD = "reaped_pod"
    REAPED_RESERVED_ROOM = "reaped_reserved_room"
    REAPED_WAITING_SESSION = "reaped_waiting_session"
    REAPED_ABANDONED_CALL = "reaped_abandoned_call"
    REAPED_PROCESS_ROW = "reaped_process_row"
    LEAK_ROOM_UNKNOWN_HERE = "leak_room_unknown_here"
    LEAK_ROOM_UNKNOWN_TO_DAILY = "leak_room_unknown_to_daily"
    LEAK_ROOM_BACK_AFTER_DELETION = "leak_room_back_after_deletion"


# Which shard is a matter of the connection: two transactions at once are on two connections.
ADD_SESSION = f"""
INSERT INTO {SessionTally._meta.db_table} AS tally
    (start_kind, agent_miss, room_miss, end_reason, shard, sessions, handed_off_again, never_spoke, never_heard)
VALUES (%s, %s, %s, %s, pg_backend_pid() %% {SHARDS}, 1, %s, %s, %s)
ON CONFLICT (start_kind, agent_miss, room_miss, end_reason, shard) DO UPDATE
SET sessions = tally.sessions + 1, handed_off_again = tally.handed_off_again + excluded.handed_off_again,
    never_spoke = tally.never_spoke + excluded.never_spoke, never_heard = tally.never_heard + excluded.never_heard"""  # noqa: S608

# In the order of versions: two ends at once take the rows of a shard in one order. A process that a session has left
# had the version that is noted with the failed hand-off.
ADD_VERSIONS = f"""
INSERT INTO {VersionTally._meta.db_table} AS tally
    (version, start_kind, shard, sessions, failed, failed_handoffs, joined, joined_s, spoke, spoke_s)
SELECT version, %(start_kind)s, pg_backend_pid() %% {SHARDS}, sum(sessions), sum(sessions) * %(failed)s,
    sum(failed_handoffs), sum(sessions) * %(joined)s, sum(sessions) * %(joined_s)s,
    sum(sessions) * %(spoke)s, sum(sessions) * %(spoke_s)s
FROM (
    SELECT version, 1 AS sessions, 0 AS failed_handoffs FROM pools_agentprocess WHERE id = %(process)s
    UNION ALL SELECT handoff->>'version', 0, 1 FROM jsonb_array_elements(%(handoffs)s) AS handoff
    WHERE handoff->>'version' IS NOT NULL
) AS had GROUP BY version ORDER BY version
ON CONFLICT (version, start_kind, shard) DO UPDATE SET sessions = tally.sessions + excluded.sessions,
    failed = tally.failed + excluded.failed, failed_handoffs = tally.failed_handoffs + excluded.failed_handoffs,
    joined = tally.joined + excluded.joined, joined_s = tally.joined_s + excluded.joined_s,
    spoke = tally.spoke + excluded.spoke, spoke_s = tally.spoke_s + excluded.spoke_s"""  # noqa: S608

ADD_EVENTS = f"""
INSERT INTO {EventTally._meta.db_table} AS tally (event, number) VALUES (%s, %s)
ON CONFLICT (event) DO UPDATE SET number = tally.number + excluded.number"""  # noqa: S608


def count_session(session: VoiceSession) -> None:
    """It has just ended, in this transaction. Last of all: the rows are everybody's."""
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
    """The clocks are two: what seems to come before took no time."""
    return max(0.0, (until - since).total_seconds()) if until else 0.0


def count_events(event: Event, number: int) -> None:
    """In the transaction of the events; nothing for none."""
    if number:
        with connection.cursor() as cursor:
            cursor.execute(ADD_EVENTS, [event, number])

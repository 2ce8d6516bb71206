"""Counts of the fleet's history that outlive rows, processes and pods: added in the transaction of what they count.

A counter in a process's memory begins again with every restart, and rows are deleted after a while. A session is
counted when it ends, by whoever ends it; those that have not ended are counted from their rows. So a start costs no
statement, and `ended + current` is exact in every snapshot of the database (see pools.metrics.fleet).
"""

from enum import StrEnum

from django.db import connection

from pools.models import EventTally, SessionTally, VoiceSession

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
    (start_kind, agent_miss, room_miss, end_reason, shard, sessions, handed_off_again)
VALUES (%s, %s, %s, %s, pg_backend_pid() %% {SHARDS}, 1, %s)
ON CONFLICT (start_kind, agent_miss, room_miss, end_reason, shard) DO UPDATE
SET sessions = tally.sessions + 1, handed_off_again = tally.handed_off_again + excluded.handed_off_again"""  # noqa: S608

ADD_EVENTS = f"""
INSERT INTO {EventTally._meta.db_table} AS tally (event, number) VALUES (%s, %s)
ON CONFLICT (event) DO UPDATE SET number = tally.number + excluded.number"""  # noqa: S608


def count_session(session: VoiceSession) -> None:
    """It has just ended, in this transaction. Last of all: the row is everybody's."""
    values: list[str | int] = [
        session.start_kind,
        session.agent_miss,
        session.room_miss,
        session.end_reason,
        session.attempt - 1,
    ]
    with connection.cursor() as cursor:
        cursor.execute(ADD_SESSION, values)


def count_events(event: Event, number: int) -> None:
    """In the transaction of the events; nothing for none."""
    if number:
        with connection.cursor() as cursor:
            cursor.execute(ADD_EVENTS, [event, number])

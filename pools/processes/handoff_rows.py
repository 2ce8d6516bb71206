"""What a hand-off asks of the rows while its caller waits: two prepared statements."""

from common.postgresql.prepared import columns, from_row, prepared_cursor
from pools.models import Pod, Room, VoiceSession

TO_SEE_TO = f"""
SELECT {columns(VoiceSession, "session")}, {columns(Room, "room")}
FROM pools_voicesession AS session JOIN pools_room AS room ON room.id = session.room_id
LEFT JOIN pools_agentprocess AS process ON process.id = session.agent_process_id
WHERE session.status <> 'ended' AND (session.status = 'waiting' OR (process.pod_id = %s AND (
    session.status = 'assigned' OR (session.status = 'active' AND session.stop_reason <> ''))))
ORDER BY session.id"""  # noqa: S608
SESSION_COLUMNS = len(VoiceSession._meta.concrete_fields)
ACKNOWLEDGE = """
UPDATE pools_voicesession SET status = 'active', active_at = statement_timestamp(),
handed_off_at = statement_timestamp() - make_interval(secs => %s)
WHERE id = %s AND attempt = %s AND agent_process_id = %s AND status = 'assigned'
AND EXISTS (SELECT FROM pools_pod WHERE id = %s AND ended_at IS NULL)"""


def to_see_to(pod: Pod) -> list[VoiceSession]:
    """Oldest first, with their rooms: all that wait, and of the pod's own those to be handed over or to be ended."""
    with prepared_cursor() as cursor:
        cursor.execute(TO_SEE_TO, [pod.pk])
        rows = cursor.fetchall()
    sessions = []
    for row in rows:
        session = from_row(VoiceSession, row[:SESSION_COLUMNS])
        session.room = from_row(Room, row[SESSION_COLUMNS:])
        sessions.append(session)
    return sessions


def acknowledge(session: int, attempt: int, process: int, pod: int, since_start: float) -> bool:
    """Guarded: this session, this attempt, this process, this incarnation of the pod. `since_start`: seconds since
    the process was told."""
    with prepared_cursor() as cursor:
        cursor.execute(ACKNOWLEDGE, [since_start, session, attempt, process, pod])
        return cursor.rowcount == 1

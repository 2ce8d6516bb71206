"""What a hand-off reads and writes in the rows of sessions: which of them are this pod's, and their acknowledgement."""

from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from common.postgresql.prepared import columns, from_row, prepared_cursor
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.shares import draw, prefers

# Prepared SQL, because a caller waits for both statements: building the ORM's would cost more than running them.
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

A_MOMENT = timedelta(seconds=0.5)


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
    """assigned -> active, guarded: this session, this attempt, this process, this incarnation of the pod.
    `since_start`: seconds since the process was told."""
    with prepared_cursor() as cursor:
        cursor.execute(ACKNOWLEDGE, [since_start, session, attempt, process, pod])
        return cursor.rowcount == 1


@transaction.atomic
def assign_oldest(row: AgentProcess, status: StockStatus, left: set[int]) -> VoiceSession | None:
    """waiting -> assigned to this process, which still has this status. None: no session waits but those `left` to
    others. Raises `ProcessTaken`."""
    session = (
        VoiceSession.objects.waiting()
        .exclude(pk__in=left)
        .select_for_update(skip_locked=True, of=("self",))
        .select_related("room")
        .order_by("id")
        .first()
    )
    if session is None:
        return None
    if not AgentProcess.objects.filter(pk=row.pk, status=status).update(status=StockStatus.IN_USE, in_use_at=Now()):
        raise ProcessTaken
    session.status, session.agent_process, session.assigned_at = SessionStatus.ASSIGNED, row, Now()
    session.save(update_fields=["status", "agent_process", "assigned_at"])
    return session


class ProcessTaken(Exception):
    """A claim was faster."""


def left_to_others(pod: Pod, waiting: Sequence[VoiceSession]) -> set[int]:
    """Keys of the waiting sessions that this pod does not take now, while a roll-out stands.

    Every pod sees all sessions that wait, and the first to come has one. A pod whose version a session has not drawn
    leaves it to a pod of that version which says that it has a free slot, but only for a moment: a caller never waits
    for a version. Nor does a session whose first hand-off has failed: any pod takes it. One short statement, for a
    start that has missed already.
    """
    carrying = list(Pod.objects.taking().filter(draws_from__isnull=False).annotate(at=Now()))
    own = next((place for place in carrying if place.pk == pod.pk), None)
    if own is None:
        return set()
    able = [place for place in carrying if place.free_slots and not place.agent_trouble]

    def left(session: VoiceSession) -> bool:
        if session.attempt > 1 or own.at - session.created_at > A_MOMENT:
            return False
        number = draw(session.uuid)
        return not prefers(number, own.draws) and any(prefers(number, place.draws) for place in able)

    return {session.pk for session in waiting if left(session)}

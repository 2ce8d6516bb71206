"""What a hand-off reads and writes in the rows of sessions: which of them are this pod's, and their acknowledgement."""

import functools
from collections.abc import Sequence
from datetime import timedelta

from django.db import transaction
from django.db.models import BigAutoField, DurationField, Exists, PositiveSmallIntegerField, Q
from django.db.models.functions import Now

from common.postgresql.statements import Parameter, Select, Update
from pools.models import AgentProcess, Pod, SessionStatus, StockStatus, VoiceSession
from pools.shares import draw, prefers

A_MOMENT = timedelta(seconds=0.5)


def to_see_to(pod: Pod) -> list[VoiceSession]:
    """Oldest first, with their rooms: all that wait, and of the pod's own those to be handed over or to be ended."""
    return _to_see_to().rows(pod=pod.pk)


@functools.cache
def _to_see_to() -> Select[VoiceSession]:
    """Built once, as `_acknowledge`: a caller waits for both."""
    of_pod = Q(agent_process__pod=Parameter("pod", BigAutoField()))
    to_be_stopped = Q(status=SessionStatus.ACTIVE) & ~Q(stop_reason="")
    mine = of_pod & (Q(status=SessionStatus.ASSIGNED) | to_be_stopped)
    sessions = VoiceSession.objects.current().filter(Q(status=SessionStatus.WAITING) | mine)
    return Select(sessions.select_related("room").order_by("pk"))


def acknowledge(session: int, attempt: int, process: int, pod: int, since_start: float) -> bool:
    """assigned -> active, guarded: this session, this attempt, this process, this incarnation of the pod.
    `since_start`: seconds since the process was told."""
    since = timedelta(seconds=since_start)
    return _acknowledge().run(session=session, attempt=attempt, process=process, pod=pod, since_start=since) == 1


@functools.cache
def _acknowledge() -> Update:
    key = BigAutoField()
    handed_off = VoiceSession.objects.assigned().filter(
        Exists(Pod.objects.current().filter(pk=Parameter("pod", key))),
        pk=Parameter("session", key),
        attempt=Parameter("attempt", PositiveSmallIntegerField()),
        agent_process=Parameter("process", key),
    )
    handed_off_at = Now() - Parameter("since_start", DurationField())
    return Update(handed_off, status=SessionStatus.ACTIVE, active_at=Now(), handed_off_at=handed_off_at)


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

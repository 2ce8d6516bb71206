"""End what has no owner: rows of pods that are gone, rooms reserved for nobody, sessions that wait for nothing.

Any pod may reap; every step is guarded, so that two at once do no harm.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from pools.models import HANDOFF_LEASE, AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.models.pods import PodQuerySet
from pools.sessions import tally
from pools.sessions.end_reasons import HOT_PAIR_LOST
from pools.sessions.ending import (
    NOT_STARTED,
    OnSessionEnded,
    Result,
    end_session,
    end_unclaimed,
    hand_off_failed,
)
from pools.sessions.meeting_tokens import bot_user_ids

logger = logging.getLogger(__name__)

RESERVED_LIFE = timedelta(seconds=60)


def reap_lost_pods(on_session_ended: OnSessionEnded, *, but: Pod) -> int:
    """Pods silent for longer than the lease: their processes and unacknowledged sessions are nobody's now."""
    lost = list(Pod.objects.lost().exclude(pk=but.pk))
    for pod in lost:
        logger.warning("event=pod_reaped pod=%s host=%s former_pid=%d", pod.name, pod.host, pod.os_pid)
        with transaction.atomic():
            tally.count_events(tally.Event.REAPED_POD, int(pod.end("no heartbeat")))
        reap_pod(pod, "no heartbeat", on_session_ended)
    return len(lost)


def take_back_unacknowledged(on_session_ended: OnSessionEnded) -> int:
    """Sessions in the hands of a pod without a lease: another takes them. Should the pod wake up, its acknowledgement
    changes no row, because the attempt is another."""
    without_lease = Q(agent_process__pod__ended_at__isnull=False) | Q(
        agent_process__pod__heartbeat_at__lte=Now() - HANDOFF_LEASE
    )
    return _hand_back(VoiceSession.objects.assigned().filter(without_lease), "its pod is silent", on_session_ended)


def _hand_back(sessions: Iterable[VoiceSession], problem: str, on_session_ended: OnSessionEnded) -> int:
    """Those of them that are still assigned: one may be acknowledged just now, and its bot told to go."""
    return sum(
        hand_off_failed(session.pk, session.attempt, problem, on_session_ended, was=[SessionStatus.ASSIGNED])
        for session in sessions
    )


def reap_pod(pod: Pod, reason: str, on_session_ended: OnSessionEnded) -> None:
    """First the pod's own row ends: from then on it can acknowledge nothing. Then what it had.

    Its idle processes die with it by themselves. Calls under way go on without it, so that active sessions are left
    to `end_abandoned_calls`; its rooms are adopted by the others.
    """
    pod.end(reason)
    assigned = VoiceSession.objects.assigned().filter(agent_process__pod=pod)
    _hand_back(assigned, f"its pod: {reason}", on_session_ended)
    end_unclaimed(VoiceSession.objects.filter(agent_process__pod=pod), HOT_PAIR_LOST, on_session_ended)
    AgentProcess.objects.current().filter(pod=pod).exclude(voice_session__status=SessionStatus.ACTIVE).update(
        status=StockStatus.ENDED, ended_at=Now(), end_reason=f"pod: {reason}"
    )  # which has waited for claims that had taken one of them and were about to commit
    _hand_back(assigned.all(), f"its pod: {reason}", on_session_ended)
    release_rooms(Pod.objects.filter(pk=pod.pk))


def release_rooms(pods: PodQuerySet) -> None:
    """They go: what they have is left to the others; what was being made is deleted, whether or not it was made."""
    Room.objects.available().filter(pod__in=pods).update(pod=None)
    Room.objects.warming().filter(pod__in=pods).update(
        status=StockStatus.ENDED, ended_at=Now(), end_reason="its pod went while it was made"
    )


def reap_reserved_rooms() -> int:
    """Made for a request that never claimed them."""
    reserved = Room.objects.warming().filter(reserved=True, created_at__lt=Now() - RESERVED_LIFE)
    with transaction.atomic():
        reaped = reserved.update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="reserved and never claimed", reserved=False
        )
        tally.count_events(tally.Event.REAPED_RESERVED_ROOM, reaped)
    return reaped


def end_overdue_waiting(patience: float, on_session_ended: OnSessionEnded) -> int:
    """Sessions that have waited too long for a process; their leads go back to the backlog."""
    overdue = VoiceSession.objects.waiting().filter(created_at__lt=Now() - timedelta(seconds=patience))
    ended = 0
    for pk in list(overdue.values_list("pk", flat=True)):
        with transaction.atomic():
            if VoiceSession.objects.waiting().select_for_update(skip_locked=True).filter(pk=pk).first():
                result = Result(NOT_STARTED, detail={"problem": "no agent process became free in time"})
                ended += (reaped := end_session(pk, result, on_session_ended))
                tally.count_events(tally.Event.REAPED_WAITING_SESSION, int(reaped))
    return ended


def abandoned_calls() -> list[VoiceSession]:
    """Active sessions whose pod is gone: the call may well be going on."""
    gone = Q(agent_process__pod__ended_at__isnull=False)
    return list(VoiceSession.objects.active().filter(gone).select_related("room", "agent_process"))


def end_abandoned_calls(
    sessions: list[VoiceSession], present: set[str], settled: float, on_session_ended: OnSessionEnded
) -> int:
    """End those whose bot is not in its room. `present`: user ids of all participants at Daily, read after `sessions`.

    Only those acknowledged at least `settled` seconds ago: the time for joining and the age of Daily's data. One whose
    bot never joined is handed to another process then: with its pod fenced and its bot absent, there is no first bot
    that a second could meet.
    """
    acknowledged = VoiceSession.objects.active().filter(active_at__lt=Now() - timedelta(seconds=settled))
    absent = [session for session in sessions if not bot_user_ids(session) & present]
    ended = 0
    for session in absent:
        if not acknowledged.filter(pk=session.pk).exists():
            continue
        if session.bot_joined_at is None:
            hand_off_failed(session.pk, session.attempt, "its pod was lost before the bot joined", on_session_ended)
        else:
            with transaction.atomic():
                over = end_session(session.pk, Result("supervisor_lost"), on_session_ended)
                tally.count_events(tally.Event.REAPED_ABANDONED_CALL, int(over))
        if session.agent_process:
            session.agent_process.end("its pod was lost")
        ended += 1
    return ended

"""End what has no owner: rows of pods that are gone, rooms reserved for nobody, sessions that wait for nothing.

Any pod may reap; every step is guarded, so that two at once do no harm, and leaves rows that somebody has locked for
the next time: a lock on one pod's row must not make another pod late.
"""

import logging
from collections.abc import Iterable
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Now

from pools.chores.unlocked import keys_of_unlocked
from pools.guards import Guards
from pools.models import AgentProcess, Pod, Room, SessionStatus, StockStatus, VoiceSession
from pools.models.pods import PodQuerySet
from pools.sessions import counters
from pools.sessions.end_reasons import PREJOINED_PAIR_LOST
from pools.sessions.ending import (
    NOT_STARTED,
    Result,
    end_session,
    end_unclaimed,
    hand_off_failed,
)
from pools.sessions.meeting_tokens import bot_user_ids

logger = logging.getLogger(__name__)

RESERVED_LIFE = timedelta(seconds=60)


def reap_lost_pods(lost: PodQuerySet, guards: Guards | None = None) -> int:
    """Pods silent for longer than the lease: their processes and unacknowledged sessions are nobody's now. How many."""
    ended = [_end_lost(lost, pk) for pk in list(lost.values_list("pk", flat=True))]
    reaped = [pod for pod in ended if pod is not None]
    for pod in reaped:
        logger.warning("event=pod_reaped pod=%s host=%s former_pid=%d", pod.name, pod.host, pod.os_pid)
    if reaped:
        settle_ended_pods(guards)
    return len(reaped)


@transaction.atomic
def _end_lost(lost: PodQuerySet, pk: int) -> Pod | None:
    """None: another has reaped it, it has proved that it lives, or somebody has locked its row."""
    pod = lost.filter(pk=pk).select_for_update(skip_locked=True, no_key=True).first()
    if pod is None or not pod.end("no heartbeat"):
        return None
    counters.count_events(counters.Event.REAPED_POD, 1)
    return pod


def take_back_unacknowledged(silent: PodQuerySet, guards: Guards | None = None) -> int:
    """Sessions in the hands of a pod without a lease: another takes them. Should the pod wake up, its acknowledgement
    changes no row, because the attempt is another."""
    assigned = VoiceSession.objects.assigned().filter(agent_process__pod__in=silent)
    return _hand_back(assigned, "its pod is silent", guards, skip_locked=True)


def settle_ended_pods(guards: Guards | None = None) -> None:
    """What pods that have ended still have in their rows: whoever ended them has been stopped half-way, a claim has
    taken something meanwhile, or a call has ended without its pod. Again and again the same, until nothing is left.

    Calls under way go on without their pod: active sessions, and their processes, are left to `end_abandoned_calls`.
    """
    ended = Pod.objects.ended()
    sessions = VoiceSession.objects.filter(agent_process__pod__in=ended)
    _hand_back(sessions.assigned(), "its pod has ended", guards, skip_locked=True)
    end_unclaimed(sessions, PREJOINED_PAIR_LOST)
    in_session = VoiceSession.objects.current().filter(agent_process=OuterRef("pk"))
    processes = AgentProcess.objects.current().filter(~Exists(in_session), pod__in=ended)
    with transaction.atomic():
        AgentProcess.objects.filter(pk__in=keys_of_unlocked(processes)).update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="its pod has ended"
        )
    release_rooms(ended)


def _hand_back(
    sessions: Iterable[VoiceSession],
    problem: str,
    guards: Guards | None = None,
    *,
    skip_locked: bool = False,
) -> int:
    """Those of them that are still assigned: one may be acknowledged just now, and its bot told to go."""

    def hand_back(session: VoiceSession) -> bool:
        return hand_off_failed(
            session.pk,
            session.attempt,
            problem,
            was=[SessionStatus.ASSIGNED],
            skip_locked=skip_locked,
        )

    return (guards or Guards()).count("handing back session", sessions, hand_back)


def reap_pod(pod: Pod, reason: str) -> None:
    """By the pod itself, or by its next incarnation. What cannot be done now, `settle_ended_pods` does later.

    First the pod's own row ends: from then on it can acknowledge nothing. Then what it had.

    Its idle processes die with it by themselves. Calls under way go on without it, so that active sessions are left
    to `end_abandoned_calls`; its rooms are adopted by the others.
    """
    pod.end(reason)
    assigned = VoiceSession.objects.assigned().filter(agent_process__pod=pod)
    _hand_back(assigned, f"its pod: {reason}")
    end_unclaimed(VoiceSession.objects.filter(agent_process__pod=pod), PREJOINED_PAIR_LOST)
    AgentProcess.objects.current().filter(pod=pod).exclude(voice_session__status=SessionStatus.ACTIVE).update(
        status=StockStatus.ENDED, ended_at=Now(), end_reason=f"pod: {reason}"
    )  # which has waited for claims that had taken one of them and were about to commit
    _hand_back(assigned.all(), f"its pod: {reason}")
    release_rooms(Pod.objects.filter(pk=pod.pk))


def release_rooms(pods: PodQuerySet) -> None:
    """They go: what they have is left to the others; what was being made is deleted, whether or not it was made."""
    with transaction.atomic():
        theirs = keys_of_unlocked(Room.objects.available().filter(pod__in=pods))
        Room.objects.filter(pk__in=theirs).update(pod=None)
    with transaction.atomic():
        unfinished = keys_of_unlocked(Room.objects.warming().filter(pod__in=pods))
        Room.objects.filter(pk__in=unfinished).update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="its pod went while it was made"
        )


def reap_reserved_rooms() -> int:
    """Made for a request that never claimed them."""
    reserved = Room.objects.warming().filter(reserved=True, created_at__lt=Now() - RESERVED_LIFE)
    with transaction.atomic():
        reaped = Room.objects.filter(pk__in=keys_of_unlocked(reserved)).update(
            status=StockStatus.ENDED, ended_at=Now(), end_reason="reserved and never claimed", reserved=False
        )
        counters.count_events(counters.Event.REAPED_RESERVED_ROOM, reaped)
    return reaped


def end_overdue_waiting(patience: float, guards: Guards | None = None) -> int:
    """Sessions that have waited too long for a process; their leads go back to the backlog."""
    overdue = VoiceSession.objects.waiting().filter(created_at__lt=Now() - timedelta(seconds=patience))

    @transaction.atomic
    def end_one(session: VoiceSession) -> bool:
        if not VoiceSession.objects.waiting().select_for_update(skip_locked=True).filter(pk=session.pk).first():
            return False
        result = Result(NOT_STARTED, detail={"problem": "no agent process became free in time"})
        reaped = end_session(session.pk, result)
        counters.count_events(counters.Event.REAPED_WAITING_SESSION, int(reaped))
        return reaped

    return (guards or Guards()).count("ending overdue session", list(overdue.only("pk", "uuid")), end_one)


def abandoned_calls() -> list[VoiceSession]:
    """Active sessions whose pod is gone: the call may well be going on."""
    gone = Q(agent_process__pod__ended_at__isnull=False)
    return list(VoiceSession.objects.active().filter(gone).select_related("room", "agent_process"))


def end_abandoned_calls(
    sessions: list[VoiceSession],
    present: set[str],
    settled: float,
    guards: Guards | None = None,
) -> int:
    """End those whose bot is not in its room. `present`: user ids of all participants at Daily, read after `sessions`.

    Only those acknowledged at least `settled` seconds ago: the time for joining and the age of Daily's data. One whose
    bot never joined is handed to another process then: with its pod fenced and its bot absent, there is no first bot
    that a second could meet.
    """
    acknowledged = VoiceSession.objects.active().filter(active_at__lt=Now() - timedelta(seconds=settled))
    absent = [session for session in sessions if not bot_user_ids(session) & present]
    due = set(acknowledged.filter(pk__in=[session.pk for session in absent]).values_list("pk", flat=True))
    gone = [session for session in absent if session.pk in due]
    return (guards or Guards()).count("ending abandoned session", gone, _end_abandoned)


def _end_abandoned(session: VoiceSession) -> bool:
    if session.bot_joined_at is None:
        problem = "its pod was lost before the bot joined"
        over = hand_off_failed(session.pk, session.attempt, problem, skip_locked=True)
    else:
        with transaction.atomic():
            unlocked = keys_of_unlocked(VoiceSession.objects.active().filter(pk=session.pk))
            over = bool(unlocked) and end_session(session.pk, Result("supervisor_lost"))
            counters.count_events(counters.Event.REAPED_ABANDONED_CALL, int(over))
    if over and session.agent_process:
        session.agent_process.end("its pod was lost")
    return over

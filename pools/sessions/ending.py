"""The end of a voice session, and a hand-off that failed: the two transactions that touch several models.

Lock order: session, process, room, pod, lead. What leads need happens in the same transaction, see `owner`.
"""

import logging
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Extract, Now

from pools import notifications
from pools.decisions import planner
from pools.models import OperatorAction, SessionStatus, VoiceSession
from pools.models.voice_sessions import VoiceSessionQuerySet
from pools.protocol import Ended
from pools.sessions import counters, owner, traces
from pools.sessions.end_reasons import NO_CALL, PREJOINED_PAIR_GIVEN_UP, PREJOINED_PAIR_LOST

events = logging.getLogger("pools.events")

NOT_STARTED = "not_started"
ENDED_BY_OPERATOR = "ended_by_operator"
NEVER_IN = ("join_timeout", "join_failed", "bot_error")  # how a bot says that it did not get into its room


@dataclass(frozen=True)
class Result:
    """How a session ended; `reason` is one of the end reasons of the glossary."""

    reason: str
    outcome: str = ""
    transcript: list[dict[str, Any]] = field(default_factory=list, repr=False)
    detail: dict[str, Any] = field(default_factory=dict, repr=False)
    never_spoke: bool = False
    never_heard: bool = False

    @classmethod
    def of(cls, ended: Ended) -> "Result":
        """What the process has reported."""
        said = {"error": ended.error, "hangup_cause": ended.cause, "phone_answered": ended.phone_answered}
        return cls(
            ended.reason,
            ended.outcome,
            ended.transcript,
            ended.detail | {name: it for name, it in said.items() if it},
            ended.never_spoke,
            ended.never_heard,
        )


def end_session(pk: int, result: Result) -> bool:
    """Ends it, its room with it, and tells the lead. False: it was over already, or a failover has lost its row. The
    process has its own end."""
    with transaction.atomic():
        session = (
            VoiceSession.objects.current().select_for_update(of=("self",)).select_related("room").filter(pk=pk).first()
        )
        if session is None:
            return False
        _end(session, result)
    return True


def hand_off_failed(
    pk: int,
    attempt: int,
    problem: str,
    *,
    hopeless: bool = False,
    was: Collection[str] = (SessionStatus.ASSIGNED, SessionStatus.ACTIVE),
    skip_locked: bool = False,
) -> bool:
    """The process of this attempt is dead, or will never be told to go, and its bot never joined: the session waits
    for another process, or ends as not started. False: somebody else has settled it already.

    `hopeless`: no other process would get into the room. `was`: the statuses in which that is so. Without proof of the
    process's death only ASSIGNED: an active one has been told to go. `skip_locked`: one that somebody has locked is
    left as it is.
    """
    with transaction.atomic():
        session = (
            VoiceSession.objects.select_for_update(of=("self",), skip_locked=skip_locked)
            .select_related("room", "agent_process__pod")
            .annotate(age=Extract(Now() - F("created_at"), "epoch"))
            .filter(pk=pk, attempt=attempt, status__in=was)
            .first()
        )
        if session is None:
            return False
        if session.unclaimed:
            _end(session, Result(PREJOINED_PAIR_LOST, detail={"problem": problem}))
            return True
        if session.stop_reason:
            _end(session, Result(session.stop_reason, detail={"problem": problem}))
            return True
        session.failed_handoffs.append(_failed_handoff(session, problem))
        if hopeless or not planner.may_hand_off_again(attempt=session.attempt, age=float(session.age)):
            _end(session, Result(NOT_STARTED, detail={"problem": problem}))
            return True
        session.status, session.agent_process, session.assigned_at, session.active_at = (
            SessionStatus.WAITING,
            None,
            None,
            None,
        )
        session.handed_off_at = session.bot_joined_at = None  # a pre-joined pair's bot has already joined
        session.attempt += 1
        session.save(
            update_fields=[
                "status",
                "agent_process",
                "assigned_at",
                "handed_off_at",
                "active_at",
                "bot_joined_at",
                "attempt",
                "failed_handoffs",
            ]
        )
    notifications.wake_supervisors()
    events.warning(
        "event=session_handed_back session=%s lead=%s attempt=%d problem=%r",
        session.uuid,
        session.reference,
        attempt,
        problem,
    )
    return True


def _failed_handoff(session: VoiceSession, problem: str) -> dict[str, Any]:
    """What is kept of a hand-off when its process is taken from the session."""
    process = session.agent_process
    return {
        "attempt": session.attempt,
        "agent": str(process.uuid) if process else "",
        "pod": process.pod.name if process else "",
        "version": process.version if process else "",
        "assigned_at": session.assigned_at.isoformat() if session.assigned_at else None,
        "failed_at": datetime.now(UTC).isoformat(),
        "problem": problem[:300],
    }


def ask_to_end(uuid: UUID, reason: str) -> VoiceSession | None:
    """End a session, from anywhere: a call is ended by the pod that has it, anything else here and now.

    None: there is no such session. One that is over stays as it is.
    """
    with transaction.atomic():
        session = (
            VoiceSession.objects.select_for_update(of=("self",))
            .select_related("room", "agent_process__pod")
            .filter(uuid=uuid)
            .first()
        )
        if session is None or session.status == SessionStatus.ENDED:
            return session
        process = session.agent_process
        if session.status == SessionStatus.ACTIVE and process and process.pod.ended_at is None:
            session.stop_reason = reason
            session.save(update_fields=["stop_reason"])
        else:
            _end(session, Result(reason))
    notifications.wake_for(session.agent_process_id, session.room_id)
    return session


def end_for_operator(uuid: UUID, by: str) -> VoiceSession | None:
    """As `ask_to_end`, and the operators' actions say who it was; once, however often it is asked for."""
    with transaction.atomic():
        open_ = VoiceSession.objects.exclude(status=SessionStatus.ENDED).filter(uuid=uuid, stop_reason="").exists()
        session = ask_to_end(uuid, ENDED_BY_OPERATOR)
        if open_:
            OperatorAction.note(by, f"end session {uuid}")
    return session


def end_unclaimed(sessions: VoiceSessionQuerySet, reason: str) -> list[int]:
    """Give up pre-joined pairs that nobody has claimed up to now; their primary keys. They were no calls."""
    with transaction.atomic():
        unclaimed = sessions.unclaimed().select_for_update(skip_locked=True, of=("self",)).select_related("room")
        ended = list(unclaimed)
        for session in ended:
            _end(session, Result(reason))
    return [session.pk for session in ended]


def _reason_of_pair(reason: str) -> str:
    """Of a pre-joined pair that nobody has claimed: one of those that say that it was no call."""
    if reason in NO_CALL:
        return reason
    return PREJOINED_PAIR_GIVEN_UP if reason == ENDED_BY_OPERATOR else PREJOINED_PAIR_LOST


def _end(session: VoiceSession, result: Result) -> None:
    never_claimed, session.unclaimed = session.unclaimed, False
    session.status = SessionStatus.ENDED
    session.end_reason = _reason_of_pair(result.reason) if never_claimed else result.reason[:100]
    session.outcome = result.outcome[:50]
    session.transcript = result.transcript
    session.detail = result.detail
    session.never_spoke, session.never_heard = result.never_spoke, result.never_heard
    if result.reason == NOT_STARTED:
        session.request_key = None  # the lead goes back to its backlog: a retry with this key may start it anew
    session.ended_at = Now()
    session.save(
        update_fields=[
            "status",
            "end_reason",
            "outcome",
            "transcript",
            "detail",
            "never_spoke",
            "never_heard",
            "failed_handoffs",
            "request_key",
            "unclaimed",
            "ended_at",
        ]
    )
    session.room.end(f"session {result.reason}")
    if never_claimed:
        return
    owner.session_ended(session)
    counters.count_session(session)
    ids = session.uuid, session.reference
    kind, pk = session.start_kind, session.pk
    what_went_wrong = _in_the_log(session)

    def tell() -> None:
        events.info(
            "event=session_ended session=%s lead=%s reason=%s start=%s%s", *ids, result.reason, kind, what_went_wrong
        )
        traces.send(pk)

    transaction.on_commit(tell, robust=True)  # the session is over, whatever the log and the traces say


def _in_the_log(session: VoiceSession) -> str:
    """The rest of the line: nothing for a call in which all went well."""
    silent = "".join(f" {name}=true" for name in ("never_spoke", "never_heard") if getattr(session, name))
    return silent + (f" error={session.error!r}" if session.error else "")

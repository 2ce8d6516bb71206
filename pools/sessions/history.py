"""Reads the history of a session from its rows: its timeline, why its start missed, and its failed hand-offs."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from django.db.models import Min, Q

from pools.models import AgentProcess, Room, StartKind, VoiceSession
from pools.sessions import explain, timeline
from pools.sessions.end_reasons import NO_CALL
from pools.sessions.misses import Circumstances

NEIGHBOURS = 500  # rows made shortly before or after have nearby keys: no index on times is needed


@dataclass(frozen=True)
class SessionHistory:
    """What happened in one session, for the timeline API, the admin, `pools explain` and traces."""

    session: VoiceSession
    steps: list[timeline.Step]
    misses: list[explain.Miss]

    @classmethod
    def read(cls, session_uuid: uuid.UUID) -> Self:
        """The history of the session with this id. Raises VoiceSession.DoesNotExist."""
        sessions = VoiceSession.objects.select_related("room", "agent_process__pod").defer("body", "transcript")
        return cls.of(sessions.get(uuid=session_uuid))

    @classmethod
    def of(cls, session: VoiceSession) -> Self:
        return cls(session, timeline.timeline(moments_of(session)), misses_of(session))

    @property
    def verdict(self) -> str:
        return explain.verdict(self.session.start_kind, self.steps)

    def lines(self) -> list[str]:
        """The history as text, one line each."""
        lines = explain.in_words(self.session.start_kind, self.misses, self.session.failed_handoffs, self.steps)
        return [*lines, *self.problems]

    @property
    def problems(self) -> list[str]:
        """What went wrong in the call itself, one line each."""
        session = self.session
        said = [("error", session.error), ("problem", str(session.detail.get("problem", "")))]
        lines = [f"{name}: {words}" for name, words in said if words]
        if session.never_spoke:
            lines.append("the bot never spoke: the caller was there and heard nothing")
        if session.never_heard:
            lines.append("the bot never heard the caller: no words, or no voice, came through to it")
        return lines

    def as_json(self, *, for_operator: bool = True) -> dict[str, Any]:
        """The history for JSON. Only operators see pods, processes and internal errors."""
        session = self.session
        process = session.agent_process
        return {
            "session_id": str(session.uuid),
            "lead_id": str(session.reference) if session.reference else None,
            "status": session.status,
            "end_reason": session.end_reason,
            "error": session.error,
            "never_spoke": session.never_spoke,
            "never_heard": session.never_heard,
            "pod": process.pod.name if process and for_operator else None,
            "verdict": self.verdict,
            "start": {
                "kind": session.start_kind,
                "reason": session.start_reason,
                "misses": [miss.as_json() if for_operator else miss.in_short() for miss in self.misses],
            },
            "failed_handoffs": [
                failed if for_operator else {"attempt": failed["attempt"], "failed_at": failed["failed_at"]}
                for failed in session.failed_handoffs
            ],
            "steps": [step.as_json() for step in self.steps],
        }


def moments_of(session: VoiceSession) -> timeline.Moments:
    """The moments of the session, from its columns."""
    return timeline.Moments(
        claim=session.created_at,
        before_claim_ms=session.before_claim_ms,
        room_asked=session.room.created_at if session.room_miss else None,
        failed_handoffs=[datetime.fromisoformat(failed["failed_at"]) for failed in session.failed_handoffs],
        process=session.assigned_at,
        handoff=session.handed_off_at,
        acknowledged=session.active_at,
        bot_joined=session.bot_joined_at,
        caller_joined=session.caller_joined_at,
        first_audio=session.first_audio_at,
        end=session.ended_at,
    )


def misses_of(session: VoiceSession) -> list[explain.Miss]:
    """Why the start found no process or no room ready. Reads nothing for a warm start."""
    if not (session.agent_miss or session.room_miss):
        return []
    seen = Circumstances.read(session.circumstances or {})
    around = _around(session)
    misses = []
    if session.agent_miss:
        misses.append(explain.agent_miss(session.agent_miss, seen, around))
    if session.room_miss:
        misses.append(explain.room_miss(session.room_miss, seen, around))
    return misses


def _around(session: VoiceSession) -> explain.Around:
    """What happened in the pools shortly before and after the claim."""
    claimed_at = session.created_at
    near = Q(pk__range=(session.pk - NEIGHBOURS, session.pk + NEIGHBOURS))
    before = Q(created_at__gt=claimed_at - timedelta(seconds=explain.WINDOW_S), created_at__lte=claimed_at)
    prejoined = Q(start_kind=StartKind.PREJOINED, unclaimed=False) & ~Q(
        end_reason__in=NO_CALL
    )  # their keys may be much older
    starts = VoiceSession.objects.filter(
        before & prejoined | before & near & ~Q(start_kind=StartKind.PREJOINED)
    ).exclude(pk=session.pk)
    agents = AgentProcess.objects.filter(available_at__gt=claimed_at)
    rooms = Room.objects.filter(available_at__gt=claimed_at)
    return explain.Around(
        starts_before=starts.count(),
        next_agent_s=_first(agents, session.agent_process_id, claimed_at),
        next_room_s=_first(rooms, session.room_id, claimed_at),
        waited_agent_s=_waited(claimed_at, session.assigned_at) if session.attempt == 1 else None,
        waited_room_s=_waited(session.room.created_at, claimed_at) if session.room_miss else None,
    )


def _waited(since: datetime, until: datetime | None) -> float | None:
    return (until - since).total_seconds() if until else None


def _first(rows: Any, near: int | None, since: datetime) -> float | None:
    """Seconds until the first of the rows made at about the same time became available."""
    if near is None:
        return None
    at = rows.filter(pk__range=(near - NEIGHBOURS, near + NEIGHBOURS)).aggregate(at=Min("available_at"))["at"]
    return (at - since).total_seconds() if at else None

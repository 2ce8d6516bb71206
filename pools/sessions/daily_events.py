"""What Daily's webhooks tell us, written into the rows: who is in a room, what has been recorded.

Events come more than once, late and out of order. Each is taken once (its id is remembered), in one transaction with
what it changes; and it changes something only if it is newer than what is known. They are hints that come sooner than
looking: without them everything still ends, later.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from pools import phone
from pools.daily.webhooks import DailyEvent
from pools.guards import Guards
from pools.models import SeenDailyEvent, SessionStatus, VoiceSession
from pools.sessions.ending import Result, ask_to_end, end_session
from pools.sessions.meeting_tokens import bot_user_ids

logger = logging.getLogger(__name__)

REMEMBERED = timedelta(days=1)  # longer than a signature is valid


def receive(event: DailyEvent) -> bool:
    """Take one event. False: it had been taken before."""
    with transaction.atomic():
        _, new = SeenDailyEvent.objects.get_or_create(event_id=event.id, defaults={"type": event.type[:100]})
        if not new:
            return False
        match event.type:
            case "participant.joined":
                _joined(event)
            case "participant.left":
                _left(event)
            case "meeting.ended":
                _meeting_ended(event)
            case "dialout.answered":
                _answered(event)
            case "dialout.stopped" | "dialout.error":
                _not_answered(event)
            case "recording.ready-to-download":
                _recorded(event)
    return True


def _session(event: DailyEvent) -> VoiceSession | None:
    """The current session of the event's room, locked."""
    return (
        VoiceSession.objects.current()
        .select_for_update(of=("self",))
        .select_related("room", "agent_process__pod")
        .filter(room__name=event.room)
        .first()
    )


def _is_caller(session: VoiceSession, event: DailyEvent) -> bool:
    """Neither our bot nor an operator who listens in: owners are not callers."""
    return event.text("user_id") not in bot_user_ids(session) and event.payload.get("owner") is not True


def _joined(event: DailyEvent) -> None:
    session, since = _session(event), event.moment("joined_at")
    if session is None or since is None or not _is_caller(session, event):
        return
    if session.caller_present_since is not None and since <= session.caller_present_since:
        return
    if not session.outbound:  # a telephone is in the room as soon as it rings
        session.caller_joined_at = session.caller_joined_at or since
    session.caller_present_since, session.caller_left_at = since, None
    session.save(update_fields=["caller_joined_at", "caller_present_since", "caller_left_at"])


def _answered(event: DailyEvent) -> None:
    """Where the bot cannot see its telephone, this is how it is known that somebody has picked up."""
    session = _session(event)
    if session is not None and session.outbound and session.caller_joined_at is None:
        session.caller_joined_at = event.at
        session.save(update_fields=["caller_joined_at"])


def _not_answered(event: DailyEvent) -> None:
    """The bot in the room hears the same, and is told to end in case that it has not."""
    session = _session(event)
    if session is not None and session.outbound and session.caller_joined_at is None:
        failed = event.type == "dialout.error"
        reason = phone.end_reason(failed=failed, words=phone.words_in(event.payload))
        ask_to_end(session.uuid, reason)


def _left(event: DailyEvent) -> None:
    session, since = _session(event), event.moment("joined_at")
    if session is None or since is None:
        return
    if _is_caller(session, event):
        _caller_gone(session, since, event.at)
    elif event.text("user_id") in bot_user_ids(session):
        _bot_gone(session, event.at)


def _meeting_ended(event: DailyEvent) -> None:
    """Nobody is in the room; told up to 20 s after the last one left, so that another meeting may have begun."""
    session, ended_at = _session(event), event.moment("end_ts")
    if session is None or ended_at is None:
        return
    came = session.caller_present_since or session.caller_joined_at
    if came is not None and came <= ended_at and session.caller_left_at is None:
        _caller_gone(session, came, ended_at)
    _bot_gone(session, ended_at)


def _caller_gone(session: VoiceSession, since: datetime, at: datetime) -> None:
    """`since`: when the one who has left had come. Whoever came later is still there."""
    if session.caller_present_since is not None and since < session.caller_present_since:
        return
    if session.outbound and session.caller_joined_at is None:
        return  # a telephone that nobody has answered: its bot knows why
    session.caller_joined_at = session.caller_joined_at or since
    session.caller_present_since, session.caller_left_at = since, at
    session.save(update_fields=["caller_joined_at", "caller_present_since", "caller_left_at"])


def _bot_gone(session: VoiceSession, at: datetime) -> None:
    """A process tells its own pod how it ended. Where that pod is gone, this is all that is heard of it."""
    process = session.agent_process
    abandoned = process is not None and process.pod.ended_at is not None
    if session.status != SessionStatus.ACTIVE or not abandoned:
        return
    if session.bot_joined_at is not None and session.bot_joined_at <= at:
        end_session(session.pk, Result("supervisor_lost"))


def _recorded(event: DailyEvent) -> None:
    VoiceSession.objects.filter(room__name=event.room).update(recording_id=event.text("recording_id")[:64])


def end_left_alone(patience: float, guards: Guards | None = None) -> int:
    """Tell bots to end whose caller has been gone for that many seconds: one may come back from a broken network."""
    gone = VoiceSession.objects.active().filter(stop_reason="", caller_left_at__lt=Now() - timedelta(seconds=patience))

    @transaction.atomic
    def tell(session: VoiceSession) -> bool:
        if not gone.select_for_update(skip_locked=True).filter(pk=session.pk).first():
            return False
        ask_to_end(session.uuid, "caller_left")
        return True

    return (guards or Guards()).count("ending session", list(gone.only("pk", "uuid")), tell)


def forget_old() -> None:
    SeenDailyEvent.objects.filter(received_at__lt=Now() - REMEMBERED).delete()

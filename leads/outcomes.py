"""What the end of a voice session means for its lead; runs in the transaction that ends the session."""

from django.db.models.functions import Coalesce, Now

from leads.models import Lead, LeadStatus
from pools.models import VoiceSession
from pools.sessions import NOT_STARTED

UNKNOWN = "UNKNOWN"
NO_ANSWER = "NO_ANSWER"


def session_ended(session: VoiceSession) -> None:
    """A start that never ran gives the lead back to its backlog; any other end finishes it, with an outcome.

    Called again when the report of a call comes in after its end (its supervisor was lost): the outcome is completed.
    """
    lead = Lead.objects.filter(voice_session=session)
    if session.end_reason == NOT_STARTED:
        lead.update(
            status=LeadStatus.BACKLOG,
            voice_session=None,
            call_id="",
            platform_status="",
            platform_reason="",
            next_attempt_at=Now(),
            updated_at=Now(),
        )
        return
    lead.update(
        status=LeadStatus.FINISHED,
        outcome=outcome_of(session),
        end_reason=session.end_reason,
        transcription=session.transcript,
        call_end_time=Coalesce("call_end_time", Now()),
        updated_at=Now(),
    )


def outcome_of(session: VoiceSession) -> str:
    """The bot's own word; without one, the published fallbacks."""
    return session.outcome or (NO_ANSWER if session.end_reason == "caller_never_joined" else UNKNOWN)

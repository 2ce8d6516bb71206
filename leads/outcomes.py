"""Finishes a lead, or gives it back to the backlog, when its voice session ends; in the same transaction."""

from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Coalesce, Now

from leads.models import Lead, LeadStatus, PlatformStatus
from leads.telephony import phone_calls
from leads.telephony.phone_calls import NO_ANSWER, UNKNOWN
from leads.webhooks import outbox
from pools.models import VoiceSession
from pools.sessions.ending import NOT_STARTED

NOT_DIALLED_PAUSE = timedelta(seconds=30)  # so that a bot that always fails before dialling is not tried in a loop

KEPT_BY_RETRIES = (
    "request_id",
    "template",
    "reseller_id",
    "merchant_id",
    "execution_mode",
    "payload",
    "is_playground",
    "configurations_override",
    "flow_override",
    "reporting_webhook_url",
)


def session_ended(session: VoiceSession) -> None:
    """Finish the lead of a session with an outcome; if the session never started, give it back to the backlog.

    Called again if a call's report arrives after its end, because its supervisor was lost; then the outcome is updated.
    """
    if session.outbound:
        _phone_session_ended(session)
        return
    lead = Lead.objects.filter(voice_session=session)
    if session.end_reason == NOT_STARTED:
        _back_to_backlog(lead, timedelta())
        return
    _finish(lead, session, outcome=outcome_of(session))


def outcome_of(session: VoiceSession) -> str:
    """Return what the bot reported; NO_ANSWER if no caller joined, UNKNOWN without a report."""
    return NO_ANSWER if session.end_reason == "caller_never_joined" else session.outcome or UNKNOWN


def _phone_session_ended(session: VoiceSession) -> None:
    lead = Lead.objects.select_for_update(of=("self",)).select_related("template").filter(voice_session=session).first()
    if lead is None:
        return
    facts = phone_calls.facts_of(
        phone_calls.Call(
            end_reason=session.end_reason,
            dialled=lead.platform_status == PlatformStatus.INITIATED,
            accepted=bool(lead.phone_session),
            answered=session.caller_joined_at is not None or bool(session.detail.get("phone_answered")),
            spoke=session.first_audio_at is not None,
            outcome=session.outcome,
        )
    )
    row = Lead.objects.filter(pk=lead.pk)
    if facts is None:
        _back_to_backlog(row, NOT_DIALLED_PAUSE)
        return
    _finish(
        row,
        session,
        outcome=facts.outcome,
        platform_status=facts.platform_status,
        platform_reason=facts.platform_reason,
        provider_status=facts.provider_status,
        provider_reason=facts.provider_reason,
        provider_hangup_cause=str(session.detail.get("hangup_cause", ""))[:100],
    )
    if facts.may_be_repeated:
        _try_again(lead)


def _finish(lead: QuerySet[Lead], session: VoiceSession, **facts: str) -> None:
    finished = lead.update(
        status=LeadStatus.FINISHED,
        end_reason=session.end_reason,
        transcription=session.transcript,
        call_end_time=Coalesce("call_end_time", Now()),
        updated_at=Now(),
        **facts,
    )
    if finished:
        outbox.lead_finished(lead.select_related("voice_session__room").get())


def _back_to_backlog(lead: QuerySet[Lead], pause: timedelta) -> None:
    lead.update(
        status=LeadStatus.BACKLOG,
        voice_session=None,
        call_id="",
        platform_status="",
        platform_reason="",
        next_attempt_at=Now() + pause,
        updated_at=Now(),
    )


def _try_again(lead: Lead) -> None:
    """Make the lead of the next attempt, unless the template's `max_attempts` are used up or it exists already."""
    template = lead.template
    if lead.attempt_count + 1 >= template.max_attempts or lead.next_attempts.exists():
        return
    Lead.objects.create(
        **{name: getattr(lead, name) for name in KEPT_BY_RETRIES},
        previous_attempt=lead,
        attempt_count=lead.attempt_count + 1,
        next_attempt_at=Now() + timedelta(seconds=template.retry_offset),
    )

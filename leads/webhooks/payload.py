"""Builds the reporting webhook's payload for a lead that has ended, with the published camelCase names."""

import json
from typing import Any

from django.conf import settings
from django.urls import reverse

from leads.models import Lead, LeadStatus, PlatformStatus, ProviderStatus
from leads.telephony.phone_calls import BUSY, NO_ANSWER, UNKNOWN
from pools.sessions.end_reasons import BODY_TOO_LARGE

# Outcomes if nobody was reached.
UNREACHED = frozenset({NO_ANSWER, BUSY})
# End reasons by which a call was cut off, unless its bot had reported an outcome before.
FAULTS = frozenset(
    {"agent_lost", "bot_error", "join_failed", "room_lost", "supervisor_lost", "no_meeting_token"}
    | {"ejected", "ended_by_operator", "pod_stopped", BODY_TOO_LARGE}
)
# The failure reason if a caller was there, but the bot said nothing.
BOT_NEVER_SPOKE = "bot_never_spoke"


def payload_of(lead: Lead) -> dict[str, Any]:
    """Return the payload: of a success if the bot talked to somebody, else of a failure with its reason."""
    common = {
        "orderId": lead.request_id,
        "leadId": str(lead.uuid),
        "outcome": lead.outcome,
        "attemptCount": lead.attempt_count + 1,  # this one too
    }
    if reason := failure_reason(lead):
        return {**common, "failureReason": reason, **_what_went_wrong(lead)}
    return {
        **common,
        "callSid": lead.call_id,
        "status": lead.status,
        "transcription": lead.transcription,
        "recordingUrl": recording_url(lead),
        "completedAt": lead.call_end_time.isoformat() if lead.call_end_time else None,
        **_what_went_wrong(lead),
    }


def _what_went_wrong(lead: Lead) -> dict[str, Any]:
    """Return the session's error and findings; empty if nothing went wrong."""
    session = lead.voice_session
    if session is None:
        return {}
    facts = {"error": session.error, "botNeverSpoke": session.never_spoke, "botNeverHeard": session.never_heard}
    return {name: fact for name, fact in facts.items() if fact}


def failure_reason(lead: Lead) -> str:
    """Return why no call took place, or why it broke off; empty if the call took place."""
    if lead.platform_status != PlatformStatus.INITIATED:
        return lead.abort_reason or lead.platform_reason or lead.outcome
    if lead.outcome in UNREACHED or lead.provider_status == ProviderStatus.NOT_ANSWERED:
        return lead.provider_reason or lead.end_reason or lead.outcome
    if lead.outcome == UNKNOWN and lead.voice_session and lead.voice_session.never_spoke:
        return BOT_NEVER_SPOKE
    in_doubt = lead.end_reason in FAULTS or lead.provider_status == ProviderStatus.UNKNOWN
    return lead.end_reason if lead.outcome == UNKNOWN and in_doubt else ""


def recording_url(lead: Lead) -> str | None:
    """Return the URL of the recording, which needs a token of this API; None if the call was not recorded."""
    return settings.PUBLIC_URL + recording_path(lead) if settings.PUBLIC_URL and was_recorded(lead) else None


def was_recorded(lead: Lead) -> bool:
    session = lead.voice_session
    return lead.status == LeadStatus.FINISHED and session is not None and session.room.recorded


def recording_path(lead: Lead) -> str:
    return reverse("recording", args=[lead.call_id])


def encoded(payload: dict[str, Any]) -> str:
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":"))

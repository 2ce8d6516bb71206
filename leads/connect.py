"""connect(): a lead gets its voice session, and is PROCESSING from then on."""

import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import QuerySet

from common.postgresql.prepared import prepared_cursor
from leads import bot_body
from leads.models import WEB_MODES, ExecutionMode, Lead, LeadStatus
from pools.daily.account import DailyAccess
from pools.models import SessionStatus, VoiceSession
from pools.sessions.claims import OnDemandRoom, SessionRequest, claim
from pools.sessions.start import Claimed, NotStarted, one_attempt, request_key, session_life, start

# WEB_SESSION is the published word for a call that its caller began.
BEGIN_CALL = """
UPDATE leads_lead SET status = 'PROCESSING', voice_session_id = %s, call_id = %s, platform_status = 'INITIATED',
platform_reason = 'WEB_SESSION', call_initiated_time = statement_timestamp(), updated_at = statement_timestamp()
WHERE id = %s"""


class LeadNotConnectable(NotStarted):
    """The lead's mode or status forbids it; the text is for the caller."""


@dataclass(frozen=True)
class Connected:
    room_url: str
    token: str = field(repr=False)
    session_id: uuid.UUID
    lead_id: uuid.UUID


def connect(
    *,
    lead_uuid: uuid.UUID,
    leads: QuerySet[Lead],
    holder: str,
    idempotency_key: str | None = None,
    arrived: float | None = None,
) -> Connected:
    """Claim a pair for one of `leads` (those that the caller may see). `arrived`: when the request came, on the
    monotonic clock, for the session's timeline.

    With an `idempotency_key` (unique per `holder` of a token) a retry gets the session that exists, with a fresh token.
    Raises Lead.DoesNotExist, LeadNotConnectable, IdempotencyConflict, PoolExhausted.
    """
    key = request_key(holder, idempotency_key)
    started = start(lambda access, made: _claim_for_lead(lead_uuid, leads, key, access, arrived, made))
    return Connected(started.room_url, started.token, started.session_id, lead_uuid)


def _claim_for_lead(
    lead_uuid: uuid.UUID,
    leads: QuerySet[Lead],
    key: str | None,
    access: DailyAccess,
    arrived: float | None,
    made: OnDemandRoom | None,
) -> Claimed:
    with one_attempt("lead"):
        lead = leads.select_related("template").select_for_update(of=("self",)).get(uuid=lead_uuid)
        existing = _session_of_retry(lead, key)
        if existing:
            return Claimed(existing, new=False)
        _check_connectable(lead)
        request = SessionRequest(
            body=bot_body.of_lead(lead),
            life=session_life(),
            reference=lead.uuid,
            request_key=key,
            stored_tokens=access.signer is None,
            arrived=arrived,
            # What a stream has in its pipeline is another thing than what waits in the rooms.
            hot=settings.VOICE_AGENT_PREJOIN > 0 and lead.execution_mode != ExecutionMode.DAILY_STREAM,
        )
        session = claim(request, made)
        with prepared_cursor() as cursor:
            cursor.execute(BEGIN_CALL, [session.pk, session.room.name, lead.pk])
        return Claimed(session, new=True)


def _session_of_retry(lead: Lead, key: str | None) -> VoiceSession | None:
    if key is None or lead.voice_session_id is None:
        return None
    return (
        VoiceSession.objects.select_related("room")
        .exclude(status=SessionStatus.ENDED)
        .filter(pk=lead.voice_session_id, request_key=key)
        .first()
    )


def _check_connectable(lead: Lead) -> None:
    if lead.execution_mode not in WEB_MODES:
        raise LeadNotConnectable(f"Lead is not a Daily lead. execution_mode: {lead.execution_mode}")
    if lead.status != LeadStatus.BACKLOG:
        raise LeadNotConnectable(f"Lead already processed. status: {lead.status}")

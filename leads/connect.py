"""connect() gives a lead its voice session; the lead is PROCESSING from then on."""

import functools
import uuid
from dataclasses import dataclass, field

from django.conf import settings
from django.db.models import BigAutoField, CharField, QuerySet
from django.db.models.functions import Now

from common.postgresql.statements import Parameter, Update
from leads import bot_body
from leads.models import WEB_MODES, ExecutionMode, Lead, LeadStatus, PlatformStatus
from pools.daily.account import DailyAccess
from pools.models import SessionStatus, VoiceSession
from pools.sessions.claims import OnDemandRoom, RoomNeeded, SessionRequest, claim
from pools.sessions.start import Claimed, NotStarted, hand_out, one_attempt, request_key, room_made_for, session_life

WEB_SESSION = "WEB_SESSION"  # the published word for a call that its caller began


class LeadNotConnectable(NotStarted):
    """The lead's mode or status does not allow a connect. The text is shown to the caller."""


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
    """Claim a room and an agent process for a lead, and return the caller's room URL and token.

    `leads`: those that the caller may see; `arrived`: when the request arrived, in seconds of the monotonic clock. With
    an `idempotency_key` (unique per `holder` of a token) a retry gets the session that exists, with a fresh token.
    Raises Lead.DoesNotExist, LeadNotConnectable, IdempotencyConflict, PoolExhausted.
    """
    key = request_key(holder, idempotency_key)
    access = DailyAccess.read()
    attempt = functools.partial(_claim, lead_uuid, leads, key, access, arrived)
    try:
        claimed = attempt()
    except RoomNeeded as needed:
        with room_made_for(needed, access) as made:
            claimed = attempt(made)
    started = hand_out(claimed, access)
    return Connected(started.room_url, started.token, started.session_id, lead_uuid)


def _claim(
    lead_uuid: uuid.UUID,
    leads: QuerySet[Lead],
    key: str | None,
    access: DailyAccess,
    arrived: float | None,
    made: OnDemandRoom | None = None,
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
            # The bots that wait in rooms have another pipeline than a stream needs.
            prejoined=settings.VOICE_AGENT_PREJOIN > 0 and lead.execution_mode != ExecutionMode.DAILY_STREAM,
        )
        session = claim(request, made)
        _begin_call().run(pk=lead.pk, session=session.pk, call_id=session.room.name)
        return Claimed(session, new=True)


@functools.cache
def _begin_call() -> Update:
    return Update(
        Lead.objects.filter(pk=Parameter("pk", BigAutoField())),
        status=LeadStatus.PROCESSING,
        voice_session=Parameter("session", BigAutoField()),
        call_id=Parameter("call_id", CharField()),
        platform_status=PlatformStatus.INITIATED,
        platform_reason=WEB_SESSION,
        call_initiated_time=Now(),
        updated_at=Now(),
    )


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

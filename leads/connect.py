"""connect(): a lead gets its voice session: claimed in one short transaction, answered at once.

Nobody waits for the process here; the hand-off is the supervisor's. Only when no room is in stock is Daily asked,
outside any transaction and after everything else has been checked.
"""

import hashlib
import logging
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from leads.models import WEB_MODES, Lead, LeadStatus, PlatformStatus
from pools import notifications, on_demand
from pools.claims import OnDemandRoom, PoolExhausted, RoomNeeded, SessionRequest, claim
from pools.daily.tokens import TokenSigner
from pools.daily_account import DailyAccess
from pools.meeting_tokens import guest_token
from pools.models import Room, SessionStatus, StartKind, VoiceSession

logger = logging.getLogger(__name__)
events = logging.getLogger("pools.events")

WEB_SESSION = "WEB_SESSION"  # the published word for a call that its caller began


class LeadNotConnectable(Exception):
    """The lead's mode or status forbids it; the text is for the caller."""


class IdempotencyConflict(Exception):
    """The key has been used for another lead."""


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
    access = DailyAccess.read()
    key = request_key(holder, idempotency_key)
    made: Room | None = None
    try:
        try:
            session = _claim_for_lead(lead_uuid, leads, key, access, arrived)
        except RoomNeeded as needed:
            made = on_demand.make_room(access.client, room_wanted(stored_tokens=access.signer is None))
            session = _claim_for_lead(lead_uuid, leads, key, access, arrived, OnDemandRoom(made, needed.seen))
    except (PoolExhausted, LeadNotConnectable, IdempotencyConflict, Lead.DoesNotExist):
        if made:
            on_demand.give_back(made)
        raise
    if made and session.room_id != made.pk:  # a retry that found its session
        on_demand.give_back(made)
    _wake_supervisors()
    if session.start_kind != StartKind.WARM:
        events.info(
            "event=start_missed session=%s lead=%s start=%s agents=%s rooms=%s",
            session.uuid,
            lead_uuid,
            session.start_kind,
            session.agent_miss or "in_stock",
            session.room_miss or "in_stock",
        )
    return _answer(session, lead_uuid, access.signer)


def _claim_for_lead(
    lead_uuid: uuid.UUID,
    leads: QuerySet[Lead],
    key: str | None,
    access: DailyAccess,
    arrived: float | None,
    made: OnDemandRoom | None = None,
) -> VoiceSession:
    try:
        with transaction.atomic():
            lead = leads.select_related("template").select_for_update(of=("self",)).get(uuid=lead_uuid)
            existing = _session_of_retry(lead, key)
            if existing:
                return existing
            _check_connectable(lead)
            request = SessionRequest(
                body=bot_body(lead),
                life=session_life(),
                reference=lead.uuid,
                request_key=key,
                stored_tokens=access.signer is None,
                arrived=arrived,
            )
            session = claim(request, made)
            Lead.objects.filter(pk=lead.pk).update(
                status=LeadStatus.PROCESSING,
                voice_session=session,
                call_id=session.room.name,
                platform_status=PlatformStatus.INITIATED,
                platform_reason=WEB_SESSION,
                call_initiated_time=Now(),
                updated_at=Now(),
            )
            return session
    except IntegrityError as error:
        if "request_key" in str(error):
            raise IdempotencyConflict("this Idempotency-Key was used for another lead") from None
        raise


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


def bot_body(lead: Lead) -> dict[str, Any]:
    """What the bot is given as `runner_args.body`."""
    template = lead.template
    override = lead.configurations_override if lead.is_playground else None
    return {
        "lead_id": str(lead.uuid),
        "request_id": lead.request_id,
        "reseller_id": lead.reseller_id,
        "merchant_id": lead.merchant_id,
        "execution_mode": lead.execution_mode,
        "template": template.name,
        "template_id": str(template.uuid),
        "configurations": {**template.configurations, **(override or {})},
        "payload": lead.payload,
    }


def room_wanted(*, stored_tokens: bool) -> on_demand.RoomWanted:
    return on_demand.RoomWanted(
        prefix=settings.DAILY_ROOM_PREFIX,
        geo=settings.DAILY_ROOM_GEO,
        life=timedelta(seconds=settings.DAILY_ROOM_POOL_LIFE + settings.MAX_DAILY_SESSION_LIMIT),
        stored_tokens=stored_tokens,
        dialout=settings.DIALLING,
        recorded=settings.ENABLE_AUTOMATIC_DAILY_RECORDING,
    )


def session_life() -> timedelta:
    return timedelta(seconds=settings.MAX_DAILY_SESSION_LIMIT)


def _answer(session: VoiceSession, lead_uuid: uuid.UUID, signer: TokenSigner | None) -> Connected:
    room = session.room
    return Connected(room.url, guest_token(session, room, signer, session_life()), session.uuid, lead_uuid)


def _wake_supervisors() -> None:
    try:
        notifications.wake_supervisors()
    except DatabaseError as error:  # the session is committed; the supervisors' poll finds it within a second
        logger.warning("event=notify_failed problem=%s", type(error).__name__)


def request_key(holder: str, idempotency_key: str | None) -> str | None:
    if not idempotency_key:
        return None
    return hashlib.sha256(f"{holder}:{idempotency_key}".encode()).hexdigest()

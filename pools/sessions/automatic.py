"""start_automatic(): a voice session without a lead. Its bot gets what its caller sent."""

from typing import Any

from access.scope import Scope
from pools.daily.account import DailyAccess
from pools.models import VoiceSession
from pools.sessions import bot_body
from pools.sessions.claims import OnDemandRoom, RoomNeeded, SessionRequest, claim
from pools.sessions.start import (
    Claimed,
    IdempotencyConflict,
    Started,
    hand_out,
    one_attempt,
    request_key,
    room_made_for,
    session_life,
)


def start_automatic(
    scope: Scope, body: dict[str, Any], *, idempotency_key: str | None, arrived: float | None
) -> Started:
    """Raises PermissionDenied (403) if the body names a reseller or merchant that is not the caller's,
    IdempotencyConflict, PoolExhausted."""
    if reseller_id := body.get("resellerId"):
        scope.check_change(reseller_id, body.get("merchantId"))
    elif merchant_id := body.get("merchantId"):
        scope.check_merchant(merchant_id)
    key = request_key(scope.holder, idempotency_key)

    access = DailyAccess.read()
    request = SessionRequest(
        body=bot_body.of_caller(body),
        life=session_life(),
        request_key=key,
        stored_tokens=access.signer is None,
        arrived=arrived,
    )
    try:
        claimed = _claim(request)
    except RoomNeeded as needed:
        with room_made_for(needed, access) as made:
            claimed = _claim(request, made)
    return hand_out(claimed, access)


def _claim(request: SessionRequest, made: OnDemandRoom | None = None) -> Claimed:
    key = request.request_key
    try:
        with one_attempt("session"):
            if key and (session := _session_of_retry(key)):
                return Claimed(session, new=False)
            return Claimed(claim(request, made), new=True)
    except IdempotencyConflict:
        if key and (session := _session_of_retry(key)):  # of a request that was under way at the same time
            return Claimed(session, new=False)
        raise


def _session_of_retry(key: str) -> VoiceSession | None:
    return VoiceSession.objects.current().select_related("room").filter(request_key=key, reference=None).first()

"""What starts for a lead and starts without one share: the transaction of the claim, a room made on demand, the answer.

Nobody waits for the process here; the hand-off is the supervisor's. Only when no room is in stock is Daily asked,
outside any transaction and after everything else has been checked.
"""

import hashlib
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from django.conf import settings
from django.core.exceptions import ObjectDoesNotExist
from django.db import DatabaseError, IntegrityError, transaction

from pools import notifications
from pools.daily.account import DailyAccess
from pools.models import IN_STOCK, VoiceSession
from pools.sessions import on_demand
from pools.sessions.claims import OnDemandRoom, PoolExhausted, RoomNeeded
from pools.sessions.meeting_tokens import guest_token

logger = logging.getLogger(__name__)
events = logging.getLogger("pools.events")


class NotStarted(Exception):
    """What is asked for cannot be had; the text is for the caller."""


class IdempotencyConflict(NotStarted):
    """The key has been used for something else."""


@dataclass(frozen=True)
class Started:
    room_url: str
    token: str = field(repr=False)
    session_id: uuid.UUID


class Claimed(NamedTuple):
    """`new`: this request has begun it; else it is the session that a retry has found."""

    session: VoiceSession
    new: bool


@contextmanager
def one_attempt(another: str) -> Iterator[None]:
    """The transaction of a claim. Raises IdempotencyConflict where its key has been used for another one of these."""
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        if "request_key" in str(error):
            raise IdempotencyConflict(f"this Idempotency-Key was used for another {another}") from None
        raise


@contextmanager
def room_made_for(needed: RoomNeeded, access: DailyAccess) -> Iterator[OnDemandRoom]:
    """A room for the second attempt of a claim that has found none in stock. If that one does not take it either, it
    goes to the stock. Raises PoolExhausted."""
    room = on_demand.make_room(access.client, room_wanted(stored_tokens=access.signer is None))
    try:
        yield OnDemandRoom(room, needed.seen)
    except (PoolExhausted, NotStarted, ObjectDoesNotExist):
        on_demand.give_back(room)
        raise
    on_demand.give_back(room)


def hand_out(claimed: Claimed, access: DailyAccess) -> Started:
    """After the commit: wakes the supervisors whom the session concerns, and signs the caller's token. Raises
    PoolExhausted."""
    session = claimed.session
    _wake_supervisors(session)
    if claimed.new and session.start_kind not in IN_STOCK:
        events.info(
            "event=start_missed session=%s lead=%s start=%s agents=%s rooms=%s",
            session.uuid,
            session.reference,
            session.start_kind,
            session.agent_miss or "in_stock",
            session.room_miss or "in_stock",
        )
    return Started(session.room.url, _guest_token(session, access), session.uuid)


def _guest_token(session: VoiceSession, access: DailyAccess) -> str:
    """Raises PoolExhausted."""
    try:
        return guest_token(session, session.room, access.signer, session_life())
    except LookupError:  # a retry found a session from before we stopped signing: the account is about another key now
        return on_demand.mint_guest_token(access.client, session, session_life())


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


def request_key(holder: str, idempotency_key: str | None) -> str | None:
    if not idempotency_key:
        return None
    return hashlib.sha256(f"{holder}:{idempotency_key}".encode()).hexdigest()


def _wake_supervisors(session: VoiceSession) -> None:
    try:
        notifications.wake_for(session.agent_process_id, session.room_id)
    except DatabaseError as error:  # the session is committed; the supervisors' poll finds it within a second
        logger.warning("event=notify_failed problem=%s", type(error).__name__)

"""A room made for one request, when none is in stock: outside any transaction, before the claim.

The row is reserved first (warming, outside the stock and its cap), so that a crash leaves a name to delete;
reserved rows that nobody claims are reaped after a minute.
"""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import transaction
from django.db.models import Sum

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools.daily import budget, refusals
from pools.daily.client import DailyClient, NewRoom
from pools.daily.errors import DailyError
from pools.daily.room_names import room_name
from pools.models import Pod, Room, StockStatus, VoiceSession
from pools.sessions.claims import PoolExhausted
from pools.sessions.meeting_tokens import mint_guest, mint_pair

logger = logging.getLogger(__name__)

BUDGET_WAIT_S = 2.0
AT_ONCE = threading.BoundedSemaphore(4)  # half of the threads of a gunicorn worker: the rest serves what is in stock


@dataclass(frozen=True)
class RoomWanted:
    """`life` includes that of a session; `stored_tokens`: with meeting tokens minted by Daily."""

    prefix: str
    geo: str
    life: timedelta
    stored_tokens: bool
    dialout: bool
    recorded: bool


def make_room(client: DailyClient, wanted: RoomWanted) -> Room:
    """A reserved room, ready at Daily.

    Raises PoolExhausted when Daily cannot be asked or does not make it, and when half of this process waits for Daily.
    """
    with _one_of_a_few("no room in stock, and enough are being made on demand already"):
        return _make_room(client, wanted)


def mint_guest_token(client: DailyClient, session: VoiceSession, life: timedelta) -> str:
    """For the caller of a session whose room has no stored token, where we do not sign any. Raises PoolExhausted."""
    with _one_of_a_few("no meeting token, and enough requests are waiting for Daily already"):
        _wait_for_budget(calls=1)
        try:
            return mint_guest(client, session, session.room, life)
        except DailyError as error:
            logger.warning('event=on_demand_token_failed room=%s problem="%s"', session.room.name, error)
            raise PoolExhausted("no meeting token, and Daily does not make one now", retry_after=5) from None


@contextmanager
def _one_of_a_few(otherwise: str) -> Iterator[None]:
    """Never more of them than half of this process's threads."""
    if not AT_ONCE.acquire(blocking=False):
        raise PoolExhausted(otherwise, retry_after=2)
    try:
        yield
    finally:
        AT_ONCE.release()


def _make_room(client: DailyClient, wanted: RoomWanted) -> Room:
    expires_at = datetime.now(UTC) + wanted.life
    room = Room.objects.create(
        name=room_name(wanted.prefix), reserved=True, recorded=wanted.recorded, expires_at=expires_at
    )
    new = NewRoom(room.name, expires_at, wanted.geo, recorded=wanted.recorded, dialout=wanted.dialout)
    try:
        _wait_for_budget(calls=3 if wanted.stored_tokens else 1)
        made = client.create_room(new)
        minted = wanted.stored_tokens
        tokens = mint_pair(client, room.name, wanted.life, recorded=wanted.recorded) if minted else None
    except (DailyError, PoolExhausted) as error:
        room.end("on-demand creation failed")
        refusals.write()
        if isinstance(error, PoolExhausted):
            raise
        logger.warning('event=on_demand_room_failed room=%s problem="%s"', room.name, error)
        raise PoolExhausted("no room in stock, and Daily does not make one now", retry_after=5) from None
    if not room.become_available(url=made.url, expires_at=made.expires_at or expires_at, tokens=tokens):
        room.exists_after_all()
        raise PoolExhausted("the room made for this request was given up meanwhile", retry_after=1)
    room.refresh_from_db()
    return room


def _wait_for_budget(calls: int) -> None:
    """On-demand creation overtakes everything else, but Daily's limit is the limit."""
    deadline = time.monotonic() + BUDGET_WAIT_S
    while not budget.take(budget.Group.GENERAL, budget.Priority.ON_DEMAND, calls):
        if time.monotonic() > deadline:
            raise PoolExhausted("Daily's rate limit is used up", retry_after=3)
        time.sleep(0.1)


def give_back(room: Room) -> None:
    """Unless a claim has taken it: into the stock if there is place below the pods' caps, else deleted."""
    reserved = Room.objects.warming().filter(pk=room.pk, reserved=True)
    if not reserved.exists():
        return
    with transaction.atomic():
        advisory_locks.wait_for(Lock.ROOM_STOCK)
        cap = Pod.objects.taking().aggregate(total=Sum("room_cap"))["total"] or 0
        if Room.objects.stock().count() < cap:
            reserved.update(status=StockStatus.AVAILABLE, reserved=False, available_at=datetime.now(UTC))
        else:
            room.end("not needed after all")

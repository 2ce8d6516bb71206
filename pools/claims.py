"""claim(): one available agent process and one available room for one caller, in the caller's transaction.

The hot path: few statements, no network, nothing waited for (SKIP LOCKED). The two that take a row are SQL, because
each does in one round trip what takes three through the ORM, and building those costs more than running them. Rows
are taken in the order process, room; a process of the pod with the most free slots, so that calls spread over the
pods, and the newest row of a kind, so that the claim never walks over the dead index entries of those before it.
While a roll-out stands, pods of the version that the call has drawn come first (pools.shares); the others stand by.
"""

import time
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Q, Sum
from django.db.models.functions import Now
from psycopg.types.json import Jsonb

from pools import misses
from pools.metrics.claims import CLAIM_SECONDS
from pools.misses import Circumstances
from pools.models import HANDOFF_LEASE, AgentProcess, Pod, Room, SessionStatus, StartKind, StockStatus, VoiceSession
from pools.shares import draw


class PoolExhausted(Exception):
    """Nothing can be had, not even slowly. `retry_after`: seconds after which it is worth trying again."""

    def __init__(self, reason: str, retry_after: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class RoomNeeded(Exception):
    """A process can be had but no room is in stock: make one (pools.on_demand), then claim again with it.

    `seen`: what the pools looked like; hand it to the second claim, for it tells why the room was missing.
    """

    def __init__(self, seen: Circumstances) -> None:
        super().__init__("no room in stock")
        self.seen = seen


@dataclass(frozen=True)
class SessionRequest:
    """What is asked for. `life`: how long the session may last; `stored_tokens`: only rooms with fresh tokens.

    `reference` is the caller's own id (the lead's), `request_key` makes a retry find the session again. One that is
    `outbound` is served from stock or not at all: nobody waits for it. `arrived`: when the request came, on the
    monotonic clock. `hot`: a pair whose bot has joined already will do, if there is one.
    """

    body: dict[str, Any] = field(repr=False)
    life: timedelta
    reference: uuid.UUID | None = None
    request_key: str | None = None
    stored_tokens: bool = False
    outbound: bool = False
    arrived: float | None = None
    hot: bool = False


@dataclass(frozen=True)
class OnDemandRoom:
    """A reserved room that was made because none was in stock, and what the pools looked like then."""

    room: Room
    seen: Circumstances


def claim(request: SessionRequest, made: OnDemandRoom | None = None) -> VoiceSession:
    """Take a pair, bind it to a new voice session. Without a process the session waits for one.

    Must run inside a transaction; call `notifications.wake_for()` after its commit.
    Raises PoolExhausted and RoomNeeded; nothing is taken then (the caller's transaction is to be rolled back).
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("claim() needs a transaction around it")
    began = time.monotonic()
    session = _claim(request, made)
    CLAIM_SECONDS.labels(session.start_kind).observe(time.monotonic() - began)
    return session


def _claim(request: SessionRequest, made: OnDemandRoom | None) -> VoiceSession:
    identity = uuid.uuid4()
    number = draw(identity)
    hot = request.hot and made is None
    if hot and (pair := _take_hot(request, number)):
        return pair
    process = _take_process(number)
    if process is None:
        if hot and (pair := _take_hot(request, number, of_any_version=True)):
            return pair
        process = _none_in_stock() if request.outbound else _take_or_wait(number)
    room = _take_reserved(made.room) if made else take_room(request.life, stored_tokens=request.stored_tokens)
    if room is None:
        raise RoomNeeded(misses.look(request.life, request.stored_tokens))
    return VoiceSession.objects.create(
        uuid=identity,
        room=room,
        agent_process_id=process,
        status=SessionStatus.ASSIGNED if process else SessionStatus.WAITING,
        assigned_at=Now() if process else None,
        reference=request.reference,
        request_key=request.request_key,
        body=request.body,
        outbound=request.outbound,
        **_start(request, process is not None, made),
        before_claim_ms=_milliseconds_since(request.arrived),
    )


# The pods are put in order before the join, which then stops at the first row that it could lock: a row of every pod
# would be locked for nothing if they were put in order after it.
TAKE_PROCESS = """
UPDATE pools_agentprocess SET status = 'in_use', in_use_at = statement_timestamp() WHERE id = (
    SELECT newest.id FROM (
        SELECT id FROM pools_pod
        WHERE ended_at IS NULL AND NOT draining
        AND heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
        ORDER BY (%(draw)s BETWEEN draws_from AND draws_until) IS NOT TRUE,
        free_slots DESC, random() OFFSET 0
    ) AS pod CROSS JOIN LATERAL (
        SELECT id FROM pools_agentprocess
        WHERE pod_id = pod.id AND status = 'available'
        ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS newest LIMIT 1
) RETURNING id"""

TAKE_ROOM = """
UPDATE pools_room SET status = 'in_use', in_use_at = statement_timestamp() WHERE id = (
    SELECT id FROM pools_room
    WHERE status = 'available' AND expires_at > statement_timestamp() + %(life)s
    AND (NOT %(stored_tokens)s OR tokens_expire_at > statement_timestamp() + %(life)s)
    ORDER BY id DESC LIMIT 1 FOR UPDATE SKIP LOCKED
) RETURNING *"""


# A hot pair is a session already; whoever claims it, its times are those of the claim. Oldest first: its room and its
# token have the least life left. Of the drawn version only: a caller who finds none has a warm pair all the same.
TAKE_HOT = """
UPDATE pools_voicesession SET unclaimed = false, start_kind = 'hot', reference = %(reference)s,
    request_key = %(request_key)s, body = %(body)s, before_claim_ms = %(before_claim_ms)s,
    created_at = now.at, assigned_at = now.at, handed_off_at = now.at, active_at = now.at, bot_joined_at = now.at
FROM (SELECT statement_timestamp() AS at) AS now
WHERE id = (
    SELECT session.id FROM pools_voicesession AS session
    JOIN pools_room AS room ON room.id = session.room_id
    JOIN pools_agentprocess AS process ON process.id = session.agent_process_id
    JOIN pools_pod AS pod ON pod.id = process.pod_id
    WHERE session.unclaimed AND session.status = 'active' AND session.bot_joined_at IS NOT NULL
    AND session.stop_reason = '' AND room.expires_at > statement_timestamp() + %(life)s
    AND pod.ended_at IS NULL AND NOT pod.draining
    AND pod.heartbeat_at > statement_timestamp() - make_interval(secs => %(lease)s)
    AND (%(any)s OR pod.draws_from IS NULL OR %(draw)s BETWEEN pod.draws_from AND pod.draws_until)
    ORDER BY session.id LIMIT 1 FOR UPDATE OF session SKIP LOCKED
) RETURNING pools_voicesession.*"""


def _take_hot(request: SessionRequest, number: float, *, of_any_version: bool = False) -> VoiceSession | None:
    taken = VoiceSession.objects.raw(
        TAKE_HOT,
        {
            "reference": request.reference,
            "request_key": request.request_key,
            "body": Jsonb(request.body),
            "before_claim_ms": _milliseconds_since(request.arrived),
            "life": request.life,
            "lease": HANDOFF_LEASE.total_seconds(),
            "draw": number,
            "any": of_any_version,
        },
    )
    return next(iter(taken), None)


def _milliseconds_since(arrived: float | None) -> float | None:
    return (time.monotonic() - arrived) * 1000 if arrived else None


def _take_process(number: float) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(TAKE_PROCESS, {"lease": HANDOFF_LEASE.total_seconds(), "draw": number})
        row = cursor.fetchone()
    return row[0] if row else None


def _none_in_stock() -> int | None:
    raise PoolExhausted("no agent process in stock", retry_after=1)


def take_room(life: timedelta, *, stored_tokens: bool) -> Room | None:
    """The newest available room with so much life left, in use from now on."""
    taken = Room.objects.raw(TAKE_ROOM, {"life": life, "stored_tokens": stored_tokens})
    return next(iter(taken), None)


def _take_reserved(room: Room) -> Room:
    taken = (
        Room.objects.warming()
        .filter(pk=room.pk, reserved=True)
        .update(status=StockStatus.IN_USE, in_use_at=Now(), reserved=False)
    )
    if not taken:
        raise PoolExhausted("the room made for this request was given up meanwhile", retry_after=1)
    return room


def _take_or_wait(number: float) -> int | None:
    """None: the session may wait, for there is a free slot or an unbound warming process for each one that waits.

    Callers take their turns here, otherwise N at once would all see the last slot; and what has become available
    while this one waited for its turn is no slot any more, but can be taken. Raises PoolExhausted.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('waiting sessions'))")
    process = _take_process(number)
    if process is not None:
        return process
    pods = Pod.objects.taking()
    if not pods.exists():
        raise PoolExhausted("no live pod takes sessions", retry_after=5)
    working = pods.filter(agent_trouble="")
    slots = working.aggregate(total=Sum("max_processes"))["total"] or 0
    busy = (
        AgentProcess.objects.current()
        .filter(pod__in=working)
        .aggregate(total=Count("pk"), warming=Count("pk", filter=Q(status=StockStatus.WARMING)))
    )
    if slots - busy["total"] + busy["warming"] <= VoiceSession.objects.waiting().count():
        trouble = "" if slots else " (agent processes do not start)"
        raise PoolExhausted(f"all pods are at their limit of processes{trouble}", retry_after=2 if slots else 10)
    return None


def _start(request: SessionRequest, warm_process: bool, made: OnDemandRoom | None) -> dict[str, Any]:
    """What is recorded of how it starts; only a start that has missed takes a look at the pools."""
    if warm_process and made is None:
        return {"start_kind": StartKind.WARM}
    seen = made.seen if made and warm_process else misses.look(request.life, request.stored_tokens)
    start: dict[str, Any] = {"circumstances": seen.kept()}
    if not warm_process:
        start["agent_miss"] = misses.agent_cause(seen)
    if made is None:
        return start | {"start_kind": StartKind.PARTIAL, "start_reason": "no agent process in stock"}
    start["room_miss"] = misses.room_cause(made.seen)
    if warm_process:
        return start | {"start_kind": StartKind.PARTIAL, "start_reason": "no room in stock"}
    start["circumstances"] = seen.kept() | made.seen.about_rooms()
    return start | {"start_kind": StartKind.COLD, "start_reason": "neither room nor agent process in stock"}

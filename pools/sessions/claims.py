"""claim(): one available agent process and one available room for one caller, in the caller's transaction.

Rows are locked with `select_for_update(skip_locked=True)` (taking.py): no network, and no claim waits for another. What
is decided here is what comes when something is missing: a pre-joined pair of another version, a room made on demand, a
turn to wait, a refusal.
"""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, NoReturn

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet, Sum

from common.postgresql import advisory_locks
from common.postgresql.advisory_locks import Lock
from pools.metrics.claims import CLAIM_SECONDS
from pools.models import AgentProcess, Pod, Room, SessionStatus, StartKind, StockStatus, VoiceSession
from pools.sessions import misses, taking
from pools.sessions.misses import Circumstances
from pools.sessions.taking import Locked
from pools.shares import draw


class PoolExhausted(Exception):
    """Nothing can be had, not even slowly. `retry_after`: seconds after which it is worth trying again. `trouble` says
    more to operators, and nothing to callers."""

    def __init__(self, reason: str, retry_after: int, trouble: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.trouble = trouble


class RoomNeeded(Exception):
    """A process can be had but no room is in stock: make one (pools.sessions.on_demand), then claim again with it.

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
    monotonic clock. `prejoined`: a pair whose bot has joined already will do, if there is one.
    """

    body: dict[str, Any] = field(repr=False)
    life: timedelta
    reference: uuid.UUID | None = None
    request_key: str | None = None
    stored_tokens: bool = False
    outbound: bool = False
    arrived: float | None = None
    prejoined: bool = False


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
    asked = {
        "uuid": identity,
        "reference": request.reference,
        "request_key": request.request_key,
        "body": request.body,
        "outbound": request.outbound,
        "before_claim_ms": _milliseconds_since(request.arrived),
    }
    if not made and (prejoined := _prejoined(request, number, asked, of_any_version=False)):
        return prejoined
    locked = _lock_made(made, number) if made else _lock_stock(request, number)
    if (
        not made
        and not (locked and locked.process)
        and (prejoined := _prejoined(request, number, asked, of_any_version=True))
    ):
        return prejoined
    process = locked.process if locked else taking.lock_process(number)
    if process is None:
        process = _none_in_stock() if request.outbound else _lock_or_wait(number)
    if locked is None:
        raise RoomNeeded(misses.look(request.life, request.stored_tokens))
    session = VoiceSession(
        **asked,
        room=locked.room,
        agent_process_id=process,
        status=SessionStatus.ASSIGNED if process else SessionStatus.WAITING,
        created_at=locked.at,
        assigned_at=locked.at if process else None,
        **_start(request, process is not None, made),
    )
    taking.begin(session, locked.at)
    return session


def _lock_stock(request: SessionRequest, number: float) -> Locked | None:
    return taking.lock_pair(number, request.life, stored_tokens=request.stored_tokens)


def _lock_made(made: OnDemandRoom, number: float) -> Locked:
    locked = taking.lock_reserved(made.room, number)
    if locked is None:
        raise PoolExhausted("the room made for this request was given up meanwhile", retry_after=1)
    return locked


def _prejoined(
    request: SessionRequest, number: float, asked: Mapping[str, Any], *, of_any_version: bool
) -> VoiceSession | None:
    """Of the drawn version first: a caller who finds no such pair has a warm one all the same."""
    if not request.prejoined:
        return None
    return taking.take_prejoined(
        number, request.life, asked, stored_tokens=request.stored_tokens, of_any_version=of_any_version
    )


def _milliseconds_since(arrived: float | None) -> float | None:
    return (time.monotonic() - arrived) * 1000 if arrived else None


def _none_in_stock() -> NoReturn:
    raise PoolExhausted("no agent process in stock", retry_after=1)


def _lock_or_wait(number: float) -> int | None:
    """None: the session may wait, for there is a free slot or an unbound warming process for each one that waits.

    Callers take their turns here, otherwise N at once would all see the last slot; and what has become available
    while this one waited for its turn is no slot any more, but can be taken. Raises PoolExhausted.
    """
    advisory_locks.wait_for(Lock.WAITING_SESSIONS)
    process = taking.lock_process(number)
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
        if not slots:
            raise PoolExhausted("no agent process starts at the moment", retry_after=10, trouble=_trouble_of(pods))
        raise PoolExhausted("all pods are at their limit of processes", retry_after=2)
    return None


def _trouble_of(pods: QuerySet[Pod]) -> str:
    """Why their bots do not start; pods of one version say the same."""
    return "; ".join(sorted(set(pods.values_list("agent_trouble", flat=True))))


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

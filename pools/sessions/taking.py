"""What a claim takes from the pools: rows locked with SKIP LOCKED, so that no claim waits for another.

A locked row stays available until `begin` writes the session; a claim that gives up has changed nothing. The
statements are built once and prepared (common.postgresql.statements).
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import (
    BigAutoField,
    Case,
    DateTimeField,
    DurationField,
    Expression,
    FloatField,
    Model,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Value,
    When,
)
from django.db.models.functions import Now

from common.postgresql.statements import Insert, Parameter, Select, Update
from pools.models import AgentProcess, Pod, Room, StartKind, StockStatus, VoiceSession

DRAW = Parameter("draw", FloatField())
LIFE = Parameter("life", DurationField())
# The fields of a new session that a claim sets; the others have their defaults.
WRITTEN = (
    *("uuid", "reference", "request_key", "body", "outbound", "before_claim_ms", "room", "agent_process", "status"),
    *("start_kind", "start_reason", "agent_miss", "room_miss", "circumstances", "created_at", "assigned_at"),
)
# Those of a pre-joined pair.
CLAIMED = ("reference", "request_key", "body", "before_claim_ms")
TIMES = ("created_at", "assigned_at", "handed_off_at", "active_at", "bot_joined_at")


@dataclass(frozen=True)
class Locked:
    """An available room and, if there is one, the key of an available process. `at`: when, by PostgreSQL's clock."""

    room: Room
    process: int | None
    at: datetime


def lock_pair(draw: float, life: timedelta, *, stored_tokens: bool) -> Locked | None:
    """The newest room that lasts, and a process as `lock_process` finds it. None: there is no such room."""
    room: Any = _pair(stored_tokens).first(draw=draw, life=life)
    if room is None:
        return None
    return Locked(room, room.process or _pk(_process_of_any_pod().first(draw=draw)), room.now)


def lock_reserved(room: Room, draw: float) -> Locked | None:
    """A room that was made for this claim, and a process. None: the room has been given up meanwhile."""
    reserved = Room.objects.warming().filter(pk=room.pk, reserved=True).annotate(now=Now())
    locked = reserved.select_for_update(of=("self",)).first()
    return Locked(locked, lock_process(draw), locked.now) if locked else None


def lock_process(draw: float) -> int | None:
    """The key of the newest process of the pod with the most free slots: calls spread over the pods. While a roll-out
    stands, pods of the version that the call has drawn come first (pools.shares)."""
    return _pk(_process().first(draw=draw)) or _pk(_process_of_any_pod().first(draw=draw))


def begin(session: VoiceSession, at: datetime) -> None:
    """Write it, and that its room and its process, which the claim has locked, are in use."""
    _begin(with_process=session.agent_process_id is not None).save(session)
    session.room.status, session.room.in_use_at, session.room.reserved = StockStatus.IN_USE, at, False


def take_room(life: timedelta, *, stored_tokens: bool) -> Room | None:
    """The newest available room that lasts, in use from now on."""
    room = _rooms(Value(life), stored_tokens).first()
    if room:
        Room.objects.filter(pk=room.pk).update(status=StockStatus.IN_USE, in_use_at=Now())
    return room


def take_prejoined(
    draw: float, life: timedelta, claimed: Mapping[str, Any], *, stored_tokens: bool, of_any_version: bool
) -> VoiceSession | None:
    """A pre-joined pair: a session whose bot is in its room. It is this claim's from now on, and its times are those of
    the claim. The oldest first: its room and its token have the least life left. `claimed`: the values of CLAIMED."""
    session: Any = _prejoined(stored_tokens, of_any_version).first(draw=draw, life=life)
    if session is None:
        return None
    new = {name: claimed[name] for name in CLAIMED} | dict.fromkeys(TIMES, session.now)
    _claim_prejoined().run(pk=session.pk, **new)
    for name, value in {**new, "unclaimed": False, "start_kind": StartKind.PREJOINED}.items():
        setattr(session, name, value)
    return session


def _pk(row: Model | None) -> int | None:
    return row.pk if row else None


# --- the statements ---------------------------------------------------------------------------------------------------


def _rooms(life: Expression, stored_tokens: bool) -> QuerySet[Room]:
    """Newest first, so that a claim never walks over the dead index entries of older rooms."""
    rooms = Room.objects.available().filter(expires_at__gt=Now() + life)
    if stored_tokens:
        rooms = rooms.filter(tokens_expire_at__gt=Now() + life)
    return rooms.order_by("-pk").select_for_update(skip_locked=True, of=("self",))


def _processes() -> QuerySet[AgentProcess]:
    """Newest first, as the rooms; of the pod that comes first and has any.

    Whether a pod has any is asked of its newest process, by the same index backwards: an `Exists` would begin at the
    oldest entries, which are dead where something holds an old snapshot.
    """
    available = AgentProcess.objects.available()
    newest = Subquery(available.filter(pod=OuterRef("pk")).order_by("-pk").values("pk")[:1])
    pods = Pod.objects.taking().alias(newest=newest).filter(newest__isnull=False)
    first = pods.order_by(_not_drawn(), "-free_slots", "?").values("pk")[:1]
    return available.filter(pod=Subquery(first)).order_by("-pk").select_for_update(skip_locked=True, of=("self",))


def _not_drawn(pod: str = "") -> Case:
    drawn = Q(**{f"{pod}draws_from__lte": DRAW, f"{pod}draws_until__gte": DRAW})
    return Case(When(drawn, then=0), default=1)


@functools.cache
def _pair(stored_tokens: bool) -> Select[Room]:
    return Select(_rooms(LIFE, stored_tokens).annotate(process=Subquery(_processes().values("pk")[:1]), now=Now())[:1])


@functools.cache
def _process() -> Select[AgentProcess]:
    return Select(_processes().only("pk")[:1])


@functools.cache
def _process_of_any_pod() -> Select[AgentProcess]:
    """Where other claims have locked all that the first pod had. It costs more: all available processes are sorted."""
    processes = AgentProcess.objects.available().filter(pod__in=Pod.objects.taking())
    ordered = processes.order_by(_not_drawn("pod__"), "-pod__free_slots", "-pk")
    return Select(ordered.select_for_update(skip_locked=True, of=("self",)).only("pk")[:1])


@functools.cache
def _begin(*, with_process: bool) -> Insert:
    in_use = {"status": StockStatus.IN_USE, "in_use_at": Parameter("created_at", DateTimeField())}
    room = Room.objects.filter(pk=Parameter("room_id", BigAutoField()))
    process = AgentProcess.objects.filter(pk=Parameter("agent_process_id", BigAutoField()))
    updates = [Update(room, **in_use, reserved=False)] + ([Update(process, **in_use)] if with_process else [])
    return Insert(VoiceSession, WRITTEN, updates)


@functools.cache
def _prejoined(stored_tokens: bool, of_any_version: bool) -> Select[VoiceSession]:
    pairs = (
        VoiceSession.objects.unclaimed()
        .active()
        .filter(
            bot_joined_at__isnull=False,
            stop_reason="",
            room__expires_at__gt=Now() + LIFE,
            agent_process__pod__in=Pod.objects.taking(),
        )
    )
    if stored_tokens:
        pairs = pairs.filter(room__tokens_expire_at__gt=Now() + LIFE)
    if not of_any_version:
        pod = "agent_process__pod__draws_"
        pairs = pairs.filter(Q(**{f"{pod}from": None}) | Q(**{f"{pod}from__lte": DRAW, f"{pod}until__gte": DRAW}))
    locked = pairs.order_by("pk").select_for_update(skip_locked=True, of=("self",))
    return Select(locked.select_related("room").annotate(now=Now())[:1])


@functools.cache
def _claim_prejoined() -> Update:
    new = {name: Parameter(name, VoiceSession._meta.get_field(name)) for name in (*CLAIMED, *TIMES)}
    pair = VoiceSession.objects.filter(pk=Parameter("pk", BigAutoField()))
    return Update(pair, **new, unclaimed=False, start_kind=StartKind.PREJOINED)

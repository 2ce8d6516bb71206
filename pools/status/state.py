"""Counts the state of the pools from the rows, in a constant number of queries, for the status endpoints.

`available` is what a claim could get now: processes of live pods that take sessions, and rooms that live long enough
for the longest session. A room does not need its pod: one whose pod is gone still counts.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from math import isnan
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, Count, ExpressionWrapper, F, Q
from django.db.models.functions import Extract, Now

from pools.daily.refusals import Refusals
from pools.decisions.targets import Action, Pool
from pools.models import (
    HANDOFF_LEASE,
    AgentProcess,
    DailyAccount,
    Pod,
    PoolOverride,
    Rollout,
    Room,
    StockStatus,
    VoiceSession,
)
from pools.operators import rollout

# NaN: other roles have open transactions whose age is hidden, because our role lacks pg_read_all_stats.
OLDEST_TRANSACTION = """
SELECT CASE WHEN bool_or(backend_type IS NULL AND usesysid IS NOT NULL) THEN 'NaN' ELSE coalesce(extract(
    epoch FROM max(statement_timestamp() - xact_start) FILTER (WHERE backend_type = 'client backend')), 0) END::float8
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"""


class UnknownPod(Exception):
    """No pod of this name runs or has died recently."""


@dataclass
class Stock:
    """Counts of rooms or of agent processes, of one pod or of all."""

    pool_size: int = 0
    cap: int = 0
    available: int = 0
    in_use: int = 0
    warming: int = 0
    on_demand: int = 0  # of those in use: made for a waiting session
    prejoined: int = 0  # of those available: in a pair whose bot has joined and that nobody has claimed

    def __add__(self, other: "Stock") -> "Stock":
        mine, theirs = vars(self), vars(other)
        return Stock(**{name: mine[name] + theirs[name] for name in mine})

    def published(self) -> dict[str, int]:
        """The counts under their published names."""
        return {
            "pool_size": self.pool_size,
            "available": self.available,
            "in_use": self.in_use,
            "warming": self.warming,
        }


@dataclass
class PodState:
    """One pod with its counts."""

    pod: Pod
    heartbeat_age: float  # seconds, by PostgreSQL's clock
    agents: Stock = field(default_factory=Stock)
    rooms: Stock = field(default_factory=Stock)

    @property
    def live(self) -> bool:
        return self.heartbeat_age < HANDOFF_LEASE.total_seconds()

    @property
    def taking(self) -> bool:
        return self.live and not self.pod.draining

    @property
    def word(self) -> str:
        """The state of the pod in a word."""
        if not self.live:
            return "silent"
        if self.pod.drained_by:
            return "out of service"
        return "draining" if self.pod.draining else "live"


@dataclass
class PoolState:
    """The state of all pods that have not ended, or of one of them."""

    pods: list[PodState]
    unowned_rooms: Stock
    daily_trouble: str
    daily_refusals: Refusals
    waiting_sessions: int
    oldest_transaction: float | None  # seconds; None: unknown
    overrides: Sequence[PoolOverride]  # in force now or later
    rollout: Rollout | None
    reserved: int  # pairs, of all pods together, now; 0 for a single pod

    @property
    def agents(self) -> Stock:
        return sum((pod.agents for pod in self.pods), Stock())

    @property
    def rooms(self) -> Stock:
        return sum((pod.rooms for pod in self.pods), self.unowned_rooms)

    def reasons(self) -> list[str]:
        """Why the state is degraded, as texts. Empty: healthy."""
        reasons = list(self._pod_reasons())
        if self.daily_trouble:
            reasons.append(f"Daily: {self.daily_trouble}")
        if self.daily_refusals.reason:
            reasons.append(self.daily_refusals.reason)
        pools = (("agent process", "agent processes", self.agents), ("room", "rooms", self.rooms))
        for name, names, stock in pools:
            if stock.available < self.reserved:
                reasons.append(f"{self.reserved} pairs are reserved now: {stock.available} {names} available")
            if stock.pool_size and not stock.available:
                reasons.append(f"no {name} available (0 of {stock.pool_size}, {stock.warming} warming)")
        return reasons

    def _pod_reasons(self) -> Iterable[str]:
        if not any(state.live for state in self.pods):
            yield "no live pod"
        elif not any(state.taking for state in self.pods):
            yield "every live pod is draining"
        for state in self.pods:
            if not state.live:
                yield f"pod {state.pod.name} is silent: no heartbeat for {state.heartbeat_age:.0f} s"
            elif state.pod.agent_trouble:
                yield f"pod {state.pod.name}: {state.pod.agent_trouble}"
            if state.live and state.pod.task_trouble:
                yield f"pod {state.pod.name}: {state.pod.task_trouble}"
            if state.taking and state.pod.agent_paused:
                yield f"pod {state.pod.name}: the pool of agent processes is {state.pod.agent_target_why}"
            if state.taking and state.pod.room_paused:
                yield f"pod {state.pod.name}: the pool of rooms is {state.pod.room_target_why}"
            if state.taking:
                yield from self._set_to_zero(state)

    def _set_to_zero(self, state: PodState) -> Iterable[str]:
        for pool, name, stock in ((Pool.AGENTS, "agent processes", state.agents), (Pool.ROOMS, "rooms", state.rooms)):
            sizes = [override for override in self.overrides if override.sets_size_of(pool, state.pod.name)]
            if sizes and sizes[-1].size == 0 and not stock.pool_size:
                yield f"pod {state.pod.name}: the pool of {name} is set to hold none, {sizes[-1].words}"


def read_state(pod_name: str | None = None) -> PoolState:
    """Read the state of all pods, or of the pod with this name. Raises UnknownPod."""
    account = DailyAccount.objects.filter(pk=1).first()
    states = {state.pod.pk: state for state in _read_pods()}
    _count_agents(states)
    unowned = _count_rooms(states, stored_tokens=account is None or not account.self_signed_tokens)
    _count_prejoined(states, unowned)
    pods = list(states.values())
    begun = ExpressionWrapper(Q(starts_at__lte=Now()), output_field=BooleanField())
    overrides = list(PoolOverride.objects.standing().annotate(begun=begun).order_by("pk"))
    reserved = sum(override.size or 0 for override in overrides if override.begun and override.action == Action.RESERVE)
    if pod_name is not None:
        pods, unowned = [state for state in pods if state.pod.name == pod_name], Stock()
        if not pods:
            raise UnknownPod(pod_name)
    return PoolState(
        pods=pods,
        unowned_rooms=unowned,
        daily_trouble=account.trouble if account else "",
        daily_refusals=Refusals.read(),
        waiting_sessions=VoiceSession.objects.waiting().count(),
        oldest_transaction=oldest_transaction(),
        overrides=overrides,
        rollout=rollout.standing(),
        reserved=reserved if pod_name is None else 0,
    )


def _read_pods() -> Iterable[PodState]:
    age = Extract(Now() - F("heartbeat_at"), "epoch")
    for pod in Pod.objects.current().annotate(age=age).order_by("name"):
        state = PodState(pod, heartbeat_age=max(0.0, float(pod.age)))
        if state.taking:  # the others do not replenish
            state.agents = Stock(pool_size=pod.agent_target, cap=pod.agent_cap)
            state.rooms = Stock(pool_size=pod.room_target, cap=pod.room_cap)
        yield state


def _count_agents(states: dict[int, PodState]) -> None:
    rows = AgentProcess.objects.current().order_by().values("pod_id", "status", "on_demand").annotate(n=Count("pk"))
    for row in rows:
        state = states.get(row["pod_id"])
        if state is None:  # its pod has just ended
            continue
        match row["status"]:
            case StockStatus.IN_USE:
                state.agents.in_use += row["n"]
                state.agents.on_demand += row["n"] if row["on_demand"] else 0
            case StockStatus.AVAILABLE if state.taking:
                state.agents.available += row["n"]
            case StockStatus.WARMING if state.live:
                state.agents.warming += row["n"]


def _count_rooms(states: dict[int, PodState], *, stored_tokens: bool) -> Stock:
    """Add the rooms to their pods, and return the counts of rooms without a pod.

    Rooms that are made for one request do not count as warming.
    """
    until = Now() + timedelta(seconds=settings.MAX_DAILY_SESSION_LIMIT)
    lasting = Q(expires_at__gt=until) & (Q(tokens_expire_at__gt=until) if stored_tokens else Q())
    rows = (
        Room.objects.exclude(status=StockStatus.ENDED)
        .order_by()
        .values("pod_id", "status", "reserved")
        .annotate(n=Count("pk"), lasting=Count("pk", filter=lasting))
    )
    unowned = Stock()
    for row in rows:
        state = states.get(row["pod_id"])
        stock = state.rooms if state else unowned
        match row["status"]:
            case StockStatus.IN_USE:
                stock.in_use += row["n"]
            case StockStatus.AVAILABLE:
                stock.available += row["lasting"]
            case StockStatus.WARMING if state and state.live and not row["reserved"]:
                stock.warming += row["n"]
    return unowned


def _count_prejoined(states: dict[int, PodState], unowned: Stock) -> None:
    """Count pre-joined pairs as ready items: warming until the bot has joined, then available.

    Their rows are in use. A pod takes them out of its pools and fills these again: they come on top of the targets.
    """
    pairs = VoiceSession.objects.unclaimed().values_list("agent_process__pod_id", "room__pod_id", "bot_joined_at")
    for agents_pod, rooms_pod, joined in pairs:
        state = states.get(agents_pod)
        agents = state.agents if state else Stock()
        rooms = states[rooms_pod].rooms if rooms_pod in states else unowned
        for stock in (agents, rooms):
            stock.in_use = max(0, stock.in_use - 1)
            if state and state.taking:
                stock.pool_size += 1
                stock.cap += 1
            if joined is None:
                stock.warming += 1
            elif state and state.taking:
                stock.available += 1
                stock.prejoined += 1


def oldest_transaction() -> float | None:
    """Age in seconds of the oldest open transaction of this database; 0: none is open, None: unknown.

    An old one keeps vacuum from cleaning up, which makes claims slow.
    """
    with connection.cursor() as cursor:
        cursor.execute(OLDEST_TRANSACTION)
        (age,) = cursor.fetchone()
    return None if isnan(age) else max(0.0, round(age, 1))


def report(state: PoolState, pool: Stock) -> dict[str, Any]:
    """The answer of both status endpoints. `pool`: the counts at its top level."""
    reasons = state.reasons()
    return {
        **pool.published(),
        "status": "degraded" if reasons else "healthy",
        "reasons": reasons,
        "voice_pool_stats": _voice_pool_stats(state.agents),
        "room_pool_stats": _room_pool_stats(state.rooms),
    }


def details(state: PoolState) -> dict[str, Any]:
    """The part of the answer that only operators get."""
    return {
        "waiting_sessions": state.waiting_sessions,
        "oldest_transaction_seconds": state.oldest_transaction,
        "pods": [_pod_report(pod) for pod in state.pods],
        "orders": [override.report() for override in state.overrides],
        "rollout": state.rollout.report() if state.rollout else None,
    }


def _voice_pool_stats(agents: Stock) -> dict[str, Any]:
    """Counts under the published older keys: managed = from the pool, ephemeral = made on demand."""
    managed_active = agents.in_use - agents.on_demand
    return {
        "managed_processes": agents.warming + agents.available + managed_active,
        "available_processes": agents.available,
        "active_processes": agents.in_use,
        "managed_active": managed_active,
        "ephemeral_active": agents.on_demand,
        "is_creating_process": agents.warming > 0,
        "pool_size": agents.pool_size,
        "max_pool_size": agents.cap,
    }


def _room_pool_stats(rooms: Stock) -> dict[str, Any]:
    return {
        "available_rooms": rooms.available,
        "active_rooms": rooms.in_use,
        "is_creating_room": rooms.warming > 0,
        "pool_size": rooms.pool_size,
        "max_pool_size": rooms.cap,
        "max_session_limit": settings.MAX_DAILY_SESSION_LIMIT,
        "recording_enabled": settings.ENABLE_AUTOMATIC_DAILY_RECORDING,
    }


def _pod_report(state: PodState) -> dict[str, Any]:
    pod = state.pod
    return {
        "name": pod.name,
        "live": state.live,
        "draining": pod.draining,
        "heartbeat_age_seconds": round(state.heartbeat_age, 1),
        "started_at": pod.started_at,
        "version": pod.version,
        "start_method": pod.start_method,
        "free_slots": pod.free_slots,
        "trouble": pod.agent_trouble,
        "agent_processes": {
            **state.agents.published(),
            "max_pool_size": state.agents.cap,
            "configured_size": pod.agent_size,
            "why": pod.agent_target_why,
        },
        "rooms": {
            **state.rooms.published(),
            "max_pool_size": state.rooms.cap,
            "configured_size": pod.room_size,
            "why": pod.room_target_why,
        },
    }

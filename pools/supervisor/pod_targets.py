"""Keeps the targets of one pod up to date: reads overrides and arrivals, and sets the targets of pools and row."""

import logging
from typing import Any

from django.db.models import Count, ExpressionWrapper, F, FloatField, OuterRef, Subquery
from django.db.models.functions import Coalesce, Extract, Now

from pools.daily import budget
from pools.decisions.demand import LARGEST, Follower, affordable_agents, affordable_rooms, misses_of_each
from pools.decisions.targets import Action, Override, Place, Pool, Target, targets
from pools.kernel.memory_left import memory_left
from pools.models import AgentProcess, Pod, PoolOverride
from pools.processes.agent_pool import AgentPool
from pools.rooms.room_pool import RoomPool
from pools.supervisor.arrivals import Arrivals
from pools.supervisor_config import SupervisorConfig

logger = logging.getLogger(__name__)

UNKNOWN_BYTES = 128 * 1024 * 1024  # of an agent process, before one has reported


class PodTargets:
    """`poll` when an override has been announced, and at every poll: overrides begin and end by the clock.

    Where the caps leave room for it, the fleet's demand is followed too; otherwise arrivals are not even read.
    """

    def __init__(self, config: SupervisorConfig, pod: Pod, agents: AgentPool, rooms: RoomPool) -> None:
        self._config = config
        self._pod = pod
        self._agents = agents
        self._rooms = rooms
        self._recorded = (agents.target, rooms.target)
        self._ordered = True  # until the first poll
        self._arrivals = Arrivals()
        self._demand = {pool: Follower(misses_of_each(config.hit_rate)) for pool in Pool}
        self._following = {
            Pool.AGENTS: config.agent_target < min(config.agent_cap, config.max_processes),
            Pool.ROOMS: config.room_target < config.room_cap,
        }

    @property
    def are_plain(self) -> bool:
        """No demand is followed, and no override was in view at the last poll."""
        return not (self._ordered or any(self._following.values()))

    def poll(self, now: float) -> None:
        overrides = overrides_in_view()
        self._ordered = bool(overrides)
        if any(self._following.values()):
            self._follow_demand(now)
        own = {pool: self._own_place(pool) for pool in Pool}
        # A demand that we can meet alone raises nobody: then there is no need to look at the others.
        together = any(override.action is Action.RESERVE for override in overrides) or any(
            self._demand[pool].size > own[pool].size for pool in Pool
        )
        fleet = fleet_places() if together else {}
        for pool in Pool:
            others = [place for place in fleet.get(pool, []) if place.pod != self._pod.name]
            self._set(
                pool, targets(pool, [own[pool], *others], overrides, demand=self._demand[pool].size)[self._pod.name]
            )
        self._record()

    def _follow_demand(self, now: float) -> None:
        self._arrivals.poll()
        replace = {Pool.AGENTS: self._agents.time_to_replace, Pool.ROOMS: self._rooms.time_to_replace}
        for pool, following in self._following.items():
            if following:
                demand, seconds = self._demand[pool], replace[pool].seconds
                demand.look(self._arrivals.moments, now, replace=seconds, most=self._most(pool))

    def _most(self, pool: Pool) -> int:
        """What the fleet may keep, whatever the demand."""
        if pool is Pool.AGENTS:
            return LARGEST
        per_second = (
            budget.allowance(budget.Group.GENERAL, budget.Priority.REPLENISH) / budget.Group.GENERAL.value.window
        )
        life = self._config.room_pool_life
        return affordable_rooms(life=life, calls=self._rooms.calls_a_room, calls_a_second=per_second)

    def _own_place(self, pool: Pool) -> Place:
        if pool is Pool.ROOMS:
            return Place(self._pod.name, self._config.room_target, self._config.room_cap)
        slots = max(0, self._config.max_processes - self._agents.busy_slots)
        capacity = min(self._config.agent_cap, slots)
        more = self._demand[pool].size > self._config.agent_target  # only then is the memory worth a look
        return Place(self._pod.name, self._config.agent_target, capacity, self._affordable() if more else None)

    def _affordable(self) -> int:
        """How many idle processes the memory is enough for."""
        each = self._agents.idle_bytes() or UNKNOWN_BYTES
        free, total = memory_left()
        return affordable_agents(idle=self._agents.available, headroom=free, total=total, each=each)

    def _set(self, pool: Pool, target: Target) -> None:
        if pool is Pool.AGENTS:
            self._agents.target = target
        else:
            self._rooms.target = target

    def _record(self) -> None:
        """In the row too, for everybody to see; only when it has changed."""
        agents, rooms = self._agents.target, self._rooms.target
        if (agents, rooms) == self._recorded:
            return
        if self._pod.aim(agents, rooms):
            logger.info(
                "event=targets pod=%s agents=%d why=%r rooms=%d why=%r",
                self._pod.name, agents.size, agents.why, rooms.size, rooms.why,
            )  # fmt: skip
        self._recorded = (agents, rooms)


def overrides_in_view() -> list[Override]:
    """Their times as seconds from now, by PostgreSQL's clock."""
    rows = PoolOverride.objects.in_view().annotate(
        starts_in=_seconds_until("starts_at"), ends_in=_seconds_until("ends_at")
    )
    return [_override(row) for row in rows]


def _override(row: Any) -> Override:
    return Override(
        number=row.pk,
        action=Action(row.action),
        pool=Pool(row.pool) if row.pool else None,
        pod=row.pod_name,
        size=row.size or 0,
        starts_in=float(row.starts_in),
        ends_in=float("inf") if row.ends_in is None else float(row.ends_in),
        words=row.words,
    )


def _seconds_until(field: str) -> ExpressionWrapper:
    return ExpressionWrapper(Extract(F(field) - Now(), "epoch"), output_field=FloatField())


def fleet_places() -> dict[Pool, list[Place]]:
    """What each pod that takes sessions can hold; one whose agent processes do not start is not counted on for them."""
    busy = AgentProcess.objects.in_use().filter(pod=OuterRef("pk")).order_by().values("pod").annotate(n=Count("pk"))
    result: dict[Pool, list[Place]] = {Pool.AGENTS: [], Pool.ROOMS: []}
    for pod in Pod.objects.taking().annotate(busy=Coalesce(Subquery(busy.values("n")), 0)):
        slots = 0 if pod.agent_trouble else max(0, pod.max_processes - pod.busy)
        result[Pool.AGENTS].append(Place(pod.name, pod.agent_size, min(pod.agent_cap, slots)))
        result[Pool.ROOMS].append(Place(pod.name, pod.room_size, pod.room_cap))
    return result

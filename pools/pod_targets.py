"""The targets of one pod, kept up to date: orders are read, the targets reckoned, both pools and the row told."""

import logging
from typing import Any

from django.db.models import Count, ExpressionWrapper, F, FloatField, OuterRef, Subquery
from django.db.models.functions import Coalesce, Extract, Now

from pools.agent_pool import AgentPool
from pools.models import AgentProcess, Pod, PoolOrder
from pools.room_pool import RoomPool
from pools.supervisor_config import SupervisorConfig
from pools.targets import Action, Order, Place, Pool, Target, targets

logger = logging.getLogger(__name__)


class PodTargets:
    """`look` when an order has been announced, and at every poll: orders begin and end by the clock."""

    def __init__(self, config: SupervisorConfig, pod: Pod, agents: AgentPool, rooms: RoomPool) -> None:
        self._config = config
        self._pod = pod
        self._agents = agents
        self._rooms = rooms
        self._recorded = (agents.target, rooms.target)

    def look(self) -> None:
        orders = orders_in_view()
        together = any(order.action is Action.RESERVE for order in orders)
        places = fleet_places() if together else {}
        for pool in Pool:
            own = self._own_place(pool)
            others = [place for place in places.get(pool, []) if place.pod != own.pod]
            self._set(pool, targets(pool, [own, *others], orders)[own.pod])
        self._record()

    def _own_place(self, pool: Pool) -> Place:
        if pool is Pool.ROOMS:
            return Place(self._pod.name, self._config.room_target, self._config.room_cap)
        slots = max(0, self._config.max_processes - self._agents.busy_slots)
        return Place(self._pod.name, self._config.agent_target, min(self._config.agent_cap, slots))

    def _set(self, pool: Pool, target: Target) -> None:
        if pool is Pool.AGENTS:
            self._agents.target = target
        else:
            self._rooms.target = target

    def _record(self) -> None:
        """In the row too, for everybody to see; only when it has changed."""
        targets = (self._agents.target, self._rooms.target)
        if targets == self._recorded:
            return
        agents, rooms = targets
        if self._pod.aim(agents, rooms):
            logger.info(
                "event=targets pod=%s agents=%d why=%r rooms=%d why=%r",
                self._pod.name, agents.size, agents.why, rooms.size, rooms.why,
            )  # fmt: skip
        self._recorded = targets


def orders_in_view() -> list[Order]:
    """Their times as seconds from now, by PostgreSQL's clock."""
    rows = PoolOrder.objects.in_view().annotate(
        starts_in=_seconds_until("starts_at"), ends_in=_seconds_until("ends_at")
    )
    return [_order(row) for row in rows]


def _order(row: Any) -> Order:
    return Order(
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

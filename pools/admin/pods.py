"""Admin page of pods: their state, their pools and what is wrong."""

from typing import Any

from django.contrib import admin
from django.db.models import BooleanField, Count, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce, Extract, Now
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin_pages import search_link
from common.display import NONE, between, duration
from pools.dashboard.changelists import POD_COLOURS, SteeredAdmin
from pools.models import HANDOFF_LEASE, AgentProcess, Pod, Room, StockStatus


def _count_of(model: type[AgentProcess] | type[Room], status: StockStatus) -> Coalesce:
    """Number of items of a pod in a status. A subquery each, because joins would multiply the rows."""
    rows = model.objects.filter(pod=OuterRef("pk"), status=status).order_by().values("pod").annotate(n=Count("pk"))
    return Coalesce(Subquery(rows.values("n")), 0)


@admin.register(Pod)
class PodAdmin(SteeredAdmin):
    list_display = ["name", "state", "heartbeat_age", "up_for", "agents", "rooms_", "free_slots", "version", "trouble"]
    list_filter = ["draining", ("ended_at", admin.EmptyFieldListFilter)]
    search_fields = ["name", "host", "uuid"]
    fields = [
        "name",
        "uuid",
        "state",
        "drained_by",
        "heartbeat_age",
        "started_at",
        "ended_at",
        "end_reason",
        "host",
        "os_pid",
        "version",
        "start_method",
        "agents",
        "agent_target_why",
        "agent_size",
        "agent_cap",
        "rooms_",
        "room_target_why",
        "room_size",
        "room_cap",
        "max_processes",
        "free_slots",
        "agent_trouble",
        "task_trouble",
        "see_also",
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Pod]:
        return (
            super()
            .get_queryset(request)
            .annotate(
                age=Extract(Now() - F("heartbeat_at"), "epoch"),
                live=ExpressionWrapper(Q(heartbeat_at__gt=Now() - HANDOFF_LEASE), output_field=BooleanField()),
                agents_available=_count_of(AgentProcess, StockStatus.AVAILABLE),
                agents_warming=_count_of(AgentProcess, StockStatus.WARMING),
                agents_in_use=_count_of(AgentProcess, StockStatus.IN_USE),
                rooms_available=_count_of(Room, StockStatus.AVAILABLE),
                rooms_warming=_count_of(Room, StockStatus.WARMING),
                rooms_in_use=_count_of(Room, StockStatus.IN_USE),
            )
        )

    @display(description="state", label=POD_COLOURS)
    def state(self, pod: Any) -> str:
        if pod.ended_at:
            return "ended"
        if not pod.live:
            return "silent"
        if pod.drained_by:
            return "out of service"
        return "draining" if pod.draining else "live"

    @admin.display(description="last heartbeat", ordering="-heartbeat_at")
    def heartbeat_age(self, pod: Any) -> str:
        return f"{duration(max(0.0, float(pod.age)))} ago"

    @admin.display(description="up for", ordering="-started_at")
    def up_for(self, pod: Pod) -> str:
        return between(pod.started_at, pod.ended_at or timezone.now())

    @admin.display(description="agent processes")
    def agents(self, pod: Any) -> str:
        return _stock(pod.agents_available, pod.agent_target, pod.agents_warming, pod.agents_in_use)

    @admin.display(description="rooms")
    def rooms_(self, pod: Any) -> str:
        return _stock(pod.rooms_available, pod.room_target, pod.rooms_warming, pod.rooms_in_use)

    @admin.display(description="trouble")
    def trouble(self, pod: Pod) -> str:
        return pod.agent_trouble[:120] or NONE

    @admin.display(description="see also")
    def see_also(self, pod: Pod) -> SafeString:
        agents = search_link("pools_agentprocess", pod.name, "agent processes")
        return agents + SafeString(", ") + search_link("pools_room", pod.name, "rooms")


def _stock(available: int, target: int, warming: int, in_use: int) -> str:
    return f"{available} of {target} available, {warming} warming, {in_use} in use"

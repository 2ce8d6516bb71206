"""Admin pages of rooms and agent processes."""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.utils import timezone
from django.utils.safestring import SafeString
from unfold.decorators import display

from common.admin_pages import link, short
from common.display import NONE, ago, duration
from pools.dashboard.changelists import REPLACED_SOON, STATUS_COLOURS, SteeredAdmin
from pools.models import AgentProcess, Room


class StockAdmin(SteeredAdmin):
    """Columns that rooms and agent processes share: status, since when, pod, session."""

    @display(description="status", ordering="status", label=STATUS_COLOURS)
    def status_(self, item: Any) -> str:
        return REPLACED_SOON if item.retiring and not item.ended_at else item.status

    @admin.display(description="since")
    def in_status_since(self, item: Any) -> str:
        if item.ended_at:
            return ago(item.ended_at, "ended ")
        return ago(item.in_use_at or item.available_at or item.created_at)

    @admin.display(description="pod", ordering="pod__name")
    def pod_link(self, item: Any) -> SafeString | str:
        return link(item.pod)

    @admin.display(description="session")
    def session_link(self, item: Any) -> SafeString | str:
        session = getattr(item, "voice_session", None)  # none: RelatedObjectDoesNotExist is an AttributeError
        return link(session, f"{short(session.uuid)} {session.status}") if session else NONE


@admin.register(Room)
class RoomAdmin(StockAdmin):
    """Rooms, without their meeting tokens."""

    list_display = [
        "name",
        "status_",
        "in_status_since",
        "pod_link",
        "session_link",
        "reserved",
        "life_left",
        "end_reason",
    ]
    list_filter = ["status", "reserved", ("deleted_at", admin.EmptyFieldListFilter)]
    list_select_related = ["pod", "voice_session"]
    search_ids = ["uuid"]
    search_names = ["name", "pod__name"]
    search_help_text = "Search by room name, pod name or ID (prefix)"
    fields = [
        "name",
        "uuid",
        "url",
        "status_",
        "in_status_since",
        "pod_link",
        "session_link",
        "reserved",
        "created_at",
        "available_at",
        "in_use_at",
        "expires_at",
        "tokens_expire_at",
        "ended_at",
        "end_reason",
        "deleted_at",
    ]

    @admin.display(description="life left", ordering="expires_at")
    def life_left(self, room: Room) -> str:
        left = room.expires_at - timezone.now()
        return duration(left.total_seconds()) if left > timedelta() else "expired"


@admin.register(AgentProcess)
class AgentProcessAdmin(StockAdmin):
    list_display = [
        "short_id",
        "status_",
        "in_status_since",
        "pod_link",
        "os_pid",
        "session_link",
        "on_demand",
        "start_method",
        "warmup",
        "end_reason",
    ]
    list_filter = ["status", "on_demand", "start_method"]
    list_select_related = ["pod", "voice_session"]
    search_ids = ["uuid"]
    search_names = ["pod__name"]
    search_help_text = "Search by ID or pod name (prefix)"
    fields = [
        "uuid",
        "status_",
        "in_status_since",
        "pod_link",
        "os_pid",
        "session_link",
        "on_demand",
        "start_method",
        "version",
        "warmup",
        "created_at",
        "available_at",
        "in_use_at",
        "ended_at",
        "end_reason",
    ]

    @admin.display(description="id")
    def short_id(self, process: AgentProcess) -> str:
        return short(process.uuid)

    @admin.display(description="warm-up", ordering="warmup_ms")
    def warmup(self, process: AgentProcess) -> str:
        return NONE if process.warmup_ms is None else duration(process.warmup_ms / 1000)

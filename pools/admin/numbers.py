"""What the service counts and samples, as rows; the dashboard and the metrics say it better."""

from django.contrib import admin

from common.admin_pages import ReadOnlyAdmin
from pools.models import EventTally, PoolSample, SessionTally, VersionTally


@admin.register(PoolSample)
class PoolSampleAdmin(ReadOnlyAdmin):
    list_display = [
        "at",
        "agents_available",
        "agents_target",
        "rooms_available",
        "rooms_target",
        "warm",
        "partial",
        "cold",
        "connect_p50_ms",
        "connect_p99_ms",
        "daily_left",
    ]
    list_filter = ["at"]
    fields = [*list_display, "pods", "agents_warming", "agents_in_use", "rooms_warming", "rooms_in_use", "waiting"]


@admin.register(SessionTally)
class SessionTallyAdmin(ReadOnlyAdmin):
    list_display = ["start_kind", "agent_miss", "room_miss", "end_reason", "shard", "sessions", "handed_off_again"]
    list_filter = ["start_kind"]
    fields = list_display


@admin.register(VersionTally)
class VersionTallyAdmin(ReadOnlyAdmin):
    list_display = ["version", "start_kind", "shard", "sessions", "failed", "failed_handoffs", "joined", "spoke"]
    list_filter = ["version"]
    fields = [*list_display, "joined_s", "spoke_s"]


@admin.register(EventTally)
class EventTallyAdmin(ReadOnlyAdmin):
    list_display = ["event", "number"]
    fields = list_display

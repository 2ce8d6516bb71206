"""Admin pages of read-only records: the Daily account, calls to Daily, counters and samples."""

from datetime import UTC, datetime

from django.contrib import admin

from common.admin_pages import ReadOnlyAdmin
from common.display import NONE, ago
from pools.daily import budget
from pools.models import (
    DailyAccount,
    DailyBudgetSlot,
    DailyRefusals,
    EventCounter,
    PoolSample,
    SeenDailyEvent,
    SessionCounter,
    VersionCounter,
)


@admin.register(DailyAccount)
class DailyAccountAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "self_signed_tokens",
        "verified",
        "trouble",
        "webhook",
        "key_fingerprint",
    ]
    fields = [
        "domain_name",
        "domain_id",
        "key_fingerprint",
        "self_signed_tokens",
        "verified_at",
        "trouble",
        "webhook",
        "webhook_trouble",
    ]

    @admin.display(description="verified", ordering="verified_at")
    def verified(self, account: DailyAccount) -> str:
        return ago(account.verified_at)

    @admin.display(description="webhook")
    def webhook(self, account: DailyAccount) -> str:
        if account.webhook_trouble:
            return "trouble"
        return ago(account.webhook_active_at, "active ")


@admin.register(DailyBudgetSlot)
class DailyBudgetSlotAdmin(ReadOnlyAdmin):
    """Calls to Daily, slice by slice. Daily limits the sum of the slices of a window."""

    list_display = ["group", "time", "used", "limit"]
    list_filter = ["group"]
    fields = ["group", "time", "used", "limit"]

    @admin.display(description="from", ordering="slot")
    def time(self, slot: DailyBudgetSlot) -> datetime | None:
        limit = budget.limit_named(slot.group)
        return datetime.fromtimestamp(slot.slot * limit.window / budget.SLICES, UTC) if limit else None

    @admin.display(description="limit for all slices of a window")
    def limit(self, slot: DailyBudgetSlot) -> str:
        limit = budget.limit_named(slot.group)
        return f"{limit.calls} in {limit.window:.3g} s" if limit else NONE


@admin.register(DailyRefusals)
class DailyRefusalsAdmin(ReadOnlyAdmin):
    list_display = ["minute", "number"]
    fields = ["minute", "number"]


@admin.register(SeenDailyEvent)
class SeenDailyEventAdmin(ReadOnlyAdmin):
    """Daily's webhook events that have arrived; kept for a day."""

    list_display = ["type", "received_at", "event_id"]
    list_filter = ["type"]
    fields = ["type", "received_at", "event_id"]


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


@admin.register(SessionCounter)
class SessionCounterAdmin(ReadOnlyAdmin):
    list_display = ["start_kind", "agent_miss", "room_miss", "end_reason", "shard", "sessions", "handed_off_again"]
    list_filter = ["start_kind"]
    fields = list_display


@admin.register(VersionCounter)
class VersionCounterAdmin(ReadOnlyAdmin):
    list_display = ["version", "start_kind", "shard", "sessions", "failed", "failed_handoffs", "joined", "spoke"]
    list_filter = ["version"]
    fields = [*list_display, "joined_s", "spoke_s"]


@admin.register(EventCounter)
class EventCounterAdmin(ReadOnlyAdmin):
    list_display = ["event", "number"]
    fields = list_display

"""What is known about Daily, and how much of its rate limits is used."""

from datetime import UTC, datetime

from django.contrib import admin

from common.admin_pages import ReadOnlyAdmin
from common.display import NONE, ago
from pools.daily import budget
from pools.models import DailyAccount, DailyBudgetSlot, DailyRefusals, SeenDailyEvent


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
    """Calls to Daily, slice by slice; the sum of a window's slices is what is limited."""

    list_display = ["group", "time", "used", "limit"]
    list_filter = ["group"]
    fields = ["group", "time", "used", "limit"]

    @admin.display(description="from", ordering="slot")
    def time(self, slot: DailyBudgetSlot) -> datetime | None:
        limit = budget.limit_named(slot.group)
        return datetime.fromtimestamp(slot.slot * limit.window / budget.SLICES, UTC) if limit else None

    @admin.display(description="limit of all slices of a window")
    def limit(self, slot: DailyBudgetSlot) -> str:
        limit = budget.limit_named(slot.group)
        return f"{limit.calls} in {limit.window:.3g} s" if limit else NONE


@admin.register(DailyRefusals)
class DailyRefusalsAdmin(ReadOnlyAdmin):
    list_display = ["minute", "number"]
    fields = ["minute", "number"]


@admin.register(SeenDailyEvent)
class SeenDailyEventAdmin(ReadOnlyAdmin):
    """Proof that Daily's webhooks arrive; kept for a day."""

    list_display = ["type", "received_at", "event_id"]
    list_filter = ["type"]
    fields = ["type", "received_at", "event_id"]

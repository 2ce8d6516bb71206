"""What is known about Daily, and how much of its rate limits is used."""

from django.contrib import admin

from breezebuddy.admin_columns import ReadOnlyAdmin
from breezebuddy.durations import NONE, since
from pools.models import DailyAccount, DailyBudgetSlot, SeenDailyEvent


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
        return NONE if account.verified_at is None else f"{since(account.verified_at)} ago"

    @admin.display(description="webhook")
    def webhook(self, account: DailyAccount) -> str:
        if account.webhook_trouble:
            return "trouble"
        return NONE if account.webhook_active_at is None else f"active {since(account.webhook_active_at)} ago"


@admin.register(DailyBudgetSlot)
class DailyBudgetSlotAdmin(ReadOnlyAdmin):
    list_display = ["group", "slot", "used"]
    list_filter = ["group"]
    fields = ["group", "slot", "used"]


@admin.register(SeenDailyEvent)
class SeenDailyEventAdmin(ReadOnlyAdmin):
    """Proof that Daily's webhooks arrive; kept for a day."""

    list_display = ["type", "received_at", "event_id"]
    list_filter = ["type"]
    fields = ["type", "received_at", "event_id"]

"""The audit log: who did what here, and when."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from breezebuddy.admin_columns import ReadOnlyAdmin


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_display = ["action_time", "who", "what", "object_repr", "content_type"]
    list_display_links = ["action_time"]
    list_filter = ["action_time", "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["object_repr", "change_message", "user__username"]
    fields = ["action_time", "who", "what", "object_repr", "content_type", "object_id"]

    @admin.display(description="who", ordering="user__username")
    def who(self, entry: LogEntry) -> str:
        return entry.user.get_username()

    @admin.display(description="what")
    def what(self, entry: LogEntry) -> str:
        return entry.get_change_message()

"""Who did what, and when: in the admin (the audit log), and to the pools from wherever (operators' acts)."""

from django.contrib import admin
from django.contrib.admin.models import LogEntry

from common.admin_pages import ReadOnlyAdmin
from pools.models import OperatorAct


@admin.register(LogEntry)
class AuditAdmin(ReadOnlyAdmin):
    list_before_template = "dashboard/audit.html"
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


@admin.register(OperatorAct)
class OperatorActAdmin(ReadOnlyAdmin):
    list_display = ["at", "by", "what", "reason"]
    list_filter = ["at"]
    search_fields = ["by", "what", "reason"]
    fields = list_display

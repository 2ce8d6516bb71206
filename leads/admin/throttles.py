from django.contrib import admin

from breezebuddy.admin_columns import ReadOnlyAdmin
from leads.models import ThrottleCount


@admin.register(ThrottleCount)
class ThrottleCountAdmin(ReadOnlyAdmin):
    list_display = ["key", "window", "used"]
    fields = ["key", "window", "used"]
    ordering = ["-window"]

from django.contrib import admin

from breezebuddy.admin_columns import ReadOnlyAdmin
from leads.models import RateAllowance


@admin.register(RateAllowance)
class RateAllowanceAdmin(ReadOnlyAdmin):
    list_display = ["key", "used_up_to"]
    fields = ["key", "used_up_to"]
    ordering = ["-used_up_to"]

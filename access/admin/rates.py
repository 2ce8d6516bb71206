from django.contrib import admin

from access.models import RateAllowance
from common.admin_columns import ReadOnlyAdmin


@admin.register(RateAllowance)
class RateAllowanceAdmin(ReadOnlyAdmin):
    list_display = ["key", "used_up_to"]
    fields = ["key", "used_up_to"]
    ordering = ["-used_up_to"]
